# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Whether the running Grafana has read its provisioning, which it does when it starts.

Told by what there is, not by what a run has changed: a run that was cut off after writing is made good by the next.
"""

from __future__ import annotations

import os
from typing import Any, Mapping, NamedTuple, Optional

from . import moments
from .engine import Engine, EngineError
from .findings import FAIL, PASS, Case, Finding, Rule, Text, table

ENGINE = "grafana"
STOP = 10  # seconds that Grafana may take to stop

RULES = table(
    Rule("grafana-provisioning", Text("Grafana's provisioning", "Grafana 프로비저닝"),
         Text("read since it was last changed", "마지막으로 바뀐 뒤 Grafana가 읽음"), {
        "read": Case(PASS, Text("read", "읽음")),
        "not-running": Case(PASS, Text("read when Grafana starts", "Grafana가 시작될 때 읽음")),
        "stale": Case(FAIL, Text("changed since Grafana was started", "Grafana가 시작된 뒤 바뀜"),
                      Text("docker restart {container}", "docker restart {container}")),
    }),
)


class World(NamedTuple):
    """``container`` is the id of the running Grafana that reads this directory."""

    changed_at: Optional[float]
    container: Optional[str]
    started_at: Optional[float]


def service(description: Mapping[str, Any]) -> Mapping[str, Any]:
    """The service that is Grafana."""
    for candidate in description["services"].values():
        if candidate["engine"] == ENGINE:
            return dict(candidate)
    raise ValueError("the description has no service with the engine grafana")


def gather(description: Mapping[str, Any], directory: str, engine: Engine) -> World:
    try:
        shown = engine.get("/containers/%s/json" % service(description)["container"])
    except EngineError:
        # None of that name, or no Docker: nothing that could have read it.
        return World(_changed_at(directory), None, None)
    state = shown["State"]
    mounted = any(mount.get("Source") == directory for mount in shown.get("Mounts") or [])
    return World(_changed_at(directory), shown["Id"] if mounted and state.get("Status") == "running" else None,
                 moments.moment(state.get("StartedAt")))


def is_stale(world: World) -> bool:
    """Whether Grafana has to be restarted."""
    return (world.container is not None and world.changed_at is not None and world.started_at is not None
            and world.started_at < world.changed_at)


def judge(world: World, description: Mapping[str, Any]) -> Finding:
    case = "not-running" if world.container is None else "stale" if is_stale(world) else "read"
    return RULES["grafana-provisioning"].finding(case, container=service(description)["container"])


def restart(world: World, engine: Engine) -> None:
    engine.request("POST", "/containers/%s/restart" % world.container, t=str(STOP))


def _changed_at(directory: str) -> Optional[float]:
    """When the newest thing in there was changed. A file that was removed shows in its directory."""
    newest = None
    for parent, _directories, names in os.walk(directory):
        for path in [parent, *(os.path.join(parent, name) for name in names)]:
            # When it got its name, which may be later than when it was written.
            changed = os.lstat(path).st_ctime
            newest = changed if newest is None else max(newest, changed)
    return newest
