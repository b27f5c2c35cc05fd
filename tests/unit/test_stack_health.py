"""The daily verdict, over recorded worlds."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils import findings, stack_health
from ansible_collections.coinpilot.ops.plugins.module_utils.compose import Compose, ComposeError

DESCRIPTION = {
    "project": "oci", "directory": "/nowhere", "compose_file": "compose.yml", "unit": "stack.service",
    "owner": "ubuntu", "state_directory": "/nowhere", "services": {"bot": {"container": "coinpilot-bot"}},
}


def world(**changes: Any) -> dict[str, Any]:
    labels = {"com.docker.compose.service": "bot", "com.docker.compose.config-hash": "h1",
              "com.docker.compose.version": "2.40.3"}
    container = {
        "Id": "1", "Name": "/coinpilot-bot", "RestartCount": 0, "Mounts": [], "HostConfig": {},
        "State": {"Status": "running", "Health": {"Status": "healthy"}}, "Config": {"Labels": labels},
    }
    unit = {"UnitFileState": "enabled", "ActiveState": "active", "SubState": "exited"}
    return {"containers": [container], "hashes": {"bot": "h1"}, "compose": "2.40.3", "unit": unit,
            "env_file": (0o600, "ubuntu"), "edited": False, "errors": {}, **changes}


@pytest.mark.parametrize(("changes", "expected"), [
    ({}, set()),
    ({"hashes": {"bot": "h2"}}, {("configuration", findings.FAIL)}),
    # That the file was edited is told by what compares it with the last deploy.
    ({"hashes": {"bot": "h2"}, "edited": True}, {("configuration", findings.UNKNOWN)}),
    ({"edited": True}, set()),
    # An upgrade of Compose is no edit of the files.
    ({"hashes": {"bot": "h2"}, "compose": "5.6.1"}, {("configuration", findings.UNKNOWN)}),
    ({"hashes": {"bot": "h2"}, "compose": None}, {("configuration", findings.FAIL)}),
    ({"compose": "5.6.1"}, set()),
    ({"hashes": None, "errors": {"hashes": "no"}}, {("configuration", findings.UNKNOWN)}),
    ({"env_file": (0o640, "ubuntu")}, {("env-file", findings.FAIL)}),
    # The operator's own commands could not read it.
    ({"env_file": (0o600, "root")}, {("env-file", findings.FAIL)}),
])
def test_verdict(changes: dict[str, Any], expected: set[tuple[str, str]]) -> None:
    found = stack_health.judge(world(**changes), DESCRIPTION)
    assert {(finding.id, finding.status) for finding in found if finding.status != findings.PASS} == expected


def test_a_line_of_env_that_compose_cannot_read_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(_compose: Compose) -> None:
        raise ComposeError("failed to read .env: line 3: unterminated quoted value 'hunter2")

    def killed(_compose: Compose) -> None:
        raise ComposeError("")

    monkeypatch.setattr(Compose, "hashes", unreadable)
    monkeypatch.setattr(Compose, "version", killed)
    assert "hunter2" not in str(stack_health.gather(DESCRIPTION))
