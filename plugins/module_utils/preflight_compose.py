# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Whether a Compose project is safe to bring up: judged as Compose resolves it, with every profile."""

from __future__ import annotations

import contextlib
import os
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from . import findings, preflight_compose_lines, preflight_compose_n8n, preflight_compose_render
from .findings import Finding, Text
from .preflight_compose_common import Found, Path, mapping, origin, undoubled
from .preflight_compose_engine import judge_engine
from .preflight_compose_images import judge_images
from .preflight_compose_isolation import judge_isolation
from .preflight_compose_lines import Source
from .preflight_compose_mounts import Host, judge_mounts, mounts
from .preflight_compose_networks import judge_networks
from .preflight_compose_paths import normal
from .preflight_compose_ports import judge_ports
from .preflight_compose_products import judge_products
from .preflight_compose_rules import RULES
from .preflight_compose_secrets import judge_secrets, referenced
from .preflight_env_values import is_secret


class World(NamedTuple):
    """What was read. ``resolved`` and ``raw`` hold secrets."""

    files: Tuple[str, ...] = ()
    # What `docker compose config` answers, and the same with the variables as they stand; None: there is none.
    resolved: Optional[Dict[str, Any]] = None
    raw: Optional[Dict[str, Any]] = None
    # Why there is none, and whether there is a `docker compose` at all.
    error: str = ""
    available: bool = True
    # Keys of .env that the files use and give no default for, and where.
    referenced: Mapping[str, Tuple[str, ...]] = {}
    unset: Tuple[str, ...] = ()
    host: Host = Host()
    # The files' own text, for the positions of findings.
    sources: Tuple[Source, ...] = ()
    # A file that was not understood although ``raw`` depends on it.
    unread: str = ""
    # Values of .env that are secrets, and what is shown in their place wherever the files put them: an image, a path.
    masks: Mapping[str, str] = {}


def gather(files: Sequence[str], env_file: str, directory: str = "") -> World:
    """Asks `docker compose config`; needs no Engine. ``directory`` is the project's, where it is not the first file's.
    """
    chosen = preflight_compose_render.chosen_files(files)
    values = preflight_compose_render.values(env_file)
    resolved, raw = preflight_compose_render.render(chosen, env_file, values.values(), directory)
    sources = tuple(preflight_compose_lines.read(chosen, values))
    project, unread = raw.project, ""
    if project is None and resolved.project is not None:
        # An old Compose, or an include by a variable: the texts of the files serve.
        project = mapping(_as_written(resolved.project, sources))
        unread = next((source.path for source in sources if source.root.value is None), "")
    available = resolved.project is not None or preflight_compose_render.available()
    needed = {name: places for name, places in referenced(project or {}).items()
              if resolved.project is None or _is_from_env_file(name, places, values, resolved.unset)}
    return World(tuple(chosen), resolved.project, project, resolved.error, available, needed, resolved.unset,
                 _host(directory or os.path.dirname(os.path.abspath(chosen[0])) if chosen else "", env_file,
                       resolved.project or {}), sources, unread, _masks(values))


def _masks(values: Mapping[str, str]) -> Mapping[str, str]:
    return {value: "${%s}" % name for name, value in values.items() if len(value) >= 8 and is_secret(name)}


def _is_from_env_file(name: str, places: Sequence[str], values: Mapping[str, str], unset: Sequence[str]) -> bool:
    """Whether `.env` has to have a variable. What is not there and was missed by nobody, an include's own file sets.

    Of a secret that is made from a variable Compose says nothing until it is used.
    """
    return name in values or name in unset or any(place.startswith("secrets.") for place in places)


def _as_written(value: Any, sources: Sequence[Source], path: Path = ()) -> Any:
    """A resolved project with each text as its file has it. Of the rest nothing can be told, and nothing is kept."""
    if isinstance(value, dict):
        return {key: _as_written(each, sources, (*path, str(key))) for key, each in value.items()}
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        written = (preflight_compose_lines.list_at(sources, path), preflight_compose_lines.text_at(sources, path))
        return next((each for each in written if each is not None), None)
    if isinstance(value, list):
        return [_as_written(each, sources, path) for each in value]
    return preflight_compose_lines.text_at(sources, path)


def _host(directory: str, env_file: str, project: Mapping[str, Any]) -> Host:
    """Where the paths lead on this machine; a link in the project may lead anywhere."""
    settings = os.path.abspath(env_file) if env_file else ""
    sources = {mount.source for mount in mounts(undoubled(project))} | {directory, settings}
    real = {}
    for source in sources:
        # A name with a NUL byte in it, or too long, is no path.
        with contextlib.suppress(OSError, ValueError):
            if source.startswith("/") and os.path.lexists(source):
                real[source] = normal(os.path.realpath(source))
    return Host(directory, settings, real)


def judge(world: World, policy: Mapping[str, Any]) -> List[Finding]:
    """Everything that is found in the project, and what passed. Nothing but the refusal where it does not resolve."""
    if world.resolved is None:
        case = "refused" if world.available else "unavailable"
        return [RULES["compose-render"].finding(case, reason=world.error).at(file=next(iter(world.files), ""))]
    project = undoubled(world.resolved)
    found = _once([_masked(_placed(each, world), world.masks) for each in _judge(world, project, policy)])
    return findings.with_passes(RULES, found)


def env_blocked(resolved: Optional[Mapping[str, Any]]) -> Optional[bool]:
    """Whether n8n keeps its workflows from reading the environment; None: there is no n8n, or no telling."""
    return None if resolved is None else preflight_compose_n8n.env_blocked(undoubled(resolved))


def _judge(world: World, project: Mapping[str, Any], policy: Mapping[str, Any]) -> Iterator[Found]:
    yield from _judge_render(world, project)
    yield from judge_ports(project, policy.get("public_ports") or ())
    yield from judge_networks(project)
    yield from judge_isolation(project)
    yield from judge_engine(project)
    yield from judge_mounts(project, world.host)
    yield from judge_images(project)
    yield from judge_products(project)
    yield from preflight_compose_n8n.judge_n8n(project)
    yield from judge_secrets(world.raw or {}, project)
    if world.unread:
        finding = RULES["compose-secret-literal"].unread(world.unread)
        yield Found(finding, "", ())


def _once(found: Sequence[Finding]) -> List[Finding]:
    """Without what is said of a hook and of the service that it has it from."""
    said = {(each.id, each.place.service, each.subject, each.seen) for each in found}
    return [each for each in found if " pre_start" not in each.subject
            or (each.id, each.place.service, each.subject.replace(" pre_start", "", 1), each.seen) not in said]


def _placed(found: Found, world: World) -> Finding:
    of_project = "" if found.path else next(iter(world.files), "")
    service, path = origin(found.service, found.path)
    file, line = preflight_compose_lines.find(world.sources, path) or (of_project, None)
    return found.finding.at(service, file, line)


def _masked(finding: Finding, masks: Mapping[str, str]) -> Finding:
    """Without the secrets that the files put where nobody takes them for one."""
    def masked(text: str) -> str:
        for value, name in masks.items():
            text = text.replace(value, name)
        return text

    return finding._replace(subject=masked(finding.subject), seen=Text(*map(masked, finding.seen)),
                            fix=Text(*map(masked, finding.fix)))


def _judge_render(world: World, project: Mapping[str, Any]) -> Iterator[Found]:
    rule = RULES["compose-render"]
    if not mapping(project.get("services")) and not mapping(project.get("jobs")):
        yield Found(rule.finding("empty"), "", ())
    for name in world.unset:
        yield Found(rule.finding("unset", name, name=name), "", ())
