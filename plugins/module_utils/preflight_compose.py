# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Whether a Compose project is safe to bring up: judged as Compose resolves it, with every profile."""

from __future__ import annotations

import os
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from . import findings, preflight_compose_render
from .findings import Finding
from .preflight_compose_common import Found, mapping, undoubled
from .preflight_compose_isolation import judge_isolation
from .preflight_compose_networks import judge_networks
from .preflight_compose_ports import judge_ports
from .preflight_compose_rules import RULES


class World(NamedTuple):
    """What was read. ``resolved`` and ``raw`` hold secrets."""

    files: Tuple[str, ...] = ()
    env_file: str = ""
    # What `docker compose config` answers, and the same with the variables as they stand; None: there is none.
    resolved: Optional[Dict[str, Any]] = None
    raw: Optional[Dict[str, Any]] = None
    # Why there is none, and whether there is a `docker compose` at all.
    error: str = ""
    available: bool = True
    # Keys of .env that the files use and give no default for, and where.
    referenced: Mapping[str, Tuple[str, ...]] = {}
    unset: Tuple[str, ...] = ()


def gather(files: Sequence[str], env_file: str) -> World:
    """Asks `docker compose config`. Needs no Engine."""
    chosen = preflight_compose_render.chosen_files(files)
    resolved, raw = preflight_compose_render.render(chosen, env_file)
    available = resolved.project is not None or preflight_compose_render.available()
    return World(tuple(chosen), os.path.abspath(env_file) if env_file else "", resolved.project, raw.project,
                 resolved.error, available, {}, resolved.unset)


def judge(world: World, policy: Mapping[str, Any]) -> List[Finding]:
    """Everything that is found in the project, and what passed. Nothing but the refusal where it does not resolve."""
    if world.resolved is None:
        case = "refused" if world.available else "unavailable"
        return [RULES["compose-render"].finding(case, reason=world.error).at(file=next(iter(world.files), ""))]
    project = undoubled(world.resolved)
    found = [each.finding.at(each.service) for each in _judge(world, project, policy)]
    return findings.with_passes(RULES, found)


def env_blocked(resolved: Optional[Mapping[str, Any]]) -> Optional[bool]:
    """Whether n8n keeps its workflows from reading the environment; None: there is no n8n, or no telling."""
    return None


def _judge(world: World, project: Mapping[str, Any], policy: Mapping[str, Any]) -> Iterator[Found]:
    yield from _judge_render(world, project)
    yield from judge_ports(project, policy.get("public_ports") or ())
    yield from judge_networks(project)
    yield from judge_isolation(project)


def _judge_render(world: World, project: Mapping[str, Any]) -> Iterator[Found]:
    rule = RULES["compose-render"]
    if not mapping(project.get("services")):
        yield Found(rule.finding("empty"), "", ())
    for name in world.unset:
        yield Found(rule.finding("unset", name, name=name), "", ())
