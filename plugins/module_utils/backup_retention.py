# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Which backups are kept, which go, and why.

What counts is what exists, not its age: a month without a backup deletes nothing. Days and weeks are those of the
host's own calendar.
"""

from __future__ import annotations

import time
from typing import Callable, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from . import backup_store
from .backup_store import Backup
from .findings import Text

REASONS = {
    "newest-day": Text("of the newest day that has a good one", "정상 백업이 있는 가장 최근 날의 백업"),
    "daily": Text("the newest of its day, one of {daily} days", "그날의 최신 백업(최근 {daily}일분 보관)"),
    "weekly": Text("the newest of its week, one of {weekly} weeks", "그 주의 최신 백업(최근 {weekly}주분 보관)"),
    "proven": Text("the newest that a rehearsal has proven", "복구 리허설로 확인된 최신 백업"),
    "safety": Text("taken before a restore; never deleted automatically",
                   "복구 직전에 만든 백업이라 자동으로 지우지 않음"),
    "foreign": Text("not made by this tool; never deleted by it", "이 도구가 만든 백업이 아니라 지우지 않음"),
    "suspect": Text("suspect: to be looked at, never deleted automatically",
                    "의심 백업: 확인 대상이라 자동으로 지우지 않음"),
    "damaged": Text("damaged or not complete: to be looked at, never deleted automatically",
                    "손상되었거나 불완전함: 확인 대상이라 자동으로 지우지 않음"),
    "future": Text("dated in the future: not counted, and not deleted before its date has come",
                   "미래 날짜의 백업: 개수에 넣지 않고, 그 날짜가 되기 전에는 지우지 않음"),
    "blocked": Text("due to go, but the newest backup is not a good one: nothing is deleted until there is a good one",
                    "삭제 대상이지만 최신 백업이 정상이 아님: 정상 백업이 생길 때까지 아무것도 지우지 않음"),
    "same-day": Text("its day has a newer one", "같은 날에 더 최신 백업이 있음"),
    "same-week": Text("its week has a newer one", "같은 주에 더 최신 백업이 있음"),
    "old-day": Text("{daily} newer days have a good one", "더 최근 {daily}일분의 정상 백업이 있음"),
    "old-week": Text("{weekly} newer weeks have a good one", "더 최근 {weekly}주분의 정상 백업이 있음"),
}
GOING = ("same-day", "same-week", "old-day", "old-week")


class Decision(NamedTuple):
    """What becomes of one backup; ``reason`` is one of REASONS, ``text`` says it to a person."""

    backup: Backup
    kept: bool
    reason: str
    text: Text


def plan(backups: Iterable[Backup], keep: Mapping[str, int], proven: Optional[str], now: float,
         is_good: Callable[[Backup], bool] = backup_store.is_good) -> List[Decision]:
    """A decision for every backup of one target, in the order given.

    ``keep`` is the number of ``daily`` and ``weekly`` ones, ``proven`` the newest backup that a rehearsal has proven.
    """
    if any(isinstance(keep[kind], bool) or not isinstance(keep[kind], int) or keep[kind] < 1
           for kind in ("daily", "weekly")):
        raise ValueError("at least 1 daily and 1 weekly backup is kept: daily %(daily)r, weekly %(weekly)r" % keep)
    backups = list(backups)
    reasons = [_exempt(backup, now, is_good) for backup in backups]
    counted = [backup for backup, reason in zip(backups, reasons) if reason is None]
    by_rule = {**_daily([backup for backup in counted if backup.kind == "daily"], keep["daily"]),
               **_weekly([backup for backup in counted if backup.kind == "weekly"], keep["weekly"])}
    blocked = _newest_is_bad(backups, now, is_good)

    decisions = []
    for backup, exempt in zip(backups, reasons):
        reason = exempt or by_rule[_key(backup)]
        if reason in GOING and backup.name == proven:
            reason = "proven"
        if reason in GOING and blocked:
            reason = "blocked"
        decisions.append(Decision(backup, reason not in GOING, reason, REASONS[reason].fill(**keep)))
    return decisions


def promote(backups: Iterable[Backup], candidate: Backup,
            is_good: Callable[[Backup], bool] = backup_store.is_good) -> bool:
    """Whether a new daily backup is to be linked into weekly: a good one, the first of its week."""
    return candidate.kind == "daily" and is_good(candidate) and not any(
        backup.kind == "weekly" and _week(backup) == _week(candidate) and is_good(backup) for backup in backups)


def _exempt(backup: Backup, now: float, is_good: Callable[[Backup], bool]) -> Optional[str]:
    """Why a backup is neither counted nor deleted; None for one that the rules are for."""
    if backup.kind == "safety":
        return "safety"
    if not backup.own:
        return "foreign"
    if backup.manifest is not None and backup.manifest["suspect"]:
        return "suspect"
    if not is_good(backup):
        return "damaged"
    # Counted, those of a clock that ran ahead would push out every one that is taken after it is right again.
    return "future" if backup.taken_at > now else None


def _newest_is_bad(backups: Sequence[Backup], now: float, is_good: Callable[[Backup], bool]) -> bool:
    taken = [backup for backup in backups if backup.kind == "daily" and backup.own and backup.taken_at <= now]
    return bool(taken) and not is_good(max(taken, key=_age))


def _daily(backups: Sequence[Backup], number: int) -> Dict[str, str]:
    newest = _newest_of_each(backups, _day)
    days = list(newest)
    reasons = {}
    for backup in backups:
        day = _day(backup)
        reasons[_key(backup)] = ("newest-day" if day == days[0] else "old-day" if day not in days[:number]
                                 else "daily" if backup is newest[day] else "same-day")
    return reasons


def _weekly(backups: Sequence[Backup], number: int) -> Dict[str, str]:
    newest = _newest_of_each(backups, _week)
    weeks = list(newest)
    reasons = {}
    for backup in backups:
        week = _week(backup)
        reasons[_key(backup)] = ("old-week" if week not in weeks[:number]
                                 else "weekly" if backup is newest[week] else "same-week")
    return reasons


def _newest_of_each(backups: Sequence[Backup], period: Callable[[Backup], str]) -> Dict[str, Backup]:
    """The newest backup of each day or week, the newest period first."""
    newest: Dict[str, Backup] = {}
    for backup in sorted(backups, key=_age, reverse=True):
        newest.setdefault(period(backup), backup)
    return newest


def _age(backup: Backup) -> Tuple[float, str]:
    # Two of one second are told apart by their names: which one is kept must not depend on the order of a listing.
    return backup.taken_at, backup.name


def _key(backup: Backup) -> str:
    return backup.kind + "/" + backup.name


def _day(backup: Backup) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(backup.taken_at))


def _week(backup: Backup) -> str:
    return time.strftime("%G-%V", time.localtime(backup.taken_at))
