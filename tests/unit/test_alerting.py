"""Alert rules and notifications, as Grafana 10 to 13 tell of them over HTTP (see grafana_shapes/README.md)."""

from __future__ import annotations

import base64
import copy
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingTCPServer
from typing import Any

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils import (
    alert_rules,
    alert_state,
    findings,
    grafana_api,
    notification,
    notification_messages,
    notification_test,
)
from ansible_collections.coinpilot.ops.plugins.module_utils.engine import Engine, EngineError
from ansible_collections.coinpilot.ops.plugins.module_utils.findings import FAIL, PASS, UNKNOWN, WARN, Finding

SHAPES = Path(__file__).parent / "grafana_shapes"
VERSIONS = ["10", "11", "12", "13"]
PASSWORD, TOKEN = "correct-horse-battery", "t0ken-that-nobody-may-see"
WEBHOOK = f"http://127.0.0.1:9/api/webhooks/1234567890/{TOKEN}"
DISCORD_REFUSES = f'Post "https://discord.com/api/webhooks/1234567890/{TOKEN}": status 401 Invalid Webhook Token'


class Started(Engine):
    """An engine whose Prometheus and Grafana were started so many seconds ago; None: it does not answer."""

    def __init__(self, **seconds: float | None) -> None:
        self.seconds = seconds

    def containers(self, project: str) -> list[dict[str, Any]]:
        if None in self.seconds.values():
            raise EngineError("no answer")
        return [{"Id": name, "Name": "/" + name, "State": {"Status": "running", "StartedAt": ago(age or 0)},
                 "Config": {"Labels": {"com.docker.compose.service": name}}} for name, age in self.seconds.items()]


LONG_UP = Started(prometheus=9000, grafana=9000)


def rule(severity: str, query: str = "min(up) or vector(0)") -> dict[str, Any]:
    return {"group": "application", "severity": severity, "query": query, "below": 1, "for": "90s",
            "summary": {"en": "{service} is down", "ko": "{service} 멈춤"},
            "action": {"en": "docker logs {service}", "ko": "로그 확인: docker logs {service}"}}


RULES = {"BotDown": rule("critical"), "LatencyHigh": rule("warning"),
         "VerifyFailed": rule("critical", "max(coinpilot_verify_failed) or vector(0)")}


