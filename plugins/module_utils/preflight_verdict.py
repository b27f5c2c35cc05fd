# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""What the security preflight says: its findings less what the policy waives, and the line that ends it.

Apart from the judges, whose code takes ten times as long to load.
"""

from __future__ import annotations

import collections
import datetime
from typing import Any, List, Optional, Sequence

from . import findings, preflight_policy
from .findings import PASS, Finding, Text
from .preflight_rules import RULES

_PASSED = Text("rules passed: {rules}", "통과한 규칙: {rules}")


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
