"""What a person can write about lines of logs, and what becomes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.coinpilot.ops.plugins.module_utils import log_definition
from ansible_collections.coinpilot.ops.plugins.module_utils.log_patterns import of_service

CHECKOUT = Path(__file__).resolve().parents[2]
PATTERNS = yaml.safe_load((CHECKOUT / "roles/stack/vars/main/log_patterns.yml").read_text())["stack_log_patterns"]
DEFAULTS = yaml.safe_load((CHECKOUT / "roles/stack/defaults/main.yml").read_text())
SERVICES = {**DEFAULTS["stack_services"], **DEFAULTS["stack_metrics_services"]}
OWN = {"in": ["bot"], "find": "Insufficient funds", "status": "WARN",
       "title": {"en": "not enough money", "ko": "잔고 부족"}}


def test_the_shipped_ones_are_of_services_and_engines_that_there_are() -> None:
    assert not log_definition.problems(PATTERNS, {})
    known = {*SERVICES, *(service["engine"] for service in SERVICES.values())}
    for name, entry in PATTERNS.items():
        assert set(entry["in"]) <= known, name
        assert set(entry.get("without", ())) <= set(SERVICES), name
        # Docker escapes what is left out of the bytes that are searched for.
        pattern = next(each for service in SERVICES for each in of_service({"logs": PATTERNS, "services": SERVICES},
                                                                          service) if each.name == name)
        assert len(pattern.probe) >= 3, name


def test_an_installation_changes_switches_off_and_adds() -> None:
    merged = log_definition.merge(PATTERNS, {"rss-feeds": {"enabled": False}, "other-error": {"status": "FAIL"},
                                             "money": OWN})
    assert "rss-feeds" not in merged
    assert merged["other-error"] == {**PATTERNS["other-error"], "status": "FAIL"}
    assert next(iter(merged)) == "money"


@pytest.mark.parametrize(("overrides", "said"), [
    ([], "stack_log_pattern_overrides must hold keys and values"),
    ({"Money": OWN}, "'Money' is no name for a kind of line"),
    ({7: OWN}, "'7' is no name for a kind of line"),
    ({"money": "off"}, "money must hold keys and values"),
    ({"money": {"find": "Insufficient"}}, "money: missing: in, status, title"),
    ({"money": {**OWN, "find": "no"}}, "money: find must be a text of at least 3 characters"),
    ({"money": {**OWN, "match": "(unclosed"}}, "money: match must be a regular expression"),
    ({"money": {**OWN, "probe": "elsewhere"}}, "money: probe must be a part of find"),
    ({"money": {**OWN, "status": "PASS"}}, "money: status must be FAIL or WARN"),
    ({"money": {**OWN, "in": "bot"}}, "money: in must be a list of services or engines"),
    ({"money": {**OWN, "in": []}}, "money: in must be a list of services or engines"),
    ({"money": {**OWN, "title": {"en": "not enough"}}}, "money: title must be one line each in en and ko"),
    ({"money": {**OWN, "colour": "red"}}, "money: unknown key 'colour'"),
    ({"rss-feeds": {"enabled": "no"}}, "rss-feeds: enabled must be true or false"),
])
def test_what_cannot_be_used_is_said_in_one_line(overrides: Any, said: str) -> None:
    found = log_definition.problems(PATTERNS, overrides)
    assert [said in finding.seen.en for finding in found] == [True]
    with pytest.raises(ValueError, match="stack_log_pattern_overrides"):
        log_definition.merge(PATTERNS, overrides)
