"""Backups of PostgreSQL on the host: what one is, what is kept, what is refused, and who is told."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from backup_on_host import (
    DAILY,
    LOG,
    ROOT,
    STACK,
    STATE,
    WEEKLY,
    Begun,
    Gate,
    assert_whole,
    describe,
    fail,
    files,
    manifest,
    metrics,
    names,
    snapshot,
    state,
    take,
    wait,
)
from stack_on_host import DIRECTORY, ops, query, said
from testinfra.host import Host

Begin = Callable[[str], Begun]
Faketime = Callable[[str], str]

TWIN = "oci_coinpilot_twin_data"
PINGS = "/run/coinpilot-pings"
# Answers everything, and writes down what was asked.
WATCHDOG = f"""
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        open("{PINGS}", "a").write(self.path + chr(10))
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", 8998), Handler).serve_forever()
"""

pytestmark = pytest.mark.usefixtures("no_backups")


@pytest.fixture
def twin(host: Host) -> Iterator[str]:
    """A second, empty server with a volume of its own; the option that has `coinpilot-ops` back that one up."""
    image = host.check_output("docker inspect --format '{{.Image}}' coinpilot-db")
    host.check_output(
        f"docker volume create {TWIN} && docker run --detach --pull never --name coinpilot-twin --network none "
        "--label com.docker.compose.project=oci --label com.docker.compose.service=twin --env POSTGRES_USER=postgres "
        f"--env POSTGRES_DB=coinpilot --env POSTGRES_PASSWORD=twin --volume {TWIN}:/var/lib/postgresql/data {image}")

    def change(stack: dict[str, Any]) -> None:
        stack["services"]["twin"] = dict(stack["services"]["db"], container="coinpilot-twin",
                                         volume="coinpilot_twin_data")
        stack["backup"]["targets"]["postgres"]["service"] = "twin"

    try:
        # While it makes its data directory, it does not listen on TCP.
        wait(host, "docker exec coinpilot-twin pg_isready -q -h 127.0.0.1")
        yield describe(host, "/run/twin.json", change)
    finally:
        host.check_output(f"rm -f /run/twin.json; docker rm -f coinpilot-twin; docker volume rm {TWIN}")


@pytest.fixture
def pings(host: Host) -> Iterator[Callable[[], list[str]]]:
    """A watchdog's service, whose address is in `.env`; gives the paths that were asked for since the last time."""
    env = f"{DIRECTORY}/.env"
    host.check_output(f"systemd-run --quiet --collect --unit coinpilot-pings python3 -c {shlex.quote(WATCHDOG)}")
    wait(host, "ss -tln | grep -q :8998")
    host.check_output(f"cp -a {env} {env}.kept; echo BACKUP_PING_URL_POSTGRES=http://127.0.0.1:8998/1234 >> {env}")

    def heard() -> list[str]:
        return host.check_output(f"touch {PINGS}; cat {PINGS}; rm {PINGS}").split()

    yield heard
    host.check_output(f"systemctl stop coinpilot-pings; mv {env}.kept {env}; rm -f {PINGS}")


def twin_query(host: Host, sql: str) -> None:
    host.check_output(f"docker exec coinpilot-twin psql -U postgres -d coinpilot -qc {shlex.quote(sql)}")


# What a backup is -----------------------------------------------------------------------------------------------------

