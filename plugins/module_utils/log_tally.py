# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""What a service's log holds, counted block by block in constant memory.

A block is searched for a few byte strings; only the lines that have one are decoded. The moment is read of one line
in 64 KiB, and of more only where a pause may hide between two of them.
"""

from __future__ import annotations

import json
import re
from collections import deque
from typing import Callable, Deque, Dict, List, NamedTuple, Optional, Sequence, Tuple

from .findings import FAIL
from .log_files import CARRY, time_of
from .log_patterns import LogPattern
from .log_search import finder

# An entry as Docker writes it: before and after a text that has nothing to escape.
_HEAD, _TAIL = b'{"log":"', b'\\n","stream":"'
# From this many of one kind on, only the last of each block is looked at.
ENOUGH = 1000
# Docker cuts a line that is longer than this into several entries.
_CUT = 16384
_SAMPLE = 65536
_MINUTE = 60.0
_LONGEST = 400
_CHAINED = ("During handling of the above exception", "The above exception was the direct cause", "Traceback (most ")
# What follows the error that ends a traceback and still belongs to it: [SQL: ...], (Background on this error ...
_BELONGS = re.compile(r"[\s\[(]|\Z")


class Entry(NamedTuple):
    """One line of the log, of one or several of Docker's entries."""

    start: int
    stop: int
    text: str
    # Whether its end is there.
    whole: bool


class Event(NamedTuple):
    """Something that happened: one line, or a traceback of many. ``around`` is the place in the text that tells."""

    pattern: LogPattern
    stop: int
    time: float
    text: str
    around: int


class Found:
    """All events of one kind."""

    def __init__(self, event: Event) -> None:
        self.pattern = event.pattern
        self.count = 0
        self.first = event.time
        self.last = event

    def add(self, event: Event) -> None:
        self.count += 1
        self.last = event


