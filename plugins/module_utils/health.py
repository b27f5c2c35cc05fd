# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""What state a service's container is in, and whether a deploy may be called done. Judges; reads nothing."""

from __future__ import annotations

from typing import Any, Dict, Mapping, NamedTuple, Optional, Sequence, Tuple

PENDING, HEALTHY, FAILED = "pending", "healthy", "failed"

_NUMBER = "com.docker.compose.container-number"

# Crashes of a container since the deploy began that are called a crash loop. One may be a race at start.
CRASH_LOOP = 2


class Condition(NamedTuple):
    """``kind`` is Docker's own word: missing, created, running, starting, healthy, unhealthy, restarting, paused,
    exited, dead, removing. ``running`` means: it runs, and no health check says more."""

    kind: str
    exit_code: int = 0
    out_of_memory: bool = False
    restarts: int = 0
    started_at: str = ""
    container_id: str = ""

    def __str__(self) -> str:
        notes = []
        if self.kind in ("exited", "restarting", "dead"):
            notes.append("exit code %d" % self.exit_code)
        if self.out_of_memory:
            notes.append("out of memory")
        if self.restarts:
            notes.append("restarted %d times by Docker" % self.restarts)
        return self.kind + (" (%s)" % ", ".join(notes) if notes else "")


def condition(container: Optional[Mapping[str, Any]]) -> Condition:
    """The condition of a container as `docker inspect` shows it; None is one that does not exist."""
    if container is None:
        return Condition("missing")
    state = container["State"]
    health = (state.get("Health") or {}).get("Status", "none")
    kind = state["Status"]
    if kind == "running" and health != "none":
        kind = health
    return Condition(kind, state.get("ExitCode", 0), bool(state.get("OOMKilled")),
                     container.get("RestartCount", 0), state.get("StartedAt", ""), container["Id"])


def by_service(containers: Sequence[Mapping[str, Any]]) -> Dict[str, Mapping[str, Any]]:
    """service -> its container, by the labels that Compose sets; of several, the first that Compose made."""
    labelled = {}
    for container in sorted(containers, key=_rank):
        labels = container["Config"].get("Labels") or {}
        if labels.get("com.docker.compose.oneoff") != "True":
            labelled[labels.get("com.docker.compose.service", container["Name"].lstrip("/"))] = container
    return labelled


def made_by_compose(container: Mapping[str, Any]) -> bool:
    """False for one that was run by hand: an image that Compose has built hands its other labels on."""
    return _NUMBER in (container["Config"].get("Labels") or {})


def _rank(container: Mapping[str, Any]) -> Tuple[bool, int]:
    number = (container["Config"].get("Labels") or {}).get(_NUMBER, "")
    return made_by_compose(container), -int(number) if number.isdecimal() else 0


def crashes(now: Condition, before: Optional[Condition]) -> int:
    """How often a container has crashed since ``before``, its service's condition when the deploy began."""
    untouched = before is not None and before.container_id == now.container_id
    # One that was started anew counts from zero again.
    return now.restarts - (before.restarts if before and untouched and before.restarts <= now.restarts else 0)


def progress(now: Condition, before: Optional[Condition], up_finished: bool, holds_data: bool = False) -> str:
    """Where a service stands in a deploy: PENDING, HEALTHY or FAILED.

    ``up_finished`` says that Compose has started all it will. A container that the deploy left alone and that was
    unhealthy already gets its time to recover: what it waits for may be what this deploy mends. One that holds data
    may not crash even once: an initialisation that broke off leaves half a database, which its next start takes
    for a whole one.
    """
    untouched = before is not None and before.container_id == now.container_id
    if crashes(now, before) >= (1 if holds_data else CRASH_LOOP) or now.kind == "paused":
        return FAILED
    if now.kind in ("healthy", "running"):
        return HEALTHY
    if now.kind == "unhealthy":
        return PENDING if before and untouched and before.started_at == now.started_at else FAILED
    # One that Compose replaces is dead for a moment, while the Engine removes it.
    if now.kind in ("missing", "created", "exited", "dead"):
        return FAILED if up_finished else PENDING
    return PENDING


def disturbed(settled: Condition, now: Condition) -> bool:
    """True when a service that was healthy has restarted or fallen since."""
    return now.kind not in ("healthy", "running") or settled.started_at != now.started_at
