"""The documentation of the checklist is what the variables say."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from ansible_collections.coinpilot.ops.plugins.module_utils import activity, checklist_items, log_definition

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("checklist_tool", CHECKOUT / "tools" / "checklist.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_documents_are_as_the_variables_say(tool: ModuleType) -> None:
    for lang, name in tool.FILES.items():
        assert (CHECKOUT / name).read_text(encoding="utf-8") == tool.document(lang), "run tools/checklist.py"


def test_the_example_in_them_can_be_used(tool: ModuleType) -> None:
    for lang in tool.FILES:
        shown = yaml.safe_load(tool.document(lang).partition("```yaml\n")[2].partition("```")[0])
        assert checklist_items.problems(tool.items(), shown["stack_checklist_overrides"], {"db": {}}) == []


def test_the_example_of_activity_can_be_used(tool: ModuleType) -> None:
    shown = yaml.safe_load(tool.ACTIVITY_EXAMPLE.partition("```yaml\n")[2].partition("```")[0])
    known = tool.variable("activity.yml", "stack_activity")
    assert activity.problems(known, shown["stack_activity_overrides"]) == []


def test_the_example_of_log_patterns_can_be_used(tool: ModuleType) -> None:
    shown = yaml.safe_load(tool.PATTERN_EXAMPLE.partition("```yaml\n")[2].partition("```")[0])
    known = tool.variable("log_patterns.yml", "stack_log_patterns")
    assert log_definition.problems(known, shown["stack_log_pattern_overrides"]) == []


def test_no_placeholder_is_left_for_the_reader(tool: ModuleType) -> None:
    for lang in tool.FILES:
        details = tool.document(lang).partition(tool.word("details", lang))[2].partition("\n## ")[0]
        assert "{" not in details and details.count("\n") > 25


def test_every_selection_is_in_them(tool: ModuleType) -> None:
    assert tuple(tool.TIMES) == checklist_items.SELECTIONS
