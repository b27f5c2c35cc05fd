"""n8n's and Grafana's backups, from a volume and back, with the containers played by a few lines."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import tarfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils import (
    archive,
    backup_grafana,
    backup_n8n,
    backup_store,
    backup_volume,
    container,
)
from ansible_collections.coinpilot.ops.plugins.module_utils.backup_errors import BackupError
from ansible_collections.coinpilot.ops.plugins.module_utils.backup_job import Job, Restored

KEY = "k" * 16 + "s" * 16
N8N_TABLES = """
CREATE TABLE "user" (id TEXT, "createdAt" TEXT);
CREATE TABLE workflow_entity (id TEXT, active INTEGER);
CREATE TABLE credentials_entity (id TEXT);
INSERT INTO "user" VALUES ('u', '2026-01-02 03:04:05');
INSERT INTO workflow_entity VALUES ('w1', 1), ('w2', 0);
INSERT INTO credentials_entity VALUES ('c1');
"""
GRAFANA_TABLES = """
CREATE TABLE migration_log (timestamp TEXT);
CREATE TABLE user (login TEXT);
INSERT INTO migration_log VALUES ('2026-01-02 03:04:05'), ('2026-02-02 03:04:05');
INSERT INTO user VALUES ('admin');
"""


class Engine:
    """One container with one volume."""

    path = "-"

    def __init__(self, volume: Path) -> None:
        self.volume = volume
        self.environment: list[str] = []
        self.told: list[str] = []

    def containers(self, project: str) -> list[dict[str, Any]]:
        mounts = [{"Destination": "/data", "Name": "oci_data", "Source": str(self.volume)}]
        return [dict(self.get(""), Name="/coinpilot", Image="sha256:1", Mounts=mounts, HostConfig={})]

    def get(self, path: str) -> dict[str, Any]:
        return {"Id": "0", "State": {"Status": "running"},
                "Config": {"Image": "grafana/grafana:12.4.4", "Env": self.environment,
                           "Labels": {"com.docker.compose.service": "it"}}}

    def request(self, method: str, path: str) -> bytes:
        self.told.append(path.rpartition("/")[2])
        return b""


class Scratch:
    """n8n in a scratch container: what it exports and reads is what the database holds, unless told otherwise."""

    def __init__(self) -> None:
        self.loses = 0
        self.says: str | None = None

    def run(self, job: Job, service: container.Container, mounts: Mapping[str, str], commands: Sequence[str]) -> str:
        if self.says:
            raise BackupError("scratch-failed", container="-", said=self.says)
        clone = next(path for path, target in mounts.items() if target == "/data")
        rows = {}
        with contextlib.closing(sqlite3.connect(os.path.join(clone, "database.sqlite"))) as database:
            for what, kind in backup_n8n.KINDS.items():
                rows[what] = database.execute("SELECT id FROM " + kind.table).fetchall()[self.loses:]
            database.execute("DELETE FROM workflow_entity")
            database.commit()
        for exports in (path for path, target in mounts.items() if target == "/export"):
            for what, ids in rows.items():
                os.makedirs(os.path.join(exports, what))
                for (number,) in ids:
                    Path(exports, what, number + ".json").write_text(json.dumps({"id": number}))
        return "1.123.81\n%s\n" % json.dumps({what: len(ids) for what, ids in rows.items()})


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    path = tmp_path / "volume"
    path.mkdir()
    return path


@pytest.fixture
def engine(volume: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    engine = Engine(volume)
    monkeypatch.setattr(backup_volume, "Engine", lambda path, timeout: engine)
    monkeypatch.setattr(container, "remove_scratch", lambda name: None)
    monkeypatch.setattr(container, "ask", lambda service, *argv: "1.123.81\n")
    return engine


@pytest.fixture
def scratch(monkeypatch: pytest.MonkeyPatch) -> Scratch:
    scratch = Scratch()
    monkeypatch.setattr(backup_n8n, "_run", scratch.run)
    return scratch


def job_of(target: str, engine: Any, root: Path) -> Job:
    description = {"name": "coinpilot", "project": "oci", "unit": "-", "backup_directory": str(root / "backups"),
                   "backup": {"targets": {target: {"service": "it"}}},
                   "services": {"it": {"volume": "data", "mount": "/data", "engine": target}}}
    return Job(description, target, engine)


def database(path: Path, script: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)


def rows(path: Path, table: str) -> int:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT count(*) FROM " + table).fetchone()[0]


@pytest.fixture
def n8n(volume: Path, engine: Engine, scratch: Scratch, tmp_path: Path) -> Job:
    database(volume / "database.sqlite", N8N_TABLES)
    (volume / "config").write_text(json.dumps({"encryptionKey": KEY}))
    (volume / "config").chmod(0o600)
    for name in ("binaryData/w1/1", "nodes/package.json", "export/mine", "n8nEventLog.log", "crash.journal",
                 "n8nEventLog.recoveryInProgress",
                 ".before-restore-20260101T000000Z/old"):
        (volume / name).parent.mkdir(parents=True, exist_ok=True)
        (volume / name).write_text(name)
    return job_of("n8n", engine, tmp_path)


def take(job: Job, code: Any) -> tuple[backup_store.Backup, Restored]:
    where = os.path.join(job.description["backup_directory"], job.target, "daily")
    os.makedirs(where, exist_ok=True)
    name = "coinpilot_%s_20261123T000000Z" % job.target
    taken = code.take(job, os.path.join(where, name), archive.best(), code.identify(job))
    (main,) = taken.files
    os.rename(backup_store.partial(os.path.join(where, main.name)), os.path.join(where, main.name))
    assert os.listdir(os.path.join(job.description["backup_directory"], ".work")) == []
    return (backup_store.Backup(job.target, name, where, "daily", 0.0, (main.name,), None, True),
            Restored(taken.counts, taken.details, {"n8n": "1.123.81"}))


def refusal(function: Callable[..., Any], *arguments: Any) -> str:
    with pytest.raises(BackupError) as raised:
        function(*arguments)
    case = {**backup_n8n.CASES, **container.CASES}[raised.value.case]
    assert case.seen.fill(**raised.value.values)
    assert case.fix.fill(**raised.value.values)
    assert KEY not in str(raised.value)
    return raised.value.case


def told(text: str) -> None:
    """Where a restore's notes go."""


