"""The probe of n8n's webhooks: its verdicts from recorded executions, and its calls to a server that plays n8n."""

from __future__ import annotations

import fcntl
import http.server
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils import findings, n8n_database, n8n_probe, n8n_webhooks
from ansible_collections.coinpilot.ops.plugins.module_utils.findings import FAIL, PASS, UNKNOWN, Finding
from ansible_collections.coinpilot.ops.plugins.module_utils.n8n_probe import Call, Probes, Recorder, Step, Trace
from ansible_collections.coinpilot.ops.plugins.module_utils.n8n_webhooks import World

Recorded = Callable[..., str]
SECRET = "made-up-secret"
DESCRIPTION: dict[str, Any] = {
    "project": "oci", "unit": "coinpilot-compose.service", "webhooks": ["trade"],
    "services": {"n8n": {"engine": "n8n", "container": "coinpilot-n8n", "volume": "coinpilot_n8n_data", "port": 5678,
                         "tunnel_port": 15678, "mount": "/home/node/.n8n"}}}
CONTAINER: dict[str, Any] = {"Id": "1", "State": {"Status": "running"}, "Config": {"Image": "n8n:1", "Env": []}}
MASK = n8n_probe.masking([SECRET])


def world(path: str) -> World:
    return World(CONTAINER, "oci_coinpilot_n8n_data", path, n8n_webhooks.read(path), [], {"1": "coinpilot-n8n"}, {})


def trace(path: str, number: int) -> Trace:
    """What the record of an execution tells."""
    with n8n_database.opened(path) as database:
        execution = next(each for each in database.executions() if each.id == number)
        return Recorder(path, MASK).trace(database, execution)


def judged(path: str, name: str, right: Call, none: Call | None = None, wrong: Call | None = None,
           **more: Any) -> list[Finding]:
    refused = Call(403, "Authorization data is wrong!")
    calls = {name: {"none": none or refused, "wrong": wrong or refused, "right": right}}
    found = n8n_probe.judge(Probes(calls, **more), world(path), DESCRIPTION)
    for finding in found:
        for text in (*finding.seen, *finding.fix):
            assert SECRET not in text
            assert "made-up-token" not in text
    return found


@pytest.mark.parametrize(("name", "number", "status", "said", "fix"), [
    ("trade", 1, PASS, "delivered: execution 1 of 'trade', Discord ran", ""),
    ("ai-decision", 5, FAIL, "execution 5 of 'ai-decision' failed at the node IF: access to env vars denied",
     "use credentials"),
    ("discnocred", 7, FAIL, "failed at the node Discord: Node does not require credentials", "Executions, number 7"),
    ("wait", 9, PASS, "Discord ran", ""),
    ("cont", 10, FAIL, "failed at the node Discord: Invalid Webhook Token", "Discord does not know the webhook"),
    ("conterr", 11, FAIL, "failed at the node Discord: Invalid Webhook Token", "Discord does not know the webhook"),
    ("d401", 12, FAIL, "failed at the node Discord: Invalid Webhook Token", "Discord does not know the webhook"),
    ("h401", 13, FAIL, "failed at the node Post: Authorization failed", "Discord does not know the webhook"),
    ("d429", 16, FAIL, "You are being rate limited.", "(429)"),
    ("h429", 17, FAIL, "too many requests from you", "(429)"),
    ("h500", 19, FAIL, "not able to process your request", "on the other side (5xx)"),
    ("ddown", 20, FAIL, "connect ECONNREFUSED", "n8n cannot reach it"),
    ("dslow", 22, FAIL, "timeout of 300000ms exceeded", "n8n cannot reach it"),
    ("drop", 52, FAIL, "execution 52 of 'drop' ended at IF without sending anything", "does the workflow compare"),
    ("silent", 54, FAIL, "ended at Set without sending anything", ""),
])
def test_the_verdict_is_the_record(recorded_n8n: Recorded, name: str, number: int, status: str, said: str,
                                   fix: str) -> None:
    path = recorded_n8n()
    finding = judged(path, name, Call(200, "Workflow was started", trace(path, number)))[0]
    assert (finding.id, finding.status) == ("n8n-probe", status)
    assert said in finding.seen.en
    assert fix in finding.fix.en


