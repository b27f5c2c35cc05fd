# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Would a fired alert reach a person? The contact point, the way to it, its last delivery, and what hides alerts.

`gather` asks Grafana, `judge` is pure. Nothing is sent: that is done by `notification_test`.
"""

from __future__ import annotations

import re
import time
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Sequence, Tuple

from . import alert_rules, grafana_api
from .findings import Finding
from .grafana_api import GrafanaError, Reading, Trouble, entries
from .http_json import masked, objects
from .moments import moment, span
from .notification_messages import NAME, failed, finding

TYPE = "discord"
CONTACT_POINTS = "/api/v1/provisioning/contact-points"
POLICIES = "/api/v1/provisioning/policies"
RECEIVERS = "/api/alertmanager/grafana/config/api/v1/receivers"
SILENCES = "/api/alertmanager/grafana/api/v2/silences"
# What stands for a setting that Grafana does not show.
REDACTED = "[REDACTED]"

_DEEPEST = 50


class World(NamedTuple):
    """What Grafana says of notifications, and whether `.env` has a webhook."""

    now: float
    reading: Reading
    webhook: str = ""


def gather(description: Mapping[str, Any]) -> World:
    """Never raises for what Grafana does."""
    reading = grafana_api.read(description, {
        CONTACT_POINTS: lambda grafana: entries(grafana.get(CONTACT_POINTS)),
        POLICIES: lambda grafana: _object(grafana.get(POLICIES)),
        RECEIVERS: lambda grafana: entries(grafana.get(RECEIVERS)),
        SILENCES: lambda grafana: entries(grafana.get(SILENCES)),
    })
    return World(time.time(), reading, _webhook(description))


def _webhook(description: Mapping[str, Any]) -> str:
    return (grafana_api.service(description).values or {}).get(grafana_api.WEBHOOK, "").strip()


def _object(content: Any) -> Dict[str, Any]:
    if not isinstance(content, dict):
        raise GrafanaError(Trouble("answer"))
    return content


def judge(world: World, description: Mapping[str, Any]) -> List[Finding]:
    """That Grafana answers, the contact point, the way to it, its last delivery, silences."""
    found = grafana_api.findings_of(world.reading, description)
    read = world.reading.found
    if CONTACT_POINTS not in read:
        return found
    points = [point for point in read[CONTACT_POINTS] if point.get("name") == NAME]
    if not points and not world.webhook:
        return [*found, finding("contact-point", "nowhere", description)]
    found.append(_judge_point(points, world, description))
    rules = _labels(description)
    if POLICIES in read:
        found += _judge_routing(read[POLICIES], rules, description)
    if RECEIVERS in read and points:
        found += _judge_delivery(world, description)
    if SILENCES in read:
        found += _judge_silences(world, rules, description)
    return found


def _labels(description: Mapping[str, Any]) -> Dict[str, Dict[str, str]]:
    """Each rule's name and the labels that all of its alerts have."""
    rules = description.get("alert_rules") or {}
    made = alert_rules.grafana(rules, description["name"], description["title"])
    return {rule["title"]: {"alertname": rule["title"], "grafana_folder": group["folder"],
                            "rulename": rule["title"], **rule.get("labels", {})}
            for group in made["groups"] for rule in group["rules"]}


def _judge_point(points: Sequence[Mapping[str, Any]], world: World, description: Mapping[str, Any]) -> Finding:
    if not points:
        return finding("contact-point", "missing", description)
    point = next((point for point in points if point.get("type") == TYPE), None)
    if point is None:
        return finding("contact-point", "type", description, type=masked(points[0].get("type")))
    settings = point.get("settings")
    address = settings.get("url") if isinstance(settings, dict) else None
    if not address:
        return finding("contact-point", "unset", description)
    if not world.webhook:
        return finding("contact-point", "leftover", description)
    if address != REDACTED and address != world.webhook:
        # Up to 10.1 Grafana shows the address.
        return finding("contact-point", "other", description)
    return finding("contact-point", "there", description)


# The way to it -------------------------------------------------------------------------------------------------------

class _Way(NamedTuple):
    receiver: str
    timings: Tuple[str, ...]