def test_n8n_is_known_by_its_volume_its_first_user_and_its_instance(n8n: Job) -> None:
    source = backup_n8n.identify(n8n)
    assert source.identity == {
        "volume": "oci_data", "created": "2026-01-02 03:04:05",
        # Of the second half: printf ssssssssssssssss | sha256sum
        "instance_id": "c3a1b8f1b1f7447a5ed53e71d6e879395998e3e7021e0c748d5b38d1a14301a5",
    }
    assert source.versions == {"n8n": "1.123.81"}
    assert source.staged > source.estimate > 0
    assert KEY[:8] not in repr(source)


def test_n8n_is_taken_rehearsed_and_restored(n8n: Job, volume: Path, engine: Engine) -> None:
    backup, taken = take(n8n, backup_n8n)
    assert taken.counts == {"user": 1, "workflow_entity": 2, "credentials_entity": 1}
    assert taken.details == {"workflows": 2, "active_workflows": 1, "credentials": 1, "exported_workflows": 2,
                             "exported_credentials": 1}
    assert backup_n8n.rehearse(n8n, backup) == taken
    assert rows(volume / "database.sqlite", "workflow_entity") == 2

    (volume / "database.sqlite").unlink()
    database(volume / "database.sqlite", N8N_TABLES + "DELETE FROM workflow_entity")
    (volume / "config").write_text(json.dumps({"encryptionKey": "another"}))
    (volume / "database.sqlite-wal").write_text("stale")
    (volume / "binaryData" / "w1" / "2").write_text("newer")
    assert backup_n8n.restore(n8n, backup, told) == taken
    assert rows(volume / "database.sqlite", "workflow_entity") == 2
    assert json.loads((volume / "config").read_text()) == {"encryptionKey": KEY}
    assert (volume / "config").stat().st_mode & 0o777 == 0o600
    assert os.listdir(volume / "binaryData" / "w1") == ["1"]
    assert not (volume / "database.sqlite-wal").exists()
    assert engine.told == ["stop", "start"]
    (aside,) = set(volume.glob(".before-restore-*")) - {volume / ".before-restore-20260101T000000Z"}
    assert sorted(os.listdir(aside)) == ["binaryData", "config", "database.sqlite", "database.sqlite-wal", "export",
                                         "nodes"]
    assert (volume / "export" / "mine").exists()


def test_an_archive_holds_what_matters(n8n: Job) -> None:
    backup, _taken = take(n8n, backup_n8n)
    out = Path(backup.directory, "out")
    out.mkdir()
    archive.unpack(backup.path, str(out))
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()) == [
        "data/binaryData/w1/1", "data/config", "data/database.sqlite", "data/export/mine", "data/nodes/package.json",
        "export/credentials/c1.json", "export/workflows/w1.json", "export/workflows/w2.json"]


@pytest.mark.parametrize(("spoil", "case"), [
    (lambda volume, engine, scratch: (volume / "config").unlink(), "no-key"),
    (lambda volume, engine, scratch: (volume / "config").write_text("[]"), "no-key"),
    (lambda volume, engine, scratch: (volume / "config").write_text("{"), "no-key"),
    (lambda volume, engine, scratch: engine.environment.append("N8N_ENCRYPTION_KEY=other"), "other-key"),
    (lambda volume, engine, scratch: engine.environment.append("DB_TYPE=postgresdb"), "other-database"),
    (lambda volume, engine, scratch: (volume / "database.sqlite").unlink(), "no-database"),
    (lambda volume, engine, scratch: (volume / "database.sqlite").write_bytes(b""), "empty-database"),
    (lambda volume, engine, scratch: setattr(scratch, "loses", 1), "not-exported"),
    (lambda volume, engine, scratch: setattr(scratch, "says", "exit code 137"), "scratch-failed"),
])
def test_n8n_is_not_taken(n8n: Job, volume: Path, engine: Engine, scratch: Scratch,
                          spoil: Callable[..., Any], case: str) -> None:
    spoil(volume, engine, scratch)
    assert refusal(take, n8n, backup_n8n) == case


