"""Wrong machine or bad input: one clear message, and the host is as it was."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from stack_on_host import DIRECTORY, Play
from testinfra.host import Host


def fingerprint(host: Host) -> str:
    """What a run that changes anything would change."""
    return host.check_output(
        f"cd {DIRECTORY} && sha256sum .env docker-compose.prod.yml /etc/systemd/system/coinpilot-compose.service; "
        "find /opt/coin-pilot/source -type f -exec sha256sum {} + | sort | sha256sum; dpkg -l | sha256sum; "
        "docker ps --all --no-trunc --format '{{.ID}} {{.Image}}' | sort; docker volume ls --quiet | sort; "
        "ls -l --time-style=full-iso /var/lib/coinpilot/deploy")


REFUSED: dict[str, tuple[dict[str, Any], list[str]]] = {
    "wrong-machine": ({"host_identity_machine_id": "0" * 32}, ["coinpilot-ins", "first_contact"]),
    "no-identity": ({"host_identity_machine_id": ""}, ["first_contact"]),
    "secrets-missing": ({"stack_secrets": {"DB_PASSWORD": "", "UPBIT_ACCESS_KEY": "change_me"}},
                        ["DB_PASSWORD", "UPBIT_ACCESS_KEY", "UPBIT_SECRET_KEY", "ANTHROPIC_API_KEY", "OPENAI_API_KEY",
                         "N8N_WEBHOOK_SECRET", "DASHBOARD_ACCESS_PASSWORD", "GRAFANA_ADMIN_USER",
                         "GRAFANA_ADMIN_PASSWORD"]),
    "unknown-service": ({"stack_service_overrides": {"bto": {"memory": "1g"}}}, ["bto", "bot"]),
    "unknown-key": ({"stack_service_overrides": {"bot": {"memroy": "1g"}}}, ["memroy", "memory"]),
    "latest-image": ({"stack_service_overrides": {"db": {"image": "timescale/timescaledb:latest"}}}, ["latest"]),
    "no-such-directory": ({"application_source_directory": "/nowhere/at/all"}, ["/nowhere/at/all"]),
    "port-number": ({"stack_service_overrides": {"bot": {"memory": "lots"}}}, ["lots"]),
}


@pytest.mark.parametrize(("variables", "named"), REFUSED.values(), ids=REFUSED)
def test_bad_input_is_refused_before_anything_changes(host: Host, play: Play, variables: dict[str, Any],
                                                      named: list[str]) -> None:
    before = fingerprint(host)
    run = play("site.yml", variables).expect_failure()
    assert not [word for word in named if word not in run.output], run.output[-3000:]
    assert fingerprint(host) == before
    assert run.changed == 0


def test_a_secrets_value_is_never_shown(play: Play, secrets: dict[str, str]) -> None:
    given = {**secrets, "UPBIT_ACCESS_KEY": "change_me", "OPENAI_API_KEY": "sk-visible-if-this-fails\nsecond line"}
    run = play("site.yml", {"stack_secrets": given}, "-vvv").expect_failure()
    assert "visible-if-this-fails" not in run.output
    assert not [value for value in secrets.values() if len(value) > 12 and value in run.output]


def test_a_git_version_that_does_not_exist_is_refused(host: Host, play: Play, tmp_path: Path) -> None:
    repository = tmp_path / "app.git"
    for command in (["git", "init", "--quiet", str(repository)],
                    ["git", "-C", str(repository), "-c", "user.name=t", "-c", "user.email=t@example.com", "commit",
                     "--quiet", "--allow-empty", "--message", "empty"]):
        subprocess.run(command, check=True)
    before = fingerprint(host)
    run = play("site.yml", {"application_source_directory": "", "application_source_repository": str(repository),
                            "application_source_version": "v9.9",
                            "application_source_cache": str(tmp_path / "cache")}).expect_failure()
    assert "v9.9" in run.output and "application_source_version" in run.output
    assert fingerprint(host) == before


def test_a_port_taken_by_another_program_is_named(host: Host, play: Play) -> None:
    host.check_output("docker stop coinpilot-grafana")
    host.check_output("systemd-run --unit=squatter python3 -m http.server 3000 --bind 127.0.0.1")
    try:
        _wait_for_port(host, 3000)
        run = play("site.yml").expect_failure()
        assert "3000" in run.output and "python3" in run.output
    finally:
        host.check_output("systemctl stop squatter; docker start coinpilot-grafana")
    play("site.yml").expect_success()


def test_a_disk_too_full_to_build_is_refused(host: Host, play: Play) -> None:
    """The room asked for stands for the room that lacks: more than any disk has."""
    run = play("site.yml", {"host_readiness_docker_space": "900000g"}).expect_failure()
    assert "/var/lib/docker" in run.output


def test_docker_that_does_not_run_is_refused_and_told(host: Host, play: Play) -> None:
    host.check_output("systemctl stop docker.socket docker.service")
    try:
        run = play("site.yml").expect_failure()
        assert "systemctl" in run.output and "docker" in run.output
        verified = play("playbooks/verify.yml").expect_failure()
        assert "UNKNOWN" in verified.output
    finally:
        host.check_output("systemctl start docker.socket docker.service")
        host.check_output("systemctl start coinpilot-compose.service || systemctl restart coinpilot-compose.service")
    play("site.yml").expect_success()


def test_a_system_that_is_not_known_to_work_is_refused(host: Host, play: Play) -> None:
    host.check_output("cp --dereference /etc/os-release /root/os-release && rm /etc/os-release && "
                      "printf 'ID=fedora\\nVERSION_ID=42\\nPRETTY_NAME=\"Fedora Linux 42\"\\n' > /etc/os-release")
    try:
        run = play("site.yml").expect_failure()
        assert "Fedora Linux 42" in run.output and "Ubuntu" in run.output and run.changed == 0
    finally:
        host.check_output("cp /root/os-release /etc/os-release")


def _wait_for_port(host: Host, port: int) -> None:
    deadline = time.monotonic() + 300
    while host.run(f"python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", {port}), 1)'").rc:
        assert time.monotonic() < deadline
        time.sleep(0.2)
