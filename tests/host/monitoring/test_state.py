"""The true state of alerting on the provisioned host: each thing that breaks is its own finding, and no other.

Prometheus is the real one. Grafana is a double: it reads the real files, evaluates against that Prometheus and answers
as Grafana does, in the shapes that tests/unit/grafana_shapes/README.md names the sources of.
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from discord_on_host import Discord
from stack_on_host import DIRECTORY, Play
from testinfra.host import Host

RULES_FILE = f"{DIRECTORY}/monitoring/grafana/provisioning/alerting/rules.yml"
PROMETHEUS_FILE = f"{DIRECTORY}/monitoring/prometheus/prometheus.yml"
ENV_FILE = f"{DIRECTORY}/.env"
CONTACT_POINT = "discord (managed)"
RESULTS = "/var/tmp/monitoring_state.json"
# What the host's own command is packed of, run without Ansible.
LOOK = """
import json, sys
sys.path.insert(0, "/usr/local/bin/coinpilot-ops")
from coinpilot_ops import alert_state, engine, notification, notification_test, targets
description = json.load(open("/etc/coinpilot/stack.json"))
world = notification.gather(description)
found = alert_state.judge(alert_state.gather(description, engine.Engine(), float(sys.argv[1])), description)
found += notification.judge(world, description)
found += targets.judge(targets.gather(description, 60), description)
found += [notification_test.send(world, description)] if sys.argv[2:] else []
print(json.dumps([finding.as_dict() for finding in found]))
"""
Finding = tuple[str, str, str]


class State:
    """What is found to be wrong now, and was not wrong with this host before."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.usual: set[Finding] = set()
        # Messages of before the sink was there are told again.
        deadline = time.monotonic() + 300
        while any(finding[0] == "alert-delivery" for finding in self.bad(75)):
            assert time.monotonic() < deadline, self.bad()
            time.sleep(2)
        self.usual = self.bad()

    def findings(self, patience: float = 0, *more: str) -> list[dict[str, Any]]:
        command = ["python3", "-c", LOOK, str(patience), *more]
        return list(json.loads(self.host.check_output(shlex.join(command))))

    def bad(self, patience: float = 0) -> set[Finding]:
        found = {(each["id"], each["subject"], each["status"]) for each in self.findings(patience)
                 # What this machine does meanwhile may set off a rule.
                 if each["status"] != "PASS" and not each["seen"]["en"].startswith(("firing", "about to fire"))}
        return found - self.usual

    def said(self, subject: str) -> str:
        return "; ".join(each["seen"]["en"] for each in self.findings() if each["subject"] == subject)

    def wait(self, wanted: set[Finding], seconds: float = 300) -> None:
        deadline = time.monotonic() + seconds
        while (found := self.bad()) != wanted:
            assert time.monotonic() < deadline, f"found {sorted(found)}, not {sorted(wanted)}"
            time.sleep(2)


@pytest.fixture(scope="module")
def state(host: Host, discord: Discord) -> State:
    return State(host)


@pytest.fixture
def changed(host: Host) -> Iterator[Callable[[str, str], None]]:
    """``changed(path, text)`` writes a file over, in place; what it was is put back."""
    kept: dict[str, str] = {}

    def change(path: str, text: str) -> None:
        kept.setdefault(path, host.file(path).content_string)
        host.check_output(f"cat > {path} <<'END_OF_FILE'\n{text}\nEND_OF_FILE")

    yield change
    for path, text in kept.items():
        host.check_output(f"cat > {path} <<'END_OF_FILE'\n{text}\nEND_OF_FILE")


@pytest.fixture
def grafana(host: Host, secrets: dict[str, str]) -> Callable[..., Any]:
    """``grafana(path, body)`` posts as its administrator."""
    user = f"{secrets['GRAFANA_ADMIN_USER']}:{secrets['GRAFANA_ADMIN_PASSWORD']}"

    def ask(path: str, body: Any = None, method: str = "POST") -> Any:
        command = ["curl", "-sSf", "--max-time", "20", "--user", user, "--request", method, "--header",
                   "Content-Type: application/json", "--data", json.dumps(body or {}), "http://127.0.0.1:3000" + path]
        return json.loads(host.check_output(shlex.join(command)))

    return ask


def test_the_modules_find_nothing_wrong_and_the_test_message_arrives(
        host: Host, play: Play, state: State, discord: Discord, secrets: dict[str, str]) -> None:
    assert state.usual == set()
    result = play("tests/host/monitoring_state.yml", {}, "-vvv").expect_success()
    found = json.loads(host.check_output(f"cat {RESULTS} && rm {RESULTS}"))
    findings = [finding for part in found.values() for finding in part["findings"]]
    wrong = [finding for finding in findings if finding["status"] in ("FAIL", "UNKNOWN")]
    assert [finding for finding in wrong if "firing for" not in finding["seen"]["en"]] == []
    assert {"alert-rule", "contact-point", "alert-routing", "alert-delivery", "alert-silence", "test-message",
            "metrics-target"} <= {finding["id"] for finding in findings}
    assert {"coinpilot-core", "prometheus", "node"} <= {finding["subject"] for finding in findings}
    assert found["contact_point"]["changed"] and not found["alerts"]["changed"]

    tests = [message for message in discord.alerts() if "test message" in message.title]
    assert len(tests) == 1
    assert "시험 메시지" in tests[0].title and "실제 장애가 아닙니다" in tests[0].content
    assert "This is a test" in tests[0].content
    for text in (result.output, json.dumps(found)):
        assert secrets["DISCORD_WEBHOOK_URL"] not in text and secrets["GRAFANA_ADMIN_PASSWORD"] not in text


