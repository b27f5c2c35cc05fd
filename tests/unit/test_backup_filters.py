"""What the entries of a verification say over time."""

from __future__ import annotations

import calendar
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.coinpilot.ops.plugins.filter.backup_trend import backup_trend
from ansible_collections.coinpilot.ops.plugins.filter.backups_due import backups_due
from ansible_collections.coinpilot.ops.plugins.filter.backups_too_old import backups_too_old
from ansible_collections.coinpilot.ops.plugins.module_utils import backup_history

SEOUL = 9 * 3600
HOUR, DAY = 3600, 86400
TARGETS = {"postgres": {"service": "db", "schedule": "5 3 * * *"}, "redis": {"schedule": "15 3 * * *"}}


def at(*parts: int) -> float:
    """A time of the day in Seoul."""
    return float(calendar.timegm((*parts, 0, 0, 0)[:6])) - SEOUL


NOW = at(2026, 11, 23, 9, 0)


def entry(taken_at: float | None, target: str = "postgres", kind: str = "daily", **changes: Any) -> dict[str, Any]:
    backup = "" if taken_at is None else f"coinpilot_{target}_{taken_at:.0f}"
    return {"path": f"/{target}/{kind}/{backup}", "target": target, "kind": kind, "backup": backup,
            "taken_at": taken_at, "size": 100, "sha256": "", "status": "PASS", "problem": "", **changes}


TODAY = [entry(at(2026, 11, 23, 3, 5)), entry(at(2026, 11, 23, 3, 15), "redis")]
YESTERDAY = [entry(at(2026, 11, 22, 3, 5)), entry(at(2026, 11, 22, 3, 15), "redis")]


@pytest.mark.parametrize(("entries", "now", "expected"), [
    (TODAY, NOW, []),
    ([], NOW, ["postgres", "redis"]),
    (YESTERDAY, NOW, ["postgres", "redis"]),
    ([TODAY[0], YESTERDAY[1]], NOW, ["redis"]),
    # Taken by hand before the schedule's time: what cron should have done is still not done.
    ([entry(at(2026, 11, 23, 1, 0)), TODAY[1]], NOW, ["postgres"]),
    ([entry(at(2026, 11, 23, 8, 0)), TODAY[1]], NOW, []),
    # A backup that started at its time may still be running.
    (YESTERDAY, at(2026, 11, 23, 5, 4), []),
    (YESTERDAY, at(2026, 11, 23, 5, 5), ["postgres"]),
    (YESTERDAY, at(2026, 11, 23, 3, 0), []),
    # Not good, not in daily or weekly, or not whole.
    ([{**TODAY[0], "status": "FAIL", "problem": "altered"}, TODAY[1]], NOW, ["postgres"]),
    ([{**TODAY[0], "status": "WARN", "problem": "future"}, TODAY[1]], NOW, ["postgres"]),
    ([{**TODAY[0], "status": "UNKNOWN", "problem": "unreadable"}, TODAY[1]], NOW, ["postgres"]),
    ([{**TODAY[0], "kind": "safety"}, TODAY[1]], NOW, ["postgres"]),
    ([*TODAY, {**TODAY[0], "size": None, "status": "FAIL", "problem": "missing"}], NOW, ["postgres"]),
    ([{**TODAY[0], "status": "WARN", "problem": "unfinished"}, TODAY[1]], NOW, ["postgres"]),
    # The weekly copy is damaged; the daily one is there.
    ([*TODAY, {**TODAY[0], "kind": "weekly", "status": "FAIL", "problem": "no-sidecar"}], NOW, []),
    ([{**TODAY[0], "kind": "weekly"}, TODAY[1], entry(None, status="WARN", problem="unknown")], NOW, []),
])
def test_due(entries: list[dict[str, Any]], now: float, expected: list[str]) -> None:
    assert backups_due(entries, TARGETS, now, SEOUL) == expected


