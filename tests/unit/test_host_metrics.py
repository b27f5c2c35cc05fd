"""The metrics of the containers and the file systems: from recorded answers of Engines, and from Engines that fail."""

from __future__ import annotations

import json
import math
import os
import random
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils import host_metrics
from ansible_collections.coinpilot.ops.plugins.module_utils.engine import Engine
from ansible_collections.coinpilot.ops.plugins.module_utils.host_metrics import Container, FileSystem, World

NOW = 1795421573.25
DESCRIPTION: dict[str, Any] = {
    "name": "coinpilot", "project": "oci", "state_directory": "/var/lib/coinpilot",
    "backup_directory": "/var/backups/coinpilot", "services": {"redis": {}, "bot": {}},
    "backup": {"targets": {"redis": {"schedule": "15 3 * * *"}}, "rehearsal": {"schedule": "35 4 * * 0"}},
}
NETWORKS = {"eth0": {"rx_bytes": 35316, "tx_bytes": 14947}, "eth1": {"rx_bytes": 4, "tx_bytes": 3}}
# Shortened from an Engine 20.10 with cgroup v1, from one with v2, and from one whose kernel accounts for nothing.
V1 = {"cpu_stats": {"cpu_usage": {"total_usage": 51103693899, "percpu_usage": [22857037546, 28246656353]}},
      "memory_stats": {"usage": 1116434432, "max_usage": 1440980992, "limit": 25276514304,
                       "stats": {"inactive_file": 2476160, "total_inactive_file": 112476160, "cache": 410312704}},
      "networks": NETWORKS}
V2 = {"cpu_stats": {"cpu_usage": {"total_usage": 51103693899, "usage_in_kernelmode": 12360000000}},
      "memory_stats": {"usage": 1116434432, "limit": 536870912, "stats": {"inactive_file": 112476160, "anon": 1}},
      "networks": NETWORKS}
NOTHING = {"cpu_stats": {"cpu_usage": {"total_usage": 0}}, "memory_stats": {"stats": {"inactive_file": 0}},
           "networks": NETWORKS}


def entry(service: str, state: str = "running", one_off: str = "False", identity: str = "") -> dict[str, Any]:
    return {"Id": identity or service, "State": state, "Labels": {
        "com.docker.compose.project": "oci", "com.docker.compose.service": service,
        "com.docker.compose.oneoff": one_off}}


def inspection(health: str | None = "healthy", restarts: int = 0, oom: bool = False, memory: int = 0) -> dict[str, Any]:
    state: dict[str, Any] = {"OOMKilled": oom, "StartedAt": "2026-11-23T08:11:58.434037561Z"}
    if health is not None:
        state["Health"] = {"Status": health}
    return {"State": state, "RestartCount": restarts, "HostConfig": {"Memory": memory}}


def world(*containers: Container) -> World:
    return World(NOW, 9 * 3600, list(containers), [], {})


def rendered(of: World) -> dict[str, float]:
    """Series -> value, and nothing that Prometheus would not take."""
    lines = [line for line in host_metrics.render(of, DESCRIPTION).splitlines() if not line.startswith("#")]
    values = {line.rpartition(" ")[0].removeprefix("coinpilot_"): float(line.rpartition(" ")[2]) for line in lines}
    assert len(values) == len(lines), "a series twice"
    assert not any(math.isnan(value) for value in values.values())
    return values


@pytest.mark.parametrize("stats", [V1, V2], ids=["cgroup-v1", "cgroup-v2"])
def test_a_running_service(stats: dict[str, Any]) -> None:
    shown = rendered(world(Container(entry("redis"), inspection(restarts=3, memory=536870912), stats)))
    assert {name: value for name, value in shown.items() if 'service="redis"' in name} == {
        'container_up{service="redis"}': 1, 'container_healthy{service="redis"}': 1,
        'container_restarts_total{service="redis"}': 3, 'container_oom_killed{service="redis"}': 0,
        'container_start_time_seconds{service="redis"}': pytest.approx(1795421518.434, abs=0.001),
        'container_memory_bytes{service="redis"}': 1116434432 - 112476160,
        'container_memory_limit_bytes{service="redis"}': 536870912,
        'container_cpu_seconds_total{service="redis"}': pytest.approx(51.1036938),
        'container_network_receive_bytes_total{service="redis"}': 35320,
        'container_network_transmit_bytes_total{service="redis"}': 14950}
    assert shown['container_up{service="bot"}'] == shown['container_healthy{service="bot"}'] == 0
    assert shown["docker_up"] == 1 and shown["metrics_last_run_timestamp_seconds"] == NOW


def test_what_the_kernel_does_not_account_for_has_no_series() -> None:
    shown = rendered(world(Container(entry("redis"), inspection(), NOTHING)))
    assert not [name for name in shown if "memory" in name or "cpu" in name]
    assert shown['container_up{service="redis"}'] == 1


