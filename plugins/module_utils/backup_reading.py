# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Reads every backup file, once, in threads, in a constant amount of memory. What it means is for backup_checksum."""

from __future__ import annotations

import os
import re
import shlex
import stat
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor, wait
from hashlib import sha256
from typing import (
    Any,
    Callable,
    Container,
    Deque,
    Dict,
    Iterable,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Set,
    Tuple,
)

from . import backup_store, files
from .backup_errors import BackupError

FILE, DIRECTORY, SYMLINK, SPECIAL = "file", "directory", "symlink", "special"

_BLOCK = 1 << 20
_SIDECAR_LIMIT, _MANIFEST_LIMIT = 1 << 16, 1 << 24
_MOST_THREADS = 8
_PROGRESS_SECONDS = 0.1
_TARGET = re.compile(r"[a-z0-9-]+\Z")

Progress = Callable[[int, int, str], None]


class Seen(NamedTuple):
    """One name in a directory of backups, and what was read of it."""

    name: str
    form: str
    mode: int
    size: int
    mtime: float
    inode: Tuple[int, int]
    # Whether it was asked for; of the others only names, sizes, sidecars and manifests are looked at.
    checked: bool = True
    sha256: str = ""
    text: str = ""
    manifest: Optional[Dict[str, Any]] = None
    error: str = ""


class Directory(NamedTuple):
    """A directory of a target: of one kind, or with "" for the kind the target's own."""

    target: str
    kind: str
    form: str = DIRECTORY
    # Whether others than the owner get as far as this.
    passable: bool = False
    seen: Sequence[Seen] = ()
    error: str = ""


class World(NamedTuple):
    """All that was read. ``read_bytes`` and ``read_files`` count what was compared by its bytes, each file once."""

    root: str
    stack: str
    now: float
    directories: Sequence[Directory]
    read_files: int = 0
    read_bytes: int = 0
    seconds: float = 0.0
    error: str = ""


def gather(root: str, stack: str, targets: Optional[Iterable[str]] = None, name: str = "",
           progress: Optional[Progress] = None, now: Optional[float] = None, expected: Iterable[str] = (),
           contents: bool = True) -> World:
    """Reads every backup file below a root, of some targets only, or of one file's or backup's name only.

    ``expected`` are targets that may have no directory yet: that is no mistake, and `judge` says that it is so.
    ``progress`` is called with the bytes read, the bytes to read and a file being read, at most ten times a second
    and at the end. Without ``contents`` no data file is read: its bytes pass for those that its manifest names.
    Raises BackupError, before anything is read, when there is no such root, target or name.
    """
    started = time.monotonic()
    now = time.time() if now is None else now
    if name and (os.path.basename(name) != name or name in (".", "..") or "\0" in name):
        raise BackupError("bad-name", name=shown(name))
    if not os.path.isdir(root):
        raise BackupError("no-root", path=shown(root))
    try:
        found = _targets(root)
    except OSError as problem:
        return World(root, stack, now, (), error=str(problem.strerror))
    directories = [directory for target in _chosen(found, targets, set(expected), root)
                   for directory in _directories(root, target, found.get(target), name)]
    if name and not any(seen.checked for directory in directories for seen in directory.seen):
        raise BackupError("unknown-name", name=shown(name), path=shlex.quote(shown(root)))
    jobs = _jobs(root, directories, contents)
    read = _Reading(jobs).run(progress)
    sizes = [answer.size for job, answer in zip(jobs, read) if job.limit is None and not answer.error]
    answers = {job.inode: answer for job, answer in zip(jobs, read)}
    directories = [directory._replace(seen=[_with_answer(seen, answers.get(seen.inode)) for seen in directory.seen])
                   for directory in directories]
    if not contents:
        directories = [directory._replace(seen=_as_recorded(directory.seen)) for directory in directories]
    return World(root, stack, now, directories, len(sizes), sum(sizes), time.monotonic() - started)


def _targets(root: str) -> Dict[str, str]:
    """What may be a target below a root, by name, and the form of it."""
    found = {}
    with os.scandir(root) as entries:
        for entry in entries:
            if not _TARGET.match(entry.name):
                continue
            if entry.is_symlink():
                if not os.path.isfile(entry.path):
                    found[entry.name] = SYMLINK
            elif entry.is_dir():
                try:
                    if set(backup_store.KINDS).isdisjoint(os.listdir(entry.path)):
                        continue
                except OSError:
                    pass  # that it cannot be read is found again, and said, where it is looked into
                found[entry.name] = DIRECTORY
    return found


