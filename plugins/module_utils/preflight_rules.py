# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""All rules of the preflight: what a waiver may name. The tables alone: who asks for names needs no judge."""

from __future__ import annotations

from typing import Dict

from . import (
    findings,
    preflight_compose_rules,
    preflight_env_rules,
    preflight_host_rules,
    preflight_oci_rules,
    preflight_outside_rules,
    preflight_policy,
    preflight_workflows_rules,
)
from .findings import Rule

TABLES: Dict[str, Dict[str, Rule]] = {
    "preflight_compose": preflight_compose_rules.RULES,
    "preflight_env": preflight_env_rules.RULES,
    "preflight_workflows": preflight_workflows_rules.RULES,
    "preflight_host": preflight_host_rules.RULES,
    "preflight_outside": preflight_outside_rules.RULES,
    "preflight_oci": preflight_oci_rules.RULES,
    "preflight_policy": preflight_policy.RULES,
}
RULES: Dict[str, Rule] = findings.table(*(rule for table in TABLES.values() for rule in table.values()))
