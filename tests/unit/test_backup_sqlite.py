"""SQLite under a real writer: what a copy holds, what is refused, and what an archive of a live file still gives."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils import backup_sqlite, backup_store
from ansible_collections.coinpilot.ops.plugins.module_utils.backup_errors import BackupError

# Every transaction moves one unit between two tables that together hold 1000, and touches many pages.
WRITER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)
for number in range(10 ** 9):
    connection.execute('BEGIN IMMEDIATE')
    connection.execute('INSERT INTO "to" SELECT * FROM "from" WHERE rowid = (SELECT min(rowid) FROM "from")')
    connection.execute('DELETE FROM "from" WHERE rowid = (SELECT min(rowid) FROM "from")')
    connection.execute('INSERT INTO "from" SELECT * FROM "to" WHERE (SELECT count(*) FROM "from") < 10 LIMIT 900')
    connection.execute('DELETE FROM "to" WHERE (SELECT count(*) FROM "to") + (SELECT count(*) FROM "from") > 1000')
    connection.execute('UPDATE "from" SET text = hex(randomblob(400))')
    connection.execute('COMMIT')
    if number == 3:
        print('writing', flush=True)
"""
CRASHED_WRITER = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute('PRAGMA cache_size = 2')
connection.execute('BEGIN')
connection.execute('UPDATE "from" SET text = text || 1')
os._exit(0)
"""


def make(path: Path, journal: str = "delete", rows: int = 1000) -> Path:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = %s" % journal)
        connection.executescript('CREATE TABLE "from" (text); CREATE TABLE "to" (text);'
                                 'CREATE INDEX i ON "from" (text); CREATE VIEW v AS SELECT * FROM "from";')
        connection.executemany('INSERT INTO "from" VALUES (?)', [("x" * 800,)] * rows)
        connection.commit()
    return path


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"writing\n"
        try:
            yield
            assert writer.poll() is None
        finally:
            writer.kill()


def archived(where: Path) -> backup_store.Backup:
    """A backup as the scripts of before made it: the whole volume."""
    with tarfile.open(where.parent / "coinpilot_n8n_20260301_032501.tar.gz", "w:gz") as tar:
        tar.add(where, "./_data")
    return backup_store.Backup("n8n", "coinpilot_n8n_20260301_032501", str(where.parent), "daily", 0.0,
                               ("coinpilot_n8n_20260301_032501.tar.gz",), None, False)


def refusal(function, *arguments) -> str:
    with pytest.raises(BackupError) as raised:
        function(*arguments)
    assert backup_sqlite.CASES[raised.value.case].seen.fill(**raised.value.values)
    return raised.value.case


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_copies_of_a_busy_database_are_whole_and_of_one_moment(tmp_path: Path, journal: str) -> None:
    source = make(tmp_path / "live.db", journal)
    with writing(source):
        for number in range(5):
            copy = tmp_path / ("copy-%d" % number)
            begun = time.monotonic()
            backup_sqlite.copy(str(source), str(copy))
            assert time.monotonic() - begun < 20
            counts = backup_sqlite.prove(str(copy))
            assert set(counts) == {"from", "to"}
            assert sum(counts.values()) == 1000
            assert sorted(path.name for path in tmp_path.glob("copy-%d*" % number)) == [copy.name]


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_the_service_can_write_after_a_copy(tmp_path: Path, journal: str) -> None:
    source = make(tmp_path / "live.db", journal)
    source.chmod(0o640)
    backup_sqlite.copy(str(source), str(tmp_path / "copy"))
    assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o640
    with contextlib.closing(sqlite3.connect(source)) as connection:
        connection.execute('DELETE FROM "from"')
        connection.commit()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("live.db-")] == []


def test_a_database_that_stays_locked_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup_sqlite, "BUSY_SECONDS", 0.3)
    source = make(tmp_path / "live.db")
    with contextlib.closing(sqlite3.connect(source, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        assert refusal(backup_sqlite.copy, str(source), str(tmp_path / "copy")) == "locked-database"


def test_what_is_no_sound_database_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "text").write_text("hello " * 1000)
    make(tmp_path / "real")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    cases = {name: refusal(backup_sqlite.copy, str(tmp_path / name), str(tmp_path / "copy"))
             for name in ("none", "empty", "text", "link")}
    assert cases == {"none": "no-database", "empty": "empty-database", "text": "not-a-database",
                     "link": "not-a-database"}
    assert not (tmp_path / "copy").exists()


def test_a_journal_of_a_crash_is_told_and_left_to_the_service(tmp_path: Path) -> None:
    source = make(tmp_path / "live.db")
    subprocess.run([sys.executable, "-c", CRASHED_WRITER, str(source)], check=True)
    before = (tmp_path / "live.db-journal").read_bytes()
    assert refusal(backup_sqlite.copy, str(source), str(tmp_path / "copy")) == "crashed-writer"
    assert (tmp_path / "live.db-journal").read_bytes() == before


def test_a_damaged_page_is_found(tmp_path: Path) -> None:
    path = make(tmp_path / "live.db")
    with path.open("r+b") as file:
        file.seek(4096 * 20)
        file.write(os.urandom(4096))
    assert refusal(backup_sqlite.prove, str(path)) == "damaged-database"


def test_only_real_tables_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "with words?#%.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute('CREATE TABLE "odd ""name" (id INTEGER PRIMARY KEY AUTOINCREMENT, text)')
        connection.execute('INSERT INTO "odd ""name" (text) VALUES (1), (2)')
        connection.execute("CREATE VIRTUAL TABLE words USING fts5(text)")
        connection.execute("INSERT INTO words VALUES (1)")
        connection.execute("CREATE VIEW v AS SELECT 1")
        connection.commit()
    assert backup_sqlite.prove(str(path)) == {'odd "name': 2}


def test_an_archive_of_a_volume_at_rest_is_sound(tmp_path: Path) -> None:
    volume, out = tmp_path / "volume", tmp_path / "out"
    volume.mkdir()
    out.mkdir()
    make(volume / "database.sqlite")
    where, counts = backup_sqlite.unpack(archived(volume), str(out), "database.sqlite")
    assert (where, counts) == (str(out / "_data"), {"from": 1000, "to": 0})


def test_what_lay_beside_an_archived_database_counts(tmp_path: Path) -> None:
    volume, out = tmp_path / "volume", tmp_path / "out"
    volume.mkdir()
    out.mkdir()
    make(volume / "database.sqlite", "wal")
    with contextlib.closing(sqlite3.connect(volume / "database.sqlite")) as connection:
        connection.execute('DELETE FROM "from" WHERE rowid <= 400')
        connection.commit()
        # The change is in the -wal file alone.
        backup = archived(volume)
    where, counts = backup_sqlite.unpack(backup, str(out), "database.sqlite")
    assert counts == {"from": 600, "to": 0}
    assert os.listdir(where) == ["database.sqlite"]


def test_the_half_transaction_in_an_archive_is_rolled_back(tmp_path: Path) -> None:
    volume, out = tmp_path / "volume", tmp_path / "out"
    volume.mkdir()
    out.mkdir()
    subprocess.run([sys.executable, "-c", CRASHED_WRITER, str(make(volume / "database.sqlite"))], check=True)
    where, counts = backup_sqlite.unpack(archived(volume), str(out), "database.sqlite")
    assert counts == {"from": 1000, "to": 0}
    assert os.listdir(where) == ["database.sqlite"]


@pytest.mark.parametrize(("spoil", "case"), [
    (lambda path: path.unlink(), "not-in-backup"),
    (lambda path: path.write_bytes(b""), "damaged-backup"),
    (lambda path: path.write_bytes(b"x" * 5000), "damaged-backup"),
    (lambda path: path.write_bytes(path.read_bytes()[:8192 * 20]), "damaged-backup"),
])
def test_an_archive_without_a_sound_database_is_told(tmp_path: Path, spoil, case: str) -> None:
    volume, out = tmp_path / "volume", tmp_path / "out"
    volume.mkdir()
    out.mkdir()
    spoil(make(volume / "database.sqlite"))
    assert refusal(backup_sqlite.unpack, archived(volume), str(out), "database.sqlite") == case
