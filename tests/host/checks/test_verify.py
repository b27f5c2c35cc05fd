"""verify.yml, checklist.yml, weekly.yml and tools/verify.py against the provisioned host, and one that is away."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from stack_on_host import CHECKOUT, DIRECTORY, SERVICES, Play, Run
from testinfra.host import Host

# Wherever a program may put what it unpacks; the login's keys stay.
FULL = """
set -e
mkdir /run/keys && cp -a /home/ubuntu/.ssh /run/keys/
for place in /tmp /var/tmp /home/ubuntu; do
  mount -t tmpfs -o size=64k,mode=755 tmpfs $place
  [ $place = /home/ubuntu ] && cp -a /run/keys/.ssh $place/ || chmod 1777 $place
  head -c 200k /dev/zero > $place/full || [ "$(df --output=avail $place | tail -n 1)" -eq 0 ]
done
"""
# Logins that persist stand in it.
ROOM = "umount --lazy /tmp /var/tmp /home/ubuntu && rm -r /run/keys"
# What does not depend on how long the host has been up.
STEADY = "services,containers,volumes,ports,unit"


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    return tmp_path / "reports"


def verify(play: Play, reports: Path, *arguments: str, playbook: str = "verify", **variables: Any) -> Run:
    return play(f"playbooks/{playbook}.yml", {"verify_report_directory": str(reports), **variables}, *arguments)


def read(reports: Path, name: str = "verify") -> dict[str, Any]:
    return dict(json.loads((reports / f"{name}.json").read_text()))


def items(reports: Path, host: str = "oci") -> dict[str, str]:
    shown = next(each for each in read(reports)["hosts"] if each["name"] == host)
    return {item["id"]: item["status"] for item in shown["items"]}


def test_a_healthy_host_passes_and_the_page_says_so(play: Play, reports: Path) -> None:
    run = verify(play, reports, checks=STEADY).expect_success()
    assert items(reports) == dict.fromkeys(["identity", *STEADY.split(",")], "PASS")
    assert f"{reports}/verify.html" in run.output
    page = (reports / "verify.html").read_text()
    assert page.startswith("<!DOCTYPE html>") and "<script" not in page
    assert (reports / "verify.html").stat().st_mode & 0o077 == 0


def test_nothing_on_the_host_is_changed(host: Host, play: Play, reports: Path) -> None:
    look = f"docker ps --all --quiet --no-trunc | sort; sha256sum /etc/cron.d/* {DIRECTORY}/.env {DIRECTORY}/*.yml"
    before = host.check_output(look)
    assert verify(play, reports).changed == 0
    assert host.check_output(look) == before


def test_a_fault_fails_the_run_and_says_what_to_do(host: Host, play: Play, reports: Path) -> None:
    host.check_output("docker stop coinpilot-dashboard")
    try:
        run = verify(play, reports, checks=STEADY).expect_failure()
    finally:
        host.check_output("docker start coinpilot-dashboard && timeout 300 sh -c "
                          "'until docker inspect -f {{.State.Health.Status}} coinpilot-dashboard | grep -qx healthy; "
                          "do sleep 1; done'")
    assert "docker logs --tail 100 coinpilot-dashboard" in run.output
    assert {name for name, status in items(reports).items() if status != "PASS"} == {"services"}
    assert read(reports)["status"] == "FAIL"
    verify(play, reports, checks=STEADY).expect_success()


def test_where_no_disk_has_room_it_says_so(host: Host, play: Play, reports: Path) -> None:
    host.check_output(FULL)
    try:
        verify(play, reports, checks="services,disk").expect_failure()
    finally:
        host.check_output(ROOM)
    assert items(reports) == {"identity": "PASS", "services": "PASS", "disk": "FAIL"}


def test_with_docker_stopped_there_is_a_report(host: Host, play: Play, reports: Path) -> None:
    host.check_output("systemctl stop docker.socket docker.service")
    try:
        verify(play, reports).expect_failure()
    finally:
        host.check_output("systemctl start docker.socket docker.service && systemctl start coinpilot-compose.service")
        # The node exporter is healthy before the others are.
        host.check_output("timeout 300 sh -c 'until [ $(docker ps --filter health=healthy -q | wc -l) -gt "
                          f"{len(SERVICES)} ]; do sleep 2; done'")
    assert items(reports)["services"] in ("UNKNOWN", "FAIL")
    assert items(reports)["disk"] == "PASS"


@pytest.fixture
def away(tmp_path: Path) -> str:
    """The argument that adds a host to the inventory, at whose address nobody answers."""
    inventory = tmp_path / "away.json"
    inventory.write_text(json.dumps({"all": {"hosts": {"away": {
        "ansible_host": "127.0.0.1", "ansible_port": 9, "ansible_user": "ubuntu"}}}}))
    return f"--inventory={inventory}"


def test_a_host_that_is_away_is_unknown_and_the_other_is_told_of(play: Play, reports: Path, away: str) -> None:
    run = verify(play, reports, away, checks=STEADY).expect_failure()
    assert items(reports, "away") == {"reached": "UNKNOWN"}
    assert set(items(reports).values()) == {"PASS"}
    assert "could not be reached" in run.output
    verify(play, reports, away, "--limit", "oci", checks=STEADY).expect_success()
    assert [each["name"] for each in read(reports)["hosts"]] == ["oci"]


def test_another_machine_than_the_one_on_record_fails(play: Play, reports: Path) -> None:
    verify(play, reports, host_identity_machine_id="0" * 32).expect_failure()
    assert items(reports) == {"identity": "FAIL"}


@pytest.mark.parametrize(("variables", "said"), [
    ({"checks": "services,nonsense"}, "Not in the checklist: nonsense"),
    ({"checkpoint": "t2h"}, "Not in the checklist: t2h"),
])
def test_wrong_usage_is_said_and_leaves_the_reports_alone(play: Play, reports: Path, variables: dict[str, str],
                                                          said: str) -> None:
    playbook = "checklist" if "checkpoint" in variables else "verify"
    run = verify(play, reports, playbook=playbook, **variables).expect_failure()
    assert said in run.output
    assert not reports.exists()


def test_the_tags_narrow_it(play: Play, reports: Path) -> None:
    # From this very machine: the ports cannot be judged, and nothing else is looked at.
    verify(play, reports, "--tags", "outside", security_preflight_outside=True).expect_failure()
    assert items(reports) == {"identity": "PASS", "outside": "UNKNOWN"}


def test_checkpoints_and_the_week_have_reports_of_their_own(play: Play, reports: Path) -> None:
    verify(play, reports, playbook="checklist", checkpoint="t1h")
    verify(play, reports, playbook="weekly")
    assert {path.name for path in reports.iterdir()} == {
        f"{name}.{kind}" for name in ("checklist-t1h", "weekly") for kind in ("html", "json")}
    assert read(reports, "checklist-t1h")["checkpoint"] == "t1h"
    weekly = {item["id"]: item["status"] for item in read(reports, "weekly")["hosts"][0]["items"]}
    # No OCID is known here, and that is said.
    assert {"backups", "rehearsal", "security"} <= set(weekly) and weekly["oci"] == "WARN"


def test_it_runs_with_nobody_at_the_keyboard(inventory: Path, reports: Path) -> None:
    """As cron does: next to no environment."""
    for keep in range(3):
        done = subprocess.run(
            [sys.executable, str(CHECKOUT / "tools" / "verify.py"), "--inventory", str(inventory), "--directory",
             str(reports), "--keep", "2", "--lang", "en", "--quiet"], cwd="/", capture_output=True, text=True,
            env={"HOME": os.environ["HOME"], "PATH": "/usr/bin:/bin"})
        assert done.returncode in (0, 1, 3), done.stderr
        assert done.stdout.count("\n") == 1, done.stdout
        assert len(list((reports / "runs" / "artifacts").iterdir())) == min(keep + 1, 2)
    assert read(reports)["status"] in {0: ("PASS", "WARN"), 1: ("FAIL",), 3: ("UNKNOWN",)}[done.returncode]
    assert not list(reports.rglob("command"))
