"""The watch's files and its clock; the runs themselves are in test_watch_run.py."""

from __future__ import annotations

import json
import os
import resource
import signal
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils import watch
from ansible_collections.coinpilot.ops.plugins.module_utils.engine import Engine
from ansible_collections.coinpilot.ops.plugins.module_utils.findings import (
    FAIL,
    PASS,
    UNKNOWN,
    WARN,
    Case,
    Rule,
    Text,
)

NOW = 1_800_000_000.0
RULE = Rule("service", Text("service", "서비스"), Text("healthy", "정상"), {
    "good": Case(PASS, Text("healthy", "정상")),
    "bad": Case(FAIL, Text("exited", "종료됨"), Text("start it", "시작하세요")),
})
REASON = Text("a change", "변경")


class Played(Engine):
    def __init__(self, *services: str):
        super().__init__()
        self.services = services

    def containers(self, _project: str) -> list[dict[str, Any]]:
        return [{"Id": name + "-1", "Name": "/coinpilot-" + name, "RestartCount": 2,
                 "State": {"Status": "running", "StartedAt": "2027-01-15T08:00:00Z"},
                 "Config": {"Labels": {"com.docker.compose.service": name}}} for name in self.services]


@pytest.fixture
def description(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / ".env").write_text("COINPILOT_RELEASE='r7'\n")
    return {"name": "coinpilot", "project": "oci", "state_directory": str(tmp_path / "state"),
            "directory": str(tmp_path), "services": {"db": {}, "bot": {}}}


def arm(description: dict[str, Any], reason: Text = REASON, now: float = NOW) -> dict[str, Any]:
    return watch.arm(description, reason, Played("db", "bot"), now)


def run(checkpoint: str = "daily", at: float = NOW, armed: dict[str, Any] | None = None, case: str = "good",
        late: float = 0.0) -> dict[str, Any]:
    found = [RULE.finding(case, "bot")]
    return watch.entry(checkpoint, found, {"services": found[0].status}, at, 1.23, armed, late)


def test_what_armed_it_and_how_the_containers_stood_is_kept(description: dict[str, Any]) -> None:
    assert watch.armed(description) is None
    arm(description)
    assert watch.armed(description) == {
        "release": "r7", "armed_at": NOW, "reason": {"en": "a change", "ko": "변경"},
        "baseline": {name: {"id": name + "-1", "started_at": "2027-01-15T08:00:00Z", "restarts": 2}
                     for name in ("db", "bot")}}
    modes = {path.name: path.stat().st_mode & 0o777 for path in (Path(watch.directory(description))).iterdir()}
    assert modes.pop("lock") and modes == {"armed.json": 0o600, "pending.json": 0o600}


def test_a_host_set_up_by_hand_and_a_service_that_is_missing(description: dict[str, Any]) -> None:
    os.unlink(os.path.join(description["directory"], ".env"))
    made = watch.arm(description, REASON, Played("db"), NOW)
    assert made["release"] == "" and set(made["baseline"]) == {"db"}


@pytest.mark.parametrize(("restarted", "words", "korean"), [
    (["bot", "db"], "restarted bot, db", "bot, db 재시작"),
    (["bot", "db", "n8n"], "restarted everything", "전체 재시작"),
    ([], "restarted -", "- 재시작"),
])
def test_a_deploy_says_what_it_restarted(restarted: list[str], words: str, korean: str) -> None:
    reason = watch.deployed("r7", restarted, 3)
    assert reason.en == "deploy of release r7: " + words and reason.ko == "릴리스 r7 배포: " + korean


def test_changes_that_follow_each_other_are_one(description: dict[str, Any]) -> None:
    arm(description)
    arm(description, watch.WORKFLOWS, NOW + 60)
    made = arm(description, watch.WORKFLOWS, NOW + 70)
    assert made["reason"]["en"] == "a change; n8n's workflows were changed" and made["armed_at"] == NOW + 70


def test_a_change_after_a_checkpoint_or_much_later_is_another(description: dict[str, Any]) -> None:
    first = arm(description)
    assert arm(description, watch.UNDONE, NOW + 3600)["reason"] == watch.UNDONE._asdict()
    armed = arm(description, REASON, NOW + 9000)
    assert watch.record(description, run("t0", NOW + 9180, armed)) == []
    assert arm(description, watch.UNDONE, NOW + 9200)["reason"] == watch.UNDONE._asdict()
    assert first["reason"] == REASON._asdict()


