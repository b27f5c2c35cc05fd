# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""What a person writes about lines of logs: `stack_log_patterns`, and what an installation changes of it."""

from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping

from . import definitions
from .definitions import EXPRESSION, SWITCH, TEXT, Kind, are_names, is_line
from .findings import FAIL, WARN, Case, Finding, Rule, Text, table

VARIABLE, OVERRIDES_VARIABLE = "stack_log_patterns", "stack_log_pattern_overrides"
_NAME = re.compile(r"[a-z][a-z0-9-]*\Z")
# A shorter text stands in too many lines.
_SHORTEST = 3

RULES = table(
    Rule("log-definition", Text("log line", "로그 패턴"),
         Text("complete, with keys and values of their kind", "빠진 항목이 없고 값의 형식이 맞음"), {
        "not-a-mapping": Case(FAIL, Text("{name} must hold keys and values", "{name}에는 키와 값이 있어야 합니다")),
        "name": Case(FAIL, Text("'{name}' is no name for a kind of line; write it like rss-feeds, in lower case",
                                "'{name}'은(는) 로그 패턴 이름으로 쓸 수 없습니다. rss-feeds처럼 소문자로 쓰세요")),
        "unknown": Case(FAIL, Text("{name}: unknown key '{key}'; known: {known}",
                                   "{name}: 알 수 없는 키 '{key}'; 가능한 키: {known}")),
        "incomplete": Case(FAIL, Text("{name}: missing: {missing}", "{name}: 빠진 항목: {missing}")),
        "kind": Case(FAIL, Text("{name}: {key} must be {kind}",
                                "{name}: {key} 값이 잘못되었습니다. 필요한 값: {kind}")),
        "probe": Case(FAIL, Text("{name}: probe must be a part of find", "{name}: probe는 find의 일부여야 합니다")),
    }),
)


_LITERAL = Kind(Text("a text of at least %d characters" % _SHORTEST, "%d자 이상의 글자" % _SHORTEST),
                lambda value: is_line(value) and len(value) >= _SHORTEST)
_NAMES = Kind(Text("a list of services", "서비스 목록"), are_names)
KINDS: Mapping[str, Kind] = {
    "in": Kind(Text("a list of services or engines", "서비스 또는 엔진 목록"),
               lambda value: are_names(value) and bool(value)),
    "find": _LITERAL,
    "probe": _LITERAL,
    "match": EXPRESSION,
    "unless": EXPRESSION,
    "status": Kind(Text("FAIL or WARN", "FAIL 또는 WARN"), lambda value: value in (FAIL, WARN)),
    "title": TEXT,
    "fix": TEXT,
    "traceback": SWITCH,
    "without": _NAMES,
    **definitions.ENABLED,
}
_REQUIRED = ("in", "find", "status", "title")
_DEFINITION = definitions.Definition(RULES["log-definition"], VARIABLE, OVERRIDES_VARIABLE, _NAME, KINDS)


def problems(patterns: Any, overrides: Any) -> List[Finding]:
    """What is wrong with the kinds of lines, or with what an installation changes of them."""
    found = definitions.shape_problems(_DEFINITION, patterns, overrides)
    if found:
        return found
    for name, entry in definitions.merged(patterns, overrides).items():
        variable = _DEFINITION.variable_of(name, overrides)
        missing = [key for key in _REQUIRED if key not in entry]
        if missing:
            found.append(_DEFINITION.problem("incomplete", variable, name=name, missing=", ".join(missing)))
        elif entry.get("probe", "") not in entry["find"]:
            found.append(_DEFINITION.problem("probe", variable, name=name))
    return found


def merge(patterns: Any, overrides: Any) -> Dict[str, Any]:
    """The kinds of lines that are to be: the installation's own first, then the others, without those that are off.

    ValueError lists every mistake, in English.
    """
    found = problems(patterns, overrides)
    if found:
        definitions.refuse(found)
    both = definitions.merged(patterns, overrides)
    # A line is of the first kind that finds itself in it: who adds one means it.
    first = [name for name in definitions.own(patterns, overrides) if name in both]
    return {name: both[name] for name in [*first, *(name for name in both if name not in first)]}