@pytest.mark.parametrize(("spoil", "case"), [
    (lambda scratch: setattr(scratch, "loses", 1), "not-readable"),
    (lambda scratch: setattr(scratch, "says", "Credentials could not be decrypted."), "wrong-key"),
    (lambda scratch: setattr(scratch, "says", "exit code 137"), "scratch-failed"),
])
def test_what_n8n_cannot_read_is_not_restored(n8n: Job, engine: Engine, scratch: Scratch, spoil: Callable[..., Any],
                                              case: str) -> None:
    backup, _taken = take(n8n, backup_n8n)
    spoil(scratch)
    assert refusal(backup_n8n.rehearse, n8n, backup) == case
    assert refusal(backup_n8n.restore, n8n, backup, told) == case
    assert engine.told == []


def test_exports_that_have_gone_are_missed(n8n: Job) -> None:
    backup, _taken = take(n8n, backup_n8n)
    out = Path(backup.directory, "out")
    out.mkdir()
    archive.unpack(backup.path, str(out))
    (out / "export" / "workflows" / "w1.json").unlink()
    os.unlink(backup.path)
    archive.write_directory(str(out), backup.path, archive.best())
    assert refusal(backup_n8n.rehearse, n8n, backup) == "exports-missing"


def test_a_key_that_the_container_would_refuse_is_not_restored(n8n: Job, engine: Engine) -> None:
    backup, _taken = take(n8n, backup_n8n)
    engine.environment.append("N8N_ENCRYPTION_KEY=other")
    assert refusal(backup_n8n.restore, n8n, backup, told) == "other-key"
    assert engine.told == []


def test_an_archive_of_the_whole_volume_is_restored(n8n: Job, volume: Path, tmp_path: Path) -> None:
    name = "coinpilot_n8n_20260301_032501"
    with tarfile.open(tmp_path / (name + ".tar.gz"), "w:gz") as tar:
        tar.add(volume, ".")
    old = backup_store.Backup("n8n", name, str(tmp_path), "daily", 0.0, (name + ".tar.gz",), None, False)
    (volume / "n8nEventLog.log").write_text("newer")
    (volume / "config").write_text(json.dumps({"encryptionKey": "another"}))
    restored = backup_n8n.restore(n8n, old, told)
    assert restored.details == {"workflows": 2, "active_workflows": 1, "credentials": 1}
    assert (volume / "n8nEventLog.log").read_text() == "newer"
    assert json.loads((volume / "config").read_text()) == {"encryptionKey": KEY}


@pytest.fixture
def grafana(volume: Path, engine: Engine, tmp_path: Path) -> Job:
    database(volume / "grafana.db", GRAFANA_TABLES)
    (volume / "plugins").mkdir()
    return job_of("grafana", engine, tmp_path)


def test_grafana_is_taken_rehearsed_and_restored(grafana: Job, volume: Path, engine: Engine) -> None:
    assert backup_grafana.identify(grafana).identity == {"volume": "oci_data", "created": "2026-01-02 03:04:05"}
    backup, taken = take(grafana, backup_grafana)
    assert taken.counts == {"migration_log": 2, "user": 1}
    assert backup_grafana.rehearse(grafana, backup).counts == taken.counts

    (volume / "grafana.db").write_bytes(b"damaged")
    (volume / "grafana.db-journal").write_text("stale")
    assert backup_grafana.restore(grafana, backup, told) == Restored(taken.counts, {}, {"grafana": "12.4.4"})
    assert rows(volume / "grafana.db", "user") == 1
    assert not (volume / "grafana.db-journal").exists()
    assert (volume / "plugins").is_dir()


def test_another_grafana_has_another_identity_or_none(grafana: Job, volume: Path) -> None:
    database(volume / "grafana.db", "DROP TABLE migration_log")
    assert backup_grafana.identify(grafana).identity == {"volume": "oci_data"}
    (volume / "grafana.db").unlink()
    assert refusal(backup_grafana.identify, grafana) == "no-database"


def test_a_service_that_changes_what_it_was_given_is_told(grafana: Job, volume: Path, engine: Engine,
                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    backup, _taken = take(grafana, backup_grafana)

    def start(job: Job, service: container.Container) -> None:
        database(volume / "grafana.db", "DELETE FROM user")

    monkeypatch.setattr(backup_volume, "start", start)
    assert refusal(backup_grafana.restore, grafana, backup, told) == "not-restored"
