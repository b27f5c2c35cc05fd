# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""What OCI looked like on earlier days: a file on the control machine with one record a day.

However often it runs, today is compared with a week ago: with the newest record that is old enough, or with the oldest.
"""

from __future__ import annotations

import datetime
import json
import os
from typing import Any, Dict, List, Mapping, NamedTuple, Optional

from . import files

# A weekly run is never exactly a week after the last.
WEEK = datetime.timedelta(days=6)
Record = Mapping[str, Mapping[str, str]]


class Entry(NamedTuple):
    """When it was read (ISO 8601, UTC), and what was: group -> name -> value."""

    at: str
    record: Record

    def day(self) -> str:
        return self.at[:10]


def load(path: str, instance: str) -> List[Entry]:
    """Earlier records of this instance, oldest first. OSError or ValueError when there are some that cannot be read."""
    text = files.read_text(path)
    if text is None:
        return []
    try:
        held = json.loads(text)
        if held["instance"] != instance:
            return []
        entries = [Entry(entry["at"], {group: dict(values) for group, values in entry["record"].items()})
                   for entry in held["entries"]]
        for entry in entries:
            _when(entry)
        return sorted(entries)
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as problem:
        raise ValueError("no record of an earlier run (%s)" % type(problem).__name__) from problem


def baseline(entries: List[Entry], now: datetime.datetime) -> Optional[Entry]:
    """What to compare with; None when there is nothing yet."""
    old_enough = [entry for entry in entries if now - _when(entry) >= WEEK]
    return old_enough[-1] if old_enough else entries[0] if entries else None


def add(entries: List[Entry], record: Record, now: datetime.datetime) -> List[Entry]:
    """With today's record, and without those that no later run compares with. What was not read stays as it was."""
    before: Record = entries[-1].record if entries else {}
    today = Entry(now.strftime("%Y-%m-%dT%H:%M:%SZ"), {**before, **record})
    kept = baseline(entries, now)
    return [entry for entry in entries
            if kept is not None and entry.at >= kept.at and (entry.day() != today.day() or entry == kept)] + [today]


def save(path: str, instance: str, entries: List[Entry]) -> None:
    held: Dict[str, Any] = {"instance": instance, "entries": [entry._asdict() for entry in entries]}
    os.makedirs(os.path.dirname(os.path.abspath(path)), mode=0o700, exist_ok=True)
    files.write(files.File(os.path.abspath(path), json.dumps(held, ensure_ascii=False, indent=1) + "\n", 0o600))


def _when(entry: Entry) -> datetime.datetime:
    parsed = datetime.datetime.strptime(entry.at, "%Y-%m-%dT%H:%M:%SZ")
    return parsed.replace(tzinfo=datetime.timezone.utc)