def test_what_a_backup_is(host: Host, bulk: int) -> None:
    name = take(host)
    data = [f"{name}.dump.zst", f"{name}.globals.sql.zst"]
    assert files(host, DAILY) == sorted([*data, *(f"{file}.sha256" for file in data), f"{name}.json"])
    assert_whole(host)
    modes = host.check_output(f"find {ROOT} -printf '%y %m %U\\n' | sort -u").splitlines()
    assert modes == ["d 700 0", "f 600 0"]

    host.check_output(f"mkdir {ROOT}/copy && cp {DAILY}/* {ROOT}/copy")
    for where in (DAILY, f"{ROOT}/copy"):
        assert host.check_output(f"cd {where} && sha256sum -c --strict *.sha256").count(": OK") == 2
    assert bytes(host.check_output(f"zstd -dqc {DAILY}/{data[0]} | head -c 5"), "ascii") == b"PGDMP"

    told = manifest(host, name)
    assert told["counts"]["public.backup_bulk"] == bulk
    assert set(told["counts"]) >= {"public.market_data", "public.trading_history"}
    assert list(told["details"]["hypertables"]) == ["public.market_data"]
    assert told["versions"]["timescaledb"] == query(
        host, "SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'")
    assert told["identity"]["volume"] == "oci_coinpilot_db_data"
    assert told["host"] == {"name": host.check_output("hostname"),
                            "machine_id": host.check_output("cat /etc/machine-id")}
    assert (told["suspect"], told["accepted"], told["compression"].split()[0]) == ([], False, "zstd")
    assert told["files"][0]["raw_size"] > told["files"][0]["size"] > 100_000


def test_the_first_of_a_week_is_linked_and_the_second_of_a_day_is_kept(host: Host) -> None:
    first, second = take(host), take(host)
    assert names(host) == [first, second] and names(host, WEEKLY) == [first]
    inodes = host.check_output(f"stat -c '%i %h' {DAILY}/{first}.* ; echo; stat -c '%i %h' {WEEKLY}/{first}.*")
    assert len(set(inodes.split("\n\n"))) == 1 and set(re.findall(r" (\d)", inodes)) == {"2"}
    assert_whole(host)