def _chosen(found: Mapping[str, str], targets: Optional[Iterable[str]], expected: Set[str], root: str) -> List[str]:
    known = sorted(expected.union(found))
    if not known:
        raise BackupError("not-a-root", path=shown(root))
    wanted = known if targets is None else list(dict.fromkeys(targets))
    for target in wanted:
        if target not in known:
            raise BackupError("unknown-target" if _TARGET.match(target) else "bad-target", name=shown(target),
                              known=", ".join(known))
    return wanted


def _directories(root: str, target: str, form: Optional[str], name: str) -> List[Directory]:
    """The target's own directory, holding what is none of the kinds, and those of the kinds."""
    if form != DIRECTORY:
        return [Directory(target, "", form or DIRECTORY)]
    top = os.path.join(root, target)
    try:
        passable = _passable(root) and _passable(top)
        inside = _scan(top, name)
    except OSError as problem:
        return [Directory(target, "", error=str(problem.strerror))]
    kinds = {seen.name: seen.form for seen in inside
             if seen.name in backup_store.KINDS and seen.form in (DIRECTORY, SYMLINK)}
    directories = [Directory(target, "", passable=passable, seen=[seen for seen in inside if seen.name not in kinds])]
    for kind in backup_store.KINDS:
        if kinds.get(kind) == SYMLINK:
            directories.append(Directory(target, kind, SYMLINK))
        elif kind in kinds:
            path = os.path.join(top, kind)
            try:
                directories.append(Directory(target, kind, DIRECTORY, passable and _passable(path), _scan(path, name)))
            except OSError as problem:
                directories.append(Directory(target, kind, error=str(problem.strerror)))
    return directories


def _passable(path: str) -> bool:
    return bool(os.stat(path).st_mode & 0o011)


def _scan(path: str, name: str) -> List[Seen]:
    found = []
    with os.scandir(path) as entries:
        for entry in entries:
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue  # removed since: no longer one of them
            found.append(Seen(entry.name, _form(status.st_mode), stat.S_IMODE(status.st_mode), status.st_size,
                              status.st_mtime, (status.st_dev, status.st_ino), not name or _is_of(entry.name, name)))
    found.sort()
    return found


def _form(mode: int) -> str:
    if stat.S_ISREG(mode):
        return FILE
    return DIRECTORY if stat.S_ISDIR(mode) else SYMLINK if stat.S_ISLNK(mode) else SPECIAL


def _is_of(filename: str, name: str) -> bool:
    """Whether a file is the named one, its sidecar, or one of the named backup's."""
    if filename in (name, name + backup_store.SIDECAR):
        return True
    parsed = backup_store.parse(filename)
    return parsed is not None and parsed.backup == name


class _Job(NamedTuple):
    """A file to read: its digest, or with a limit its text."""

    path: str
    size: int
    inode: Tuple[int, int]
    limit: Optional[int]


class _Answer(NamedTuple):
    size: int = 0
    sha256: str = ""
    text: str = ""
    manifest: Optional[Dict[str, Any]] = None
    error: str = ""


def _jobs(root: str, directories: Sequence[Directory], contents: bool) -> List[_Job]:
    """What to read, each file once; the largest first, so that no thread is left alone with one at the end."""
    jobs: Dict[Tuple[int, int], _Job] = {}
    for directory in directories:
        if not directory.kind:
            continue
        where = backup_store.directory(root, directory.target, directory.kind)
        names = {seen.name for seen in directory.seen}
        for seen in directory.seen:
            if seen.form != FILE:
                continue
            path = os.path.join(where, seen.name)
            if seen.name.endswith(backup_store.SIDECAR):
                jobs[seen.inode] = _Job(path, seen.size, seen.inode, _SIDECAR_LIMIT)
            elif is_manifest(seen.name):
                jobs[seen.inode] = _Job(path, seen.size, seen.inode, _MANIFEST_LIMIT)
            elif contents and seen.checked and is_data(seen.name, names):
                jobs[seen.inode] = _Job(path, seen.size, seen.inode, None)
    return sorted(jobs.values(), key=lambda job: -job.size)


def is_temporary(filename: str) -> bool:
    return filename.startswith(".") and filename.endswith((backup_store.PARTIAL, files.SUFFIX))


