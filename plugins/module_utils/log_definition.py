# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""What a person writes about lines of logs: `stack_log_patterns`, and what an installation changes of it."""

from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping

from .alert_rules import Kind, line
from .findings import FAIL, LANGUAGES, WARN, Case, Finding, Rule, Text, table

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


def _is_line(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip()) and not set("\n\r\0") & set(value)


def _is_expression(value: Any) -> bool:
    try:
        return _is_line(value) and bool(re.compile(value))
    except re.error:
        return False


def _is_text(value: Any) -> bool:
    return isinstance(value, Mapping) and set(value) == set(LANGUAGES) and all(map(_is_line, value.values()))


def _are_names(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(map(_is_line, value))


_LITERAL = Kind(Text("a text of at least %d characters" % _SHORTEST, "%d자 이상의 글자" % _SHORTEST),
                lambda value: _is_line(value) and len(value) >= _SHORTEST)
_EXPRESSION = Kind(Text("a regular expression on one line", "한 줄짜리 정규식"), _is_expression)
_BOTH = Kind(Text("one line each in en and ko", "en과 ko에 한 줄씩"), _is_text)
_SWITCH = Kind(Text("true or false", "true 또는 false"), lambda value: isinstance(value, bool))
_NAMES = Kind(Text("a list of services", "서비스 목록"), _are_names)
KINDS: Mapping[str, Kind] = {
    "in": Kind(Text("a list of services or engines", "서비스 또는 엔진 목록"),
               lambda value: _are_names(value) and bool(value)),
    "find": _LITERAL,
    "probe": _LITERAL,
    "match": _EXPRESSION,
    "unless": _EXPRESSION,
    "status": Kind(Text("FAIL or WARN", "FAIL 또는 WARN"), lambda value: value in (FAIL, WARN)),
    "title": _BOTH,
    "fix": _BOTH,
    "traceback": _SWITCH,
    "without": _NAMES,
    "enabled": _SWITCH,
}
_REQUIRED = ("in", "find", "status", "title")


def problems(patterns: Any, overrides: Any) -> List[Finding]:
    """What is wrong with the kinds of lines, or with what an installation changes of them."""
    found: List[Finding] = []
    for variable, given in ((VARIABLE, patterns), (OVERRIDES_VARIABLE, overrides)):
        if not isinstance(given, Mapping):
            found.append(_problem("not-a-mapping", variable, name=variable))
            continue
        for name, entry in given.items():
            found += _shape_problems(variable, name, entry)
    if found:
        return found
    for name, entry in _merged(patterns, overrides).items():
        variable = OVERRIDES_VARIABLE if name in overrides else VARIABLE
        missing = [key for key in _REQUIRED if key not in entry]
        if missing:
            found.append(_problem("incomplete", variable, name=name, missing=", ".join(missing)))
        elif entry.get("probe", "") not in entry["find"]:
            found.append(_problem("probe", variable, name=name))
    return found


def _shape_problems(variable: str, name: Any, entry: Any) -> List[Finding]:
    if not isinstance(name, str) or not _NAME.match(name):
        return [_problem("name", variable, name=" ".join(str(name).split()))]
    if not isinstance(entry, Mapping):
        return [_problem("not-a-mapping", variable, name=name)]
    found = []
    for key, value in entry.items():
        if key not in KINDS:
            found.append(_problem("unknown", variable, name=name, key=" ".join(str(key).split()),
                                  known=", ".join(KINDS)))
        elif not KINDS[key].holds(value):
            found.append(_problem("kind", variable, name=name, key=key, kind=KINDS[key].words))
    return found


def _problem(case: str, variable: str, **values: Any) -> Finding:
    return RULES["log-definition"].finding(case, variable, **values)


def merge(patterns: Any, overrides: Any) -> Dict[str, Any]:
    """The kinds of lines that are to be: the installation's own first, then the others, without those that are off.

    ValueError lists every mistake, in English.
    """
    found = problems(patterns, overrides)
    if found:
        raise ValueError("; ".join(line(finding, "en") for finding in found))
    return _merged(patterns, overrides)


def _merged(patterns: Mapping[str, Any], overrides: Mapping[str, Any]) -> Dict[str, Dict[str, Any]]:
    merged = {}
    # A line is of the first kind that finds itself in it: who adds one means it.
    for name in [*(name for name in overrides if name not in patterns), *patterns]:
        entry = {**patterns.get(name, {}), **overrides.get(name, {})}
        if entry.pop("enabled", True):
            merged[name] = entry
    return merged
