"""Backups that are killed, run out of room, or meet a database that is not there: nothing false, nothing lost."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from backup_on_host import (
    DAILY,
    LOG,
    ROOT,
    WEEKLY,
    WHOLE,
    Begun,
    Gate,
    assert_whole,
    describe,
    fail,
    files,
    leftovers,
    metrics,
    names,
    sessions,
    state,
    take,
    wait,
)
from stack_on_host import CHECKOUT, assert_all_healthy, ops, said
from testinfra.host import Host

Begin = Callable[[str], Begun]

pytestmark = pytest.mark.usefixtures("no_backups")


@pytest.fixture
def disk(host: Host) -> Iterator[str]:
    """A disk of its own for the backups, which `mount -o remount,size=…` makes smaller or larger."""
    host.check_output(f"mount -t tmpfs -o size=2g,mode=700 none {ROOT}")
    yield ROOT
    host.check_output(f"umount {ROOT}")


@pytest.fixture(scope="module", autouse=True)
def healthy_afterwards(host: Host) -> Iterator[None]:
    yield
    wait_healthy(host)


def wait_healthy(host: Host) -> None:
    wait(host, '! docker ps -a --format "{{.Status}}" | grep -v "(healthy)"', 240)
    assert_all_healthy(host)


def assert_clean(host: Host) -> None:
    """After a backup that succeeded, nothing is left of those before it that did not."""
    assert_whole(host)
    assert leftovers(host) == []
    assert sessions(host) == 0
    whole = names(host)
    assert {name.split(".")[0] for name in files(host, DAILY)} == set(whole)


# Killed ---------------------------------------------------------------------------------------------------------------

def test_killed_anywhere(host: Host, bulk: int) -> None:
    # Ten moments over the length of one backup, and once more as soon as the first final name appears.
    kept = take(host)
    host.check_output(f"""
        begun=$(date +%s%N); coinpilot-ops backup postgres || exit 1; length=$(( $(date +%s%N) - begun ))
        for part in 0 1 2 3 4 5 6 7 8 9; do
            coinpilot-ops backup postgres > /dev/null 2>&1 & pid=$!
            delay=$(( length * part / 10 ))
            sleep $(( delay / 1000000000 )).$(printf %09d $(( delay % 1000000000 )))
            kill -9 $pid; wait $pid
            {WHOLE} || exit 1
        done
        before=$(ls {DAILY} | wc -l)
        coinpilot-ops backup postgres > /dev/null 2>&1 & pid=$!
        until [ $(ls {DAILY} | wc -l) -gt $before ]; do :; done
        kill -9 $pid; wait $pid
        {WHOLE}
    """)
    assert kept in names(host)
    take(host)
    assert_clean(host)
    assert ops(host, "checksum postgres")[0] == 0


def test_killed_in_the_middle_of_the_dump(host: Host, gate: Gate, begin: Begin) -> None:
    gate.close()
    backup = begin("backup postgres")
    gate.reached()
    assert [name for name in leftovers(host) if name.endswith(".dump.zst.partial")]
    backup.signal("KILL")
    assert backup.end() == (137, {})
    assert names(host) == []
    gate.open()
    take(host)
    assert_clean(host)


def test_told_to_end_it_clears_up_at_once(host: Host, gate: Gate, begin: Begin) -> None:
    gate.close()
    backup = begin("backup postgres")
    gate.reached()
    backup.signal("TERM")
    assert backup.end() == (143, {})
    assert files(host, DAILY) == []
    assert "stopped from outside before its end" in host.check_output(f"tail -n 1 {LOG}")
    gate.open()
    take(host)
    assert_clean(host)


def test_a_reboot_in_the_middle(host: Host, stand_in: str, gate: Gate, begin: Begin) -> None:
    kept = take(host)
    gate.close()
    begin("backup postgres")
    gate.reached()
    subprocess.run([sys.executable, str(CHECKOUT / "tests" / "stand_in" / "stand_in.py"), "reboot", "--name", stand_in],
                   check=True)
    assert names(host) == [kept]
    assert_whole(host)
    wait(host, "docker exec coinpilot-db pg_isready -h 127.0.0.1")
    take(host)
    assert_clean(host)


# Others at work -------------------------------------------------------------------------------------------------------

def test_two_at_once_and_a_rehearsal_meanwhile(host: Host, gate: Gate, begin: Begin) -> None:
    gate.close()
    first = begin("backup postgres")
    gate.reached()
    rc, report = ops(host, "backup postgres")
    assert rc == 0 and report["findings"][0]["status"] == "WARN"
    assert "the same one is running already (backup postgres, PID " in said(report)
    rehearsal = begin("restore-rehearsal postgres")
    wait(host, f"tail -n 1 {LOG} | grep -q 'waiting for another job to end: backup postgres'")
    gate.open()
    assert first.end()[0] == 0
    # What it proves is what it waited for.
    rc, report = rehearsal.end()
    assert rc == 0 and names(host)[0] in said(report)
    assert len(names(host)) == 1
    assert_clean(host)


# Room -----------------------------------------------------------------------------------------------------------------

def test_the_disk_fills_up_in_the_middle(host: Host, disk: str, bulk: int, gate: Gate, begin: Begin) -> None:
    kept = take(host)
    gate.close()
    backup = begin("backup postgres")
    gate.reached()
    host.check_output(f"fallocate -l 1M {disk}/other && mount -o remount,size=$(du -sk {disk} | cut -f 1)k {disk}")
    gate.open()
    rc, report = backup.end()
    assert rc == 1 and "could not be written" in said(report) and "No space left" in said(report), said(report)
    assert names(host) == [kept] and leftovers(host) == []
    host.check_output(f"mount -o remount,size=2g {disk}")
    take(host)
    assert_clean(host)


def test_no_room_before_it_begins(host: Host, disk: str, faketime: Callable[[str], str]) -> None:
    old, last = (take(host, prefix=faketime(day)) for day in ("-2d", "-1d"))
    host.check_output(f"mount -o remount,size=4m {disk}")
    keep = describe(host, f"{disk}/stack.json", lambda stack: stack["backup"]["keep"].update(daily=1))
    rc, report = ops(host, f"backup postgres {keep}")
    assert rc == 1 and "are needed in" in said(report) and "are free" in said(report)
    # What is due to go goes all the same: it may be what takes the room.
    assert "backup-retention" in said(report) and names(host) == [last]
    assert leftovers(host) == []


# The database ---------------------------------------------------------------------------------------------------------

def test_a_database_that_is_paused_renamed_or_restarted(host: Host) -> None:
    host.check_output("docker pause coinpilot-db")
    try:
        fail(host, "the container coinpilot-db is paused")
    finally:
        host.check_output("docker unpause coinpilot-db")
    host.check_output("docker rename coinpilot-db by-another-name")
    try:
        take(host)
    finally:
        host.check_output("docker rename by-another-name coinpilot-db")
    host.check_output("docker restart coinpilot-db")
    take(host)


def test_a_database_that_refuses_connections(host: Host, faketime: Callable[[str], str]) -> None:
    alter = "docker exec coinpilot-db psql -U postgres -c 'ALTER DATABASE coinpilot ALLOW_CONNECTIONS %s'"
    host.check_output(alter % "false")
    try:
        # The minute that a server is given takes six seconds.
        fail(host, "is not currently accepting connections", prefix=faketime("+0 x10"))
    finally:
        host.check_output(alter % "true")
    assert files(host, DAILY) == []
    take(host)


def test_a_month_without_a_database_deletes_nothing(host: Host, faketime: Callable[[str], str]) -> None:
    good = [take(host, prefix=faketime(day)) for day in ("-40d", "-33d", "-32d")]
    kept = files(host, DAILY), files(host, WEEKLY)
    host.check_output("docker stop coinpilot-db")
    failed = host.check_output("for day in $(seq 31 -1 2); do faketime -f -${day}d "
                               "coinpilot-ops backup postgres > /dev/null; echo $?; done").split()
    assert failed == ["1"] * 30
    fail(host, "the container coinpilot-db is exited")
    assert (files(host, DAILY), files(host, WEEKLY)) == kept
    assert state(host)["last_result"] == "failure" and state(host)["last_success"]["name"] == good[-1]
    assert metrics(host)["last_result"] == 0

    host.check_output("docker rm coinpilot-db")
    fail(host, "there is no container for the service db")
    # As the line before says. It waits for all services to be well, and the bot may take a little longer.
    host.run("systemctl reload-or-restart coinpilot-compose.service")
    new = take(host)
    assert names(host) == [*good, new]
    assert metrics(host)["last_result"] == 1
    assert_clean(host)


def test_docker_is_stopped(host: Host) -> None:
    host.check_output("systemctl stop docker.socket docker.service")
    try:
        fail(host, "Docker does not answer")
    finally:
        host.check_output("systemctl start docker.socket docker.service")
    assert files(host, DAILY) == []
    wait(host, "docker exec coinpilot-db true")
    take(host)
