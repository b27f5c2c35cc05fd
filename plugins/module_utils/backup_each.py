# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""A job done with several targets, for modules: what breaks one does not keep the others from being done."""

from __future__ import annotations

import functools
from typing import Any, Callable, Dict, List, Mapping, Sequence

from . import findings, job_log
from .findings import FAIL, Case, Finding, Rule, Text, table

RULES = table(
    Rule("target", Text("backup target", "백업 대상"), Text("one of {known}", "{known} 중 하나"), {
        "unknown": Case(FAIL, Text("not known; nothing was done", "알 수 없는 대상. 아무것도 하지 않음"),
                        Text("name one of these: {known}", "다음 중에서 지정하세요: {known}")),
    }),
)


def unknown(description: Mapping[str, Any], targets: Sequence[str]) -> List[Finding]:
    """A finding for each name that is no target."""
    known = description["backup"]["targets"]
    return [RULES["target"].finding("unknown", target, known=", ".join(known))
            for target in targets if target not in known]


def each(description: Mapping[str, Any], targets: Sequence[str], line: str, language: str,
         job: Callable[[str, job_log.Tell], List[Finding]]) -> List[Finding]:
    """Does a job with these targets, or with all where none is named; each has its log, as at the host's command."""
    found = unknown(description, targets)
    for target in [] if found else list(dict.fromkeys(targets)) or list(description["backup"]["targets"]):
        log = job_log.JobLog(description["log_directory"], target + "-backup.log", description["owner"])
        found = found + job_log.do(functools.partial(job, target), log, target, line, language)
    return found


def result(found: List[Finding], language: str) -> Dict[str, Any]:
    """What a module returns."""
    return {
        "status": findings.worst(found),
        "findings": [finding.as_dict() for finding in findings.sort(found)],
        "report": findings.render_text(found, language),
    }
