# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Backups of a Redis server: one finished snapshot, laid out so that it loads with and without append-only files.

`dump.rdb` alone would load as an empty database under `appendonly yes`. So an archive holds the snapshot twice, the
second time as a hard link that serves as the base of append-only files, with the manifest that names it. What is
counted is what a scratch server of the same image finds when it has loaded these files.
"""

from __future__ import annotations

import glob
import os
import re
import shutil
import subprocess
import time
from typing import Callable, Dict, Mapping, NamedTuple, Optional, Set, Tuple

from . import archive, backup_store, backup_volume, container, health
from .backup_errors import BackupError
from .backup_job import Job, Restored, Source, Taken, take_directory
from .compose import cli_environment
from .container import Container
from .engine import Engine, EngineError
from .findings import FAIL, Case, Text

# Seconds: for one answer; for a server that refuses connections; for loading; for a snapshot, with those before it.
ANSWER, PATIENCE, LOADING, SNAPSHOT = 30, 60, 900, 900
# Snapshots that may fail in a row, and seconds between two.
ATTEMPTS, PAUSE = 3, 5
SNAPSHOT_FILE = "dump.rdb"

CASES: Dict[str, Case] = {
    **backup_volume.CASES,
    "no-access": Case(FAIL, Text("Redis in {container} wants a password: {said}",
                                 "{container}의 Redis가 비밀번호를 요구함: {said}"),
                      Text("give the service the variable REDISCLI_AUTH in its environment",
                           "서비스의 환경 변수에 REDISCLI_AUTH를 추가하세요")),
    "no-answer": Case(FAIL, Text("Redis in {container} did not answer within {seconds} s",
                                 "{container}의 Redis가 {seconds}초 안에 응답하지 않음"),
                      Text("see what it is doing: docker logs --tail 100 {container}",
                           "상태 확인: docker logs --tail 100 {container}")),
    "old-server": Case(FAIL, Text("Redis {version} in {container} is too old: 7.0 is the first that can be backed up",
                                  "{container}의 Redis {version}은(는) 너무 오래됨: 7.0부터 백업 가능"),
                       Text("use a newer image", "더 새로운 이미지를 사용하세요")),
    "other-directory": Case(FAIL, Text("Redis in {container} keeps its files in {directory}, not in its volume {mount}",
                                       "{container}의 Redis가 볼륨({mount})이 아닌 {directory}에 파일을 저장함"),
                            Text("set its `dir` to {mount}: its data does not outlive the container",
                                 "`dir`을 {mount}(으)로 설정하세요. 지금은 컨테이너를 지우면 데이터가 사라집니다")),
    "still-loading": Case(FAIL, Text("Redis in {container} is still loading after {seconds} s",
                                     "{container}의 Redis가 {seconds}초가 지나도 로딩 중"),
                          Text("wait until it has loaded, then run this again: docker logs --tail 20 {container}",
                               "로딩이 끝난 뒤 다시 실행하세요: docker logs --tail 20 {container}")),
    "snapshot-failed": Case(FAIL, Text("Redis in {container} could not write its snapshot: {said}",
                                       "{container}의 Redis가 스냅샷을 쓰지 못함: {said}"),
                            Text("make room on the disk (df -h {directory}) or in memory (free -m), then run this "
                                 "again: Redis takes no writes until a snapshot succeeds",
                                 "디스크(df -h {directory})나 메모리(free -m)를 확보한 뒤 다시 실행하세요. 스냅샷이 "
                                 "성공할 때까지 Redis는 쓰기를 거부합니다")),
    "snapshot-late": Case(FAIL, Text("Redis in {container} has finished no snapshot within {seconds} s",
                                     "{container}의 Redis가 {seconds}초 안에 스냅샷을 끝내지 못함"),
                          Text("see what it is doing: docker exec {container} redis-cli INFO persistence",
                               "상태 확인: docker exec {container} redis-cli INFO persistence")),
    "load-failed": Case(FAIL, Text("Redis in {container} does not load the files: {said}",
                                   "{container}의 Redis가 파일을 읽지 못함: {said}"),
                        Text("use another backup", "다른 백업을 사용하세요")),
    "no-redis-files": Case(FAIL, Text("{path} holds no files of Redis", "{path} 안에 Redis 파일이 없음"),
                           Text("use another backup", "다른 백업을 사용하세요")),
    "restored-differs": Case(FAIL, Text("{container} runs with the backup's files, but has loaded {found} keys instead "
                                        "of {wanted}",
                                        "{container}이(가) 백업 파일로 실행 중이지만 키 {wanted}개가 아니라 "
                                        "{found}개를 읽음"),
                             Text("see what the service says: docker logs --tail 100 {container}; what was there "
                                  "before is in {directory}/.before-restore-*",
                                  "서비스 로그 확인: docker logs --tail 100 {container}. "
                                  "이전 데이터 위치: {directory}/.before-restore-*")),
}

# "1:M 23 Nov 2026 03:15:01.123 # what is wrong"
_WARNING = re.compile(r"\d+:[A-Z] \d+ \w+ \d+ [\d:.]+ # (.*)")


class Names(NamedTuple):
    """What a server calls its append-only files: their directory, and what their names begin with."""

    directory: str = "appendonlydir"
    file: str = "appendonly.aof"


class Server:
    """The server in a container, asked by its own client."""

    def __init__(self, engine: Engine, where: Container):
        self.engine = engine
        self.where = where

    def ask(self, *command: str) -> str:
        # Without `-e` the client ends well although the server said no.
        try:
            done = subprocess.run(container.inside(self.where, "redis-cli", "-e", *command), capture_output=True,
                                  env=cli_environment(), encoding="utf-8", errors="replace", timeout=ANSWER,
                                  check=False)
        except subprocess.TimeoutExpired:
            raise BackupError("no-answer", container=self.where.name, seconds=ANSWER) from None
        if not done.returncode:
            return done.stdout
        said = container.one_line(done.stderr or done.stdout)
        if re.search(r"\b(NOAUTH|WRONGPASS|NOPERM)\b", said):
            raise BackupError("no-access", container=self.where.name, said=said)
        raise BackupError("command-failed", program="redis-cli", container=self.where.name, said=said)

    def info(self) -> Dict[str, str]:
        return parse_info(self.ask("INFO"))

    def config(self, *names: str) -> Dict[str, str]:
        lines = self.ask("CONFIG", "GET", *names).splitlines()
        return dict(zip(lines[::2], lines[1::2]))

    def warnings(self) -> str:
        """What it last said went wrong."""
        return last_warnings(self.engine.logs(self.where.id, 50))

    def wait(self) -> Dict[str, str]:
        """What it tells of itself, once it has loaded its files."""
        begun = time.monotonic()
        while True:
            try:
                info = self.info()
                if info["loading"] == "0":
                    return info
                if time.monotonic() > begun + LOADING:
                    raise BackupError("still-loading", container=self.where.name, seconds=LOADING)
            except BackupError as problem:
                if problem.case != "command-failed" or time.monotonic() > begun + PATIENCE:
                    raise
                self._refuse_ended()
            time.sleep(0.5)

    def _refuse_ended(self) -> None:
        try:
            now = health.condition(self.engine.get("/containers/%s/json" % self.where.id))
            if now.kind in ("exited", "dead", "restarting"):
                raise BackupError("load-failed", container=self.where.name, said="%s; %s" % (self.warnings(), now))
        except EngineError as problem:
            raise BackupError("no-engine", said=str(problem)) from problem


def parse_info(text: str) -> Dict[str, str]:
    """The fields of INFO, of all its sections."""
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line and not line.startswith("#"))


def keys(info: Mapping[str, str]) -> Tuple[Dict[str, int], Dict[str, int]]:
    """Keys per database, and how many of them expire, as a whole or in part. What is none is not listed."""
    total, expiring = {}, {}
    for name, value in info.items():
        if re.fullmatch(r"db\d+", name):
            numbers = {field: int(number) for field, number in (part.split("=") for part in value.split(","))}
            total[name] = numbers["keys"]
            # A hash whose last field expires is gone. Redis before 7.4 has no such fields.
            expiring[name] = numbers["expires"] + numbers.get("subexpiry", 0)
    return total, {name: count for name, count in expiring.items() if count}


def last_warnings(log: str) -> str:
    """The last two warnings of a server's log but for its advice at every start, or its last lines."""
    said = [found[1] for found in map(_WARNING.match, log.splitlines()) if found]
    return " / ".join([line for line in said if not line.startswith("WARNING")][-2:]) or container.one_line(log)


