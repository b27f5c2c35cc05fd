"""Measures what a person waits for, with the floor of each measured in the same run. Prints one table.

    make bench

A stand-in host of its own is made from bare and removed at the end. Figures of two machines, or of two runs on a busy
one, do not compare; the rows of one run do. `make bench ARGS="--only backups --on NAME"` measures a part alone, on a
provisioned stand-in host that stays.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import alerts
import ansible_runner
import backups
import checklist
import logs
import many_hosts
import preflight
from table import Row, print_table, say

CHECKOUT = Path(__file__).resolve().parents[2]
NAME, PORT = "coinpilot-bench", 2224
STATES = CHECKOUT / ".cache" / "stand_in"
STATE = STATES / NAME
INVENTORY = STATE / "inventory"
REPEATS = 3
PARTS = {"alerts": alerts.measure, "backups": backups.measure, "checklist": checklist.measure,
         "logs": logs.measure, "many-hosts": many_hosts.measure, "preflight": preflight.measure}


class Played(NamedTuple):
    seconds: float
    tasks: int
    changed: int


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=sorted(PARTS), help="measure this part alone; needs --on")
    parser.add_argument("--on", metavar="NAME", help="the stand-in host to measure it on")
    options = parser.parse_args()
    if bool(options.only) != bool(options.on):
        parser.error("--only and --on go together")
    if options.only:
        print_table(PARTS[options.only](STATES / options.on / "ssh_config"))
        return 0
    stand_in("down")
    try:
        rows = measure()
        for part in PARTS.values():
            rows += part(STATE / "ssh_config")
    finally:
        stand_in("down")
    print_table(rows)
    return 0


def measure() -> list[Row]:
    begun = time.monotonic()
    stand_in("up", "--ssh-port", str(PORT))
    up = time.monotonic() - begun
    say("provisioning from bare …")
    write_inventory()
    play("playbooks/first_contact.yml", {"first_contact_confirm": "yes"})
    bare = play("site.yml")
    say("running again with no change …")
    again = [play("site.yml") for _ in range(REPEATS)]
    if any(run.changed for run in again):
        raise SystemExit("the second run changed something: what would be measured is not the no-change run")
    verify = [play("playbooks/verify.yml") for _ in range(REPEATS)]
    pings = [ping() for _ in range(REPEATS)]
    compose = [timed_ssh("cd /opt/coin-pilot/deploy/cloud/oci && docker compose --env-file .env "
                         "-f docker-compose.prod.yml up -d") for _ in range(REPEATS)]
    ping_floor, compose_floor = statistics.median(pings), statistics.median(compose)
    second = statistics.median(run.seconds for run in again)
    checked = statistics.median(run.seconds for run in verify)
    tasks = again[0].tasks
    return [
        Row("stand-in host up, images loaded", up),
        Row("provision from bare", bare.seconds),
        Row("floor: ansible -m ping", ping_floor),
        Row("floor: docker compose up -d, nothing to do", compose_floor),
        Row("second run, no change", second, f"{second - ping_floor - compose_floor:+.1f} s over both", "<= 15 s"),
        Row("  a task of it", second / tasks, f"{tasks} tasks", "<= 60 tasks"),
        Row("verify", checked, f"{checked - ping_floor:+.1f} s over ping", "<= 4 s over ping"),
    ]


def write_inventory() -> None:
    """The tests' inventory, for this host: the file that Ansible reads last has the last word."""
    shutil.copytree(CHECKOUT / "molecule" / "default" / "inventory", INVENTORY,
                    ignore=shutil.ignore_patterns("host_vars"))
    hosts = INVENTORY / "hosts.yml"
    hosts.write_text(re.sub(r"ansible_port: \d+", f"ansible_port: {PORT}", hosts.read_text()))
    (INVENTORY / "group_vars" / "all" / "zz_bench.yml").write_text(
        f"test_checkout: {CHECKOUT}\ntest_stand_in: {STATE}\ncompose_stack_settle: 15\n")


def play(playbook: str, variables: dict[str, Any] | None = None) -> Played:
    with tempfile.TemporaryDirectory() as artifacts:
        begun = time.monotonic()
        result = ansible_runner.run(
            private_data_dir=artifacts, project_dir=str(CHECKOUT), playbook=str(CHECKOUT / playbook),
            inventory=str(INVENTORY), extravars=variables or {}, quiet=True,
            envvars={"ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
                     "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"})
        seconds = time.monotonic() - begun
        if result.rc:
            raise SystemExit(f"{playbook} failed:\n{result.stdout.read()[-4000:]}")
        stats = result.stats or {}
        counts = {kind: stats.get(kind, {}).get("oci", 0) for kind in ("ok", "skipped", "changed")}
        return Played(seconds, counts["ok"] + counts["skipped"], counts["changed"])


def ping() -> float:
    begun = time.monotonic()
    subprocess.run([str(Path(sys.executable).with_name("ansible")), "oci", "-i", str(INVENTORY), "-m", "ping"],
                   cwd=CHECKOUT, check=True, capture_output=True)
    return time.monotonic() - begun


def timed_ssh(command: str) -> float:
    begun = time.monotonic()
    ssh(command)
    return time.monotonic() - begun


def ssh(command: str) -> str:
    return subprocess.run(["ssh", "-F", str(STATE / "ssh_config"), "coinpilot", command], check=True,
                          capture_output=True, text=True).stdout


def stand_in(*arguments: str) -> None:
    command, *rest = arguments
    subprocess.run([sys.executable, str(CHECKOUT / "tests" / "stand_in" / "stand_in.py"), command, "--name", NAME,
                    *rest], check=True)


if __name__ == "__main__":
    sys.exit(main())
