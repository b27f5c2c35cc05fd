# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""What the description may say of backups: which services, when, and who writes to them."""

from __future__ import annotations

import re
from typing import Any, List, Mapping

from .findings import FAIL, Case, Finding, Rule, Text, table

VARIABLE = "stack_backup_targets"
# Those that backup_engines has code for; named here so that the control machine need not load it.
ENGINES = ("grafana", "n8n", "postgresql", "redis")
KEYS = ("service", "schedule", "writers")

_NAME = re.compile(r"[a-z0-9][a-z0-9-]*\Z")

RULES = table(
    Rule("backup-target", Text("backup target", "백업 대상"),
         Text("a service with a volume, a schedule and its writers", "볼륨이 있는 서비스, 예약 시간, 쓰기 서비스"), {
        "not-a-mapping": Case(FAIL, Text("'{name}' must hold service, schedule and writers",
                                         "'{name}'에는 service, schedule, writers가 있어야 합니다")),
        "name": Case(FAIL, Text("'{name}' is no name for a target; use lower-case letters, digits and -",
                                "'{name}'은(는) 대상 이름으로 쓸 수 없습니다. 소문자, 숫자, -만 쓰세요")),
        "keys": Case(FAIL, Text("{name}: wrong or missing keys; write exactly: {known}",
                                "{name}: 키가 잘못되었거나 빠졌습니다. 필요한 키: {known}")),
        "service": Case(FAIL, Text("{name}: unknown service '{service}'; known: {known}",
                                   "{name}: 알 수 없는 서비스 '{service}'. 가능한 이름: {known}")),
        "engine": Case(FAIL, Text("{name}: the service '{service}' cannot be backed up; these engines can: {known}",
                                  "{name}: '{service}' 서비스는 백업할 수 없습니다. 백업할 수 있는 엔진: {known}")),
    }),
)


def problems(targets: Any, services: Mapping[str, Any]) -> List[Finding]:
    """What is wrong with the targets, for a description whose services are sound. Schedules are cron's to judge."""
    if not isinstance(targets, Mapping):
        return [_finding("not-a-mapping", VARIABLE)]
    return [found for name, target in targets.items() for found in _problems_of(name, target, services)]


def _problems_of(name: Any, target: Any, services: Mapping[str, Any]) -> List[Finding]:
    if not isinstance(name, str) or not _NAME.match(name):
        return [_finding("name", name)]
    if not isinstance(target, Mapping):
        return [_finding("not-a-mapping", name)]
    if set(target) != set(KEYS) or not isinstance(target["writers"], list):
        return [_finding("keys", name, known=", ".join(KEYS))]
    unknown = [service for service in [target["service"], *target["writers"]] if service not in services]
    if unknown:
        return [_finding("service", name, service=unknown[0], known=", ".join(sorted(services)))]
    service = services[target["service"]]
    if service["engine"] not in ENGINES or "volume" not in service:
        return [_finding("engine", name, service=target["service"], known=", ".join(ENGINES))]
    return []


def _finding(case: str, name: Any, **values: Any) -> Finding:
    return RULES["backup-target"].finding(case, VARIABLE, name=name, **values)
