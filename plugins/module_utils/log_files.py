# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""A container's log as Docker's json-file driver keeps it: one JSON object a line, and what was rotated beside it.

Files are opened newest first, so that one that is rotated meanwhile is met again and not missed. Where the window
begins is found by looking at some places; of a file of any size only blocks are in memory.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import shutil
import stat
import tempfile
import zlib
from typing import IO, Any, Callable, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Union

from .moments import moment

# A block stays in a processor's cache while it is searched several times.
BLOCK = 1 << 20
# The longest that is kept of a block until the next is there. Docker cuts entries at 16 KiB, six times that escaped.
CARRY = 1 << 18
_LOOK = 1 << 17
# What is read at a place to know its moment; how far apart places are, and the most of them.
_GLANCE, _STEP, _PLACES = 1 << 13, 1 << 16, 1 << 12
_TIME = b'"time":"'

Buffer = Union[bytes, bytearray]


class LogError(Exception):
    """A log that cannot be read; the text says why."""


class LogFile(NamedTuple):
    """One open file; ``compressed`` is one that Docker packed when it rotated it."""

    stream: IO[bytes]
    size: int
    modified: float
    compressed: bool


@contextlib.contextmanager
def opened(path: str) -> Iterator[List[LogFile]]:
    """The log and what was rotated of it, oldest first."""
    with contextlib.ExitStack() as stack:
        found: List[LogFile] = []
        seen = set()
        for name in _names(path):
            try:
                descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            except FileNotFoundError:
                if name == path:
                    raise
                continue
            stream = stack.enter_context(open(descriptor, "rb", buffering=0))
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise LogError("%s is no plain file" % name)
            if status.st_ino not in seen:
                seen.add(status.st_ino)
                found.insert(0, LogFile(stream, status.st_size, status.st_mtime, name.endswith(".gz")))
        yield found


def path_of(container: Mapping[str, Any]) -> Optional[str]:
    """Where a container's log is, as the Engine shows it; None where it is in no file that can be read."""
    path = container.get("LogPath") or ""
    driver = ((container.get("HostConfig") or {}).get("LogConfig") or {}).get("Type")
    return path if driver == "json-file" and path and os.access(os.path.dirname(path), os.R_OK | os.X_OK) else None


def _names(path: str) -> List[str]:
    """The log itself, then what was rotated, newest first."""
    directory, base = os.path.split(path)
    numbers = []
    for name in os.listdir(directory):
        number = name[len(base) + 1:].partition(".")[0]
        if name in (base + "." + number, base + "." + number + ".gz") and number.isdigit():
            numbers.append((int(number), os.path.join(directory, name)))
    return [path] + [name for _number, name in sorted(numbers)]


def content(file: LogFile, since: float) -> Any:
    """The file from where the window begins; what is packed is read from its beginning."""
    if file.compressed:
        return io.BufferedReader(gzip.GzipFile(fileobj=file.stream))
    file.stream.seek(begin(file, since))
    return file.stream


class _Entry(NamedTuple):
    """Where an entry of a file stands, and its moment."""

    start: int
    stop: int
    time: float