def test_due_by_hours() -> None:
    assert backups_due(YESTERDAY, TARGETS, NOW, hours=24) == ["postgres", "redis"]
    assert backups_due(YESTERDAY, TARGETS, NOW, hours=30) == []
    assert backups_due([*TODAY], {"postgres": {}, "redis": {}, "n8n": {}}, NOW, hours=26) == ["n8n"]


def test_due_without_grace() -> None:
    assert backups_due(YESTERDAY, TARGETS, at(2026, 11, 23, 3, 5), SEOUL, grace_hours=0) == ["postgres"]


@pytest.mark.parametrize(("schedule", "now", "expected"), [
    ("5 3 * * *", at(2026, 11, 23, 3, 5), at(2026, 11, 23, 3, 5)),
    ("5 3 * * *", at(2026, 11, 23, 3, 4), at(2026, 11, 22, 3, 5)),
    ("*/15 * * * *", at(2026, 11, 23, 9, 44), at(2026, 11, 23, 9, 30)),
    ("0 */6 * * *", at(2026, 11, 23, 5, 59), at(2026, 11, 23, 0, 0)),
    ("30 22,23 * * *", at(2026, 11, 23, 23, 0), at(2026, 11, 23, 22, 30)),
    ("35 4 * * 0", NOW, at(2026, 11, 22, 4, 35)),
    ("35 4 * * 7", NOW, at(2026, 11, 22, 4, 35)),
    ("35 4 * * sun", NOW, at(2026, 11, 22, 4, 35)),
    ("0 0 1 * *", NOW, at(2026, 11, 1, 0, 0)),
    ("0 0 31 * *", NOW, at(2026, 10, 31, 0, 0)),
    ("0 0 29 2 *", NOW, at(2024, 2, 29, 0, 0)),
    ("0 0 29 2 *", at(2103, 1, 1), at(2096, 2, 29, 0, 0)),
    # Cron takes either when both days are given, and both when one of them is a star.
    ("0 0 1 * 6", NOW, at(2026, 11, 21, 0, 0)),
    ("0 0 1-7 * */6", NOW, at(2026, 11, 7, 0, 0)),
])
def test_last_due(schedule: str, now: float, expected: float) -> None:
    assert backup_history.last_due(schedule, now, SEOUL) == expected


@pytest.mark.parametrize(("schedule", "now", "expected"), [
    ("5 3 * * *", at(2026, 11, 23, 3, 5), at(2026, 11, 24, 3, 5)),
    ("5 3 * * *", at(2026, 11, 23, 3, 4), at(2026, 11, 23, 3, 5)),
    ("*/15 * * * *", at(2026, 11, 23, 9, 44), at(2026, 11, 23, 9, 45)),
    ("30 22,23 * * *", at(2026, 11, 23, 23, 0), at(2026, 11, 23, 23, 30)),
    ("35 4 * * 0", NOW, at(2026, 11, 29, 4, 35)),
    ("0 0 31 * *", NOW, at(2026, 12, 31, 0, 0)),
    ("0 0 29 2 *", NOW, at(2028, 2, 29, 0, 0)),
])
def test_next_due(schedule: str, now: float, expected: float) -> None:
    assert backup_history.next_due(schedule, now, SEOUL) == expected


def test_too_old() -> None:
    entries = [*YESTERDAY, TODAY[0], entry(at(2026, 11, 1), "n8n", status="FAIL", problem="altered"),
               {**TODAY[1], "status": "FAIL", "problem": "empty"}]
    assert backups_too_old(entries, 26, NOW) == [
        {"target": "redis", "backup": YESTERDAY[1]["backup"], "taken_at": YESTERDAY[1]["taken_at"],
         "age_hours": 29.8},
        {"target": "n8n", "backup": "", "taken_at": None, "age_hours": None},
    ]
    assert backups_too_old(TODAY, 26, NOW) == []
    assert backups_too_old([], 26, NOW) == []


