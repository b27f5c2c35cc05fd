"""Files in a volume replaced by a backup's: cut at every step and begun again, nothing is lost."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils import backup_volume
from ansible_collections.coinpilot.ops.plugins.module_utils.backup_errors import BackupError
from ansible_collections.coinpilot.ops.plugins.module_utils.container import Container

STEPS = ("mkdir", "rename", "rmdir")


class Cut(BaseException):
    """What kill -9 is to a test."""


class Engine:
    """A container that is running or not; what it is told is kept."""

    path = "-"

    def __init__(self, health: str = "healthy") -> None:
        self.health = health
        self.running = True
        self.told: list[str] = []

    def request(self, method: str, path: str) -> bytes:
        self.told.append(path.rpartition("/")[2])
        self.running = path.endswith("/start")
        return b""

    def get(self, path: str) -> dict[str, Any]:
        status = "running" if self.running else "exited"
        return {"Id": "0", "State": {"Status": status, "Health": {"Status": self.health}}}


class Job:
    def __init__(self, volume: Path, engine: Engine) -> None:
        self.engine = engine
        self.volume = volume

    def container(self, running: bool = True) -> Container:
        return Container("0", "coinpilot-n8n", "image", "oci_coinpilot_n8n_data", str(self.volume), 0)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    engine = Engine()
    monkeypatch.setattr(backup_volume, "Engine", lambda path, timeout: engine)
    return engine


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    path = tmp_path / "volume"
    fill(path, {"database": "old", "database-wal": "old", "key": "old", "files/1": "old", "log": "old"})
    return path


@pytest.fixture
def staged(tmp_path: Path) -> Path:
    path = tmp_path / "staged"
    fill(path, {"database": "new", "key": "new", "files/2": "new"})
    (path / "key").chmod(0o600)
    return path


NAMES = ["database", "database-wal", "key", "files"]
RESTORED = {"database": "new", "key": "new", "files/2": "new", "log": "old"}
REPLACED = {"database": "old", "database-wal": "old", "key": "old", "files/1": "old"}


def fill(directory: Path, content: dict[str, str]) -> None:
    for name, text in content.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)


def content(directory: Path) -> dict[str, str]:
    return {str(path.relative_to(directory)): path.read_text() for path in directory.rglob("*") if path.is_file()}


def live(volume: Path) -> dict[str, str]:
    return {name: text for name, text in content(volume).items() if not backup_volume.is_ours(name.split("/")[0])}


def asides(volume: Path) -> list[dict[str, str]]:
    assert not [path for path in volume.iterdir() if path.name.endswith(backup_volume.PARTIAL)]
    assert not (volume / backup_volume.INCOMING).exists()
    return [content(path) for path in sorted(volume.glob(backup_volume.ASIDE + "*"))]


def run(volume: Path, staged: Path, engine: Engine) -> None:
    job: Any = Job(volume, engine)
    backup_volume.replace(job, str(staged), NAMES, lambda text: None)


def test_what_was_there_is_set_aside(volume: Path, staged: Path, engine: Engine) -> None:
    run(volume, staged, engine)
    assert live(volume) == RESTORED
    assert asides(volume) == [REPLACED]
    assert (volume / "key").stat().st_mode & 0o777 == 0o600
    assert engine.told == ["stop", "start"]
    assert content(staged) == {"database": "new", "key": "new", "files/2": "new"}


def test_a_second_restore_keeps_what_the_first_set_aside(volume: Path, staged: Path, engine: Engine) -> None:
    run(volume, staged, engine)
    run(volume, staged, engine)
    assert live(volume) == RESTORED
    assert asides(volume) == [REPLACED, {"database": "new", "key": "new", "files/2": "new"}]


def steps(monkeypatch: pytest.MonkeyPatch, cut_at: int) -> list[str]:
    """Counts what changes names in the volume, and cuts the run off before one of these steps."""
    done: list[str] = []

    def watched(name: str) -> Any:
        real = getattr(os, name)

        def step(*arguments: Any) -> None:
            if len(done) == cut_at:
                raise Cut
            done.append(name)
            real(*arguments)

        return step

    for name in STEPS:
        monkeypatch.setattr(backup_volume.os, name, watched(name))
    return done


@pytest.mark.parametrize("started_since", [False, True])
def test_cut_off_at_any_step_it_can_be_run_again(tmp_path: Path, staged: Path, engine: Engine,
                                                 started_since: bool) -> None:
    for cut_at in range(100):
        volume = tmp_path / ("volume-%d" % cut_at)
        fill(volume, {**REPLACED, "log": "old"})
        with pytest.MonkeyPatch.context() as monkeypatch:
            done = steps(monkeypatch, cut_at)
            try:
                run(volume, staged, engine)
            except Cut:
                pass
        if len(done) < cut_at:
            break
        if started_since and not (volume / "database").exists():
            fill(volume, {"database": "made by the service"})
        run(volume, staged, engine)
        assert live(volume) == RESTORED
        kept = asides(volume)
        assert {name: text for aside in reversed(kept) for name, text in aside.items() if text == "old"} == REPLACED
        if not started_since:
            assert kept[0] == REPLACED
    assert cut_at > 10


def test_no_room_stops_nothing(volume: Path, staged: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: str, target: str) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(backup_volume, "_copy", full)
    before = live(volume)
    with pytest.raises(BackupError) as raised:
        run(volume, staged, engine)
    assert (raised.value.case, engine.told, live(volume)) == ("not-placed", [], before)


def test_a_service_that_does_not_come_up_is_told(volume: Path, staged: Path, engine: Engine) -> None:
    engine.health = "unhealthy"
    with pytest.raises(BackupError) as raised:
        run(volume, staged, engine)
    assert raised.value.case == "not-healthy"
    assert asides(volume) == [REPLACED]
    text = backup_volume.CASES["not-healthy"].fix.fill(**raised.value.values).en
    assert str(volume) + "/.before-restore-*" in text


def test_links_and_pipes_in_a_live_tree_are_left_out(tmp_path: Path) -> None:
    fill(tmp_path / "live", {"a/b": "text"})
    (tmp_path / "live" / "a" / "b").chmod(0o640)
    (tmp_path / "live" / "link").symlink_to("a/b")
    os.mkfifo(tmp_path / "live" / "pipe")
    backup_volume.copy_live(str(tmp_path / "live"), str(tmp_path / "copy"))
    backup_volume.copy_live(str(tmp_path / "gone"), str(tmp_path / "none"))
    assert sorted(str(path.relative_to(tmp_path / "copy")) for path in (tmp_path / "copy").rglob("*")) == ["a", "a/b"]
    assert (tmp_path / "copy" / "a" / "b").stat().st_mode & 0o777 == 0o640
    assert backup_volume.size(str(tmp_path / "copy")) == 4
    assert backup_volume.size(str(tmp_path / "gone")) == 0