def test_an_execution_that_still_runs(recorded_n8n: Recorded) -> None:
    path = recorded_n8n("UPDATE execution_entity SET status = 'running', stoppedAt = NULL WHERE id = 22")
    finding = judged(path, "dslow", Call(200, "", trace(path, 22)), seconds=45)[0]
    assert finding.status == UNKNOWN
    assert "still running after 45 s" in finding.seen.en


def test_an_execution_whose_data_is_gone(recorded_n8n: Recorded) -> None:
    path = recorded_n8n("DELETE FROM execution_data WHERE executionId = 1",
                        "UPDATE execution_data SET data = 'secret' WHERE executionId = 5")
    for name, number in (("trade", 1), ("ai-decision", 5)):
        found = judged(path, name, Call(200, "", trace(path, number)), Call(200, "", trace(path, number)))
        assert found[0].status in (UNKNOWN, FAIL)
        assert found[1].status == UNKNOWN


@pytest.mark.parametrize(("name", "call", "status", "said"), [
    ("trade", Call(403, "Authorization data is wrong!"), FAIL, "answered 403: n8n's credential does not hold"),
    ("trade", Call(0, "Connection refused"), FAIL, "no answer: Connection refused"),
    ("trade", Call(200, ""), UNKNOWN, "answered 200, but n8n has no record of the execution"),
    ("trade", Call(502, ""), FAIL, "answered 502, and nothing was run"),
    ("trade", Call(404, ""), FAIL, "answered 404, though n8n's database has it registered"),
    ("nosave", Call(200, ""), UNKNOWN, "'nosave' keeps no record of its executions"),
    ("risk", Call(404, ""), FAIL, "imported without a webhook id"),
    ("daily-report", Call(404, ""), FAIL, "is not active"),
    ("nothing", Call(404, ""), FAIL, "no workflow in oci_coinpilot_n8n_data has it"),
    ("nocred", Call(500, ""), FAIL, "answered 500, and nothing was run: the node Webhook of 'nocred' asks for"),
])
def test_calls_of_which_there_is_no_record(recorded_n8n: Recorded, name: str, call: Call, status: str,
                                           said: str) -> None:
    finding = judged(recorded_n8n(), name, call)[0]
    assert finding.status == status
    assert said in finding.seen.en


def test_a_database_that_cannot_be_read_meanwhile(recorded_n8n: Recorded) -> None:
    finding = judged(recorded_n8n(), "trade", Call(200, ""), error="it stayed locked for 10 s")[0]
    assert finding.status == UNKNOWN
    assert "stayed locked" in finding.seen.en


@pytest.mark.parametrize(("none", "wrong", "status", "said"), [
    (403, 403, PASS, "refused: none 403, wrong 403"), (500, 500, PASS, "refused"), (200, 403, UNKNOWN, "answered 200"),
    (0, 403, UNKNOWN, "could not be read"), (404, 404, None, ""),
])
def test_calls_without_the_secret(recorded_n8n: Recorded, none: int, wrong: int, status: str | None, said: str) -> None:
    found = judged(recorded_n8n(), "trade", Call(403, ""), Call(none, "reset"), Call(wrong, ""))[1:]
    assert [finding.status for finding in found] == ([status] if status else [])
    assert all(said in finding.seen.en for finding in found)


@pytest.mark.parametrize(("name", "numbers", "status", "said"), [
    ("open", (47, 48), FAIL, "a call without a secret was let through: execution 47 of 'open', Discord ran"),
    ("drop", (50, 51), PASS, "refused: none 200, wrong 200"), ("ai-decision", (3, 4), PASS, "refused"),
    ("d401", (12, 12), FAIL, "let through")])
def test_calls_without_the_secret_that_were_recorded(recorded_n8n: Recorded, name: str, numbers: tuple[int, int],
                                                     status: str, said: str) -> None:
    path = recorded_n8n()
    none, wrong = (Call(200, "", trace(path, number)) for number in numbers)
    finding = judged(path, name, Call(200, ""), none, wrong)[1]
    assert (finding.id, finding.status) == ("n8n-probe-refusal", status)
    assert said in finding.seen.en


