# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""What the entries of a verification say over time: which targets are due, too old, and how they grow.

Pure. Whatever is not as `backup_checksum` makes it is a ValueError of one line.
"""

from __future__ import annotations

import math
import statistics
from datetime import datetime, timedelta, timezone
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Tuple

from . import cron
from .findings import FAIL, PASS, UNKNOWN

GRACE_HOURS = 2
# What is taken before a restore holds what was there then, whatever the schedule says.
_KINDS = ("daily", "weekly")
# Files with the name of a backup that are none, or none of this target.
_NO_BACKUP = ("unfinished", "foreign")
_KEYS = ("target", "kind", "backup", "taken_at", "size", "status", "problem")
# 29 February comes back after eight years at the latest.
_MOST_DAYS = 8 * 366


class Backup(NamedTuple):
    """One backup in one directory: its files' sizes together, and the statuses of all that belongs to it."""

    target: str
    name: str
    taken_at: float
    size: int
    statuses: Tuple[str, ...]

    @property
    def good(self) -> bool:
        return set(self.statuses) == {PASS}


def due(entries: Any, targets: Any, now: Any, utc_offset: Any = None, hours: Any = None,
        grace_hours: Any = GRACE_HOURS) -> List[str]:
    """The targets that have no good backup since their schedule's last time, or of the last so many hours.

    A schedule's time counts when ``grace_hours`` have passed since: until then a backup may well be running.
    ``utc_offset`` is how far the clock that cron goes by is ahead of UTC, in seconds.
    """
    if not isinstance(targets, Mapping):
        raise ValueError("the targets must be a mapping: name, then schedule, as stack_backup_targets is")
    now = _number("now", now)
    grace = _number("grace_hours", grace_hours, least=0) * 3600
    newest = _newest_good(_backups(entries))
    late = []
    for target, settings in targets.items():
        if hours is not None:
            since = now - _number("hours", hours, least=0) * 3600
        else:
            since = last_due(_schedule(target, settings), now - grace, _number("utc_offset", utc_offset))
        if target not in newest or newest[target].taken_at < since:
            late.append(str(target))
    return late


def too_old(entries: Any, hours: Any, now: Any) -> List[Dict[str, Any]]:
    """Of each target whose newest good backup is older than so many hours, that one; without a good one, none."""
    limit = _number("hours", hours, least=0)
    now = _number("now", now)
    backups = _backups(entries)
    newest = _newest_good(backups)
    found = []
    for target in dict.fromkeys(entry["target"] for entry in entries):
        backup = newest.get(target)
        if backup is None:
            found.append({"target": target, "backup": "", "taken_at": None, "age_hours": None})
        elif now - backup.taken_at > limit * 3600:
            found.append({"target": target, "backup": backup.name, "taken_at": backup.taken_at,
                          "age_hours": round((now - backup.taken_at) / 3600, 1)})
    return found


def trend(entries: Any) -> List[Dict[str, Any]]:
    """Per target and ISO week: how many backups, their total and median size, the growth, and how many failed.

    ``growth`` is that of the median against the week before, in percent; None without a week before.
    A backup that lies in daily and weekly is one.
    """
    copies: Dict[Tuple[str, float], List[Backup]] = {}
    for backup in _backups(entries):
        copies.setdefault((backup.target, backup.taken_at), []).append(backup)
    weeks: Dict[Tuple[str, int, int], List[List[Backup]]] = {}
    for (target, taken_at), same in copies.items():
        year, week, _day = datetime.fromtimestamp(taken_at, timezone.utc).isocalendar()
        weeks.setdefault((target, year, week), []).append(same)
    rows = []
    for target, year, week in sorted(weeks):
        sizes = _sizes(weeks[(target, year, week)])
        before = datetime.fromisocalendar(year, week, 1) - timedelta(days=7)
        rows.append({
            "target": target, "week": "%04d-W%02d" % (year, week), "backups": len(sizes), "total": sum(sizes),
            "median": int(statistics.median(sizes)),
            "growth": _growth(_sizes(weeks.get((target, *before.isocalendar()[:2]), [])), sizes),
            "failures": sum(any(not {FAIL, UNKNOWN}.isdisjoint(copy.statuses) for copy in same)
                            for same in weeks[(target, year, week)]),
        })
    return rows


