# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Secrets that are written in Compose files, outright or as a default. Judged before the variables are replaced."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Set, Tuple

from . import preflight_compose_secret_words as look
from .preflight_compose_common import Found, Path, containers, listed, mapping, origin
from .preflight_compose_rules import RULES
from .preflight_compose_variables import VARIABLE, Reference, Template, template

_PAIRS = ("environment", "args", "labels", "annotations", "options", "driver_opts", "sysctls")
_COMMANDS = ("command", "entrypoint", "test")
# Names, not values.
_NAMES = ("image", "name", "container_name", "hostname", "source", "target", "secrets", "configs", "profiles")


class Leaf(NamedTuple):
    """One text of a project, with the name it stands under."""

    path: Path
    name: str
    text: str
    # A shell reads it, so that a dollar sign that was doubled is a variable all the same.
    in_shell: bool = False

    @property
    def service(self) -> str:
        return self.path[1] if self.path[:1] in (("services",), ("jobs",)) and len(self.path) > 1 else ""


def leaves(value: Any, path: Path = (), name: str = "") -> Iterator[Leaf]:
    """Every text of a project as it is written."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from leaves(each, (*path, str(key)), str(key))
    elif isinstance(value, list):
        yield from _of_list(value, path, name)
    elif value is not None and not isinstance(value, bool):
        # A config is a file, and its one line may be a password: then its own name says so.
        named = path[1] if path[:1] == ("configs",) and name == "content" and "\n" not in str(value).strip() else name
        yield Leaf(path, named, str(value), name in _COMMANDS)


def _of_list(items: List[Any], path: Path, name: str) -> Iterator[Leaf]:
    if name in _COMMANDS:
        yield Leaf(path, name, " ".join(str(item) for item in items if not isinstance(item, (dict, list))), True)
        return
    for item in items:
        if isinstance(item, (dict, list)):
            yield from leaves(item, path, name)
        elif name in _PAIRS and "=" in str(item):
            key, _equals, text = str(item).partition("=")
            yield Leaf((*path, key), key, text)
        elif name not in _PAIRS:
            yield Leaf((*path, str(item)), name, str(item))


def referenced(raw: Mapping[str, Any]) -> Dict[str, Tuple[str, ...]]:
    """Variables that the files use and give no default for -> where they are used."""
    found: Dict[str, List[str]] = {}
    for leaf in leaves({key: value for key, value in raw.items() if not key.startswith("x-")}):
        where = ".".join(leaf.path)
        for each in template(leaf.text).references if "$" in leaf.text else ():
            if each.operator in ("", ":?", "?"):
                found.setdefault(each.name, []).append(where)
        if leaf.path[:1] == ("secrets",) and leaf.name == "environment":
            found.setdefault(leaf.text, []).append(where)
    return {name: tuple(dict.fromkeys(places)) for name, places in found.items()}


def judge_secrets(raw: Mapping[str, Any], project: Mapping[str, Any]) -> Iterator[Found]:
    """``raw`` has the variables as they stand; ``project``, resolved, tells which service uses what."""
    users = _users(project)
    said: Set[Tuple[str, str]] = set()
    in_services: Set[str] = set()
    # What only stands in an x- extension was merged nowhere, or is said of the services that it was merged into.
    for leaf in sorted(leaves(raw), key=_in_extension):
        hit = None if leaf.name in _NAMES else _hit(leaf)
        if hit is None or (_in_extension(leaf) and hit.name in in_services):
            continue
        in_services.add(hit.name)
        for service in [leaf.service] if leaf.service else users.get(leaf.path[:2], [""]):
            thing = hit.name if leaf.service else ".".join(dict.fromkeys((*leaf.path[:2], hit.name)))
            if (service, thing) not in said:
                said.add((service, thing))
                subject = " ".join(part for part in (service, thing) if part)
                finding = RULES["compose-secret-literal"].finding(hit.case, subject, key=thing, kind=hit.kind)
                yield Found(finding, service, leaf.path)


def _users(project: Mapping[str, Any]) -> Dict[Path, List[str]]:
    """("configs", name) and the like -> the services that use it."""
    users: Dict[Path, List[str]] = {}
    for container, service in containers(project):
        name = origin(container, ())[0]
        for kind in ("configs", "secrets", "volumes"):
            for entry in listed(service.get(kind)):
                source = entry.get("source") if isinstance(entry, dict) else str(entry).partition(":")[0]
                users.setdefault((kind, str(source)), []).append(name)
        for network in mapping(service.get("networks")):
            users.setdefault(("networks", network), []).append(name)
    return users


def _in_extension(leaf: Leaf) -> bool:
    return leaf.path[0].startswith("x-")


def _hit(leaf: Leaf) -> Optional[look.Hit]:
    """The first secret in a text: as it is written, or, then, with its defaults."""
    parts = template(leaf.text)
    written = _of_text(leaf, parts)
    if written or not parts.references:
        return written
    if any(_is_secret_word(leaf.name, each) for each in parts.all_references()):
        return look.Hit("default", leaf.name)
    return look.Hit("default", leaf.name) if _of_text(leaf, parts.with_defaults()) else None


def _of_text(leaf: Leaf, parts: Template) -> Optional[look.Hit]:
    text = parts.in_shell() if leaf.in_shell else parts.literal()
    kind = look.token(text)
    if kind:
        return look.Hit("token", leaf.name, kind)
    if look.address_password(text):
        return look.Hit("address", leaf.name)
    if not leaf.in_shell and look.is_secret(leaf.name, text):
        return look.Hit("literal", leaf.name)
    if not any(mark in text for mark in "=: "):
        return None
    named = next(look.assignments(text), None)
    return look.Hit("literal", "%s (%s)" % (leaf.name, named)) if named else None


def _is_secret_word(name: str, reference: Reference) -> bool:
    """Whether a default is a secret by the name it stands under, or by its variable's; an alternative by the first."""
    text = reference.word.literal()
    if reference.operator in ("", ":?", "?") or VARIABLE in text:
        return False
    return look.is_secret(name, text) or (reference.has_default and look.is_secret(reference.name, text))
