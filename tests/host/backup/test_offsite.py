"""The off-site copy against a real S3 server, rclone's, that runs on the host itself with its files below STORE."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from stack_on_host import DIRECTORY, Play, inspect
from testinfra.host import Host

STORE = "/srv/s3"
REPOSITORY = STORE + "/backups/coinpilot"
ROOT = "/var/backups/coinpilot"
CACHE = "/var/lib/coinpilot/offsite-cache"
TARGETS = ["postgres", "redis", "n8n", "grafana"]
PASSWORD = "Vw'9q \"tz\" $hM3 # kd7\\"
KEY, SECRET = "k8dm2vq7tz5wn3xh", "Rj4vTq9mXw2bLz7cKd5n"
KEYS = {"OFFSITE_PASSWORD": PASSWORD, "OFFSITE_ACCESS_KEY_ID": KEY, "OFFSITE_SECRET_ACCESS_KEY": SECRET}
SETTINGS = {"repository": "s3:http://127.0.0.1:9333/backups/coinpilot", "schedule": "45 3 * * *",
            "check_schedule": "45 5 * * 0", "keep": {"daily": 3, "weekly": 1}}
# restic, as a person would call it by hand.
BY_HAND = (f"env RESTIC_PASSWORD={json.dumps(PASSWORD).replace('$', chr(92) + '$')} AWS_ACCESS_KEY_ID={KEY} "
           f"AWS_SECRET_ACCESS_KEY={SECRET} RESTIC_CACHE_DIR={CACHE} restic -r {SETTINGS['repository']}")


def stop_server(host: Host) -> None:
    host.run("systemctl stop offsite-s3; systemctl reset-failed offsite-s3")


def start_server(host: Host) -> None:
    """A new process each time: rclone remembers for minutes what its directories held."""
    stop_server(host)
    host.check_output(f"systemd-run --quiet --collect --unit offsite-s3 {STORE}-rclone serve s3 "
                      f"--addr 127.0.0.1:9333 --auth-key {KEY},{SECRET} --vfs-cache-mode off {STORE}")
    host.check_output("timeout 300 sh -c 'until ss -ltn | grep -q 127.0.0.1:9333; do sleep 0.2; done'")


@pytest.fixture(scope="module")
def settings(inventory: Path) -> dict[str, str]:
    class Loader(yaml.SafeLoader):
        """Knows Ansible's `!unsafe`."""

    Loader.add_constructor("!unsafe", lambda loader, node: loader.construct_scalar(node))
    text = (inventory / "group_vars" / "all" / "main.yml").read_text()
    return dict(yaml.load(text, Loader=Loader)["stack_settings"])


@pytest.fixture(scope="module", autouse=True)
def turned_on(host: Host, ssh_config: Path, play: Play, settings: dict[str, str]) -> Iterator[None]:
    """The copy is on, its server runs, and every target has a backup."""
    rclone = Path(sys.executable).parent / "rclone"
    subprocess.run(["scp", "-q", "-F", str(ssh_config), str(rclone), "coinpilot:/tmp/rclone"], check=True)
    host.check_output(f"install -m 0755 /tmp/rclone {STORE}-rclone && rm /tmp/rclone && mkdir -p {STORE}")
    play("site.yml", {"stack_backup_offsite": SETTINGS, "stack_settings": {**settings, **KEYS}}).expect_success()
    host.check_output("coinpilot-ops backup")
    yield
    stop_server(host)
    host.check_output(f"rm -rf {STORE} {STORE}-rclone {CACHE} {ROOT}/fetched-* /var/lib/coinpilot/backup/offsite.*")
    play("site.yml").expect_success()
    assert not host.file("/etc/cron.d/coinpilot-offsite").exists


@pytest.fixture(autouse=True)
def new_bucket(host: Host, turned_on: None) -> None:
    """An empty bucket for every test."""
    host.check_output(f"rm -rf {REPOSITORY} {ROOT}/fetched-*; mkdir -p {STORE}/backups")
    start_server(host)


def offsite(host: Host, arguments: str, rc: int = 0) -> dict[str, Any]:
    """What the host's own command reports, and that it ends so."""
    result = host.run(f"coinpilot-ops offsite {arguments} --format json --lang en")
    assert result.rc == rc, result.stdout + result.stderr
    report = json.loads(result.stdout)
    assert isinstance(report, dict)
    return report


