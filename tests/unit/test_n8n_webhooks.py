"""n8n's webhooks, its volume and its owner, judged from what n8n 1.123.81 stored (tests/corpus/n8n)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils import findings, n8n_webhooks
from ansible_collections.coinpilot.ops.plugins.module_utils.engine import Engine, EngineError
from ansible_collections.coinpilot.ops.plugins.module_utils.findings import FAIL, PASS, UNKNOWN, WARN, Finding
from ansible_collections.coinpilot.ops.plugins.module_utils.n8n_webhooks import Volume, World

Recorded = Callable[..., str]
DESCRIPTION: dict[str, Any] = {
    "project": "oci", "unit": "coinpilot-compose.service", "directory": "/nowhere", "state_directory": "/nowhere",
    "webhooks": ["trade", "risk", "daily-report", "ai-decision", "weekly-exit-report"],
    "services": {"db": {"engine": "postgresql", "container": "coinpilot-db"},
                 "n8n": {"engine": "n8n", "container": "coinpilot-n8n", "volume": "coinpilot_n8n_data", "port": 5678,
                         "tunnel_port": 15678, "mount": "/home/node/.n8n"}}}
CONTAINER: dict[str, Any] = {
    "Id": "1" * 64, "Name": "/coinpilot-n8n", "State": {"Status": "running", "Health": {"Status": "healthy"}},
    "Config": {"Image": "n8nio/n8n:1.123.81", "Env": ["N8N_BLOCK_ENV_ACCESS_IN_NODE=true"],
               "Labels": {"com.docker.compose.service": "n8n"}}}


def world(path: str, **changes: Any) -> World:
    """A world in which n8n runs with a database, with some of it changed."""
    seen = World(CONTAINER, "oci_coinpilot_n8n_data", path, n8n_webhooks.read(path), [],
                 {CONTAINER["Id"]: "coinpilot-n8n"}, {})
    return seen._replace(**changes)


def judged(seen: World, *webhooks: str) -> dict[str, Finding]:
    """The findings by rule, those of webhooks by their path."""
    found = n8n_webhooks.judge(seen, {**DESCRIPTION, "webhooks": list(webhooks) or DESCRIPTION["webhooks"]})
    return {finding.subject or finding.id: finding for finding in found}


def test_what_is_well(recorded_n8n: Recorded) -> None:
    path = recorded_n8n("UPDATE settings SET value = 'true'", "DELETE FROM workflow_entity WHERE id = 'w-twin'")
    found = judged(world(path), "trade")
    assert [finding.status for finding in found.values()] == [PASS] * 5
    assert "'trade'" in found["/webhook/trade"].seen.en


@pytest.mark.parametrize(("name", "status", "said"), [
    ("risk", FAIL, "imported without a webhook id, so it is registered as /webhook/w-nowid/webhook/risk: 404"),
    ("daily-report", FAIL, "its workflow 'daily-report' is not active: 404"),
    ("weekly-exit-report", FAIL, "the node Webhook of 'weekly-exit-report' is disabled: 404"),
    ("ai-decision", FAIL, "answers 200 and fails: ai-decision / IF: reads $env.N8N_WEBHOOK_SECRET"),
    ("get", FAIL, "registered for GET, not for POST: 404"),
    ("open", FAIL, "takes calls without the secret"),
    ("nocred", FAIL, "the node Webhook of 'nocred' asks for a credential that is not there"),
    ("credgone", FAIL, "the node Webhook of 'credgone' asks for a credential that is not there"),
    ("discnocred", FAIL, "the node Discord of 'discnocred' asks for a credential that is not there"),
    ("nothing", FAIL, "no workflow in oci_coinpilot_n8n_data has it: 404"),
    ("trade", WARN, "'trade' has it; the inactive 'twin of trade' has the same path"),
    ("wait", PASS, "registered by the active workflow 'wait'"),
])
def test_each_recorded_webhook(recorded_n8n: Recorded, name: str, status: str, said: str) -> None:
    finding = judged(world(recorded_n8n()), name)["/webhook/" + name]
    assert finding.status == status
    assert said in finding.seen.en
    assert finding.fix.en or status == PASS


A_MINUTE_AGO = "UPDATE execution_entity SET startedAt = strftime('%Y-%m-%d %H:%M:%f', 'now', '-1 minute')"
DAYS_AGO = "UPDATE execution_entity SET startedAt = '2026-01-02 03:04:05.678'"
LATER = "UPDATE execution_entity SET workflowId = 'w-d401' WHERE id = 49"


@pytest.mark.parametrize(("name", "changes", "status", "said"), [
    ("d401", [A_MINUTE_AGO], FAIL, "1 of 1 failed, and so did the last of d401: Invalid Webhook Token"),
    ("open", [A_MINUTE_AGO], PASS, "all delivered"),
    ("d401", [DAYS_AGO], PASS, "none"),
    ("d401", [A_MINUTE_AGO, LATER], WARN, "1 of 2 failed; the last was delivered"),
    ("d401", [A_MINUTE_AGO, "UPDATE execution_data SET data = 'broken'"], FAIL, "the last of d401: error"),
    ("d401", ["ALTER TABLE execution_entity RENAME COLUMN mode TO kind"], UNKNOWN, "has no mode"),
])
def test_calls_whose_messages_did_not_arrive_are_told(recorded_n8n: Recorded, name: str, changes: list[str],
                                                      status: str, said: str) -> None:
    """n8n answered 200 to each of them."""
    finding = judged(world(recorded_n8n(*changes)), name)["n8n-calls"]
    assert finding.status == status, finding.seen.en
    assert said in finding.seen.en
    assert "https://" not in finding.seen.en.replace("/***", "")


def test_why_a_call_failed_holds_no_secret(recorded_n8n: Recorded) -> None:
    store = n8n_webhooks.read(recorded_n8n(A_MINUTE_AGO), ["Token"])
    assert store.calls is not None and store.calls["w-d401"].said == "Invalid Webhook ***"


@pytest.mark.parametrize(("changes", "said"), [
    (["UPDATE workflow_entity SET activeVersionId = NULL, isArchived = 1 WHERE id IN ('w-good', 'w-twin')",
      "DELETE FROM webhook_entity"], "is archived: 404"),
    (["DELETE FROM webhook_entity"], "is active, but n8n has not registered it since: 404"),
    (["DELETE FROM webhook_entity", "UPDATE workflow_history SET nodes = '[]'"],
     "runs an older version, which does not have it: 404"),
    (["UPDATE workflow_entity SET active = 0"], "registered by 'trade', which is not active any more"),
    (["DELETE FROM workflow_entity"], "registered by a workflow that is gone (w-good)"),
    (["UPDATE workflow_entity SET active = 1, activeVersionId = (SELECT activeVersionId FROM workflow_entity WHERE id "
      "= 'w-good') WHERE id = 'w-twin'"], "'twin of trade' wants the same path and gets no call"),
    (["DELETE FROM credentials_entity"], "asks for a credential that is not there"),
])
def test_what_else_may_be_wrong(recorded_n8n: Recorded, changes: list[str], said: str) -> None:
    finding = judged(world(recorded_n8n(*changes)), "trade")["/webhook/trade"]
    assert finding.status in (FAIL, WARN)
    assert said in finding.seen.en


@pytest.mark.parametrize(("container", "holders", "status", "said"), [
    (CONTAINER, {"1" * 64: "coinpilot-n8n"}, PASS, "coinpilot-n8n runs and has port 5678"),
    ({**CONTAINER, "State": {"Status": "exited", "ExitCode": 1}}, {}, FAIL, "is exited (exit code 1)"),
    (None, {}, FAIL, "is missing"),
    (None, {"2": "n8n-of-wsl"}, FAIL, "has port 5678: the container n8n-of-wsl"),
    (CONTAINER, {"1" * 64: "coinpilot-n8n", "2": "n8n-of-wsl"}, FAIL, "has port 5678: the container n8n-of-wsl"),
    (CONTAINER, {}, FAIL, "is not published at port 5678"),
    ({**CONTAINER, "State": {"Status": "running", "Health": {"Status": "starting"}}}, {"1" * 64: "coinpilot-n8n"},
     UNKNOWN, "is starting"),
])
def test_who_answers(recorded_n8n: Recorded, container: Any, holders: dict[str, str], status: str, said: str) -> None:
    found = judged(world(recorded_n8n(), container=container, holders=holders), "wait", "daily-report")
    assert found["n8n"].status == status
    assert said in found["n8n"].seen.en
    # What is registered is told by an n8n that runs; what is not active is not, whoever answers.
    assert found["/webhook/wait"].status == (PASS if status == PASS else UNKNOWN)
    assert found["/webhook/daily-report"].status == FAIL


def test_another_volume(recorded_n8n: Recorded) -> None:
    others = [Volume("coinpilot_n8n_data", 5), Volume("n8n-broken", None)]
    finding = judged(world(recorded_n8n(), volume="deploy_n8n", others=others))["n8n-volume"]
    assert finding.status == FAIL
    assert finding.seen.en.startswith("deploy_n8n is mounted, with 24 workflows")
    assert "coinpilot_n8n_data (workflows: 5), n8n-broken (workflows: ?)" in finding.seen.en
    assert "coinpilot_n8n_data(워크플로 5개)" in finding.seen.ko
    assert "oci_coinpilot_n8n_data" in finding.expected.en


@pytest.mark.parametrize(("others", "said"), [
    ([Volume("old_n8n", 5)], "others: old_n8n (workflows: 5)"), ([], "others: none with n8n in its name")])
def test_an_empty_volume(recorded_n8n: Recorded, others: list[Volume], said: str) -> None:
    found = judged(world(recorded_n8n("DELETE FROM workflow_entity", "DELETE FROM webhook_entity"), others=others))
    assert found["n8n-volume"].status == FAIL
    assert said in found["n8n-volume"].seen.en
    assert found["/webhook/trade"].seen.en == "no workflow in oci_coinpilot_n8n_data has it: 404"


@pytest.mark.parametrize(("value", "status"), [("true", PASS), ("false", FAIL)])
def test_owner(recorded_n8n: Recorded, value: str, status: str) -> None:
    found = judged(world(recorded_n8n(f"UPDATE settings SET value = '{value}'")))
    assert found["n8n-owner"].status == status


def test_a_version_without_settings_does_not_tell_the_owner(recorded_n8n: Recorded) -> None:
    found = judged(world(recorded_n8n("DROP TABLE settings")))
    assert found["n8n-owner"].status == UNKNOWN
    assert found["/webhook/daily-report"].status == FAIL


class FakeEngine(Engine):
    """Answers as the Docker Engine would."""

    def __init__(self, answers: dict[str, Any]):
        super().__init__("/nowhere")
        self.answers = answers

    def containers(self, project: str) -> list[dict]:
        return self.get("containers")

    def get(self, path: str, **_query: Any) -> Any:
        if path not in self.answers:
            raise EngineError("no such container", 404)
        answer = self.answers[path]
        if isinstance(answer, Exception):
            raise answer
        return answer


def engine(path: str, **changes: Any) -> FakeEngine:
    mount = {"Destination": "/home/node/.n8n", "Name": "oci_coinpilot_n8n_data", "Source": str(Path(path).parent)}
    return FakeEngine({
        "containers": [{**CONTAINER, "Mounts": [mount]}],
        "/containers/json": [{"Id": "1" * 64, "Names": ["/coinpilot-n8n"], "Ports": [{"PublicPort": 5678}]},
                             {"Id": "2", "Names": ["/other"], "Ports": None}],
        "/volumes": {"Volumes": [{"Name": "oci_coinpilot_n8n_data", "Mountpoint": str(Path(path).parent)},
                                 {"Name": "old_n8n", "Mountpoint": str(Path(path).parent)},
                                 {"Name": "data", "Mountpoint": "/data"}]},
        **changes})


def test_gather(recorded_n8n: Recorded) -> None:
    seen = n8n_webhooks.gather(DESCRIPTION, engine(recorded_n8n()))
    assert (seen.volume, seen.others, seen.errors) == ("oci_coinpilot_n8n_data", [], {})
    assert seen.holders == {"1" * 64: "coinpilot-n8n"}
    assert seen.store is not None
    assert len(seen.store.workflows) == 24


def test_gather_lists_other_volumes_where_this_one_is_empty(recorded_n8n: Recorded, tmp_path: Path) -> None:
    path = recorded_n8n()
    mount = {"Destination": "/home/node/.n8n", "Name": "new_n8n", "Source": str(tmp_path / "empty")}
    seen = n8n_webhooks.gather(DESCRIPTION, engine(path, containers=[{**CONTAINER, "Mounts": [mount]}]))
    assert (seen.volume, seen.store) == ("new_n8n", None)
    assert seen.others == [Volume("oci_coinpilot_n8n_data", 24), Volume("old_n8n", 24)]
    found = n8n_webhooks.judge(seen, DESCRIPTION)
    assert findings.worst(found) == FAIL
    assert all(finding.status == UNKNOWN for finding in found if finding.id == "n8n-webhook")


def test_gather_without_a_container_reads_the_volume(recorded_n8n: Recorded) -> None:
    seen = n8n_webhooks.gather(DESCRIPTION, engine(recorded_n8n(), containers=[]))
    assert seen.container is None
    assert seen.store is not None


def test_gather_finds_a_container_that_another_project_has(recorded_n8n: Recorded, tmp_path: Path) -> None:
    mount = {"Destination": "/home/node/.n8n", "Name": "other_n8n", "Source": str(tmp_path / "empty")}
    answers = engine(recorded_n8n(), containers=[])
    answers.answers["/containers/coinpilot-n8n/json"] = {**CONTAINER, "Mounts": [mount]}
    finding = n8n_webhooks.judge(n8n_webhooks.gather(DESCRIPTION, answers), DESCRIPTION)[1]
    assert (finding.id, finding.status) == ("n8n-volume", FAIL)
    assert finding.seen.en.startswith("other_n8n is mounted, with ? workflows; others: oci_coinpilot_n8n_data")


def test_gather_of_another_kind_of_database(recorded_n8n: Recorded) -> None:
    answers = engine(recorded_n8n())
    answers.answers["containers"][0]["Config"] = {**CONTAINER["Config"], "Env": ["DB_TYPE=postgresdb"]}
    found = n8n_webhooks.judge(n8n_webhooks.gather(DESCRIPTION, answers), DESCRIPTION)
    assert {finding.status for finding in found if finding.id != "n8n"} == {UNKNOWN}
    assert "postgresdb" in found[1].seen.en


@pytest.mark.parametrize("broken", [
    {"containers": EngineError("the Docker Engine does not answer")}, {"/volumes": EngineError("no")},
    {"/containers/json": [{"Id": "1", "Ports": [{"PublicPort": 5678}]}]}, {"/volumes": []},
    {"/volumes": {"Volumes": [{}]}}, {"containers": [{**CONTAINER, "Mounts": [{}]}]}])
def test_what_cannot_be_read_is_unknown(recorded_n8n: Recorded, broken: dict[str, Any]) -> None:
    found = n8n_webhooks.judge(n8n_webhooks.gather(DESCRIPTION, engine(recorded_n8n(), **broken)), DESCRIPTION)
    assert {finding.status for finding in found} == {UNKNOWN}
    assert len(found) == 8


@pytest.mark.parametrize("services", [{}, {"n8n": {"engine": "n8n", "container": "n8n", "memory": "1g"}}])
def test_a_stack_without_n8n(services: dict[str, Any]) -> None:
    description = {**DESCRIPTION, "services": services}
    found = n8n_webhooks.judge(n8n_webhooks.gather(description, FakeEngine({})), description)
    assert [finding.status for finding in found] == [UNKNOWN]


@pytest.mark.parametrize("nodes", [
    [None], [7], [{}], [{"type": "n8n-nodes-base.webhook", "parameters": []}],
    [{"type": "n8n-nodes-base.webhook", "name": "Webhook", "parameters": {"path": "trade"}, "credentials": [1]}],
    [{"type": "n8n-nodes-base.webhook", "name": ["Webhook"], "parameters": {"path": "trade"},
      "credentials": {"httpHeaderAuth": {"id": ["x"]}}}]])
@pytest.mark.parametrize("registered", [True, False])
def test_nodes_of_any_kind_are_judged(recorded_n8n: Recorded, nodes: list[Any], registered: bool) -> None:
    text = json.dumps(nodes).replace("'", "''")
    path = recorded_n8n(f"UPDATE workflow_entity SET nodes = '{text}'", f"UPDATE workflow_history SET nodes = '{text}'",
                        *([] if registered else ["DELETE FROM webhook_entity"]))
    for finding in judged(world(path)).values():
        assert finding.seen.en
        assert finding.seen.ko


@pytest.mark.parametrize(("image", "environment", "blocked"), [
    ("n8nio/n8n:1.123.81", ["N8N_BLOCK_ENV_ACCESS_IN_NODE=true"], True),
    ("n8nio/n8n:1.123.81", ["N8N_BLOCK_ENV_ACCESS_IN_NODE=True"], False), ("n8nio/n8n:1.123.81", [], False),
    ("n8nio/n8n:2.1.0", [], True), ("n8nio/n8n:2.1.0", ["N8N_BLOCK_ENV_ACCESS_IN_NODE=false"], False)])
def test_env_blocked(image: str, environment: list[str], blocked: bool) -> None:
    assert n8n_webhooks.env_blocked({"Config": {"Image": image, "Env": environment}}) is blocked
