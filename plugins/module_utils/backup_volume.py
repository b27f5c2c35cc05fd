# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Files in a service's volume replaced by a backup's, around a stop and a start of its container.

Everything happens by renames inside the volume, in an order that can be cut anywhere and begun again:

1. `.restoring/`                     the new files are copied to here while the service still runs
2. `.before-restore-STAMP.partial/`  the service is stopped, and what is to go is moved to here
3. `.before-restore-STAMP/`          that took its name: it is whole, and nothing of this run is in place yet
4.                                   the new files are moved into their places, and the service is started

A run that finds step 2 half done goes on with it. One that finds step 4 half done sets that half aside like anything
else. So nothing is ever deleted, and the oldest directory holds what was there before the first run.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import time
from typing import Callable, Iterable, List

from . import backup_store, files, health
from .backup_errors import BackupError
from .backup_job import Job
from .container import Container
from .engine import Engine, EngineError
from .findings import FAIL, Case, Text

INCOMING, ASIDE, PARTIAL = ".restoring", ".before-restore-", ".partial"

# Longer than any grace period of the stack; the Engine answers when the container has stopped.
STOP_SECONDS = 180.0
# A new version of a program may migrate its data first.
HEALTHY_SECONDS = 300.0
POLL_SECONDS = 0.5

CASES = {
    "not-placed": Case(FAIL, Text("the volume {volume} cannot take the backup's files: {said}",
                                  "볼륨 {volume}에 백업 파일을 넣을 수 없음: {said}"),
                       Text("make room or mend the disk (df -h {directory}), then run the same restore again; what was "
                            "there before is in the volume, or in {directory}/.before-restore-*",
                            "공간을 확보하거나 디스크를 점검한 뒤(df -h {directory}) 같은 복구를 다시 실행하세요. "
                            "이전 데이터는 볼륨 또는 {directory}/.before-restore-*에 그대로 있습니다")),
    "not-switched": Case(FAIL, Text("{container} could not be stopped or started: {said}",
                                    "{container} 정지/시작 실패: {said}"),
                         Text("mend what it says, then run the same restore again",
                              "메시지의 원인을 해결한 뒤 같은 복구를 다시 실행하세요")),
    "not-healthy": Case(FAIL, Text("{container} does not become healthy with the restored data: {condition}",
                                   "복구한 데이터로 {container}이(가) 정상 상태가 되지 않음: {condition}"),
                        Text("see why: docker logs --tail 100 {container}; what was there before is in "
                             "{directory}/.before-restore-*",
                             "원인 확인: docker logs --tail 100 {container}. "
                             "이전 데이터 위치: {directory}/.before-restore-*")),
}


def is_ours(name: str) -> bool:
    """Whether a name at the top of a volume is one of this module's own directories."""
    return name == INCOMING or name.startswith(ASIDE)


def replace(job: Job, staged: str, names: Iterable[str], note: Callable[[str], None]) -> None:
    """Gives the service's volume the files of a directory, and starts the service with them.

    ``staged`` lies anywhere; its files get the owner that the volume has, and keep their modes. ``names`` are the names
    at the top of the volume that go, whether or not the backup has such a one; a name that ``staged`` has goes in any
    case. Ends when the service is healthy.
    """
    container = job.container(running=False)
    volume = container.directory
    try:
        _bring(staged, volume)
        note("stopping %s" % container.name)
        stop(job, container)
        note(_set_aside(volume, sorted(set(names) | set(os.listdir(staged)))))
        _place(volume)
    except OSError as problem:
        raise BackupError("not-placed", volume=container.volume, directory=volume, said=problem) from problem
    note("starting %s" % container.name)
    start(job, container)


def copy_live(source: str, target: str) -> None:
    """Copies a file or a tree that is in use, with its owners and modes.

    What goes meanwhile is gone, and links are left out: `unpack` would refuse them, and what they lead to is copied.
    """
    try:
        status = os.lstat(source)
        if stat.S_ISDIR(status.st_mode):
            os.mkdir(target)
            for name in os.listdir(source):
                copy_live(os.path.join(source, name), os.path.join(target, name))
        elif stat.S_ISREG(status.st_mode):
            shutil.copyfile(source, target, follow_symlinks=False)
        else:
            return
        own_like(source, target)
    except FileNotFoundError:
        if not os.path.lexists(source):
            return
        raise


