"""The dashboards in the checkout, and their queries as Prometheus gets them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

DIRECTORY = Path(__file__).resolve().parents[2] / "roles" / "monitoring" / "files" / "dashboards"
# What Grafana puts in the place of its variables, with nothing chosen.
VARIABLES = {"$__rate_interval": "1m", "$service": ".+"}


class Query(NamedTuple):
    panel: str
    ref: str
    expression: str


def load() -> dict[str, dict[str, Any]]:
    """uid -> dashboard"""
    dashboards = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(DIRECTORY.glob("*.json"))]
    return {dashboard["uid"]: dashboard for dashboard in dashboards}


def queries(dashboard: dict[str, Any]) -> Iterator[Query]:
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield Query(panel["title"], target["refId"], resolve(target["expr"]))


def resolve(expression: str) -> str:
    for variable, value in VARIABLES.items():
        expression = expression.replace(variable, value)
    return expression