class Tally:
    """Fed with the blocks of a log in their order, by ``scan``.

    What was written before ``since`` is left out. A pause is one that is longer than ``pause``, begun when the service
    was ``running`` already. What is ``excused`` is only counted.
    """

    def __init__(self, patterns: Sequence[LogPattern], since: float, pause: float = float("inf"), running: float = 0,
                 excused: Callable[[LogPattern, float], bool] = lambda pattern, time: False) -> None:
        self.found: Dict[str, Found] = {}
        self.excused = 0
        self.size = 0
        self.first: Optional[float] = None
        self.last: Optional[float] = None
        # The longest pause, begin and end, and the most bytes that were written within a minute, and its end.
        self.longest: Tuple[float, float] = (since, since)
        self.most: Tuple[int, float] = (0, since)
        self._patterns = patterns
        self._probes: Dict[bytes, List[LogPattern]] = {}
        for pattern in patterns:
            self._probes.setdefault(pattern.probe, []).append(pattern)
        self._since, self._pause, self._running, self._is_excused = since, pause, running, excused
        self._time = since
        self._minute: Deque[Tuple[float, int]] = deque()
        # Places in all that was fed: where the block begins, and where what was judged ends.
        self._base = self._covered = 0
        # The last event, to which a traceback in the next line belongs.
        self._open: Optional[Event] = None
        self._final = False

    def scan(self, buffer: bytearray, end: int, final: bool) -> int:
        """Counts what stands in a block, and says up to where: the rest has to come again with what follows."""
        self._final = final
        stop = buffer.rfind(b"\n", 0, end) + 1
        done = self._search(buffer, stop)
        self._clock(buffer, done)
        self._base += done
        self.size = self._base
        if final:
            self._close()
        return done

    # What it means ---------------------------------------------------------------------------------------------------

    def _search(self, buffer: bytearray, stop: int) -> int:
        for start in self._candidates(buffer, stop):
            if self._base + start < self._covered:
                continue
            entry = self._entry(buffer, start, stop)
            waits = not self._final and stop - start < CARRY // 2
            if waits and not entry.whole or not self._judge(buffer, entry, stop, waits):
                # It goes on in the next block.
                return start
        return stop

    def _candidates(self, buffer: bytearray, stop: int) -> List[int]:
        """Where lines begin that have one of the byte strings, in their order."""
        starts = set()
        find = finder(buffer)
        for text, patterns in self._probes.items():
            if all(each.name in self.found and self.found[each.name].count >= ENOUGH for each in patterns):
                at = buffer.rfind(text, 0, stop)
                if at >= 0:
                    starts.add(_line(buffer, at))
                continue
            raw = patterns[0].raw if len(patterns) == 1 else None
            if raw is not None and raw.pattern.startswith(text):
                # Most lines with this text may be harmless, such as failed_feeds=0.
                starts.update(_line(buffer, match.start()) for match in raw.finditer(buffer, 0, stop))
                continue
            at = find(text, 0, stop)
            while at >= 0:
                start, end = _line(buffer, at), buffer.find(b"\n", at, stop)
                if any(each.may_fit(buffer, start, end) for each in patterns):
                    starts.add(start)
                at = find(text, end + 1, stop)
        return sorted(starts | self._cuts(buffer, stop))

    def _cuts(self, buffer: bytearray, stop: int) -> set:
        """Where lines begin that Docker cut: what is looked for may be cut in two."""
        starts = set()
        at = 0
        while stop - at > _CUT:
            newline = buffer.rfind(b"\n", at, at + _CUT)
            if newline < 0:
                starts.add(at)
                newline = buffer.find(b"\n", at, stop)
            at = newline + 1
        return starts

    def _entry(self, buffer: bytearray, start: int, stop: int) -> Entry:
        """The line that begins here, with all of Docker's entries that it was cut into."""
        parts: List[str] = []
        at, whole = start, False
        while at < stop and at - start < CARRY // 2 and not whole:
            newline = buffer.find(b"\n", at, stop)
            parts.append(text_of(bytes(buffer[at:newline])))
            # What Docker cut is as long as its buffer; what is shorter has lost its end, or its writer was stopped.
            whole = parts[-1].endswith("\n") or len(parts[-1].encode("utf-8", "surrogatepass")) < _CUT
            at = newline + 1
        return Entry(start, at, "".join(parts).rstrip("\n"), whole)

    def _judge(self, buffer: bytearray, entry: Entry, stop: int, waits: bool) -> bool:
        """Counts a line; False where it goes on in what is not there yet, and may be waited for."""
        event = self._event(buffer, entry)
        if event is None:
            self._covered = self._base + entry.stop
            return True
        if event.pattern.traceback:
            event, ended = self._extend(buffer, event, entry, stop)
            if waits and not ended:
                return False
        self._covered = event.stop
        if event.time >= self._since:
            self._count(event, self._base + entry.start)
        return True

    def _count(self, event: Event, start: int) -> None:
        if self._is_excused(event.pattern, event.time):
            self.excused += 1
        elif self._open is not None and event.pattern.traceback and self._open.stop == start:
            # The line above is the traceback's own.
            kept = self._open if self._open.pattern.status == FAIL else event
            self._open = kept._replace(stop=event.stop)
        else:
            self._close()
            self._open = event

    def _event(self, buffer: bytearray, entry: Entry) -> Optional[Event]:
        for pattern in self._patterns:
            at = pattern.fits(entry.text)
            if at >= 0:
                time = time_of(buffer, entry.start, entry.stop)
                # What a crash of the host left half was written about when the line before was.
                time = self._time if time is None else time
                return Event(pattern, self._base + entry.stop, time, entry.text, at)
        return None

    def _extend(self, buffer: bytearray, event: Event, entry: Entry, stop: int) -> Tuple[Event, bool]:
        """A traceback to its end, shown by the error that ends it; and whether its end is there."""
        at, told = entry.stop, False
        for _number in range(_LONGEST):
            if at >= stop:
                return event._replace(stop=self._base + at), False
            line = self._entry(buffer, at, stop)
            chained = line.text.startswith(_CHAINED)
            if told and not chained and not _BELONGS.match(line.text):
                break
            if chained:
                told = False
            elif not told and line.text.strip() and not line.text[0].isspace():
                told = True
                event = self._named(event, line.text)
            at = line.stop
        return event._replace(stop=self._base + at), True

    def _named(self, event: Event, text: str) -> Event:
        """The event as the error says that ends a traceback, which may be of a kind that tells more."""
        for pattern in self._patterns:
            at = pattern.fits(text)
            if pattern.name == event.pattern.name:
                break
            if at >= 0 and pattern.status == FAIL:
                return event._replace(pattern=pattern._replace(traceback=True), text=text, around=at)
        return event._replace(text=text, around=0)

    def _close(self) -> None:
        if self._open is not None:
            name = self._open.pattern.name
            self.found.setdefault(name, Found(self._open)).add(self._open)
            self._open = None

    # When it was written ---------------------------------------------------------------------------------------------

    def _clock(self, buffer: bytearray, stop: int) -> None:
        """Reads the moments of some lines, the first and the last among them."""
        at, previous = 0, -1
        while at < stop:
            following = buffer.find(b"\n", at, stop) + 1
            time = time_of(buffer, at, following)
            if time is not None and time >= self._since:
                self._rate(time, self._base + at)
                self._pauses(buffer, previous, at, time)
                self.first = time if self.first is None else self.first
                self.last = self._time = time
                previous = at
            at = following if following == stop else max(following, _line(buffer, min(at + _SAMPLE, stop - 1)))

    def _rate(self, time: float, offset: int) -> None:
        """The most bytes that were written within a minute: not more than is told, as only some lines are looked at."""
        if self._minute and time < self._minute[-1][0]:
            self._minute.clear()
        self._minute.append((time, offset))
        while time - self._minute[0][0] > _MINUTE:
            self._minute.popleft()
        written = offset - self._minute[0][1]
        if written > self.most[0]:
            self.most = (written, time)

    def _pauses(self, buffer: bytearray, previous: int, at: int, time: float) -> None:
        """Looks for a pause that is too long, and longer than the one known, between two lines and their moments."""
        waiting = [(previous, max(self._time, self._running), at, time)]
        while waiting:
            left, before, right, after = waiting.pop()
            if after - before <= max(self._pause, self.longest[1] - self.longest[0]):
                continue
            middle = right if left < 0 else _line(buffer, (left + right) // 2)
            if middle <= left:
                middle = buffer.find(b"\n", left, right) + 1
            if middle >= right:
                self.longest = (before, after)
                continue
            moment = time_of(buffer, middle, buffer.find(b"\n", middle))
            between = before if moment is None else max(moment, self._running)
            waiting += [(left, before, middle, between), (middle, between, right, after)]


def text_of(raw: bytes) -> str:
    """What was logged, with its line break if that was in it. Half an entry, as a crash of the host leaves it, is a
    line as it is."""
    if raw.startswith(_HEAD):
        # Most lines have nothing escaped but their end.
        stop = raw.find(b"\\")
        if raw.startswith(_TAIL, stop):
            return raw[len(_HEAD):stop].decode("utf-8", "replace") + "\n"
    try:
        text = json.loads(raw)["log"]
    except (ValueError, KeyError, TypeError, RecursionError):
        text = None
    return text if isinstance(text, str) else raw.decode("utf-8", "replace") + "\n"


def _line(buffer: bytearray, at: int) -> int:
    """Where the line begins that this place is in."""
    return buffer.rfind(b"\n", 0, at) + 1