def remove(path: str) -> None:
    """Removes a file or a tree."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def size(path: str) -> int:
    """Bytes of the files in a tree that is in use."""
    total = 0
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(path) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                total += size(entry.path) if entry.is_dir(follow_symlinks=False) else entry.stat(
                    follow_symlinks=False).st_size
    return total


def own_like(source: str, target: str) -> None:
    """Gives a file or directory the owner, mode and times of another."""
    owner = os.stat(source)
    os.chown(target, owner.st_uid, owner.st_gid)
    shutil.copystat(source, target)


def stop(job: Job, container: Container) -> None:
    """Stops a container with the grace period it was made with. One that does not run is stopped already."""
    _switch(job, container, "stop")


def start(job: Job, container: Container) -> None:
    """Starts a container and waits until it is healthy."""
    _switch(job, container, "start")
    deadline = time.monotonic() + HEALTHY_SECONDS
    while True:
        now = _condition(job, container)
        state = health.progress(now, None, up_finished=True)
        if state == health.HEALTHY:
            return
        if state == health.FAILED or time.monotonic() > deadline:
            raise BackupError("not-healthy", container=container.name, condition=now,
                              directory=container.directory)
        time.sleep(POLL_SECONDS)


def _bring(staged: str, volume: str) -> None:
    """Copies the new files into the volume: onto the disk, with the volume's owner, seen by root alone."""
    incoming = os.path.join(volume, INCOMING)
    if os.path.lexists(incoming):
        shutil.rmtree(incoming)
    os.mkdir(incoming, 0o700)
    owner = os.stat(volume)
    for parent, directories, names in os.walk(staged):
        target = os.path.normpath(os.path.join(incoming, os.path.relpath(parent, staged)))
        for name in directories:
            os.mkdir(os.path.join(target, name))
        for name in names:
            _copy(os.path.join(parent, name), os.path.join(target, name))
        for name in directories + names:
            path = os.path.join(target, name)
            os.chown(path, owner.st_uid, owner.st_gid)
            shutil.copystat(os.path.join(parent, name), path)
        files.sync_directory(target)


def _copy(source: str, target: str) -> None:
    with open(source, "rb") as reader, open(target, "xb") as writer:
        shutil.copyfileobj(reader, writer, 1 << 20)
        writer.flush()
        os.fsync(writer.fileno())


def _set_aside(volume: str, names: List[str]) -> str:
    """Moves what is to go out of the way, and tells what was done."""
    there = [name for name in names if os.path.lexists(os.path.join(volume, name))]
    partial = _unfinished(volume)
    if partial and set(there) & set(os.listdir(partial)):
        # The service has been started since that run was cut off, and made new files where the old ones had been.
        os.rename(partial, partial[:-len(PARTIAL)])
        partial = ""
    if not there and not partial:
        return "nothing is there that would have to be set aside"
    if not partial:
        partial = os.path.join(volume, ASIDE + _stamp(volume) + PARTIAL)
        os.mkdir(partial, 0o700)
    for name in there:
        os.rename(os.path.join(volume, name), os.path.join(partial, name))
    files.sync_directory(partial)
    files.sync_directory(volume)
    aside = partial[:-len(PARTIAL)]
    os.rename(partial, aside)
    files.sync_directory(volume)
    return "set aside in %s: %s" % (aside, ", ".join(sorted(os.listdir(aside))))


def _unfinished(volume: str) -> str:
    found = [name for name in os.listdir(volume) if name.startswith(ASIDE) and name.endswith(PARTIAL)]
    return os.path.join(volume, found[0]) if found else ""


def _stamp(volume: str) -> str:
    """Of now, and of no directory that is there: two runs within a second are two."""
    moment = time.time()
    while True:
        stamp = time.strftime(backup_store.STAMP, time.gmtime(moment))
        if not os.path.lexists(os.path.join(volume, ASIDE + stamp)):
            return stamp
        moment += 1


def _place(volume: str) -> None:
    incoming = os.path.join(volume, INCOMING)
    for name in sorted(os.listdir(incoming)):
        os.rename(os.path.join(incoming, name), os.path.join(volume, name))
    os.rmdir(incoming)
    files.sync_directory(volume)


def _switch(job: Job, container: Container, verb: str) -> None:
    try:
        Engine(job.engine.path, STOP_SECONDS).request("POST", "/containers/%s/%s" % (container.id, verb))
    except EngineError as problem:
        raise BackupError("not-switched", container=container.name, said=problem) from problem


def _condition(job: Job, container: Container) -> health.Condition:
    try:
        return health.condition(job.engine.get("/containers/%s/json" % container.id))
    except EngineError as problem:
        raise BackupError("not-switched", container=container.name, said=problem) from problem
