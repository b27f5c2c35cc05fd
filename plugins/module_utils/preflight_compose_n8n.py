# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""n8n's own protections, in the spelling that its version obeys."""

from __future__ import annotations

import re
from typing import Any, Dict, Iterator, Mapping, NamedTuple, Optional

from .preflight_compose_common import Found, containers, variables, words
from .preflight_compose_images import image
from .preflight_compose_rules import RULES

BLOCK = "N8N_BLOCK_ENV_ACCESS_IN_NODE"
_TRUE = ("true", "1", "yes", "on")
_FALSE = ("false", "0", "no", "off")
# Only n8n itself reads these; N8N_HOST, N8N_URL and the like may be another service's way to it.
_OWN_KEYS = ("N8N_ENCRYPTION_KEY", "N8N_USER_FOLDER", "N8N_EDITOR_BASE_URL", "N8N_DIAGNOSTICS_ENABLED",
             "N8N_ENFORCE_SETTINGS_FILE_PERMISSIONS", "N8N_RUNNERS_ENABLED", "N8N_SECURE_COOKIE")
_READS_ENVIRONMENT = {"*", "child_process", "fs", "fs/promises", "process", "vm", "module", "worker_threads"}
_BASIC_AUTH = re.compile(r"N8N_BASIC_AUTH_|N8N_JWT_AUTH_")


class Instance(NamedTuple):
    """A service that runs n8n. ``major`` is None where its version cannot be told."""

    service: str
    major: Optional[int]
    environment: Mapping[str, Any]

    def text(self, key: str) -> str:
        value = self.environment.get(key)
        return "" if value is None else str(value)


def instances(project: Mapping[str, Any]) -> Dict[str, Instance]:
    """Every n8n of the project, by its service.

    Where one is known by its image, n8n's settings in a service that is built here are no sign of another one: they
    come with a .env that is handed over as a whole.
    """
    by_settings = not any(_is_image(service) for _name, service in containers(project))
    found = ((name, _instance(name, service, by_settings)) for name, service in containers(project))
    return {name: each for name, each in found if each}


def _is_image(service: Mapping[str, Any]) -> bool:
    name = image(service.get("image")).name
    return name == "n8n" or re.search(r"[-_.]n8n\Z|\An8n[-_](custom|app|image|prod)", name) is not None


def _instance(name: str, service: Mapping[str, Any], by_settings: bool) -> Optional[Instance]:
    """The n8n that a service runs: known by its image, or, where that is built here, by its settings or command."""
    known, environment = _is_image(service), variables(service.get("environment"))
    command = [word.rpartition("/")[2] for word in words(service.get("entrypoint")) + words(service.get("command"))]
    has_settings = by_settings and any(key in environment for key in _OWN_KEYS)
    built = service.get("build") and (has_settings or "n8n" in command[:1])
    if not known and not built:
        return None
    tag = image(service.get("image")).tag
    version = re.match(r"v?([0-9]{1,3})(?![0-9a-f])", tag) if known and not service.get("build") else None
    return Instance(name, int(version.group(1)) if version else None, environment)


def blocked(found: Instance) -> bool:
    """Whether its workflows are kept from the environment. Of an unknown version only what holds in all of them."""
    value = found.text(BLOCK)
    return value != "false" if found.major is not None and found.major >= 2 else value == "true"


def env_blocked(project: Mapping[str, Any]) -> Optional[bool]:
    """Whether every n8n of the project keeps its workflows from the environment; None: there is no n8n."""
    found = instances(project)
    return all(map(blocked, found.values())) if found else None


def judge_n8n(project: Mapping[str, Any]) -> Iterator[Found]:
    running = instances(project)
    for name, service in containers(project):
        found = running.get(name)
        if found is None:
            if BLOCK in variables(service.get("environment")):
                yield _found(name, "misplaced", BLOCK)
            continue
        if not blocked(found):
            value = found.text(BLOCK).strip().lower()
            case = "unblocked" if not value else "off" if value in _FALSE else "spelling"
            yield _found(name, case, BLOCK)
        yield from _weakened(found)
        for key in found.environment:
            if _BASIC_AUTH.match(key) and found.major != 0:
                yield _found(name, "no-effect", key)


def _weakened(found: Instance) -> Iterator[Found]:
    for key, values in (("N8N_USER_MANAGEMENT_DISABLED", _TRUE), ("N8N_RUNNERS_INSECURE_MODE", _TRUE),
                        ("N8N_BLOCK_FILE_ACCESS_TO_N8N_FILES", _FALSE)):
        if found.text(key).strip().lower() in values:
            yield _found(found.service, "weakens", key)
    allowed = {word.strip() for word in found.text("NODE_FUNCTION_ALLOW_BUILTIN").split(",")}
    if allowed & _READS_ENVIRONMENT:
        yield _found(found.service, "weakens", "NODE_FUNCTION_ALLOW_BUILTIN")
    # From 2.0 on it is excluded by default, and an own list takes the place of that default.
    excluded = found.text("NODES_EXCLUDE")
    if found.major is not None and found.major >= 2 and excluded and "executeCommand" not in excluded:
        yield _found(found.service, "command-node", "NODES_EXCLUDE")


def _found(service: str, case: str, key: str) -> Found:
    finding = RULES["compose-n8n-setting"].finding(case, "%s %s" % (service, key), key=key, setting=key)
    return Found(finding, service, ("services", service, "environment", key))