def test_a_wrong_secret_that_is_let_through(recorded_n8n: Recorded) -> None:
    path = recorded_n8n()
    finding = judged(path, "open", Call(200, ""), None, Call(200, "", trace(path, 48)))[1]
    assert finding.status == FAIL
    assert "a call with a wrong secret was let through" in finding.seen.en


@pytest.mark.parametrize(("error", "http_status", "case"), [
    ("502 Bad Gateway", "", "trouble-there"), ("", "503", "trouble-there"), ("", "403", "address-refused"),
    ("Unknown Webhook", "", "address-refused"), ("", "ENOTFOUND", "unreachable"), ("getaddrinfo EAI_AGAIN discord.com",
                                                                                  "", "unreachable"),
    ("The connection to the server was closed unexpectedly", "", "unreachable"),
    ("The host is unreachable, perhaps the server is offline", "", "unreachable"), ("", "EAI_FAIL", "unreachable"),
    ("socket hang up", "", "unreachable"), ("Cannot read properties of undefined", "", "failed"), ("", "", "failed"),
    ("The execution was cancelled because it timed out", "", "unreachable")])
def test_why_a_node_failed(error: str, http_status: str, case: str) -> None:
    assert n8n_probe.reason(Step("Discord", error, http_status)) == case


def test_masking() -> None:
    mask = n8n_probe.masking(['p"ssw\\rd', "short", "ein geheimnis"])
    assert mask('p"ssw\\rd ' + json.dumps({"a": 'p"ssw\\rd'})) == '*** {"a": "***"}'
    assert mask("ein geheimnis, short") == "***, short"
    assert mask("https://discord.com/api/webhooks/1/abc-DEF?wait=true refused") == \
        "https://discord.com/api/webhooks/*** refused"
    assert mask("http://user:word@host/ x") == "http://***@host/ x"
    assert mask("a\nb\x1b[31m") == "a b?[31m"
    assert len(mask("x" * 1000)) == 200


class N8n(http.server.BaseHTTPRequestHandler):
    """Plays n8n: checks the header as Header Auth does, and records an execution as it does."""

    path_of_database = ""
    record = True
    seen: list[tuple[str, str | None]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        secret = self.headers["x-webhook-secret"]
        N8n.seen.append((self.path, secret))
        status = 404 if not self.path.endswith("/trade") else 200 if secret == SECRET else 403
        if status == 200 and self.record:
            _record(self.path_of_database, body)
        self.send_response(status)
        self.end_headers()
        self.wfile.write(b'{"message":"Workflow was started"}')

    def log_message(self, *_arguments: Any) -> None:
        pass


def _record(path: str, body: str) -> None:
    data = [{"resultData": "1"}, {"runData": "2", "lastNodeExecuted": "3"}, {"Webhook": "4", "Discord": "5"}, "Discord",
            ["6"], ["7"], {"startTime": 1, "data": "8"}, {"startTime": 2}, {"main": "9"}, ["10"], ["11"],
            {"json": "12"}, {"body": "13"}, body]
    connection = sqlite3.connect(path)
    with connection:
        number = connection.execute(
            "INSERT INTO execution_entity (workflowId, finished, mode, startedAt, stoppedAt, status) VALUES "
            "('w-good', 1, 'webhook', '2026-01-01 00:00:00.000', '2026-01-01 00:00:01.000', 'success')").lastrowid
        connection.execute("INSERT INTO execution_data VALUES (?, '{}', ?)", (number, json.dumps(data)))
    connection.close()


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(n8n_probe, "PAUSE", 0.0)
    monkeypatch.setattr(n8n_probe, "POLL", 0.05)
    monkeypatch.setattr(n8n_probe, "RECORDED_WITHIN", 0.2)
    monkeypatch.setattr(N8n, "seen", [])
    monkeypatch.setattr(N8n, "record", True)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), N8n)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def described(directory: Path, port: int, secret: str = SECRET, webhooks: tuple[str, ...] = ("trade",)) -> dict:
    (directory / ".env").write_text(f"N8N_WEBHOOK_SECRET={secret}\n" if secret else "")
    service = {**DESCRIPTION["services"]["n8n"], "port": port}
    return {**DESCRIPTION, "services": {"n8n": service}, "directory": str(directory), "webhooks": list(webhooks),
            "state_directory": str(directory / "state")}