def identify(job: Job) -> Source:
    server = Server(job.engine, job.container())
    info = server.wait()
    if int(info["redis_version"].split(".")[0]) < 7:
        raise BackupError("old-server", container=server.where.name, version=info["redis_version"])
    # A server has no identity that outlives a restart: the volume is the data's.
    size = int(info["used_memory_dataset"])
    return Source({"volume": server.where.volume}, {"redis": info["redis_version"]}, size, size)


def take(job: Job, base: str, way: archive.Compression, source: Source) -> Taken:
    server = Server(job.engine, job.container())
    settings = server.config("dir", "dbfilename", "appenddirname", "appendfilename")
    if os.path.normpath(settings["dir"]) != os.path.normpath(job.service["mount"]):
        raise BackupError("other-directory", container=server.where.name, directory=settings["dir"],
                          mount=job.service["mount"])
    names = Names(settings["appenddirname"], settings["appendfilename"])
    with job.working_directory() as work:
        stage = _new_directory(work, "stage")
        # Read from the volume itself: what goes through `docker exec` may lose its end.
        snapshot = os.path.join(server.where.directory, settings["dbfilename"])
        _snapshot_again(server, snapshot)
        _copy(snapshot, os.path.join(stage, settings["dbfilename"]))
        _lay_out(stage, names, settings["dbfilename"])
        _give(stage, server.where)
        found = _trial(job, server.where, stage, work)
        file = take_directory(stage, base, way)
    return Taken([file], found.counts, found.details)