class Grafana:
    """Answers of one version, to be spoilt, and what was asked of it."""

    def __init__(self, version: str, directory: Path) -> None:
        self.shape = json.loads((SHAPES / f"{version}.json").read_text())
        self.asked: list[tuple[str, str, Any]] = []
        self.outcome = "ok"
        self.error = DISCORD_REFUSES
        self.broken: dict[str, tuple[int, Any]] = {}
        self.delay = 0.0
        made = alert_rules.grafana(RULES, "coinpilot", "CoinPilot")
        self.definitions = [
            {**{key: value for key, value in each.items() if key != "isPaused"}, "for": "1m30s",
             "ruleGroup": group["name"], **copy.deepcopy(self.shape["definition"])}
            for group in made["groups"] for each in group["rules"]]
        for step in (step for definition in self.definitions for step in definition["data"]):
            step["queryType"] = ""
        self.states = [self.filled(self.shape["rule"], each) for each in self.definitions]
        self.group = self.filled(self.shape["group"], self.definitions[0])
        self.contact_points = self.filled(self.shape["contact_points"], {})
        self.policies = self.shape["policies"]
        self.receivers = self.shape["receivers"]
        self.silences = self.shape["silences"]
        self.server = ThreadingTCPServer(("127.0.0.1", 0), self.handler())
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        (directory / ".env").write_text(
            f"GRAFANA_ADMIN_USER=boss\nGRAFANA_ADMIN_PASSWORD={PASSWORD}\nDISCORD_WEBHOOK_URL={WEBHOOK}\n")
        self.description: dict[str, Any] = {
            "name": "coinpilot", "title": "CoinPilot", "unit": "stack.service", "directory": str(directory),
            "project": "oci",
            "services": {"bot": {"engine": "application", "container": "coinpilot-bot"},
                         "prometheus": {"engine": "prometheus", "container": "coinpilot-prometheus"},
                         "grafana": {"engine": "grafana", "container": "coinpilot-grafana",
                                     "port": self.server.server_address[1]}},
            "alert_rules": RULES}

    def filled(self, part: Any, definition: dict[str, Any]) -> Any:
        text = json.dumps(part)
        for mark, value in (("@NAME@", definition.get("title", "")), ("@UID@", definition.get("uid", "")),
                            ("@GROUP@", definition.get("ruleGroup", "")), ("@NOW@", ago(10)),
                            ("@WEBHOOK@", WEBHOOK), ("@ERROR@", json.dumps(self.error)[1:-1])):
            text = text.replace(mark, value)
        return json.loads(text)

    def answer(self, path: str) -> tuple[int, Any]:
        if path in self.broken:
            return self.broken[path]
        if path in self.shape["test"]:
            status, body = self.shape["test"][path][self.outcome]
            return status, self.filled(body, {})
        rules = {"status": "success", "data": {"groups": [{**self.group, "rules": self.states}], "totals": {}}}
        return {
            "/api/health": (200, {"database": "ok", "version": self.shape["version"]}),
            alert_state.DEFINITIONS: (200, self.definitions), alert_state.STATES: (200, rules),
            notification.CONTACT_POINTS: (200, self.contact_points), notification.POLICIES: (200, self.policies),
            notification.RECEIVERS: (200, self.receivers), notification.SILENCES: (200, self.silences),
        }.get(path, (404, {"message": "Not found"}))

    def handler(self) -> type[BaseHTTPRequestHandler]:
        grafana = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                path = self.path.partition("?")[0]
                grafana.asked.append((self.command, self.path, json.loads(body) if body else None))
                login = base64.b64encode(f"boss:{PASSWORD}".encode()).decode()
                time.sleep(grafana.delay)
                status, content = grafana.answer(path)
                if path != "/api/health" and self.headers.get("Authorization") != f"Basic {login}":
                    status, content = 401, {"message": "Invalid username or password"}
                text = content.encode() if isinstance(content, str) else json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_POST = do_GET

            def log_message(self, *_: Any) -> None:
                pass

        return Handler

    def state(self, name: str) -> dict[str, Any]:
        return next(each for each in self.states if each["name"] == name)

    def definition(self, name: str) -> dict[str, Any]:
        return next(each for each in self.definitions if each["title"] == name)

    def rules(self, engine: Engine = LONG_UP) -> list[Finding]:
        return alert_state.judge(alert_state.gather(self.description, engine, patience=0), self.description)

    def notifications(self) -> list[Finding]:
        return notification.judge(notification.gather(self.description), self.description)

    def test(self) -> Finding:
        return notification_test.send(notification.gather(self.description), self.description)

    def env(self, **values: str) -> None:
        path = Path(self.description["directory"]) / ".env"
        path.write_text("".join(f"{key}={value}\n" for key, value in values.items()))


def ago(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() - seconds)) + ".123456789Z"


def bad(found: list[Finding]) -> list[tuple[str, str, str]]:
    return [(finding.id, finding.subject, finding.status) for finding in found if finding.status != PASS]


@pytest.fixture(params=VERSIONS)
def grafana(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Grafana]:
    made = Grafana(request.param, tmp_path)
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def newest(tmp_path: Path) -> Iterator[Grafana]:
    made = Grafana(VERSIONS[-1], tmp_path)
    yield made
    made.server.shutdown()
    made.server.server_close()


def nothing_secret_in(found: list[Finding]) -> None:
    shown = json.dumps([finding.as_dict() for finding in found])
    assert TOKEN not in shown and PASSWORD not in shown


# Rules ---------------------------------------------------------------------------------------------------------------

