"""n8n's database: read as recorded, while somebody writes to it, in the forms of other versions, and damaged."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils import n8n_database
from ansible_collections.coinpilot.ops.plugins.module_utils.n8n_database import Unreadable

Recorded = Callable[..., str]


def _files(path: str) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in Path(path).parent.iterdir()}


def test_workflows(recorded_n8n: Recorded) -> None:
    with n8n_database.opened(recorded_n8n()) as opened:
        workflows = {workflow.id: workflow for workflow in opened.workflows()}
    good = workflows["w-good"]
    assert (good.name, good.active, good.archived) == ("trade", True, False)
    assert [node["name"] for node in good.active_nodes] == ["Webhook", "Discord"]
    assert good.settings == {"executionOrder": "v1"}
    assert not workflows["w-inactive"].active
    assert workflows["w-inactive"].active_nodes == workflows["w-inactive"].nodes


def test_an_active_workflow_runs_what_was_published(recorded_n8n: Recorded) -> None:
    path = recorded_n8n("UPDATE workflow_entity SET nodes = '[]' WHERE id = 'w-good'",
                    "UPDATE workflow_entity SET activeVersionId = NULL WHERE id = 'w-open'")
    with n8n_database.opened(path) as opened:
        workflows = {workflow.id: workflow for workflow in opened.workflows()}
    assert workflows["w-good"].nodes == []
    assert len(workflows["w-good"].active_nodes) == 2
    assert not workflows["w-open"].active


def test_a_version_that_does_not_tell_saving_from_publishing(recorded_n8n: Recorded) -> None:
    path = recorded_n8n("CREATE TABLE old AS SELECT id, name, active, nodes, connections FROM workflow_entity",
                    "DROP TABLE workflow_entity", "ALTER TABLE old RENAME TO workflow_entity",
                    "DROP TABLE workflow_history")
    with n8n_database.opened(path) as opened:
        workflows = {workflow.id: workflow for workflow in opened.workflows()}
    assert workflows["w-good"].active
    assert workflows["w-good"].active_nodes == workflows["w-good"].nodes
    assert workflows["w-good"].settings == {}


def test_webhooks_and_credentials(recorded_n8n: Recorded) -> None:
    with n8n_database.opened(recorded_n8n()) as opened:
        webhooks = {webhook.path: webhook for webhook in opened.webhooks()}
        credentials = opened.credentials()
    assert webhooks["trade"] == ("trade", "POST", "Webhook", "w-good")
    assert "risk" not in webhooks
    assert webhooks["w-nowid/webhook/risk"].workflow_id == "w-nowid"
    assert ("webhook-secret", "secret", "httpHeaderAuth") in [credential[:3] for credential in credentials]


@pytest.mark.parametrize(("value", "there"), [("true", True), ("false", False), ('"true"', True), ("", False)])
def test_owner(recorded_n8n: Recorded, value: str, there: bool) -> None:
    with n8n_database.opened(recorded_n8n(f"UPDATE settings SET value = '{value}'")) as opened:
        assert opened.owner_is_set_up() is there


def test_executions(recorded_n8n: Recorded) -> None:
    with n8n_database.opened(recorded_n8n()) as opened:
        assert opened.last_execution_id() == 62
        assert [execution.id for execution in opened.executions("w-env")] == [3, 4, 5]
        assert [execution.id for execution in opened.executions("w-env", after_id=4)] == [5]
        first = opened.executions("w-good")[0]
        assert (first.status, first.finished, first.mode) == ("success", True, "webhook")
        assert first.id not in [execution.id for execution in opened.executions(since=first.stopped_at)]
        assert opened.executions_with("c2b7256d57204fc697ca2075f86065eb", 0) == [49]
        assert opened.executions_with("c2b7256d57204fc697ca2075f86065eb", 49) == []


def test_what_an_execution_did(recorded_n8n: Recorded) -> None:
    with n8n_database.opened(recorded_n8n()) as opened:
        good, refused, continued, none = (opened.run(number) for number in (1, 13, 10, 6))
    assert good is not None and refused is not None and continued is not None
    assert [run.node for run in good.nodes] == ["Webhook", "Discord"]
    assert good.ran("Discord") and not good.ran("Other")
    assert good.nodes[0].outputs[0][0]["body"] == {"probe": True, "symbol": "KRW-BTC"}
    assert (good.last_node, good.error) == ("Discord", "")
    assert refused.nodes[1].http_status == "401"
    assert refused.error == "Authorization failed - please check your credentials - Invalid Webhook Token"
    assert continued.error == ""
    assert continued.nodes[1].outputs == [[{"error": "Invalid Webhook Token"}]]
    assert none is None


def test_an_execution_that_is_too_large(recorded_n8n: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(n8n_database, "LARGEST_EXECUTION", 10)
    with n8n_database.opened(recorded_n8n()) as opened, pytest.raises(Unreadable, match="more than"):
        opened.run(1)


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_nothing_is_written_and_a_writer_is_not_waited_for(recorded_n8n: Recorded, mode: str) -> None:
    path = recorded_n8n()
    writer = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    writer.execute(f"PRAGMA journal_mode = {mode}")
    writer.execute("UPDATE workflow_entity SET name = 'committed' WHERE id = 'w-good'")
    before = _files(path)
    with n8n_database.opened(path) as opened:
        assert "committed" in [workflow.name for workflow in opened.workflows()]
    assert {name: content for name, content in _files(path).items() if not name.endswith("-shm")} == {
        name: content for name, content in before.items() if not name.endswith("-shm")}
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("UPDATE workflow_entity SET name = 'half' WHERE id = 'w-good'")
    with n8n_database.opened(path) as opened:
        assert "committed" in [workflow.name for workflow in opened.workflows()]
    writer.execute("ROLLBACK")
    writer.close()


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_all_is_of_one_moment(recorded_n8n: Recorded, mode: str) -> None:
    path = recorded_n8n()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}")
    stop, failed = threading.Event(), []

    def write() -> None:
        writer = sqlite3.connect(path, timeout=30, isolation_level=None)
        while not stop.is_set():
            try:
                writer.execute("BEGIN IMMEDIATE")
                writer.execute("UPDATE workflow_entity SET name = name || 'x' WHERE id = 'w-good'")
                writer.execute("UPDATE credentials_entity SET name = name || 'x' WHERE id = 'webhook-secret'")
                writer.execute("COMMIT")
            except sqlite3.Error as problem:
                failed.append(problem)
            time.sleep(0.003)
        writer.close()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _time in range(30):
            with n8n_database.opened(path) as opened:
                name = next(each.name for each in opened.workflows() if each.id == "w-good")
                secret = next(each.name for each in opened.credentials() if each.id == "webhook-secret")
            assert name.count("x") == secret.count("x")
    finally:
        stop.set()
        thread.join()
    assert not failed


def test_a_database_with_a_wal_that_nobody_has_open(recorded_n8n: Recorded) -> None:
    path = recorded_n8n()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode = wal")
    connection.close()
    before = _files(path)
    with n8n_database.opened(path) as opened:
        assert opened.workflows()
    assert _files(path) == before


def test_locked_for_good(recorded_n8n: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(n8n_database, "BUSY_SECONDS", 0.1)
    path = recorded_n8n()
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("BEGIN EXCLUSIVE")
    with pytest.raises(Unreadable, match="stayed locked"), n8n_database.opened(path) as opened:
        opened.workflows()
    writer.close()


def test_a_writer_that_crashed(recorded_n8n: Recorded) -> None:
    path = recorded_n8n()
    child = os.fork()
    if child == 0:
        writer = sqlite3.connect(path, isolation_level=None)
        writer.execute("PRAGMA cache_size = 1")
        writer.execute("BEGIN")
        writer.execute("UPDATE workflow_entity SET name = hex(randomblob(20000))")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.path.getsize(path + "-journal") > 0
    with pytest.raises(Unreadable, match="its next start mends that"), n8n_database.opened(path) as opened:
        opened.workflows()


@pytest.mark.parametrize(("content", "said"), [
    (None, "there is no"), (b"", "no SQLite database"), (b"x" * 100, "no SQLite database"),
    (b"SQLite format 3\0" + b"\0" * 84, "cannot be read")])
def test_no_database(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "database.sqlite"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(Unreadable, match=said), n8n_database.opened(str(path)) as opened:
        opened.workflows()


@pytest.mark.parametrize("kind", ["directory", "link", "fifo"])
def test_no_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "database.sqlite"
    if kind == "directory":
        path.mkdir()
    elif kind == "link":
        path.symlink_to("/etc/passwd")
    else:
        os.mkfifo(path)
    with pytest.raises(Unreadable, match="is no file"), n8n_database.opened(str(path)):
        pass


def test_other_versions(recorded_n8n: Recorded) -> None:
    path = recorded_n8n("DROP TABLE webhook_entity", "ALTER TABLE credentials_entity RENAME COLUMN type TO kind")
    with n8n_database.opened(path) as opened:
        with pytest.raises(Unreadable, match="no table webhook_entity"):
            opened.webhooks()
        with pytest.raises(Unreadable, match="no type in its table credentials_entity"):
            opened.credentials()
        assert opened.workflows()


@pytest.mark.parametrize("nodes", ["", "null", "{}", "[" * 100_000, "7", '"[]"'])
def test_nodes_that_are_no_nodes(recorded_n8n: Recorded, nodes: str) -> None:
    path = recorded_n8n()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE workflow_entity SET nodes = ?", (nodes,))
    with n8n_database.opened(path) as opened:
        assert all(workflow.nodes == [] for workflow in opened.workflows())


def test_flatted() -> None:
    assert n8n_database.unflatten('[{"a":"1","b":2,"c":"2"},"text",["1",null,true]]') == {
        "a": "text", "b": 2, "c": ["text", None, True]}
    loop = n8n_database.unflatten('[{"self":"0"}]')
    assert loop["self"] is loop
    assert n8n_database.unflatten('["alone"]') == "alone"


@pytest.mark.parametrize("text", [
    "", "{}", "[]", "7", "null", '[{"a":"9"}]', '[{"a":"secret"}]', '[{"a":"-1"}]', '[{"a":"²"}]', "[" * 100_000, "[{"])
def test_what_is_not_flatted_is_told_without_quoting_it(text: str) -> None:
    with pytest.raises(ValueError) as raised:
        n8n_database.unflatten(text)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("data", [
    None, [], {}, {"resultData": None}, {"resultData": {"runData": []}}, {"resultData": {"runData": {"a": None}}},
    {"resultData": {"runData": {"a": [None, 7]}, "error": []}}, {"resultData": {"runData": {"a": [{"data": []}]}}},
    {"resultData": {"runData": {"a": [{"data": {"main": [None, [None]]}, "error": 7, "executionIndex": "x"}]}}}])
def test_a_record_that_is_none(data: object) -> None:
    run = n8n_database.read_run(data)
    assert run.last_node == ""
    json.dumps(run)
