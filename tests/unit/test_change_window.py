"""From when on the daily check looks at a service, where a change was made meanwhile."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils import change_window, watch
from ansible_collections.coinpilot.ops.plugins.module_utils.checklist_context import Context
from ansible_collections.coinpilot.ops.plugins.module_utils.engine import Engine
from ansible_collections.coinpilot.ops.plugins.module_utils.findings import Text

NOW, HOUR, DAY = 1_800_000_000.0, 3600.0, 86400.0
ARMED, LONG_AGO = 5 * HOUR, 30 * DAY


def ago(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(NOW - seconds))


def container(made: float = LONG_AGO, started: float = LONG_AGO, restarts: int = 0) -> dict[str, Any]:
    return {"Id": "1", "Created": ago(made), "RestartCount": restarts,
            "State": {"Status": "running", "StartedAt": ago(started)}}


def context(directory: str = "/nowhere", checkpoint: str = "daily", since: float = DAY, **release: Any) -> Context:
    description = {"project": "oci", "state_directory": directory, "services": {}}
    return Context(description, Engine("/nowhere"), NOW, checkpoint, NOW - since, release or None)


def begins(given: Context, **containers: dict[str, Any]) -> dict[str, float]:
    """How many seconds ago."""
    windows = change_window.windows(given, containers, change_window.armings(given))
    return {name: NOW - windows.of(name) for name in containers}


CHANGE: dict[str, Any] = {"armed_at": NOW - ARMED, "baseline": {}}


@pytest.mark.parametrize(("shown", "expected"), [
    (container(), DAY),
    (container(started=ARMED + 60), ARMED),
    (container(started=ARMED + 899), ARMED),
    (container(started=ARMED + 901), DAY),
    # Made by the change, and dead since.
    (container(made=ARMED + 60, started=HOUR, restarts=4), ARMED),
    # It had died.
    (container(started=ARMED + 60, restarts=1), DAY),
    (container(started=ARMED - 60), DAY),
])
def test_a_change_begins_anew_what_it_started(shown: dict[str, Any], expected: float) -> None:
    assert begins(context(**CHANGE), bot=shown) == {"bot": expected}
    assert begins(context(), bot=shown) == {"bot": DAY}
    assert begins(context(checkpoint="t12h", since=ARMED, **CHANGE), bot=shown) == {"bot": ARMED}
    assert begins(context(checkpoint="all", since=ARMED, **CHANGE), bot=shown) == {"bot": expected}


def test_what_falls_over_while_the_change_restarts_what_it_needs_is_the_change_s_own() -> None:
    died = container(started=ARMED + 60, restarts=1)
    assert begins(context(**CHANGE), bot=died, db=container(started=ARMED + 90))["bot"] == ARMED
    assert begins(context(**CHANGE), bot=died, db=container(started=ARMED + 30))["bot"] == DAY
    # A deploy lets one crash pass, no more.
    twice = container(started=ARMED + 60, restarts=2)
    assert begins(context(**CHANGE), bot=twice, db=container(started=ARMED + 90))["bot"] == DAY
    noted = {"bot": {"id": "1", "started_at": ago(ARMED + 60), "restarts": 2}}
    made = container(made=ARMED + 120, started=ARMED + 60, restarts=2)
    assert begins(context(armed_at=NOW - ARMED, baseline=noted), bot=made)["bot"] == DAY


def test_how_it_stood_then_counts() -> None:
    noted = {"bot": {"id": "1", "started_at": ago(ARMED + 60), "restarts": 0}, "db": {"restarts": "damaged"}, "n8n": 3}
    found = begins(context(armed_at=NOW - ARMED, baseline=noted), bot=container(started=HOUR, restarts=1),
                   db=container(), n8n=container())
    assert found == {"bot": ARMED, "db": DAY, "n8n": DAY}


def test_a_person_begins_all_anew(tmp_path: Path) -> None:
    assert begins(context(**CHANGE, anew=NOW - ARMED), bot=container()) == {"bot": ARMED}
    assert begins(context(**CHANGE, anew=NOW - 9 * HOUR), bot=container()) == {"bot": 9 * HOUR}
    assert begins(context(**CHANGE, anew=NOW - 9 * DAY), bot=container()) == {"bot": DAY}
    assert begins(context(**CHANGE, anew="yesterday"), bot=container()) == {"bot": DAY}


@pytest.mark.parametrize("armed", [NOW + HOUR, "soon", None, True, -1.0])
def test_what_is_no_arming_begins_nothing(armed: Any) -> None:
    release = {"armed_at": armed, "anew": NOW + HOUR, "baseline": {"bot": {"restarts": 9}}}
    assert begins(context(**release), bot=container(started=60)) == {"bot": DAY}
    assert begins(context(checkpoint="t24h", **release), bot=container(started=60)) == {"bot": DAY}
    assert change_window.baseline(context(**release), "bot") is None


def test_an_earlier_change_counts_as_far_as_the_history_tells(tmp_path: Path) -> None:
    given = context(str(tmp_path), **CHANGE)
    for hours in (9, 200):
        armed = {"release": "r1", "armed_at": NOW - hours * HOUR}
        assert not watch.record(given.description, watch.entry("t0", [], {}, NOW - hours * HOUR + 60, 1.0, armed))
    shown = {"bot": container(started=9 * HOUR + 60), "db": container(), "n8n": container(started=ARMED + 60)}
    assert begins(given, **shown) == {"bot": 9 * HOUR, "db": DAY, "n8n": ARMED}


def test_what_died_between_two_changes_is_not_the_second_one_s(tmp_path: Path) -> None:
    given = context(str(tmp_path), **CHANGE)
    shown = {"bot": container(started=ARMED + 300, restarts=1), "db": container(started=ARMED + 810),
             "grafana": container(started=ARMED + 10)}
    assert begins(given, **shown)["bot"] == ARMED
    armed = {"release": "r1", "armed_at": NOW - ARMED - 800}
    assert not watch.record(given.description, watch.entry("t0", [], {}, NOW - ARMED - 600, 1.0, armed))
    assert begins(given, **shown) == {"bot": DAY, "db": ARMED + 800, "grafana": ARMED}


class Empty(Engine):
    def containers(self, _project: str) -> list[dict[str, Any]]:
        return []


def test_that_a_person_began_anew_is_kept_over_later_changes(tmp_path: Path) -> None:
    description = {"project": "oci", "state_directory": str(tmp_path), "directory": str(tmp_path), "name": "coinpilot",
                   "services": {}}
    reason = Text("a change", "변경")
    assert "anew" not in watch.arm(description, reason, Empty(), NOW - 9 * HOUR)
    assert watch.arm(description, reason, Empty(), NOW - 8 * HOUR, anew=True)["anew"] == NOW - 8 * HOUR
    assert watch.arm(description, reason, Empty(), NOW - ARMED)["anew"] == NOW - 8 * HOUR
    assert begins(context(str(tmp_path), **(watch.armed(description) or {})), bot=container()) == {"bot": 8 * HOUR}
