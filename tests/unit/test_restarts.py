"""What died, or was restarted, in the window: over recorded worlds."""

from __future__ import annotations

import time
from typing import Any

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils import findings, restarts
from ansible_collections.coinpilot.ops.plugins.module_utils.checklist_context import Context
from ansible_collections.coinpilot.ops.plugins.module_utils.engine import Engine

NOW = 1_800_000_000.0
HOUR = 3600.0
LONG_AGO = 30 * 24 * HOUR
DESCRIPTION = {"project": "oci", "services": {"bot": {"container": "coinpilot-bot"}}}


def ago(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(NOW - seconds))


def container(started: float = LONG_AGO, restarts: int = 0, created: float = LONG_AGO, identity: str = "b1",
              first: bool = False, **state: Any) -> dict[str, Any]:
    return {"Id": identity, "Name": "/coinpilot-bot", "RestartCount": restarts, "Created": ago(created),
            "State": {"Status": "running", "StartedAt": ago(started), "Health": {"Status": "healthy"},
                      "FinishedAt": "0001-01-01T00:00:00Z" if first else ago(started + 1), **state},
            "Config": {"Labels": {"com.docker.compose.service": "bot"}}}


def context(armed: float | None = None, baseline: Any = None, window: float = 24 * HOUR) -> Context:
    release = None if armed is None else {"armed_at": NOW - armed, "baseline": baseline}
    return Context(DESCRIPTION, Engine("/nowhere"), NOW, "daily", NOW - window, release)


BASELINE = {"bot": {"id": "b1", "restarts": 2, "started_at": ago(6 * HOUR)}}
UP: dict[str, Any] = {"host_started": NOW - 40 * 24 * HOUR, "docker_started": NOW - 40 * 24 * HOUR}


def wrong(found: list[findings.Finding]) -> set[tuple[str, str]]:
    return {(finding.id, finding.status) for finding in found if finding.status != findings.PASS}


@pytest.mark.parametrize(("shown", "given", "expected"), [
    # No watch was ever armed: the window alone.
    (container(), context(), set()),
    (container(restarts=3), context(), set()),
    (container(started=HOUR, restarts=3), context(), {("restart", findings.FAIL)}),
    (container(started=HOUR), context(), {("restart", findings.WARN)}),
    (container(started=HOUR, created=HOUR, first=True), context(), set()),
    (container(started=HOUR, restarts=9, Health={"Status": "unhealthy"}), context(), {("restart", findings.FAIL)}),
    # Against the baseline of the arming, five hours ago.
    (container(started=6 * HOUR, restarts=2), context(5 * HOUR, BASELINE), set()),
    (container(started=HOUR, restarts=3), context(5 * HOUR, BASELINE), {("restart", findings.FAIL)}),
    (container(started=HOUR, restarts=2), context(5 * HOUR, BASELINE), {("restart", findings.WARN)}),
    # A start by hand counts from zero again.
    (container(started=HOUR, restarts=0), context(5 * HOUR, BASELINE), {("restart", findings.WARN)}),
    (container(started=HOUR, identity="b2", first=True), context(5 * HOUR, BASELINE), {("restart", findings.WARN)}),
    # What the deploy did itself, and what its run restarted after it.
    (container(started=6 * HOUR, restarts=2), context(5 * HOUR, BASELINE, window=30 * HOUR), set()),
    (container(started=5 * HOUR - 60, restarts=2), context(5 * HOUR, BASELINE), set()),
    # A baseline that was damaged by hand is none.
    (container(started=HOUR, restarts=1), context(5 * HOUR, {"bot": {"restarts": "x"}}), {("restart", findings.FAIL)}),
    (container(started=HOUR, restarts=1), context(5 * HOUR, [1]), {("restart", findings.FAIL)}),
    # Of what does not run, another rule tells.
    (container(Status="exited", restarts=3, started=HOUR), context(), set()),
    (container(Status="restarting", restarts=9), context(), set()),
    (container(started=10, restarts=9, Health={"Status": "starting"}), context(), set()),
    (container(StartedAt="soon"), context(), {("restart", findings.UNKNOWN)}),
    (container(started=HOUR, restarts=1, OOMKilled=True), context(),
     {("restart", findings.FAIL), ("memory-kill", findings.FAIL)}),
    (container(OOMKilled=True), context(), set()),
])
def test_service(shown: dict[str, Any], given: Context, expected: set[tuple[str, str]]) -> None:
    assert wrong(restarts.judge(restarts.World([shown], **UP), given)) == expected


@pytest.mark.parametrize(("shown", "expected"), [
    # The host was restarted an hour ago.
    (container(started=HOUR - 60), {("host-restart", findings.WARN)}),
    # The service again, half an hour later.
    (container(started=HOUR / 2), {("host-restart", findings.WARN), ("restart", findings.WARN)}),
    # A host that is younger than the window had nothing to restart.
    (container(started=HOUR - 60, created=HOUR - 60, first=True), set()),
])
def test_a_restart_of_the_host_is_told_once(shown: dict[str, Any], expected: set[tuple[str, str]]) -> None:
    started = NOW - HOUR
    assert wrong(restarts.judge(restarts.World([shown], started, started), context())) == expected


def test_a_restart_of_docker_is_told_once() -> None:
    world = restarts.World([container(started=HOUR - 60)], NOW - LONG_AGO, NOW - HOUR)
    found = restarts.judge(world, context())
    assert wrong(found) == {("host-restart", findings.WARN)}
    assert "Docker was restarted" in found[0].seen.en
    # Containers that it has left running were not restarted.
    assert not wrong(restarts.judge(world._replace(containers=[container()]), context()))


def test_how_often_it_died_is_counted_since_the_arming() -> None:
    world = restarts.World([container(started=HOUR, restarts=5)], **UP)
    assert "died 3 times" in restarts.judge(world, context(5 * HOUR, BASELINE))[1].seen.en
    assert "5 times since the container was made" in restarts.judge(world, context())[1].seen.en


def test_processes_that_the_kernel_killed_are_told() -> None:
    world = restarts.World([container()], kills={"b1": 2}, **UP)
    assert wrong(restarts.judge(world, context())) == {("memory-kill", findings.WARN)}


def test_nothing_is_told_of_what_cannot_be_read() -> None:
    world = restarts.World(errors={"containers": "Docker is down", "host": "no systemd"})
    assert wrong(restarts.judge(world, context())) == {("restart", findings.UNKNOWN),
                                                       ("host-restart", findings.UNKNOWN)}
    silent = restarts.gather(DESCRIPTION, Engine("/nowhere/docker.sock"))
    assert "/nowhere/docker.sock" in silent.errors["containers"]
