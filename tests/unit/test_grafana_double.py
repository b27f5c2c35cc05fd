"""The double of Grafana: its own state machine, routing and templates, without Prometheus and without Discord."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "stand_in" / "images" / "grafana"))

from grafana_double import alerting, durations, expressions, gotemplate, provisioning, states, store
from grafana_double.notification import Alert, Notifications, SendError

EXPRESSION = {"datasourceUid": "__expr__"}
THRESHOLD = {"type": "threshold", "expression": "B", "conditions": [{"evaluator": {"type": "lt", "params": [1]}}]}
DATA = [
    {"refId": "A", "datasourceUid": "prometheus", "model": {"expr": "up", "instant": True}},
    {"refId": "B", **EXPRESSION, "model": {"type": "reduce", "expression": "A", "reducer": "last"}},
    {"refId": "C", **EXPRESSION, "model": THRESHOLD},
]
RULE = {"uid": "stack-down", "title": "Down", "condition": "C", "data": DATA, "for": "1m", "noDataState": "OK",
        "execErrState": "Error", "annotations": {"summary": "{{ $labels.job }} is {{ .Values.B }}"}}
DISCORD = {"name": "discord", "receivers": [
    {"uid": "stack-discord", "type": "discord", "settings": {
        "url": "http://192.0.2.1/secret", "title": "{{ .Status }}", "message": "{{ len .Alerts }}"}}]}
POLICY = {"receiver": "discord", "group_by": ["alertname"], "group_wait": "10s", "group_interval": "30s",
          "repeat_interval": "4h"}


def rule(**changes: Any) -> dict[str, Any]:
    return {**RULE, "own_labels": {"alertname": "Down", "severity": "critical"}, **changes}


def result(value: float, **labels: str) -> expressions.Result:
    return expressions.Result(labels, value, {"B": 1 - value, "C": value})


class Series:
    """One rule's evaluations, ten seconds apart; what the instance is after each."""

    def __init__(self, **changes: Any) -> None:
        self.rule = rule(**changes)
        self.instances: dict[str, states.Instance] = {}
        self.now = 0.0

    def evaluated(self, *found: expressions.Result, error: str = "", seconds: float = 10) -> list[states.Change]:
        self.now += seconds
        return states.evaluated(self.rule, self.instances, list(found), error, self.now)

    def shown(self) -> list[str]:
        return [instance.shown_state for instance in self.instances.values()]


def test_it_is_pending_for_as_long_as_the_rule_says_and_then_fires_until_it_is_well() -> None:
    series = Series()
    seen = []
    for value in (0, 1, 1, 1, 1, 1, 1, 1, 0):
        changes = series.evaluated(result(value, job="bot"))
        seen.append((series.shown()[0], changes[0].fires, changes[0].resolves))
    assert seen == [("Normal", False, False)] + [("Pending", False, False)] * 6 + \
        [("Alerting", True, False), ("Normal", False, True)]
    assert series.instances['{"job": "bot"}'].annotations == {"summary": "bot is 1"}


def test_a_short_fault_is_never_told() -> None:
    series = Series()
    changes = [series.evaluated(result(value))[0] for value in (1, 1, 0, 1)]
    assert not any(change.fires or change.resolves for change in changes)
    assert series.shown() == ["Pending"] and series.instances["{}"].since == 40


@pytest.mark.parametrize(("state", "shown", "fires"), [
    ("OK", "Normal (NoData)", False), ("NoData", "NoData", True), ("Alerting", "Alerting (NoData)", True),
    ("KeepLast", "Normal (NoData, KeepLast)", False)])
def test_no_data_is_what_the_rule_makes_of_it(state: str, shown: str, fires: bool) -> None:
    series = Series(noDataState=state, **{"for": "0s"})
    changes = series.evaluated()
    assert series.shown() == [shown]
    assert [change.fires for change in changes] == [fires]


def test_an_error_is_an_alert_of_its_own_and_gone_after_two_good_evaluations() -> None:
    series = Series()
    change = series.evaluated(error="refused")[0]
    assert change.fires and change.instance.sent_labels["alertname"] == "DatasourceError"
    assert change.instance.sent_labels["rulename"] == "Down"
    series.evaluated(result(0))
    gone = series.evaluated(result(0))
    assert [change.resolves for change in gone] == [False, True] and series.shown() == ["Normal"]


def test_a_series_that_is_gone_is_resolved_after_two_evaluations() -> None:
    series = Series(**{"for": "0s"})
    series.evaluated(result(1, job="a"), result(1, job="b"))
    assert not any(change.resolves for change in series.evaluated(result(1, job="a")))
    gone = [change for change in series.evaluated(result(1, job="a")) if change.resolves]
    assert [change.labels["job"] for change in gone] == ["b"] and gone[0].instance.reason == "MissingSeries"


