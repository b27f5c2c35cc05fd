"""Backups of the real n8n, and of Grafana's database (a double's, here): taken while in use, rehearsed, put back."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
from backup_on_host import ROOT, STATE
from stack_on_host import assert_all_healthy, ops, said
from testinfra.host import Host

VOLUMES = "/var/lib/docker/volumes"
N8N = f"{VOLUMES}/oci_coinpilot_n8n_data/_data"
GRAFANA = f"{VOLUMES}/oci_coinpilot_grafana_data/_data"
WORKFLOW = {"id": "backupTest000001", "name": "backup test", "active": False, "nodes": [], "connections": {},
            "settings": {}, "pinData": {}}
CREDENTIAL = {"id": "backupTest000002", "name": "backup test", "type": "httpHeaderAuth",
              "data": {"name": "x-webhook-secret", "value": "what only n8n can read"}}

_OTHER_KEY = """
import json
config = json.load(open("data/config"))
json.dump(dict(config, encryptionKey="a-key-of-another-n8n"), open("data/config", "w"))
"""
# Makes sidecar and manifest say what a changed archive is.
_SEAL = """
import hashlib, json, sys
path = sys.argv[1]
data, name = open(path, "rb").read(), path.rsplit("/", 1)[1]
digest, manifest = hashlib.sha256(data).hexdigest(), path.split(".")[0] + ".json"
open(path + ".sha256", "w").write(digest + "  " + name + chr(10))
told = json.load(open(manifest))
told["files"][0].update(size=len(data), sha256=digest)
json.dump(told, open(manifest, "w"))
"""

pytestmark = pytest.mark.usefixtures("no_backups")


def n8n(host: Host, arguments: str, given: str = "") -> str:
    command = f"docker exec -i -u node coinpilot-n8n sh -c {shlex.quote(arguments)}"
    return host.check_output(f"printf %s {shlex.quote(given)} | {command}")


def sql(host: Host, database: str, statement: str) -> Any:
    """The rows of a statement, on the live file beside the service that uses it."""
    code = (f"import json, sqlite3; db = sqlite3.connect({database!r}, timeout=30); "
            f"print(json.dumps(db.execute({statement!r}).fetchall())); db.commit()")
    return json.loads(host.check_output("python3 -c " + shlex.quote(code)))


def newest(host: Host, target: str) -> dict[str, Any]:
    """The newest manifest."""
    return dict(json.loads(host.check_output(f"cat $(ls -t {ROOT}/{target}/daily/*.json | head -1)")))


def expect(host: Host, command: str, code: int = 0) -> str:
    rc, report = ops(host, command)
    assert rc == code, said(report)
    return said(report)


@pytest.fixture
def contents(host: Host) -> Iterator[None]:
    """A workflow and a credential."""
    for kind, thing in (("workflow", WORKFLOW), ("credentials", CREDENTIAL)):
        n8n(host, f"cat > /tmp/{kind}.json && n8n import:{kind} --input=/tmp/{kind}.json; rm /tmp/{kind}.json",
            json.dumps([thing]))
    yield
    for table in ("workflow_entity", "credentials_entity"):
        sql(host, f"{N8N}/database.sqlite", f"DELETE FROM {table} WHERE id LIKE 'backupTest%'")
    for volume in (N8N, GRAFANA):
        host.check_output(f"rm -rf {volume}/.before-restore-*")


def test_n8n_is_taken_rehearsed_and_put_back(host: Host, contents: None) -> None:
    database, name = f"{N8N}/database.sqlite", host.check_output("hostname")
    owner = f"stat -c '%u %a' {N8N}/config {database}"
    before = host.check_output(owner)
    expect(host, "backup n8n")
    manifest = newest(host, "n8n")
    assert manifest["details"]["workflows"] == manifest["details"]["exported_workflows"] >= 1
    assert manifest["details"]["credentials"] == manifest["details"]["exported_credentials"] >= 1
    packed = host.check_output(f"zstd -dc {ROOT}/n8n/daily/{manifest['files'][0]['name']} | tar -t")
    assert "./export/workflows/backupTest000001.json" in packed and "./data/config" in packed
    # What is written while SQLite copies as root belongs to n8n still.
    assert host.check_output(f"find {N8N} -not -user 1000") == ""
    assert "restored, all" in expect(host, "restore-rehearsal n8n")

    sql(host, database, "DELETE FROM workflow_entity WHERE id = 'backupTest000001'")
    sql(host, database, "DELETE FROM credentials_entity WHERE id = 'backupTest000002'")
    expect(host, f"restore n8n {manifest['name']} --confirm {name}")
    assert sql(host, database, "SELECT name FROM workflow_entity WHERE id = 'backupTest000001'") == [["backup test"]]
    assert host.check_output(owner) == before
    assert host.check_output(f"ls -d {N8N}/.before-restore-*")
    assert host.check_output(f"ls {ROOT}/n8n/safety/*.json")
    assert_all_healthy(host)
    read = n8n(host, "n8n export:credentials --id=backupTest000002 --decrypted --output=/tmp/c.json > /dev/null && "
                     "cat /tmp/c.json; rm /tmp/c.json")
    assert "what only n8n can read" in read


def test_a_key_that_reads_nothing_proves_nothing(host: Host, contents: None) -> None:
    expect(host, "backup n8n")
    manifest = newest(host, "n8n")
    archive = f"{ROOT}/n8n/daily/{manifest['files'][0]['name']}"
    # All checksums hold: what is wrong is inside.
    change = "python3 -c " + shlex.quote(_OTHER_KEY)
    host.check_output(f"cd $(mktemp -d) && zstd -dc {archive} | tar -x && {change} && tar -c . | zstd -qf -o {archive}")
    host.check_output("python3 -c " + shlex.quote(_SEAL) + f" {archive}")
    assert "n8n cannot read" in expect(host, "restore-rehearsal n8n", code=1)
    assert json.loads(host.file(f"{STATE}/backup/n8n.json").content_string)["last_rehearsal"]["ok"] is False


def test_grafana_is_taken_rehearsed_and_put_back(host: Host) -> None:
    database, name = f"{GRAFANA}/grafana.db", host.check_output("hostname")
    users = sql(host, database, "SELECT login FROM user")
    assert users
    expect(host, "backup grafana")
    manifest = newest(host, "grafana")
    assert manifest["counts"]["user"] == len(users)
    assert "restored, all" in expect(host, "restore-rehearsal grafana")
    sql(host, database, "DELETE FROM user")
    expect(host, f"restore grafana {manifest['name']} --confirm {name}")
    assert sql(host, database, "SELECT login FROM user") == users
    assert_all_healthy(host)
    host.check_output(f"rm -rf {GRAFANA}/.before-restore-*")


@pytest.mark.parametrize(("instead", "words"), [
    ("true", "there is no database file"),
    ("touch {}", "is empty (0 bytes)"),
    ("echo 'no database, but some text' > {}", "is no SQLite database"),
], ids=["missing", "empty", "another file"])
def test_what_is_no_database_is_no_backup(host: Host, instead: str, words: str) -> None:
    database = f"{GRAFANA}/grafana.db"
    # The service keeps the file that it has open.
    host.check_output(f"mv {database} {database}.kept && {instead.format(database)}")
    try:
        assert words in expect(host, "backup grafana", code=1)
    finally:
        host.check_output(f"mv {database}.kept {database}")
    assert host.check_output(f"find {ROOT}/grafana -type f") == ""
