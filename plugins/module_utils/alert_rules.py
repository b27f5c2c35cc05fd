# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Alert rules as the description holds them: judged, changed by an installation, and given to Grafana and Prometheus.

One rule is a mapping of `KEYS`. Both programs get the same query, limit and duration.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Dict, Iterable, List, Mapping, Optional

from . import definitions
from .definitions import Kind, is_text
from .findings import FAIL, Case, Finding, Rule, Text, table

RULES_VARIABLE, OVERRIDES_VARIABLE = "stack_alert_rules", "stack_alert_rule_overrides"
SEVERITIES = ("critical", "warning")
INTERVAL = "30s"
# Not the title of the stack alone: a folder that was made by hand may bear it and hold rules of the same names, and
# Grafana does not start when a file brings those once more.
FOLDER = "%s (managed)"
DATASOURCE = "managed-prometheus"
RULES_FILE = "monitoring/grafana/provisioning/alerting/rules.yml"

_NAME = re.compile(r"[A-Z][A-Za-z0-9]*\Z")
_WORD = re.compile(r"[a-z][a-z0-9-]*\Z")
_DURATION = re.compile(r"(?=\d)(\d+w)?(\d+d)?(\d+h)?(\d+m)?(\d+s)?\Z")
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
# Grafana's limit.
_UID_LENGTH = 40
_EXPRESSION = "__expr__"

RULES = table(
    Rule("alert-rule-definition", Text("alert rule", "알림 규칙"),
         Text("complete, with keys and values of their kind", "빠진 항목이 없고 값의 형식이 맞음"), {
        "not-a-mapping": Case(FAIL, Text("{name} must hold keys and values", "{name}에는 키와 값이 있어야 합니다")),
        "name": Case(FAIL, Text("'{name}' is no name for a rule; write it like BotDown, with letters and digits only",
                                "'{name}'은(는) 규칙 이름으로 쓸 수 없습니다. BotDown처럼 영문자와 숫자만 쓰세요")),
        "long": Case(FAIL, Text("{name}: the name is too long: '{uid}' has more than {length} characters",
                                "{name}: 이름이 너무 깁니다. '{uid}'이(가) {length}자를 넘습니다")),
        "clash": Case(FAIL, Text("{name} and {other} both become '{uid}' in Grafana; rename one",
                                 "{name}와(과) {other}의 Grafana uid가 '{uid}'(으)로 같습니다. 이름을 바꾸세요")),
        "unknown": Case(FAIL, Text("{name}: unknown key '{key}'; known: {known}",
                                   "{name}: 알 수 없는 키 '{key}'; 가능한 키: {known}")),
        "incomplete": Case(FAIL, Text("{name}: missing: {missing}", "{name}: 빠진 항목: {missing}")),
        "new": Case(FAIL, Text("there is no rule {name} to change, and for a rule of its own it misses: {missing}; "
                               "rules: {known}",
                               "바꿀 규칙 {name}이(가) 없고, 새 규칙이라면 빠진 항목이 있습니다: {missing}. "
                               "있는 규칙: {known}")),
        "limits": Case(FAIL, Text("{name}: give either above or below, not both",
                                  "{name}: above와 below 중 하나만 쓰세요")),
        "kind": Case(FAIL, Text("{name}: {key} must be {kind}; it is {value}",
                                "{name}: {key} 값이 잘못되었습니다. 필요한 값: {kind}. 지금 값: {value}")),
    }),
)


def _is_line(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip()) and "\0" not in value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


_TEXT = Kind(Text("one line each in en and ko, without $ and {{", "en과 ko에 한 줄씩($와 {{ 없이)"), lambda value: (
    is_text(value) and not any("$" in text or "{{" in text for text in value.values())))
