"""What has changed since the last deploy, over recorded worlds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils import deploy_state, findings, stack_drift
from ansible_collections.coinpilot.ops.plugins.module_utils.deploy_state import Good
from ansible_collections.coinpilot.ops.plugins.module_utils.engine import Engine

DIRECTORY = "/opt/stack"
COMPOSE, ENV = DIRECTORY + "/compose.yml", DIRECTORY + "/.env"
DESCRIPTION = {
    "project": "oci", "directory": DIRECTORY, "compose_file": "compose.yml", "unit": "stack.service",
    "state_directory": "/var/lib/stack",
    "services": {"bot": {"container": "coinpilot-bot"},
                 "db": {"container": "coinpilot-db", "image": "timescale:2", "volume": "db_data", "mount": "/data"}},
}
BOT, DB = "coinpilot/bot:1", "timescale:2"
TEXTS = {COMPOSE: "services:\n  bot: {}\n", ENV: "# ours\nA=1\nTOKEN=hunter2\n"}
GOOD = Good(TEXTS[COMPOSE], TEXTS[ENV], {BOT: "sha256:b", DB: "sha256:d"})


def labelled(service: str, project: str = "oci", number: int = 1, oneoff: str = "False",
             directory: str = DIRECTORY) -> dict[str, str]:
    return {"com.docker.compose.project": project, "com.docker.compose.service": service,
            "com.docker.compose.config-hash": "h", "com.docker.compose.container-number": str(number),
            "com.docker.compose.oneoff": oneoff, "com.docker.compose.project.working_dir": directory}


def container(service: str, name: str = "", image: str = BOT, image_id: str = "sha256:b",
              **labels: Any) -> dict[str, Any]:
    return {"Id": name or service, "Name": "/" + (name or "coinpilot-" + service), "Image": image_id,
            "Config": {"Image": image, "Labels": labelled(service, **labels)},
            "NetworkSettings": {"Networks": {"oci_default": {}, "bridge": {}}}}


CONTAINERS = [container("bot"), container("db", image=DB, image_id="sha256:d")]
IMAGES = {BOT: "sha256:b", DB: "sha256:d"}


def other(name: str, labels: dict[str, str] | None = None, network: str = "", volume: str = "") -> dict[str, Any]:
    return {"Names": ["/" + name], "Labels": labels,
            "Mounts": [{"Name": volume}] if volume else [],
            "NetworkSettings": {"Networks": {network: {}} if network else {}}}


def world(**changes: Any) -> stack_drift.World:
    given = {"files": TEXTS, "good": GOOD, "containers": CONTAINERS, "images": IMAGES, **changes}
    return stack_drift.World(**given)


def wrong(found: list[findings.Finding]) -> set[tuple[str, str, str]]:
    return {(finding.id, finding.subject, finding.status) for finding in found if finding.status != findings.PASS}


@pytest.mark.parametrize(("changes", "expected"), [
    ({}, set()),
    ({"files": {**TEXTS, COMPOSE: "services: {}\n"}}, {("deployed-file", COMPOSE, findings.FAIL)}),
    ({"files": {**TEXTS, ENV: "# ours\nA=2\nTOKEN=hunter2\n"}}, {("deployed-file", ENV, findings.FAIL)}),
    ({"files": {**TEXTS, COMPOSE: None}}, {("deployed-file", COMPOSE, findings.FAIL)}),
    ({"good": None}, {("deployed-file", COMPOSE, findings.UNKNOWN), ("deployed-file", ENV, findings.UNKNOWN)}),
    ({"errors": {ENV: "Permission denied"}}, {("deployed-file", ENV, findings.UNKNOWN)}),
    ({"good": None, "errors": {"good": "damaged"}},
     {("deployed-file", COMPOSE, findings.UNKNOWN), ("deployed-file", ENV, findings.UNKNOWN)}),
    ({"good": None, "files": {**TEXTS, ENV: None}},
     {("deployed-file", COMPOSE, findings.UNKNOWN), ("deployed-file", ENV, findings.FAIL)}),
    # Images.
    ({"containers": [container("bot", image="coinpilot/bot:2"), CONTAINERS[1]]},
     {("deployed-image", "bot", findings.FAIL)}),
    ({"containers": [container("bot", image_id="sha256:x"), CONTAINERS[1]]},
     {("deployed-image", "bot", findings.FAIL)}),
    ({"images": {**IMAGES, BOT: "sha256:x"}}, {("deployed-image", "bot", findings.WARN)}),
    ({"images": {**IMAGES, DB: None}}, {("deployed-image", "db", findings.WARN)}),
    # What stack_health tells of: another image than the described one, and a service that is not described.
    ({"containers": [CONTAINERS[0], container("db", image="timescale:1", image_id="sha256:old")]}, set()),
    ({"containers": [*CONTAINERS, container("worker", image="worker:1")]}, set()),
    # Containers of the project.
    ({"containers": [container("bot", name="renamed"), CONTAINERS[1]]}, {("container-name", "bot", findings.WARN)}),
    ({"containers": [*CONTAINERS, container("bot", name="oci-bot-2", number=2)]},
     {("extra-container", "oci-bot-2", findings.FAIL)}),
    ({"containers": [*CONTAINERS, container("bot", name="oci-bot-run-1", oneoff="True")]},
     {("extra-container", "oci-bot-run-1", findings.WARN)}),
    # Others.
    ({"others": [other("theirs", labelled("web", "shop", directory="/srv/shop"))]}, set()),
    ({"others": [other("theirs", None, network="bridge")]}, set()),
    ({"others": [other("coinpilot-bot-1", labelled("bot", project="coinpilot"))]},
     {("foreign-container", "coinpilot-bot-1", findings.FAIL)}),
    ({"others": [other("coinpilot-db", {})]}, {("foreign-container", "coinpilot-db", findings.FAIL)}),
    ({"others": [other("pg", volume="oci_db_data")]}, {("foreign-container", "pg", findings.FAIL)}),
    ({"others": [other("spy", network="oci_default")]}, {("foreign-container", "spy", findings.WARN)}),
    ({"others": [other("shell", {"com.docker.compose.project": "oci", "com.docker.compose.service": "bot"})]},
     {("foreign-container", "shell", findings.WARN)}),
    # A rehearsal's container is no stranger.
    ({"others": [other("scratch", {"coinpilot.ops.scratch": "x"}, volume="oci_db_data")]}, set()),
    ({"errors": {"containers": "Docker is down"}, "containers": ()},
     {(rule, "", findings.UNKNOWN) for rule in ("deployed-image", "container-name", "extra-container",
                                                "foreign-container")}),
])
def test_verdict(changes: dict[str, Any], expected: set[tuple[str, str, str]]) -> None:
    assert wrong(stack_drift.judge(world(**changes), DESCRIPTION)) == expected


def test_an_edit_of_env_tells_names_alone() -> None:
    text = TEXTS[ENV].replace("hunter2", "correct-horse") + "NEW_KEY=battery\nbarestaplesecret\n"
    found = stack_drift.judge(world(files={**TEXTS, ENV: text}), DESCRIPTION)
    said = str([finding.as_dict() for finding in found])
    assert "NEW_KEY, TOKEN" in said
    assert not any(secret in said for secret in ("hunter2", "correct-horse", "battery", "staple"))


def test_an_edit_that_changes_no_key_names_its_line() -> None:
    found = stack_drift.judge(world(files={**TEXTS, ENV: TEXTS[ENV] + "# a remark\n"}), DESCRIPTION)
    assert "from line 4 on" in next(finding.seen.en for finding in found if finding.subject == ENV)


class Silent(Engine):
    """An Engine that is not there."""

    def __init__(self) -> None:
        super().__init__("/nowhere/docker.sock")


@pytest.mark.parametrize("damaged", ["", "{", "[]", '{"compose": "", "env": 1, "images": {}}',
                                     '{"env": "TOKEN=hunter2"'])
def test_what_cannot_be_read_is_unknown_and_shows_nothing(tmp_path: Path, damaged: str) -> None:
    description = {**DESCRIPTION, "directory": str(tmp_path), "state_directory": str(tmp_path)}
    path = Path(deploy_state.path(description))
    path.parent.mkdir()
    path.write_text(damaged)
    (tmp_path / ".env").write_bytes(b"TOKEN=\xff\n")
    (tmp_path / "compose.yml").mkdir()
    found = stack_drift.judge(stack_drift.gather(description, Silent()), description)
    assert {finding.status for finding in found} == {findings.UNKNOWN}
    assert "hunter2" not in str(found)


def test_what_a_deploy_keeps_is_read_back(tmp_path: Path) -> None:
    description = {"state_directory": str(tmp_path)}
    assert deploy_state.read(description) is None
    path = Path(deploy_state.path(description))
    path.parent.mkdir()
    path.write_text(json.dumps(GOOD._asdict()))
    assert deploy_state.read(description) == GOOD