def test_the_rows_are_of_one_moment_and_who_writes_goes_on(host: Host, gate: Gate, begin: Begin) -> None:
    tables = "DROP TABLE IF EXISTS backup_left, backup_right"
    query(host, f"{tables}; CREATE TABLE backup_left (n serial); CREATE TABLE backup_right (n serial)")
    writes = ("DO 'BEGIN LOOP INSERT INTO backup_left DEFAULT VALUES; PERFORM pg_sleep(0.001); "
              "INSERT INTO backup_right DEFAULT VALUES; COMMIT; END LOOP; END'")
    host.check_output("docker exec --detach --env PGAPPNAME=backup-writer coinpilot-db psql -U postgres -d coinpilot "
                      f"-c {shlex.quote(writes)}")
    gate.close()
    backup = begin("backup postgres")
    gate.reached()
    rows = int(query(host, "SELECT count(*) FROM backup_left"))
    wait(host, "[ $(docker exec coinpilot-db psql -U postgres -d coinpilot -tAc 'SELECT count(*) FROM backup_left') "
               f"-gt {rows + 100} ]")
    gate.open()
    rc, report = backup.end()
    assert rc == 0, said(report)
    counts = manifest(host, names(host)[0])["counts"]
    query(host, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'backup-writer'")
    assert 0 < counts["public.backup_left"] == counts["public.backup_right"] <= rows
    rc, report = ops(host, "restore-rehearsal postgres")
    assert rc == 0 and "as in the manifest" in said(report)
    query(host, tables)


def test_a_dry_run_changes_nothing(host: Host) -> None:
    assert ops(host, "backup postgres --dry-run")[0] == 0
    assert host.check_output(f"find {ROOT}") == ROOT
    take(host)
    before = snapshot(host)
    rc, report = ops(host, "backup postgres --dry-run")
    assert rc == 0 and "would be taken: coinpilot_postgres_" in said(report)
    assert snapshot(host) == before


# Retention ------------------------------------------------------------------------------------------------------------

def test_seven_days_and_four_weeks(host: Host, faketime: Faketime) -> None:
    foreign = ["notes.txt", "coinpilot_20200101_030501.sql.gz", "coinpilot_20200101_030501.sql.gz.sha256"]
    host.check_output(f"mkdir -p {DAILY} && cd {DAILY} && touch {' '.join(foreign)}")
    proven = take(host, prefix=faketime("-45d"))
    assert ops(host, "restore-rehearsal postgres")[0] == 0
    shown = host.check_output("for day in 36 29 22 15 8 6 5 4 3 2; do "
                              "faketime -f -${day}d coinpilot-ops backup postgres || exit 1; done")
    taken = [proven, *re.findall(r"(coinpilot_postgres_\w+Z): ", shown)]
    assert names(host)[0] == proven
    rc, report = ops(host, f"backup postgres --dry-run {keep_of(host, 2)}", faketime("-1d"))
    assert rc == 0 and "deleted: " in said(report) and taken[-3] in said(report) and taken[-1] not in said(report)
    taken += [take(host, prefix=faketime("-1d")), take(host)]

    assert names(host) == [proven, *taken[-7:]]
    weeks: dict[str, str] = {}
    for name in taken:
        moment = datetime.strptime(name[-16:], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        weeks.setdefault(moment.astimezone(ZoneInfo("Asia/Seoul")).strftime("%G-%V"), name)
    assert names(host, WEEKLY) == [proven, *list(weeks.values())[-4:]]
    assert set(files(host, DAILY)) >= set(foreign)
    assert_whole(host)


def keep_of(host: Host, days: int, description: str = STACK) -> str:
    return describe(host, f"{ROOT}/keep.json", lambda stack: stack["backup"]["keep"].update(daily=days), description)


def test_a_clock_that_jumps(host: Host, faketime: Faketime) -> None:
    now = take(host)
    back = take(host, prefix=faketime("-1d"))
    forward = take(host, prefix=faketime("+1d"))
    again = take(host)
    assert names(host) == sorted([back, now, again, forward])
    report = ops(host, "checksum postgres")[1]
    assert [entry["backup"] for entry in report["files"] if entry["problem"] == "future"
            and entry["path"].startswith(DAILY)] == [forward] * 2
    # The same second twice is no reason to overwrite what is there.
    second = "2020-02-02 02:02:02"
    twice = [take(host, prefix=faketime(second)) for _time in range(2)]
    assert len(set(twice)) == 2 and set(names(host)) >= set(twice)
    assert_whole(host)


# What is refused ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("instead", "words"), [
    ("mkdir {root}.elsewhere && ln -s {root}.elsewhere {root}", "Not a directory"),
    ("touch {root}", "Not a directory"),
    ("mkdir {root} && mount -t tmpfs -o ro none {root}", "Read-only file system"),
    ("mkdir -p {root}/postgres && ln -s /etc {root}/postgres/daily", "Not a directory"),
], ids=["link elsewhere", "file", "read-only", "link inside"])
def test_a_backup_directory_that_is_none(host: Host, instead: str, words: str) -> None:
    host.check_output(f"rmdir {ROOT} && {instead.format(root=ROOT)}")
    before = host.check_output(f"find {ROOT}/ /etc -newer {ROOT} -ls 2> /dev/null; ls -d {ROOT}*")
    try:
        assert "cannot be used" in fail(host, words)
        # Neither stops by an error of its own.
        assert ops(host, "backup postgres --dry-run")[0] in (0, 1)
        assert ops(host, "restore-rehearsal postgres")[0] == 1
        assert host.check_output(f"find {ROOT}/ /etc -newer {ROOT} -ls 2> /dev/null; ls -d {ROOT}*") == before
    finally:
        host.check_output(f"if mountpoint -q {ROOT}; then umount {ROOT}; fi; rm -rf {ROOT} {ROOT}.elsewhere")


def test_a_missing_backup_directory_is_made(host: Host) -> None:
    host.check_output(f"rmdir {ROOT}")
    take(host)
    assert host.file(ROOT).mode == 0o700 and host.file(DAILY).mode == 0o700


def test_a_misspelt_volume_is_not_made(host: Host) -> None:
    volumes = host.check_output("docker volume ls")
    wrong = describe(host, f"{ROOT}/wrong.json",
                     lambda stack: stack["services"]["db"].update(volume="coinpilot_db_dta"))
    fail(host, "has oci_coinpilot_db_data at /var/lib/postgresql/data, not oci_coinpilot_db_dta", wrong)
    assert host.check_output("docker volume ls") == volumes and files(host, DAILY) == []


