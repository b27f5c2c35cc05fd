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


def hooks(service: Mapping[str, Any]) -> Iterator[Tuple[str, Dict[str, Any]]]:
    """The commands that Compose runs in the container after it starts and before it stops."""
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