def seen(report: dict[str, Any], rule: str, status: str) -> str:
    return "\n".join(f"{finding['subject']} {finding['seen']['en']}" for finding in report["findings"]
                     if finding["id"] == rule and finding["status"] == status)


def in_background(host: Host, command: str, unit: str) -> None:
    """What is killed is killed alone: systemd leaves the rest of the unit's processes be."""
    host.check_output(f"systemd-run --quiet --collect --property KillMode=process --unit {unit} {command}")


def wait_for_upload(host: Host) -> None:
    """Until restic has locked the repository and sent something."""
    host.check_output("timeout 300 sh -c 'until ps -C restic -o args= | grep -q \" backup \"; do sleep 0.1; done'; "
                      f"timeout 300 sh -c 'until ls {REPOSITORY}/locks/* {REPOSITORY}/data/*; do sleep 0.1; done'")


def add_bulk(host: Host, megabytes: int) -> None:
    """Something that takes a while to copy, among what is copied."""
    host.check_output(f"head -c {megabytes << 20} /dev/urandom > {ROOT}/postgres/safety/bulk.bin")


@pytest.fixture
def bulk(host: Host) -> Iterator[None]:
    add_bulk(host, 200)
    yield
    host.check_output(f"rm -f {ROOT}/postgres/safety/bulk.bin")
    host.run("systemctl stop offsite-first; pkill -x restic; sleep 1")


def snapshots(host: Host) -> list[dict[str, Any]]:
    return list(offsite(host, "list")["snapshots"])


def test_it_is_on_and_no_container_knows_its_keys(host: Host) -> None:
    table = host.file("/etc/cron.d/coinpilot-offsite")
    assert "45 3 * * * root /usr/local/bin/coinpilot-ops offsite copy" in table.content_string
    assert host.package("restic").is_installed
    for service in ("bot", "collector", "dashboard", "n8n", "db"):
        assert "OFFSITE" not in json.dumps(inspect(host, service)["Config"]["Env"])


def test_copy_check_and_fetch_bring_back_the_same_bytes(host: Host) -> None:
    host.check_output(f"touch {ROOT}/postgres/daily/.coinpilot_postgres_20261122T190500Z.dump.zst.partial")
    copied = offsite(host, "copy")
    assert {finding["subject"] for finding in copied["findings"] if finding["id"] == "offsite-newest"} == set(TARGETS)
    offsite(host, "check")
    offsite(host, "check --read-all")
    offsite(host, "fetch")
    host.check_output(f"rm {ROOT}/postgres/daily/.*.partial")
    [fetched] = host.check_output(f"ls -d {ROOT}/fetched-*").split()
    for target in TARGETS:
        assert host.check_output(f"diff -r {ROOT}/{target} {fetched}/{target}") == ""
    host.check_output(f"coinpilot-ops checksum --path {fetched}")
    assert host.check_output(f"stat -c %a {fetched}") == "700"
    again = offsite(host, "fetch", rc=1)
    assert "nothing is ever written over" in seen(again, "offsite-fetch", "FAIL")
    # What was fetched is not copied in its turn.
    assert offsite(host, "copy")["findings"][0]["seen"] != copied["findings"][0]["seen"]
    [newest, _first] = snapshots(host)
    assert "fetched-" not in host.check_output(f"{BY_HAND} ls {newest['id']}")


def test_no_secret_is_seen_anywhere(host: Host, bulk: None) -> None:
    in_background(host, "coinpilot-ops offsite copy", "offsite-first")
    host.check_output("timeout 300 sh -c 'until pgrep -x restic; do sleep 0.1; done'")
    assert SECRET not in host.check_output("ps axww -o args | grep -v rclone")
    host.check_output("timeout 300 sh -c 'while pgrep -x restic; do sleep 0.5; done'")
    host.check_output(f"sed -i 's/^OFFSITE_SECRET_ACCESS_KEY=.*/OFFSITE_SECRET_ACCESS_KEY=wrong-one/' {DIRECTORY}/.env")
    report = host.run("coinpilot-ops offsite copy")
    host.check_output(f"sed -i 's/^OFFSITE_SECRET_ACCESS_KEY=.*/OFFSITE_SECRET_ACCESS_KEY={SECRET}/' {DIRECTORY}/.env")
    written = host.check_output("cat /var/log/coinpilot/offsite.log /var/lib/coinpilot/backup/offsite.json "
                                "/var/lib/coinpilot/metrics/*offsite* /etc/cron.d/coinpilot-offsite "
                                "/etc/coinpilot/stack.json") + report.stdout + report.stderr
    for secret in ("wrong-one", SECRET, PASSWORD):
        assert secret not in written


