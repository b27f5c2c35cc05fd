"""When a deploy may be called done, and when it has failed."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils import health

OLD, NEW = "old", "new"


def container(status: str, health_status: str | None = None, **state: Any) -> dict[str, Any]:
    shown = {"Status": status, "ExitCode": 0, "StartedAt": "t1", **state}
    if health_status:
        shown["Health"] = {"Status": health_status}
    return {"Id": NEW, "Name": "/coinpilot-bot", "State": shown, "RestartCount": state.pop("restarts", 0),
            "Config": {"Labels": {"com.docker.compose.service": "bot"}}}


@pytest.mark.parametrize(("shown", "kind"), [
    (None, "missing"),
    (container("created"), "created"),
    (container("running"), "running"),
    (container("running", "starting"), "starting"),
    (container("running", "healthy"), "healthy"),
    (container("running", "unhealthy"), "unhealthy"),
    (container("paused", "healthy"), "paused"),
    (container("restarting", "unhealthy"), "restarting"),
    (container("exited", "healthy", ExitCode=137), "exited"),
])
def test_a_dead_container_is_dead_whatever_its_last_health_check_said(shown: Any, kind: str) -> None:
    assert health.condition(shown).kind == kind


def test_out_of_memory_is_said() -> None:
    text = str(health.condition(container("exited", ExitCode=137, OOMKilled=True)))
    assert "137" in text and "out of memory" in text


def now(kind: str, restarts: int = 0, started_at: str = "t1", container_id: str = NEW) -> health.Condition:
    return health.Condition(kind, 1, False, restarts, started_at, container_id)


@pytest.mark.parametrize(("condition", "before", "up_finished", "expected"), [
    (now("healthy"), None, True, health.HEALTHY),
    (now("running"), None, True, health.HEALTHY),
    (now("starting"), None, True, health.PENDING),
    (now("restarting", restarts=1), None, True, health.PENDING),
    (now("restarting", restarts=2), None, True, health.FAILED),
    (now("healthy", restarts=2), None, True, health.FAILED),
    (now("unhealthy"), None, True, health.FAILED),
    (now("paused"), None, False, health.FAILED),
    (now("dead"), None, False, health.PENDING),
    (now("dead"), None, True, health.FAILED),
    (now("exited"), None, False, health.PENDING),
    (now("exited"), None, True, health.FAILED),
    (now("created"), None, True, health.FAILED),
    (now("missing"), None, True, health.FAILED),
    # Restarts from before the deploy are not held against it, those of a replaced container neither.
    (now("healthy", restarts=7), now("healthy", restarts=7), True, health.HEALTHY),
    (now("healthy", restarts=9), now("healthy", restarts=7), True, health.FAILED),
    (now("healthy", restarts=1), now("healthy", restarts=7, container_id=OLD), True, health.HEALTHY),
    (now("restarting", restarts=2), now("healthy", restarts=7, container_id=OLD), True, health.FAILED),
    # A container that this deploy started again counts from zero.
    (now("restarting", restarts=2, started_at="t2"), now("exited", restarts=7), True, health.FAILED),
    # What was unhealthy before and left alone may recover; what was restarted may not.
    (now("unhealthy"), now("unhealthy"), True, health.PENDING),
    (now("unhealthy", started_at="t2"), now("unhealthy"), True, health.FAILED),
    (now("unhealthy"), now("unhealthy", container_id=OLD), True, health.FAILED),
])
def test_progress(condition: health.Condition, before: health.Condition | None, up_finished: bool,
                  expected: str) -> None:
    assert health.progress(condition, before, up_finished) == expected


def test_a_service_that_holds_data_may_not_crash_even_once() -> None:
    assert health.progress(now("healthy", restarts=1), None, True, holds_data=True) == health.FAILED
    assert health.progress(now("healthy", restarts=1), now("healthy", restarts=1), True, True) == health.HEALTHY


@pytest.mark.parametrize(("later", "expected"), [
    (now("healthy"), False),
    (now("running"), False),
    (now("healthy", started_at="t2"), True),
    (now("starting"), True),
    (now("missing"), True),
])
def test_a_restart_while_settling_is_seen_though_it_is_healthy_again(later: health.Condition, expected: bool) -> None:
    assert health.disturbed(now("healthy"), later) is expected


def test_one_off_containers_are_not_the_service() -> None:
    one_off = container("exited")
    one_off["Config"]["Labels"]["com.docker.compose.oneoff"] = "True"
    assert health.by_service([one_off]) == {}


def test_a_container_that_was_run_by_hand_does_not_stand_for_the_service() -> None:
    def made(name: str, **labels: str) -> dict[str, Any]:
        labels = {"com.docker.compose." + key.replace("_", "-"): value for key, value in labels.items()}
        return {"Id": name, "Name": name, "Config": {"Labels": {"com.docker.compose.service": "bot", **labels}}}

    shown = [made("second", config_hash="h", container_number="2"),
             made("first", config_hash="h", container_number="1"), made("by-hand")]
    assert health.by_service(shown)["bot"]["Id"] == health.by_service(shown[::-1])["bot"]["Id"] == "first"
    assert health.by_service(shown[2:])["bot"]["Id"] == "by-hand"
