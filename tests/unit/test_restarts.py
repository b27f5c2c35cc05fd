"""What died, or was restarted, in the window: over recorded worlds."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils import change_window, findings, restarts, watch
from ansible_collections.coinpilot.ops.plugins.module_utils.checklist_context import Context
from ansible_collections.coinpilot.ops.plugins.module_utils.engine import Engine

NOW = 1_800_000_000.0
HOUR = 3600.0
LONG_AGO = 30 * 24 * HOUR
DESCRIPTION = {"project": "oci", "state_directory": "/nowhere", "services": {"bot": {"container": "coinpilot-bot"}}}


def ago(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(NOW - seconds))


def container(started: float = LONG_AGO, restarts: int = 0, created: float = LONG_AGO, identity: str = "b1",
              first: bool = False, **state: Any) -> dict[str, Any]:
    return {"Id": identity, "Name": "/coinpilot-bot", "RestartCount": restarts, "Created": ago(created),
            "State": {"Status": "running", "StartedAt": ago(started), "Health": {"Status": "healthy"},
                      "FinishedAt": "0001-01-01T00:00:00Z" if first else ago(started + 1), **state},
            "Config": {"Labels": {"com.docker.compose.service": "bot"}}}


def context(armed: float | None = None, baseline: Any = None, window: float = 24 * HOUR, checkpoint: str = "daily",
            **release: Any) -> Context:
    armed_by = None if armed is None else {"armed_at": NOW - armed, "baseline": baseline, **release}
    return Context(DESCRIPTION, Engine("/nowhere"), NOW, checkpoint, NOW - window, armed_by)


def stood(started: float, restarts: int = 0) -> dict[str, Any]:
    """How the bot stood when the watch was armed."""
    return {"bot": {"id": "b1", "restarts": restarts, "started_at": ago(started)}}


BASELINE = stood(LONG_AGO, 2)
UP: dict[str, Any] = {"host_started": NOW - 40 * 24 * HOUR, "docker_started": NOW - 40 * 24 * HOUR}


def judge(world: restarts.World, given: Context) -> list[findings.Finding]:
    return restarts.judge(world._replace(armings=change_window.armings(given)), given)


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
    (container(restarts=2), context(5 * HOUR, BASELINE), set()),
    (container(started=HOUR, restarts=3), context(5 * HOUR, BASELINE), {("restart", findings.FAIL)}),
    (container(started=HOUR, restarts=2), context(5 * HOUR, BASELINE), {("restart", findings.WARN)}),
    # A start by hand counts from zero again.
    (container(started=HOUR, restarts=0), context(5 * HOUR, BASELINE), {("restart", findings.WARN)}),
    (container(started=HOUR, identity="b2", first=True), context(5 * HOUR, BASELINE), {("restart", findings.WARN)}),
    # What the deploy did itself, and what its run restarted after it.
    (container(started=5 * HOUR + 300), context(5 * HOUR, stood(5 * HOUR + 300)), set()),
    (container(started=5 * HOUR - 60), context(5 * HOUR, BASELINE), set()),
    # One crash of a container that the deploy made is the deploy's to judge.
    (container(started=5 * HOUR + 200, restarts=1, created=5 * HOUR + 300),
     context(5 * HOUR, stood(5 * HOUR + 200, 1)), set()),
    (container(started=HOUR, restarts=2, created=5 * HOUR + 300), context(5 * HOUR, stood(5 * HOUR + 200, 1)),
     {("restart", findings.FAIL)}),
    # It died before a change that did not touch it: an alert rule, say.
    (container(started=7 * HOUR, restarts=3), context(5 * HOUR, stood(7 * HOUR, 3)), {("restart", findings.FAIL)}),
    (container(started=7 * HOUR, restarts=3), context(5 * HOUR, stood(7 * HOUR, 3), checkpoint="weekly"),
     {("restart", findings.FAIL)}),
    (container(started=7 * HOUR, restarts=3), context(5 * HOUR, stood(7 * HOUR, 3), 5 * HOUR, "all"),
     {("restart", findings.FAIL)}),
    (container(started=5 * HOUR + 60, restarts=3), context(5 * HOUR, stood(5 * HOUR + 60, 3)),
     {("restart", findings.FAIL)}),
    # And by hand it was started anew since.
    (container(started=HOUR), context(5 * HOUR, stood(7 * HOUR, 3)), {("restart", findings.FAIL)}),
    (container(started=7 * HOUR), context(5 * HOUR, stood(7 * HOUR)), {("restart", findings.WARN)}),
    (container(started=7 * HOUR, created=7 * HOUR, first=True), context(5 * HOUR, stood(7 * HOUR)), set()),
    (container(started=30 * HOUR, restarts=3), context(5 * HOUR, stood(30 * HOUR, 3)), set()),
    # A checkpoint of the watch looks at what was since the arming; a person who arms it says: from here on.
    (container(started=7 * HOUR, restarts=3), context(5 * HOUR, stood(7 * HOUR, 3), 6 * HOUR, "t6h"), set()),
    (container(started=7 * HOUR, restarts=3), context(5 * HOUR, stood(7 * HOUR, 3), anew=NOW - 5 * HOUR), set()),
    (container(started=7 * HOUR, restarts=3), context(5 * HOUR, stood(7 * HOUR, 3), anew=NOW - 6 * HOUR), set()),
    (container(started=7 * HOUR, restarts=3), context(5 * HOUR, stood(7 * HOUR, 3), anew=NOW - 8 * HOUR),
     {("restart", findings.FAIL)}),
    # Armed by a clock that was ahead: that is no arming.
    (container(started=HOUR, restarts=3), context(-9 * HOUR, stood(LONG_AGO), checkpoint="t6h", window=6 * HOUR),
     {("restart", findings.FAIL)}),
    (container(started=HOUR, restarts=3), context(-9 * HOUR, stood(LONG_AGO), anew=NOW + 9 * HOUR),
     {("restart", findings.FAIL)}),
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
    assert wrong(judge(restarts.World([shown], **UP), given)) == expected


@pytest.mark.parametrize(("shown", "expected"), [
    # The host was restarted an hour ago.
    (container(started=HOUR - 60), {("host-restart", findings.WARN)}),
    # One crash is a race for the database, two are none.
    (container(started=HOUR - 90, restarts=1), {("host-restart", findings.WARN), ("restart", findings.WARN)}),
    (container(started=HOUR - 90, restarts=2), {("host-restart", findings.WARN), ("restart", findings.FAIL)}),
    (container(started=HOUR - 400, restarts=1), {("host-restart", findings.WARN), ("restart", findings.FAIL)}),
    # One that was made since did not wait with the others.
    (container(started=HOUR - 90, restarts=1, created=HOUR - 60), {("restart", findings.FAIL)}),
    # The service again, half an hour later.
    (container(started=HOUR / 2), {("host-restart", findings.WARN), ("restart", findings.WARN)}),
    # A host that is younger than the window had nothing to restart.
    (container(started=HOUR - 60, created=HOUR - 60, first=True), set()),
])
def test_a_restart_of_the_host_is_told_once(shown: dict[str, Any], expected: set[tuple[str, str]]) -> None:
    started = NOW - HOUR
    assert wrong(judge(restarts.World([shown], started, started), context())) == expected


def test_a_restart_of_the_host_before_a_change_is_told() -> None:
    world = restarts.World([container(started=7 * HOUR - 60)], NOW - 7 * HOUR, NOW - 7 * HOUR)
    changed = context(5 * HOUR, stood(7 * HOUR - 60))
    assert wrong(judge(world, changed)) == {("host-restart", findings.WARN)}
    assert not wrong(judge(world, changed._replace(checkpoint="t6h", since=NOW - 6 * HOUR)))


def test_what_an_earlier_change_restarted_is_its_own(tmp_path: Path) -> None:
    """Of the armings before the last one, the history tells."""
    description = {**DESCRIPTION, "state_directory": str(tmp_path)}
    given = context(5 * HOUR, stood(7 * HOUR))._replace(description=description)
    world = restarts.World([container(started=7 * HOUR)], **UP)
    assert wrong(judge(world, given)) == {("restart", findings.WARN)}
    armed = {"release": "r1", "armed_at": NOW - 7 * HOUR + 60}
    assert not watch.record(description, watch.entry("t0", [], {}, NOW - 6.9 * HOUR, 1.0, armed))
    assert not wrong(judge(world, given))


def test_a_restart_of_docker_is_told_once() -> None:
    world = restarts.World([container(started=HOUR - 60)], NOW - LONG_AGO, NOW - HOUR)
    found = judge(world, context())
    assert wrong(found) == {("host-restart", findings.WARN)}
    assert "Docker was restarted" in found[0].seen.en
    # Containers that it has left running were not restarted.
    assert not wrong(judge(world._replace(containers=[container()]), context()))


def test_how_often_it_died_is_counted_since_the_arming() -> None:
    world = restarts.World([container(started=HOUR, restarts=5)], **UP)
    assert "died 3 times" in judge(world, context(5 * HOUR, BASELINE))[1].seen.en
    assert "5 times since the container was made" in judge(world, context())[1].seen.en


def test_processes_that_the_kernel_killed_are_told() -> None:
    world = restarts.World([container()], kills={"b1": 2}, **UP)
    assert wrong(judge(world, context())) == {("memory-kill", findings.WARN)}


def test_nothing_is_told_of_what_cannot_be_read() -> None:
    world = restarts.World(errors={"containers": "Docker is down", "host": "no systemd"})
    assert wrong(judge(world, context())) == {("restart", findings.UNKNOWN),
                                                       ("host-restart", findings.UNKNOWN)}
    silent = restarts.gather(DESCRIPTION, Engine("/nowhere/docker.sock"))
    assert "/nowhere/docker.sock" in silent.errors["containers"]
