# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Backups of n8n with SQLite: the database, the key that its credentials are encrypted with, and the other files.

n8n's own exports are in it too, for a person to read and to import one by one. They are made of the copy of the
database, in a scratch container: so they are of the same moment, and the n8n that works is left alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Sequence, Set, Tuple

from . import archive, backup_sqlite, backup_store, backup_volume, container
from .backup_errors import BackupError
from .backup_job import Job, Restored, Source, Taken, take_directory
from .container import Container
from .findings import FAIL, Case, Text

DATABASE, CONFIG = "database.sqlite", "config"
EXPORT = "export"
# When this database was made: n8n makes its owner, still nameless, at its first start.
_BIRTH = 'SELECT min("createdAt") FROM "user"'


class Kind(NamedTuple):
    """What n8n exports: its word for it in a command, and its table."""

    word: str
    table: str


KINDS = {"workflows": Kind("workflow", "workflow_entity"), "credentials": Kind("credentials", "credentials_entity")}
# n8n leaves these alone when it starts.
_STABLE = ["user"] + [kind.table for kind in KINDS.values()]

CASES: Dict[str, Case] = {
    **backup_sqlite.CASES, **backup_volume.CASES,
    "other-database": Case(FAIL, Text("n8n keeps its data in {kind}, not in SQLite",
                                      "n8n 데이터가 SQLite가 아니라 {kind}에 있음"),
                           Text("back that database up; this would only save an old file",
                                "해당 데이터베이스를 백업하세요. 지금 방식으로는 오래된 파일만 저장됩니다")),
    "no-key": Case(FAIL, Text("there is no encryption key in {path}: {said}", "{path}에 암호화 키가 없음: {said}"),
                   Text("without n8n's file 'config' no credential can be read again; put the right one there, or use "
                        "another backup",
                        "n8n의 'config' 파일이 없으면 자격 증명을 읽을 수 없습니다. 올바른 파일을 두거나 "
                        "다른 백업을 사용하세요")),
    "other-key": Case(FAIL, Text("the key in {path} is not the N8N_ENCRYPTION_KEY of {container}",
                                 "{path}의 키가 {container}의 N8N_ENCRYPTION_KEY와 다름"),
                      Text("n8n does not start with two keys: set the variable to the file's key, or remove it",
                           "키가 서로 다르면 n8n이 시작되지 않습니다. 변수를 파일의 키와 같게 하거나 지우세요")),
    "not-exported": Case(FAIL, Text("n8n exported {found} of {wanted} {what}",
                                    "n8n {what} 내보내기: {wanted}개 중 {found}개"),
                         Text("nothing was saved; see with: docker exec {container} n8n export:{word} --all",
                              "저장하지 않았습니다. 원인 확인: docker exec {container} n8n export:{word} --all")),
    "exports-missing": Case(FAIL, Text("{backup} holds n8n's exports of {found} of the {wanted} {what}",
                                       "{backup}에 n8n {what} 내보내기 {wanted}개 중 {found}개만 있음"),
                            Text("use another backup", "다른 백업을 사용하세요")),
    "not-readable": Case(FAIL, Text("n8n read {found} of the {wanted} {what} in {backup}",
                                    "{backup}의 {what} {wanted}개 중 {found}개만 n8n이 읽음"),
                         Text("use another backup", "다른 백업을 사용하세요")),
    "wrong-key": Case(FAIL, Text("n8n cannot read {backup} with the key in it: {said}",
                                 "{backup}에 들어 있는 키로 n8n이 읽을 수 없음: {said}"),
                      Text("use another backup, or put the right key into its file 'config'",
                           "다른 백업을 사용하거나 'config' 파일의 키를 바로잡으세요")),
}

# n8n tells on its standard output why it failed; a scratch container's other one is what is read.
_EXPORT = "timeout 600 n8n export:%s --backup --output=/export/%s >&2"
_READ = "timeout 600 n8n export:%s --all %s --output=/plain/%s >&2"
_COUNT = """node -e 'const fs = require("fs"); const count = {};
for (const name of fs.readdirSync("/plain")) count[name] = JSON.parse(fs.readFileSync("/plain/" + name)).length;
console.log(JSON.stringify(count))'"""


