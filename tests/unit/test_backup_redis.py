"""Backups of Redis, as far as no server is needed: what it says, and what its files are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils import backup_redis, container
from ansible_collections.coinpilot.ops.plugins.module_utils.backup_errors import BackupError
from ansible_collections.coinpilot.ops.plugins.module_utils.backup_redis import Names
from ansible_collections.coinpilot.ops.plugins.module_utils.container import Container
from ansible_collections.coinpilot.ops.plugins.module_utils.engine import Engine

INFO = """# Server\r
redis_version:8.0.2\r
executable:/data/redis-server\r
\r
# Persistence\r
loading:0\r
rdb_bgsave_in_progress:0\r
\r
# Keyspace\r
db0:keys=150505,expires=15500,avg_ttl=120056149,subexpiry=1\r
db5:keys=20000,expires=0,avg_ttl=0\r
"""

LOG = """1:M 23 Nov 2026 10:52:40.101 # WARNING Memory overcommit must be enabled! Without it, a save may fail.
1:M 23 Nov 2026 10:52:40.102 * Ready to accept connections tcp
19:C 23 Nov 2026 10:52:44.310 # Write error while saving DB to the disk(rdbSaveRio): No space left on device
1:M 23 Nov 2026 10:52:44.402 # Background saving error
"""


class Server:
    """A server whose saves and rewrites take as many looks at it as a test says."""

    def __init__(self, volume: Path, *states: str, replies: tuple[str, ...] = ("Background saving started",)) -> None:
        self.where = Container("0", "coinpilot-redis", "image", "volume", str(volume), 0)
        self.snapshot = volume / "dump.rdb"
        self.states = list(states)
        self.replies = list(replies)
        self.saves = 0

    def info(self) -> dict[str, str]:
        state = self.states.pop(0)
        if state == "saved":
            self.saves += 1
            new = self.snapshot.with_name("temp-1.rdb")
            new.write_text("snapshot %d" % self.saves)
            new.rename(self.snapshot)
        return {"rdb_bgsave_in_progress": str(int(state == "saving")),
                "aof_rewrite_in_progress": str(int(state == "rewriting"))}

    def ask(self, *command: str) -> str:
        assert command == ("BGSAVE", "SCHEDULE")
        reply = self.replies.pop(0)
        if reply.startswith("ERR"):
            raise BackupError("command-failed", said=reply)
        return reply

    def warnings(self) -> str:
        return "No space left on device"


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup_redis.time, "sleep", lambda seconds: None)


def take_snapshot(server: Any) -> None:
    backup_redis._snapshot(server, str(server.snapshot))


def test_info_is_read() -> None:
    info = backup_redis.parse_info(INFO)
    assert (info["redis_version"], info["loading"]) == ("8.0.2", "0")


def test_keys_are_counted_and_those_that_expire_as_a_whole_or_in_part() -> None:
    assert backup_redis.keys(backup_redis.parse_info(INFO)) == ({"db0": 150505, "db5": 20000}, {"db0": 15501})


def test_an_empty_server_has_no_databases() -> None:
    assert backup_redis.keys({"redis_version": "8.0.2"}) == ({}, {})


def test_what_a_log_says_went_wrong() -> None:
    assert backup_redis.last_warnings(LOG) == (
        "Write error while saving DB to the disk(rdbSaveRio): No space left on device / Background saving error")


def test_a_log_without_warnings_is_shown_by_its_last_lines() -> None:
    assert backup_redis.last_warnings("find: bad option\n\nsh: no such thing\n") == (
        "find: bad option /  / sh: no such thing")


def test_a_snapshot_is_finished_when_another_file_has_its_name(tmp_path: Path) -> None:
    (tmp_path / "dump.rdb").write_text("of yesterday")
    take_snapshot(Server(tmp_path, "idle", "saving", "saving", "saved"))
    assert (tmp_path / "dump.rdb").read_text() == "snapshot 1"


def test_the_first_snapshot_of_all(tmp_path: Path) -> None:
    take_snapshot(Server(tmp_path, "idle", "saving", "saved"))


def test_a_save_that_was_under_way_does_not_count(tmp_path: Path) -> None:
    """It shows the moment at which it began."""
    server = Server(tmp_path, "saving", "saving", "saved", "saving", "saved")
    take_snapshot(server)
    assert server.saves == 2


def test_a_rewrite_of_the_append_only_files_is_waited_for(tmp_path: Path) -> None:
    server = Server(tmp_path, "rewriting", "rewriting", "idle", "saving", "saved")
    take_snapshot(server)
    assert not server.states and server.saves == 1


def test_a_save_that_came_in_between_is_one_of_now(tmp_path: Path) -> None:
    take_snapshot(Server(tmp_path, "idle", "saving", "saved", replies=("ERR Background save already in progress",)))


def test_a_rewrite_that_came_in_between_delays_it(tmp_path: Path) -> None:
    take_snapshot(Server(tmp_path, "idle", "rewriting", "saving", "saved", replies=("Background saving scheduled",)))


def test_a_save_that_ends_without_a_file_has_failed(tmp_path: Path) -> None:
    (tmp_path / "dump.rdb").write_text("of yesterday")
    with pytest.raises(BackupError) as caught:
        take_snapshot(Server(tmp_path, "idle", "saving", "idle"))
    assert (caught.value.case, caught.value.values["said"]) == ("snapshot-failed", "No space left on device")


@pytest.mark.parametrize(("reply", "said"), [
    ("ERR", "No space left on device"),
    ("ERR unknown command 'BGSAVE'", "ERR unknown command 'BGSAVE'"),
])
def test_a_save_that_cannot_begin_has_failed(tmp_path: Path, reply: str, said: str) -> None:
    with pytest.raises(BackupError) as caught:
        take_snapshot(Server(tmp_path, "idle", replies=(reply,)))
    assert (caught.value.case, caught.value.values["said"]) == ("snapshot-failed", said)


def test_a_snapshot_that_does_not_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 10_000, 100))
    monkeypatch.setattr(backup_redis.time, "monotonic", lambda: next(clock))
    with pytest.raises(BackupError) as caught:
        take_snapshot(Server(tmp_path, "idle", *["saving"] * 20))
    assert caught.value.case == "snapshot-late"


def test_a_snapshot_that_failed_is_tried_again(tmp_path: Path) -> None:
    """Redis takes no writes until one has succeeded."""
    server: Any = Server(tmp_path, "idle", "saving", "idle", "idle", "saving", "saved",
                         replies=("Background saving started",) * 2)
    backup_redis._snapshot_again(server, str(server.snapshot))
    assert server.saves == 1


def test_a_snapshot_that_fails_again_and_again_is_given_up(tmp_path: Path) -> None:
    server: Any = Server(tmp_path, *["idle", "saving", "idle"] * 3, replies=("Background saving started",) * 3)
    with pytest.raises(BackupError) as caught:
        backup_redis._snapshot_again(server, str(server.snapshot))
    assert caught.value.case == "snapshot-failed" and not server.states


@pytest.mark.parametrize("names", [Names(), Names("aof", "mine.aof")])
def test_a_snapshot_is_laid_out_for_both_ways_to_load_it(tmp_path: Path, names: Names) -> None:
    (tmp_path / "dump.rdb").write_text("snapshot")
    backup_redis._lay_out(str(tmp_path), names, "dump.rdb")
    base = tmp_path / names.directory / (names.file + ".1.base.rdb")
    assert base.samefile(tmp_path / "dump.rdb")
    assert (tmp_path / names.directory / (names.file + ".manifest")).read_text() == (
        f"file {names.file}.1.base.rdb seq 1 type b\n")
    assert backup_redis.names_in(str(tmp_path)) == names
    assert backup_redis.data_entries(str(tmp_path)) == {"dump.rdb", names.directory}


def test_what_is_no_data_of_redis_is_told_apart(tmp_path: Path) -> None:
    for name in ("dump.rdb", "appendonly.aof", "temp-17.rdb", "users.acl", "redis.conf"):
        (tmp_path / name).touch()
    for name in (".before-restore-20261123T015652Z", "empty"):
        (tmp_path / name).mkdir()
    assert backup_redis.data_entries(str(tmp_path)) == {"dump.rdb", "appendonly.aof"}


@pytest.mark.parametrize(("reply", "case"), [
    ("NOAUTH Authentication required.", "no-access"),
    ("WRONGPASS invalid username-password pair or user is disabled.", "no-access"),
    ("LOADING Redis is loading the dataset in memory", "command-failed"),
])
def test_what_the_server_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reply: str, case: str) -> None:
    monkeypatch.setattr(container, "inside", lambda where, *argv: ["sh", "-c", f"echo '{reply}' >&2; exit 1"])
    server = backup_redis.Server(Engine(), Server(tmp_path).where)
    with pytest.raises(BackupError) as caught:
        server.ask("INFO")
    assert (caught.value.case, caught.value.values["said"]) == (case, reply)


def test_a_server_that_hangs_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "inside", lambda where, *argv: ["sleep", "60"])
    monkeypatch.setattr(backup_redis, "ANSWER", 0.1)
    server = backup_redis.Server(Engine(), Server(tmp_path).where)
    with pytest.raises(BackupError) as caught:
        server.ask("INFO")
    assert caught.value.case == "no-answer"


def test_every_text_takes_its_values(tmp_path: Path) -> None:
    values = dict.fromkeys(("container", "said", "seconds", "version", "directory", "mount", "path", "found", "wanted",
                            "condition", "volume"), "x")
    for case in backup_redis.CASES.values():
        for text in case.seen.fill(**values) + case.fix.fill(**values):
            assert text and "\n" not in text
