"""cron, its tables and its jobs: over recorded worlds, good and bad, and over files."""

from __future__ import annotations

import calendar
import json
import stat
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils import backup_state, cron_state, units
from ansible_collections.coinpilot.ops.plugins.module_utils.checklist_context import Context
from ansible_collections.coinpilot.ops.plugins.module_utils.cron_state import DEFAULTS, Table, World
from ansible_collections.coinpilot.ops.plugins.module_utils.engine import Engine
from ansible_collections.coinpilot.ops.plugins.module_utils.findings import Text

SEOUL, DAY = 9 * 3600, 86400
TABLE = "/etc/cron.d/coinpilot-backup"
OFFSITE = "/etc/cron.d/coinpilot-offsite"
SCRIPT = "/opt/coin-pilot/scripts/backup/redis_backup.sh"
DESCRIPTION: dict[str, Any] = {
    "name": "coinpilot", "root": "/opt/coin-pilot", "log_directory": "/var/log/coinpilot",
    "state_directory": "/var/lib/coinpilot",
    "backup": {"targets": {"redis": {"schedule": "15 3 * * *"}}, "rehearsal": {"schedule": "35 4 * * 0"},
               "offsite": {}},
}
COPIED = {**DESCRIPTION, "backup": {**DESCRIPTION["backup"], "offsite": {
    "schedule": "55 4 * * *", "check_schedule": "15 5 * * 0"}}}
JOB = "15 3 * * * root /opt/coin-pilot/scripts/backup/redis_backup.sh 2>&1 | systemd-cat -t coinpilot-backup\n"
REHEARSAL = "35 4 * * 0 root /usr/local/bin/coinpilot-ops restore-rehearsal 2>&1 | systemd-cat -t coinpilot-backup\n"
TEXT = "# Written by coinpilot.ops.\nPATH=/usr/sbin:/usr/bin\nSHELL=/bin/bash\n" + JOB + REHEARSAL
RUNS = {"Id": "cron.service", "LoadState": "loaded", "UnitFileState": "enabled", "ActiveState": "active",
        "SubState": "running"}
NOT_FOUND = {"Id": "crond.service", "LoadState": "not-found", "ActiveState": "inactive", "SubState": "dead"}


def at(*moment: int) -> float:
    """A moment by the clock of Seoul."""
    return calendar.timegm((*moment, 0)) - SEOUL


NOW = at(2026, 11, 23, 9, 0)
LONG_AGO = at(2026, 9, 1, 12, 0)


def state(attempt: float | None = None, success: float | None = None, failure: float | None = None) -> dict[str, Any]:
    """What is recorded of a target's runs."""
    made: dict[str, Any] = {"last_result": "failure" if (failure or 0) > (success or 0) else "success"}
    for name, moment in (("last_attempt", attempt), ("last_success", success), ("last_failure", failure)):
        if moment is not None:
            made[name] = {"at": backup_state._moment(moment)}
    if failure is not None:
        made["last_failure"]["text"] = {"en": "no room\nmore", "ko": "공간 없음"}
    return made


GOOD = World([RUNS, NOT_FOUND], "", {TABLE: Table(TABLE, TEXT, written_at=LONG_AGO)},
             {SCRIPT: stat.S_IFREG | 0o755, cron_state.COMMAND: stat.S_IFREG | 0o755},
             {"redis": state(at(2026, 11, 23, 3, 15), at(2026, 11, 23, 3, 16))}, {}, SEOUL)


def table(**change: Any) -> World:
    return GOOD._replace(tables={TABLE: GOOD.tables[TABLE]._replace(**change)})


def run(**change: Any) -> World:
    return GOOD._replace(states={"redis": state(**change)})


def judged(world: World, description: dict[str, Any] = DESCRIPTION) -> dict[tuple[str, str], str]:
    return {(finding.id, finding.subject): finding.status
            for finding in cron_state.judge(world, description, NOW, DEFAULTS)}


PASSES = {("cron", "cron.service"): "PASS", ("cron-table", TABLE): "PASS", ("cron-command", SCRIPT): "PASS",
          ("cron-command", cron_state.COMMAND): "PASS", ("cron-run", "redis"): "PASS"}


def test_a_good_world() -> None:
    assert judged(GOOD) == PASSES


