# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Backups of a PostgreSQL database, with or without TimescaleDB, by the programs of the server's own container.

All that a manifest tells of a dump is read in the transaction whose snapshot is dumped. A restore goes into a new
database, which takes the live one's name in one transaction, once it holds what the manifest says.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import os
import subprocess
import tempfile
import time
from typing import IO, Any, Callable, Dict, Iterator, List, Mapping, Optional, cast

from . import archive, backup_compare, backup_store, container
from .backup_errors import BackupError
from .backup_job import Job, Restored, Source, Taken, take_output
from .compose import cli_environment
from .container import Container
from .findings import FAIL, Case, Text

SCRATCH_DATABASE = "%s_restore_check"
APPLICATION_NAME = "coinpilot-ops"
# Seconds that a server which is starting, or shutting down to start again, is given.
PATIENCE = 60
# How long a table that someone has locked is waited for.
LOCK_PATIENCE = "60s"

CASES: Dict[str, Case] = {
    "query-failed": Case(FAIL, Text("{container} refused a query: {said}", "{container}이(가) 쿼리를 거부함: {said}"),
                         Text("see what the server says: docker logs --tail 100 {container}",
                              "서버 로그 확인: docker logs --tail 100 {container}")),
    "cut-sql": Case(FAIL, Text("{path} ends in the middle: its last line is not pg_dump's closing line",
                               "{path}이(가) 중간에서 끝남: pg_dump의 마지막 줄이 없음"),
                    Text("use another backup", "다른 백업을 사용하세요")),
    "no-extension": Case(FAIL, Text("the server has no TimescaleDB {version}, with which the dump was made",
                                    "덤프를 만든 TimescaleDB {version}이(가) 서버에 없음"),
                         Text("use an image that brings this version (the official ones bring several)",
                              "이 버전이 들어 있는 이미지를 사용하세요(공식 이미지는 여러 버전을 포함합니다)")),
    "swap-failed": Case(FAIL, Text("the restored database could not take its name: {said}",
                                   "복구한 데이터베이스의 이름을 바꿀 수 없음: {said}"),
                        Text("something is still connected; stop it, then run the same restore again",
                             "아직 연결된 프로그램이 있습니다. 중지한 뒤 같은 복구를 다시 실행하세요")),
}

# The password is the container's own variable: it is on no command line.
_SHELL = ('program=$0; user=$1; shift; PGPASSWORD="$POSTGRES_PASSWORD" PGAPPNAME=' + APPLICATION_NAME
          + ' exec "$program" --username "$user" "$@"')

_IDENTITY = """
SELECT json_build_object(
  'system_identifier', (SELECT system_identifier::text FROM pg_control_system()),
  'postgresql', current_setting('server_version'),
  'size', pg_database_size(current_database()),
  'extensions', (SELECT coalesce(json_object_agg(extname, extversion), '{}') FROM pg_extension
                 WHERE extname <> 'plpgsql'))
"""
_DATABASE = """
SELECT json_build_object('encoding', pg_encoding_to_char(encoding), 'collate', datcollate, 'ctype', datctype)
FROM pg_database WHERE datname = current_database()
"""
# What a person calls a table, and what to count for it. Partitions and chunks count as the table they belong to.
_TABLES = """
SELECT coalesce(json_object_agg(name, relation), '{}') FROM (
  SELECT format('%I.%I', n.nspname, c.relname) AS name, format('%I.%I', n.nspname, c.relname) AS relation
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE (c.relkind IN ('r', 'p') OR c.relkind = 'm' AND c.relispopulated) AND NOT c.relispartition
    AND n.nspname !~ '^(pg_|information_schema$|_timescaledb_|timescaledb_)'
    AND NOT EXISTS (SELECT FROM pg_depend d
                    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
  %s) AS tables
"""
_CONTINUOUS_AGGREGATES = """
  UNION ALL
  SELECT format('%I.%I', view_schema, view_name),
         format('%I.%I', materialization_hypertable_schema, materialization_hypertable_name)
  FROM timescaledb_information.continuous_aggregates
"""
_HYPERTABLES = """
SELECT coalesce(json_object_agg(format('%I.%I', hypertable_schema, hypertable_name), num_chunks), '{}')
FROM timescaledb_information.hypertables
"""
_JOBS = "SELECT _timescaledb_functions.%s_background_workers()"