def test_another_database_is_no_successor(host: Host, twin: str, faketime: Faketime) -> None:
    kept = [take(host, prefix=faketime(day)) for day in ("-2d", "-1d")]
    system = manifest(host, kept[-1])["identity"]["system_identifier"]
    fail(host, f"system_identifier was {system}, is ", twin)
    # The same database in another volume, as after a copy of its files.
    twins = host.check_output("docker exec coinpilot-twin psql -U postgres -tAc "
                              "'SELECT system_identifier FROM pg_control_system()'")
    host.check_output(f"sed -i s/{system}/{twins}/ {DAILY}/*.json")
    fail(host, f"volume was oci_coinpilot_db_data, is {TWIN}. Nothing was taken or deleted", twin)
    assert names(host) == kept and state(host)["last_result"] == "failure"
    accepted = take(host, f"{twin} --accept-change")
    assert manifest(host, accepted)["accepted"] is True
    new = take(host, twin)
    assert manifest(host, new)["compared_with"] == accepted


def test_what_was_emptied_is_suspect_and_deletes_nothing(host: Host, twin: str, faketime: Faketime) -> None:
    twin_query(host, "CREATE TABLE candles AS SELECT generate_series(1, 5000) AS n; "
                     "CREATE TABLE trades AS TABLE candles")
    older = take(host, twin, faketime("-1d"))
    good = take(host, twin)
    one_day = keep_of(host, 1, "/run/twin.json")
    for statement, words in (("DROP TABLE candles", f"emptied or gone since {good}: public.candles"),
                             ("TRUNCATE trades", f"everything is gone; 10000 rows or keys in {good}")):
        twin_query(host, statement)
        fail(host, words, one_day)
    assert names(host)[:2] == [older, good] and len(names(host)) == 4 and metrics(host)["suspect"] == 1
    # Nothing is restored of a suspect one by itself.
    rc, report = ops(host, f"restore-rehearsal postgres {twin}")
    assert rc == 0 and good in said(report)
    accepted = take(host, f"{one_day} --accept-change")
    assert names(host)[-1] == accepted and older not in names(host) and metrics(host)["suspect"] == 0


# Who is told ----------------------------------------------------------------------------------------------------------

def test_state_metrics_and_log(host: Host) -> None:
    name = take(host)
    wrong = describe(host, f"{ROOT}/wrong.json", lambda stack: stack["services"]["db"].update(volume="other"))
    fail(host, "not oci_other", wrong)
    told = state(host)
    assert told["last_success"]["name"] == name and told["last_result"] == "failure"
    assert told["last_success"]["count"] == sum(manifest(host, name)["counts"].values())
    assert told["last_failure"]["findings"] == ["backup"] and "oci_other" in told["last_failure"]["text"]["ko"]
    path = f"{STATE}/metrics/coinpilot_backup_postgres.prom"
    checked = host.run(f"docker exec -i coinpilot-prometheus promtool check metrics < {path}")
    assert (checked.rc, checked.stdout, checked.stderr) == (0, "", "")
    told_metrics = metrics(host)
    assert told_metrics["last_result"] == 0
    assert told_metrics["last_success_timestamp_seconds"] <= told_metrics["last_attempt_timestamp_seconds"]
    assert host.file(path).mode == 0o644 and host.file(f"{STATE}/backup/postgres.json").mode == 0o600
    assert "oci_other" in host.check_output(f"tail -n 5 {LOG}")


def test_a_watchdog_hears_of_start_success_and_failure(host: Host, pings: Callable[[], list[str]]) -> None:
    take(host)
    assert pings() == ["/1234/start", "/1234"]
    wrong = describe(host, f"{ROOT}/wrong.json", lambda stack: stack["services"]["db"].update(volume="other"))
    fail(host, "not oci_other", wrong)
    assert pings() == ["/1234/start", "/1234/fail"]
    assert ops(host, "backup postgres --dry-run")[0] == 0 and pings() == []
    # A watchdog that is gone is a warning beside a good backup, and its address is a secret.
    host.check_output("systemctl stop coinpilot-pings")
    rc, report = ops(host, "backup postgres")
    assert rc == 0 and report["status"] == "WARN" and "was not delivered" in said(report)
    assert "1234" not in json.dumps(report)
