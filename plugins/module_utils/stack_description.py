# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""The whole description of the stack: its tables, and what an installation changes of each (`overrides`)."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping

from . import (
    activity,
    alert_rules,
    backup_targets,
    checklist_items,
    definitions,
    description,
    log_definition,
    preflight_policy,
    preflight_rules,
)
from .findings import Finding

# The tables that an installation may change.
NOTHING_CHANGED: Mapping[str, Any] = {"services": {}, "alert_rules": {}, "checklist": {}, "logs": {}, "activity": {}}


def problems(tables: Mapping[str, Any], overrides: Mapping[str, Any], language: str) -> List[str]:
    """One line for each mistake, which names the variable to mend; none where the tables can be put together."""
    services, overrides = tables["services"], {**NOTHING_CHANGED, **overrides}
    found: List[Finding] = description.problems(services, overrides["services"])
    # What refers to services is judged by sound ones.
    found = found or backup_targets.problems(tables["backup"]["targets"], services)
    found += preflight_policy.checked(tables["security"], preflight_rules.RULES, preflight_policy.VARIABLE)[1]
    found += alert_rules.problems(tables["alert_rules"], overrides["alert_rules"], tables["name"])
    found += checklist_items.problems(tables["checklist"], overrides["checklist"], services)
    found += log_definition.problems(tables["logs"], overrides["logs"])
    found += activity.problems(tables["activity"], overrides["activity"])
    return [definitions.line(finding, language) for finding in found]


def merged(tables: Mapping[str, Any], overrides: Mapping[str, Any]) -> Dict[str, Any]:
    """The description with what the installation changes of it. ValueError names the mistakes of a bad table."""
    overrides = {**NOTHING_CHANGED, **overrides}
    services = description.merge_services(tables["services"], overrides["services"])
    return {
        **tables,
        "services": services,
        "alert_rules": alert_rules.merge(tables["alert_rules"], overrides["alert_rules"], services, tables["name"]),
        "checklist": checklist_items.merge(tables["checklist"], overrides["checklist"], services),
        "logs": log_definition.merge(tables["logs"], overrides["logs"]),
        "activity": activity.merge(tables["activity"], overrides["activity"], services),
    }