def test_all_is_well(grafana: Grafana) -> None:
    found = grafana.rules() + grafana.notifications()
    assert bad(found) == []
    assert [finding.subject for finding in found if finding.id == "alert-rule"] == list(RULES)
    assert all(method == "GET" for method, _, _ in grafana.asked)


Change = Callable[[Grafana], Any]


def alerts(*states: str, since: float = 300) -> list[dict[str, Any]]:
    return [{"labels": {"service": f"s{number}"}, "annotations": {}, "state": state, "activeAt": ago(since),
             "value": ""} for number, state in enumerate(states)]


def set_state(name: str, **values: Any) -> Change:
    return lambda grafana: grafana.state(name).update(values)


def edit(name: str, **values: Any) -> Change:
    return lambda grafana: grafana.definition(name).update(values)


def edit_query(grafana: Grafana) -> None:
    grafana.definition("BotDown")["data"][0]["model"]["expr"] = "vector(1)"


def remove_step(grafana: Grafana) -> None:
    grafana.definition("BotDown")["data"].pop()


def add_step(grafana: Grafana) -> None:
    grafana.definition("BotDown")["data"].append({"refId": "Z", "model": {}})


def drop(name: str) -> Change:
    def change(grafana: Grafana) -> None:
        grafana.definitions.remove(grafana.definition(name))
        grafana.states.remove(grafana.state(name))
    return change


NEVER = {"lastEvaluation": "0001-01-01T00:00:00Z", "alerts": []}


@pytest.mark.parametrize(("change", "status", "said"), [
    (drop("BotDown"), FAIL, "does not have it"),
    (edit("BotDown", isPaused=True), FAIL, "paused"),
    (edit("BotDown", **{"for": "5m"}), FAIL, "described: for"),
    (edit("BotDown", noDataState="Alerting"), FAIL, "described: noDataState"),
    (edit("BotDown", execErrState="OK"), FAIL, "described: execErrState"),
    (edit("BotDown", condition="A"), FAIL, "described: condition"),
    (edit("BotDown", labels={}), FAIL, "described: labels"),
    (edit("BotDown", notification_settings={"receiver": "other"}), FAIL, "described: notification_settings"),
    (edit("BotDown", keep_firing_for="10m"), FAIL, "described: keep_firing_for"),
    (edit_query, FAIL, "described: data A"),
    (remove_step, FAIL, "described: data C"),
    (add_step, FAIL, "described: data Z"),
    (edit("BotDown", data="x"), FAIL, "data A, data B, data C"),
    (set_state("BotDown", **NEVER), FAIL, "never evaluated"),
    (set_state("BotDown", lastEvaluation=ago(900)), FAIL, "minutes ago, though due every 30 seconds"),
    (set_state("BotDown", alerts=alerts("Normal (NoData)")), FAIL, "sees no data"),
    (set_state("BotDown", alerts=alerts("Normal (NoData, KeepLast)")), FAIL, "sees no data"),
    (set_state("BotDown", health="nodata", alerts=alerts("NoData")), FAIL, "sees no data"),
    # One of its series may come and go.
    (set_state("BotDown", alerts=alerts("Normal (NoData)", "Normal")), PASS, "normal"),
    (set_state("BotDown", alerts=alerts("Normal (MissingSeries)")), PASS, "normal"),
    (set_state("BotDown", alerts=[], totals={"normal": 3}), PASS, "normal"),
    (set_state("BotDown", alerts=[], totals={}), UNKNOWN, "inactive, ok"),
    (set_state("BotDown", health="error", state="firing", lastError=DISCORD_REFUSES, alerts=alerts("Error")), FAIL,
     "cannot be evaluated: Post \"https://discord.com/***\""),
    (set_state("BotDown", alerts=alerts("Normal (Error)")), FAIL, "cannot be evaluated"),
    (set_state("BotDown", state="pending", alerts=alerts("Pending")), WARN, "about to fire: s0 is down"),
    (set_state("BotDown", state="firing", alerts=alerts("Alerting", "Alerting", "Normal")), FAIL,
     "minutes: s0, s1 is down"),
    (set_state("BotDown", state="firing", alerts=alerts("Alerting (NoData)")), FAIL, "firing for "),
    (set_state("BotDown", state="recovering", alerts=alerts("Recovering")), FAIL, "firing for "),
    (set_state("BotDown", state="never heard of"), UNKNOWN, "never heard of"),
])
def test_a_critical_rule(grafana: Grafana, change: Change, status: str, said: str) -> None:
    change(grafana)
    found = grafana.rules()
    judged = [finding for finding in found if finding.subject == "BotDown"]
    assert [finding.status for finding in judged] == [status]
    assert said in judged[0].seen.en
    assert bad([finding for finding in found if finding.subject != "BotDown"]) == []
    nothing_secret_in(found)


