# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Metrics in Prometheus' text format, for the node exporter's textfile collector."""

from __future__ import annotations

import os
import re
from typing import Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple

GAUGE, COUNTER = "gauge", "counter"


class Metric(NamedTuple):
    """One metric: its whole name, what it is, and its values by labels; None is no series."""

    name: str
    help: str
    values: Sequence[Tuple[Mapping[str, str], Optional[float]]]
    kind: str = GAUGE


def render(metrics: Iterable[Metric]) -> str:
    """The text of a file. A metric of which there is no series is left out."""
    lines: List[str] = []
    for metric in metrics:
        series = [_series(metric.name, labels, value) for labels, value in metric.values if value is not None]
        if series:
            lines += ["# HELP %s %s" % (metric.name, metric.help), "# TYPE %s %s" % (metric.name, metric.kind), *series]
    return "\n".join(lines) + "\n"


def directory(state_directory: str) -> str:
    """Where the files are that the node exporter reads."""
    return os.path.join(state_directory, "metrics")


def prefix(stack: str) -> str:
    """What the names of a stack's metrics begin with."""
    return re.sub(r"[^a-zA-Z0-9_]", "_", stack)


def _series(name: str, labels: Mapping[str, str], value: float) -> str:
    marks = ",".join('%s="%s"' % (key, text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n"))
                     for key, text in labels.items())
    return "%s%s %.15g" % (name, "{%s}" % marks if marks else "", value)
