# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""What the judges of a resolved Compose project share."""

from __future__ import annotations

import shlex
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Tuple

from .findings import Finding

Path = Tuple[str, ...]


class Found(NamedTuple):
    """A finding, and where in the project it is: ``path`` names keys from the top; in a list, the item's text."""

    finding: Finding
    service: str
    path: Path


def services(project: Mapping[str, Any]) -> Iterator[Tuple[str, Dict[str, Any]]]:
    for name, service in mapping(project.get("services")).items():
        yield name, mapping(service)


def containers(project: Mapping[str, Any]) -> Iterator[Tuple[str, Dict[str, Any]]]:
    """Whatever becomes a container: services, jobs, and the hooks that run in one of their own before a start.

    A hook has from its service what it does not say itself; Compose writes that out. The names of hooks and jobs have a
    space in them, as no service's has: "app pre_start", "job nightly"; see ``origin``.
    """
    for name, service in services(project):
        yield name, service
        for hook in listed(service.get("pre_start")):
            yield "%s pre_start" % name, mapping(hook)
    for name, job in mapping(project.get("jobs")).items():
        yield "job %s" % name, mapping(job)


def origin(name: str, path: Path) -> Tuple[str, Path]:
    """The service or job that a container of ``containers`` belongs to, and the path of something in it."""
    first, space, second = name.partition(" ")
    if not space:
        return name, path
    owner, start = (second, ("jobs", second)) if first == "job" else (first, ("services", first, second))
    return owner, (*start, *path[2:]) if path[:2] == ("services", name) else path


def hooks(service: Mapping[str, Any]) -> Iterator[Tuple[str, Dict[str, Any]]]:
    """The commands that Compose runs in the running container. (What runs before it is a container of its own.)"""
    for kind in ("post_start", "pre_stop"):
        for hook in listed(service.get(kind)):
            yield kind, mapping(hook)


def mapping(value: Any) -> Dict[str, Any]:
    return value if isinstance(value, dict) else {}


def listed(value: Any) -> List[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def variables(value: Any) -> Dict[str, Any]:
    """Environment, arguments or labels, whether written as a mapping or as a list of KEY=VALUE; None: no value."""
    if isinstance(value, dict):
        return {str(key): each for key, each in value.items()}
    pairs = (str(item).partition("=") for item in listed(value))
    return {key: text if equals else None for key, equals, text in pairs}


def undoubled(value: Any) -> Any:
    """`config` writes what could be read again, so every dollar sign comes doubled."""
    if isinstance(value, str):
        return value.replace("$$", "$") if "$" in value else value
    if isinstance(value, dict):
        return {key: undoubled(each) for key, each in value.items()}
    if isinstance(value, list):
        return [undoubled(each) for each in value]
    return value


def true(value: Any) -> bool:
    """As YAML and Compose take it."""
    return value is True or (isinstance(value, str) and value.strip().lower() in ("true", "yes", "on", "y", "1"))


def words(command: Any) -> List[str]:
    """A command or entrypoint in its words. What cannot be split (an open quote) stays as it is."""
    if not isinstance(command, str):
        return [str(word) for word in listed(command)]
    try:
        return shlex.split(command)
    except ValueError:
        return command.split()
