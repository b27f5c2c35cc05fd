"""An alert instance's states, as Grafana moves it from one to the next. Pure: time comes from outside."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from . import durations, gotemplate
from .expressions import EXPRESSION, Result

NORMAL, PENDING, ALERTING, NO_DATA, ERROR = "Normal", "Pending", "Alerting", "NoData", "Error"
FIRING = {ALERTING, NO_DATA, ERROR}
# A series that is missing for so many evaluations in a row is taken to be gone, and its alert resolved.
MISSING_EVALUATIONS = 2
MISSING_SERIES = "MissingSeries"


@dataclass
class Instance:
    labels: dict[str, str]
    annotations: dict[str, str] = field(default_factory=dict)
    state: str = NORMAL
    reason: str = ""
    since: float = 0
    evaluated: float = 0
    value: float | None = None
    values: dict[str, float] = field(default_factory=dict)
    error: str = ""
    missing: int = 0

    @property
    def shown_state(self) -> str:
        return f"{self.state} ({self.reason})" if self.reason and self.reason != self.state else self.state

    @property
    def sent_labels(self) -> dict[str, str]:
        """What the notification says: the two special states go by names of their own."""
        name = {NO_DATA: "DatasourceNoData", ERROR: "DatasourceError"}.get(self.state)
        return {**self.labels, "alertname": name, "rulename": self.labels["alertname"]} if name else self.labels


@dataclass
class Change:
    """What an evaluation did to an instance; `labels` are those it was known by to the notifications before."""

    instance: Instance
    before: str
    labels: dict[str, str]

    @property
    def fires(self) -> bool:
        return self.instance.state in FIRING

    @property
    def resolves(self) -> bool:
        return self.before in FIRING and (not self.fires or self.labels != self.instance.sent_labels)


def evaluated(
    rule: dict[str, Any], instances: dict[str, Instance], found: list[Result], error: str, now: float
) -> list[Change]:
    """Moves the rule's instances (key -> instance, changed in place) and tells what became of each."""
    if error:
        return _special(rule, instances, ERROR, rule["execErrState"], error, now)
    if not found:
        return _special(rule, instances, NO_DATA, rule["noDataState"], "", now)
    changes = []
    seen = set()
    for result in found:
        key = _key(result.labels)
        seen.add(key)
        instance = instances.setdefault(key, Instance({}, since=now))
        labels = instance.sent_labels if instance.labels else {}
        _describe(rule, instance, result)
        before = instance.state
        _move(rule, instance, ALERTING if result.value != 0 else NORMAL, "", now)
        instance.value, instance.values = result.value, result.values
        changes.append(Change(instance, before, labels))
    return changes + _missing(instances, seen, now)


def stopped(instances: dict[str, Instance], reason: str, now: float) -> list[Change]:
    """The rule is paused, changed or gone: nothing fires any more."""
    changes = []
    for instance in instances.values():
        before, labels = instance.state, instance.sent_labels
        _set(instance, NORMAL, reason, now)
        changes.append(Change(instance, before, labels))
    instances.clear()
    return changes


def _special(
    rule: dict[str, Any], instances: dict[str, Instance], what: str, wanted: str, error: str, now: float
) -> list[Change]:
    """No data, or an error. All instances go with it, except where it is a state of its own: that is one instance."""
    own = wanted in (NO_DATA, ERROR)
    source = next(query for query in rule["data"] if query["datasourceUid"] != EXPRESSION)
    extra = {"datasource_uid": source["datasourceUid"], "ref_id": source["refId"]} if own else {}
    if own or not instances:
        instances.setdefault(_key(extra), Instance({}, since=now))
    moved = {_key(extra): instances[_key(extra)]} if own else dict(instances)
    changes = []
    for instance in moved.values():
        before, labels = instance.state, instance.sent_labels if instance.labels else {}
        if not labels:
            _describe(rule, instance, Result(extra, 0, {}))
        state = {"OK": NORMAL, "KeepLast": instance.state}.get(wanted, wanted)
        _move(rule, instance, state, f"{what}, KeepLast" if wanted == "KeepLast" else what, now)
        instance.error, instance.value, instance.values = error, None, {}
        if error:
            instance.annotations["Error"] = error
        changes.append(Change(instance, before, labels))
    return changes + (_missing(instances, set(moved), now) if own else [])


def _missing(instances: dict[str, Instance], seen: set[str], now: float) -> list[Change]:
    changes = []
    for key in set(instances) - seen:
        instance = instances[key]
        instance.missing += 1
        if instance.missing < MISSING_EVALUATIONS:
            continue
        before, labels = instance.state, instance.sent_labels
        _set(instance, NORMAL, MISSING_SERIES, now)
        changes.append(Change(instance, before, labels))
        del instances[key]
    return changes


def _move(rule: dict[str, Any], instance: Instance, wanted: str, reason: str, now: float) -> None:
    instance.missing, instance.evaluated, instance.error = 0, now, ""
    wait = durations.seconds(rule["for"])
    if wanted == ALERTING and instance.state != ALERTING:
        if instance.state != PENDING and wait:
            wanted = PENDING
        elif instance.state == PENDING and now - instance.since < wait:
            wanted = PENDING
    _set(instance, wanted, reason, now)


def _set(instance: Instance, state: str, reason: str, now: float) -> None:
    if instance.state != state:
        instance.since = now
    instance.state, instance.reason = state, reason


def _describe(rule: dict[str, Any], instance: Instance, result: Result) -> None:
    """Labels and annotations of what was found; an annotation that cannot be expanded says so, as in Grafana."""
    templates = gotemplate.Templates()
    values = {name: gotemplate.Value(number) for name, number in result.values.items()}
    dot = gotemplate.Record(Labels=dict(result.labels), Values=values, Value=gotemplate.Value(result.value))

    def expanded(text: str) -> str:
        try:
            return templates.expand(gotemplate.RULE_VARIABLES + text, dot)
        except gotemplate.TemplateError as error:
            return f"[error] failed to expand template: {error}"

    instance.labels = {**result.labels, **{key: expanded(text) for key, text in rule["own_labels"].items()}}
    instance.annotations = {key: expanded(text) for key, text in rule["annotations"].items()}


def _key(labels: dict[str, str]) -> str:
    return json.dumps(labels, sort_keys=True)
