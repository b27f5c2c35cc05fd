# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""The security preflight: what the judges find, less what the policy waives, and the line that ends it.

Each judge is a module of its own (``preflight_compose``, ``preflight_env`` ...) with its table of rules. What runs on
another machine (``preflight_outside``, ``preflight_oci``) is called there; its rules are known here for the policy.
"""

from __future__ import annotations

import collections
import datetime
import os
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

from . import (
    findings,
    preflight_compose,
    preflight_env,
    preflight_host,
    preflight_oci,
    preflight_outside,
    preflight_policy,
    preflight_workflows,
)
from .findings import PASS, Finding, Rule, Text

JUDGES = (preflight_compose, preflight_env, preflight_workflows, preflight_host, preflight_outside, preflight_oci,
          preflight_policy)
RULES: Dict[str, Rule] = findings.table(*(rule for judge in JUDGES for rule in judge.RULES.values()))
_PASSED = Text("rules passed: {rules}", "통과한 규칙: {rules}")


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
    return with_policy([*before, *judge(wish)], wish.policy, wish.policy_name)


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


def with_policy(found: List[Finding], policy: Any, name: str, today: Optional[datetime.date] = None) -> List[Finding]:
    """The findings with what the policy waives as warnings, and what is to be said of the policy itself."""
    usable, problems = preflight_policy.checked(policy, RULES, name)
    found = preflight_policy.apply(usable, problems + found, today or datetime.date.today(), name)
    return found + preflight_policy.passed(found)


def conclusion(found: Optional[List[Finding]]) -> str:
    """The line that ends every preflight; None when it did not get as far as finding anything."""
    count = 1 if found is None else len(findings.problems(found)) or int(not found)
    return "[RESULT] FAILED (%d issues)" % count if count else "[RESULT] PASSED"


def render_text(found: Sequence[Finding], lang: str) -> str:
    """For a person: what is wrong in full, what passed in one line, counted."""
    text = findings.render_text(found, lang, without=PASS, waivable=True)
    passed = {finding.id for finding in found if finding.status == PASS}
    # The part of an id before its first dash is the judge.
    counts = collections.Counter(rule.partition("-")[0] for rule in sorted(passed))
    shown = ", ".join("%s %d" % entry for entry in counts.items())
    return text + _PASSED.fill(rules=shown).get(lang) + "\n" if passed else text


def render_problems(found: Sequence[Finding], lang: str) -> str:
    """The message of a deploy that stops: one line a problem, which ends in what a waiver of it would name."""
    return "\n".join(f"- {finding.line(lang)} ({finding.waived_as()})" for finding in findings.problems(found))
