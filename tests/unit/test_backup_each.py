"""A job with several targets, as modules do it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils import backup_each, job_log
from ansible_collections.coinpilot.ops.plugins.module_utils.findings import (
    FAIL,
    PASS,
    UNKNOWN,
    Case,
    Finding,
    Rule,
    Text,
)

RULE = Rule("job", Text("job", "작업"), Text("done", "완료"), {"done": Case(PASS, Text("done", "완료"))})


@pytest.fixture
def description(tmp_path: Path) -> dict[str, Any]:
    return {"log_directory": str(tmp_path), "owner": "root", "backup": {"targets": {"db": {}, "cache": {}}}}


def job(target: str, tell: job_log.Tell) -> list[Finding]:
    tell(Text("at work", "작업 중"))
    if target == "db":
        raise ZeroDivisionError
    return [RULE.finding("done", target)]


def test_what_breaks_one_keeps_no_other_from_being_done(description: dict[str, Any], tmp_path: Path) -> None:
    found = backup_each.each(description, [], "the line", "ko", job)
    assert [(finding.subject, finding.status) for finding in found] == [("db", UNKNOWN), ("cache", PASS)]
    assert backup_each.result(found, "ko")["status"] == UNKNOWN
    log = (tmp_path / "cache-backup.log").read_text()
    assert "the line" in log and "작업 중" in log
    assert "ZeroDivisionError" in (tmp_path / "db-backup.log").read_text()


def test_each_named_target_once(description: dict[str, Any]) -> None:
    assert len(backup_each.each(description, ["cache", "cache"], "", "en", job)) == 1


def test_an_unknown_target_and_nothing_is_done(description: dict[str, Any], tmp_path: Path) -> None:
    found = backup_each.each(description, ["cache", "other"], "", "en", job)
    assert [(finding.subject, finding.status) for finding in found] == [("other", FAIL)]
    assert "db, cache" in found[0].fix.en and not list(tmp_path.iterdir())
