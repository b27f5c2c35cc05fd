"""Who may work, who waits and who gives up: with real locks, between processes and within one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils import backup_lock
from ansible_collections.coinpilot.ops.plugins.module_utils.backup_errors import BackupError
from ansible_collections.coinpilot.ops.plugins.module_utils.findings import FAIL, WARN, Text

HOLDER = """
import sys, time
sys.path.insert(0, sys.argv[1])
from ansible_collections.coinpilot.ops.plugins.module_utils import backup_lock
with backup_lock.hold({"state_directory": sys.argv[2], "log_directory": "/log"}, "backup", "redis", print):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def description(tmp_path: Path) -> dict[str, Any]:
    return {"state_directory": str(tmp_path), "log_directory": "/log"}


def silent(text: Text) -> None:
    raise AssertionError(text.en)


def test_the_same_job_gives_up_at_once(description: dict[str, Any]) -> None:
    with backup_lock.hold(description, "backup", "redis", silent):
        with pytest.raises(BackupError) as refused, backup_lock.hold(description, "backup", "redis", silent):
            pass
    assert refused.value.case == "already-running"
    assert refused.value.values["holder"] == "backup redis, PID %d" % os.getpid()
    assert backup_lock.CASES["already-running"].status == WARN


def test_another_job_waits_says_so_once_and_gives_up_in_the_end(description: dict[str, Any],
                                                                monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup_lock, "_PAUSE", 0.01)
    told: list[str] = []
    with backup_lock.hold(description, "backup", "redis", silent):
        with pytest.raises(BackupError) as refused, \
                backup_lock.hold(description, "rehearsal", "redis", lambda text: told.append(text.en), patience=0.1):
            pass
    assert refused.value.case == "others-too-long" and backup_lock.CASES["others-too-long"].status == FAIL
    assert len(told) == 1 and "backup redis" in told[0]
    # Having given up, it holds nothing.
    with backup_lock.hold(description, "rehearsal", "redis", silent):
        pass


def test_it_gets_its_turn_when_the_other_is_killed(description: dict[str, Any], tmp_path: Path) -> None:
    collections = Path(__file__).resolve().parents[2] / "collections"
    other = subprocess.Popen([sys.executable, "-c", HOLDER, str(collections), str(tmp_path)], stdout=subprocess.PIPE,
                             text=True)
    assert other.stdout is not None
    with other:
        assert other.stdout.readline() == "held\n"
        with backup_lock.hold(description, "backup", "postgres", lambda _text: other.send_signal(signal.SIGKILL)):
            assert (tmp_path / "backup" / "jobs.lock").read_text() == "backup postgres, PID %d" % os.getpid()


def test_only_root_reads_what_lies_there(description: dict[str, Any], tmp_path: Path) -> None:
    with backup_lock.hold(description, "backup", "redis", silent):
        modes = {path.name: path.stat().st_mode & 0o777 for path in [tmp_path / "backup",
                                                                      *(tmp_path / "backup").iterdir()]}
    assert modes == {"backup": 0o700, "backup-redis.lock": 0o600, "jobs.lock": 0o600}