def test_what_a_firing_rule_asks_for(newest: Grafana) -> None:
    set_state("BotDown", state="firing", alerts=alerts("Alerting"))(newest)
    judged = next(finding for finding in newest.rules() if finding.status == FAIL)
    assert judged.fix == findings.Text("docker logs s0", "로그 확인: docker logs s0")
    assert judged.seen.ko.endswith("분째 발생 중: s0 멈춤")


@pytest.mark.parametrize("change", [
    set_state("LatencyHigh", state="firing", alerts=alerts("Alerting")),
    set_state("LatencyHigh", alerts=alerts("Normal (NoData)")),
    # It fires for what the last verification found, and must not fail the next one by that.
    set_state("VerifyFailed", state="firing", alerts=alerts("Alerting")),
])
def test_what_is_only_a_warning(newest: Grafana, change: Change) -> None:
    change(newest)
    assert [status for _, _, status in bad(newest.rules())] == [WARN]


def test_edited_and_firing_are_two_findings(newest: Grafana) -> None:
    edit_query(newest)
    set_state("BotDown", state="firing", alerts=alerts("Alerting"))(newest)
    assert bad(newest.rules()) == [("alert-rule", "BotDown", FAIL)] * 2


def test_a_rule_that_is_described_no_more(grafana: Grafana) -> None:
    grafana.definitions += [{**grafana.definitions[0], "uid": "coinpilot-old", "title": "Old"},
                            {**grafana.definitions[0], "uid": "mine", "title": "Mine"}]
    assert bad(grafana.rules()) == [("alert-rule-extra", "Old", WARN)]


def test_rules_of_equal_names_elsewhere_are_not_taken_for_ours(newest: Grafana) -> None:
    newest.states.insert(0, {**newest.state("BotDown"), "uid": "other", "state": "firing"})
    assert bad(newest.rules()) == []


def test_two_dollar_signs_are_one(newest: Grafana) -> None:
    definition = newest.definition("BotDown")
    definition["annotations"] = json.loads(json.dumps(definition["annotations"]).replace("$$", "$"))
    assert bad(newest.rules()) == []


def test_pages(newest: Grafana) -> None:
    data = newest.answer(alert_state.STATES)[1]["data"]
    newest.broken[alert_state.STATES] = (200, {"status": "success", "data": {**data, "groupNextToken": "again"}})
    # A token that never ends is an answer that is none.
    assert bad(newest.rules()) == [("grafana-api", alert_state.STATES, UNKNOWN)]
    assert any("group_next_token=again" in path for _, path, _ in newest.asked)


def test_it_waits_for_the_first_evaluation(newest: Grafana, monkeypatch: pytest.MonkeyPatch) -> None:
    set_state("BotDown", **NEVER)(newest)
    edit("LatencyHigh", isPaused=True)(newest)
    set_state("LatencyHigh", **NEVER)(newest)
    monkeypatch.setattr(alert_state.time, "sleep", lambda _: newest.state("BotDown").update(
        lastEvaluation=ago(1), alerts=alerts("Normal")))
    world = alert_state.gather(newest.description, LONG_UP)
    assert bad(alert_state.judge(world, newest.description)) == [("alert-rule", "LatencyHigh", FAIL)]


