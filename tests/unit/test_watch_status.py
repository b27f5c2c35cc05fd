from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils import watch, watch_status
from ansible_collections.coinpilot.ops.plugins.module_utils.findings import (
    FAIL,
    PASS,
    UNKNOWN,
    WARN,
    Case,
    Rule,
    Text,
)
from ansible_collections.coinpilot.ops.plugins.module_utils.moments import clock

NOW = 1_800_000_000.0
HOUR = 3600.0
ARMED = {"release": "r7", "armed_at": int(NOW - 2 * HOUR), "reason": {"en": "a change", "ko": "변경"}, "baseline": {}}
DESCRIPTION = {"name": "coinpilot", "timezone": "Asia/Seoul", "backup": {
    "targets": {"postgres": {"schedule": "5 3 * * *"}}, "rehearsal": {"schedule": "0 4 * * 0"}}}
RULE = Rule("service", Text("service", "서비스"), Text("healthy", "정상"), {
    "good": Case(PASS, Text("healthy", "정상")), "bad": Case(FAIL, Text("exited", "종료됨"))})


def entry(checkpoint: str, hours_ago: float, case: str = "good", armed: Any = ARMED) -> watch.Entry:
    found = [RULE.finding(case, "bot")]
    return watch.entry(checkpoint, found, {"services": found[0].status}, NOW - hours_ago * HOUR, 1, armed)


def world(**how: Any) -> watch_status.World:
    good = {"entries": [entry("daily", 5), entry("t0", 1.95), entry("t1h", 1)], "armed": ARMED, "problems": [],
            "backups": {"postgres": {"last_result": "success", "last_success": {"at": "2027-01-15T03:05:00Z"},
                                     "last_rehearsal": {"at": "2027-01-14T03:05:00Z", "ok": True}}}}
    return watch_status.World(**{**good, **how})


def told(world: watch_status.World) -> dict[tuple[str, str], tuple[str, str]]:
    return {(finding.id, finding.subject): (finding.status, finding.seen.en)
            for finding in watch_status.judge(world, DESCRIPTION, NOW)}


def test_all_is_well() -> None:
    shown = watch_status.render(watch_status.judge(world(), DESCRIPTION, NOW), "en").splitlines()
    assert [line.split("  ")[0] for line in shown] == ["PASS", "PASS", "PASS", "due", "due", "due", "PASS", "PASS",
                                                       "PASS"]
    assert shown[0].endswith("since 2027-01-15 15:00 KST, 2 hours ago: a change")
    assert "T+0m" in shown[1] and "All items pass (1)." in shown[1]
    assert shown[3].endswith("T+6h             2027-01-15 21:00 KST")
    assert shown[7].endswith("2027-01-15 12:05 KST, 4 hours ago")


@pytest.mark.parametrize(("how", "rule", "status", "words"), [
    ({"entries": [entry("t0", 1.95, "bad")]}, ("status-checkpoint", "T+0m"), FAIL, "service bot: exited"),
    ({"entries": []}, ("status-checkpoint", "T+1h"), WARN, "has not run"),
    ({"entries": []}, ("status-daily", ""), WARN, "no run is recorded"),
    ({"entries": [entry("daily", 27)]}, ("status-daily", ""), WARN, "last run"),
    ({"entries": [entry("daily", 3, "bad"), entry("daily", 1)]}, ("status-daily", ""), PASS, "All items pass"),
    ({"entries": [entry("daily", 3), entry("daily", 1, "bad")]}, ("status-daily", ""), FAIL, "exited"),
    ({"armed": None}, ("status-watch", ""), PASS, "nothing has armed it"),
    ({"backups": {"postgres": {}}}, ("status-backup", "postgres"), PASS, "none yet; cron: 5 3 * * *"),
    ({"backups": {"postgres": {}}}, ("status-rehearsal", "postgres"), PASS, "none yet; cron: 0 4 * * 0"),
    ({"backups": {"postgres": {"last_result": "failure"}}}, ("status-backup", "postgres"), FAIL, "last success: -"),
    ({"backups": {"postgres": {"last_result": "success", "suspect": True,
                               "last_success": {"at": "2027-01-15T03:05:00Z"}}}},
     ("status-backup", "postgres"), FAIL, "2027-01-15 12:05 KST"),
    ({"backups": {"postgres": {"last_rehearsal": {"at": "2027-01-14T03:05:00Z", "ok": False}}}},
     ("status-rehearsal", "postgres"), FAIL, "did not restore"),
    ({"backups": {"postgres": {"last_rehearsal": {"at": "2027-01-14T03:05:00Z", "ok": None}}}},
     ("status-rehearsal", "postgres"), UNKNOWN, "could not be tried"),
])
def test_what_is_not_well_is_its_own_line(how: dict[str, Any], rule: tuple[str, str], status: str, words: str) -> None:
    found = told(world(**how))
    assert found[rule][0] == status and words in found[rule][1]


def test_a_damaged_arming_is_not_called_none() -> None:
    damaged = watch.RULES["watch-armed"].finding("damaged", path="armed.json")
    found = told(world(armed=None, problems=[damaged]))
    assert ("status-watch", "") not in found and found["watch-armed", ""][0] == UNKNOWN


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_what_is_wrong_says_what_to_do(lang: str) -> None:
    found = watch_status.judge(world(entries=[]), DESCRIPTION, NOW)
    assert "coinpilot-watch.timer" in watch_status.render(found, lang)
    assert all(finding.fix.get(lang) for finding in found if finding.status != PASS)


@pytest.mark.parametrize(("zone", "shown"), [
    ("Asia/Seoul", "2027-01-15 17:00 KST"), ("UTC", "2027-01-15 08:00 UTC"), ("Nowhere/Else", "2027-01-15 08:00 UTC"),
    ("", "2027-01-15 08:00 UTC"), ("../etc/passwd", "2027-01-15 08:00 UTC"),
])
def test_moments_are_told_in_the_stacks_time_zone(zone: str, shown: str) -> None:
    assert clock(NOW, zone) == shown