def test_the_calls_and_their_records(recorded_n8n: Recorded, tmp_path: Path, port: int) -> None:
    N8n.path_of_database = path = recorded_n8n()
    found = n8n_probe.run(described(tmp_path, port, webhooks=("trade", "nothing")), world(path), 5)
    assert [(finding.id, finding.subject, finding.status) for finding in found] == [
        ("n8n-probe", "/webhook/trade", PASS), ("n8n-probe-refusal", "/webhook/trade", PASS),
        ("n8n-probe", "/webhook/nothing", FAIL)]
    assert found[0].seen.en == "delivered: execution 63 of 'trade', Discord ran"
    secrets = [secret for called, secret in N8n.seen if called == "/webhook/trade"]
    assert secrets[0] is None
    assert secrets[1] not in (None, SECRET)
    assert secrets[2:] == [SECRET]


def test_a_secret_of_any_characters(tmp_path: Path, port: int) -> None:
    made = n8n_probe.call(port, "trade", "gehe\u00fcm\ud55c", "1", MASK)
    assert made.status == 403
    made = n8n_probe.call(port, "trade", "line\nbreak-that-is-secret", "1", MASK)
    assert made.status == 0
    assert "break" not in made.said


def test_a_call_that_nobody_answers() -> None:
    made = n8n_probe.call(1, "trade", SECRET, "1", MASK)
    assert made.status == 0
    assert "refused" in made.said.lower()


def test_no_record(recorded_n8n: Recorded, tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(N8n, "record", False)
    found = n8n_probe.run(described(tmp_path, port), world(recorded_n8n()), 5)
    assert [finding.status for finding in found] == [UNKNOWN, PASS]


def test_a_record_that_cannot_be_read(recorded_n8n: Recorded, tmp_path: Path, port: int) -> None:
    N8n.path_of_database = path = recorded_n8n("DROP TABLE execution_data", "CREATE TABLE execution_data (a, b, c)")
    found = n8n_probe.run(described(tmp_path, port), world(path), 5)
    assert [finding.status for finding in found] == [UNKNOWN, PASS]
    assert "cannot be read" in found[0].seen.en


def test_without_a_secret_nothing_is_called(recorded_n8n: Recorded, tmp_path: Path, port: int) -> None:
    found = n8n_probe.run(described(tmp_path, port, ""), world(recorded_n8n()), 5)
    assert [finding.status for finding in found] == [FAIL]
    assert "N8N_WEBHOOK_SECRET" in found[0].seen.en
    assert N8n.seen == []


@pytest.mark.parametrize("changes", [
    {"container": None}, {"holders": {"2": "other"}}, {"errors": {"engine": "no Docker"}},
    {"container": {**CONTAINER, "State": {"Status": "exited"}}}])
def test_nobody_but_the_stacks_n8n_gets_the_secret(recorded_n8n: Recorded, tmp_path: Path, port: int,
                                                   changes: dict[str, Any]) -> None:
    found = n8n_probe.run(described(tmp_path, port), world(recorded_n8n())._replace(**changes), 5)
    assert [finding.status for finding in found] == [UNKNOWN]
    assert found[0].fix.en
    assert N8n.seen == []


def test_one_probe_at_a_time(recorded_n8n: Recorded, tmp_path: Path, port: int) -> None:
    description = described(tmp_path, port)
    lock = tmp_path / "state" / "n8n" / "probe.lock"
    lock.parent.mkdir(parents=True)
    with lock.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        found = n8n_probe.run(description, world(recorded_n8n()), 5)
    assert findings.worst(found) == UNKNOWN
    assert "another probe" in found[0].seen.en
    assert N8n.seen == []


def test_a_stack_without_n8n(tmp_path: Path) -> None:
    description = {**DESCRIPTION, "services": {}}
    seen = n8n_webhooks.gather(description)
    assert [finding.status for finding in n8n_probe.run(description, seen, 5)] == [UNKNOWN]