def test_a_backup_that_was_not_copied_is_missed(host: Host) -> None:
    offsite(host, "copy")
    host.check_output("sleep 1; coinpilot-ops backup redis")
    assert "redis" in seen(offsite(host, "check", rc=1), "offsite-newest", "FAIL")
    offsite(host, "copy")
    offsite(host, "check")


def test_only_old_copies_go_and_none_of_another_machine(host: Host) -> None:
    offsite(host, "copy")
    [own] = snapshots(host)
    tags = " ".join(f"--tag {tag}" for tag in own["tags"])
    for day in range(10, 20):
        host.check_output(f"{BY_HAND} backup --quiet --host {own['host']} {tags} --time '2026-10-{day} 03:45:00' "
                          f"{' '.join(own['paths'])}")
    host.check_output(f"{BY_HAND} backup --quiet --host {own['host']} --tag stack-coinpilot --tag machine-before "
                      f"--time '2026-09-01 03:45:00' {' '.join(own['paths'])}")
    host.check_output(f"{BY_HAND} backup --quiet --tag mine --time '2026-09-02 03:45:00' /etc/hostname")
    offsite(host, "copy")
    left = snapshots(host)
    assert sorted(snapshot["time"][:10] for snapshot in left)[:3] == ["2026-09-01", "2026-10-18", "2026-10-19"]
    assert len(left) == 4
    assert "mine" in host.check_output(f"{BY_HAND} snapshots")


def test_nothing_is_deleted_while_local_backups_are_missing(host: Host) -> None:
    for _time in range(2):
        offsite(host, "copy")
    before = snapshots(host)
    host.check_output(f"mv {ROOT}/redis /var/backups/aside && mkdir {ROOT}/redis")
    try:
        report = offsite(host, "copy", rc=1)
        assert "redis" in seen(report, "offsite-newest", "FAIL")
        assert "nothing was deleted" in seen(report, "offsite-retention", "WARN")
        assert {snapshot["id"] for snapshot in before} <= {snapshot["id"] for snapshot in snapshots(host)}
    finally:
        host.check_output(f"rmdir {ROOT}/redis && mv /var/backups/aside {ROOT}/redis")
    offsite(host, "copy")


def test_an_empty_backup_root_is_not_copied(host: Host) -> None:
    offsite(host, "copy")
    host.check_output(f"mv {ROOT} {ROOT}.aside && mkdir {ROOT}")
    try:
        assert "no target has a good backup" in seen(offsite(host, "copy", rc=1), "offsite-copy", "FAIL")
        assert len(snapshots(host)) == 1
        # A host that was built anew has its backups again.
        offsite(host, "fetch")
        [fetched] = host.check_output(f"ls -d {ROOT}/fetched-*").split()
        assert host.check_output(f"diff -r --exclude .work {fetched} {ROOT}.aside") == ""
    finally:
        host.check_output(f"rm -rf {ROOT} && mv {ROOT}.aside {ROOT}")


def test_a_server_that_is_down_is_said_at_once(host: Host) -> None:
    offsite(host, "copy")
    stop_server(host)
    started = time.monotonic()
    for job in ("copy", "check", "fetch", "list"):
        assert "cannot be reached" in seen(offsite(host, job, rc=1), f"offsite-{job}", "FAIL")
    assert time.monotonic() - started < 30
    start_server(host)
    offsite(host, "check")


@pytest.mark.parametrize(("key", "says"), [
    ("OFFSITE_PASSWORD", "does not open the repository"), ("OFFSITE_SECRET_ACCESS_KEY", "refuses the access key"),
    ("OFFSITE_ACCESS_KEY_ID", "refuses the access key")])