@pytest.mark.parametrize(("state", "health", "up", "healthy"), [
    ("running", "healthy", 1, 1), ("running", "unhealthy", 1, 0), ("running", "starting", 1, 0),
    ("running", None, 1, 1), ("running", "none", 1, 1), ("restarting", "unhealthy", 0, 0), ("exited", "healthy", 0, 0),
    ("paused", "healthy", 0, 0), ("created", None, 0, 0),
])
def test_up_and_healthy(state: str, health: str | None, up: int, healthy: int) -> None:
    shown = rendered(world(Container(entry("bot", state), inspection(health), None)))
    assert (shown['container_up{service="bot"}'], shown['container_healthy{service="bot"}']) == (up, healthy)


def test_one_that_hangs_is_up_and_nothing_else_is_known() -> None:
    shown = rendered(world(Container(entry("bot"), None, None)))
    assert [name for name in shown if 'service="bot"' in name] == ['container_up{service="bot"}']


def test_of_two_the_running_one_counts_and_others_do_not() -> None:
    shown = rendered(world(
        Container(entry("bot"), inspection(restarts=1), V2),
        Container(entry("bot", "exited"), inspection("none", 9), None),
        Container(entry("redis", "running", one_off="True"), inspection(), V2),
        Container(entry("stranger", "exited"), inspection(), None)))
    assert shown['container_restarts_total{service="bot"}'] == 1 and shown['container_up{service="redis"}'] == 0
    assert not [name for name in shown if "stranger" in name]


def test_without_docker_there_is_nothing_of_the_containers() -> None:
    shown = rendered(World(NOW, 0, None, [FileSystem("/", 100, 40, 0, 0)], {"/etc/letsencrypt/live/a/cert.pem": 5.0}))
    assert shown["docker_up"] == 0 and not [name for name in shown if "container" in name]
    # A file system that does not count its files has no share of free ones.
    assert shown['filesystem_avail_bytes{path="/"}'] == 40 and 'filesystem_files{path="/"}' not in shown
    assert shown['certificate_expiry_timestamp_seconds{path="/etc/letsencrypt/live/a/cert.pem"}'] == 5


def test_since_when_a_backup_has_to_be_there() -> None:
    shown = rendered(world())
    midnight = NOW - NOW % 86400 - 9 * 3600
    # 17:12:53 in Seoul on a Monday: due since 03:15, and rehearsed since Sunday's 04:35.
    assert shown['backup_due_timestamp_seconds{target="redis"}'] == midnight + 3.25 * 3600
    assert shown['backup_rehearsal_due_timestamp_seconds{target="redis"}'] == midnight - 86400 + 275 * 60
    broken = {**DESCRIPTION, "backup": {"targets": {"redis": {"schedule": "whenever"}}, "rehearsal": {}}}
    assert "due" not in host_metrics.render(world(), broken)


def test_prometheus_takes_it(promtool: str) -> None:
    whole = World(NOW, 0, [Container(entry("redis"), inspection(memory=5), V2)],
                  host_metrics.file_systems(("/", "/nowhere")), {'/a "b"\\/cert.pem': 5.0})
    text = host_metrics.render(whole, DESCRIPTION)
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_no_answer_of_an_engine_breaks_it() -> None:
    """Answers with a part replaced by anything: it is rendered, and never not-a-number."""
    chance = random.Random(5)
    anything = [None, "", "x", -1, math.nan, math.inf, 10 ** 400, 1.5, True, [], {}, [None], {"Status": 3},
                "0001-01-01T00:00:00Z"]

    def spoilt(tree: Any) -> Any:
        if chance.random() < 0.2:
            return chance.choice(anything)
        return {key: spoilt(value) for key, value in tree.items()} if isinstance(tree, dict) else tree

    for _round in range(2000):
        rendered(world(*(Container(spoilt(entry(name)), spoilt(inspection()), spoilt(V1))
                         for name in ("bot", "redis"))))


# Reading -------------------------------------------------------------------------------------------------------------

class FakeEngine:
    """Answers on a socket what it is given by path, or, for a path that is to hang, nothing."""

    def __init__(self, path: Path) -> None:
        self.answers: dict[str, Any] = {}
        self.hanging: list[str] = []
        self.asked: list[str] = []
        self.open: list[socket.socket] = []
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(path))
        self.listener.listen(20)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        while True:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            target = connection.recv(65536).decode().split(" ")[1]
            self.asked.append(target)
            path = target.partition("?")[0]
            if any(part in path for part in self.hanging):
                self.open.append(connection)
                continue
            answer = self.answers.get(path)
            body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            status = b"404 Not Found" if answer is None else b"200 OK"
            connection.sendall(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))
            connection.close()


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeEngine]:
    monkeypatch.setattr(host_metrics, "CALL", 0.2)
    monkeypatch.setattr(host_metrics, "ROUND", 1.0)
    engine = FakeEngine(tmp_path / "socket")
    engine.answers = {"/containers/json": [entry("redis"), entry("bot")], "/info": {"DockerRootDir": "/var/lib/docker"}}
    for service in ("redis", "bot"):
        engine.answers["/containers/%s/json" % service] = inspection()
        engine.answers["/containers/%s/stats" % service] = V2
    yield engine
    engine.listener.close()