_NUMBER = Kind(Text("a number", "숫자"), _is_number)
KINDS: Mapping[str, Kind] = {
    "group": Kind(Text("a word in lower case", "영문 소문자 단어"),
                  lambda value: isinstance(value, str) and bool(_WORD.match(value))),
    "severity": Kind(Text("one of " + ", ".join(SEVERITIES), ", ".join(SEVERITIES) + " 중 하나"),
                     lambda value: value in SEVERITIES),
    "query": Kind(Text("a query in PromQL", "PromQL 쿼리"), _is_line),
    "above": _NUMBER,
    "below": _NUMBER,
    "for": Kind(Text("a duration such as 30s, 2m or 1h30m", "30s, 2m, 1h30m 같은 시간"),
                lambda value: isinstance(value, str) and bool(_DURATION.match(value))),
    "summary": _TEXT,
    "action": _TEXT,
    "needs": Kind(Text("the engine of a service", "서비스의 engine"),
                  lambda value: isinstance(value, str) and bool(_WORD.match(value))),
    **definitions.ENABLED,
}
LIMITS = ("above", "below")
REQUIRED_KEYS = ("group", "severity", "query", "for", "summary", "action")
_DEFINITION = definitions.Definition(RULES["alert-rule-definition"], RULES_VARIABLE, OVERRIDES_VARIABLE, _NAME, KINDS)


# What a person can write ---------------------------------------------------------------------------------------------

def problems(rules: Any, overrides: Any, stack: str = "") -> List[Finding]:
    """What is wrong with the rules or with what an installation changes of them. Nothing, when they can be used."""
    found = definitions.shape_problems(_DEFINITION, rules, overrides)
    if found:
        return found
    for variable, given in ((RULES_VARIABLE, rules), (OVERRIDES_VARIABLE, overrides)):
        found += [_finding("limits", variable, name=name) for name, rule in given.items() if set(LIMITS) <= set(rule)]
    for name, rule in rules.items():
        missing = _missing(rule)
        found += [_finding("incomplete", RULES_VARIABLE, name=name, missing=", ".join(missing))] if missing else []
    for name, change in overrides.items():
        missing = [] if name in rules or change.get("enabled") is False else _missing(change)
        if missing:
            found.append(_finding("new", OVERRIDES_VARIABLE, name=name, missing=", ".join(missing),
                                  known=", ".join(sorted(rules))))
    return found or _uid_problems(rules, overrides, stack)


def _uid_problems(rules: Mapping[str, Any], overrides: Mapping[str, Any], stack: str) -> List[Finding]:
    found: List[Finding] = []
    owners: Dict[str, str] = {}
    for variable, names in ((RULES_VARIABLE, rules), (OVERRIDES_VARIABLE, definitions.own(rules, overrides))):
        for name in names:
            made = uid(stack, name)
            if len(made) > _UID_LENGTH:
                found.append(_finding("long", variable, name=name, uid=made, length=_UID_LENGTH))
            other = owners.setdefault(made, name)
            if other != name:
                found.append(_finding("clash", variable, name=name, other=other, uid=made))
    return found


def _missing(rule: Mapping[str, Any]) -> List[str]:
    missing = [key for key in REQUIRED_KEYS if key not in rule]
    return missing if any(limit in rule for limit in LIMITS) else [*missing, "above or below"]


def _finding(case: str, variable: str, **values: Any) -> Finding:
    return _DEFINITION.problem(case, variable, **values)


def merge(rules: Any, overrides: Any, services: Mapping[str, Mapping[str, Any]], stack: str = "") -> Dict[str, Any]:
    """The rules that are to be: changed, added, and without those that are off or whose engine no service has.

    A limit that is given replaces the other one. ValueError lists every mistake, in English.
    """
    found = problems(rules, overrides, stack)
    if found:
        definitions.refuse(found)
    engines = {service.get("engine") for service in services.values()}
    return {name: rule for name, rule in definitions.merged(rules, overrides, _with_limit).items()
            if rule.get("needs") in {None, *engines}}


def _with_limit(rule: Mapping[str, Any], change: Mapping[str, Any]) -> Dict[str, Any]:
    other = set(LIMITS) if set(LIMITS) & set(change) else set()
    return {**{key: value for key, value in rule.items() if key not in other}, **change}


# What programs read --------------------------------------------------------------------------------------------------

