# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Prometheus's HTTP API on this host, and what is to be said when it cannot be asked."""

from __future__ import annotations

import math
from typing import Any, Dict, List, Mapping, NamedTuple, Optional
from urllib.parse import urlencode

from . import http_json
from .findings import PASS, UNKNOWN, Case, Finding, Rule, Text, table

RULES = table(
    Rule(
        "prometheus-api", Text("Prometheus's answers", "Prometheus 응답"),
        Text("Prometheus answers questions", "Prometheus가 조회에 응답함"),
        {
            "answers": Case(PASS, Text("version {version}", "버전 {version}")),
            "none": Case(UNKNOWN, Text("the description has no service with the engine prometheus and a port",
                                       "스택 설명에 prometheus 엔진의 서비스나 포트가 없음"),
                         Text("look at stack_services", "stack_services를 확인하세요")),
            "down": Case(UNKNOWN, Text("Prometheus does not answer on 127.0.0.1:{port}",
                                       "Prometheus가 127.0.0.1:{port}에서 응답하지 않음"),
                         Text("docker logs --tail 50 {container}; then: sudo systemctl reload-or-restart {unit}",
                              "docker logs --tail 50 {container}; 그다음: sudo systemctl reload-or-restart {unit}")),
            "timeout": Case(UNKNOWN, Text("no answer from Prometheus in time", "제시간에 Prometheus의 응답이 없음"),
                            Text("docker logs --tail 50 {container}", "docker logs --tail 50 {container}")),
            "answer": Case(UNKNOWN, Text("the answer is not what Prometheus's API gives",
                                         "Prometheus API의 응답 형식이 아님"),
                           Text("is it Prometheus that listens on 127.0.0.1:{port}? docker ps",
                                "127.0.0.1:{port}에서 응답하는 것이 Prometheus인가요? docker ps")),
            "refused": Case(UNKNOWN, Text("Prometheus refuses the question ({status}): {message}",
                                          "Prometheus가 조회를 거부함({status}): {message}"),
                            Text("docker logs --tail 50 {container}", "docker logs --tail 50 {container}")),
        }),
)


class PrometheusError(Exception):
    """``case`` is one of RULES["prometheus-api"]."""

    def __init__(self, case: str, status: int = 0, message: str = ""):
        super().__init__(case)
        self.case, self.status, self.message = case, status, message


class Sample(NamedTuple):
    at: float
    value: float


class Series(NamedTuple):
    labels: Mapping[str, str]
    samples: List[Sample]


class Prometheus:
    """One Prometheus. Raises PrometheusError for all that is not an answer to the question."""

    def __init__(self, port: Optional[int], timeout: float = 20.0):
        if port is None:
            raise PrometheusError("none")
        self.base = "http://127.0.0.1:%d/api/v1/" % port
        self.timeout = timeout

    def get(self, path: str, **query: Any) -> Dict[str, Any]:
        """The ``data`` of the answer, an object."""
        try:
            answer = http_json.ask(self.base + path + ("?" + urlencode(query) if query else ""), timeout=self.timeout)
        except http_json.HttpError as problem:
            raise PrometheusError(problem.case) from problem
        content = answer.content if isinstance(answer.content, dict) else {}
        if answer.status != 200:
            raise PrometheusError("refused", answer.status, http_json.masked(content.get("error", "")))
        if content.get("status") != "success" or not isinstance(content.get("data"), dict):
            raise PrometheusError("answer")
        return dict(content["data"])

    def samples(self, query: str) -> List[Series]:
        """The samples that a range selector such as up[1h] finds, as they were scraped."""
        result = self.get("query", query=query).get("result")
        try:
            return [Series({str(name): str(value) for name, value in entry["metric"].items()},
                           [Sample(float(at), float(value)) for at, value in entry["values"] if math.isfinite(at)])
                    for entry in result or []]
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as problem:
            raise PrometheusError("answer") from problem


def described(description: Mapping[str, Any]) -> Mapping[str, Any]:
    return next((each for each in description["services"].values() if each.get("engine") == "prometheus"), {})


def finding(problem: PrometheusError, description: Mapping[str, Any]) -> Finding:
    """What could not be asked, as a finding."""
    service = described(description)
    return RULES["prometheus-api"].finding(problem.case, status=problem.status, message=problem.message,
                                           port=service.get("port"), container=service.get("container"),
                                           unit=description["unit"])