@pytest.mark.parametrize(("world", "wrong"), [
    (GOOD._replace(daemons=[{**RUNS, "ActiveState": "inactive", "SubState": "dead"}, NOT_FOUND]),
     ("cron", "cron.service", "FAIL", "enabled, inactive (dead)")),
    (GOOD._replace(daemons=[{**RUNS, "UnitFileState": "disabled"}, NOT_FOUND]),
     ("cron", "cron.service", "FAIL", "disabled, active (running)")),
    (GOOD._replace(daemons=[NOT_FOUND]), ("cron", "", "FAIL", "not installed")),
    (GOOD._replace(daemons=[], error="systemctl: TimeoutExpired"), ("cron", "", "UNKNOWN", "TimeoutExpired")),
    (table(text=None), ("cron-table", TABLE, "FAIL", "not there")),
    (table(error="Permission denied"), ("cron-table", TABLE, "UNKNOWN", "Permission denied")),
    (table(owner=1000), ("cron-table", TABLE, "FAIL", "not root's own")),
    (table(form=stat.S_IFREG | 0o664), ("cron-table", TABLE, "FAIL", "mode 0664")),
    (table(form=stat.S_IFLNK | 0o777), ("cron-table", TABLE, "FAIL", "no plain file")),
    (table(text=TEXT.rstrip("\n")), ("cron-table", TABLE, "FAIL", "last line")),
    (table(text=REHEARSAL), ("cron-job", SCRIPT, "FAIL", "not in " + TABLE)),
    (table(text="#" + JOB + REHEARSAL), ("cron-job", SCRIPT, "FAIL", "not in " + TABLE)),
    (table(text=JOB.replace("15 3", "15 4") + REHEARSAL), ("cron-job", SCRIPT, "FAIL", "at 15 4 * * *")),
    (table(text=JOB.replace("root", "ubuntu") + REHEARSAL), ("cron-job", SCRIPT, "FAIL", "as ubuntu")),
    (GOOD._replace(commands={**GOOD.commands, SCRIPT: None}), ("cron-command", SCRIPT, "FAIL", "is not there")),
    (GOOD._replace(commands={**GOOD.commands, SCRIPT: stat.S_IFREG | 0o644}),
     ("cron-command", SCRIPT, "FAIL", "mode 0644")),
    (GOOD._replace(commands={**GOOD.commands, SCRIPT: "Input/output error"}),
     ("cron-command", SCRIPT, "UNKNOWN", "Input/output error")),
    (run(), ("cron-run", "redis", "FAIL", "never, and it was due at ")),
    (run(attempt=at(2026, 11, 22, 3, 15), success=at(2026, 11, 22, 3, 16)), ("cron-run", "redis", "FAIL", "not since")),
    (run(attempt=at(2026, 11, 23, 3, 15), success=at(2026, 11, 22, 3, 16), failure=at(2026, 11, 23, 3, 16)),
     ("cron-run", "redis", "FAIL", "no room")),
    (run(attempt=at(2026, 11, 23, 3, 15), success=at(2026, 11, 22, 3, 16)),
     ("cron-run", "redis", "FAIL", "did not come to an end")),
    # Of a day when the clock was a month ahead; and cut off, with the clock right again.
    (run(attempt=NOW + 30 * DAY, success=NOW + 30 * DAY + 60), ("cron-run", "redis", "UNKNOWN", "dated in the future")),
    (run(attempt=at(2026, 11, 23, 3, 15), success=NOW + 30 * DAY), ("cron-run", "redis", "UNKNOWN", "(2026-12-23 ")),
    (run(attempt=NOW + 121), ("cron-run", "redis", "UNKNOWN", "dated in the future")),
    (GOOD._replace(unread={"redis": "it is damaged"}), ("cron-run", "redis", "UNKNOWN", "it is damaged")),
])
def test_a_bad_world(world: World, wrong: tuple[str, str, str, str]) -> None:
    """Its own line, and no other."""
    found = cron_state.judge(world, DESCRIPTION, NOW, DEFAULTS)
    bad = [finding for finding in found if finding.status != "PASS"]
    assert [(finding.id, finding.status) for finding in bad] == [(wrong[0], wrong[2])]
    assert bad[0].subject.startswith(wrong[1])
    assert wrong[3] in bad[0].seen.en
    assert all(text.fix.get(lang) for text in bad for lang in ("en", "ko"))


