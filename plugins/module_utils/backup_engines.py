# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""The engines whose data can be backed up, by the name that a service's description gives them."""

from __future__ import annotations

from types import ModuleType
from typing import Dict

from . import backup_grafana, backup_n8n, backup_postgresql, backup_redis
from .findings import Case

ENGINES: Dict[str, ModuleType] = {
    "postgresql": backup_postgresql,
    "redis": backup_redis,
    "n8n": backup_n8n,
    "grafana": backup_grafana,
}
# These hold a restored database beside the live one, and swap the two in one transaction while they run. The data of
# all others is files, which are unpacked first and put in place while the service is stopped.
IN_SERVER = ("postgresql",)

# What may stop one of them, for the tables of rules.
CASES: Dict[str, Case] = {name: case for engine in ENGINES.values() for name, case in engine.CASES.items()}
