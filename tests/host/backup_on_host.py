"""Backups on the stand-in host: taken, looked at, and held up where a test wants to break them."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from typing import Any

from stack_on_host import ops, query, said
from testinfra.host import Host

ROOT = "/var/backups/coinpilot"
DAILY, WEEKLY, SAFETY = (f"{ROOT}/postgres/{kind}" for kind in ("daily", "weekly", "safety"))
STATE = "/var/lib/coinpilot"
LOG = "/var/log/coinpilot/postgres-backup.log"
STACK = "/etc/coinpilot/stack.json"
JOBS = "/run/coinpilot-test"
SCRATCH = "coinpilot_restore_check"

# Every data file under a final name has all that goes with it, and is what that says.
_WHOLE = f"""
import glob, hashlib, json, os
for path in glob.glob("{ROOT}/*/*/*.zst"):
    where, name = os.path.split(path)
    digest = hashlib.sha256(open(path, "rb").read()).hexdigest()
    assert open(path + ".sha256").read() == digest + "  " + name + chr(10), path
    manifest = json.load(open(os.path.join(where, name.split(".")[0] + ".json")))
    assert [digest, os.path.getsize(path)] in [[file["sha256"], file["size"]] for file in manifest["files"]], path
    assert os.stat(path).st_mode & 0o777 == 0o600, path
"""
WHOLE = "python3 -c " + shlex.quote(_WHOLE)


def assert_whole(host: Host) -> None:
    host.check_output(WHOLE)


def names(host: Host, where: str = DAILY) -> list[str]:
    """The names of the backups in a directory, oldest first."""
    return [name[:-len(".dump.zst")] for name in files(host, where) if re.fullmatch(r"\w+\.dump\.zst", name)]


def files(host: Host, where: str) -> list[str]:
    """The names of all files in a directory, hidden ones too; none where there is no directory."""
    return sorted(host.check_output(f"mkdir -p {where}; ls -A {where}").split())


def leftovers(host: Host) -> list[str]:
    return host.check_output(f"find {ROOT} -name '.*' -type f").split()


def take(host: Host, options: str = "", prefix: str = "") -> str:
    """Takes a backup of postgres, which must succeed, and gives its name."""
    rc, report = ops(host, f"backup postgres {options}", prefix)
    assert rc == 0 and report["findings"][0]["status"] == "PASS", said(report)
    return re.findall(r"coinpilot_postgres_\w+Z", said(report))[0]


def fail(host: Host, words: str, options: str = "", prefix: str = "") -> str:
    """Tries to take one, which must fail with these words in one line, and prune nothing. Gives all that was said."""
    rc, report = ops(host, f"backup postgres {options}", prefix)
    assert rc == 1, said(report)
    failure = report["findings"][0]
    assert failure["status"] == "FAIL" and words in failure["seen"]["en"] and failure["fix"]["en"], said(report)
    assert "\n" not in failure["seen"]["en"]
    assert "backup-retention" not in {finding["id"] for finding in report["findings"]}
    return said(report)


def manifest(host: Host, name: str, where: str = DAILY) -> dict[str, Any]:
    return dict(json.loads(host.file(f"{where}/{name}.json").content_string))


def state(host: Host) -> dict[str, Any]:
    return dict(json.loads(host.file(f"{STATE}/backup/postgres.json").content_string))


def metrics(host: Host) -> dict[str, float]:
    """Name -> value of those without further labels."""
    text = host.file(f"{STATE}/metrics/coinpilot_backup_postgres.prom").content_string
    return {name: float(value) for name, value in re.findall(r'^coinpilot_backup_(\w+)\{target="postgres"\} (.*)$',
                                                             text, re.MULTILINE)}


def snapshot(host: Host) -> str:
    """All backups and all that is recorded of them; what is written all the time, the watch over the last change and
    the locks' files say nothing."""
    return host.check_output(f"find {ROOT} {STATE} -type f -not -name '*lock' -not -name containers.prom "
                             f"-not -name watch.prom -not -path '{STATE}/watch/*' "
                             "-printf '%p %i %m %s %T@ %n\\n' | sort")


def describe(host: Host, path: str, change: Callable[[dict[str, Any]], None], original: str = STACK) -> str:
    """Writes a changed copy of a description on the host, and gives the option that has it read."""
    description = json.loads(host.file(original).content_string)
    change(description)
    host.check_output(f"printf %s {shlex.quote(json.dumps(description))} > {path}")
    return f"--description {path}"


def wait(host: Host, condition: str, seconds: int = 300) -> None:
    host.check_output(f"timeout {seconds} sh -c {shlex.quote(f'until {condition}; do sleep 0.1; done')}")


def sessions(host: Host) -> int:
    """Connections of ours that the database has."""
    return int(query(host, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'coinpilot-ops'"))


def databases(host: Host) -> set[str]:
    return set(query(host, "SELECT datname FROM pg_database").split())


class Begun:
    """`coinpilot-ops COMMAND` in the background of the host."""

    def __init__(self, host: Host, command: str):
        self.host = host
        self.where = host.check_output(f"mkdir -p {JOBS} && mktemp -d {JOBS}/XXXX")
        line = f"echo $$ > {self.where}/pid; exec coinpilot-ops {command} --format json"
        whole = f"sh -c {shlex.quote(line)} > {self.where}/out 2> {self.where}/err; echo $? > {self.where}/code; " \
                f"mv {self.where}/code {self.where}/rc"
        host.check_output(f"setsid sh -c {shlex.quote(whole)} < /dev/null > /dev/null 2>&1 &")
        wait(host, f"[ -s {self.where}/pid ]")

    @property
    def running(self) -> bool:
        return not self.host.file(f"{self.where}/rc").exists

    def signal(self, name: str) -> None:
        """To the command alone: the programs that it has started find out by themselves."""
        self.host.check_output(f"kill -s {name} $(cat {self.where}/pid)")

    def end(self) -> tuple[int, dict[str, Any]]:
        """Waits for the end; gives exit code and report, {} where a signal kept it from making one."""
        wait(self.host, f"[ -e {self.where}/rc ]", 600)
        report = self.host.file(f"{self.where}/out").content_string
        return int(self.host.file(f"{self.where}/rc").content_string), json.loads(report) if report else {}


class Gate:
    """A locked table, before which every dump of the database stops until it is opened."""

    def __init__(self, host: Host):
        self.host = host
        query(host, "DROP TABLE IF EXISTS backup_gate; CREATE TABLE backup_gate (n int)")

    def close(self) -> None:
        self.host.check_output(
            "docker exec --detach --env PGAPPNAME=backup-gate coinpilot-db psql -U postgres -d coinpilot -c "
            "'BEGIN; LOCK TABLE backup_gate; SELECT pg_sleep(600)'")
        self._wait("granted AND mode = 'AccessExclusiveLock'", 1)

    def reached(self) -> None:
        """Waits until pg_dump and the session that counts both stand before it."""
        self._wait("NOT granted", 2)

    def open(self) -> None:
        query(self.host, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                         "WHERE application_name = 'backup-gate'")

    def remove(self) -> None:
        self.open()
        query(self.host, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                         "WHERE application_name = 'coinpilot-ops'")
        query(self.host, "DROP TABLE backup_gate")

    def _wait(self, which: str, number: int) -> None:
        sql = f"SELECT count(*) FROM pg_locks WHERE relation = to_regclass('backup_gate') AND {which}"
        wait(self.host, f'[ "$(docker exec coinpilot-db psql -U postgres -d coinpilot -tAc "{sql}")" = {number} ]')
