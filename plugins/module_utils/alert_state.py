# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Would Grafana notice? Every alert rule of the description, as Grafana has it: `gather` asks, `judge` is pure.

Grafana's list of rules calls a rule that sees no data, or was never evaluated, inactive and ok. So the definitions,
the last evaluation and the state of every alert are looked at too.
"""

from __future__ import annotations

import re
import time
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

from . import alert_rules, grafana_api, health, http_json, metrics
from .engine import Engine, EngineError
from .findings import FAIL, PASS, UNKNOWN, WARN, Case, Finding, Rule, Text, table
from .grafana_api import Grafana, GrafanaError, Reading, Trouble, entries
from .moments import moment, seconds, span

CRITICAL = "critical"
DEFINITIONS = "/api/v1/provisioning/alert-rules"
STATES = "/api/prometheus/grafana/api/v1/rules"

# An evaluation may be late by some intervals on a busy host.
_LATE_INTERVALS, _LATE_LEAST = 4, 120.0
_INTERVAL = 60.0
_PAUSE = 5.0
# Seconds: Prometheus asks every 15, a rate wants two answers, and Grafana evaluates once a minute.
_SETTLES = 180.0
_PAGES = 100

_READ_AGAIN = Text("Grafana reads its files when it starts: docker restart {container}; if it stays: "
                   "ansible-playbook site.yml",
                   "Grafana는 시작할 때 파일을 읽습니다: docker restart {container}; 그대로라면: "
                   "ansible-playbook site.yml")
_LOGS = Text("docker logs --tail 50 {container}", "docker logs --tail 50 {container}")
_QUERY = Text("is the metric there? on Prometheus's page: {query}",
              "메트릭이 있나요? Prometheus 화면에서 확인: {query}")
_ACTION = Text("{action}", "{action}")

RULES = table(
    Rule(
        "alert-rule", Text("alert rule", "알림 규칙"),
        Text("as described, evaluated, with data, and not firing",
             "설명과 같고, 평가되고, 데이터가 있고, 발생하지 않음"),
        {
            "normal": Case(PASS, Text("normal, evaluated {ago} ago", "정상, {ago} 전에 평가됨")),
            "missing": Case(FAIL, Text("Grafana does not have it", "Grafana에 없음"), _READ_AGAIN),
            "edited": Case(FAIL, Text("Grafana has it otherwise than described: {fields}",
                                      "Grafana의 내용이 스택 설명과 다름: {fields}"), _READ_AGAIN),
            "paused": Case(FAIL, Text("paused: it is not evaluated and cannot fire",
                                      "일시 중지됨: 평가되지 않아 알림이 오지 않음"), _READ_AGAIN),
            "never": Case(FAIL, Text("never evaluated", "한 번도 평가되지 않음"),
                          Text("docker logs --tail 50 {container}; then: docker restart {container}",
                               "docker logs --tail 50 {container}; 그다음: docker restart {container}")),
            "stale": Case(FAIL, Text("last evaluated {ago} ago, though due every {interval}",
                                     "{interval}마다 평가되어야 하지만 마지막 평가가 {ago} 전"),
                          Text("docker logs --tail 50 {container}; then: docker restart {container}",
                               "docker logs --tail 50 {container}; 그다음: docker restart {container}")),
            "blind": Case(FAIL, Text("sees no data, which Grafana counts as normal: it cannot fire",
                                     "데이터가 없는데 Grafana는 정상으로 처리함: 알림이 오지 않음"),
                          _QUERY),
            "blind-warning": Case(WARN, Text("sees no data, which Grafana counts as normal: it cannot fire",
                                             "데이터가 없는데 Grafana는 정상으로 처리함: 알림이 오지 않음"), _QUERY),
            "young": Case(WARN, Text("no data yet: Prometheus or Grafana was started {ago} ago",
                                     "아직 데이터가 없음: Prometheus 또는 Grafana가 {ago} 전에 시작됨"),
                          Text("look again in {rest}", "{rest} 뒤에 다시 확인하세요")),
            "error": Case(FAIL, Text("cannot be evaluated: {error}", "평가할 수 없음: {error}"),
                          Text("is Prometheus running? docker logs --tail 50 {container}",
                               "Prometheus가 실행 중인가요? docker logs --tail 50 {container}")),
            "pending": Case(WARN, Text("about to fire: {summary}", "곧 발생함: {summary}"), _ACTION),
            "firing": Case(FAIL, Text("firing for {ago}: {summary}", "{ago}째 발생 중: {summary}"), _ACTION),
            "firing-warning": Case(WARN, Text("firing for {ago}: {summary}", "{ago}째 발생 중: {summary}"), _ACTION),
            "unclear": Case(UNKNOWN, Text("Grafana says {state}, {health}, and shows no alert",
                                          "Grafana 상태가 {state}, {health}이고 알림 항목이 없음"), _LOGS),
        }),
    Rule(
        "alert-rule-extra", Text("alert rule", "알림 규칙"),
        Text("rules of this stack are those described", "이 스택의 규칙은 스택 설명에 있는 것뿐임"),
        {
            "stranger": Case(WARN, Text("is this stack's by its uid ({uid}), and not described",
                                        "uid({uid})는 이 스택의 것이지만 스택 설명에 없음"),
                             Text("ansible-playbook site.yml removes it; if it stays, delete it in Grafana",
                                  "ansible-playbook site.yml이 지웁니다. 남아 있으면 Grafana에서 삭제하세요")),
        }),
)


# A rule's texts name labels of its alerts: {service}.
_LABEL = re.compile(r"\{(\w+)\}")
_ALERT_STATE = re.compile(r"(\w+)(?: \((.*)\))?\Z", re.ASCII | re.DOTALL)


class Expected(NamedTuple):
    """One rule of the description, and what Grafana was given of it."""

    name: str
    uid: str
    severity: str
    query: str
    summary: Text
    action: Text
    definition: Mapping[str, Any]

    def is_about_verification(self, description: Mapping[str, Any]) -> bool:
        """Whether it fires for what the last verification found: it must not fail the next one by itself."""
        return metrics.prefix(description["name"]) + "_verify_" in self.query


class World(NamedTuple):
    """What Grafana says of DEFINITIONS and STATES, as far as it does.

    ``started`` is when the later of Prometheus and Grafana was; 0 where that is not known.
    """

    now: float
    reading: Reading
    started: float = 0.0

    @property
    def is_young(self) -> bool:
        return 0 <= self.now - self.started < _SETTLES


def gather(description: Mapping[str, Any], engine: Engine, patience: float = 75.0) -> World:
    """Never raises for what Grafana does. A Grafana that has just started gets time to evaluate each rule once."""
    deadline = time.monotonic() + patience
    while True:
        reading = grafana_api.read(description, {
            DEFINITIONS: lambda grafana: entries(grafana.get(DEFINITIONS)),
            STATES: _states,
        })
        if not _is_waiting(reading, description) or time.monotonic() + _PAUSE > deadline:
            return World(time.time(), reading, _started(description, engine))
        time.sleep(_PAUSE)


def _started(description: Mapping[str, Any], engine: Engine) -> float:
    try:
        shown = health.by_service(engine.containers(description["project"]))
    except (EngineError, ValueError, KeyError):
        return 0.0
    told = [moment(health.condition(shown.get(name)).started_at) for name, service in description["services"].items()
            if service.get("engine") in ("prometheus", "grafana")]
    return max((at for at in told if at is not None), default=0.0)


def _expected(description: Mapping[str, Any]) -> List[Expected]:
    described = description.get("alert_rules") or {}
    made = alert_rules.grafana(described, description["name"], description["title"])
    return [Expected(rule["title"], rule["uid"], described[rule["title"]]["severity"],
                     described[rule["title"]]["query"], Text(**described[rule["title"]]["summary"]),
                     Text(**described[rule["title"]]["action"]), rule)
            for group in made["groups"] for rule in group["rules"]]


def _is_waiting(reading: Reading, description: Mapping[str, Any]) -> bool:
    """Whether a described rule that is not paused was never evaluated."""
    definitions = {str(entry.get("uid")): entry for entry in reading.found.get(DEFINITIONS, ())}
    for rule in _expected(description):
        definition = definitions.get(rule.uid)
        if definition and not definition.get("isPaused"):
            state = _state_of(definition, reading.found.get(STATES, ()))
            if state is not None and moment(state.get("lastEvaluation")) is None:
                return True
    return False


def _states(grafana: Grafana) -> List[Dict[str, Any]]:
    """All rules of all groups; newer versions may give them page by page."""
    found: List[Dict[str, Any]] = []
    query: Dict[str, Any] = {}
    for _page in range(_PAGES):
        content = grafana.get(STATES, **query)
        data = content.get("data") if isinstance(content, dict) else None
        if not isinstance(data, dict) or content.get("status") != "success":
            raise GrafanaError(Trouble("answer"))
        for group in entries(data.get("groups") or []):
            about = {name: value for name, value in group.items() if name != "rules"}
            found += [{**rule, "group": about} for rule in entries(group.get("rules") or [])]
        token = data.get("groupNextToken")
        if not token:
            return found
        query = {"group_next_token": token}
    raise GrafanaError(Trouble("answer"))


def judge(world: World, description: Mapping[str, Any]) -> List[Finding]:
    """That Grafana answers, then each rule described, then the rules of this stack that are described no more."""
    found = grafana_api.findings_of(world.reading, description)
    definitions = world.reading.found.get(DEFINITIONS)
    if definitions is None:
        return found
    by_uid = {str(entry.get("uid")): entry for entry in definitions}
    expected = _expected(description)
    for rule in expected:
        found += _judge_rule(rule, by_uid.get(rule.uid), world, description)
    known = {rule.uid for rule in expected}
    for uid, entry in by_uid.items():
        if uid.startswith(description["name"] + "-") and uid not in known:
            found.append(RULES["alert-rule-extra"].finding("stranger", http_json.masked(entry.get("title", uid)),
                                                           uid=http_json.masked(uid)))
    return found


def _judge_rule(rule: Expected, definition: Optional[Mapping[str, Any]], world: World,
                description: Mapping[str, Any]) -> List[Finding]:
    if definition is None:
        return [_finding("missing", rule, description)]
    if definition.get("isPaused"):
        return [_finding("paused", rule, description)]
    found: List[Finding] = []
    fields = differences(rule.definition, definition)
    if fields:
        found.append(_finding("edited", rule, description, fields=", ".join(fields)))
    states = world.reading.found.get(STATES)
    if states is None:
        return found
    judged = _judge_state(rule, _state_of(definition, states), world, description)
    # A definition that differs is no PASS.
    return found + [judged] if not found or judged.status != PASS else found


def _judge_state(rule: Expected, state: Optional[Mapping[str, Any]], world: World,
                 description: Mapping[str, Any]) -> Finding:
    evaluated = None if state is None else moment(state.get("lastEvaluation"))
    if state is None or evaluated is None:
        return _young(rule, world, description) if world.is_young else _finding("never", rule, description)
    age = world.now - evaluated
    interval = state["group"].get("interval")
    interval = float(interval) if isinstance(interval, (int, float)) and 0 < interval < 1e6 else _INTERVAL
    if age > max(_LATE_LEAST, _LATE_INTERVALS * interval):
        return _finding("stale", rule, description, ago=span(age), interval=span(interval))
    alerts = http_json.objects(state.get("alerts"))
    kinds = [_kind(alert.get("state")) for alert in alerts]
    health, word = state.get("health"), state.get("state")
    if health in ("error", "err") or kinds and all(kind.is_error for kind in kinds):
        error = http_json.masked(state.get("lastError") or "", world.reading.secrets)
        return _finding("error", rule, description, error=error or Text("no reason given", "이유 없음"))
    firing = [alert for alert, kind in zip(alerts, kinds) if kind.word in ("alerting", "recovering")]
    if word in ("firing", "recovering") and (firing or health == "ok"):
        return _judge_firing(rule, state, firing, world, description)
    if health == "nodata" or kinds and all(kind.is_blind for kind in kinds):
        if world.is_young:
            return _young(rule, world, description)
        return _finding("blind" if rule.severity == CRITICAL else "blind-warning", rule, description)
    if word == "pending":
        waiting = [alert for alert, kind in zip(alerts, kinds) if kind.word == "pending"]
        return _finding("pending", rule, description, alerts=waiting)
    if word == "inactive" and health == "ok" and (kinds or state.get("totals")):
        return _finding("normal", rule, description, ago=span(age))
    return _finding("unclear", rule, description, state=http_json.masked(word), health=http_json.masked(health))


def _young(rule: Expected, world: World, description: Mapping[str, Any]) -> Finding:
    age = world.now - world.started
    return _finding("young", rule, description, ago=span(age), rest=span(_SETTLES - age))


def _judge_firing(rule: Expected, state: Mapping[str, Any], firing: Sequence[Mapping[str, Any]], world: World,
                  description: Mapping[str, Any]) -> Finding:
    since = [at for at in map(moment, [*(alert.get("activeAt") for alert in firing), state.get("activeAt")])
             if at is not None]
    case = "firing" if rule.severity == CRITICAL and not rule.is_about_verification(description) else "firing-warning"
    return _finding(case, rule, description, ago=span(world.now - min(since, default=world.now)), alerts=firing)


class _Kind(NamedTuple):
    """The state of one alert: Normal, Pending, Alerting, ..., with reasons, e.g. Normal (NoData)."""

    word: str
    reasons: Sequence[str]

    @property
    def is_error(self) -> bool:
        return self.word == "error" or "error" in self.reasons

    @property
    def is_blind(self) -> bool:
        return self.word == "nodata" or self.word == "normal" and "nodata" in self.reasons


def _kind(text: Any) -> _Kind:
    match = _ALERT_STATE.match(str(text).lower())
    return _Kind(match.group(1), (match.group(2) or "").split(", ")) if match else _Kind("", ())


def _state_of(definition: Mapping[str, Any], states: Sequence[Mapping[str, Any]]) -> Optional[Mapping[str, Any]]:
    """A rule's state: by its uid, or by its names where Grafana gives no uid there (up to version 11)."""
    for state in states:
        if state.get("uid") == definition.get("uid"):
            return state
    return next((state for state in states if "uid" not in state and state.get("name") == definition.get("title")
                 and state["group"].get("name") == definition.get("ruleGroup")), None)


