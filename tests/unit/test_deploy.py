"""The way back, with an Engine and a Compose that are played; tests/host proves it with the real ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils import deploy, files, health, watch
from ansible_collections.coinpilot.ops.plugins.module_utils.engine import EngineError

OLD_COMPOSE, NEW_COMPOSE = "services: {db: {}}\n", "services: {db: {}, bot: {}}\n"
GONE = EngineError("No such container", 404)


class Engine:
    """Remembers what it was told. ``images`` is what a tag names on this host."""

    def __init__(self, **images: str):
        self.images, self.told, self.there = images, [], []

    def image_id(self, reference: str) -> str | None:
        return self.images.get(reference)

    def tag(self, image_id: str, reference: str) -> None:
        self.told.append(f"tag {reference}")

    def containers(self, _project: str) -> list[dict[str, Any]]:
        return self.there

    def get(self, _path: str, **_query: Any) -> dict[str, Any]:
        return {"Volumes": None}

    def request(self, method: str, path: str, **_query: Any) -> None:
        self.told.append(f"{method} {path}")

    def logs(self, _container_id: str, _lines: int) -> str:
        raise GONE


def container(service: str, status: str = "running") -> dict[str, Any]:
    return {"Id": service, "Name": "/coinpilot-" + service, "Image": "old", "RestartCount": 0,
            "State": {"Status": status, "StartedAt": "t1"},
            "Config": {"Image": service, "Labels": {"com.docker.compose.service": service}}}


@pytest.fixture
def deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> deploy.Deployment:
    for name in ("stack", "log", "state"):
        (tmp_path / name).mkdir()
    services = {name: {"container": "coinpilot-" + name} for name in ("db", "bot")}
    description = {
        "name": "coinpilot", "project": "oci", "timezone": "Asia/Seoul", "language": "en", "owner": "ubuntu",
        "services": services, "compose_file": "compose.yml", "directory": str(tmp_path / "stack"),
        "state_directory": str(tmp_path / "state"), "log_directory": str(tmp_path / "log"),
    }
    plan = deploy.Plan(description, NEW_COMPOSE, {"DB_PASSWORD": "letmein!"}, {}, "r1")
    made = deploy.Deployment(plan, deploy.Limits(0, 0, 0), Engine())
    Path(made.state).mkdir()
    monkeypatch.setattr(made, "_install", lambda compose, env: None)
    return made


def place(deployment: deploy.Deployment, compose: str, env: bytes) -> None:
    Path(deployment.compose_path).write_text(compose)
    Path(deployment.env_path).write_bytes(env)


def keep(deployment: deploy.Deployment, compose: str, env: str, images: dict[str, str]) -> None:
    Path(deployment.good).write_text(json.dumps({"compose": compose, "env": env, "images": images}))


NOTHING_RAN = {"db": health.Condition("running"), "bot": health.Condition("missing")}


def test_the_way_back_is_judged_by_the_services_of_the_old_file(
        deployment: deploy.Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(deployment, OLD_COMPOSE, "", {"oci-bot": "old"})
    deployment.engine.there = [container("db"), container("bot", "restarting"), container("node-exporter")]
    watched: list[set[str]] = []
    monkeypatch.setattr(deploy.Compose, "hashes", lambda self: {"db": "h", "node-exporter": "h"})
    monkeypatch.setattr(deployment, "_up_and_watch", lambda before, names: watched.append(set(names)) or "")
    error = deployment._undo("bot is dead", NOTHING_RAN, set())
    assert "was undone" in str(error) and not error.changed
    assert watched == [{"db", "node-exporter"}]
    assert deployment.engine.told == ["tag oci-bot", "DELETE /containers/bot"], "what the deploy added is to go again"


def test_what_was_undone_is_watched_for_24_hours_and_a_watch_that_cannot_begin_is_noted(
        tmp_path: Path, deployment: deploy.Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(deployment, OLD_COMPOSE, "", {})
    deployment.engine.there = [container("db")]
    monkeypatch.setattr(deploy.Compose, "hashes", lambda self: {"db": "h"})
    monkeypatch.setattr(deployment, "_up_and_watch", lambda before, names: "")
    deployment._undo("bot is dead", NOTHING_RAN, set())
    armed = watch.armed(deployment.plan.description)
    assert armed is not None and armed["reason"] == watch.UNDONE._asdict() and set(armed["baseline"]) == {"db"}
    (tmp_path / "state" / "watch" / "armed.json").unlink()
    (tmp_path / "state" / "watch" / "armed.json").mkdir()
    assert "was undone" in str(deployment._undo("bot is dead", NOTHING_RAN, set()))
    assert "24-hour watch: not armed" in Path(deployment.log_path).read_text()


def test_an_image_that_was_built_again_can_be_gone_back_to(
        deployment: deploy.Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deploy.Compose, "hashes", lambda self: {"db": "h", "bot": "h"})
    monkeypatch.setattr(deployment, "_up_and_watch", lambda before, names: "")
    keep(deployment, NEW_COMPOSE, deployment.env_text, {"coinpilot/bot:r1": "old"})
    deployment.engine.images = {"coinpilot/bot:r1": "old"}
    assert "no earlier healthy state" in str(deployment._undo("bot is dead", NOTHING_RAN, set()))
    deployment.engine.images = {"coinpilot/bot:r1": "rebuilt"}
    assert "was undone" in str(deployment._undo("bot is dead", NOTHING_RAN, set()))
    assert deployment.engine.told == ["tag coinpilot/bot:r1"]


def test_an_engine_that_stops_answering_is_a_failure_and_not_the_end_of_the_deploy(
        deployment: deploy.Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*_arguments: Any) -> str:
        raise EngineError("the Docker Engine does not answer; letmein!")

    monkeypatch.setattr(deployment, "_up_and_watch", silent)
    assert deployment._watched({}, ["db"]) == "the Docker Engine does not answer; ***"
    keep(deployment, OLD_COMPOSE, "", {})
    monkeypatch.setattr(deployment.engine, "containers", silent)
    monkeypatch.setattr(deploy.Compose, "hashes", lambda self: {"db": "h"})
    error = deployment._undo("bot is dead", NOTHING_RAN, set())
    assert "did not end healthy either" in str(error) and "bot is dead" in str(error) and error.changed


def test_a_log_that_cannot_be_read_is_said_in_its_place(deployment: deploy.Deployment) -> None:
    text = deployment._describe(["db"], {"db": health.Condition("dead", container_id="db")})
    assert "db (coinpilot-db) is dead" in text and "No such container" in text


def test_what_a_person_wrote_is_kept_byte_for_byte_and_is_the_way_back(deployment: deploy.Deployment) -> None:
    env = "# 비밀번호\r\nDB_PASSWORD=x\n".encode("cp949")
    place(deployment, OLD_COMPOSE, env)
    deployment.engine.there = [container("db")]
    deployment._remember_adopted(NOTHING_RAN)
    saved = Path(deployment.state, "by-hand", ".env")
    assert saved.read_bytes() == env and saved.stat().st_mode & 0o777 == 0o600
    good = deployment._read_good()
    assert good is not None and good[1].encode("utf-8", "surrogateescape") == env
    # Once: what is there later is ours.
    place(deployment, NEW_COMPOSE, b"DB_PASSWORD=y")
    deployment._remember_adopted(NOTHING_RAN)
    assert saved.read_bytes() == env


@pytest.mark.parametrize(("kind", "kept"), [("healthy", True), ("running", False), ("starting", False)])
def test_what_our_own_unfinished_deploy_left_is_no_good_state(
        deployment: deploy.Deployment, kind: str, kept: bool) -> None:
    place(deployment, NEW_COMPOSE, deployment.env_text.encode())
    deployment.engine.there = [container("db"), container("bot")]
    deployment._remember_adopted({name: health.Condition(kind) for name in ("db", "bot")})
    assert (deployment._read_good() is not None) is kept
    assert not Path(deployment.state, "by-hand").exists()


def test_a_log_on_a_full_disk_stops_nothing(deployment: deploy.Deployment) -> None:
    Path(deployment.log_path).symlink_to("/dev/full")
    deployment._note("FAILED: the disk is full")


def test_images_of_older_releases_go_but_not_others_tags_nor_the_current_one(deployment: deploy.Deployment) -> None:
    deployment.plan.description["services"]["bot"]["dockerfile"] = "bot.Dockerfile"
    newest = [{"Created": age, "RepoTags": [f"coinpilot/bot:new{age}"]} for age in (7, 8, 9)]
    oldest = {"Created": 1, "RepoTags": ["coinpilot/bot:r0", "coinpilot/bot:r1", "oci-bot:latest"]}
    deployment.engine.get = lambda path, **query: [oldest, *newest]
    deployment._prune_releases()
    assert deployment.engine.told == ["DELETE /images/coinpilot/bot:r0"]


def test_secrets_that_a_killed_run_left_behind_go(tmp_path: Path, deployment: deploy.Deployment) -> None:
    left = [Path(deployment.state, "candidate-killed", ".env"), tmp_path / "stack" / "..env-killed.new"]
    left[0].parent.mkdir()
    for path in left:
        path.write_text("DB_PASSWORD=x")
    with deployment._directory_of_candidate() as directory:
        assert list(Path(deployment.state).iterdir()) == [Path(directory)]
    files.remove_leftovers(deployment.env_path)
    assert not any(path.exists() for path in left)


def test_an_env_file_that_others_may_read_is_put_right(tmp_path: Path) -> None:
    wanted = files.File(str(tmp_path / ".env"), "A=1\n", 0o600)
    files.write(wanted)
    assert files.is_in_place(wanted)
    (tmp_path / ".env").chmod(0o644)
    assert not files.is_in_place(wanted)


@pytest.mark.parametrize(("value", "unset"), [
    ("${DB_PASSWORD} and $DB_PASSWORD", ""),
    ("${N8N_URL:-http://n8n:5678}", ""),
    ("$$HOME $$$$HOME", ""),
    ("${TYPO}", "TYPO"),
    ("pa$word $$$${X} $$${Y}", "Y, word"),
])
def test_a_key_that_env_does_not_have_is_told(
        deployment: deploy.Deployment, monkeypatch: pytest.MonkeyPatch, value: str, unset: str) -> None:
    deployment.plan = deployment.plan._replace(compose_text=value)
    monkeypatch.setattr(deploy.Compose, "resolved", lambda self: {"services": {"db": {}, "bot": {}}})
    monkeypatch.setattr(deploy.Compose, "environment", lambda self, keys: deployment.env_values)
    if unset:
        with pytest.raises(deploy.DeployError, match=f": {unset}. Add them"):
            deployment._prove(deployment._installed())
    else:
        deployment._prove(deployment._installed())