def rehearse(job: Job, backup: backup_store.Backup) -> Restored:
    with job.working_directory() as work:
        _data, found = _unpack(job, job.container(running=False), backup, work)
        return found


def restore(job: Job, backup: backup_store.Backup, note: Callable[[str], None]) -> Restored:
    with job.working_directory() as work:
        where = job.container(running=False)
        data, found = _unpack(job, where, backup, work)
        if backup.manifest is not None and found.counts != backup.manifest["counts"]:
            # The caller says what differs; the server still has the data that it had.
            return found
        note("a scratch server has loaded %s" % backup.name)
        backup_volume.replace(job, data, data_entries(where.directory), note)
    _check_live(Server(job.engine, where), backup, found)
    return found


def _check_live(server: Server, backup: backup_store.Backup, wanted: Restored) -> None:
    """Whether the service's own server holds what the scratch server did; meanwhile keys may have expired."""
    info = server.wait()
    total = sum(wanted.counts.values())
    if backup.own:
        # All that it has read was in the snapshot, and it tells how many keys that were.
        least = total
        found = int(info["rdb_last_load_keys_loaded"]) + int(info["rdb_last_load_keys_expired"])
    else:
        least = total - sum(wanted.details["expiring"].values())
        found = sum(keys(info)[0].values())
    if found < least:
        raise BackupError("restored-differs", container=server.where.name, found=found, wanted=least,
                          directory=server.where.directory)


def _snapshot_again(server: Server, path: str) -> None:
    """After a snapshot that failed Redis takes no writes until one succeeds, so none is left at that."""
    for _attempt in range(ATTEMPTS - 1):
        try:
            return _snapshot(server, path)
        except BackupError as problem:
            if problem.case != "snapshot-failed":
                raise
            time.sleep(PAUSE)
    return _snapshot(server, path)


def _snapshot(server: Server, path: str) -> None:
    """Has the server write a snapshot of a moment that is not before this call.

    It is finished when another file has taken the name. Redis counts a save (`rdb_saves`) when it begins.
    """
    deadline = time.monotonic() + SNAPSHOT
    noted, before, started = False, None, False
    while time.monotonic() < deadline:
        info = server.info()
        if info["rdb_bgsave_in_progress"] == "0":
            if not noted:
                # Not earlier: one that was under way shows an earlier moment.
                noted, before = True, _identity(path)
            elif _identity(path) != before:
                return
            if info["aof_rewrite_in_progress"] == "0":
                if started:
                    raise _snapshot_failed(server, server.warnings())
                started = _begin_snapshot(server)
        time.sleep(0.2)
    raise BackupError("snapshot-late", container=server.where.name, seconds=SNAPSHOT)


def _identity(path: str) -> Optional[Tuple[int, int]]:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns


def _begin_snapshot(server: Server) -> bool:
    """Whether one has begun; another one, or a rewrite of the append-only files, may have come first."""
    try:
        return "started" in server.ask("BGSAVE", "SCHEDULE")
    except BackupError as problem:
        said = problem.values.get("said", "")
        if "in progress" in said:
            return False
        # When it cannot fork, it says no more than "ERR"; its log says why.
        raise _snapshot_failed(server, server.warnings() if said.strip() == "ERR" else said) from problem


def _snapshot_failed(server: Server, said: str) -> BackupError:
    return BackupError("snapshot-failed", container=server.where.name, directory=server.where.directory, said=said)


def _lay_out(directory: str, names: Names, snapshot: str) -> None:
    """Makes append-only files of the snapshot in a directory, instead of those that are there."""
    append = os.path.join(directory, names.directory)
    shutil.rmtree(append, ignore_errors=True)
    os.mkdir(append, 0o700)
    base = names.file + ".1.base.rdb"
    os.link(os.path.join(directory, snapshot), os.path.join(append, base))
    with open(os.path.join(append, names.file + ".manifest"), "x", encoding="utf-8") as file:
        file.write("file %s seq 1 type b\n" % base)


