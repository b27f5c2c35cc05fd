"""The description as a whole, from the role's own tables; what each table takes has a test of its own."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.coinpilot.ops.plugins.module_utils import stack_description

ROLE = Path(__file__).resolve().parents[2] / "roles" / "stack"


def variables(name: str) -> dict[str, Any]:
    return dict(yaml.safe_load((ROLE / name).read_text(encoding="utf-8")))


@pytest.fixture
def tables() -> dict[str, Any]:
    defaults = variables("defaults/main.yml")
    return {"name": "coinpilot", "project": "oci", "backup": {"targets": defaults["stack_backup_targets"]},
            "security": defaults["stack_security"],
            "services": {**defaults["stack_services"], **defaults["stack_metrics_services"]},
            "alert_rules": variables("vars/main/alert_rules.yml")["stack_alert_rules"],
            "checklist": variables("vars/main/checklist.yml")["stack_checklist"],
            "logs": variables("vars/main/log_patterns.yml")["stack_log_patterns"],
            "activity": variables("vars/main/activity.yml")["stack_activity"]}


def test_with_no_change_nothing_is_wrong_and_all_is_there(tables: dict[str, Any]) -> None:
    before = copy.deepcopy(tables)
    assert stack_description.problems(tables, {}, "en") == []
    merged = stack_description.merged(tables, {})
    assert {key: set(merged[key]) for key in stack_description.NOTHING_CHANGED} == \
        {key: set(before[key]) for key in stack_description.NOTHING_CHANGED}
    assert tables == before


def test_each_table_is_changed(tables: dict[str, Any]) -> None:
    merged = stack_description.merged(tables, {
        "services": {"bot": {"memory": "333m"}}, "alert_rules": {"BotDown": {"for": "5m"}},
        "checklist": {"security": {"enabled": False}}, "logs": {"rss-feeds": {"enabled": False}},
        "activity": {"market_data": {"max_age": "3m"}}})
    assert merged["services"]["bot"]["memory"] == "333m"
    assert merged["alert_rules"]["BotDown"]["for"] == "5m"
    assert "security" not in merged["checklist"] and "rss-feeds" not in merged["logs"]
    assert merged["activity"]["market_data"]["max_age"] == "3m"
    assert merged["project"] == "oci"


@pytest.mark.parametrize(("change", "variable"), [
    ({"services": {"bot": {"memory": 7}}}, "stack_service_overrides"),
    ({"alert_rules": {"BotDwn": {"for": "5m"}}}, "stack_alert_rule_overrides"),
    ({"checklist": {"webhooks": {"at": "dayly"}}}, "stack_checklist_overrides"),
    ({"logs": {"rss-feeds": {"status": "red"}}}, "stack_log_pattern_overrides"),
    ({"activity": {"market_data": {"max_age": "soon"}}}, "stack_activity_overrides"),
])
def test_a_mistake_is_one_line_with_the_variable_to_mend(tables: dict[str, Any], change: dict[str, Any],
                                                         variable: str) -> None:
    found = stack_description.problems(tables, change, "en")
    assert len(found) == 1 and found[0].startswith(variable) and "\n" not in found[0]
    assert stack_description.problems(tables, change, "ko") != found
    with pytest.raises(ValueError):
        stack_description.merged(tables, change)


def test_the_mistakes_of_all_tables_are_told_at_once(tables: dict[str, Any]) -> None:
    change = {"services": {"bot": {"memory": 7}}, "logs": {"rss-feeds": {"status": "red"}}}
    assert len(stack_description.problems(tables, change, "en")) == 2
