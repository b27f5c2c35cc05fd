# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""A SQLite database in a service's volume: copied while the service writes to it, proven, counted, put back.

The host reads the volume itself: SQLite's locks work across containers, for the kernel is one. As root it opens the
live database for reading only; the -wal and -shm files that this may make get the database's owner (SQLite sees to
that), so that the service is never locked out of its own files.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from typing import Any, Callable, ContextManager, Dict, Iterator, List, Tuple
from urllib.parse import quote

from . import archive, backup_store, backup_volume, container
from .backup_errors import BackupError
from .backup_job import Job, Source
from .container import Container
from .engine import split_reference
from .findings import FAIL, Case, Text

# What SQLite keeps beside a database: changes that are not in it yet.
SIDECARS = ("-wal", "-shm", "-journal")
# The directory of an archive that holds files of the volume.
DATA = "data"
# How long a lock is waited for. A service holds its own for milliseconds.
BUSY_SECONDS = 60.0
_HEADER = b"SQLite format 3\0"
_BUSY_CODES = (5, 6)

CASES: Dict[str, Case] = {
    "no-database": Case(FAIL, Text("there is no database file {path}", "데이터베이스 파일이 없음: {path}"),
                        Text("is this the right volume? docker volume ls. Does the service run? docker ps",
                             "올바른 볼륨인지 확인: docker volume ls, 서비스 실행 여부 확인: docker ps")),
    "empty-database": Case(FAIL, Text("the database file {path} is empty (0 bytes)",
                                      "데이터베이스 파일 {path}이(가) 비어 있음(0바이트)"),
                           Text("restore the last good backup: nothing is left in this file",
                                "파일에 남은 데이터가 없습니다. 마지막 정상 백업을 복구하세요")),
    "not-a-database": Case(FAIL, Text("{path} is no SQLite database", "{path}은(는) SQLite 데이터베이스가 아님"),
                           Text("restore the last good backup, or put the right file there",
                                "마지막 정상 백업을 복구하거나 올바른 파일을 두세요")),
    "damaged-database": Case(FAIL, Text("the database {path} is damaged: {said}", "데이터베이스 {path} 손상: {said}"),
                             Text("restore the last good backup", "마지막 정상 백업을 복구하세요")),
    "locked-database": Case(FAIL, Text("the database {path} stayed locked for {seconds} s",
                                       "데이터베이스 {path}이(가) {seconds}초 동안 잠겨 있음"),
                            Text("find who holds it: sudo fuser -v {path}",
                                 "점유 중인 프로세스 확인: sudo fuser -v {path}")),
    "crashed-writer": Case(FAIL, Text("the program that wrote to {path} crashed and has not cleared up yet",
                                      "{path}에 쓰던 프로그램이 비정상 종료되어 아직 복구되지 않음"),
                           Text("restart its service, which rolls the half transaction back, then run this again",
                                "서비스를 재시작하면 중단된 트랜잭션이 되돌려집니다. 그 뒤 다시 실행하세요")),
    "damaged-backup": Case(FAIL, Text("the database in {backup} is damaged: {said}",
                                      "{backup} 안의 데이터베이스 손상: {said}"),
                           Text("use another backup; a file that was copied while its service wrote to it is often "
                                "damaged like this",
                                "다른 백업을 사용하세요. 서비스가 쓰는 중에 복사한 파일은 이렇게 손상되는 경우가 "
                                "많습니다")),
    "not-in-backup": Case(FAIL, Text("there is no {name} in {backup}", "{backup}에 {name}이(가) 없음"),
                          Text("use another backup", "다른 백업을 사용하세요")),
    "not-restored": Case(FAIL, Text("{container} runs, but not with the backup's data: {what} has {found} rows, not "
                                    "{wanted}",
                                    "{container}이(가) 실행 중이나 백업 데이터와 다름: {what} 행 {found}개, "
                                    "기준 {wanted}개"),
                         Text("run the same restore again", "같은 복구를 다시 실행하세요")),
}


def names_of(database: str) -> List[str]:
    """The names of a database's files."""
    return [database] + [database + suffix for suffix in SIDECARS]


def identify(job: Job, database: str, birth: str) -> Source:
    """What every database has. ``birth`` is a query for what stays as long as this very database does."""
    service = job.container()
    path = os.path.join(service.directory, database)
    identity = {"volume": service.volume}
    with _live(path) as connection:
        try:
            created = connection.execute(birth).fetchone()[0]
        except sqlite3.OperationalError as problem:
            if not str(problem).startswith("no such"):
                raise
            created = None  # another version's tables
        if created is not None:
            identity["created"] = str(created)
        size = (connection.execute("PRAGMA page_count").fetchone()[0]
                * connection.execute("PRAGMA page_size").fetchone()[0])
    return Source(identity, {}, size, size)


def copy(source: str, target: str) -> None:
    """A copy of a database as it is at one moment, by SQLite's own online backup, with the owner and mode it has.

    In one step: between two, a busy writer would make it begin again, for ever.
    """
    def watch(status: int, remaining: int, total: int) -> None:
        # It has waited as long as the connection does; Python would try again without end.
        if status in _BUSY_CODES:
            raise _locked(source)

    with _live(source) as live, contextlib.closing(sqlite3.connect(target)) as new:
        live.backup(new, pages=-1, progress=watch)
    backup_volume.own_like(source, target)