def _unpack(job: Job, where: Container, backup: backup_store.Backup, work: str) -> Tuple[str, Restored]:
    """A directory of files that belong in the volume as they are, and what a server found that has loaded them."""
    unpacked = _new_directory(work, "unpacked")
    archive.unpack(backup.path, unpacked)
    data = _data_in(unpacked, backup)
    for name in set(os.listdir(data)) - data_entries(data):
        backup_volume.remove(os.path.join(data, name))
    whole = os.path.exists(os.path.join(data, SNAPSHOT_FILE))
    if names_in(data) is None and not os.path.exists(os.path.join(data, Names().file)):
        if not whole:
            raise BackupError("no-redis-files", path=backup.path)
        _lay_out(data, Names(), SNAPSHOT_FILE)
    _give(data, where)
    try:
        return data, _trial(job, where, data, work)
    except BackupError as problem:
        # What was packed while the server wrote may lack files that its manifest names; the snapshot beside is whole.
        if problem.case != "load-failed" or backup.own or not whole:
            raise
        _lay_out(data, names_in(data) or Names(), SNAPSHOT_FILE)
        _give(data, where)
        found = _trial(job, where, data, work)
        return data, found._replace(details=dict(found.details, append_only_files=problem.values["said"]))


def _data_in(unpacked: str, backup: backup_store.Backup) -> str:
    """The directory with the files of Redis: an archive of before may hold them further down."""
    for parent, directories, _names in os.walk(unpacked):
        directories[:] = [name for name in directories if not name.startswith(".")]
        if data_entries(parent):
            return parent
    raise BackupError("no-redis-files", path=backup.path)


def data_entries(directory: str) -> Set[str]:
    """What Redis keeps its data in, of all that a directory holds: a snapshot, append-only files of old and new."""
    found = {os.path.basename(path) for pattern in ("*.rdb", "*.aof") for path in glob.glob(_under(directory, pattern))
             if not os.path.basename(path).startswith("temp-")}
    names = names_in(directory)
    return found | ({names.directory} if names else set())


def names_in(directory: str) -> Optional[Names]:
    """The names of the append-only files in a directory, if there are any."""
    for path in glob.glob(_under(directory, os.path.join("*", "*.manifest"))):
        return Names(os.path.basename(os.path.dirname(path)), os.path.basename(path)[:-len(".manifest")])
    return None


def _trial(job: Job, where: Container, data: str, work: str) -> Restored:
    """What a scratch server finds that loads a copy of the files, and so does not change them."""
    copy = os.path.join(work, "trial")
    shutil.rmtree(copy, ignore_errors=True)
    # A server replaces snapshots, but appends to other files.
    shutil.copytree(data, copy, copy_function=lambda source, target: (
        os.link(source, target) if source.endswith(".rdb") else shutil.copy2(source, target)))
    _give(copy, where)
    names = names_in(data) or Names()
    owner = os.stat(where.directory)
    # A replica removes no key by itself: those that expire after the snapshot are counted today and next year.
    command = ["redis-server", "--dir", job.service["mount"], "--appendonly", "yes",
               "--appenddirname", names.directory, "--appendfilename", names.file, "--save", "",
               "--replicaof", "127.0.0.1", "1"]
    with container.scratch(where, job.scratch_name, {copy: job.service["mount"]}, command,
                           ["--read-only", "--user", "%d:%d" % (owner.st_uid, owner.st_gid)]) as scratch:
        info = Server(job.engine, scratch).wait()
    counts, expiring = keys(info)
    return Restored(counts, {"expiring": expiring}, {"redis": info["redis_version"]})


def _new_directory(parent: str, name: str) -> str:
    path = os.path.join(parent, name)
    os.mkdir(path, 0o700)
    return path


def _copy(source: str, target: str) -> None:
    """Opened once: a later snapshot takes the name, not the file."""
    try:
        with open(source, "rb") as content, open(target, "xb") as file:
            shutil.copyfileobj(content, file, archive.BLOCK)
    except OSError as problem:
        raise BackupError("write-failed", path=target, directory=os.path.dirname(target),
                          said=problem.strerror or str(problem)) from problem


def _give(directory: str, where: Container) -> None:
    """Makes files the server's, whatever number its user has now: the volume's owner."""
    owner = os.stat(where.directory)
    for parent, _directories, names in os.walk(directory):
        for path in [parent] + [os.path.join(parent, name) for name in names]:
            os.chown(path, owner.st_uid, owner.st_gid)
            os.chmod(path, 0o700 if path == parent else 0o600)


def _under(directory: str, pattern: str) -> str:
    return os.path.join(glob.escape(directory), pattern)
