# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Whether cron understands a schedule as it is meant. Cron itself drops a line it cannot read, and says so nowhere."""

from __future__ import annotations

import re
from typing import Any, List, Mapping, NamedTuple, Optional, Set, Tuple

from .findings import FAIL, Case, Finding, Rule, Text, table


class Field(NamedTuple):
    title: Text
    low: int
    high: int
    names: Tuple[str, ...] = ()


FIELDS = (
    Field(Text("minute", "분"), 0, 59),
    Field(Text("hour", "시"), 0, 23),
    Field(Text("day of the month", "일"), 1, 31),
    Field(Text("month", "월"), 1, 12,
          ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")),
    Field(Text("day of the week", "요일"), 0, 7, ("sun", "mon", "tue", "wed", "thu", "fri", "sat")),
)
_LONGEST = {2: 29, 4: 30, 6: 30, 9: 30, 11: 30}
_PART = re.compile(r"(?:(?P<all>\*)|(?P<first>\d{1,2})(?:-(?P<last>\d{1,2}))?)(?:/(?P<step>\d{1,2}))?\Z", re.ASCII)

RULES = table(
    Rule("schedule", Text("schedule", "예약 시간"),
         Text("five fields as in cron, e.g. 5 3 * * *", "cron 형식의 다섯 필드(예: 5 3 * * *)"), {
        "not-text": Case(FAIL, Text("is no text", "문자열이 아닙니다"),
                         Text("Write five fields in quotes, e.g. \"5 3 * * *\" for 03:05 every day",
                              "따옴표 안에 다섯 필드를 쓰세요. 예: 매일 03:05는 \"5 3 * * *\"")),
        "fields": Case(FAIL, Text("'{given}' has {count} fields", "'{given}'의 필드가 {count}개입니다"),
                       Text("Write five: minute, hour, day, month, day of the week, e.g. \"5 3 * * *\"",
                            "분, 시, 일, 월, 요일 다섯 개를 쓰세요. 예: \"5 3 * * *\"")),
        "field": Case(FAIL, Text("'{given}': cron cannot use {field} '{part}'",
                                 "'{given}': cron이 쓸 수 없는 값입니다: {field} '{part}'"),
                      Text("Write *, */n, a number from {low} to {high}, a range (smaller-greater), or a list of these",
                           "*, */n, {low}~{high} 사이의 숫자, 범위(작은 수-큰 수) 또는 이들의 목록을 쓰세요")),
        "never": Case(FAIL, Text("'{given}': there is no such date", "'{given}': 없는 날짜입니다"),
                      Text("Choose a day that the month has", "그 달에 있는 날을 고르세요")),
    }),
)


def problem(subject: str, schedule: Any) -> Optional[Finding]:
    """What is wrong with a schedule; ``subject`` says whose it is."""
    rule = RULES["schedule"]
    if not isinstance(schedule, str) or re.search("[\n\r\0]", schedule):
        return rule.finding("not-text", subject)
    parts = schedule.split()
    if len(parts) != len(FIELDS):
        return rule.finding("fields", subject, given=schedule, count=len(parts))
    allowed: List[Set[int]] = []
    for part, field in zip(parts, FIELDS):
        chosen = values(part, field)
        if not chosen:
            return rule.finding("field", subject, given=schedule, field=field.title, part=part, low=field.low,
                                high=field.high)
        allowed.append(chosen)
    # With a day of the week as well, cron takes either.
    if parts[4] == "*" and all(min(allowed[2]) > _LONGEST.get(month, 31) for month in allowed[3]):
        return rule.finding("never", subject, given=schedule)
    return None


def problems(tree: Mapping[str, Any], prefix: str = "") -> List[Finding]:
    """What is wrong with the schedules in a tree of mappings: the values of `schedule` and of `…_schedule`."""
    found: List[Finding] = []
    for key, value in tree.items():
        name = prefix + str(key)
        if isinstance(value, Mapping):
            found += problems(value, name + ".")
        elif str(key) == "schedule" or str(key).endswith("_schedule"):
            wrong = problem(name, value)
            found += [wrong] if wrong else []
    return found


def values(text: str, field: Field) -> Set[int]:
    """What a field stands for; nothing when cron could not use it."""
    if text.lower() in field.names:
        return {field.names.index(text.lower()) + field.low}
    chosen: Set[int] = set()
    for part in text.split(","):
        match = _PART.match(part)
        if match is None or (match["step"] and match["first"] and not match["last"]):
            return set()
        first = field.low if match["all"] else int(match["first"])
        last = field.high if match["all"] else int(match["last"] or first)
        step = int(match["step"] or 1)
        if not (field.low <= first <= last <= field.high and step > 0):
            return set()
        chosen.update(range(first, last + 1, step))
    return chosen
