# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""A table of the description whose entries have names, and what an installation changes of it: the alert rules, the
checklist, what shows the application at work, what lines of logs mean. All are judged and merged the same way."""

from __future__ import annotations

import re
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, NoReturn, Tuple

from .findings import LANGUAGES, Finding, Rule, Text


class Kind(NamedTuple):
    """What the value of a key must be: in words, and as a test of a value."""

    words: Text
    holds: Callable[[Any], bool]


class Definition(NamedTuple):
    """What a person may write: the two variables, the pattern of a name, the kind of each key.

    ``rule`` says what is wrong; it has the cases not-a-mapping, name, unknown and kind.
    """

    rule: Rule
    variable: str
    overrides: str
    name: re.Pattern[str]
    kinds: Mapping[str, Kind]

    def problem(self, case: str, variable: str, **values: Any) -> Finding:
        return self.rule.finding(case, variable, **values)

    def variable_of(self, name: str, overrides: Mapping[str, Any]) -> str:
        """Where an entry is to be mended."""
        return self.overrides if name in overrides else self.variable


def is_line(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip()) and not set("\n\r\0") & set(value.strip())


def is_text(value: Any) -> bool:
    """One line in each language."""
    return isinstance(value, Mapping) and set(value) == set(LANGUAGES) and all(map(is_line, value.values()))


def are_names(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(map(is_line, value))


def is_expression(value: Any) -> bool:
    try:
        return is_line(value) and bool(re.compile(value))
    except re.error:
        return False


TEXT = Kind(Text("one line each in en and ko", "en과 ko에 한 줄씩"), is_text)
EXPRESSION = Kind(Text("a regular expression on one line", "한 줄짜리 정규식"), is_expression)
SWITCH = Kind(Text("true or false", "true 또는 false"), lambda value: isinstance(value, bool))
# Every entry may be switched off.
ENABLED = {"enabled": SWITCH}


def shape_problems(definition: Definition, table: Any, overrides: Any) -> List[Finding]:
    """What is no name, no known key or no value of its kind, in either variable."""
    found: List[Finding] = []
    for variable, given in ((definition.variable, table), (definition.overrides, overrides)):
        if not isinstance(given, Mapping):
            found.append(definition.problem("not-a-mapping", variable, name=variable))
            continue
        for name, entry in given.items():
            found += _entry_problems(definition, variable, name, entry)
    return found


def _entry_problems(definition: Definition, variable: str, name: Any, entry: Any) -> List[Finding]:
    if not isinstance(name, str) or not definition.name.match(name):
        return [definition.problem("name", variable, name=one_line(name))]
    if not isinstance(entry, Mapping):
        return [definition.problem("not-a-mapping", variable, name=name)]
    found = []
    for key, value in entry.items():
        kind = definition.kinds.get(key) if isinstance(key, str) else None
        if kind is None:
            found.append(definition.problem("unknown", variable, name=name, key=one_line(key),
                                            known=", ".join(definition.kinds)))
        elif not kind.holds(value):
            found.append(definition.problem("kind", variable, name=name, key=key, kind=kind.words, value=show(value)))
    return found


def replaced(entry: Mapping[str, Any], change: Mapping[str, Any]) -> Dict[str, Any]:
    return {**entry, **change}


def merged(table: Mapping[str, Any], overrides: Mapping[str, Any],
           combine: Callable[[Mapping[str, Any], Mapping[str, Any]], Dict[str, Any]] = replaced) -> Dict[str, Any]:
    """The entries that are on: those of the table in its order, then the installation's own."""
    result = {}
    for name in [*table, *own(table, overrides)]:
        entry = combine(table.get(name, {}), overrides.get(name, {}))
        if entry.pop("enabled", True):
            result[name] = entry
    return result


def own(table: Mapping[str, Any], overrides: Mapping[str, Any]) -> Tuple[str, ...]:
    """The names of the entries that are an installation's own."""
    return tuple(name for name in overrides if name not in table)


def refuse(found: List[Finding]) -> NoReturn:
    """ValueError that lists every mistake, in English."""
    raise ValueError("; ".join(line(finding, "en") for finding in found))


def line(finding: Finding, lang: str) -> str:
    """One line that names the variable to mend."""
    return "%s: %s" % (finding.subject, finding.seen.get(lang))


def show(value: Any) -> str:
    if isinstance(value, (Mapping, list)):
        return type(value).__name__
    return "'%s'" % one_line(value) if isinstance(value, str) else str(value)


def one_line(value: Any) -> str:
    return " ".join(str(value).split())