@pytest.mark.parametrize(("engine", "status", "said"), [
    (Started(prometheus=40, grafana=9000), WARN, "no data yet: Prometheus or Grafana was started "),
    (Started(prometheus=9000, grafana=40), WARN, "no data yet"),
    (Started(prometheus=9000, grafana=200), FAIL, ""),
    # By a clock that was ahead.
    (Started(prometheus=-900, grafana=9000), FAIL, ""),
    (Started(bot=40), FAIL, ""),
    (Started(prometheus=None), FAIL, ""),
])
@pytest.mark.parametrize("state", [NEVER, {"alerts": [{"state": "Normal (NoData)"}]}])
def test_what_was_just_started_gets_time_for_its_first_data(newest: Grafana, state: dict[str, Any], engine: Engine,
                                                            status: str, said: str) -> None:
    set_state("BotDown", **state)(newest)
    judged = {finding.subject: finding for finding in newest.rules(engine)}
    assert judged["BotDown"].status == status and said in judged["BotDown"].seen.en
    assert judged["LatencyHigh"].status == PASS


# Grafana itself ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("change", "case", "said"), [
    (lambda grafana: grafana.env(GRAFANA_ADMIN_USER="boss", GRAFANA_ADMIN_PASSWORD="wrong-" + TOKEN), "login",
     "docker exec -it coinpilot-grafana grafana cli admin reset-admin-password"),
    (lambda grafana: grafana.env(GRAFANA_ADMIN_USER="boss"), "password", "vault"),
    (lambda grafana: Path(grafana.description["directory"], ".env").unlink(), "env", "site.yml"),
    (lambda grafana: (grafana.server.shutdown(), grafana.server.server_close()), "down", "docker logs"),
    (lambda grafana: grafana.description["services"].pop("grafana"), "none", "stack_services"),
])
def test_grafana_cannot_be_asked(newest: Grafana, change: Change, case: str, said: str) -> None:
    change(newest)
    for found in (newest.rules(), newest.notifications()):
        assert [(finding.id, finding.status) for finding in found] == [("grafana-api", UNKNOWN)]
        assert said in found[0].fix.en
        assert found[0].seen == grafana_api.RULES["grafana-api"].cases[case].seen.fill(
            port=newest.description["services"].get("grafana", {}).get("port"),
            env_file=f"{newest.description['directory']}/.env")
        nothing_secret_in(found)


@pytest.mark.parametrize(("answer", "said"), [
    ((403, {"message": "You'll need additional permissions"}), "403"), ((404, {"message": "Not found"}), "404"),
    ((410, {}), "410"), ((500, {"message": DISCORD_REFUSES}), "500"), ((502, "<html>bad gateway"), "502"),
    ((429, {}), "429"), ((302, ""), "not what"), ((200, "<html>"), "not what"), ((200, {"a": 1}), "not what"),
    ((200, [1, 2]), "not what"), ((204, ""), "not what"), ((200, "[" * 100000), "not what"), ((200, None), "not what"),
])
def test_a_part_that_cannot_be_read_is_unknown(newest: Grafana, answer: tuple[int, Any], said: str) -> None:
    newest.broken[alert_state.DEFINITIONS] = answer
    found = newest.rules()
    assert [status for _, _, status in bad(found)] == [UNKNOWN]
    assert said in found[0].seen.en
    nothing_secret_in(found)


def test_states_that_cannot_be_read_leave_the_definitions(newest: Grafana) -> None:
    newest.broken[alert_state.STATES] = (500, {"message": "database is locked"})
    edit_query(newest)
    assert bad(newest.rules()) == [("grafana-api", alert_state.STATES, UNKNOWN), ("alert-rule", "BotDown", FAIL)]