def identify(job: Job) -> Source:
    service = job.container()
    key = _key(os.path.join(service.directory, CONFIG))
    _check_settings(job, service, key)
    source = backup_sqlite.identify(job, DATABASE, _BIRTH)
    others = sum(backup_volume.size(os.path.join(service.directory, name)) for name in _kept(service.directory))
    return Source(dict(source.identity, instance_id=_instance(key)),
                  {"n8n": container.ask(service, "n8n", "--version").strip()},
                  source.estimate + others, 2 * source.staged + others)


def take(job: Job, base: str, way: archive.Compression, source: Source) -> Taken:
    service = job.container()
    with backup_sqlite.working_directory(job) as work:
        packed = backup_sqlite.new_directory(work, "packed", service)
        data = backup_sqlite.new_directory(packed, backup_sqlite.DATA, service)
        path = os.path.join(data, DATABASE)
        backup_sqlite.copy(os.path.join(service.directory, DATABASE), path)
        for name in _kept(service.directory):
            backup_volume.copy_live(os.path.join(service.directory, name), os.path.join(data, name))
        _check_settings(job, service, _key(os.path.join(data, CONFIG)))
        counts = backup_sqlite.prove(path)
        exports = backup_sqlite.new_directory(packed, EXPORT, service)
        _export(job, service, _clone(data, work, service), exports, counts)
        details = {**_details(path), **_exported(path, exports, "not-exported", container=service.name)}
        return Taken([take_directory(packed, base, way)], counts, details)


def rehearse(job: Job, backup: backup_store.Backup) -> Restored:
    """Unpacked, read from end to end, and opened by n8n itself, which decrypts every credential."""
    with backup_sqlite.working_directory(job) as work:
        return _unpack(job, job.container(running=False), backup, work)[1]


def restore(job: Job, backup: backup_store.Backup, note: Callable[[str], None]) -> Restored:
    service = job.container(running=False)
    with backup_sqlite.working_directory(job) as work:
        staged, restored = _unpack(job, service, backup, work)
        _check_settings(job, service, _key(os.path.join(staged, CONFIG)))
        note("%s is sound, and n8n decrypts its credentials" % backup.name)
        # The scripts of before packed the whole volume.
        for name in os.listdir(staged):
            if not _is_data(name):
                backup_volume.remove(os.path.join(staged, name))
        os.chmod(os.path.join(staged, CONFIG), 0o600)
        going = [name for name in os.listdir(service.directory) if _is_data(name)]
        backup_sqlite.restore(job, work, staged, DATABASE, going + backup_sqlite.names_of(DATABASE), _STABLE, note)
    return restored


def _unpack(job: Job, service: Container, backup: backup_store.Backup, work: str) -> Tuple[str, Restored]:
    """The directory with the volume's files, and what is in them; n8n has read it all."""
    unpacked = os.path.join(work, "unpacked")
    os.mkdir(unpacked, 0o700)
    staged, counts = backup_sqlite.unpack(backup, unpacked, DATABASE)
    path = os.path.join(staged, DATABASE)
    _key(os.path.join(staged, CONFIG), "%s: %s" % (backup.path, CONFIG))
    details = _details(path)
    if backup.own:
        details.update(_exported(path, os.path.join(unpacked, EXPORT), "exports-missing", backup=backup.path))
    version, read = _read(job, service, _clone(staged, work, service), backup, counts)
    for what in KINDS:
        if read.get(what, 0) != details[what]:
            raise BackupError("not-readable", what=what, found=read.get(what, 0), wanted=details[what],
                              backup=backup.path)
    return staged, Restored(counts, details, {"n8n": version})


def _is_data(name: str) -> bool:
    """Whether a name at the top of the volume is to be kept: all is that is no log, mark of a run, or cache."""
    return not (backup_volume.is_ours(name) or name.startswith("n8nEventLog") or name.endswith(".log")
                or name in ("crash.journal", ".cache"))


def _kept(directory: str) -> List[str]:
    """What is copied as it is: all data but the database's own files."""
    return sorted(name for name in os.listdir(directory)
                  if _is_data(name) and name not in backup_sqlite.names_of(DATABASE))


def _key(path: str, told: str = "") -> str:
    """The encryption key in n8n's file `config`. It goes nowhere."""
    try:
        with open(path, encoding="utf-8") as file:
            key = json.load(file)["encryptionKey"]
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise BackupError("no-key", path=told or path, said=type(problem).__name__) from None
    return str(key)


