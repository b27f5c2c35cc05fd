"""The guards before a restore, its order, and its cuts: with a double for the engine and for Docker.

What the real engines do with data, and that a real host survives a cut, is tested on hosts.
"""

from __future__ import annotations

import hashlib
import socket
import types
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils import (
    backup,
    backup_engines,
    backup_journal,
    backup_restore,
    backup_store,
    container,
    watch,
)
from ansible_collections.coinpilot.ops.plugins.module_utils.backup_errors import BackupError
from ansible_collections.coinpilot.ops.plugins.module_utils.backup_job import Job, Restored
from ansible_collections.coinpilot.ops.plugins.module_utils.engine import EngineError
from ansible_collections.coinpilot.ops.plugins.module_utils.findings import FAIL, PASS, Finding

COUNTS = {"db0": 10}
MACHINE = "a" * 32
NAME = "coinpilot_cache_19700112T134640Z"


class Killed(BaseException):
    """The end of a process, which nothing catches."""


class World:
    """Docker, the engine and the safety backup. ``done`` is what happened; ``die_at`` the step that kills the run."""

    def __init__(self, directory: Path):
        self.directory = str(directory)
        self.done: list[str] = []
        self.die_at = ""
        self.fail_at: dict[str, Exception] = {}
        self.running = {"redis": "t0", "bot": "t0"}
        self.sick: set[str] = set()
        self.replaces = True
        self.found = Restored(COUNTS, {}, {})
        self.path = "/nowhere"

    def step(self, name: str) -> None:
        self.done.append(name)
        if name == self.die_at:
            raise Killed
        if name in self.fail_at:
            raise self.fail_at[name]

    # The Engine's API.
    def containers(self, _project: str) -> list[dict[str, Any]]:
        return [{"Id": name, "Name": "/coinpilot-" + name, "RestartCount": 0,
                 "Config": {"Labels": {"com.docker.compose.service": name}},
                 "State": {"Status": "running" if name in self.running else "exited", "ExitCode": 1,
                           "Running": name in self.running, "StartedAt": self.running.get(name, ""),
                           "Health": {"Status": "unhealthy" if name in self.sick else "healthy"}}}
                for name in ("redis", "bot", "idle")]

    def request(self, _method: str, path: str) -> bytes:
        _, _, name, verb = path.split("/")
        self.step("%s %s" % (verb, name))
        self.running[name] = "t%d" % len(self.done)
        if verb == "stop":
            del self.running[name]
        return b""

    # The engine of the target.
    def restore(self, _job: Job, _backup: backup_store.Backup, note: Any) -> Restored:
        note("at work")
        self.step("restore")
        if self.replaces:
            self.running["redis"] = "new"
        self.step("replaced")
        return self.found

    # The safety backup.
    def take_safety(self, _job: Job) -> Any:
        self.step("safety")
        return types.SimpleNamespace(name="safety-%d" % self.done.count("safety"))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    double = World(tmp_path)
    monkeypatch.setattr(backup_restore, "Engine", lambda *_arguments: double)
    monkeypatch.setattr(backup_restore, "HEALTHY_SECONDS", 0)
    monkeypatch.setitem(backup_engines.ENGINES, "redis", double)
    monkeypatch.setattr(backup, "take_safety", double.take_safety)
    monkeypatch.setattr(backup, "machine_id", lambda: MACHINE)
    monkeypatch.setattr(Job, "container", lambda self, running=True: container.Container(
        "redis", "coinpilot-redis", "i", "v", double.directory, 0))
    return double


@pytest.fixture
def description(tmp_path: Path) -> dict[str, Any]:
    made = {"name": "coinpilot", "project": "oci", "log_directory": str(tmp_path / "log"), "unit": "stack.service",
            "directory": str(tmp_path / "oci"),
            "state_directory": str(tmp_path / "state"), "backup_directory": str(tmp_path / "backups"),
            "backup": {"targets": {"cache": {"service": "redis", "schedule": "5 3 * * *", "writers": ["bot", "idle"]}}},
            "services": {name: {"engine": "redis", "container": "coinpilot-" + name}
                         for name in ("redis", "bot", "idle")}}
    put(tmp_path / "backups")
    return made


