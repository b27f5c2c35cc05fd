# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""The items of the checklist as the description holds them: judged, and changed by an installation."""

from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping, NamedTuple, Tuple

from . import checklist_readers as readers
from . import definitions
from .definitions import TEXT, Kind, are_names, one_line, show
from .findings import FAIL, Case, Finding, Rule, Text, table

ITEMS_VARIABLE, OVERRIDES_VARIABLE = "stack_checklist", "stack_checklist_overrides"
DAILY, WEEKLY, ALL = "daily", "weekly", "all"
# Hours after a deploy.
HOURS = {"t0": 0, "t1h": 1, "t6h": 6, "t12h": 12, "t24h": 24}
SELECTIONS = (DAILY, WEEKLY, *HOURS)

_ID = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*\Z")

RULES = table(
    Rule("checklist-item", Text("checklist item", "점검 항목"),
         Text("complete, with keys and values of their kind", "빠진 항목이 없고 값의 형식이 맞음"), {
        "not-a-mapping": Case(FAIL, Text("{name} must hold keys and values", "{name}에는 키와 값이 있어야 합니다")),
        "name": Case(FAIL, Text("'{name}' is no name for an item; write it like disk-space, in lower case",
                                "'{name}'은(는) 항목 이름으로 쓸 수 없습니다. disk-space처럼 영문 소문자로 쓰세요")),
        "unknown": Case(FAIL, Text("{name}: unknown key '{key}'; known: {known}",
                                   "{name}: 알 수 없는 키 '{key}'; 가능한 키: {known}")),
        "incomplete": Case(FAIL, Text("{name}: missing: {missing}", "{name}: 빠진 항목: {missing}")),
        "new": Case(FAIL, Text("there is no item {name} to change, and for an item of its own it misses: {missing}; "
                               "items: {known}",
                               "바꿀 항목 {name}이(가) 없고, 새 항목이라면 빠진 것이 있습니다: {missing}. "
                               "있는 항목: {known}")),
        "kind": Case(FAIL, Text("{name}: {key} must be {kind}; it is {value}",
                                "{name}: {key} 값이 잘못되었습니다. 필요한 값: {kind}. 지금 값: {value}")),
        "rule": Case(FAIL, Text("{name}: the reader {read} has no rule '{rule}'; it has: {known}",
                                "{name}: {read}에는 '{rule}' 규칙이 없습니다. 있는 규칙: {known}")),
        "option": Case(FAIL, Text("{name}: the reader {read} has no option '{option}'; it has: {known}",
                                  "{name}: {read}에는 '{option}' 옵션이 없습니다. 있는 옵션: {known}")),
        "service": Case(FAIL, Text("{name}: needs names '{service}', which is no service; services: {known}",
                                   "{name}: needs에 쓴 '{service}' 서비스가 없습니다. 있는 서비스: {known}")),
    }),
)


class Item(NamedTuple):
    """One line of the checklist; see roles/stack/vars/main/checklist.yml."""

    id: str
    at: Tuple[str, ...]
    title: Text
    advice: Text
    read: str
    # None: all of the reader's.
    rules: Any
    options: Mapping[str, Any]
    needs: Tuple[str, ...]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0


_NUMBER = Kind(Text("a number from 0 on", "0 이상의 숫자"), _is_number)
_NAMES = Kind(Text("a list of names", "이름 목록"), are_names)
KINDS: Mapping[str, Kind] = {
    "at": Kind(Text("a list of some of " + ", ".join(SELECTIONS), ", ".join(SELECTIONS) + " 중에서 고른 목록"),
               lambda value: are_names(value) and bool(value) and set(value) <= set(SELECTIONS)),
    "title": TEXT,
    "advice": TEXT,
    "read": Kind(Text("one of " + ", ".join(readers.READERS), ", ".join(readers.READERS) + " 중 하나"),
                 lambda value: isinstance(value, str) and value in readers.READERS),
    "rules": Kind(Text("a list of rules", "규칙 목록"), lambda value: are_names(value) and bool(value)),
    "options": Kind(Text("keys and values", "키와 값"), lambda value: (
        isinstance(value, Mapping) and all(isinstance(name, str) for name in value))),
    "needs": Kind(Text("a list of services", "서비스 목록"), are_names),
    **definitions.ENABLED,
}
REQUIRED_KEYS = ("at", "title", "advice", "read")
_DEFINITION = definitions.Definition(RULES["checklist-item"], ITEMS_VARIABLE, OVERRIDES_VARIABLE, _ID, KINDS)