def is_manifest(filename: str) -> bool:
    parsed = backup_store.parse(filename) if filename.endswith(backup_store.MANIFEST) else None
    return parsed is not None and parsed.own and parsed.suffix == backup_store.MANIFEST


def is_data(filename: str, names: Container[str]) -> bool:
    """By its name; or by a sidecar, whatever the name is."""
    if is_temporary(filename) or filename.endswith(backup_store.SIDECAR) or is_manifest(filename):
        return False
    parsed = backup_store.parse(filename)
    return parsed is not None and parsed.is_data or filename + backup_store.SIDECAR in names


class _Reading:
    """Reads many files in threads: hashing and reading leave the interpreter to the others."""

    def __init__(self, jobs: Sequence[_Job]):
        self._jobs = jobs
        self._left: Deque[int] = deque(range(len(jobs)))
        self._answers = [_Answer()] * len(jobs)
        # One more than processors: while one waits for the disk, the others count.
        self._threads = min(len(os.sched_getaffinity(0)) + 1, _MOST_THREADS, max(1, len(jobs)))
        self._done = [0] * self._threads
        self._current = ""
        self._stopped = False

    def run(self, progress: Optional[Progress]) -> List[_Answer]:
        total = sum(job.size for job in self._jobs)
        with ThreadPoolExecutor(self._threads) as pool:
            workers = [pool.submit(self._work, number) for number in range(self._threads)]
            try:
                while wait(workers, _PROGRESS_SECONDS).not_done:
                    if progress:
                        progress(min(sum(self._done), total), total, self._current)
            finally:
                self._stopped = True
                self._left.clear()
        for worker in workers:
            worker.result()
        if progress:
            progress(total, total, self._current)
        return self._answers

    def _work(self, number: int) -> None:
        buffer = bytearray(_BLOCK)
        while True:
            try:
                index = self._left.popleft()
            except IndexError:
                return
            job = self._jobs[index]
            self._current = job.path
            try:
                self._answers[index] = (self._digest(job, buffer, number) if job.limit is None
                                        else self._text(job, job.limit))
            except OSError as problem:
                self._answers[index] = _Answer(job.size, error=str(problem.strerror))

    def _digest(self, job: _Job, buffer: bytearray, number: int) -> _Answer:
        digest = sha256()
        size = 0
        view = memoryview(buffer)
        descriptor = _open(job.path)
        try:
            if job.size > _BLOCK:
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)
            # The pages are not given back with POSIX_FADV_DONTNEED: the copy off-site reads them next, and what is
            # read but once is the first that the kernel lets go by itself.
            while not self._stopped:
                count = os.readv(descriptor, [buffer])
                digest.update(view[:count])
                size += count
                self._done[number] += count
                if not count or (count < _BLOCK and size >= job.size):
                    break
        finally:
            os.close(descriptor)
        return _Answer(size, digest.hexdigest())

    @staticmethod
    def _text(job: _Job, limit: int) -> _Answer:
        descriptor = _open(job.path)
        try:
            data = os.read(descriptor, min(limit, job.size + 1))
        finally:
            os.close(descriptor)
        manifest = backup_store.read_manifest(job.path) if is_manifest(os.path.basename(job.path)) else None
        return _Answer(job.size, text=os.fsdecode(data), manifest=manifest)


def _open(path: str) -> int:
    """Nothing else is followed or waited for, should it have taken the file's place since."""
    return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)


def _with_answer(seen: Seen, answer: Optional[_Answer]) -> Seen:
    if answer is None:
        return seen
    return seen._replace(size=answer.size, sha256=answer.sha256, text=answer.text, manifest=answer.manifest,
                         error=answer.error)


def _as_recorded(found: Sequence[Seen]) -> List[Seen]:
    """Files whose bytes were not read, with the SHA-256 that their manifests give for that name and size."""
    said = {(file["name"], file["size"]): file["sha256"].lower()
            for seen in found if seen.manifest for file in seen.manifest["files"]}
    return [seen if seen.sha256 else seen._replace(sha256=said.get((seen.name, seen.size), "")) for seen in found]


def parse_partial(filename: str) -> Optional[backup_store.FileName]:
    if not (filename.startswith(".") and filename.endswith(backup_store.PARTIAL)):
        return None
    return backup_store.parse(filename[1:-len(backup_store.PARTIAL)])


def shown(text: str) -> str:
    """A name in one line: what cannot be printed (or is no text at all) as its escape."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)
