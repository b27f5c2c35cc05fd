"""The metrics of the host and its containers as Prometheus has them, and Prometheus's configuration: proven first, read
without a restart, and in force after a run that was cut off."""

from __future__ import annotations

import json
import shlex
import time
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from stack_on_host import DIRECTORY, SERVICES, Play, assert_all_healthy, inspect
from testinfra.host import Host

ALL = [*SERVICES, "node-exporter"]
STATE = "/var/lib/coinpilot"
FILE = f"{STATE}/metrics/containers.prom"
CONFIG = f"{DIRECTORY}/monitoring/prometheus/prometheus.yml"
GRAFANA = f"{DIRECTORY}/monitoring/grafana"
UNIT = "coinpilot-metrics.service"
READY = "curl -sSf http://127.0.0.1:9090/-/ready"
# As in the role's defaults.
BOT = {"name": "coinpilot-core", "target": "bot:8000"}
# The file is written, and Prometheus asks, every 15 s; the Engine has up to 10 s to answer.
PATIENCE = 300


def ask(host: Host, path: str) -> Any:
    """An answer of Prometheus's API."""
    url = shlex.quote("http://127.0.0.1:9090" + path)
    return json.loads(host.check_output(f"curl -sS --max-time 10 {url}"))["data"]


def value(host: Host, query: str) -> float | None:
    """The value of the one series that a query gives, or None."""
    result = ask(host, "/api/v1/query?" + urllib.parse.urlencode({"query": query}))["result"]
    assert len(result) < 2, result
    return float(result[0]["value"][1]) if result else None


def by_service(host: Host, metric: str) -> dict[str, float]:
    result = ask(host, "/api/v1/query?" + urllib.parse.urlencode({"query": metric}))["result"]
    return {series["metric"]["service"]: float(series["value"][1]) for series in result}


def wait(what: str, check: Callable[[], bool], patience: float = PATIENCE) -> None:
    until = time.monotonic() + patience
    while not check():
        assert time.monotonic() < until, f"not within {patience} s: {what}"
        time.sleep(1)


def reloaded_at(host: Host) -> float:
    """When Prometheus last read its configuration."""
    metrics = host.check_output("curl -sS http://127.0.0.1:9090/metrics")
    return float(metrics.partition("\nprometheus_config_last_reload_success_timestamp_seconds ")[2].split()[0])


def jobs(host: Host) -> set[str]:
    return {target["scrapePool"] for target in ask(host, "/api/v1/targets")["activeTargets"]}


def process(host: Host, unit: str = UNIT) -> str:
    return host.check_output(f"systemctl show --property=MainPID --value {unit}")


@pytest.fixture(scope="module", autouse=True)
def configured(play: Play) -> None:
    play("tests/host/monitoring.yml").expect_success()


@pytest.fixture
def default_jobs(play: Play) -> Iterator[None]:
    yield
    play("tests/host/monitoring.yml").expect_success()


def test_every_services_metrics_arrive(host: Host) -> None:
    wait("all are up and healthy", lambda: by_service(host, "coinpilot_container_up") == dict.fromkeys(ALL, 1)
         and by_service(host, "coinpilot_container_healthy") == dict.fromkeys(ALL, 1))
    assert value(host, "coinpilot_docker_up") == 1
    assert 0 < (value(host, "time() - coinpilot_metrics_last_run_timestamp_seconds") or 0) < 60
    assert set(by_service(host, "coinpilot_container_network_receive_bytes_total")) == set(ALL)
    assert set(by_service(host, "coinpilot_container_start_time_seconds")) == set(ALL)
    root = '{path="/"}'
    assert 0 < (value(host, f"coinpilot_filesystem_avail_bytes{root} / coinpilot_filesystem_size_bytes{root}") or 0) < 1
    # The kernel's own, of the whole host.
    assert value(host, "node_memory_MemTotal_bytes") == int(host.check_output(
        "awk '/^MemTotal/ {print $2}' /proc/meminfo")) * 1024
    assert value(host, 'count(node_scrape_collector_success == 0) or vector(0)') == 0
    assert value(host, "node_textfile_scrape_error") == 0


def test_the_node_exporter_is_as_confined_as_the_rest(host: Host) -> None:
    shown = inspect(host, "node-exporter")
    settings = shown["HostConfig"]
    assert not settings["Privileged"] and settings["ReadonlyRootfs"] and settings["CapDrop"] == ["ALL"]
    assert settings["SecurityOpt"] == ["no-new-privileges:true"] and not settings["PortBindings"]
    assert settings["NetworkMode"] == "oci_default" and not settings["PidMode"]
    assert shown["Config"]["User"] == "65534:65534"
    assert [(mount["Source"], mount["RW"]) for mount in shown["Mounts"]] == [(f"{STATE}/metrics", False)]
    # It sees that directory and nothing else of the state, which stays closed.
    assert (host.file(f"{STATE}/metrics").mode, host.file(STATE).mode) == (0o755, 0o700)


def test_a_stop_is_shown(host: Host) -> None:
    host.check_output("docker stop coinpilot-dashboard")
    wait("the stop is shown", lambda: by_service(host, "coinpilot_container_up").get("dashboard") == 0)
    assert by_service(host, "coinpilot_container_healthy")["dashboard"] == 0
    host.check_output("docker start coinpilot-dashboard")
    wait("it is back", lambda: by_service(host, "coinpilot_container_healthy").get("dashboard") == 1)


