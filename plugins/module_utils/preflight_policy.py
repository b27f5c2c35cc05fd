# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""The policy of the preflight: which ports the world may reach, and what is waived, why and until when.

``{"public_ports": [80, 443],
   "waivers": [{"rule": "compose-user-root", "service": "db", "reason": "...", "expires": "2027-01-31"}]}``

``public_ports`` are ports of the host. A waiver turns what one rule finds at one service into a warning until the end
of its day; after it the finding is back, and the waiver is one of its own. What could not be told is never waived.
"""

from __future__ import annotations

import datetime
import json
from typing import Any, Collection, Dict, List, Mapping, Tuple

from .findings import FAIL, LOW, MEDIUM, PASS, WARN, Case, Finding, Rule, Text, table, with_passes

VARIABLE = "stack_security"
NONE: Dict[str, Any] = {"public_ports": [], "waivers": []}
_WAIVER = ("rule", "service", "reason", "expires")
_EDIT = Text("Mend it in {subject}", "{subject}에서 고치세요")

RULES = table(
    Rule(
        "policy-file", Text("policy", "정책"),
        Text("public_ports and waivers, each waiver with rule, service, reason and expires",
             "public_ports와 waivers. 각 waiver에는 rule, service, reason, expires가 있어야 함"),
        {
            "unreadable": Case(FAIL, Text("cannot be read: {error}", "읽을 수 없습니다: {error}"),
                               Text("Give a file that is there: --policy FILE",
                                    "있는 파일을 지정하세요: --policy FILE")),
            "no-json": Case(FAIL, Text("no JSON: {error}", "JSON이 아닙니다: {error}"), _EDIT),
            "shape": Case(FAIL, Text("{what} must be {kind}", "{what}의 형식이 잘못되었습니다. 필요한 값: {kind}"),
                          _EDIT),
            "key": Case(FAIL, Text("unknown key {what}; known: {known}",
                                   "알 수 없는 키 {what}. 가능한 키: {known}"), _EDIT),
            "rule": Case(FAIL, Text("a waiver names the unknown rule {what}",
                                    "waiver에 알 수 없는 규칙이 있습니다: {what}"),
                         Text("Take the id as the report shows it", "보고서에 나온 id를 그대로 쓰세요")),
        }, severity=MEDIUM,
        why=Text("A policy that is read wrongly waives the wrong thing; with a broken one nothing is waived at all.",
                 "정책을 잘못 읽으면 엉뚱한 것이 면제됩니다. 정책이 깨져 있으면 아무것도 면제하지 않습니다.")),
    Rule(
        "policy-expired", Text("waiver", "면제"), Text("waivers that have not expired", "만료되지 않은 면제"),
        {"expired": Case(FAIL, Text("the waiver of {rule} for {name} expired on {expires}",
                                    "{name}의 {rule} 면제가 {expires}에 만료되었습니다"),
                         Text("Mend what it waived and remove it, or give it a new date with a reason that still holds",
                              "면제했던 문제를 고치고 면제를 지우거나, 여전히 타당한 이유와 새 날짜를 지정하세요"))},
        severity=MEDIUM,
        why=Text("A waiver is a promise to come back to it. One that has run out was forgotten.",
                 "면제는 나중에 다시 보겠다는 약속입니다. 만료된 면제는 잊힌 약속입니다.")),
    Rule(
        "policy-unused", Text("waiver", "면제"), Text("waivers that something needs", "실제로 필요한 면제"),
        {"unused": Case(WARN, Text("nothing needs the waiver of {rule} for {name}",
                                   "{name}의 {rule} 면제는 필요하지 않습니다"),
                        Text("Remove it", "지우세요"))},
        severity=LOW,
        why=Text("A waiver that stays behind would let the same mistake pass in silence later on.",
                 "남아 있는 면제는 나중에 같은 실수를 조용히 통과시킵니다.")),
)
_WAIVED = Text("{seen} (waived until {expires}: {reason})", "{seen} (면제됨, {expires}까지: {reason})")


def load(path: str) -> Tuple[Any, List[Finding]]:
    """What a policy file holds. With a finding instead when it cannot be read, or is no JSON."""
    try:
        with open(path, encoding="utf-8-sig") as stream:
            return json.load(stream), []
    except OSError as problem:
        return NONE, [RULES["policy-file"].finding("unreadable", path, error=problem.strerror).at(file=path)]
    except (ValueError, RecursionError) as problem:
        where = "line %d: " % problem.lineno if isinstance(problem, json.JSONDecodeError) else ""
        said = problem.msg if isinstance(problem, json.JSONDecodeError) else str(problem)
        return NONE, [RULES["policy-file"].finding("no-json", path, error=where + said).at(file=path)]


def checked(policy: Any, known_rules: Collection[str], where: str) -> Tuple[Dict[str, Any], List[Finding]]:
    """The policy that can be used, and what is wrong with the one given. A wrong one allows and waives nothing."""
    policy = _plain(policy)
    found = [problem.at(file=where) for problem in _problems(policy, known_rules, where)]
    return (dict(NONE) if found else {**NONE, **policy}), found


def trusted(policy: Mapping[str, Any]) -> Dict[str, Any]:
    """The policy of a description that was judged already."""
    return {**NONE, **_plain(policy)}


def apply(policy: Mapping[str, Any], found: List[Finding], today: datetime.date, where: str) -> List[Finding]:
    """The findings with what the policy waives as warnings, and what is to be said of the waivers themselves."""
    waivers = {(waiver["rule"], waiver["service"]): waiver for waiver in policy["waivers"]}
    expired = {key for key, waiver in waivers.items() if datetime.date.fromisoformat(waiver["expires"]) < today}
    used = set()
    after = []
    for finding in found:
        key = (finding.id, finding.place.service)
        if key in waivers and finding.status in (FAIL, WARN):
            used.add(key)
            if key not in expired:
                waiver = waivers[key]
                finding = finding._replace(status=WARN, seen=_WAIVED.fill(
                    seen=finding.seen, expires=waiver["expires"], reason=waiver["reason"]))
        after.append(finding)
    judged = {finding.id for finding in found}
    own = [RULES["policy-expired"].finding("expired", where, rule=rule, name=service or "-",
                                           expires=waivers[rule, service]["expires"]).at(service, where)
           for rule, service in sorted(expired)]
    # A rule that was not judged this time may need its waiver the next time.
    own += [RULES["policy-unused"].finding("unused", where, rule=rule, name=service or "-").at(service, where)
            for rule, service in sorted(set(waivers) - used - expired) if rule in judged]
    return after + own


def passed(found: List[Finding]) -> List[Finding]:
    """A PASS for each rule of the policy that found nothing."""
    own = [finding for finding in found if finding.id in RULES]
    return [finding for finding in with_passes(RULES, own) if finding.status == PASS]


def _plain(value: Any) -> Any:
    """YAML makes a date of what JSON holds as a text."""
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    return value.isoformat() if isinstance(value, datetime.date) else value


def _problems(policy: Any, known_rules: Collection[str], where: str) -> List[Finding]:
    rule = RULES["policy-file"]
    if not isinstance(policy, Mapping):
        return [rule.finding("shape", where, what=VARIABLE, kind="{public_ports: [443], waivers: []}")]
    found = [rule.finding("key", where, what=str(key), known=", ".join(NONE)) for key in policy if key not in NONE]
    ports = policy.get("public_ports", [])
    if not isinstance(ports, list) or not all(_is_port(port) for port in ports):
        found.append(rule.finding("shape", where, what="public_ports", kind=Text(
            "a list of ports, e.g. [80, 443]", "포트 목록(예: [80, 443])")))
    waivers = policy.get("waivers", [])
    if not isinstance(waivers, list):
        return found + [rule.finding("shape", where, what="waivers", kind=Text("a list", "목록"))]
    for waiver in waivers:
        found += _waiver_problems(waiver, known_rules, where)
    return found


def _waiver_problems(waiver: Any, known_rules: Collection[str], where: str) -> List[Finding]:
    rule = RULES["policy-file"]
    if not isinstance(waiver, Mapping):
        return [rule.finding("shape", where, what="waivers[]", kind=", ".join(_WAIVER))]
    found = [rule.finding("key", where, what=str(key), known=", ".join(_WAIVER))
             for key in waiver if key not in _WAIVER]
    for key in _WAIVER:
        # A rule that looks at no service, such as env-mode, is waived for the service "".
        if not isinstance(waiver.get(key), str) or not (waiver[key].strip() or key == "service"):
            found.append(rule.finding("shape", where, what="waivers[].%s" % key, kind=Text("a text", "문자열")))
    if not found and waiver["rule"] not in known_rules:
        found.append(rule.finding("rule", where, what=waiver["rule"]))
    if not found and not _is_date(waiver["expires"]):
        found.append(rule.finding("shape", where, what="waivers[].expires", kind=Text(
            "a date such as 2027-01-31", "2027-01-31 같은 날짜")))
    return found


def _is_port(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 65535


def _is_date(text: str) -> bool:
    try:
        return datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
