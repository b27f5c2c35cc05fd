# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""The security preflight: all its judges over the files and the host.

Each judge is a module of its own (``preflight_compose``, ``preflight_env`` ...) with its table of rules. What runs on
another machine (``preflight_outside``, ``preflight_oci``) is called there.
"""

from __future__ import annotations

import os
from typing import Any, List, Mapping, NamedTuple, Optional, Sequence

from . import preflight_compose, preflight_env, preflight_host, preflight_policy, preflight_verdict, preflight_workflows
from .findings import Finding
from .preflight_rules import RULES


class Wish(NamedTuple):
    """What is to be judged. Paths; an empty one is not judged. ``description`` is given for the running host."""

    compose: Sequence[str]
    env_file: str
    workflows: str = ""
    policy: Any = preflight_policy.NONE
    policy_name: str = preflight_policy.VARIABLE
    required: Sequence[str] = ()
    owner: Optional[str] = None
    description: Optional[Mapping[str, Any]] = None
    # The project's directory and name, where they are not those of the files.
    directory: str = ""
    project: str = ""


def of_candidate(description: Mapping[str, Any], compose_file: str, env_file: str) -> Wish:
    """What is judged of files that are not in place yet. The host as it is says nothing of them."""
    return Wish([compose_file], env_file, policy=description.get("security", preflight_policy.NONE),
                required=description["required_keys"], directory=description["directory"],
                project=description["project"])


def of_host(description: Mapping[str, Any], env_file: str = "", workflows: str = "") -> Wish:
    """What is judged of a deployed stack: its own files, and the host it runs on."""
    directory = description["directory"]
    return Wish([os.path.join(directory, description["compose_file"])], env_file or os.path.join(directory, ".env"),
                workflows, description.get("security", preflight_policy.NONE), preflight_policy.VARIABLE,
                description["required_keys"], description["owner"], description, project=description["project"])


def run(wish: Wish, before: Sequence[Finding] = ()) -> List[Finding]:
    """Everything that is found, what was found ``before`` in it, less what is waived."""
    return preflight_verdict.with_policy([*before, *judge(wish)], wish.policy, wish.policy_name)


def judge(wish: Wish) -> List[Finding]:
    """Everything that is found. Reads files, asks `docker compose config` and, for the host, the host itself."""
    policy = preflight_policy.checked(wish.policy, RULES, wish.policy_name)[0]
    world = preflight_compose.gather(wish.compose, wish.env_file, wish.directory)
    found = preflight_compose.judge(world, policy)
    found += preflight_env.judge(preflight_env.gather(wish.env_file), wish.required, world.resolved, wish.owner,
                                 sorted(world.referenced), wish.project)
    if wish.workflows:
        found += preflight_workflows.judge(preflight_workflows.gather(wish.workflows),
                                           preflight_compose.env_blocked(world.resolved))
    if wish.description is not None:
        running = preflight_host.gather(wish.description, world.resolved)
        found += preflight_host.judge(running, wish.description, world.resolved, policy)
    return found
