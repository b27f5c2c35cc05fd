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


def bot(**state: Any) -> dict[str, Any]:
    """A world in which the bot's container is in another state, or made with other settings (HostConfig)."""
    changed = world()
    changed["containers"][0].update(state)
    return changed


@pytest.mark.parametrize(("containers", "words"), [
    ([{"State": {"Status": "running", "Health": {"Status": "unhealthy"}}}], "then: docker restart coinpilot-bot"),
    ([{"State": {"Status": "paused", "Health": {"Status": "healthy"}}}], "docker unpause coinpilot-bot"),
    ([{"State": {"Status": "exited", "ExitCode": 1}}], "then: sudo systemctl reload-or-restart stack.service"),
    ([{"State": {"Status": "restarting", "ExitCode": 1}}], "then: sudo systemctl reload-or-restart stack.service"),
    ([], "start it: sudo systemctl reload-or-restart stack.service"),
])
def test_what_is_down_is_told_how_it_comes_up(containers: list[dict[str, Any]], words: str) -> None:
    """Reloading starts nothing that runs, unhealthy or paused as it may be."""
    seen = world()
    seen["containers"] = [{**seen["containers"][0], **change} for change in containers]
    found = stack_health.judge(seen, DESCRIPTION)[0]
    assert (found.id, found.status) == ("service", findings.FAIL)
    assert words in found.fix.en


@pytest.mark.parametrize(("settings", "status", "seen"), [
    ({"PortBindings": {"8501/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8501"}]}}, findings.PASS, "127.0.0.1:8501"),
    ({"PortBindings": {"8501/tcp": [{"HostIp": "", "HostPort": "8501"}]}}, findings.FAIL, "published on 0.0.0.0:8501"),
    ({"NetworkMode": "host", "PortBindings": {}}, findings.FAIL, "every port that it opens is the host's"),
    ({"NetworkMode": "oci_default", "PublishAllPorts": True, "PortBindings": {}}, findings.FAIL, "all its ports"),
    # Compose sets this too where nothing is published.
    ({"NetworkMode": "oci_default", "PublishAllPorts": False, "PortBindings": {}}, None, ""),
])
def test_ports(settings: dict[str, Any], status: str | None, seen: str) -> None:
    found = [each for each in stack_health.judge(bot(HostConfig=settings), DESCRIPTION) if each.id == "port"]
    assert [each.status for each in found] == ([status] if status else [])
    assert all(seen in each.seen.en and bool(each.fix.en) == (status == findings.FAIL) for each in found)


def test_another_image_or_volume_is_named_beside_the_right_one() -> None:
    service = {"container": "coinpilot-bot", "image": "app:2", "volume": "data", "mount": "/data"}
    seen = bot(Mounts=[{"Name": "coinpilot_data", "Destination": "/data"}])
    seen["containers"][0]["Config"]["Image"] = "app:1"
    found = {each.id: each for each in stack_health.judge(seen, {**DESCRIPTION, "services": {"bot": service}})}
    assert found["image"].seen.en == "runs app:1, not app:2"
    assert found["volume"].seen.en == "coinpilot_data is mounted at /data, not oci_data"
    assert "never delete" in found["volume"].fix.en and "stack_project" in found["volume"].fix.ko


def test_a_line_of_env_that_compose_cannot_read_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(_compose: Compose) -> None:
        raise ComposeError("failed to read .env: line 3: unterminated quoted value 'hunter2")

    def killed(_compose: Compose) -> None:
        raise ComposeError("")

    monkeypatch.setattr(Compose, "hashes", unreadable)
    monkeypatch.setattr(Compose, "version", killed)
    assert "hunter2" not in str(stack_health.gather(DESCRIPTION))