@pytest.mark.parametrize(("world", "words"), [
    # Set up after the time of the day.
    (run()._replace(tables={TABLE: Table(TABLE, TEXT, written_at=at(2026, 11, 23, 8, 0))}), "none yet; due at"),
    (run(attempt=at(2026, 11, 22, 1, 0), success=at(2026, 11, 22, 1, 1))._replace(
        tables={TABLE: Table(TABLE, TEXT, written_at=at(2026, 11, 23, 8, 0))}), "the next at"),
    (run(attempt=at(2026, 11, 23, 8, 55), success=at(2026, 11, 23, 3, 16)), "at work"),
    # Two clocks that differ a little.
    (run(attempt=NOW + 60, success=NOW + 119), "the next at"),
    # By hand, since.
    (run(attempt=at(2026, 11, 23, 8, 0), success=at(2026, 11, 23, 8, 1), failure=at(2026, 11, 23, 3, 16)),
     "the next at"),
])
def test_what_is_no_reason_to_blame(world: World, words: str) -> None:
    found = cron_state.judge(world, DESCRIPTION, NOW, DEFAULTS)
    assert {finding.status for finding in found} == {"PASS"}
    assert words in found[-1].seen.en


def test_a_table_from_the_future_excuses_nothing() -> None:
    world = run()._replace(tables={TABLE: Table(TABLE, TEXT, written_at=NOW + 86400)})
    assert judged(world)[("cron-run", "redis")] == "FAIL"


def test_the_runbooks_own_table_is_as_good() -> None:
    text = JOB.replace("2>&1 | systemd-cat -t coinpilot-backup", ">> /var/log/coinpilot/redis-backup.log 2>&1")
    assert judged(table(text="15   3 * * *\troot" + text[len("15 3 * * * root"):] + REHEARSAL)) == PASSES


def test_a_copy_elsewhere_has_a_table_of_its_own() -> None:
    assert list(cron_state.wanted(COPIED)) == [TABLE, OFFSITE]
    world = GOOD._replace(tables={**GOOD.tables, OFFSITE: Table(OFFSITE)})
    assert judged(world, COPIED) == {**PASSES, ("cron-table", OFFSITE): "FAIL"}


def test_a_schedule_that_never_comes() -> None:
    description = {**DESCRIPTION, "backup": {**DESCRIPTION["backup"], "targets": {"redis": {"schedule": "0 0 31 2 *"}}}}
    assert judged(GOOD, description)[("cron-run", "redis")] == "UNKNOWN"


def test_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of files, with a state that somebody damaged."""
    monkeypatch.setattr(cron_state, "TABLES", str(tmp_path))
    monkeypatch.setattr(units, "_systemctl", lambda *_arguments: "".join(
        "\n".join("%s=%s" % pair for pair in unit.items()) + "\n\n" for unit in (RUNS, NOT_FOUND)))
    script = tmp_path / "scripts/backup/redis_backup.sh"
    script.parent.mkdir(parents=True)
    script.write_text("#!/bin/sh\n", encoding="utf-8")
    description = {**DESCRIPTION, "root": str(tmp_path), "state_directory": str(tmp_path)}
    (tmp_path / "backup").mkdir()
    (tmp_path / "backup/redis.json").write_text(json.dumps({"last_attempt": "yesterday"}), encoding="utf-8")
    context = Context(description, Engine("/nonexistent"), NOW, "daily", NOW - 86400, None)
    found = {(finding.id, finding.subject): finding for finding in cron_state.read(context, {})}
    assert found[("cron", "cron.service")].status == "PASS"
    assert found[("cron-table", str(tmp_path / "coinpilot-backup"))].seen.en.startswith("is not there")
    assert found[("cron-command", str(script))].seen.en == "mode 0644: cannot be run"
    assert found[("cron-run", "redis")].status == "UNKNOWN"


def test_systemd_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    world = cron_state.gather(DESCRIPTION, NOW)
    assert cron_state.judge(world, DESCRIPTION, NOW, DEFAULTS)[0].status == "UNKNOWN"


@pytest.mark.parametrize("said", [None, "text", [], {}, {"en": 5, "ko": None}])
def test_a_recorded_text_of_any_kind(said: Any) -> None:
    assert isinstance(cron_state.first_line(said), Text)