def begin(file: LogFile, since: float) -> int:
    """Where the first entry from ``since`` on stands: the end, where there is none.

    Some places are looked at in their order, not by halving: a clock that was put back would lead past what is new.
    """
    step = max(_STEP, file.size // _PLACES)
    before = _Entry(0, 0, 0.0)
    for place in range(0, file.size, step):
        if place < before.start:
            continue
        entry = _first(file, place, file.size, _GLANCE)
        if entry is None:
            break
        if place == 0 and entry.time >= since:
            return 0
        if entry.time >= since or entry.time < before.time:
            found = _scan(file, before.start, entry.stop, since)
            if found < entry.stop:
                return found
        before = entry
    return _scan(file, before.start, file.size, since)


def _scan(file: LogFile, start: int, end: int, since: float) -> int:
    """The same between two places, line by line."""
    while start < end:
        chunk = os.pread(file.stream.fileno(), min(BLOCK, end - start), start)
        stop = chunk.rfind(b"\n") + 1
        at = chunk.find(_TIME, 0, stop)
        while at >= 0:
            time = time_of(chunk, chunk.rfind(b"\n", 0, at) + 1, chunk.find(b"\n", at))
            if time is not None and time >= since:
                return start + chunk.rfind(b"\n", 0, at) + 1
            at = chunk.find(_TIME, chunk.find(b"\n", at), stop)
        if not stop and start + len(chunk) >= end:
            return start
        # What is longer than a block is none of Docker's.
        start += stop or len(chunk)
    return end


def from_end(files: List[LogFile], most: int, enough: Callable[[bytes], bool]) -> None:
    """Hands the lines of a log to ``enough(line)``, the newest first, until it says so, or so many bytes are read."""
    for file in reversed(files):
        if most <= 0:
            return
        with _plain(file) as plain:
            if any(map(enough, _newest_first(plain, most))):
                return
            most -= plain.size


def _newest_first(file: LogFile, most: int) -> Iterator[bytes]:
    end, last = file.size, max(0, file.size - most)
    while end > last:
        start = max(0, end - BLOCK)
        chunk = os.pread(file.stream.fileno(), end - start, start)
        # Half a line comes again with what is before it, unless it is longer than a block.
        cut = chunk.find(b"\n", 0, len(chunk) - 1) + 1 if start else 0
        yield from reversed(chunk[cut:].split(b"\n"))
        end = start + cut


@contextlib.contextmanager
def _plain(file: LogFile) -> Iterator[LogFile]:
    """The same file, where it is packed, as it was before."""
    if not file.compressed:
        yield file
        return
    with tempfile.TemporaryFile() as stream, gzip.GzipFile(fileobj=file.stream) as packed:
        shutil.copyfileobj(packed, stream)
        stream.flush()
        yield LogFile(stream, stream.tell(), file.modified, False)


def _first(file: LogFile, offset: int, end: int, look: int = _LOOK) -> Optional[_Entry]:
    """The first entry with a moment that begins at ``offset`` or later, and before ``end``. What is longer than
    ``look`` is passed over."""
    while True:
        # From one byte before on, to see whether an entry begins just here.
        base = max(0, offset - 1)
        chunk = os.pread(file.stream.fileno(), look, base)
        newline = chunk.find(b"\n") if offset else -1
        start = newline + 1 if newline >= 0 or not offset else len(chunk)
        while base + start < end:
            # What has no moment, such as half an entry, is passed over at once.
            at = chunk.find(_TIME, start)
            stop = chunk.find(b"\n", at) if at >= 0 else -1
            if stop < 0:
                start = max(start, chunk.rfind(b"\n") + 1)
                break
            start = max(start, chunk.rfind(b"\n", start, at) + 1)
            time = time_of(chunk, start, stop)
            if time is not None and base + start < end:
                return _Entry(base + start, base + stop + 1, time)
            start = stop + 1
        if base + start >= end or len(chunk) < look:
            return None
        # What is cut off is read whole; what is longer than all that Docker writes is passed over.
        offset = base + start if base + start > offset else base + len(chunk)


def time_of(buffer: Buffer, start: int, end: int) -> Optional[float]:
    """The moment of the entry between two places, or None where it is none of Docker's."""
    at = buffer.rfind(_TIME, start, end)
    if at < 0:
        return None
    at += len(_TIME)
    quote = buffer.find(b'"', at, min(end, at + 40))
    return moment(buffer[at:quote].decode("ascii", "replace")) if quote > 0 else None


def oldest(files: List[LogFile]) -> Optional[float]:
    """The moment of the first entry that is still there."""
    for file in files:
        if file.compressed:
            try:
                first = gzip.GzipFile(fileobj=file.stream).readline(_LOOK)
            except (OSError, EOFError, zlib.error):
                continue
            finally:
                file.stream.seek(0)
            time = time_of(first, 0, len(first))
        else:
            entry = _first(file, 0, file.size)
            time = entry.time if entry else None
        if time is not None:
            return time
    return None


def newest(files: List[LogFile]) -> Optional[float]:
    """The moment of the last entry that is complete."""
    for file in reversed(files):
        end = file.size
        while end > 0 and not file.compressed:
            start = max(0, end - _LOOK)
            chunk = os.pread(file.stream.fileno(), end - start, start)
            stop = chunk.rfind(_TIME, 0, max(0, chunk.rfind(b"\n")))
            while stop >= 0:
                time = time_of(chunk, stop, chunk.find(b"\n", stop))
                if time is not None:
                    return time
                stop = chunk.rfind(_TIME, 0, stop)
            end = start
    return None


class Chain:
    """Several streams as one."""

    def __init__(self, streams: Iterable[Any]) -> None:
        self._streams = iter(streams)
        self._stream: Any = io.BytesIO()

    def readinto(self, view: memoryview) -> int:
        while self._stream is not None:
            read = self._stream.readinto(view)
            if read:
                return read
            self._stream = next(self._streams, None)
        return 0


def blocks(stream: Any, scan: Callable[[bytearray, int, bool], int]) -> None:
    """Hands all of a stream to ``scan(buffer, end, final)``, which says how far it is done; the rest comes again."""
    buffer = bytearray(BLOCK + CARRY)
    view = memoryview(buffer)
    held, final = 0, False
    while not final:
        try:
            read = stream.readinto(view[held:held + BLOCK])
        except (EOFError, zlib.error) as problem:
            raise LogError("a rotated file is damaged: %s" % problem) from problem
        final = not read
        end = held + read
        done = scan(buffer, end, final)
        if end - done > CARRY:
            # No entry is as long as this.
            done = end
        held = end - done
        view[:held] = bytes(view[done:end])