@pytest.fixture
def description(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "metrics").mkdir()
    return {**DESCRIPTION, "state_directory": str(tmp_path), "backup_directory": str(tmp_path / "none")}


def gathered(tmp_path: Path, description: dict[str, Any]) -> dict[str, float]:
    return rendered(host_metrics.gather(description, Engine(str(tmp_path / "socket"))))


def test_what_the_engine_is_asked(fake: FakeEngine, tmp_path: Path, description: dict[str, Any]) -> None:
    fake.answers["/containers/json"] = [entry("redis"), entry("bot", "exited")]
    assert gathered(tmp_path, description)['container_cpu_seconds_total{service="redis"}'] > 51
    # Nothing waits for a second sample, and nothing is asked of the use of one that does not run.
    assert fake.asked[2] == "/containers/redis/stats?stream=false&one-shot=true"
    assert [path.partition("?")[0] for path in fake.asked] == [
        "/containers/json", "/containers/redis/json", "/containers/redis/stats", "/containers/bot/json"]


def test_one_container_that_hangs_does_not_hide_the_other(fake: FakeEngine, tmp_path: Path,
                                                          description: dict[str, Any]) -> None:
    fake.hanging = ["redis"]
    shown = gathered(tmp_path, description)
    assert shown['container_up{service="redis"}'] == 1 and 'container_healthy{service="redis"}' not in shown
    assert shown['container_healthy{service="bot"}'] == 1


@pytest.mark.parametrize("how", ["hangs", "is gone", "says nonsense", "fails"])
def test_an_engine_that_does_not_answer_is_down(fake: FakeEngine, tmp_path: Path, description: dict[str, Any],
                                                how: str) -> None:
    if how == "hangs":
        fake.hanging = ["/"]
    elif how == "is gone":
        (tmp_path / "socket").unlink()
    else:
        fake.answers = {"/containers/json": b"[{" if how == "says nonsense" else None}
    begun = time.monotonic()
    shown = gathered(tmp_path, description)
    assert time.monotonic() - begun < 2
    assert shown["docker_up"] == 0 and not [name for name in shown if "container" in name]


def test_time_is_up_at_last(fake: FakeEngine, tmp_path: Path, description: dict[str, Any]) -> None:
    names = ["c%d" % number for number in range(30)]
    fake.answers["/containers/json"] = [entry(name) for name in names]
    fake.hanging = names
    begun = time.monotonic()
    gathered(tmp_path, {**description, "services": {name: {} for name in names}})
    assert time.monotonic() - begun < 3


def test_written_whole_again_and_again(fake: FakeEngine, tmp_path: Path, description: dict[str, Any],
                                       monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "metrics" / "containers.prom"
    (tmp_path / "metrics" / ".containers.prom-x.new").write_text("left by one that was killed")
    rounds: list[str] = []

    def again(seconds: float) -> None:
        assert 10 < seconds <= 15
        rounds.append(path.read_text())
        fake.hanging = ["/"] if len(rounds) == 1 else []

    monkeypatch.setattr(time, "sleep", again)
    ended = host_metrics.run(description, 15, Engine(str(tmp_path / "socket")), lambda: len(rounds) == 3)
    assert ended.status == "PASS" and ended.seen.en == "2 of 2 services run"
    assert ["coinpilot_docker_up 1" in text for text in rounds] == [True, False, True]
    assert ["container_up" in text for text in rounds] == [True, False, True]
    assert os.listdir(tmp_path / "metrics") == ["containers.prom"] and path.stat().st_mode & 0o777 == 0o644
    assert sum("/info" in target for target in fake.asked) == 1


def test_what_cannot_be_written_is_said(fake: FakeEngine, tmp_path: Path, description: dict[str, Any]) -> None:
    (tmp_path / "metrics").rmdir()
    ended = host_metrics.run(description, 15, Engine(str(tmp_path / "socket")))
    assert ended.status == "FAIL" and "No such file or directory" in ended.seen.en


def test_a_file_that_is_replaced_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "stack.json"
    path.write_text("{}")
    replaced = host_metrics.watch(str(path), str(tmp_path / "none"))
    assert not replaced()
    (tmp_path / "new").write_text("{}")
    os.replace(tmp_path / "new", path)
    assert replaced()


def test_file_systems_are_told_once_and_by_their_mount(tmp_path: Path) -> None:
    found = host_metrics.file_systems(("/", str(tmp_path), str(tmp_path / "not" / "there")))
    assert len({one.path for one in found}) == len(found) and found[0].path == "/"
    assert all(os.path.ismount(one.path) and one.size >= one.available >= 0 for one in found)