def _instance(key: str) -> str:
    """n8n's own public id of an installation: it is made of half the key, and nobody gets that from it."""
    return hashlib.sha256(key[(len(key) + 1) // 2:].encode("utf-8")).hexdigest()


def _check_settings(job: Job, service: Container, key: str) -> None:
    """Refuses what this n8n would not use."""
    pairs = job.engine.get("/containers/%s/json" % service.id)["Config"]["Env"] or []
    environment = dict(pair.partition("=")[::2] for pair in pairs)
    kind = environment.get("DB_TYPE") or "sqlite"
    if kind != "sqlite":
        raise BackupError("other-database", kind=kind)
    if (environment.get("N8N_ENCRYPTION_KEY") or key) != key:
        raise BackupError("other-key", path=CONFIG, container=service.name)


def _details(path: str) -> Dict[str, Any]:
    active = backup_sqlite.ask(path, "SELECT count(*) FROM workflow_entity WHERE active")[0][0]
    return {"active_workflows": active, **{what: len(_ids(path, kind)) for what, kind in KINDS.items()}}


def _ids(path: str, kind: Kind) -> Set[str]:
    return {str(row[0]) for row in backup_sqlite.ask(path, "SELECT id FROM %s" % kind.table)}


def _exported(path: str, exports: str, case: str, **values: str) -> Dict[str, int]:
    """How many were exported, which must be all: n8n may say that it failed and still end well."""
    details = {}
    for what, kind in KINDS.items():
        wanted, found = _ids(path, kind), _ids_of_files(os.path.join(exports, what))
        if found != wanted:
            raise BackupError(case, what=what, word=kind.word, found=len(found & wanted), wanted=len(wanted), **values)
        details["exported_" + what] = len(found)
    return details


def _ids_of_files(directory: str) -> Set[str]:
    ids = set()
    for name in os.listdir(directory) if os.path.isdir(directory) else ():
        with open(os.path.join(directory, name), encoding="utf-8") as file, contextlib.suppress(ValueError, KeyError):
            ids.add(str(json.load(file)["id"]))
    return ids


def _clone(staged: str, work: str, service: Container) -> str:
    """A second copy of the database, with the key, for n8n to open: it may change what it opens."""
    clone = backup_sqlite.new_directory(work, "clone", service)
    owner = os.stat(clone)
    for name in (DATABASE, CONFIG):
        path = os.path.join(clone, name)
        shutil.copyfile(os.path.join(staged, name), path)
        os.chmod(path, 0o600)
        os.chown(path, owner.st_uid, owner.st_gid)
    return clone


def _export(job: Job, service: Container, clone: str, exports: str, counts: Mapping[str, int]) -> None:
    # n8n calls it an error when there is nothing to export.
    commands = [_EXPORT % (kind.word, what) for what, kind in KINDS.items() if counts.get(kind.table)]
    _run(job, service, {clone: job.service["mount"], exports: "/export"}, commands)


def _read(job: Job, service: Container, clone: str, backup: backup_store.Backup,
          counts: Mapping[str, int]) -> Tuple[str, Dict[str, int]]:
    """n8n's version, and how many of each kind it reads. What it decrypts stays in memory, in the container."""
    commands = ["n8n --version"]
    commands += [_READ % (kind.word, "--decrypted" if what == "credentials" else "", what)
                 for what, kind in KINDS.items() if counts.get(kind.table)]
    try:
        said = _run(job, service, {clone: job.service["mount"]}, commands + [_COUNT])
    except BackupError as problem:
        if "decrypt" in str(problem.values.get("said")):
            raise BackupError("wrong-key", backup=backup.path, said=problem.values["said"]) from problem
        raise
    version, read = said.strip().splitlines()
    return version, json.loads(read)


def _run(job: Job, service: Container, mounts: Mapping[str, str], commands: Sequence[str]) -> str:
    """What the commands write, in a scratch container as the user who owns the volume."""
    owner = os.stat(service.directory)
    options = ["--user", "%d:%d" % (owner.st_uid, owner.st_gid), "--entrypoint", "sh",
               "--tmpfs", "/plain:mode=1777", "--env", "N8N_DIAGNOSTICS_ENABLED=false",
               "--env", "N8N_USER_FOLDER=" + os.path.dirname(job.service["mount"])]
    with container.scratch(service, job.scratch_name, mounts, ["-c", "\n".join(["set -e", *commands])],
                           options) as scratch:
        return container.wait(scratch)