@pytest.mark.parametrize("text", [
    "", "null", "[]", "{", "\x00", "[" * 100_000, '{"release": 3}',
    '{"release": "r", "armed_at": true, "reason": {"en": "", "ko": ""}, "baseline": {}}',
    '{"release": "r", "armed_at": 1e400, "reason": {"en": "", "ko": ""}, "baseline": {}}',
    '{"release": "r", "armed_at": 1, "reason": "x", "baseline": {}}',
    '{"release": "\\ud800", "armed_at": 1, "reason": {"en": "", "ko": ""}, "baseline": {}}',
    '{"release": "r", "armed_at": 1, "reason": {"en": "", "ko": ""}, "baseline": {"db": 1}}',
])
def test_a_damaged_arming_is_told_and_taken_for_none(description: dict[str, Any], text: str) -> None:
    arm(description)
    Path(watch.armed_path(description)).write_text(text)
    made, [found] = watch.load_armed(description, NOW)
    assert made is None and found.status == UNKNOWN and "watch arm" in found.fix.en
    assert arm(description)["armed_at"] == NOW


def test_an_arming_in_the_future_is_told_and_what_to_do(description: dict[str, Any]) -> None:
    made = arm(description, now=NOW + 3 * 3600)
    assert watch.load_armed(description, NOW + 3 * 3600 - 60) == (made, [])
    told, [found] = watch.load_armed(description, NOW)
    assert told == made and found.status == WARN and "3 hours" in found.seen.en and "watch arm" in found.fix.en
    assert "3시간" in found.seen.ko


def test_what_may_be_recorded_is_proved_with_room_for_more(description: dict[str, Any]) -> None:
    watch.record(description, run())
    with watch.locked(description):
        assert watch.prove_writable(description) == [] and len(watch.history(description)[0]) == 1
    size = os.path.getsize(watch.history_path(description))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 1000, hard))
        with watch.locked(description), pytest.raises(OSError):
            watch.prove_writable(description)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


def test_the_checkpoints_come_at_their_times_each_once(description: dict[str, Any]) -> None:
    armed = arm(description)

    def due(now: float, *done: str) -> list[str]:
        return [wanted.checkpoint for wanted in watch.due(armed, [run(name, now, armed) for name in done], now)]

    assert due(NOW + 179) == [] and due(NOW + 180) == ["t0"]
    assert due(NOW + 3600) == ["t0", "t1h"] and due(NOW + 3600, "t0") == ["t1h"]
    assert due(NOW + 30 * 3600, "t0", "t1h") == ["t6h", "t12h", "t24h"]
    assert due(NOW + 30 * 3600, *watch.CHECKPOINTS) == [] == watch.due(None, [], NOW)


def test_a_new_arming_begins_anew_and_a_daily_run_is_no_checkpoint(description: dict[str, Any]) -> None:
    old = arm(description)
    new = arm(description, now=NOW + 7200)
    entries = [run(name, NOW + 3600, old) for name in ("t0", "t1h")] + [run("daily", NOW + 7300, new)]
    assert [wanted.checkpoint for wanted in watch.due(new, entries, NOW + 7200 + 3600)] == ["t0", "t1h"]


@pytest.mark.parametrize(("verdicts", "whole"), [
    ({}, UNKNOWN), (dict.fromkeys(watch.CHECKPOINTS, "good"), PASS),
    ({**dict.fromkeys(watch.CHECKPOINTS, "good"), "t1h": "bad"}, WARN),
    ({**dict.fromkeys(watch.CHECKPOINTS, "good"), "t24h": "bad"}, FAIL),
    ({"t24h": "good"}, WARN),
])
def test_the_end_decides_and_what_was_wrong_in_between_is_not_hidden(verdicts: dict[str, str], whole: str) -> None:
    assert watch.conclusion({name: run(name, case=case) for name, case in verdicts.items()}) == whole