def test_an_engine_that_hangs_is_down_and_its_containers_are_unknown(host: Host) -> None:
    host.check_output("pkill -STOP -x dockerd")
    try:
        wait("Docker is down", lambda: value(host, "coinpilot_docker_up") == 0)
        assert value(host, "count(coinpilot_container_up)") is None
        assert (value(host, "time() - coinpilot_metrics_last_run_timestamp_seconds") or 99) < 45
        assert value(host, 'coinpilot_filesystem_size_bytes{path="/"}')
    finally:
        host.check_output("pkill -CONT -x dockerd")
    wait("Docker is up", lambda: by_service(host, "coinpilot_container_up") == dict.fromkeys(ALL, 1))


def test_the_service_begins_anew_with_another_description(host: Host) -> None:
    before = process(host)
    host.check_output("cp --preserve=mode /etc/coinpilot/stack.json /etc/coinpilot/stack.json.new")
    host.check_output("mv /etc/coinpilot/stack.json.new /etc/coinpilot/stack.json")
    wait("another process", lambda: process(host) not in ("0", before))
    assert host.check_output(f"systemctl is-active {UNIT}") == "active"


def test_the_service_can_do_little(host: Host) -> None:
    exposure = host.check_output(f"systemd-analyze security --no-pager {UNIT} | tail -1").split(":")[-1].split()[0]
    assert float(exposure) < 2
    seen = f"nsenter --mount --target {process(host)} "
    assert host.run(f"{seen} touch {STATE}/backup/x /etc/x /opt/coin-pilot/x").rc == 1
    host.check_output(f"{seen} touch {STATE}/metrics/x && rm {STATE}/metrics/x")


def test_a_wrong_configuration_changes_nothing_and_says_promtools_line(host: Host, play: Play) -> None:
    before = host.file(CONFIG).content_string, reloaded_at(host)
    wrong = {"monitoring_jobs": [BOT, BOT]}
    run = play("tests/host/monitoring.yml", wrong).expect_failure()
    assert "found multiple scrape configs with job name" in run.output and "nothing was changed" in run.output
    assert (host.file(CONFIG).content_string, reloaded_at(host)) == before
    assert not host.check_output("docker ps --all --quiet --filter status=created --filter status=exited")


def test_another_job_is_read_without_a_restart(host: Host, play: Play, default_jobs: None) -> None:
    containers = {name: inspect(host, name)["State"]["StartedAt"] for name in ("prometheus", "grafana")}
    more = {"monitoring_jobs": [BOT, {"name": "mine", "target": "grafana:3000", "path": "/api/health"}]}
    assert play("tests/host/monitoring.yml", more, "--check").expect_success().changed == 1 and "mine" not in jobs(host)
    assert play("tests/host/monitoring.yml", more).expect_success().changed == 1
    # Prometheus gathers changes of the targets for some seconds.
    wait("the job is there", lambda: jobs(host) == {"prometheus", "node", "coinpilot-core", "mine"})
    assert play("tests/host/monitoring.yml", more).expect_success().changed == 0
    assert {name: inspect(host, name)["State"]["StartedAt"] for name in containers} == containers


def test_after_a_reload_prometheus_still_comes_back_and_its_crash_is_counted(host: Host, play: Play) -> None:
    """`docker kill --signal HUP` would have ended its restart policy."""
    host.check_output(f"cp -p {CONFIG} {CONFIG}.new && mv {CONFIG}.new {CONFIG}")
    assert play("tests/host/monitoring.yml").expect_success().changed == 1
    before = inspect(host, "prometheus")
    host.check_output(f"kill -9 {before['State']['Pid']}")
    wait("Prometheus is back", lambda: host.run(READY).rc == 0)
    wait("the crash is counted", lambda: by_service(host, "coinpilot_container_restarts_total").get("prometheus")
         == before["RestartCount"] + 1)
    # The crash was the test's own: begins to count anew.
    host.check_output("docker restart coinpilot-prometheus")
    wait("Prometheus is back", lambda: host.run(READY).rc == 0)


def test_what_a_cut_off_run_has_written_is_put_in_force_by_the_next(host: Host, play: Play) -> None:
    """Cut off between writing and telling: the file is there, and nobody has read it."""
    loaded, started = reloaded_at(host), inspect(host, "grafana")["State"]["StartedAt"]
    for path in (CONFIG, f"{GRAFANA}/provisioning/alerting/rules.yml"):
        host.check_output(f"cp -p {path} {path}.new && mv {path}.new {path}")
    # A dashboard that is no more goes; what was put there by hand stays.
    host.check_output(f"echo coinpilot.ops > {GRAFANA}/dashboards/old.json; echo mine > {GRAFANA}/dashboards/mine.json")
    try:
        assert play("tests/host/monitoring.yml").expect_success().changed == 3
        assert reloaded_at(host) > loaded and inspect(host, "grafana")["State"]["StartedAt"] > started
        assert not host.file(f"{GRAFANA}/dashboards/old.json").exists
        assert play("tests/host/monitoring.yml").expect_success().changed == 0
    finally:
        host.check_output(f"rm {GRAFANA}/dashboards/mine.json")


def test_docker_stopped_is_told(host: Host) -> None:
    host.check_output("systemctl stop docker.socket docker")
    try:
        done = host.run("coinpilot-ops --lang en metrics")
        assert done.rc == 0 and "Docker does not answer" in done.stdout
        written = host.file(FILE).content_string
        assert "coinpilot_docker_up 0" in written and "coinpilot_container" not in written
    finally:
        host.check_output("systemctl start docker docker.socket")
    assert host.check_output(f"systemctl is-active {UNIT}") == "active"
    # Prometheus comes back as the others do, although it was told to read its configuration before.
    wait("all are back", lambda: host.run(READY).rc == 0
         and by_service(host, "coinpilot_container_healthy") == dict.fromkeys(ALL, 1), 120)
    # What Prometheus knew before its own stop it still says for five minutes.
    host.run("timeout 300 sh -c 'until ! docker ps --format {{.Status}} | grep -v healthy; do sleep 1; done'")
    assert_all_healthy(host)