class Discord:
    """Notifications whose messages are caught before they leave, or fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sent: list[tuple[float, str]] = []
        self.now, self.failure = 0.0, ""
        self.notifications = Notifications("12", "http://localhost:3000/")
        self.notifications.configure([DISCORD], POLICY, [])
        monkeypatch.setattr("grafana_double.notification._post", self._post)
        self.begun: list[Any] = []
        monkeypatch.setattr(self.notifications._senders, "submit", lambda *work: self.begun.append(work))

    def _post(self, url: str, message: dict[str, Any]) -> None:
        if self.failure:
            raise SendError(self.failure)
        self.sent.append((self.now, f"{message['embeds'][0]['title']} {message['content']}"))

    def put(self, name: str, ended: bool = False) -> None:
        ends = max(self.now, 1) if ended else None
        self.notifications.put(Alert({"alertname": "Down", "job": name}, {}, 1, ends), self.now)

    def until(self, moment: float) -> None:
        while self.now < moment:
            self.now += 1
            self.notifications.send_due(self.now)
            for work, *given in self.begun:
                work(*given)
            self.begun.clear()


@pytest.fixture
def discord(monkeypatch: pytest.MonkeyPatch) -> Discord:
    return Discord(monkeypatch)


def test_a_group_is_told_once_and_resolved_once(discord: Discord) -> None:
    discord.put("a")
    discord.put("b")
    discord.until(100)
    discord.put("a", ended=True)
    discord.put("b", ended=True)
    discord.until(400)
    assert discord.sent == [(10, "firing 2"), (130, "resolved 2")]
    assert not discord.notifications.alerts() and not discord.notifications.remembered()


def test_what_was_over_before_it_was_told_is_not_told(discord: Discord) -> None:
    discord.put("a")
    discord.put("a", ended=True)
    discord.until(100)
    assert discord.sent == []


def test_it_is_told_again_after_the_repeat_interval_only(discord: Discord) -> None:
    discord.put("a")
    discord.until(4 * 3600 + 60)
    assert [moment for moment, _ in discord.sent] == [10, 4 * 3600 + 10]


def test_a_message_that_was_refused_is_tried_at_the_next_interval_and_said(discord: Discord) -> None:
    discord.failure = "the Discord API responded (status 429) with error code 0: You are being rate limited."
    discord.put("a")
    discord.until(20)
    assert discord.sent == [] and "429" in discord.notifications.attempts["stack-discord"].error
    discord.failure = ""
    discord.until(100)
    assert discord.sent == [(40, "firing 1")] and not discord.notifications.attempts["stack-discord"].error


def test_what_was_told_before_a_restart_is_not_told_again(discord: Discord, monkeypatch: pytest.MonkeyPatch) -> None:
    discord.put("a")
    discord.until(20)
    later = Discord(monkeypatch)
    later.notifications.remember(discord.notifications.remembered(), 20)
    later.until(100)
    assert later.sent == []
    later.put("a", ended=True)
    later.until(200)
    assert [text for _, text in later.sent] == ["resolved 1"]


def test_a_silence_keeps_its_alerts_back_while_it_lasts(discord: Discord) -> None:
    silences = discord.notifications.silences
    with pytest.raises(ValueError, match="no matchers"):
        silences.add({"matchers": [], "startsAt": "2026-01-01T00:00:00Z", "endsAt": "2999-01-01T00:00:00Z",
                      "comment": "", "createdBy": ""})
    silence = silences.add({
        "matchers": [{"name": "job", "value": "a|c", "isRegex": True}], "startsAt": "2026-01-01T00:00:00Z",
        "endsAt": "2999-01-01T00:00:00Z", "comment": "works", "createdBy": "admin"})
    discord.put("a")
    discord.until(60)
    assert discord.sent == [] and silences.shown()[0]["status"] == {"state": "active"}
    discord.put("b")
    discord.until(100)
    assert [text for _, text in discord.sent] == ["firing 1"]
    assert silences.expire(silence) and not silences.expire("unknown")
    discord.until(200)
    assert [text for _, text in discord.sent] == ["firing 1", "firing 2"]


def test_the_address_is_in_no_error() -> None:
    notifications = Notifications("12", "http://localhost:3000/")
    receiver = {"type": "discord", "settings": {"url": "http://127.0.0.1:9/a-token"}}
    error = notifications.test(receiver, Alert({"alertname": "Test"}, {}, 1))
    assert error and "a-token" not in error
    receiver["settings"] = {"url": "no address, a-token"}
    error = notifications.test(receiver, Alert({"alertname": "Test"}, {}, 1))
    assert error and "a-token" not in error


@pytest.fixture
def grafana(tmp_path: Path) -> alerting.Alerting:
    kept = store.Store(tmp_path / "grafana.db", "admin", "admin")
    return alerting.Alerting(kept, Notifications("12", "http://localhost:3000/"), lambda uid, query: [])


def provisioned(*rules: dict[str, Any], deleted: tuple[str, ...] = ()) -> provisioning.Provisioned:
    group = {"name": "application", "folder": "Stack", "interval": 30, "rules": list(rules)}
    return provisioning.Provisioned(alert_groups=[group], deleted_rules=list(deleted))


def test_a_rule_stays_until_it_is_deleted(grafana: alerting.Alerting) -> None:
    grafana.provision(provisioned(RULE, {**RULE, "uid": "stack-late"}))
    grafana.provision(provisioned(RULE))
    assert [stored["uid"] for stored in grafana.rules()] == ["stack-down", "stack-late"]
    grafana.provision(provisioned(RULE, deleted=("stack-late", "stack-unknown")))
    assert [stored["uid"] for stored in grafana.rules()] == ["stack-down"]


def test_a_rule_from_a_file_is_not_changed_by_the_api(grafana: alerting.Alerting) -> None:
    grafana.provision(provisioned(RULE))
    with pytest.raises(alerting.Refused, match="needs 'file'"):
        grafana.save({**RULE, "isPaused": True}, alerting.NONE, "stack-down")
    own = {**RULE, "uid": "own", "folderUID": alerting.folder_uid("Stack"), "ruleGroup": "application"}
    grafana.save(own, alerting.NONE)
    assert grafana.save({**own, "isPaused": True}, alerting.API, "own")["isPaused"]
    grafana.delete("own", alerting.NONE)
    assert len(grafana.rules()) == 1


def test_what_grafana_would_not_start_with_is_refused(tmp_path: Path) -> None:
    (tmp_path / "alerting").mkdir()
    for wrong in ({"groups": [{"name": "a", "folder": "b", "interval": "15s", "rules": [RULE]}]},
                  {"groups": [{"name": "a", "folder": "b", "interval": "30s", "rules": [RULE]}]},
                  {"grups": []}):
        # The rule's annotation holds a single $: a variable of Grafana's environment.
        (tmp_path / "alerting" / "rules.yml").write_text(provisioning.json.dumps({"apiVersion": 1, **wrong}))
        with pytest.raises(provisioning.ProvisioningError):
            provisioning.load(tmp_path, {})


@pytest.mark.parametrize(("template", "text"), [
    ('{{ define "x" }}[{{ . }}]{{ end }}{{ template "x" .Name }}', "[n]"),
    ("a {{- /* nothing */ -}} b", "ab"),
    ('{{ if eq .Name "m" }}m{{ else if eq .Name "n" }}n{{ else }}?{{ end }}', "n"),
    ("{{ range $i, $x := .List }}{{ $i }}{{ $x }}{{ else }}none{{ end }}", "0a1b"),
    ("{{ range .Empty }}{{ . }}{{ else }}none{{ end }}", "none"),
    ('{{ with .Map.missing }}{{ . }}{{ else }}-{{ end }}{{ .Map.k | toUpper }}', "-V"),
    ('{{ .Map.SortedPairs.Values | join "," }} {{ (index .List 1) }} {{ .Number }}', "v b 0.5"),
    ("{{ $n := len .List }}{{ if gt $n 1 }}{{ $n }}{{ end }}", "2"),
])
def test_templates(template: str, text: str) -> None:
    dot = gotemplate.Record(Name="n", List=["a", "b"], Empty=[], Map={"k": "v"}, Number=0.5)
    assert gotemplate.Templates().expand(template, dot) == text


@pytest.mark.parametrize("template", [
    "{{ if }}", "{{ .Nothing }}", "{{ unknown 1 }}", "{{ end }}", "{{ range .List }}", "{{ .Name", "{{ $x }}",
    '{{ template "x" . }}', "{{ .Name | }}", "{{ (.Name }}"])
def test_templates_that_are_wrong_or_unknown(template: str) -> None:
    with pytest.raises(gotemplate.TemplateError):
        gotemplate.Templates().expand(template, gotemplate.Record(Name="n", List=[]))


def test_numbers_and_durations() -> None:
    numbers = [0, 1, 0.5, 99.5, 1e6, 123456789, 1e-7, float("nan")]
    assert list(map(gotemplate.number, numbers)) == ["0", "1", "0.5", "99.5", "1e+06", "1.23456789e+08", "1e-07", "NaN"]
    assert [durations.seconds(text) for text in ("0", "0s", "90s", "1h30m")] == [0, 0, 90, 5400]
    assert [durations.duration(value) for value in (0, 90, 5400)] == ["0s", "1m30s", "1h30m"]
    with pytest.raises(ValueError, match="duration"):
        durations.seconds("soon")
