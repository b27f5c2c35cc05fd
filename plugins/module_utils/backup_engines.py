# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""The engines whose data can be backed up, by the name that a service's description gives them."""

from __future__ import annotations

from types import ModuleType
from typing import Dict

from . import backup_postgresql
from .findings import Case

ENGINES: Dict[str, ModuleType] = {
    "postgresql": backup_postgresql,
}

# What may stop one of them, for the tables of rules.
CASES: Dict[str, Case] = {name: case for engine in ENGINES.values() for name, case in engine.CASES.items()}