class Server:
    """The server in a container, as the user and the database of its service's description."""

    def __init__(self, where: Container, service: Mapping[str, Any]):
        self.where = where
        self.user = service["environment"]["POSTGRES_USER"]
        self.database = service["environment"]["POSTGRES_DB"]

    def command(self, program: str, *arguments: str, stdin: bool = False) -> List[str]:
        return container.inside(self.where, "sh", "-c", _SHELL, program, self.user, *arguments, stdin=stdin)

    def ask(self, sql: str, database: Optional[str] = None) -> str:
        """The answer of one or more statements, each in a transaction of its own."""
        with self.session(database) as session:
            return session.ask(sql)

    @contextlib.contextmanager
    def session(self, database: Optional[str] = None) -> Iterator[Session]:
        session = Session(self, database or self.database)
        try:
            yield session
        except BaseException:
            # What it is still doing is of no use to anyone.
            session.process.kill()
            raise
        finally:
            session.close()


class Session:
    """One connection. It ends, and with it its transaction, when this process does, however that happens."""

    def __init__(self, server: Server, database: str):
        self.container = server.where.name
        self.said: IO[str] = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
        self.process = subprocess.Popen(
            server.command("psql", "--dbname", database, "--no-psqlrc", "--quiet", "--no-align", "--tuples-only",
                           "--set", "ON_ERROR_STOP=1", stdin=True),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.said, env=cli_environment(), encoding="utf-8")
        self.asked = cast(IO[str], self.process.stdin)
        self.answered = cast(IO[str], self.process.stdout)

    def ask(self, sql: str) -> str:
        """The rows of a query, a line each. Raises BackupError with what the server said."""
        end = "-- end of the answer --"
        try:
            self.asked.write("%s;\n\\echo %s\n" % (sql.strip().rstrip(";"), end))
            self.asked.flush()
        except BrokenPipeError:
            raise self._refused() from None
        rows: List[str] = []
        for line in self.answered:
            if line.rstrip("\n") == end:
                return "\n".join(rows)
            rows.append(line.rstrip("\n"))
        raise self._refused()

    def json(self, sql: str) -> Any:
        return json.loads(self.ask(sql))

    def close(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            self.asked.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        self.process.kill()
        self.process.wait()
        self.said.close()

    def _refused(self) -> BackupError:
        self.process.wait()
        self.said.seek(0)
        return BackupError("query-failed", container=self.container, said=container.one_line(self.said.read()))


def identify(job: Job) -> Source:
    server = Server(job.container(), job.service)
    shown = json.loads(_patiently(lambda: server.ask(_IDENTITY)))
    return Source({"volume": server.where.volume, "system_identifier": shown["system_identifier"]},
                  dict(shown["extensions"], postgresql=shown["postgresql"]), shown["size"])


def take(job: Job, base: str, way: archive.Compression, source: Source) -> Taken:
    server = Server(job.container(), job.service)
    _end_leftovers(server)
    # Whatever stops the dump ends the session first: leaving the pool waits for the counting, and that for a lock.
    with concurrent.futures.ThreadPoolExecutor(1) as beside, server.session() as session:
        session.ask("SET lock_timeout = '%s'; SET statement_timeout = 0" % LOCK_PATIENCE)
        session.ask("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        snapshot = session.ask("SELECT pg_export_snapshot()")
        # The snapshot lives as long as this transaction does, and nothing is blocked by it.
        contents = beside.submit(_contents, session, source.versions)
        dump = take_output(
            server.command("pg_dump", "--dbname", server.database, "--snapshot", snapshot, "--format", "custom",
                           "--compress", "0", "--lock-wait-timeout", LOCK_PATIENCE),
            container.inside(server.where, "pg_restore", "--file", "/dev/null", stdin=True), base + ".dump", way)
        globals_file = take_output(server.command("pg_dumpall", "--globals-only"), ["grep", "-c", "dump complete"],
                                   base + ".globals.sql", way)
        counts, details = contents.result()
    return Taken([dump, globals_file], counts, details)


def rehearse(job: Job, backup: backup_store.Backup) -> Restored:
    """In the running server, or in a container of its own, as the description says."""
    with _scratch_server(job) as server:
        scratch = SCRATCH_DATABASE % server.database
        _drop(server, scratch)
        try:
            return _restore_into(server, scratch, backup)
        finally:
            _drop(server, scratch)


def restore(job: Job, backup: backup_store.Backup, note: Callable[[str], None]) -> Restored:
    server = Server(job.container(), job.service)
    live, new = server.database, server.database + "_restoring"
    aside = "%s_before_restore_%s" % (live, time.strftime("%Y%m%d_%H%M%S", time.gmtime()))
    _drop(server, new)
    _restore_roles(server, backup)
    note("restoring into the database %s" % new)
    restored = _restore_into(server, new, backup)
    if backup.manifest is not None and backup_compare.differences(backup.manifest, restored):
        # The caller says what differs; the live database is still the one it was.
        _drop(server, new)
        return restored
    note("%s becomes %s, %s becomes %s" % (live, aside, new, live))
    _swap(server, live, aside, new)
    if "timescaledb" in restored.versions:
        # Jobs begin to work in the one that is live now, and no more in the one that is to stay as it was.
        server.ask(_JOBS % "start", live)
        server.ask("SELECT timescaledb_pre_restore()", aside)
    return restored


def _patiently(attempt: Callable[[], str]) -> str:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return attempt()
        except BackupError:
            if time.monotonic() > deadline:
                raise
            time.sleep(2)


def _end_leftovers(server: Server) -> None:
    """Ends the sessions of a run that was killed: their snapshot keeps the server from clearing dead rows."""
    server.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
               "WHERE application_name = '%s' AND pid <> pg_backend_pid()" % APPLICATION_NAME)


def _contents(session: Session, versions: Mapping[str, str]) -> Any:
    """Counts and details of the database that a session is in."""
    timescale = "timescaledb" in versions
    tables = session.json(_TABLES.replace("%s", _CONTINUOUS_AGGREGATES if timescale else ""))
    counts = {}
    for name, relation in sorted(tables.items()):
        counts[name] = int(session.ask("SELECT count(*) FROM %s" % relation))
    details = session.json(_DATABASE)
    if timescale:
        details["hypertables"] = session.json(_HYPERTABLES)
    return counts, details


@contextlib.contextmanager
def _scratch_server(job: Job) -> Iterator[Server]:
    where = job.container()
    if job.description["backup"]["rehearsal"]["place"] == "server":
        yield Server(where, job.service)
        return
    with container.scratch(where, job.scratch_name, {}, [], [
            # Nothing reaches it, so this is no secret; the image wants one.
            "--user", "postgres", "--shm-size", "256m", "--env", "POSTGRES_PASSWORD=scratch",
            "--env", "POSTGRES_USER=" + job.service["environment"]["POSTGRES_USER"],
            "--tmpfs", "/var/run/postgresql:mode=1777"]) as scratch:
        server = Server(scratch, job.service)
        # While its data directory is made, the server listens on the socket alone, restarts, then on TCP too.
        container.wait_until(scratch, PATIENCE, "pg_isready", "--host", "127.0.0.1", "--username", server.user)
        yield server


def _drop(server: Server, database: str) -> None:
    server.ask('DROP DATABASE IF EXISTS "%s" WITH (FORCE)' % database, "postgres")


def _restore_into(server: Server, database: str, backup: backup_store.Backup) -> Restored:
    """Restores a dump into a new database, whose jobs are left stopped, and tells what is in it then."""
    manifest = backup.manifest or {}
    versions, details = manifest.get("versions", {}), manifest.get("details", {})
    plain = backup.files[0].endswith(".sql.gz")
    if plain:
        _refuse_cut(backup.path)
    locale = "ENCODING '%(encoding)s' LC_COLLATE '%(collate)s' LC_CTYPE '%(ctype)s'" % details if details else ""
    server.ask('CREATE DATABASE "%s" TEMPLATE template0 %s' % (database, locale), "postgres")
    with server.session(database) as session:
        _prepare_extensions(session, versions)
        timescale = _prepare_timescale(session, versions, plain)
    if plain:
        command = server.command("psql", "--dbname", database, "--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1",
                                 stdin=True)
    else:
        command = server.command("pg_restore", "--dbname", database, "--exit-on-error", stdin=True)
    archive.read_back(backup.path, command)
    with server.session(database) as session:
        if timescale:
            # In one transaction: jobs that are due would compress and delete before it is counted.
            session.ask("BEGIN; SELECT timescaledb_post_restore(); %s; COMMIT" % (_JOBS % "stop"))
        session.ask("ANALYZE")
    with server.session(database) as session:
        found = session.json(_IDENTITY)
        counts, details = _contents(session, found["extensions"])
    return Restored(counts, details, dict(found["extensions"], postgresql=found["postgresql"]))


def _prepare_extensions(session: Session, versions: Mapping[str, str]) -> None:
    """The other extensions in the versions of the dump; where the server has another alone, the dump creates that."""
    available = session.json("SELECT coalesce(json_agg(name || ' ' || version), '[]') FROM "
                             "pg_available_extension_versions")
    for name, version in sorted(versions.items()):
        if name != "timescaledb" and "%s %s" % (name, version) in available:
            session.ask('CREATE EXTENSION IF NOT EXISTS "%s" VERSION \'%s\' CASCADE' % (name, version))


def _prepare_timescale(session: Session, versions: Mapping[str, str], plain: bool) -> bool:
    """The extension in the version of the dump, ready for a restore. A plain dump of before does not tell which."""
    version = versions.get("timescaledb")
    available = session.json("SELECT coalesce(json_agg(version), '[]') FROM pg_available_extension_versions "
                             "WHERE name = 'timescaledb'")
    if version is None and not (plain and available):
        return False
    if version and version not in available:
        raise BackupError("no-extension", version=version)
    session.ask("CREATE EXTENSION timescaledb" + (" VERSION '%s'" % version if version else ""))
    session.ask("SELECT timescaledb_pre_restore()")
    return True


def _refuse_cut(path: str) -> None:
    """A plain dump that was cut between two rows restores without an error: only its last line tells."""
    try:
        archive.read_back(path, ["sh", "-c", "tail -n 20 | grep -c -e '-- PostgreSQL database dump complete'"])
    except BackupError as problem:
        raise BackupError("cut-sql", path=path) from problem


def _restore_roles(server: Server, backup: backup_store.Backup) -> None:
    """Creates the roles that the dump names and the server lacks. The ones it has keep their passwords."""
    path = next((os.path.join(backup.directory, name) for name in backup.files if ".globals.sql" in name), None)
    if path is None:
        return
    existing = set(json.loads(server.ask("SELECT json_agg(quote_ident(rolname)) FROM pg_roles", "postgres")))
    for line in archive.text(path).splitlines():
        words = line.rstrip(";").split()
        if words[:2] in (["CREATE", "ROLE"], ["ALTER", "ROLE"]) and words[2] not in existing:
            server.ask(line, "postgres")


def _swap(server: Server, live: str, aside: str, new: str) -> None:
    """Both names change in one transaction: there is a live database before, after, and in between."""
    for attempt in range(20):
        try:
            server.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname IN ('%s', '%s')"
                       % (live, new), "postgres")
            server.ask('BEGIN; ALTER DATABASE "%s" RENAME TO "%s"; ALTER DATABASE "%s" RENAME TO "%s"; COMMIT'
                       % (live, aside, new, live), "postgres")
            return
        except BackupError as problem:
            if attempt == 19:
                raise BackupError("swap-failed", said=problem.values.get("said", "")) from problem
            time.sleep(0.5)