def test_a_grafana_that_does_not_answer_in_time(newest: Grafana, monkeypatch: pytest.MonkeyPatch) -> None:
    newest.delay = 0.5
    monkeypatch.setattr(grafana_api.Grafana.__init__, "__defaults__", (0.1,))
    assert bad(newest.rules()) == [("grafana-api", "", UNKNOWN)]


JUNK: list[Any] = [
    None, 0, 1e400, -1, "", "x" * 5000, "\x00\x1b[31m", [], [[]], {}, {"labels": None}, [None, 3, {"state": []}],
    "9999-99-99T99:99:99Z", "2026-11-23T08:00:00+99:99", True]


@pytest.mark.parametrize("junk", JUNK, ids=lambda junk: repr(junk)[:20])
def test_no_answer_breaks_the_verdict(newest: Grafana, junk: Any) -> None:
    """Every field of every answer, replaced."""
    parts = [newest.definitions[0], newest.states[0], newest.group, newest.states[0]["alerts"][0],
             newest.contact_points[0], newest.policies, newest.policies["routes"][0], newest.receivers[0],
             newest.receivers[0]["integrations"][0], newest.silences[0]]
    newest.silences[0]["status"]["state"] = "active"
    description = newest.description
    for part in parts:
        for key in list(part):
            kept, part[key] = part[key], junk
            reading = grafana_api.Reading({path: newest.answer(path)[1] for path in (
                alert_state.DEFINITIONS, notification.CONTACT_POINTS, notification.POLICIES, notification.RECEIVERS,
                notification.SILENCES)}, {})
            states = [{**state, "group": newest.group} for state in newest.states]
            world = reading._replace(found={**reading.found, alert_state.STATES: states})
            found = alert_state.judge(alert_state.World(time.time(), world), description)
            found += notification.judge(notification.World(time.time(), world, WEBHOOK), description)
            assert findings.render_text(found, "ko")
            part[key] = kept


# Notifications -------------------------------------------------------------------------------------------------------

def test_without_a_webhook_alerts_go_nowhere(grafana: Grafana) -> None:
    grafana.env(GRAFANA_ADMIN_USER="boss", GRAFANA_ADMIN_PASSWORD=PASSWORD)
    del grafana.contact_points[0]
    found = grafana.notifications()
    assert bad(found) == [("contact-point", notification_messages.NAME, WARN)]
    assert "alerts go nowhere" in found[-1].seen.en


def test_a_webhook_that_was_taken_out_is_still_grafanas(grafana: Grafana) -> None:
    grafana.env(GRAFANA_ADMIN_USER="boss", GRAFANA_ADMIN_PASSWORD=PASSWORD)
    found = grafana.notifications()
    assert bad(found) == [("contact-point", notification_messages.NAME, WARN)]
    assert "an earlier deploy" in next(finding for finding in found if finding.status == WARN).seen.en


def route(**changes: Any) -> Change:
    return lambda grafana: grafana.policies["routes"][0].update(changes)


def silence(*matchers: tuple[str, str, bool, bool], state: str = "active") -> Change:
    def change(grafana: Grafana) -> None:
        grafana.silences[0].update(
            status={"state": state}, endsAt=ago(-7200), comment="exchange's maintenance",
            matchers=[{"name": name, "value": value, "isRegex": regex, "isEqual": equal}
                      for name, value, regex, equal in matchers])
    return change


def integration(**values: Any) -> Change:
    return lambda grafana: grafana.receivers[0]["integrations"][0].update(values)