def test_trend() -> None:
    entries = [
        entry(at(2026, 11, 9, 12), size=100),
        entry(at(2026, 11, 10, 12), size=None, status="FAIL", problem="missing"),
        entry(at(2026, 11, 16, 12), size=100), entry(at(2026, 11, 16, 12), size=20),  # two files
        entry(at(2026, 11, 16, 12), kind="weekly", size=100), entry(at(2026, 11, 16, 12), kind="weekly", size=20),
        entry(at(2026, 11, 17, 12), size=150, status="WARN", problem="future"),
        entry(at(2026, 11, 18, 12), size=180, status="FAIL", problem="altered"),
        entry(at(2026, 11, 18, 13), size=9, status="WARN", problem="unfinished"),
        entry(at(2026, 11, 18, 14), kind="safety"),
        entry(None, status="WARN", problem="unknown"),
        entry(at(2026, 12, 31, 12), "redis"), entry(at(2027, 1, 5, 12), "redis", size=95),
        entry(at(2027, 1, 26, 12), "redis"),
    ]
    rows = backup_trend(entries)
    assert [(row["target"], row["week"], row["backups"], row["total"], row["median"], row["growth"], row["failures"])
            for row in rows] == [
        ("postgres", "2026-W46", 2, 100, 50, None, 1),
        ("postgres", "2026-W47", 3, 450, 150, 200.0, 1),
        ("redis", "2026-W53", 1, 100, 100, None, 0),
        ("redis", "2027-W01", 1, 95, 95, -5.0, 0),
        ("redis", "2027-W04", 1, 100, 100, None, 0),
    ]
    assert backup_trend([]) == []


def test_trend_after_nothing_but_empty_ones() -> None:
    rows = backup_trend([entry(at(2026, 11, 10), size=0), entry(at(2026, 11, 17))])
    assert [row["growth"] for row in rows] == [None, None]


@pytest.mark.parametrize("entries", [
    None, "postgres", {"entries": []}, [1], ["x"], [{}], [{"target": "postgres"}],
    [{**TODAY[0], "taken_at": None}], [{**TODAY[0], "taken_at": "today"}], [{**TODAY[0], "size": "big"}],
])
def test_what_are_no_entries(entries: Any) -> None:
    for run in (lambda: backups_due(entries, TARGETS, NOW, SEOUL), lambda: backups_too_old(entries, 26, NOW),
                lambda: backup_trend(entries)):
        with pytest.raises(AnsibleFilterError, match="not the entries that coinpilot.ops.backup_checksum returns") as e:
            run()
        assert "\n" not in str(e.value)


@pytest.mark.parametrize(("changes", "message"), [
    ({"targets": ["postgres"]}, "must be a mapping"),
    ({"targets": {"postgres": {}}}, "postgres.schedule"),
    ({"targets": {"postgres": "5 3 * * *"}}, "postgres.schedule"),
    ({"targets": {"postgres": {"schedule": "5 3 * *"}}}, "4 fields"),
    ({"targets": {"postgres": {"schedule": "65 3 * * *"}}}, "minute '65'"),
    ({"now": "yesterday"}, "now must be a number"),
    ({"now": True}, "now must be a number"),
    ({"utc_offset": None}, "utc_offset must be a number"),
    ({"hours": "24"}, "hours must be a number"),
    ({"hours": -1}, "hours must be 0 or more"),
    ({"grace_hours": float("nan")}, "grace_hours must be a number"),
])
def test_what_due_cannot_use(changes: dict[str, Any], message: str) -> None:
    arguments = {"entries": TODAY, "targets": TARGETS, "now": NOW, "utc_offset": SEOUL, **changes}
    with pytest.raises(AnsibleFilterError, match=message):
        backups_due(**arguments)


def test_what_too_old_cannot_use() -> None:
    for hours, now in (("many", NOW), (None, NOW), (26, None), (-1, NOW)):
        with pytest.raises(AnsibleFilterError, match="must be"):
            backups_too_old(TODAY, hours, now)
