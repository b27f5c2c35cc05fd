"""Taking a backup, with an engine of the test's own: what makes one suspect, what is deleted, and what others hear."""

from __future__ import annotations

import json
import os
import time
import types
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils import (
    archive,
    backup,
    backup_job,
    backup_lock,
    backup_state,
    backup_store,
    engine,
    findings,
)

ROWS = {"candles": 10_000_000, "orders": 200_000, "positions": 3}


class FakeEngine(types.SimpleNamespace):
    """Knows how many rows there are; everything that is written is real."""

    counts: dict[str, int] = ROWS
    problem: Exception | None = None

    def identify(self, job: backup_job.Job) -> backup_job.Source:
        return backup_job.Source({"volume": "oci_data"}, {"postgresql": "17"}, 1000)

    def take(self, job: Any, base: str, way: archive.Compression, source: Any) -> backup_job.Taken:
        if self.problem:
            raise self.problem
        file = backup_job.take_output(["echo", "rows"], ["grep", "-c", "rows"], base + ".dump", way)
        return backup_job.Taken([file], self.counts, {})


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    fake = FakeEngine()
    monkeypatch.setitem(backup.ENGINES, "postgresql", fake)
    return fake


@pytest.fixture
def description(tmp_path: Path) -> dict[str, Any]:
    return {
        "name": "coinpilot", "project": "oci", "directory": str(tmp_path), "unit": "coinpilot-compose.service",
        "backup_directory": str(tmp_path / "backups"), "state_directory": str(tmp_path / "state"),
        "log_directory": str(tmp_path / "log"),
        "services": {"db": {"engine": "postgresql", "volume": "data", "mount": "/data"}},
        "backup": {"targets": {"postgres": {"service": "db", "schedule": "5 3 * * *", "writers": []}},
                   "keep": {"daily": 2, "weekly": 2}},
    }


def status(found: list[findings.Finding]) -> str:
    return findings.worst(found)


def state(description: dict[str, Any]) -> dict[str, Any]:
    return dict(json.loads(Path(description["state_directory"], "backup", "postgres.json").read_text()))


def daily(description: dict[str, Any]) -> list[str]:
    return sorted(name for name in os.listdir(Path(description["backup_directory"], "postgres", "daily"))
                  if ".dump." in name and not name.endswith(".sha256"))


def on_day(monkeypatch: pytest.MonkeyPatch, day: int) -> None:
    moment = time.mktime((2026, 11, day, 3, 5, 0, 0, 0, -1))
    monkeypatch.setattr(backup.time, "time", lambda: moment)


@pytest.mark.parametrize(("counts", "suspect"), [
    (ROWS, []),
    ({**ROWS, "positions": 0}, []),
    ({**ROWS, "orders": 0}, ["vanished"]),
    ({"candles": 10_000_000, "positions": 3}, ["vanished"]),
    ({**ROWS, "candles": 4_000_000}, ["shrunk"]),
    (dict.fromkeys(ROWS, 0), ["empty"]),
    ({**ROWS, "new": 5}, []),
])
def test_what_makes_a_backup_suspect(counts: dict[str, int], suspect: list[str]) -> None:
    file = backup_store.DataFile("a", 1, "0", 1000)
    before = {"counts": ROWS, "files": [{"raw_size": 1000}]}
    assert backup.judge_content(backup_job.Taken([file], counts, {}), before) == suspect


def test_a_suspect_backup_is_kept_told_and_accepted(description: dict[str, Any], fake: FakeEngine,
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    for day in (1, 2):
        on_day(monkeypatch, day)
        assert status(backup.run(description, "postgres")) == findings.PASS
    fake.counts = {**ROWS, "orders": 0}
    for day in (3, 4, 5):
        on_day(monkeypatch, day)
        assert status(backup.run(description, "postgres")) == findings.FAIL
    assert len(daily(description)) == 5
    assert (state(description)["last_result"], state(description)["suspect"]) == ("failure", True)
    on_day(monkeypatch, 6)
    assert status(backup.run(description, "postgres", accept_change=True)) == findings.PASS
    assert state(description)["last_result"] == "success"
    # The first of the good ones is due now; suspect ones are a person's to delete.
    assert len(daily(description)) == 5


def test_an_engine_that_goes_away_in_the_middle_is_a_failure_that_is_told(description: dict[str, Any],
                                                                         fake: FakeEngine) -> None:
    assert status(backup.run(description, "postgres")) == findings.PASS
    fake.problem = engine.EngineError("the Docker Engine does not answer")
    found = backup.run(description, "postgres")
    assert status(found) == findings.FAIL and "Docker does not answer" in found[0].seen.en
    assert state(description)["last_result"] == "failure"


def test_a_mistake_of_our_own_is_recorded_before_it_is_raised(description: dict[str, Any], fake: FakeEngine) -> None:
    fake.problem = KeyError("of the code")
    with pytest.raises(KeyError):
        backup.run(description, "postgres")
    assert state(description)["last_result"] == "failure"
    assert daily(description) == []


def test_nothing_is_deleted_while_the_proofs_are_lost(description: dict[str, Any], fake: FakeEngine,
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    for day in (1, 2):
        on_day(monkeypatch, day)
        backup.run(description, "postgres")
    backup_state.record_rehearsal(description["state_directory"], "postgres", time.time(), daily(description)[0][:35],
                                  True, 1.0, findings.NOTHING)
    Path(description["state_directory"], "backup", "postgres.json").write_text('{"format": 1, "prov')
    for day in (3, 4, 5):
        on_day(monkeypatch, day)
        found = backup.run(description, "postgres")
        assert status(found) == findings.WARN
    assert len(daily(description)) == 5
    for aside in Path(description["state_directory"], "backup").glob("*.damaged*"):
        aside.unlink()
    on_day(monkeypatch, 6)
    backup.run(description, "postgres")
    assert len(daily(description)) == 2


def test_a_clock_that_was_ahead_does_not_stop_the_weekly_ones(description: dict[str, Any], fake: FakeEngine,
                                                             monkeypatch: pytest.MonkeyPatch) -> None:
    for day in (28, 2):
        on_day(monkeypatch, day)
        backup.run(description, "postgres")
    weekly = os.listdir(Path(description["backup_directory"], "postgres", "weekly"))
    assert len([name for name in weekly if name.endswith(".json")]) == 2


def test_one_that_hangs_is_a_failure_in_the_end(description: dict[str, Any], fake: FakeEngine) -> None:
    with backup_lock.hold(description, "backup", "postgres", lambda text: None):
        assert status(backup.run(description, "postgres")) == findings.WARN
        lock = Path(description["state_directory"], "backup", "backup-postgres.lock")
        os.utime(lock, (time.time(), time.time() - 13 * 3600))
        found = backup.run(description, "postgres")
    assert status(found) == findings.FAIL and "13 hours" in found[0].seen.en
    assert state(description)["last_result"] == "failure"