def put(root: Path, moment: float = 1_000_000, **changes: Any) -> None:
    """A backup as the tool makes one."""
    where = root / "cache" / "daily"
    where.mkdir(parents=True, exist_ok=True)
    name = backup_store.name("coinpilot", "cache", moment)
    content = b"content"
    file = backup_store.DataFile(name + ".tar.gz", len(content), hashlib.sha256(content).hexdigest(), 1000)
    path = Path(backup_store.partial(str(where / file.name)))
    path.touch(0o600)
    path.write_bytes(content)
    backup_store.publish(str(where), {
        "format": 1, "name": name, "stack": "coinpilot", "project": "oci", "target": "cache", "engine": "redis",
        "host": {"name": "old-host", "machine_id": MACHINE}, "files": [file._asdict()], "identity": {},
        "versions": {}, "counts": COUNTS, "details": {}, "suspect": [], "accepted": False, **changes}, [file])


def restore(description: dict[str, Any], name: str = NAME, confirm: str = "", **how: Any) -> Finding:
    found = backup_restore.run(description, backup_restore.Wish("cache", name, **how),
                               lambda _text: confirm or socket.gethostname())
    assert len(found) == 1
    return found[0]


WHOLE = ["safety", "stop bot", "restore", "replaced", "start bot"]


def test_the_order_of_things(world: World, description: dict[str, Any]) -> None:
    found = restore(description)
    assert found.status == PASS and "safety-1" in found.seen.en
    # `idle` did not run, so it is neither stopped nor started.
    assert world.done == WHOLE
    assert backup_journal.read(description, "cache") is None
    armed = watch.armed(description)
    assert armed is not None and armed["reason"]["en"] == f"cache was restored from {NAME}"


@pytest.mark.parametrize(("how", "changes", "said"), [
    ({"confirm": "other"}, {}, "not confirmed"),
    ({"name": "/var/backups/x"}, {}, "no name of a backup"),
    ({"name": "coinpilot_cache_19990101T000000Z"}, {}, "there is no backup"),
    ({"name": "coinpilot_db_19990101T000000Z"}, {}, "is a backup of coinpilot db"),
    ({}, {"project": "other"}, "of the project other"),
    ({}, {"host": {"name": "old-host", "machine_id": "b" * 32}}, "another host: old-host"),
    ({"from_host": "wrong"}, {"host": {"name": "old-host", "machine_id": "b" * 32}}, "another host: old-host"),
    ({}, {"suspect": ["shrunk"]}, "is suspect: shrunk"),
    ({}, {"engine": "postgresql"}, "is a backup of"),
    ({}, {"files": [{"name": NAME + ".tar.gz", "size": 7, "sha256": "0" * 64, "raw_size": 1000}]}, "says otherwise"),
    ({}, {"files": [{"name": NAME + ".tar.gz", "size": 7, "raw_size": 10 ** 18, "sha256": hashlib.sha256(
        b"content").hexdigest()}]}, "are free"),
    ({"root": "/nowhere/at/all"}, {}, "there is no backup"),
])
def test_what_is_refused_touches_nothing(world: World, description: dict[str, Any], how: dict[str, Any],
                                         changes: dict[str, Any], said: str) -> None:
    manifest_path = Path(description["backup_directory"]) / "cache" / "daily"
    if changes:
        for path in manifest_path.iterdir():
            path.unlink()
        put(Path(description["backup_directory"]), **changes)
    found = restore(description, **how)
    assert found.status == FAIL and said in found.seen.en
    assert not world.done and backup_journal.read(description, "cache") is None


def test_one_altered_bit_is_seen_before_anything_is_touched(world: World, description: dict[str, Any]) -> None:
    (Path(description["backup_directory"]) / "cache" / "daily" / (NAME + ".tar.gz")).write_bytes(b"dontent")
    found = restore(description)
    assert found.status == FAIL and NAME in found.seen.en and not world.done


def test_what_is_refused_can_be_allowed(world: World, description: dict[str, Any], tmp_path: Path) -> None:
    put(tmp_path / "fetched", host={"name": "old-host", "machine_id": "b" * 32}, suspect=["shrunk"])
    found = restore(description, root=str(tmp_path / "fetched"), from_host="old-host", accept_suspect=True,
                    without_safety_backup=True)
    assert found.status == PASS and world.done == WHOLE[1:]


def test_the_refusal_gives_the_line_to_type(world: World, description: dict[str, Any]) -> None:
    found = restore(description, confirm="no")
    assert "restore cache %s --confirm %s" % (NAME, socket.gethostname()) in found.fix.en


