"""The documentation of the preflight's rules is what the tables say, and every rule says why, in both languages."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils.preflight_rules import RULES, TABLES

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("preflight_rules", CHECKOUT / "tools" / "preflight_rules.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_documents_are_as_the_tables_say(tool: ModuleType) -> None:
    for lang, name in tool.FILES.items():
        assert (CHECKOUT / name).read_text(encoding="utf-8") == tool.document(lang), "run tools/preflight_rules.py"


def test_every_judge_has_a_part(tool: ModuleType) -> None:
    assert set(TABLES) == set(tool.PARTS)


@pytest.mark.parametrize("name", sorted(RULES))
def test_every_rule_says_why_and_what_to_do(name: str) -> None:
    rule = RULES[name]
    assert rule.why.en and rule.why.ko
    for case in rule.cases.values():
        assert case.seen.ko != case.seen.en
        assert case.status == "PASS" or (case.fix.en and case.fix.ko)