def uid(stack: str, name: str) -> str:
    """The rule's uid in Grafana, e.g. coinpilot-bot-down."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name)
    return "%s-%s" % (stack, words.lower())


def grafana(rules: Mapping[str, Any], stack: str, title: str, gone: Iterable[str] = ()) -> Dict[str, Any]:
    """The rules as Grafana provisions them. ``gone``: uids of rules that were and are no more."""
    groups: Dict[str, List[Dict[str, Any]]] = {}
    for name, rule in rules.items():
        groups.setdefault(rule["group"], []).append(_grafana_rule(uid(stack, name), name, rule))
    return {
        "apiVersion": 1,
        "groups": [{"orgId": 1, "name": group, "folder": FOLDER % title, "interval": INTERVAL, "rules": members}
                   for group, members in groups.items()],
        "deleteRules": [{"orgId": 1, "uid": old} for old in gone],
    }


def _grafana_rule(name_in_grafana: str, name: str, rule: Mapping[str, Any]) -> Dict[str, Any]:
    evaluator = {"type": "gt" if "above" in rule else "lt", "params": [_limit(rule)]}
    return {
        "uid": name_in_grafana,
        "title": name,
        "condition": "C",
        "data": [
            _query("A", DATASOURCE, {"expr": rule["query"], "instant": True, "range": False, "editorMode": "code",
                                     "datasource": {"type": "prometheus", "uid": DATASOURCE}}),
            _query("B", _EXPRESSION, {"type": "reduce", "expression": "A", "reducer": "last",
                                      "datasource": {"type": _EXPRESSION, "uid": _EXPRESSION}}),
            _query("C", _EXPRESSION, {"type": "threshold", "expression": "B", "conditions": [{"evaluator": evaluator}],
                                      "datasource": {"type": _EXPRESSION, "uid": _EXPRESSION}}),
        ],
        "for": rule["for"],
        "noDataState": "OK",
        "execErrState": "Error",
        "labels": {"severity": rule["severity"]},
        "annotations": _annotations(rule),
        "isPaused": False,
    }


def _query(reference: str, datasource: str, model: Mapping[str, Any]) -> Dict[str, Any]:
    return {"refId": reference, "datasourceUid": datasource, "relativeTimeRange": {"from": 600, "to": 0},
            "model": {"refId": reference, "intervalMs": 1000, "maxDataPoints": 43200, **model}}


def prometheus(rules: Mapping[str, Any]) -> Dict[str, Any]:
    """The same as rules of Prometheus."""
    groups: Dict[str, List[Dict[str, Any]]] = {}
    for name, rule in rules.items():
        groups.setdefault(rule["group"], []).append({
            "alert": name, "expr": "(%s) %s %s" % (rule["query"], ">" if "above" in rule else "<", _limit(rule)),
            "for": rule["for"], "labels": {"severity": rule["severity"]}, "annotations": _annotations(rule)})
    return {"groups": [{"name": group, "interval": INTERVAL, "rules": members} for group, members in groups.items()]}


def _limit(rule: Mapping[str, Any]) -> Any:
    return rule["above"] if "above" in rule else rule["below"]


def _annotations(rule: Mapping[str, Any]) -> Dict[str, str]:
    """What is wrong and what to do, Korean first; `{label}` becomes what Grafana and Prometheus fill in.

    In `$labels`, as it is mostly written, Grafana sees a variable of its environment; how to say that it is none
    differs between its versions.
    """
    return {name: "\n".join(_PLACEHOLDER.sub(r"{{ .Labels.\1 }}", rule[key][lang].strip()) for lang in ("ko", "en"))
            for name, key in (("summary", "summary"), ("description", "action"))}


# The file ------------------------------------------------------------------------------------------------------------

def file_text(rules: Mapping[str, Any], stack: str, title: str, earlier: Optional[str]) -> str:
    """The file that Grafana reads; JSON is YAML. ``earlier`` is its text until now.

    Grafana never deletes a rule by itself: what an earlier file brought and is no more stays named in it for good.
    ValueError when the earlier text is none of ours.
    """
    now = {uid(stack, name) for name in rules}
    gone = sorted(set(uids(earlier)) - now) if earlier is not None else []
    return json.dumps(grafana(rules, stack, title, gone), ensure_ascii=False, indent=2) + "\n"


def uids(text: str) -> List[str]:
    """All uids that a file of ours names, those to delete too. ValueError when it is no such file."""
    try:
        held = json.loads(text)
        named = [rule for group in held["groups"] for rule in group["rules"]] + held["deleteRules"]
        found = [rule["uid"] for rule in named]
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as problem:
        raise ValueError("not a file of alert rules as coinpilot.ops writes it") from problem
    if not all(isinstance(one, str) for one in found):
        raise ValueError("not a file of alert rules as coinpilot.ops writes it")
    return found