def test_no_safety_backup_no_restore(world: World, description: dict[str, Any]) -> None:
    world.fail_at["safety"] = BackupError("query-failed", container="c", said="corrupt")
    found = restore(description)
    assert found.status == FAIL and world.done == ["safety"]
    assert "corrupt" in found.seen.en and "--without-safety-backup" in found.fix.en
    assert backup_journal.read(description, "cache") is None


@pytest.mark.parametrize("step", WHOLE)
def test_killed_anywhere_the_same_command_finishes_it(world: World, description: dict[str, Any], step: str) -> None:
    world.die_at = step
    with pytest.raises(Killed):
        restore(description)
    journal = backup_journal.read(description, "cache")
    assert (journal is None) == (step == "safety")
    if journal is not None:
        with pytest.raises(BackupError, match="cut-off"):
            backup_journal.refuse_unfinished(description, "cache")
    world.die_at, begun, world.done = "", journal is not None, []
    # A host that starts anew starts every service.
    world.running.setdefault("bot", "boot")
    found = restore(description)
    assert found.status == PASS and "bot" in world.running
    # Half-restored data is not saved over what was there before it.
    assert ("safety" in world.done) == (not begun)
    assert "safety-1" in found.seen.en or not begun
    assert backup_journal.read(description, "cache") is None


def test_another_backup_may_take_the_place_of_one_that_was_cut_off(world: World, description: dict[str, Any]) -> None:
    put(Path(description["backup_directory"]), 2_000_000)
    world.die_at = "replaced"
    with pytest.raises(Killed):
        restore(description)
    world.die_at, world.done = "", []
    found = restore(description, name=backup_store.name("coinpilot", "cache", 2_000_000))
    assert found.status == PASS and "safety-1" in found.seen.en and "safety" not in world.done
    assert "bot" in world.running


def test_a_service_that_ran_all_along_still_has_its_data(world: World, description: dict[str, Any]) -> None:
    world.fail_at["restore"] = BackupError("read-back-failed", path="p", said="cut")
    found = restore(description)
    assert found.status == FAIL and found.seen.en.startswith("not restored; the data is what it was")
    assert world.done[-1] == "start bot" and backup_journal.read(description, "cache") is None


def test_what_may_be_half_keeps_the_writers_stopped(world: World, description: dict[str, Any]) -> None:
    world.fail_at["replaced"] = OSError(28, "No space left on device")
    found = restore(description)
    assert found.status == FAIL and "bot" in found.seen.en and "No space left" in found.seen.en
    assert "restore cache " + NAME in found.fix.en and "restore cache safety-1" in found.fix.en
    assert "bot" not in world.running
    # The next failure does not take half data for what it was before, either.
    world.fail_at = {"restore": OSError(28, "No space left on device")}
    assert "neither" in restore(description).seen.en and "bot" not in world.running
    world.fail_at = {}
    assert restore(description).status == PASS and "bot" in world.running


def test_in_a_server_a_failure_leaves_what_was(world: World, description: dict[str, Any],
                                               monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup_restore.backup_engines, "IN_SERVER", ("redis",))
    world.found = Restored({"db0": 9}, {}, {})
    found = restore(description)
    assert found.status == FAIL and "db0 10 → 9" in found.seen.en and "what it was" in found.seen.en
    assert "bot" in world.running


def test_docker_gone_in_the_middle(world: World, description: dict[str, Any]) -> None:
    world.fail_at["start bot"] = EngineError("the Docker Engine does not answer")
    found = restore(description)
    assert found.status == FAIL and "is restored, but" in found.seen.en and "restore cache" in found.fix.en
    world.fail_at = {}
    assert "already" in restore(description).seen.en and "bot" in world.running


def test_a_service_that_is_not_healthy_afterwards_is_told(world: World, description: dict[str, Any]) -> None:
    world.sick.add("bot")
    found = restore(description)
    assert found.status == FAIL and "bot unhealthy" in found.seen.en and "coinpilot-bot" in found.fix.en
    assert backup_journal.read(description, "cache") is None


def test_a_damaged_journal_is_no_reason_to_guess(world: World, description: dict[str, Any]) -> None:
    path = Path(backup_journal.path(description, "cache"))
    path.parent.mkdir(parents=True)
    path.write_text("{")
    found = restore(description)
    assert found.status == FAIL and str(path) in found.seen.en and not world.done


def test_the_list_says_how_to_go_on(world: World, description: dict[str, Any]) -> None:
    found, text, rows = backup_restore.listing(description, "cache")
    assert [row.name for row in rows] == [NAME] and found[0].status == PASS
    assert NAME in text.ko and "restore cache NAME" in text.en and not world.done