def last_due(schedule: str, now: float, utc_offset: float) -> float:
    """The last time, now or before, at which cron starts what has this schedule."""
    return max(moment for moment in _near(schedule, now, utc_offset, -1) if moment <= now)


def next_due(schedule: str, now: float, utc_offset: float) -> float:
    """The next time, after now, at which cron starts what has this schedule."""
    return min(moment for moment in _near(schedule, now, utc_offset, 1) if moment > now)


def _near(schedule: str, now: float, utc_offset: float, step: int) -> List[float]:
    """The schedule's times on the first day, today or from here in one direction, that has one there."""
    parts = schedule.split()
    # A schedule's values as cron reads them; Sunday is 0 and 7.
    minutes, hours, days, months, weekdays = (cron.values(part, field) for part, field in zip(parts, cron.FIELDS))
    local = datetime.fromtimestamp(now + utc_offset, timezone.utc)
    for away in range(_MOST_DAYS + 1):
        day = local + timedelta(days=away * step)
        in_month = day.day in days
        in_week = not weekdays.isdisjoint({0, 7} if day.isoweekday() == 7 else {day.isoweekday()})
        # With both fields restricted cron takes either.
        either = not parts[2].startswith("*") and not parts[4].startswith("*")
        if day.month not in months or not ((in_month or in_week) if either else (in_month and in_week)):
            continue
        moments = [day.replace(hour=hour, minute=minute, second=0, microsecond=0).timestamp() - utc_offset
                   for hour in hours for minute in minutes]
        if any((moment > now) == (step > 0) for moment in moments):
            return moments
    raise ValueError("the schedule '%s' never comes" % schedule)


def _schedule(target: Any, settings: Any) -> str:
    schedule = settings.get("schedule") if isinstance(settings, Mapping) else None
    wrong = cron.problem("%s.schedule" % target, schedule)
    if wrong is not None:
        raise ValueError(wrong.line("en"))
    return str(schedule)


def _backups(entries: Any) -> List[Backup]:
    grouped: Dict[Tuple[str, str, str], List[Mapping[str, Any]]] = {}
    for entry in _checked(entries):
        if entry["backup"] and entry["kind"] in _KINDS and entry["problem"] not in _NO_BACKUP:
            grouped.setdefault((entry["target"], entry["kind"], entry["backup"]), []).append(entry)
    return [Backup(target, name, float(parts[0]["taken_at"]), sum(part["size"] or 0 for part in parts),
                   tuple(part["status"] for part in parts))
            for (target, _kind, name), parts in grouped.items()]


def _checked(entries: Any) -> Iterable[Mapping[str, Any]]:
    wrong = "these are not the entries that coinpilot.ops.backup_checksum returns: "
    if not isinstance(entries, (list, tuple)):
        raise ValueError(wrong + "not a list")
    for entry in entries:
        missing = [key for key in _KEYS if not isinstance(entry, Mapping) or key not in entry]
        if missing:
            raise ValueError(wrong + "one has no %s" % ", ".join(missing))
        if not (isinstance(entry["size"], (int, type(None))) and (
                isinstance(entry["taken_at"], (int, float)) or not entry["backup"])):
            raise ValueError(wrong + "size or taken_at of one is no number")
    return entries


def _newest_good(backups: Iterable[Backup]) -> Dict[str, Backup]:
    newest: Dict[str, Backup] = {}
    for backup in backups:
        if backup.good and (backup.target not in newest or backup.taken_at > newest[backup.target].taken_at):
            newest[backup.target] = backup
    return newest


def _sizes(week: Iterable[List[Backup]]) -> List[int]:
    return [max(copy.size for copy in same) for same in week]


def _growth(before: List[int], sizes: List[int]) -> Optional[float]:
    usual = statistics.median(before) if before else 0
    return round(100 * (statistics.median(sizes) - usual) / usual, 1) if usual else None


def _number(name: str, value: Any, least: Optional[float] = None) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value):
        raise ValueError("%s must be a number, as coinpilot.ops.backup_checksum returns or as | int makes one; it is %r"
                         % (name, value))
    if least is not None and value < least:
        raise ValueError("%s must be %s or more; it is %s" % (name, least, value))
    return float(value)