# What a person can write ---------------------------------------------------------------------------------------------

def problems(items: Any, overrides: Any, services: Mapping[str, Any]) -> List[Finding]:
    """What is wrong with the items or with what an installation changes of them. Nothing, when they can be used."""
    found = definitions.shape_problems(_DEFINITION, items, overrides)
    if found:
        return found
    for name, item in items.items():
        missing = [key for key in REQUIRED_KEYS if key not in item]
        found += [_finding("incomplete", ITEMS_VARIABLE, name=name, missing=", ".join(missing))] if missing else []
    for name, change in overrides.items():
        missing = [key for key in REQUIRED_KEYS if key not in change]
        if name not in items and change.get("enabled") is not False and missing:
            found.append(_finding("new", OVERRIDES_VARIABLE, name=name, missing=", ".join(missing),
                                  known=", ".join(sorted(items))))
    return found or _reference_problems(items, overrides, services)


def _reference_problems(items: Mapping[str, Any], overrides: Mapping[str, Any],
                        services: Mapping[str, Any]) -> List[Finding]:
    """Rules and options that the reader does not have, and services of an override that the stack does not have."""
    found: List[Finding] = []
    for name, item in _merged(items, overrides).items():
        variable = _DEFINITION.variable_of(name, overrides)
        source = readers.READERS[item["read"]]()
        for key, known in (("rule", source.rules), ("option", source.options)):
            found += [_finding(key, variable, name=name, read=item["read"], known=", ".join(known) or "-",
                               **{key: one_line(given)}) for given in item.get(key + "s", ()) if given not in known]
        for option, value in item.get("options", {}).items():
            default = source.options.get(option)
            kind = (_NUMBER if isinstance(default, (int, float)) else KINDS["options"] if isinstance(default, Mapping)
                    else _NAMES)
            if option in source.options and not kind.holds(value):
                found.append(_finding("kind", variable, name=name, key=option, kind=kind.words, value=show(value)))
    for name, change in overrides.items():
        found += [_finding("service", OVERRIDES_VARIABLE, name=name, service=one_line(service),
                           known=", ".join(services)) for service in change.get("needs", ()) if service not in services]
    return found


def _finding(case: str, variable: str, **values: Any) -> Finding:
    return _DEFINITION.problem(case, variable, **values)


def merge(items: Any, overrides: Any, services: Mapping[str, Any]) -> Dict[str, Any]:
    """The items that are to be: changed, added, and without those that are off or need a service that is not there.

    Options are merged one by one. ValueError lists every mistake, in English.
    """
    found = problems(items, overrides, services)
    if found:
        definitions.refuse(found)
    return {name: item for name, item in _merged(items, overrides).items()
            if set(item.get("needs", ())) <= set(services)}


def _merged(items: Mapping[str, Any], overrides: Mapping[str, Any]) -> Dict[str, Any]:
    return definitions.merged(items, overrides, _with_options)


def _with_options(item: Mapping[str, Any], change: Mapping[str, Any]) -> Dict[str, Any]:
    options = {**item.get("options", {}), **change.get("options", {})}
    return {**item, **change, **({"options": options} if options else {})}


# What a run goes through ---------------------------------------------------------------------------------------------

def items(description: Mapping[str, Any]) -> List[Item]:
    """All items, in their order."""
    return [Item(name, tuple(item["at"]), Text(**item["title"]), Text(**item["advice"]), item["read"],
                 item.get("rules"), item.get("options", {}), tuple(item.get("needs", ())))
            for name, item in (description.get("checklist") or {}).items()]
