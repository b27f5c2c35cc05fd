"""The log file of a job, which never stops the job."""

from __future__ import annotations

import getpass
import os
import re
import stat
from pathlib import Path

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils.job_log import JobLog

ME = getpass.getuser()


def test_lines_are_appended_with_their_time(tmp_path: Path) -> None:
    log = JobLog(str(tmp_path), "job.log", ME)
    log.write("first\n  second\n")
    log.write("셋째")
    assert log.error is None
    lines = (tmp_path / "job.log").read_text(encoding="utf-8").splitlines()
    assert [re.sub(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} ", "", line) for line in lines] == [
        "first", "  second", "셋째"]


def test_a_missing_directory_is_made(tmp_path: Path) -> None:
    log = JobLog(str(tmp_path / "log" / "stack"), "job.log", "nobody-by-this-name")
    log.write("line")
    assert log.error is None
    assert stat.S_IMODE((tmp_path / "log" / "stack").stat().st_mode) == 0o750
    assert stat.S_IMODE((tmp_path / "log" / "stack" / "job.log").stat().st_mode) == 0o644


def test_the_administrators_link_to_another_disk_is_followed(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "log").symlink_to(tmp_path / "disk")
    log = JobLog(str(tmp_path / "log"), "job.log", ME)
    log.write("line")
    assert log.error is None and (tmp_path / "disk" / "job.log").exists()


def test_another_users_link_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "log").symlink_to(tmp_path / "disk")
    status = list(os.lstat(tmp_path / "log"))
    status[stat.ST_UID] = 4711
    monkeypatch.setattr(os, "lstat", lambda path: os.stat_result(status))
    log = JobLog(str(tmp_path / "log"), "job.log", ME)
    log.write("line")
    assert log.error and "a link that root did not make" in log.error
    assert list((tmp_path / "disk").iterdir()) == []


@pytest.mark.parametrize("kind", ["link", "hard link", "pipe", "directory", "no directory above"])
def test_what_is_no_log_is_left_alone(tmp_path: Path, kind: str) -> None:
    directory, victim = tmp_path / "log", tmp_path / "victim"
    victim.write_text("untouched")
    if kind == "no directory above":
        directory.write_text("")
    else:
        directory.mkdir()
        {"link": lambda path: path.symlink_to(victim), "hard link": lambda path: path.hardlink_to(victim),
         "pipe": os.mkfifo, "directory": Path.mkdir}[kind](directory / "job.log")
    log = JobLog(str(directory), "job.log", ME)
    log.write("line")
    assert log.error
    assert victim.read_text() == "untouched"


def test_a_full_disk_is_noted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(descriptor: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    log = JobLog(str(tmp_path), "job.log", ME)
    log.write("line")
    assert log.error == "No space left on device"
