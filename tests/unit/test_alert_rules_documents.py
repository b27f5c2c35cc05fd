"""The documentation of the alert rules is what the variables say."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from ansible_collections.coinpilot.ops.plugins.module_utils import alert_rules

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("alert_rules_tool", CHECKOUT / "tools" / "alert_rules.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_documents_are_as_the_variables_say(tool: ModuleType) -> None:
    for lang, name in tool.FILES.items():
        assert (CHECKOUT / name).read_text(encoding="utf-8") == tool.document(lang), "run tools/alert_rules.py"


def test_the_example_in_them_can_be_used(tool: ModuleType) -> None:
    for lang in tool.FILES:
        shown = yaml.safe_load(tool.document(lang).partition("```yaml\n")[2].partition("```")[0])
        assert alert_rules.problems(tool.rules(), shown["stack_alert_rule_overrides"], "coinpilot") == []


def test_every_rule_is_in_them(tool: ModuleType) -> None:
    assert {rule["group"] for rule in tool.rules().values()} == set(tool.GROUPS)
