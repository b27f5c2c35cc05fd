"""coinpilot-compose.service: boot, stop, reload, and no success with dead containers."""

from __future__ import annotations

import subprocess
import sys

from stack_on_host import AT_PRESENT, CHECKOUT, DIRECTORY, SERVICES, Play, assert_all_healthy, inspect, query, started
from testinfra.host import Host

UNIT = "coinpilot-compose.service"


def state(host: Host) -> str:
    return host.check_output(f"systemctl is-active {UNIT} || [ $? = 3 ]")


def ask_redis(host: Host, command: str) -> None:
    """Said to a server that was just started: while it loads its data it refuses, and redis-cli says so by exit code
    only with -e."""
    said = f"docker exec coinpilot-redis redis-cli -e {command}"
    host.check_output(f"timeout 300 sh -c 'until {said}; do sleep 0.2; done'")


def test_stop_keeps_containers_and_their_logs(host: Host) -> None:
    ids = {service: inspect(host, service)["Id"] for service in SERVICES}
    host.check_output(f"systemctl stop {UNIT}")
    assert {service: inspect(host, service)["State"]["Status"] for service in SERVICES} == dict.fromkeys(
        SERVICES, "exited")
    assert host.check_output("docker logs --tail 5 coinpilot-bot 2>&1")
    host.check_output(f"systemctl start {UNIT}")
    assert {service: inspect(host, service)["Id"] for service in SERVICES} == ids
    assert_all_healthy(host)


def test_reload_applies_a_changed_file_and_restarts_nothing_else(host: Host, play: Play) -> None:
    before = started(host)
    host.check_output(f"sed -i \"s/^LLM_MODE=.*/LLM_MODE='by-hand'/\" {DIRECTORY}/.env")
    host.check_output(f"systemctl reload {UNIT}")
    assert "LLM_MODE=by-hand" in host.check_output("docker exec coinpilot-bot env")
    after = started(host)
    assert [service for service in SERVICES if before[service] != after[service]] == ["bot"]
    play("site.yml").expect_success()
    assert "LLM_MODE=dev" in host.check_output("docker exec coinpilot-bot env")


def test_a_start_that_fails_shows_as_failed(host: Host, play: Play) -> None:
    host.check_output(f"systemctl stop {UNIT}")
    host.check_output("docker start coinpilot-redis")
    ask_redis(host, "set sample:fault:bot crash")
    host.check_output("docker stop coinpilot-redis")
    assert host.run(f"systemctl start {UNIT}").rc != 0
    assert state(host) == "failed"
    assert play("playbooks/verify.yml", {"checks": AT_PRESENT.replace(" ", ",")}).rc != 0
    # Docker restarts the bot all the while: one that begins before the fault is gone would fail the start below.
    host.check_output("docker stop coinpilot-bot")
    host.check_output("docker start coinpilot-redis")
    ask_redis(host, "del sample:fault:bot")
    host.check_output(f"systemctl reset-failed {UNIT}; systemctl start {UNIT}")
    assert state(host) == "active"
    assert_all_healthy(host)


def test_a_reboot_brings_everything_back_without_the_network(host: Host, stand_in: str, play: Play) -> None:
    rows = int(query(host, "SELECT count(*) FROM market_data"))
    ids = {service: inspect(host, service)["Id"] for service in SERVICES}
    subprocess.run([sys.executable, str(CHECKOUT / "tests" / "stand_in" / "stand_in.py"), "reboot", "--name", stand_in],
                   check=True)
    host.check_output(f"timeout 300 sh -c 'while systemctl is-active {UNIT} | grep -q activating; do sleep 1; done'")
    assert state(host) == "active"
    assert_all_healthy(host)
    assert {service: inspect(host, service)["Id"] for service in SERVICES} == ids
    assert int(query(host, "SELECT count(*) FROM market_data")) >= rows
    play("playbooks/verify.yml", {"checks": AT_PRESENT.replace(" ", ",")}).expect_success()
    assert play("site.yml").expect_success().changed == 0


def test_boot_does_not_wait_for_the_network(host: Host) -> None:
    after = host.check_output(f"systemctl show {UNIT} -p After -p Wants -p Requires")
    assert "network-online.target" not in after
    start = host.check_output(f"systemctl cat {UNIT}")
    assert "--pull never" in start and "--no-build" in start