@pytest.mark.parametrize(("change", "rule", "status", "said"), [
    (lambda grafana: grafana.contact_points.pop(0), "contact-point", FAIL, "does not have it"),
    (lambda grafana: grafana.contact_points[0].update(type="slack"), "contact-point", FAIL, "type slack"),
    (lambda grafana: grafana.contact_points[0].update(settings={}), "contact-point", FAIL, "no address"),
    (lambda grafana: grafana.contact_points[0]["settings"].update(url="https://discord.com/api/webhooks/9/" + TOKEN),
     "contact-point", FAIL, "another address"),
    (lambda grafana: grafana.policies.update(receiver="grafana-default-email"), "alert-routing", FAIL,
     "leads to grafana-default-email"),
    (route(receiver="email"), "alert-routing", FAIL, "goes to email instead: BotDown, VerifyFailed"),
    (route(receiver="email", object_matchers=[["alertname", "=~", "Latency.*"]]), "alert-routing", FAIL,
     "instead: LatencyHigh"),
    (route(receiver="email", object_matchers=[["team", "=", "x"]]), "alert-routing", PASS, "all goes"),
    (route(receiver="email", object_matchers=[["severity", "!=", "warning"]]), "alert-routing", FAIL, "BotDown"),
    # The next branch, or the trunk where there is none, is taken only after a branch that says so.
    (lambda grafana: grafana.policies.update(
        routes=[{"receiver": "email", "continue": True}, {"receiver": notification_messages.NAME}]),
     "alert-routing", PASS, "all goes"),
    (route(mute_time_intervals=["nights"]), "alert-routing", WARN, "by nights: BotDown, VerifyFailed"),
    (route(active_time_intervals=["office"]), "alert-routing", WARN, "by office"),
    (integration(lastNotifyAttempt=ago(600), lastNotifyAttemptDuration="210ms"), "alert-delivery", PASS,
     "minutes ago, took 210ms"),
    (integration(lastNotifyAttempt=ago(600), lastNotifyAttemptError=DISCORD_REFUSES), "alert-delivery", FAIL,
     "minutes ago: Post \"https://discord.com/***\": status 401"),
    (lambda grafana: grafana.receivers.pop(0), "alert-delivery", UNKNOWN, "no deliveries"),
    (silence(("alertname", "BotDown", False, True)), "alert-silence", WARN, "maintenance): BotDown"),
    (silence(("alertname", ".*", True, True)), "alert-silence", WARN, "all alerts are silenced for another"),
    (silence(("severity", "critical|warning", True, True)), "alert-silence", WARN, "all alerts"),
    (silence(("alertname", "BotDown", False, False)), "alert-silence", WARN, "LatencyHigh, VerifyFailed"),
    # Some of its alerts may have it.
    (silence(("service", "db", False, True)), "alert-silence", WARN, "all alerts"),
    (silence(("alertname", "Other", False, True)), "alert-silence", PASS, "none"),
    (silence(("alertname", ".*", True, True), state="expired"), "alert-silence", PASS, "none"),
    (silence(("alertname", "(.+)+x", True, True)), "alert-silence", WARN, "all alerts"),
    (silence(("alertname", "[", True, True)), "alert-silence", WARN, "all alerts"),
])
def test_notifications(grafana: Grafana, change: Change, rule: str, status: str, said: str) -> None:
    change(grafana)
    found = grafana.notifications()
    judged = [finding for finding in found if finding.id == rule]
    assert [finding.status for finding in judged] == [status]
    assert said in judged[0].seen.en
    if rule != "contact-point":
        assert bad([finding for finding in found if finding.id != rule]) == []
    nothing_secret_in(found)


@pytest.mark.parametrize(("error", "advice"), [
    ("the Discord API responded (status 404) with error code 10015: Unknown Webhook", "make a new one"),
    ("the Discord API responded (status 429) with error code 0: You are being rate limited.", "tries again by itself"),
    ('Post "https://discord.com/api/webhooks/1/x": context deadline exceeded', "does the host reach Discord?"),
    ("dial tcp: lookup discord.com on 127.0.0.11:53: no such host", "does the host reach Discord?"),
    ("unexpected status code 500 from Discord", "docker logs --tail 50 coinpilot-grafana"),
])
def test_what_to_do_about_a_failed_delivery(newest: Grafana, error: str, advice: str) -> None:
    integration(lastNotifyAttempt=ago(60), lastNotifyAttemptError=error)(newest)
    assert advice in next(finding for finding in newest.notifications() if finding.status == FAIL).fix.en


