# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""What lines of logs mean, as the description says it (`stack_log_patterns`)."""

from __future__ import annotations

import re
from typing import Any, List, Mapping, NamedTuple, Optional, Pattern, Sequence

from .findings import NOTHING, Text

# What Docker escapes. A regular expression without these, and without what refers to the text's ends or excludes
# something, also finds itself in the entry that the text stands in.
_ESCAPED = re.compile(r"""["\\<>&\x00-\x1f\x7f\u2028\u2029]""")
_PLAIN = re.compile(r"[\w =:.,|()\[\]+*/-]*\Z", re.ASCII)


class LogPattern(NamedTuple):
    """One kind of line. A line is of the first kind in the description's order that finds itself in it."""

    name: str
    status: str
    title: Text
    # Stands in every such line as it is.
    find: str
    # The same as bytes of a log file, and a part of it that others have too: a block is searched for that before all
    # else, once for all of them.
    literal: bytes
    probe: bytes
    # Where `find` alone does not tell; `raw` is the same for an entry as it stands in the file, if there is one.
    match: Optional[Pattern[str]] = None
    raw: Optional[Pattern[bytes]] = None
    unless: Optional[Pattern[str]] = None
    # Whether it begins a traceback of Python's: the lines below, with the error that ends them, belong to it.
    traceback: bool = False
    # While one of these services is down or starts, it is their line on the checklist that tells.
    without: Sequence[str] = ()
    fix: Text = NOTHING

    def may_fit(self, buffer: bytearray, start: int, end: int) -> bool:
        """Whether an entry is worth being decoded."""
        if self.literal != self.probe and buffer.find(self.literal, start, end) < 0:
            return False
        return self.raw is None or self.raw.search(buffer, start, end) is not None

    def fits(self, text: str) -> int:
        """Where the line shows what it is, or -1."""
        at = text.find(self.find)
        if at < 0:
            return -1
        if self.match is not None:
            found = self.match.search(text)
            if found is None:
                return -1
            at = found.start()
        return -1 if self.unless is not None and self.unless.search(text) else at


def of_service(description: Mapping[str, Any], service: str) -> List[LogPattern]:
    """The patterns of a service: what is said of it by its name, or of its engine."""
    names = (service, description["services"][service].get("engine"))
    return [_pattern(name, entry) for name, entry in description.get("logs", {}).items()
            if any(each in names for each in entry["in"])]


def _pattern(name: str, entry: Mapping[str, Any]) -> LogPattern:
    find, match, unless = entry["find"], entry.get("match"), entry.get("unless")
    return LogPattern(
        name, entry["status"], Text(**entry["title"]), find, _bytes(find), _bytes(entry.get("probe", find)),
        match=re.compile(match) if match else None,
        raw=re.compile(match.encode("ascii")) if match and _PLAIN.match(match) else None,
        unless=re.compile(unless) if unless else None,
        traceback=bool(entry.get("traceback")), without=tuple(entry.get("without", ())),
        fix=Text(**entry["fix"]) if "fix" in entry else NOTHING)


def _bytes(text: str) -> bytes:
    """The longest part of a text that stands in a log file as it is."""
    return max(_ESCAPED.split(text), key=len).encode("utf-8")