def differences(wanted: Mapping[str, Any], actual: Mapping[str, Any]) -> List[str]:
    """The fields in which a rule as Grafana has it is not the one wanted. Grafana adds defaults of its own."""
    found = [name for name in ("title", "condition", "noDataState", "execErrState")
             if str(wanted.get(name)).lower() != str(actual.get(name)).lower()]
    if seconds(wanted.get("for", "0s")) != seconds(actual.get("for", "0s")):
        found.append("for")
    found += [name for name in ("labels", "annotations") if not _holds(actual.get(name), wanted.get(name))]
    # Both would send a rule's alerts elsewhere, or keep them up.
    if actual.get("notification_settings"):
        found.append("notification_settings")
    if seconds(actual.get("keep_firing_for") or "0s") != seconds(wanted.get("keep_firing_for") or "0s"):
        found.append("keep_firing_for")
    steps = {str(step.get("refId")): step for step in http_json.objects(actual.get("data"))}
    for step in wanted["data"]:
        if not _holds(steps.pop(step["refId"], None), step):
            found.append("data %s" % step["refId"])
    return found + ["data %s" % http_json.masked(name) for name in steps]


def _holds(actual: Any, wanted: Any) -> bool:
    """Whether all that is wanted is there."""
    if isinstance(wanted, Mapping):
        return isinstance(actual, Mapping) and all(_holds(actual.get(name), value) for name, value in wanted.items())
    if isinstance(wanted, list):
        return isinstance(actual, list) and len(actual) == len(wanted) and all(map(_holds, actual, wanted))
    if isinstance(wanted, str) and isinstance(actual, str):
        # Versions differ in where of a file they take two dollar signs for one.
        return actual.replace("$$", "$") == wanted.replace("$$", "$")
    return bool(actual == wanted)


def _finding(case: str, rule: Expected, description: Mapping[str, Any], alerts: Sequence[Mapping[str, Any]] = (),
             **values: Any) -> Finding:
    labels = [alert["labels"] for alert in alerts if isinstance(alert.get("labels"), dict)]
    texts = {"container": grafana_api.container(description), "query": rule.query,
             "summary": Text(*(_filled(text, labels) for text in rule.summary)),
             "action": Text(*(_filled(text, labels) for text in rule.action))}
    return RULES["alert-rule"].finding(case, rule.name, **{**texts, **values})


def _filled(text: str, labels: Sequence[Mapping[str, Any]]) -> str:
    """A rule's text with the labels of the alerts that its template names."""
    def values(match: re.Match) -> str:
        name = match.group(1)
        found = dict.fromkeys(http_json.masked(each[name]) for each in labels if name in each)
        return ", ".join(found) or "\u2026"
    return _LABEL.sub(values, text)
