"""coinpilot-ops on the host, the runbook's backup scripts before it, and cron's table behind it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from stack_on_host import AT_PRESENT, Play
from testinfra.host import Host

SCRIPTS = "/opt/coin-pilot/scripts/backup"
TABLE = "/etc/cron.d/coinpilot-backup"
LOGS = "/var/log/coinpilot"
STACK = "/etc/coinpilot/stack.json"
KEPT = "/var/lib/coinpilot/by-hand"


@pytest.fixture
def stack_file(host: Host) -> Iterator[None]:
    """For tests that break the description on the host."""
    host.check_output(f"cp -a {STACK} {STACK}.good")
    yield
    host.check_output(f"mv {STACK}.good {STACK}")


@pytest.fixture
def logs_restored(host: Host) -> Iterator[None]:
    """For tests that take the log directory away."""
    host.check_output(f"mv {LOGS} {LOGS}.good")
    yield
    host.check_output(f"if mountpoint -q {LOGS}; then umount {LOGS}; fi; rm -rf {LOGS}; mv {LOGS}.good {LOGS}")


def assert_one_line(host: Host, command: str, said: str) -> None:
    result = host.run(command)
    assert (result.rc, result.stdout) == (2, "")
    assert result.stderr.startswith("coinpilot-ops: ") and result.stderr.count("\n") == 1
    assert said in result.stderr


def test_what_is_installed_is_roots_and_holds_no_secret(host: Host, secrets: dict[str, str]) -> None:
    command, stack = host.file("/usr/local/bin/coinpilot-ops"), host.file(STACK)
    assert (command.user, command.mode) == ("root", 0o755)
    assert (stack.user, stack.mode) == ("root", 0o600)
    assert [key for key, value in secrets.items() if value in stack.content_string] == []
    for target in ("postgres", "redis", "n8n", "grafana"):
        script = host.file(f"{SCRIPTS}/{target}_backup.sh")
        assert (script.user, script.mode) == ("root", 0o755)
        for kind in ("", "/daily", "/weekly", "/safety"):
            assert host.file(f"/var/backups/coinpilot/{target}{kind}").mode == 0o700


def test_verify_says_the_same_without_ansible(host: Host) -> None:
    assert host.run(f"coinpilot-ops verify --only {AT_PRESENT}").rc == 0
    report = json.loads(host.check_output(f"coinpilot-ops verify --only {AT_PRESENT} --format json"))
    assert report["exit_code"] == 0 and {finding["id"] for finding in report["findings"]} >= {"service", "unit"}
    assert host.check_output(f"coinpilot-ops verify --only {AT_PRESENT} --lang ko").startswith("정상: ")


def test_what_the_runbook_types(person: Host) -> None:
    for target in ("postgres", "redis", "n8n"):
        result = person.run(f"sudo {SCRIPTS}/{target}_backup.sh --dry-run")
        assert result.rc == 0, result.stdout + result.stderr


def test_wrong_usage_is_one_line(host: Host, person: Host) -> None:
    assert_one_line(person, "coinpilot-ops verify", "this needs root: sudo coinpilot-ops verify")
    assert_one_line(host, "coinpilot-ops backup mysql", "known: postgres, redis, n8n, grafana")
    assert_one_line(host, "LANG=ko_KR.UTF-8 coinpilot-ops backup mysql", "알 수 없는 백업 대상")


@pytest.mark.usefixtures("stack_file")
def test_a_description_that_is_missing_or_damaged(host: Host) -> None:
    host.check_output(f"truncate -s 100 {STACK}")
    assert_one_line(host, "coinpilot-ops verify", "deploy again")
    host.check_output(f"rm {STACK}")
    assert_one_line(host, "coinpilot-ops verify", "deploy first")


@pytest.mark.usefixtures("restored", "logs_restored")
def test_cron_takes_the_backup_though_the_log_directory_is_missing(host: Host) -> None:
    assert host.service("cron").is_running and host.service("cron").is_enabled
    host.check_output(f"sed -i 's/^5 3 /* * /' {TABLE}")
    log = f"{LOGS}/postgres-backup.log"
    host.check_output(f"timeout 300 sh -c 'until grep -qs retention {log}; do sleep 1; done'")
    assert host.file(LOGS).user == "ubuntu" and host.file(LOGS).mode == 0o750
    assert "PASS     backup postgres" in host.file(log).content_string
    assert "PASS     backup postgres" in host.check_output("journalctl -t coinpilot-backup --since -3min --no-pager")


@pytest.mark.usefixtures("logs_restored")
@pytest.mark.parametrize("instead", [
    f"mkdir {LOGS} && mount -t tmpfs -o ro none {LOGS}",
    f"ln -s /etc/cron.d {LOGS} && chown --no-dereference ubuntu {LOGS}",
    f"touch {LOGS}",
], ids=["read-only", "link of a user", "file"])
def test_logs_that_cannot_be_written_stop_no_backup(host: Host, instead: str) -> None:
    host.check_output(instead)
    result = host.run("coinpilot-ops backup postgres --dry-run")
    assert result.rc == 0 and "WARN     log" in result.stdout
    assert not host.file("/etc/cron.d/postgres-backup.log").exists


@pytest.mark.usefixtures("restored")
def test_what_was_made_by_hand_is_kept(host: Host, play: Play) -> None:
    script = f"{SCRIPTS}/postgres_backup.sh"
    host.check_output(f"rm -rf {KEPT}")
    host.check_output(f"echo '5 3 * * * root {script} >> {LOGS}/postgres-backup.log 2>&1' > {TABLE}")
    host.check_output(f"printf '#!/bin/bash\\npg_dump | gzip\\n' > {script}")
    host.check_output("systemctl disable --now cron")
    play("site.yml").expect_success()
    assert "pg_dump | gzip" in host.file(KEPT + script).content_string
    assert ">> /var/log/coinpilot/postgres-backup.log" in host.file(KEPT + TABLE).content_string
    assert "coinpilot-ops backup postgres" in host.file(script).content_string
    assert f"5 3 * * * root {script} 2>&1 | systemd-cat" in host.file(TABLE).content_string
    assert host.service("cron").is_running and host.service("cron").is_enabled
    assert play("site.yml").expect_success().changed == 0


def test_a_time_that_cron_would_pass_over_changes_nothing(host: Host, play: Play) -> None:
    before = host.check_output(f"sha256sum {TABLE} {STACK}")
    run = play("site.yml", {"stack_backup_rehearsal": {"schedule": "35 4 * *", "place": "server"}}).expect_failure()
    assert "stack_backup_rehearsal.schedule: '35 4 * *' has 4 fields" in run.output
    assert run.changed == 0 and host.check_output(f"sha256sum {TABLE} {STACK}") == before