def prove(path: str) -> Dict[str, int]:
    """Reads the whole of a database that nobody else has open. Gives the rows per table."""
    with _told(path), _still(path) as connection:
        said = [row[0] for row in connection.execute("PRAGMA integrity_check(3)")]
        if said != ["ok"]:
            raise BackupError("damaged-database", path=path, said="; ".join(" ".join(said).splitlines()))
        return {name: connection.execute("SELECT count(*) FROM %s" % _quoted(name)).fetchone()[0]
                for name in _tables(connection)}


def ask(path: str, sql: str) -> List[Tuple[Any, ...]]:
    """The rows of a query, of a database that nobody else has open."""
    with _told(path), _still(path) as connection:
        return connection.execute(sql).fetchall()


def unpack(backup: backup_store.Backup, directory: str, database: str) -> Tuple[str, Dict[str, int]]:
    """Unpacks a backup, and gives the directory that the database is in, and its rows per table.

    The scripts of before packed the whole volume, at whatever depth, with what lay beside the live database: that is
    worked in first, as the service would.
    """
    archive.unpack(backup.path, directory)
    found = sorted((parent.count(os.sep), parent) for parent, _directories, names in os.walk(directory)
                   if database in names)
    if not found:
        raise BackupError("not-in-backup", name=database, backup=backup.path)
    where = found[0][1]
    path = os.path.join(where, database)
    try:
        _check(path)
        with _told(path):
            _work_in(path)
        return where, prove(path)
    except BackupError as problem:
        said = problem.values.get("said") or CASES[problem.case].seen.fill(**dict(problem.values, path=database))
        raise BackupError("damaged-backup", backup=backup.path, said=said) from problem


def restore(job: Job, work: str, staged: str, database: str, names: List[str], stable: List[str],
            note: Callable[[str], None]) -> None:
    """Puts the files of a directory into the volume in place of these names, starts the service, and looks again.

    ``stable`` are tables that the service leaves alone when it starts: their rows must be the same afterwards.
    """
    wanted = prove(os.path.join(staged, database))
    backup_volume.replace(job, staged, names, note)
    service = job.container()
    again = os.path.join(work, "again-" + database)
    copy(os.path.join(service.directory, database), again)
    found = prove(again)
    for table in stable:
        if found.get(table) != wanted.get(table):
            raise BackupError("not-restored", container=service.name, what=table, found=found.get(table),
                              wanted=wanted.get(table))


@contextlib.contextmanager
def working_directory(job: Job) -> Iterator[str]:
    """The job's. The scratch container of a run that was killed may still write to it, and goes first."""
    container.remove_scratch(job.scratch_name)
    with job.working_directory() as path:
        yield path


def new_directory(parent: str, name: str, like: Container) -> str:
    """A directory that belongs to the user who owns the service's volume."""
    path = os.path.join(parent, name)
    os.mkdir(path, 0o700)
    owner = os.stat(like.directory)
    os.chown(path, owner.st_uid, owner.st_gid)
    return path


def versions(job: Job, service: Container, program: str) -> Dict[str, str]:
    """The version that the tag of the service's image tells."""
    reference = job.engine.get("/containers/%s/json" % service.id)["Config"]["Image"]
    return {program: split_reference(reference)[1]}


def _check(path: str) -> None:
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        raise BackupError("no-database", path=path) from None
    if stat.S_ISREG(status.st_mode) and status.st_size == 0:
        raise BackupError("empty-database", path=path)
    if not stat.S_ISREG(status.st_mode):
        raise BackupError("not-a-database", path=path)
    with open(path, "rb") as file:
        if file.read(len(_HEADER)) != _HEADER:
            raise BackupError("not-a-database", path=path)


@contextlib.contextmanager
def _live(path: str) -> Iterator[sqlite3.Connection]:
    """A database that its service has open."""
    _check(path)
    with _told(path), _connected(path, "mode=ro") as connection:
        yield connection


def _still(path: str) -> ContextManager[sqlite3.Connection]:
    """A database that nobody changes: no lock is taken, and nothing is made beside it."""
    return _connected(path, "mode=ro&immutable=1")


def _connected(path: str, how: str) -> ContextManager[sqlite3.Connection]:
    return contextlib.closing(sqlite3.connect("file:%s?%s" % (quote(path), how), uri=True, timeout=BUSY_SECONDS,
                                              isolation_level=None))


def _work_in(path: str) -> None:
    """Finishes what a -wal or a -journal beside a copied database holds, and removes them."""
    # Only an index of the -wal file, and the other machine's; SQLite makes it anew.
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path + "-shm")
    with _connected(path, "mode=rw") as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("SELECT count(*) FROM sqlite_master")
    for suffix in SIDECARS:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path + suffix)


def _tables(connection: sqlite3.Connection) -> List[str]:
    """Real tables: no views, no virtual ones, and nothing that SQLite or an index keeps for itself."""
    return sorted(row[1] for row in connection.execute("PRAGMA table_list")
                  if row[0] == "main" and row[2] == "table" and not row[1].startswith("sqlite_"))


def _quoted(name: str) -> str:
    return '"%s"' % name.replace('"', '""')


@contextlib.contextmanager
def _told(path: str) -> Iterator[None]:
    """What SQLite says, as one clear line."""
    try:
        yield
    except sqlite3.Error as problem:
        said = str(problem)
        if "locked" in said:
            raise _locked(path) from problem
        # To one that may only read, SQLite says this of a journal that must be rolled back first.
        if "readonly" in said:
            raise BackupError("crashed-writer", path=path) from problem
        raise BackupError("damaged-database", path=path, said=said) from problem


def _locked(path: str) -> BackupError:
    return BackupError("locked-database", path=path, seconds=int(BUSY_SECONDS))
