# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""A container's log by the Engine's API, for what is not in a file that can be read: entries as json-file has them."""

from __future__ import annotations

import json
import time
from typing import Any

from .log_files import LogError

# Seconds that reading one log may take; the Engine decodes and frames every line.
_PATIENCE = 30.0
_STREAMS = {1: "stdout", 2: "stderr"}
# What is wrong with the log, in the Engine's own words: what follows is missing.
_BROKEN = 3


def query(since: float, now: float) -> dict:
    return {"stdout": "1", "stderr": "1", "timestamps": "1", "since": "%.9f" % since, "until": "%.9f" % now}


class ApiLog:
    """The answer of the Engine, with moments, as a stream of JSON lines."""

    def __init__(self, answer: Any, terminal: bool) -> None:
        self._answer = answer
        # Without a terminal the Engine frames what it sends: 1 byte which, 3 bytes zero, 4 bytes length, the text.
        self._next = self._line if terminal else self._frame
        self._deadline = time.monotonic() + _PATIENCE
        self._held = b""

    def readinto(self, view: memoryview) -> int:
        if time.monotonic() > self._deadline:
            raise LogError("it is too large to be read through Docker in %d seconds" % _PATIENCE)
        filled = 0
        while filled < len(view):
            if not self._held:
                self._held = self._next()
            if not self._held:
                break
            part = self._held[:len(view) - filled]
            view[filled:filled + len(part)] = part
            self._held = self._held[len(part):]
            filled += len(part)
        return filled

    def _frame(self) -> bytes:
        head = self._answer.read(8)
        if len(head) < 8:
            return b""
        text = self._answer.read(int.from_bytes(head[4:8], "big"))
        if head[0] == _BROKEN:
            raise LogError("Docker broke off: %s" % text.decode("utf-8", "replace").strip())
        return _entry(text, _STREAMS.get(head[0], "stdout"))

    def _line(self) -> bytes:
        line = self._answer.readline(1 << 17)
        return _entry(line, "stdout") if line else b""


def _entry(text: bytes, stream: str) -> bytes:
    moment, _space, log = text.partition(b" ")
    entry = {"log": log.decode("utf-8", "replace"), "stream": stream, "time": moment.decode("ascii", "replace")}
    return json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"