def test_rules_that_are_paused_edited_and_gone_and_a_discord_that_refuses(
        state: State, discord: Discord, changed: Callable[[str, str], None], grafana: Callable[..., Any],
        host: Host) -> None:
    """By hand in Grafana's file. The edited one fires, and Discord does not take it."""
    discord.mode(status=401)
    file = json.loads(host.file(RULES_FILE).content_string)
    for group in file["groups"]:
        for rule in list(group["rules"]):
            if rule["title"] == "ApiLatencyP95High":
                rule["isPaused"] = True
            if rule["title"] == "BotDown":
                rule["for"] = "0s"
                rule["data"][-1]["model"]["conditions"][0]["evaluator"] = {"type": "gt", "params": [-1]}
            if rule["title"] == "VolatilityMetricMissing":
                group["rules"].remove(rule)
                file["deleteRules"].append({"orgId": 1, "uid": rule["uid"]})
    changed(RULES_FILE, json.dumps(file, ensure_ascii=False, indent=2))
    grafana("/api/admin/provisioning/alerting/reload")
    rules = {("alert-rule", name, "FAIL") for name in ("ApiLatencyP95High", "BotDown", "VolatilityMetricMissing")}
    state.wait({*rules, ("alert-delivery", CONTACT_POINT, "FAIL")})
    said = {(finding["subject"], finding["seen"]["en"].partition(":")[0]) for finding in state.findings()
            if finding["status"] == "FAIL"}
    assert {("ApiLatencyP95High", "paused"), ("VolatilityMetricMissing", "Grafana does not have it"),
            ("BotDown", "Grafana has it otherwise than described")} <= said

    refused = next(finding for finding in state.findings(0, "test") if finding["id"] == "test-message")
    assert refused["status"] == "FAIL" and "Invalid Webhook Token" in refused["seen"]["en"]
    assert "make a new one" in refused["fix"]["en"]
    # What was not told is told again, and the next delivery is the last one.
    discord.mode()
    state.wait(rules)


def test_all_is_mended_by_the_files_as_they_were(state: State, grafana: Callable[..., Any]) -> None:
    grafana("/api/admin/provisioning/alerting/reload")
    state.wait(set())


def test_a_silence_over_all(state: State, grafana: Callable[..., Any]) -> None:
    begin, end = (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + hours * 3600)) for hours in (-1, 1))
    silence = grafana("/api/alertmanager/grafana/api/v2/silences", {
        "matchers": [{"name": "alertname", "value": ".+", "isRegex": True, "isEqual": True}], "startsAt": begin,
        "endsAt": end, "comment": "works", "createdBy": "test"})["silenceID"]
    assert state.bad() == {("alert-silence", CONTACT_POINT, "WARN")}
    grafana(f"/api/alertmanager/grafana/api/v2/silence/{silence}", method="DELETE")
    assert state.bad() == set()


def test_a_job_that_is_renamed(state: State, changed: Callable[[str, str], None], host: Host) -> None:
    changed(PROMETHEUS_FILE, host.file(PROMETHEUS_FILE).content_string.replace("coinpilot-core", "coinpilot-bot"))
    host.check_output("docker kill --signal HUP coinpilot-prometheus")
    # For some seconds Prometheus has neither of them.
    deadline = time.monotonic() + 300
    while "bot:8000 is scraped under another name, coinpilot-bot" not in state.said("coinpilot-core"):
        assert time.monotonic() < deadline, state.said("coinpilot-core")
        time.sleep(1)
    assert state.bad() == {("metrics-target", "coinpilot-core", "FAIL")}


def test_the_password_is_another_one(state: State, changed: Callable[[str, str], None], host: Host) -> None:
    host.check_output("docker kill --signal HUP coinpilot-prometheus")
    lines = host.file(ENV_FILE).content_string.splitlines()
    changed(ENV_FILE, "\n".join("GRAFANA_ADMIN_PASSWORD=another" if line.startswith("GRAFANA_ADMIN_PASSWORD") else line
                                for line in lines))
    state.wait({("grafana-api", "", "UNKNOWN")})
    found = next(finding for finding in state.findings() if finding["id"] == "grafana-api")
    assert "reset-admin-password" in found["fix"]["en"]


def test_grafana_is_stopped(state: State, host: Host) -> None:
    host.check_output("docker stop coinpilot-grafana")
    assert state.bad() == {("grafana-api", "", "UNKNOWN")}
    host.check_output("docker start coinpilot-grafana")
    state.wait(set())


def test_prometheus_is_stopped(state: State, host: Host) -> None:
    host.check_output("docker stop coinpilot-prometheus")
    assert ("prometheus-api", "", "UNKNOWN") in state.bad()
    rules = json.loads(host.file("/etc/coinpilot/stack.json").content_string)["alert_rules"]
    # Grafana's rules cannot be evaluated then: that is theirs to say.
    errors = {("alert-rule", name, "FAIL") for name in rules}
    state.wait({("prometheus-api", "", "UNKNOWN"), *errors})
    host.check_output("docker start coinpilot-prometheus")
    host.check_output("timeout 300 sh -c 'until curl -sSf http://127.0.0.1:9090/-/ready; do sleep 1; done'")
