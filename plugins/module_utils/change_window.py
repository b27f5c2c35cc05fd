# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""From when on a service is looked at: a change, which arms the watch, begins anew what it started itself, no more.

A checkpoint of the watch looks at what was since the arming. The daily check looks at the whole day: a bot that died
before an alert rule was changed has died. What the change made or started is looked at from the arming on, because
its container before was ended by the change, and its log may be gone.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

from . import health, watch
from .checklist_context import Context
from .checklist_items import ALL, DAILY, WEEKLY
from .moments import moment

# Seconds before an arming in which what was started was started by the change. A deploy waits 5 minutes for the
# health of what it starts, and the workflows follow it: what is closer together is one change to the watch as well.
TAKES = watch.ONE_CHANGE
_DAY = 86400.0
# No window is longer.
_HISTORY_DAYS = 8


class Change(NamedTuple):
    """From when it started something until it armed the watch."""

    begin: float
    end: float


class Windows(NamedTuple):
    """Where the window begins: for what no change has started, and for the services that one has; and when a person
    has begun it anew, at that very moment."""

    since: float
    changed: Mapping[str, float] = {}
    anew: float = 0.0

    def of(self, service: str) -> float:
        return self.changed.get(service, self.since)


def armed_at(context: Context) -> float:
    """When the watch was armed last; 0 where it never was, or by a clock that was ahead."""
    return _past((context.release or {}).get("armed_at"), context.now)


def baseline(context: Context, service: str) -> Optional[health.Condition]:
    """The service when the watch was armed, or None where that is not known."""
    noted = _baseline(context).get(service)
    if not isinstance(noted, Mapping) or not isinstance(noted.get("restarts"), int):
        return None
    return health.Condition("running", restarts=noted["restarts"], started_at=str(noted.get("started_at", "")),
                            container_id=str(noted.get("id", "")))


def armings(context: Context) -> List[float]:
    """When the watch was armed in the days that a window can hold, as far as its history tells."""
    entries, _found = watch.history(context.description, _HISTORY_DAYS, context.now)
    told = {_past(entry.get("armed_at"), context.now) for entry in entries} | {armed_at(context)}
    return sorted(told - {0.0})


def windows(context: Context, containers: Mapping[str, Mapping[str, Any]], armed: Sequence[float]) -> Windows:
    """``containers`` by service, ``armed`` is when the watch was armed."""
    # A person who arms the watch says: from here on.
    anew = _past((context.release or {}).get("anew"), context.now)
    if context.checkpoint not in (ALL, DAILY, WEEKLY):
        return Windows(max(context.since, armed_at(context)), anew=anew)
    since = max(min(context.since, context.now - _DAY) if context.checkpoint == ALL else context.since, anew)
    services = {name: _Service(context, name, container) for name, container in containers.items()}
    changed: Dict[str, float] = {}
    before = 0.0
    for end in sorted(armed):
        first = max(before, end - TAKES)
        begin = min((at for service in services.values() for at in service.wanted if first <= at <= end), default=end)
        before = end
        change = Change(begin, end)
        changed.update({name: max(since, end) for name, service in services.items() if service.is_of(change)})
    return Windows(since, changed, anew)


class _Service:
    """When a service's container was made, and started, as it was when the watch was armed last.

    ``wanted`` are starts that a change has made; ``starts`` may also be one crash because of it.
    """

    def __init__(self, context: Context, name: str, container: Mapping[str, Any]):
        before = baseline(context, name)
        known = before or health.condition(container)
        made, started = moment(container.get("Created")), moment(known.started_at)
        self.wanted = _told(made, None if known.restarts else started)
        self.starts = _told(made, started)
        if known.restarts >= health.CRASH_LOOP:
            # No deploy ends so; of what is not known from the arming, it may have come later.
            self.starts = _told(None if before else made)

    def is_of(self, change: Change) -> bool:
        """Whether the change has started it, or it fell over while the change restarted what it needs."""
        return any(change.begin <= at <= change.end for at in self.starts)


def _told(*moments: Optional[float]) -> List[float]:
    return [at for at in moments if at is not None]


def _baseline(context: Context) -> Mapping[str, Any]:
    noted = (context.release or {}).get("baseline") if armed_at(context) else None
    return noted if isinstance(noted, Mapping) else {}


def _past(at: Any, now: float) -> float:
    return float(at) if isinstance(at, (int, float)) and not isinstance(at, bool) and 0 < at <= now else 0.0
