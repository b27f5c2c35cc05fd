"""How the checklist calls what it goes through: with which window, options and patience."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils import (
    alert_state,
    checklist_readers,
    preflight,
    targets,
)
from ansible_collections.coinpilot.ops.plugins.module_utils.checklist_context import Context
from ansible_collections.coinpilot.ops.plugins.module_utils.engine import Engine
from ansible_collections.coinpilot.ops.plugins.module_utils.findings import NOTHING, WARN, Finding

NOW = 1e9
DESCRIPTION: dict[str, Any] = {"services": {}}


def read(name: str, looks_back: float) -> list[Finding]:
    context = Context(DESCRIPTION, Engine("/nonexistent"), NOW, "all", NOW - looks_back, None)
    return checklist_readers.READERS[name]().read(context, {})


@pytest.mark.parametrize(("looks_back", "window"), [(3600, 3600), (5, 60), (0, 60), (30 * 86400, 7 * 86400)])
def test_the_window_of_the_targets_holds_scrapes(monkeypatch: pytest.MonkeyPatch, looks_back: float,
                                                 window: float) -> None:
    monkeypatch.setattr(targets, "gather", lambda description, asked, now: (asked, now))
    monkeypatch.setattr(targets, "judge", lambda world, description: [world])
    assert read("targets", looks_back) == [(window, NOW)]


def test_nobody_waits_for_grafana(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(alert_state, "gather", lambda description, engine, **how: asked.append(how))
    monkeypatch.setattr(alert_state, "judge", lambda world, description: [])
    assert read("alerts", 60) == [] and asked == [{"patience": 0}]


def test_the_preflight_leaves_the_reboot_to_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    def found(name: str) -> Finding:
        return Finding(name, WARN, NOTHING, "", NOTHING, NOTHING, NOTHING)

    monkeypatch.setattr(preflight, "of_host", lambda description: description)
    monkeypatch.setattr(preflight, "run", lambda wish: [found("host-reboot"), found("host-sshd")])
    assert [finding.id for finding in read("preflight", 60)] == ["host-sshd"]


@pytest.mark.parametrize("name", sorted(checklist_readers.READERS))
def test_every_rule_is_known_by_its_id(name: str) -> None:
    source = checklist_readers.READERS[name]()
    assert source.rules and all(rule.id == key for key, rule in source.rules.items())


def test_nothing_is_sent_to_look_at_notifications() -> None:
    assert "test-message" not in checklist_readers.READERS["notification"]().rules
