# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Moments as Go's programs write them, and lengths of time as a person reads them or writes them (2m, 1h30m)."""

from __future__ import annotations

import calendar
import datetime
import re
import zoneinfo
from typing import Any, Optional

from .findings import Text

_MOMENT = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(\.\d+)?([Zz]|[+-]\d\d:\d\d)\Z", re.ASCII)
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w|y)", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}
_SPANS = ((2 * 86400, 86400, "days", "일"), (2 * 3600, 3600, "hours", "시간"), (120, 60, "minutes", "분"))


def moment(text: Any) -> Optional[float]:
    """Seconds since 1970, or None for what is none: also for Go's zero time (0001-01-01), which means never."""
    match = _MOMENT.match(text) if isinstance(text, str) else None
    if match is None or match.group(1) < "1970":
        return None
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    if not (1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second < 61):
        return None
    zone = match.group(8)
    offset = 0 if zone in "Zz" else int(zone[0] + "1") * (int(zone[1:3]) * 3600 + int(zone[4:6]) * 60)
    return calendar.timegm((year, month, day, hour, minute, second)) + float(match.group(7) or 0) - offset


def seconds(text: Any) -> Optional[float]:
    """The seconds of a duration such as 2m, 1h30m or 0s, or None for what is none."""
    if not isinstance(text, str) or len(text) > 40:
        return None
    if text == "0":
        return 0.0
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def clock(at: float, timezone: str) -> str:
    """A moment as the clock of a time zone shows it, with the zone: 2026-11-23 07:00 KST. UTC where it is unknown."""
    try:
        zone: datetime.tzinfo = zoneinfo.ZoneInfo(timezone)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        zone = datetime.timezone.utc
    return datetime.datetime.fromtimestamp(at, zone).strftime("%Y-%m-%d %H:%M %Z")


def span(length: float) -> Text:
    """A length of time, e.g. 3 hours."""
    for least, unit, english, korean in _SPANS:
        if length >= least:
            return Text("%d %s" % (length // unit, english), "%d%s" % (length // unit, korean))
    return Text("%d seconds" % max(0, length), "%d초" % max(0, length))
