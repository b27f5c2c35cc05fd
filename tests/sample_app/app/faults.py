"""The faults that tests switch on, and how a list of them is read. README.md says what each one does."""

from __future__ import annotations

import math
from typing import Final

# The number a fault has when none is given; None where it takes no number.
FAULTS: Final[dict[str, float | None]] = {
    "crash": None,
    "crash-after": 10,
    "hang": None,
    "unhealthy": None,
    "traceback": None,
    "flood": 5000,
    "silence": None,
    "stale": None,
    "latency": 3,
    "volatility": 0,
    "volatility-frozen": None,
    "volatility-missing": None,
    "rss-failed": None,
    "rss-job-failed": None,
    "rss-summary-failed": None,
    "regime-failed": None,
    "retraining-failed": None,
    "report-failed": None,
}


def parse(text: str) -> dict[str, float]:
    """Read `crash-after=10, unhealthy` into names and numbers (0 for a fault that takes none)."""
    found: dict[str, float] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, equals, number = (part.strip() for part in item.partition("="))
        if name not in FAULTS:
            raise ValueError(f"unknown fault {name!r}: use one of {', '.join(FAULTS)}")
        default = FAULTS[name]
        if not equals:
            found[name] = default or 0
            continue
        if default is None:
            raise ValueError(f"fault {name!r} takes no number: write it alone")
        found[name] = _number(name, number)
    return found


def _number(name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"fault {name!r} needs a number, not {text!r}") from None
    # A gauge that reports NaN or infinity is a case of its own; nothing else can be counted in either.
    if name != "volatility" and not (math.isfinite(number) and number >= 0):
        raise ValueError(f"fault {name!r} needs a number of 0 or more, not {text!r}")
    return number
