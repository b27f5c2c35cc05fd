"""Silences: made and ended over the API, kept in memory. Grafana keeps its own in the database."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime
from threading import Lock
from typing import Any

Item = dict[str, Any]


class Silences:
    def __init__(self) -> None:
        self._lock = Lock()
        self._silences: list[Item] = []

    def add(self, given: Item) -> str:
        """Raises ValueError where Grafana refuses it."""
        try:
            begin, end = (datetime.fromisoformat(given[key]) for key in ("startsAt", "endsAt"))
            matchers = [{"isEqual": True, "isRegex": False, **matcher} for matcher in given["matchers"]]
            for matcher in matchers:
                re.compile(matcher["value"])
            kept = {"comment": given["comment"], "createdBy": given["createdBy"], "matchers": matchers}
        except (KeyError, TypeError, re.error) as error:
            raise ValueError(f"bad silence: {error}") from error
        if not matchers or end <= begin:
            raise ValueError("bad silence: no matchers, or it ends before it begins")
        silence = {"id": str(uuid.uuid4()), "startsAt": given["startsAt"], "endsAt": given["endsAt"], **kept}
        with self._lock:
            self._silences.append(silence)
        return str(silence["id"])

    def expire(self, wanted: str) -> bool:
        with self._lock:
            for silence in self._silences:
                if silence["id"] == wanted:
                    silence["endsAt"] = datetime.now(UTC).isoformat()
                    return True
        return False

    def shown(self) -> list[Item]:
        with self._lock:
            return [{**silence, "status": {"state": _state(silence)}, "updatedAt": silence["startsAt"]}
                    for silence in self._silences]

    def hide(self, labels: dict[str, str]) -> bool:
        with self._lock:
            return any(_state(silence) == "active" and all(_matches(matcher, labels) for matcher in silence["matchers"])
                       for silence in self._silences)


def _state(silence: Item) -> str:
    begin, end = (datetime.fromisoformat(silence[key]) for key in ("startsAt", "endsAt"))
    now = datetime.now(UTC)
    return "expired" if end <= now else "active" if begin <= now else "pending"


def _matches(matcher: Item, labels: dict[str, str]) -> bool:
    actual = labels.get(matcher["name"], "")
    equal = bool(re.fullmatch(matcher["value"], actual)) if matcher["isRegex"] else actual == matcher["value"]
    return equal == matcher["isEqual"]
