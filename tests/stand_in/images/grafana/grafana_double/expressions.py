"""What a rule asks: instant queries of Prometheus, and reduce and threshold expressions on what they give.

Grafana knows more kinds; a rule with one of those is refused, not half evaluated.
"""

from __future__ import annotations

import json
import math
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any, NamedTuple

EXPRESSION = "__expr__"
QUERY_TIMEOUT = 10

THRESHOLDS: dict[str, Callable[..., bool]] = {
    "gt": lambda value, limit: value > limit,
    "lt": lambda value, limit: value < limit,
    "gte": lambda value, limit: value >= limit,
    "lte": lambda value, limit: value <= limit,
    "eq": lambda value, limit: value == limit,
    "ne": lambda value, limit: value != limit,
    "within_range": lambda value, low, high: low < value < high,
    "outside_range": lambda value, low, high: value < low or value > high,
}
# A number has no series behind it: what a reducer makes of it is itself.
REDUCERS = {"last", "mean", "min", "max", "sum", "median"}


class EvaluationError(Exception):
    """A query that could not be asked or answered."""


class Result(NamedTuple):
    """What the condition gives for one label set, with the numbers on the way to it."""

    labels: dict[str, str]
    value: float
    values: dict[str, float]


Numbers = list[tuple[dict[str, str], float]]


def check(data: list[dict[str, Any]], condition: str) -> None:
    """Raises ValueError on what the double does not evaluate."""
    known: set[str] = set()
    for query in data:
        model, name = query["model"], query["refId"]
        if query["datasourceUid"] != EXPRESSION:
            if not model.get("expr") or model.get("instant") is not True or model.get("range"):
                raise ValueError(f"the double knows instant queries of Prometheus only: query {name}")
        elif model.get("expression") not in known:
            raise ValueError(f"expression {name} is about {model.get('expression')!r}, which does not stand before it")
        elif model["type"] == "threshold":
            evaluator = _evaluator(model)
            if evaluator["type"] not in THRESHOLDS or "unloadEvaluator" in model["conditions"][0]:
                raise ValueError(f"the double does not know the threshold of expression {name}")
        elif model["type"] != "reduce" or model.get("reducer") not in REDUCERS:
            raise ValueError(f"the double does not know expression {name}")
        known.add(name)
    if condition not in known:
        raise ValueError(f"the condition {condition!r} is no query of the rule")


def evaluate(data: list[dict[str, Any]], condition: str, ask: Callable[[str, str], Numbers]) -> list[Result]:
    """One result a label set; none at all is no data. `ask` takes a datasource's uid and a query."""
    numbers: dict[str, Numbers] = {}
    for query in data:
        model = query["model"]
        if query["datasourceUid"] != EXPRESSION:
            numbers[query["refId"]] = ask(query["datasourceUid"], model["expr"])
        elif model["type"] == "reduce":
            numbers[query["refId"]] = _reduce(model, numbers[model["expression"]])
        else:
            evaluator = _evaluator(model)
            holds = THRESHOLDS[evaluator["type"]]
            numbers[query["refId"]] = [
                (labels, float(holds(value, *_parameters(evaluator)))) for labels, value in numbers[model["expression"]]
            ]

    def on_the_way(labels: dict[str, str]) -> dict[str, float]:
        return {name: number for name, found in numbers.items() for own, number in found if own == labels}

    return [Result(labels, value, on_the_way(labels)) for labels, value in numbers[condition]]


def ask_prometheus(url: str, expression: str) -> Numbers:
    asked = f"{url.rstrip('/')}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
    try:
        with urllib.request.urlopen(asked, timeout=QUERY_TIMEOUT) as response:
            answer = json.load(response)
    except urllib.error.HTTPError as error:
        raise EvaluationError(f"failed to query data: {error.code} {error.reason}: {_reason(error)}") from error
    except (OSError, ValueError) as error:
        raise EvaluationError(f"failed to query data: {error}") from error
    data = answer["data"]
    if data["resultType"] == "scalar":
        return [({}, float(data["result"][1]))]
    if data["resultType"] != "vector":
        raise EvaluationError(f"failed to query data: an instant query gave a {data['resultType']}")
    return [
        ({name: text for name, text in series["metric"].items() if name != "__name__"}, float(series["value"][1]))
        for series in data["result"]
    ]


def _reason(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(error)["error"])
    except (OSError, ValueError, KeyError, TypeError):
        return "no reason given"


def _evaluator(model: dict[str, Any]) -> dict[str, Any]:
    return dict(model["conditions"][0]["evaluator"])


def _parameters(evaluator: dict[str, Any]) -> list[float]:
    count = 2 if evaluator["type"].endswith("_range") else 1
    return [float(number) for number in evaluator["params"][:count]]


def _reduce(model: dict[str, Any], numbers: Numbers) -> Numbers:
    settings = model.get("settings") or {}
    if settings.get("mode") == "dropNN":
        return [(labels, value) for labels, value in numbers if math.isfinite(value)]
    if settings.get("mode") == "replaceNN":
        instead = float(settings["replaceWithValue"])
        return [(labels, value if math.isfinite(value) else instead) for labels, value in numbers]
    return numbers
