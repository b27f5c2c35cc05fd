# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Ways to a container engine's API other than a mounted socket."""

from __future__ import annotations

import re
from typing import Any, Iterator, Mapping

from .preflight_compose_common import Found, containers, true, variables, words
from .preflight_compose_rules import RULES

_VARIABLES = ("DOCKER_HOST", "CONTAINER_HOST", "CONTAINERD_ADDRESS", "BUILDKIT_HOST")
_ADDRESS = re.compile(r"(tcp|https?)://[^\s/,\"']*:237[56]\b|(unix|npipe|fd):/*\S*(docker|podman|containerd|crio)\S*"
                      r"|npipe:\S*docker_engine", re.IGNORECASE)
_ARGUMENT = re.compile(r"(?:^|\s)(?:-H|--host)(?:[\s=]+)?(?:tcp|unix|fd|npipe|ssh)://")


def judge_engine(project: Mapping[str, Any]) -> Iterator[Found]:
    rule = RULES["compose-docker-socket"]
    for name, service in containers(project):
        if true(service.get("use_api_socket")):
            yield Found(rule.finding("api", name), name, ("services", name, "use_api_socket"))
        for key, value in variables(service.get("environment")).items():
            if value and (key in _VARIABLES or _ADDRESS.search(str(value))):
                yield Found(rule.finding("variable", "%s %s" % (name, key), name=key), name,
                            ("services", name, "environment", key))
        for part in ("entrypoint", "command"):
            text = " ".join(words(service.get(part)))
            match = _ARGUMENT.search(text) or _ADDRESS.search(text)
            if match:
                yield Found(rule.finding("argument", "%s %s" % (name, part), argument=_shown(match.group(0))), name,
                            ("services", name, part))


def _shown(argument: str) -> str:
    """Without the user and the password of an address."""
    return re.sub(r"//[^/@]*@", "//***@", argument.strip())