# The test message ----------------------------------------------------------------------------------------------------

def test_a_test_message(grafana: Grafana) -> None:
    judged = grafana.test()
    assert (judged.id, judged.status) == ("test-message", PASS)
    path, body = [(path, body) for method, path, body in grafana.asked if method == "POST"][-1]
    assert "시험 메시지" in body["alert"]["labels"]["alertname"]
    assert "This is a test" in body["alert"]["annotations"]["summary"]
    if grafana.shape["version"].startswith("13"):
        assert path.endswith("/receivers/ZGlzY29yZA/test")
        assert body["integration"]["version"] == "v1"
        assert body["integration"]["secureFields"] == {"url": True}
    else:
        config = body["receivers"][0]["grafana_managed_receiver_configs"][0]
        shown = grafana.shape["version"].startswith("10")
        assert config["uid"] == "coinpilot-discord"
        assert config["settings"] == {"title": "t", "message": "m", **({"url": WEBHOOK} if shown else {})}
        assert config["secureFields"] == ({} if shown else {"url": True})


def test_a_test_message_that_discord_refuses(grafana: Grafana) -> None:
    grafana.outcome = "failed"
    judged = grafana.test()
    assert judged.status == FAIL
    assert "Invalid Webhook Token" in judged.seen.en and "make a new one" in judged.fix.en
    nothing_secret_in([judged])


@pytest.mark.parametrize(("path", "answer", "status"), [
    (notification.RECEIVERS + "/test", (403, {"message": "no"}), FAIL),
    (notification.RECEIVERS + "/test", (400, {"message": "unknown receiver"}), FAIL),
    (notification.RECEIVERS + "/test", (500, {"message": DISCORD_REFUSES}), FAIL),
    (notification.RECEIVERS + "/test", (200, "<html>"), UNKNOWN),
    (notification.RECEIVERS + "/test", (200, {"receivers": 3}), UNKNOWN),
    (notification_test.NEW, (200, {"items": []}), UNKNOWN),
    (notification_test.NEW, (200, {"items": [None, {"spec": 1, "metadata": 2}]}), UNKNOWN),
    (notification_test.NEW + "/ZGlzY29yZA/test", (400, {"kind": "Status", "message": "unknown integration type"}),
     FAIL),
    (notification_test.NEW + "/ZGlzY29yZA/test", (200, {"status": "Failure"}), UNKNOWN),
])
def test_a_test_that_grafana_does_not_make(newest: Grafana, path: str, answer: tuple[int, Any], status: str) -> None:
    newest.broken[path] = answer
    judged = newest.test()
    assert judged.status == status
    nothing_secret_in([judged])


def test_no_contact_point_no_test(newest: Grafana) -> None:
    newest.contact_points.clear()
    assert newest.test().status == UNKNOWN
    assert all(method == "GET" for method, _, _ in newest.asked)


def test_a_grafana_that_cannot_test(newest: Grafana) -> None:
    """A version to come: the webhook itself is tried, and the finding says that this is all that was."""
    newest.broken[notification_test.NEW] = (404, {})
    port = newest.description["services"]["grafana"]["port"]
    for webhook, status in ((f"http://127.0.0.1:{port}/api/health", WARN), (WEBHOOK, FAIL), ("nonsense", UNKNOWN),
                            (f"http://127.0.0.1:{port}/api/webhooks/1/{TOKEN}", FAIL)):
        newest.env(GRAFANA_ADMIN_USER="boss", GRAFANA_ADMIN_PASSWORD=PASSWORD, DISCORD_WEBHOOK_URL=webhook)
        judged = newest.test()
        assert judged.status == status, webhook
        nothing_secret_in([judged])


def test_every_text_can_be_filled() -> None:
    for rules in (alert_state.RULES, notification_messages.RULES, grafana_api.RULES):
        for rule in rules.values():
            for case in rule.cases.values():
                assert all(case.seen) and (case.status == PASS or all(case.fix)), rule.id
