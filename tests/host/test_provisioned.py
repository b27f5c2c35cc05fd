"""The host as `site.yml` leaves it: the contract, seen from outside."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from stack_on_host import AT_PRESENT, DIRECTORY, SERVICES, Play, assert_all_healthy, inspect, query
from testinfra.host import Host

PORTS = {8501: "/_stcore/health", 5678: "/healthz/readiness", 3000: "/api/health", 9090: "/-/ready"}
COMPOSE = f"cd {DIRECTORY} && docker compose --env-file .env -f docker-compose.prod.yml"


def test_all_eight_services_are_healthy(host: Host) -> None:
    assert_all_healthy(host)


def test_the_second_run_changes_nothing(play: Play) -> None:
    run = play("site.yml").expect_success()
    assert run.changed == 0, run.output


@pytest.mark.parametrize(("path", "user", "mode"), [
    (DIRECTORY, "ubuntu", 0o755),
    (f"{DIRECTORY}/.env", "ubuntu", 0o600),
    (f"{DIRECTORY}/docker-compose.prod.yml", "ubuntu", 0o644),
    ("/var/lib/coinpilot", "root", 0o700),
    ("/var/lib/coinpilot/deploy/good.json", "root", 0o600),
    ("/var/backups/coinpilot", "root", 0o700),
])
def test_files_are_owned_and_moded_as_the_contract_says(host: Host, path: str, user: str, mode: int) -> None:
    file = host.file(path)
    assert (file.user, file.mode) == (user, mode)


def test_nothing_but_the_four_loopback_ports_is_published(host: Host) -> None:
    published = {
        (service, binding["HostIp"], int(binding["HostPort"]))
        for service in SERVICES
        for bindings in (inspect(host, service)["HostConfig"]["PortBindings"] or {}).values() for binding in bindings}
    assert published == {("dashboard", "127.0.0.1", 8501), ("n8n", "127.0.0.1", 5678),
                         ("grafana", "127.0.0.1", 3000), ("prometheus", "127.0.0.1", 9090)}


@pytest.mark.parametrize(("port", "path"), PORTS.items())
def test_each_port_answers(host: Host, port: int, path: str) -> None:
    host.run_expect([0], f"curl --fail --silent --max-time 10 http://127.0.0.1:{port}{path}")


@pytest.mark.parametrize("service", SERVICES)
def test_each_container_is_confined(host: Host, service: str) -> None:
    shown = inspect(host, service)
    confinement = shown["HostConfig"]
    assert confinement["CapDrop"] == ["ALL"] and not confinement["CapAdd"]
    assert "no-new-privileges:true" in confinement["SecurityOpt"]
    assert not confinement["Privileged"]
    assert confinement["LogConfig"]["Config"] == {"max-size": "10m", "max-file": "5"}
    assert confinement["RestartPolicy"]["Name"] == "unless-stopped"
    _head, *processes = host.check_output(f"docker top coinpilot-{service} -eo uid,pid").splitlines()
    assert processes and "0" not in [process.split()[0] for process in processes], "a process of root"


def test_the_memory_limits_leave_room_in_12_gib(host: Host) -> None:
    services = json.loads(host.check_output(f"{COMPOSE} config --format json"))["services"]
    assert set(services) == {*SERVICES, "node-exporter"}
    assert sum(int(service["mem_limit"]) for service in services.values()) <= 11 * 1024**3


@pytest.mark.parametrize("command", [
    f"{COMPOSE} ps",
    f"{COMPOSE} logs --since=10m bot",
    "systemctl status coinpilot-compose.service --no-pager",
    "docker volume ls",
])
def test_the_runbooks_commands_work_without_sudo(person: Host, command: str) -> None:
    person.run_expect([0], command)


def test_data_lives_in_the_contracts_volumes(host: Host) -> None:
    mounts = {mount["Destination"]: mount.get("Name") for service in SERVICES
              for mount in inspect(host, service)["Mounts"] if mount["Type"] == "volume"}
    assert mounts == {
        "/var/lib/postgresql/data": "oci_coinpilot_db_data", "/data": "oci_coinpilot_redis_data",
        "/home/node/.n8n": "oci_coinpilot_n8n_data", "/prometheus": "oci_coinpilot_prometheus_data",
        "/var/lib/grafana": "oci_coinpilot_grafana_data"}


def test_the_application_was_built_here_and_works(host: Host) -> None:
    for service in ("collector", "bot", "dashboard"):
        assert inspect(host, service)["Config"]["Image"].startswith(f"coinpilot/{service}:")
    assert int(query(host, "SELECT count(*) FROM market_data")) > 0


def test_prometheus_scrapes_the_bot(host: Host) -> None:
    answer = host.check_output("curl -s --get http://127.0.0.1:9090/api/v1/query "
                               "--data-urlencode 'query=up{job=\"coinpilot-core\"}'")
    assert '"1"]' in answer


def test_the_unit_is_enabled_and_active(host: Host) -> None:
    unit = host.service("coinpilot-compose.service")
    assert unit.is_enabled
    shown = host.check_output("systemctl show coinpilot-compose.service -p ActiveState,SubState")
    assert shown.split() == ["ActiveState=active", "SubState=exited"]


def test_what_the_host_needs_is_there(host: Host) -> None:
    assert host.service("docker").is_enabled and host.service("docker").is_running
    assert "docker" in host.user("ubuntu").groups
    assert host.check_output("timedatectl show --property=Timezone --value") == "Asia/Seoul"
    assert host.file("/etc/logrotate.d/coinpilot").exists
    host.run_expect([0], "logrotate --debug /etc/logrotate.d/coinpilot")
    assert 'APT::Periodic::Unattended-Upgrade "1"' in host.check_output("apt-config dump")


def test_who_logs_in_is_told_where_they_are(ssh_config: Path) -> None:
    login = subprocess.run(["ssh", "-F", str(ssh_config), "-tt", "coinpilot"], input="exit\n", capture_output=True,
                           text=True, check=True)
    assert "OCI production" in login.stdout


def test_verify_passes(play: Play) -> None:
    output = play("playbooks/verify.yml", {"checks": AT_PRESENT.replace(" ", ",")}).expect_success().output
    assert "FAIL" not in output and "UNKNOWN" not in output