def test_a_wrong_secret_changes_nothing(host: Host, key: str, says: str) -> None:
    offsite(host, "copy")
    before = host.check_output(f"find {REPOSITORY} -type f | sort")
    host.check_output(f"cp -p {DIRECTORY}/.env {DIRECTORY}/.env.kept")
    try:
        host.check_output(f"sed -i 's/^{key}=.*/{key}=wrong/' {DIRECTORY}/.env")
        assert says in seen(offsite(host, "copy", rc=1), "offsite-copy", "FAIL")
        host.check_output(f"sed -i '/^{key}=/d' {DIRECTORY}/.env")
        assert key in seen(offsite(host, "copy", rc=1), "offsite-settings", "FAIL")
    finally:
        host.check_output(f"mv {DIRECTORY}/.env.kept {DIRECTORY}/.env")
    assert host.check_output(f"find {REPOSITORY} -type f | sort") == before
    offsite(host, "copy")


def test_a_missing_bucket_is_not_created(host: Host) -> None:
    host.check_output(f"rm -rf {STORE}/backups")
    start_server(host)
    assert "there is no bucket backups" in seen(offsite(host, "copy", rc=1), "offsite-copy", "FAIL")
    assert not host.file(f"{STORE}/backups").exists


def test_no_repository_is_made_over_what_lies_there(host: Host) -> None:
    host.check_output(f"mkdir -p {REPOSITORY}; echo precious > {REPOSITORY}/file")
    start_server(host)
    assert "no repository" in seen(offsite(host, "copy", rc=1), "offsite-copy", "FAIL")
    assert host.check_output(f"find {REPOSITORY} -type f") == f"{REPOSITORY}/file"


def test_one_bit_that_changed_off_site_is_found(host: Host) -> None:
    offsite(host, "copy")
    pack = host.check_output(f"find {REPOSITORY}/data -type f -printf '%s %p\\n' | sort -rn | head -1").split()[1]
    host.check_output(f"python3 -c \"import sys; f = open(sys.argv[1], 'r+b'); f.seek(500); b = f.read(1)[0]; "
                      f"f.seek(500); f.write(bytes([b ^ 1]))\" {pack}")
    start_server(host)
    assert "damaged" in seen(offsite(host, "check --read-all", rc=1), "offsite-check", "FAIL")
    # Four checks in a row read all of it as well.
    assert "damaged" in "".join(host.run("coinpilot-ops offsite check").stdout for _part in range(4))


def test_killed_in_the_middle_the_next_run_makes_it_whole(host: Host, bulk: None) -> None:
    offsite(host, "list")
    in_background(host, "coinpilot-ops offsite copy", "offsite-first")
    wait_for_upload(host)
    host.check_output("pkill -9 -x restic")
    host.check_output("timeout 300 sh -c 'while pgrep -f \"^/usr/bin/python3 -I /usr/local/bin/coinpilot-ops "
                      "offsite\"; do sleep 0.2; done'")
    assert "signal 9" in host.check_output("tail -5 /var/log/coinpilot/offsite.log")
    assert host.check_output(f"ls {REPOSITORY}/locks")
    offsite(host, "copy")
    offsite(host, "check --read-all")


def test_a_restic_whose_parent_was_killed_still_keeps_others_out(host: Host, bulk: None) -> None:
    in_background(host, "coinpilot-ops offsite copy", "offsite-first")
    wait_for_upload(host)
    host.check_output("systemctl kill --kill-whom=main --signal=KILL offsite-first; "
                      "pgrep -x restic || { echo 'it ended with its parent'; exit 1; }")
    report = offsite(host, "copy")
    assert "running already" in seen(report, "offsite-copy", "WARN")


def test_two_at_once(host: Host, bulk: None) -> None:
    in_background(host, "coinpilot-ops offsite copy", "offsite-first")
    host.check_output("timeout 300 sh -c 'until pgrep -x restic; do sleep 0.1; done'")
    assert "running already" in seen(offsite(host, "copy"), "offsite-copy", "WARN")
    host.check_output("timeout 300 sh -c 'while pgrep -x restic; do sleep 0.5; done'")
    offsite(host, "check")


def test_what_cannot_be_used_is_refused_before_anything_changes(host: Host, play: Play) -> None:
    before = host.check_output("sha256sum /etc/cron.d/* /etc/coinpilot/stack.json")
    run = play("site.yml", {"stack_backup_offsite": {**SETTINGS, "repository": "/srv/copies"}}).expect_failure()
    assert "s3:https://" in run.output and "OFFSITE_PASSWORD" in run.output
    assert host.check_output("sha256sum /etc/cron.d/* /etc/coinpilot/stack.json") == before
