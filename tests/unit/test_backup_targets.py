"""What the description may say of backups."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils import backup_engines, backup_targets

SERVICES = {"db": {"engine": "postgresql", "volume": "data"}, "bot": {"engine": "application"}}
GOOD = {"service": "db", "schedule": "5 3 * * *", "writers": ["bot"]}


def said(targets: Any) -> str:
    return "\n".join(finding.seen.en for finding in backup_targets.problems(targets, SERVICES))


def test_what_is_right_is_let_through() -> None:
    assert said({"postgres": GOOD}) == ""


@pytest.mark.parametrize(("targets", "expected"), [
    ([], "must hold service"),
    ({"postgres": None}, "'postgres' must hold service"),
    ({"../etc": GOOD}, "'../etc' is no name"),
    ({"postgres": {"service": "db", "writers": []}}, "write exactly: service, schedule, writers"),
    ({"postgres": dict(GOOD, shedule="")}, "write exactly: service, schedule, writers"),
    ({"postgres": dict(GOOD, writers="bot")}, "write exactly: service, schedule, writers"),
    ({"postgres": dict(GOOD, service="dbb")}, "unknown service 'dbb'; known: bot, db"),
    ({"postgres": dict(GOOD, writers=["bott"])}, "unknown service 'bott'"),
    ({"app": dict(GOOD, service="bot")}, "the service 'bot' cannot be backed up"),
])
def test_what_is_wrong_is_told(targets: Any, expected: str) -> None:
    assert expected in said(targets)


def test_every_engine_that_is_let_through_has_its_code() -> None:
    assert sorted(backup_engines.ENGINES) == sorted(backup_targets.ENGINES)
