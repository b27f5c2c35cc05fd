# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""How the last verification of a host ended, for Prometheus: so that one that fails, or no longer runs, is told."""

from __future__ import annotations

import os
from typing import Any, List, Mapping

from . import files, metrics
from .findings import FAIL, UNKNOWN, WARN, Case, Finding, Rule, Text, table

RULES = table(
    Rule("verify-metrics", Text("metrics", "메트릭"), Text("the result is in {path}", "결과가 {path}에 기록됨"), {
        "unwritten": Case(WARN, Text("{path} could not be written: {error}", "{path}에 쓸 수 없음: {error}"),
                          Text("the alert VerifyNotRun will fire: make room or mend {path}",
                               "VerifyNotRun 알림이 울립니다. 공간을 비우거나 {path}을(를) 고치세요")),
    }),
)


def write(description: Mapping[str, Any], found: List[Finding], at: float) -> List[Finding]:
    """Leaves the result for Prometheus; what keeps it from that is a finding."""
    path = os.path.join(metrics.directory(description["state_directory"]), "verify.prom")
    try:
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        files.remove_leftovers(path)
        files.write(files.File(path, render(description["name"], found, at), 0o644))
    except OSError as problem:
        return [RULES["verify-metrics"].finding("unwritten", path=path, error=problem.strerror)]
    return []


def render(stack: str, found: List[Finding], at: float) -> str:
    """The text of the metrics file; ``at`` in seconds since 1970."""
    def count(status: str) -> int:
        return sum(finding.status == status for finding in found)

    single = (("last_run_timestamp_seconds", "When the stack was last verified.", at),
              ("failed", "What failed then.", count(FAIL)),
              ("unknown", "What could not be told then.", count(UNKNOWN)))
    return metrics.render(metrics.Metric("%s_verify_%s" % (metrics.prefix(stack), name), words, [({}, value)])
                          for name, words, value in single)
