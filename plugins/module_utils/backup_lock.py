# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""One backup, rehearsal or restore at a time on a host, and never the same one twice.

The kernel lets go of the locks of a run that was killed, so a file that is left says nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from typing import IO, Any, Callable, Dict, Iterator, Mapping

from . import files
from .backup_errors import BackupError
from .findings import FAIL, WARN, Case, Text

# Seconds to wait for another job to end: longer than any is expected to take.
PATIENCE = 2 * 60 * 60
# A night's job that still runs when the next night's comes will not end.
HANGING_HOURS = 12
_PAUSE = 1.0

CASES: Dict[str, Case] = {
    "already-running": Case(WARN, Text("the same one is running already ({holder}): this one did nothing",
                                       "같은 작업이 이미 실행 중({holder})이라 아무것도 하지 않음"),
                            Text("wait for it to end; see its log in {log_directory}",
                                 "끝날 때까지 기다리세요. 로그: {log_directory}")),
    "hangs": Case(FAIL, Text("the same one has been running for {hours} hours ({holder}) and seems to hang",
                             "같은 작업이 {hours}시간째 실행 중({holder})이며 멈춘 것으로 보임"),
                  Text("see what it does (sudo ps -ef; log in {log_directory}) and end it by its PID",
                       "무엇을 하는지 확인하고(sudo ps -ef, 로그: {log_directory}) 그 PID를 종료하세요")),
    "others-too-long": Case(FAIL, Text("waited {minutes} minutes for another job ({holder}) and gave up",
                                       "다른 작업({holder})을 {minutes}분 기다리다가 포기함"),
                            Text("see what it does: sudo lslocks; run this again when it has ended",
                                 "무엇을 하는지 확인하세요: sudo lslocks; 끝난 뒤 다시 실행하세요")),
    "deploy-running": Case(FAIL, Text("a deploy is at work (PID {pid})", "배포가 진행 중임(PID {pid})"),
                           Text("run this again when it has ended", "끝난 뒤 다시 실행하세요")),
}
_WAITING = Text("waiting for another job to end: {holder}", "다른 작업이 끝나기를 기다리는 중: {holder}")


@contextlib.contextmanager
def hold(description: Mapping[str, Any], job: str, target: str, tell: Callable[[Text], None],
         patience: float = PATIENCE) -> Iterator[None]:
    """The right to do a job (``backup``, ``rehearsal``, ``restore``) with a target, for the length of the block.

    The same job with the same target gives up at once, with a warning; any other waits, and says so through ``tell``.
    """
    directory = os.path.join(description["state_directory"], "backup")
    files.make_directory(directory, 0o700)
    holder = "%s %s, PID %d" % (job, target, os.getpid())
    with _open(directory, "%s-%s.lock" % (job, target)) as same, _open(directory, "jobs.lock") as all_jobs:
        if not _taken(same, holder):
            hours = int((time.time() - os.fstat(same.fileno()).st_mtime) // 3600)
            raise BackupError("hangs" if hours >= HANGING_HOURS else "already-running", holder=_holder(same),
                              hours=hours, log_directory=description["log_directory"])
        deadline = time.monotonic() + patience
        told = False
        while not _taken(all_jobs, holder):
            if not told:
                tell(_WAITING.fill(holder=_holder(all_jobs)))
                told = True
            if time.monotonic() >= deadline:
                raise BackupError("others-too-long", holder=_holder(all_jobs), minutes=int(patience // 60))
            time.sleep(_PAUSE)
        yield


def _open(directory: str, name: str) -> IO[str]:
    return open(os.open(os.path.join(directory, name), os.O_RDWR | os.O_CREAT, 0o600), "r+", encoding="utf-8")


def _taken(stream: IO[str], holder: str) -> bool:
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    stream.seek(0)
    stream.truncate()
    stream.write(holder)
    stream.flush()
    return True


def _holder(stream: IO[str]) -> str:
    stream.seek(0)
    return stream.read().strip() or "?"


@contextlib.contextmanager
def no_deploy(description: Mapping[str, Any]) -> Iterator[None]:
    """Keeps deploys from starting, for the length of the block, what a restore has stopped."""
    directory = os.path.join(description["state_directory"], "deploy")
    files.make_directory(directory, 0o700)
    with _open(directory, "lock") as deploy:
        if not _taken(deploy, str(os.getpid())):
            raise BackupError("deploy-running", pid=_holder(deploy))
        yield
