"""What the parts of the stand-in share."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "coinpilot-ops"


class StandInError(Exception):
    """Something the person can act on: its text is one line that says what to do."""


class Elapsed:
    """Time since it was made, as people say it."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def __str__(self) -> str:
        seconds = round(time.monotonic() - self._start)
        return f"{seconds} s" if seconds < 60 else f"{seconds // 60} min {seconds % 60:02d} s"


def say(text: str) -> None:
    # One write, so that lines of parallel steps do not run into each other.
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
