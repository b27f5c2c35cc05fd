"""PostgreSQL's backups restored, in a scratch place and for real, and those that must not be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from backup_on_host import (
    DAILY,
    ROOT,
    SAFETY,
    SCRATCH,
    STATE,
    Begun,
    databases,
    describe,
    manifest,
    metrics,
    names,
    snapshot,
    state,
    take,
    wait,
)
from stack_on_host import AT_PRESENT, assert_all_healthy, ops, query, said, started
from testinfra.host import Host

Begin = Callable[[str], Begun]

COPY = f"{ROOT}/elsewhere"
OLD = "coinpilot_20260301_030501"
RESTORING = "coinpilot_restoring"

pytestmark = pytest.mark.usefixtures("no_backups")


@pytest.fixture
def confirm(host: Host) -> str:
    return f"--confirm {host.check_output('hostname')}"


@pytest.fixture
def probe(host: Host) -> Iterator[None]:
    """A table whose rows tell which data it is; goes with all that a restore has set aside."""
    query(host, "DROP TABLE IF EXISTS backup_probe; CREATE TABLE backup_probe AS SELECT generate_series(1, 1000) AS n")
    yield
    query(host, "DROP TABLE backup_probe")
    for name in databases(host) - {"coinpilot", "postgres", "template0", "template1"}:
        host.check_output(f"docker exec coinpilot-db dropdb -U postgres {name}")


def rows(host: Host) -> int:
    return int(query(host, "SELECT count(*) FROM backup_probe"))


def old_backup(host: Host) -> None:
    """As the scripts of before made one: the date in local time, an absolute path in the sidecar."""
    path = f"{DAILY}/{OLD}.sql.gz"
    host.check_output(f"mkdir -p {DAILY}; docker exec coinpilot-db pg_dump -U postgres coinpilot | gzip > {path}; "
                      f"sha256sum {path} > {path}.sha256")


def untouched(host: Host) -> tuple[Any, ...]:
    return snapshot(host), started(host), databases(host)


def refused(host: Host, command: str, words: str) -> None:
    """Ends with one clear line that says what to do."""
    rc, report = ops(host, command)
    assert rc == 1 and len(report["findings"]) == 1, said(report)
    finding = report["findings"][0]
    assert finding["status"] == "FAIL" and finding["fix"]["en"] and words in finding["seen"]["en"], said(report)
    assert "\n" not in finding["seen"]["en"] + finding["fix"]["en"]


# What must not be restored --------------------------------------------------------------------------------------------

DAMAGES = {
    "one bit": ("python3 -c 'import sys; f = open(sys.argv[1], \"r+b\"); f.seek(999); b = f.read(1); f.seek(999); "
                "f.write(bytes([b[0] ^ 1]))' {main}", "altered", "altered: "),
    "cut": ("truncate -s -1 {main}", "truncated", "truncated: "),
    "emptied": ("truncate -s 0 {main}", "empty", "empty (0 bytes)"),
    "removed": ("rm {main}", "missing", "there is no backup"),
    "further file": ("printf x >> {other}", "longer", "longer than it was written"),
    "further file removed": ("rm {other}", "missing", "missing: its manifest names it"),
    "sidecar, one digit": ("sed -i 's/^./g/;s/^g\\([1-9]\\)/0\\1/;s/^g/1/' {main}.sha256", "altered-sidecar",
                           "altered: it says"),
    "sidecar cut": ("truncate -s 40 {main}.sha256", "malformed-sidecar", "not in the format"),
    "sidecar emptied": ("truncate -s 0 {main}.sha256", "empty-sidecar", "empty (0 bytes)"),
    "sidecar removed": ("rm {main}.sha256", "no-sidecar", "missing"),
    "manifest cut": ("truncate -s -9 {manifest}", "broken-manifest", "is missing or damaged"),
    "manifest removed": ("rm {manifest}", "no-manifest", "is missing or damaged"),
}


def test_damage_is_told_apart_and_never_restored(host: Host, confirm: str) -> None:
    name = take(host)
    before = untouched(host)
    for damage, (how, problem, words) in DAMAGES.items():
        directory = f"{COPY}/postgres/daily"
        paths = {"main": f"{directory}/{name}.dump.zst", "other": f"{directory}/{name}.globals.sql.zst",
                 "manifest": f"{directory}/{name}.json"}
        host.check_output(f"rm -rf {COPY} && mkdir -p {directory} && cp -a {DAILY}/* {directory} && "
                          + how.format(**paths))
        rc, report = ops(host, f"checksum --path {COPY}")
        assert rc == 1, damage
        assert problem in [entry["problem"] for entry in report["files"]], (damage, said(report))
        refused(host, f"restore postgres {name} --from {COPY} {confirm}", words)
        if damage in ("one bit", "manifest cut"):
            refused(host, f"restore-rehearsal postgres --name {name} --from {COPY}", words)
    host.check_output(f"rm -rf {COPY}")
    assert untouched(host) == before


def test_what_is_no_backup_of_this_host(host: Host, confirm: str) -> None:
    name = take(host)
    directory = f"{COPY}/postgres/daily"
    host.check_output(f"mkdir -p {directory} && cp -a {DAILY}/* {directory}")
    before = untouched(host)
    refused(host, f"restore postgres {name}", "'' is not this host's name; nothing was changed")
    refused(host, f"restore postgres {name} --confirm another", "'another' is not this host's name")
    for wrong in (f"../daily/{name}", f"{DAILY}/{name}.dump.zst", "/etc/passwd", "newest"):
        refused(host, f"restore postgres {wrong} {confirm}", f"'{wrong}' is no name of a backup")
    refused(host, f"restore postgres coinpilot_postgres_20200101T000000Z {confirm}", "there is no backup")
    refused(host, f"restore redis {name} {confirm}", "is a backup of coinpilot postgres, not of redis")
    for key, value, words in (("project", '"other"', "is of the project other, this one is oci"),
                              ("machine_id", '"0123456789abcdef"', "was taken on another host: "),
                              ("engine", '"redis"', "is a backup of "), ("suspect", '["empty"]', "is suspect: empty"),
                              ("format", "2", "is missing or damaged")):
        edit = f"s/\"{key}\": [^,]*/\"{key}\": {value}/"
        if key == "suspect":
            edit = f"s/\"{key}\": .*\\[\\]/\"{key}\": {value}/"
        host.check_output(f"sed '{edit}' {DAILY}/{name}.json > {directory}/{name}.json")
        refused(host, f"restore postgres {name} --from {COPY} {confirm}", words)
    host.check_output(f"cp -a {DAILY}/{name}.json {directory}")
    assert untouched(host) == before


# Rehearsed ------------------------------------------------------------------------------------------------------------

def test_a_rehearsal_in_the_server_and_in_a_container(host: Host, probe: None) -> None:
    name = take(host)
    containers = host.check_output("docker ps -aq | sort")
    for place in ("server", "container"):
        def change(stack: dict[str, Any], place: str = place) -> None:
            stack["backup"]["rehearsal"]["place"] = place

        option = describe(host, "/run/place.json", change)
        rc, report = ops(host, f"restore-rehearsal postgres {option}")
        assert rc == 0 and f"{name}: restored, all " in said(report), said(report)
    host.check_output("rm /run/place.json")
    assert host.check_output("docker ps -aq | sort") == containers and SCRATCH not in databases(host)
    assert state(host)["last_rehearsal"]["ok"] is True and metrics(host)["rehearsal_last_result"] == 1
    # One that is not what its manifest says is no proof, and the next good one is.
    host.check_output(f"sed -i 's/\"public.backup_probe\": 1000/\"public.backup_probe\": 1001/' {DAILY}/{name}.json")
    refused(host, "restore-rehearsal postgres", "public.backup_probe 1001 → 1000")
    assert state(host)["last_rehearsal"]["ok"] is False and metrics(host)["rehearsal_last_result"] == 0


def test_a_rehearsal_that_is_killed(host: Host, bulk: int, probe: None, begin: Begin) -> None:
    take(host)
    before = started(host)
    rehearsal = begin("restore-rehearsal postgres")
    wait_for_database(host, SCRATCH)
    rehearsal.signal("KILL")
    assert rehearsal.end() == (137, {}) and SCRATCH in databases(host)
    rc, report = ops(host, "restore-rehearsal postgres")
    assert rc == 0 and SCRATCH not in databases(host), said(report)
    assert rows(host) == 1000 and int(query(host, "SELECT count(*) FROM backup_bulk")) == bulk
    assert started(host) == before


def wait_for_database(host: Host, name: str) -> None:
    wait(host, "docker exec coinpilot-db psql -U postgres -lqtA | grep -q ^" + name)


# Of the scripts of before ---------------------------------------------------------------------------------------------

def test_an_old_backup_beside_new_ones(host: Host, probe: None) -> None:
    old_backup(host)
    name = take(host)
    report = ops(host, "checksum postgres")[1]
    assert {entry["backup"]: entry["status"] for entry in report["files"]} == {OLD: "PASS", name: "PASS"}
    listed = ops(host, "backups postgres")[1]["backups"]
    assert [(row["name"], row["state"]) for row in listed] == [(name, "good"), (OLD, "old")]
    rc, report = ops(host, f"restore-rehearsal postgres --name {OLD}")
    assert rc == 0 and f"{OLD}: restored, " in said(report), said(report)
    # Cut between two rows, which psql does not notice, and packed and summed again.
    path = f"{DAILY}/{OLD}.sql.gz"
    host.check_output(f"line=$(zcat {path} | grep -n ^500$ | cut -d : -f 1); zcat {path} | head -n $line | gzip > "
                      f"{path}.new; mv {path}.new {path}; sha256sum {path} > {path}.sha256")
    refused(host, f"restore-rehearsal postgres --name {OLD}", "ends in the middle")
    assert SCRATCH not in databases(host)


# For real -------------------------------------------------------------------------------------------------------------

def test_a_restore_for_real(host: Host, probe: None, confirm: str) -> None:
    name = take(host)
    counts = manifest(host, name)["counts"]
    query(host, "DELETE FROM backup_probe; DELETE FROM trading_history")
    before = started(host)
    rc, report = ops(host, f"restore postgres {name} {confirm}")
    assert rc == 0 and f"{name}: all {sum(counts.values())} rows or keys as in the manifest" in said(report)
    assert_all_healthy(host)
    assert {service for service, when in started(host).items() if before[service] != when} == {
        "collector", "bot", "dashboard"}
    assert rows(host) == 1000
    assert int(query(host, "SELECT count(*) FROM trading_history")) >= counts["public.trading_history"]
    assert query(host, "SELECT hypertable_name FROM timescaledb_information.hypertables") == "market_data"
    assert query(host, "SHOW timescaledb.restoring") == "off"
    # The collector writes into what was restored.
    saved = counts["public.market_data"]
    wait(host, "[ $(docker exec coinpilot-db psql -U postgres -d coinpilot -tAc 'SELECT count(*) FROM market_data') "
               f"-gt {saved} ]")
    # What was there before: as a backup, and as a database.
    safety = names(host, SAFETY)
    assert len(safety) == 1 and manifest(host, safety[0], SAFETY)["counts"]["public.backup_probe"] == 0
    assert len([other for other in databases(host) if other.startswith("coinpilot_before_restore_")]) == 1
    assert not host.file(f"{STATE}/backup/restore/postgres.json").exists
    assert ops(host, "checksum postgres")[0] == 0 and ops(host, f"verify --only {AT_PRESENT}")[0] == 0


def test_a_restore_that_is_killed_is_finished_by_the_same_command(host: Host, bulk: int, probe: None, confirm: str,
                                                                  begin: Begin) -> None:
    old_backup(host)
    query(host, "DELETE FROM backup_probe")
    command = f"restore postgres {OLD} {confirm}"
    restore = begin(command)
    wait_for_database(host, RESTORING)
    restore.signal("KILL")
    assert restore.end() == (137, {})
    assert rows(host) == 0 and len(names(host, SAFETY)) == 1
    # Until it is finished, nothing is built on what it left.
    for job in ("backup postgres", f"restore-rehearsal postgres --name {OLD}"):
        refused(host, job, f"a restore of {OLD} was begun")
    rc, report = ops(host, command)
    assert rc == 0 and "of an old format" in said(report), said(report)
    assert rows(host) == 1000 and RESTORING not in databases(host)
    assert len(names(host, SAFETY)) == 1
    assert_all_healthy(host)
    take(host, "--accept-change")