def _judge_routing(tree: Mapping[str, Any], rules: Mapping[str, Mapping[str, str]],
                   description: Mapping[str, Any]) -> List[Finding]:
    if tree.get("receiver") != NAME:
        return [finding("alert-routing", "root", description, other=masked(tree.get("receiver") or "-"))]
    astray: Dict[str, List[str]] = {}
    muted: Dict[str, List[str]] = {}
    for name, labels in rules.items():
        ways = list(_ways(tree, labels))
        if not any(way.receiver == NAME for way in ways):
            astray.setdefault(", ".join(masked(way.receiver) for way in ways), []).append(name)
        elif all(way.timings for way in ways if way.receiver == NAME):
            timings = sorted({timing for way in ways for timing in way.timings})
            muted.setdefault(", ".join(map(masked, timings)), []).append(name)
    found = [finding("alert-routing", "astray", description, other=other, rules=", ".join(names))
             for other, names in astray.items()]
    found += [finding("alert-routing", "muted", description, timings=timings, rules=", ".join(names))
              for timings, names in muted.items()]
    return found or [finding("alert-routing", "right", description)]


def _ways(route: Mapping[str, Any], labels: Mapping[str, str], receiver: str = "", depth: int = 0) -> Iterator[_Way]:
    """Where an alert with these labels goes: into the first branch that takes it, on while that says ``continue``."""
    receiver = str(route.get("receiver") or receiver)
    taken = False
    for branch in objects(route.get("routes")) if depth < _DEEPEST else ():
        if _takes(branch, labels):
            taken = True
            yield from _ways(branch, labels, receiver, depth + 1)
            if not branch.get("continue"):
                break
    if not taken:
        timings = [route.get(key) for key in ("mute_time_intervals", "active_time_intervals")]
        yield _Way(receiver, tuple(str(name) for given in timings if isinstance(given, list) for name in given))


def _takes(route: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    matchers = route.get("object_matchers")
    return all(_matches(matcher, labels) for matcher in matchers) if isinstance(matchers, list) else True


def _matches(matcher: Any, labels: Mapping[str, str]) -> bool:
    """One matcher: [name, operator, value]."""
    if not isinstance(matcher, (list, tuple)) or len(matcher) != 3:
        return True
    name, operator, value = map(str, matcher)
    actual = labels.get(name, "")
    equal = _whole(value, actual) if operator.endswith("~") else actual == value
    return equal != operator.startswith("!")


def _whole(pattern: str, text: str) -> bool:
    """Whether a regular expression of Go's fits a whole text. One that could take for ever, or is none here, fits."""
    if "(" in pattern or len(pattern) > 500:
        return True
    try:
        return re.fullmatch(pattern, text) is not None
    except (re.error, OverflowError):
        return True


# Deliveries and silences ---------------------------------------------------------------------------------------------

def _judge_delivery(world: World, description: Mapping[str, Any]) -> List[Finding]:
    integrations = [each for receiver in world.reading.found[RECEIVERS] if receiver.get("name") == NAME
                    for each in objects(receiver.get("integrations"))]
    if not integrations:
        return [finding("alert-delivery", "unlisted", description)]
    found = []
    for each in integrations:
        at = moment(each.get("lastNotifyAttempt"))
        values: Dict[str, Any] = {"ago": span(world.now - (world.now if at is None else at)),
                                  "duration": masked(each.get("lastNotifyAttemptDuration") or "-")}
        error = each.get("lastNotifyAttemptError")
        if error:
            found.append(failed("alert-delivery", "failed", error, world.reading.secrets, description, **values))
        else:
            found.append(finding("alert-delivery", "none" if at is None else "delivered", description, **values))
    return found


def _judge_silences(world: World, rules: Mapping[str, Mapping[str, str]],
                    description: Mapping[str, Any]) -> List[Finding]:
    found = []
    for silence in world.reading.found[SILENCES]:
        status, matchers = silence.get("status"), silence.get("matchers")
        if not isinstance(status, dict) or status.get("state") != "active" or not isinstance(matchers, list):
            continue
        hidden = [name for name, labels in rules.items() if all(_silences(matcher, labels) for matcher in matchers)]
        if hidden:
            until = moment(silence.get("endsAt"))
            found.append(finding("alert-silence", "everything" if len(hidden) == len(rules) else "some", description,
                                 left=span((until or world.now) - world.now), rules=", ".join(hidden),
                                 comment=masked(silence.get("comment") or "-", world.reading.secrets)))
    return found or [finding("alert-silence", "none", description)]


def _silences(matcher: Any, labels: Mapping[str, str]) -> bool:
    if not isinstance(matcher, dict):
        return False
    operator = ("=" if matcher.get("isEqual", True) else "!") + ("~" if matcher.get("isRegex") else "=")
    # A label that only some alerts of a rule have, such as the service: some are hidden.
    if matcher.get("name") not in labels and matcher.get("isEqual", True):
        return True
    return _matches((matcher.get("name"), operator, matcher.get("value")), labels)
