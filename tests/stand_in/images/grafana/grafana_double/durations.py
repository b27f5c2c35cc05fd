"""Durations and moments as Grafana writes them."""

from __future__ import annotations

import re
from datetime import datetime, timezone

SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}
NEVER = "0001-01-01T00:00:00Z"


def seconds(text: str) -> float:
    """`1m30s` is 90; `0` may stand alone."""
    if text == "0":
        return 0
    if not re.fullmatch(r"(\d+(ms|[smhdwy]))+", text):
        raise ValueError(f"not a valid duration string: {text!r}")
    return sum(int(number) * SECONDS[unit] for number, unit in re.findall(r"(\d+)(ms|[smhdwy])", text))


def duration(value: float) -> str:
    """90 is `1m30s`."""
    left, text = int(value), ""
    for unit in ("d", "h", "m", "s"):
        number, left = divmod(left, int(SECONDS[unit]))
        text += f"{number}{unit}" if number else ""
    return text or "0s"


def moment(timestamp: float | None) -> str:
    if timestamp is None:
        return NEVER
    return datetime.fromtimestamp(timestamp, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