def test_an_entry_says_all_that_the_page_and_the_message_need(description: dict[str, Any]) -> None:
    armed = arm(description)
    told = run("t1h", NOW + 7200, armed, "bad", 3600)
    assert watch.record(description, told) == []
    [read], found = watch.history(description, 30, NOW + 7200)
    assert found == [] and read == told
    assert {key: told[key] for key in ("checkpoint", "release", "armed_at", "late_seconds", "verdict", "items")} == {
        "checkpoint": "t1h", "release": "r7", "armed_at": NOW, "late_seconds": 3600, "verdict": FAIL,
        "items": {"services": FAIL}}
    assert told["problems"][0]["fix"] == {"en": "start it", "ko": "시작하세요"}


def test_what_a_service_wrote_that_is_no_text_is_no_damage_later(description: dict[str, Any]) -> None:
    found = [RULE.finding("bad", "\udcff \ud800")]
    watch.record(description, watch.entry("daily", found, {}, NOW, 1))
    [read], damage = watch.history(description, 30, NOW)
    assert damage == [] and read["problems"][0]["subject"] == "? ?"


def test_the_history_is_bounded_in_lines_and_read_by_days(description: dict[str, Any]) -> None:
    watch.record(description, *(run(at=NOW - 500 + number) for number in range(450)))
    runs, found = watch.history(description)
    assert found == [] and len(runs) == watch.LINES_KEPT and runs[-1]["at"] == NOW - 51
    assert len(watch.history(description, 50 / 86400, NOW)[0]) == 0


def test_a_clock_that_was_ahead_once_wipes_no_history(description: dict[str, Any]) -> None:
    watch.record(description, run(at=NOW))
    watch.record(description, run(at=NOW + 400 * 86400))
    watch.record(description, run(at=NOW + 60))
    assert [entry["at"] for entry in watch.history(description)[0]] == [NOW, NOW + 400 * 86400, NOW + 60]


DAMAGED = [
    "not json", "[]", '{"at": 1}', '{"at": NaN}', "\\udcff", "[" * 100_000,
    json.dumps({**run(), "verdict": "FINE"}), json.dumps({**run(), "items": {"a": ["PASS"]}}),
    json.dumps({**run(), "problems": [{"status": "FAIL"}]}), json.dumps({**run(), "checkpoint": "\ud800"}),
    json.dumps({**run(), "at": 10 ** 400}), json.dumps({**run(), "release": 3}),
]


@pytest.mark.parametrize("line", DAMAGED)
def test_a_damaged_line_is_told_by_its_number_and_set_aside_with_the_next_run(
        description: dict[str, Any], line: str) -> None:
    watch.record(description, run(at=NOW))
    path = Path(watch.history_path(description))
    with path.open("a", encoding="utf-8") as stream:
        stream.write(line + "\n")
    runs, [found] = watch.history(description, 30, NOW)
    assert len(runs) == 1 and found.status == WARN and "2" in found.seen.en
    [found] = watch.record(description, run(at=NOW + 1))
    assert "history.jsonl.damaged" in found.seen.en and "2" in found.seen.en
    assert Path(str(path) + ".damaged").read_text(encoding="utf-8") == line + "\n"
    assert [entry["at"] for entry in watch.history(description, 30, NOW)[0]] == [NOW, NOW + 1]
    assert watch.record(description, run(at=NOW + 2)) == []


def test_bytes_that_are_no_text_are_kept_as_they_are(description: dict[str, Any]) -> None:
    watch.record(description, run())
    path = Path(watch.history_path(description))
    path.write_bytes(path.read_bytes() + b"\xff\xfe{}\n")
    assert watch.record(description, run())[0].status == WARN
    assert Path(str(path) + ".damaged").read_bytes() == b"\xff\xfe{}\n"


def test_what_cannot_be_read_or_written_is_a_finding(description: dict[str, Any]) -> None:
    Path(watch.history_path(description)).mkdir(parents=True)
    runs, [found] = watch.history(description)
    assert runs == [] and found.status == UNKNOWN
    [found] = watch.record(description, run())
    assert found.status == WARN and "df -h" in found.fix.en
    Path(watch.armed_path(description)).mkdir()
    assert watch.load_armed(description)[1][0].status == UNKNOWN
