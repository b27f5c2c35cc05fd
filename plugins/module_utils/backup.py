# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Taking a backup: what is there, is it what it was, is there room, write, read back, name, clear away.

What differs too much from the last good backup is kept, but as a suspect one: no success, and nothing is deleted
for it. What is plainly other data is not taken at all.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from typing import Any, Callable, Dict, List, Mapping, Optional

from . import (
    archive,
    backup_journal,
    backup_lock,
    backup_retention,
    backup_state,
    backup_store,
    container,
    dotenv,
    files,
)
from .backup_engines import CASES as ENGINE_CASES
from .backup_engines import ENGINES
from .backup_errors import BackupError
from .backup_job import Job, Source, Taken
from .backup_store import Backup, manifest_of
from .engine import Engine, EngineError
from .findings import FAIL, PASS, WARN, Case, Finding, Rule, Text, problems, size_text, table

# Bytes that stay free on the backups' file system whatever a backup needs.
RESERVE = 256 << 20
# The part of the last good backup's rows, or bytes, below which a new one is suspect. What was small may come and go.
SHRUNK = 0.5
SMALL_ROWS, SMALL_BYTES = 1000, 1 << 20
COMMAND = "coinpilot-ops"
# After these, what is due to go makes room for the next one.
_WANT_OF_ROOM = ("no-room", "write-failed")
# What a first backup is taken to shrink to, before there is one to tell.
_GUESSED_RATIO = 0.5

_ACCEPT = Text("look at the data. Is it right as it is? sudo {command} backup {subject} --accept-change",
               "데이터를 확인하세요. 지금 상태가 맞다면: sudo {command} backup {subject} --accept-change")

RULES = table(
    Rule("backup", Text("backup", "백업"), Text("taken, read back and whole", "백업 후 다시 읽어 온전함을 확인"), {
        "taken": Case(PASS, Text("{name}: {size}, {rows} rows or keys, {seconds} s",
                                 "{name}: {size}, 행(키) {rows}개, {seconds}초")),
        "would-take": Case(PASS, Text("would be taken: {name}, about {size}", "실행하면 만들 백업: {name}, 약 {size}")),
        "other-data": Case(FAIL, Text("this is another database than the last backup's: {what} was {before}, is {now}. "
                                      "Nothing was taken or deleted",
                                      "마지막 백업과 다른 데이터베이스입니다: {what} 이전 {before}, 지금 {now}. "
                                      "백업도 삭제도 하지 않았습니다"), _ACCEPT),
        "empty": Case(FAIL, Text("kept as suspect: everything is gone; {rows_before} rows or keys in {last}, none now",
                                 "의심 백업으로 보관: 데이터가 비어 있음({last}: {rows_before}개)"), _ACCEPT),
        "vanished": Case(FAIL, Text("kept as suspect: emptied or gone since {last}: {tables}",
                                    "의심 백업으로 보관: {last} 이후 비었거나 없어짐: {tables}"), _ACCEPT),
        "shrunk": Case(FAIL, Text("kept as suspect: {rows} rows or keys, {rows_before} in {last}",
                                  "의심 백업으로 보관: 행(키) {rows}개, {last}에는 {rows_before}개"), _ACCEPT),
        "smaller": Case(FAIL, Text("kept as suspect: {size}, {size_before} in {last}",
                                   "의심 백업으로 보관: {size}, {last}은(는) {size_before}"), _ACCEPT),
        "no-room": Case(FAIL, Text("{needed} are needed in {directory}, {free} are free",
                                   "{directory}에 {needed} 필요, 남은 공간 {free}"),
                        Text("make room: docker image prune, old logs, or a larger disk",
                             "공간을 확보하세요: docker image prune, 오래된 로그 정리, 디스크 증설")),
        "directory": Case(FAIL, Text("{directory} cannot be used: {said}", "{directory}을(를) 쓸 수 없음: {said}"),
                          Text("it must be a directory of this host's own disk that root can write to",
                               "root가 쓸 수 있는 이 호스트의 실제 디렉터리여야 합니다")),
        **ENGINE_CASES, **archive.CASES, **backup_journal.CASES, **backup_lock.CASES, **container.CASES,
    }),
    Rule("backup-retention", Text("retention", "보관"), Text("{daily} days and {weekly} weeks",
                                                           "일간 {daily}일, 주간 {weekly}주"), {
        "kept": Case(PASS, Text("{kept} kept, nothing to delete", "{kept}개 보관, 삭제할 것 없음")),
        "deleted": Case(PASS, Text("{kept} kept, deleted: {names}", "{kept}개 보관, 삭제함: {names}")),
        "unrecorded": Case(WARN, Text("nothing is deleted: what rehearsals have proven was lost with {path}",
                                      "삭제하지 않음: {path} 손상으로 리허설 기록이 사라짐"),
                           Text("rehearse (sudo coinpilot-ops restore-rehearsal {subject}), then delete that file",
                                "리허설(sudo coinpilot-ops restore-rehearsal {subject}) 후 그 파일을 지우세요")),
        "would-delete": Case(PASS, Text("{kept} would be kept, deleted: {names}",
                                        "실행하면 {kept}개 보관, 삭제 대상: {names}")),
    }),
)


def run(description: Mapping[str, Any], target: str, dry_run: bool = False, accept_change: bool = False,
        tell: Callable[[Text], None] = lambda text: None, engine: Optional[Engine] = None) -> List[Finding]:
    """Takes a backup of a target, or says what it would do. Never raises for what a backup can meet."""
    taking = Taking(Job(description, target, engine or Engine()), accept_change=accept_change)
    if dry_run:
        return taking.foretell()
    try:
        with backup_lock.hold(description, "backup", target, tell):
            return taking.take_and_report()
    except (BackupError, OSError) as problem:
        error = error_of(problem, description["backup_directory"])
        found = [finding_of(error, target)]
        # One that hangs would keep every later one from being taken, and nobody would hear of it.
        return found + taking.report(None, found) if error.case == "hangs" else found


def take_safety(job: Job) -> Backup:
    """The backup before a restore, under the lock of the caller. Raises BackupError."""
    return Taking(job, kind="safety", accept_change=True).take()


def error_of(problem: Exception, directory: str) -> BackupError:
    """What the engine or the system said, as one of the cases that are told."""
    if isinstance(problem, BackupError):
        return problem
    if isinstance(problem, OSError):
        return BackupError("directory", directory=problem.filename or directory, said=problem.strerror or str(problem))
    return BackupError("no-engine", said=str(problem))


def finding_of(problem: BackupError, target: str, rule: Rule = RULES["backup"]) -> Finding:
    return rule.finding(problem.case, target, command=COMMAND, **problem.values)


class Taking:
    """One backup of one target."""

    def __init__(self, job: Job, kind: str = "daily", accept_change: bool = False):
        self.job = job
        self.accept_change = accept_change
        self.kind = kind
        self.stack: str = job.description["name"]
        self.root: str = job.description["backup_directory"]
        self.state: str = job.description["state_directory"]
        self.where = backup_store.directory(self.root, job.target, kind)
        self.keep: Mapping[str, int] = job.description["backup"]["keep"]
        self.code = ENGINES[job.service["engine"]]

    # What run does ----------------------------------------------------------------------------------------------

    def take_and_report(self) -> List[Finding]:
        """The backup, what is deleted for it, and what others are told of it."""
        notes = self._announce()
        taken: Optional[Backup] = None
        try:
            backup_journal.refuse_unfinished(self.job.description, self.job.target)
            taken = self.take()
            outcome = [self._finding(case, **self._seen(taken)) for case in manifest_of(taken)["suspect"]]
            prune = not outcome
            outcome = outcome or [self._finding("taken", **self._seen(taken))]
        except BackupError as problem:
            prune = problem.case in _WANT_OF_ROOM
            outcome = [finding_of(problem, self.job.target)]
        except BaseException:
            # A mistake of our own, or an end from outside: whoever waits for this backup is to hear that there is none.
            self.report(None, [])
            raise
        if prune:
            outcome.append(self._retain(taken))
        return outcome + notes + self.report(taken, outcome)

    def _announce(self) -> List[Finding]:
        found = backup_state.record_attempt(self.state, self.job.target, time.time())
        return found + self._ping("start")

    def report(self, taken: Optional[Backup], outcome: List[Finding]) -> List[Finding]:
        """State, metrics and ping. What cannot be delivered is a warning beside the outcome."""
        target, now = self.job.target, time.time()
        good = taken is not None and not manifest_of(taken)["suspect"]
        if taken is not None and good:
            found = backup_state.record_success(self.state, target, now, manifest_of(taken))
        else:
            found = backup_state.record_failure(self.state, target, now, outcome, suspect=taken is not None)
        try:
            backups = self._listing()
        except OSError:
            # The outcome tells of a disk that cannot be read, and must get out.
            backups = []
        found += backup_state.write_metrics(self.state, self.stack, target, backups)
        return found + self._ping("success" if good and not problems(outcome) else "failure")

    def _ping(self, event: str) -> List[Finding]:
        env = files.read_text(os.path.join(self.job.description["directory"], ".env")) or ""
        url = backup_state.ping_url(dotenv.parse(env), self.job.target)
        undelivered = backup_state.ping(url, event) if url else None
        return [undelivered] if undelivered else []

    def foretell(self) -> List[Finding]:
        """What a backup would meet and what it would delete. Changes nothing."""
        try:
            self._check_directories()
            source = self.code.identify(self.job)
            last = self.last_good()
            self._refuse_other_data(source, last)
            needed = self._needed(source, last)
            self._refuse_lack_of_room(needed)
            going = self._going()
        except (BackupError, EngineError, OSError) as problem:
            return [finding_of(error_of(problem, self.where), self.job.target)]
        name = backup_store.name(self.stack, self.job.target, time.time())
        return [self._finding("would-take", name=name, size=size_text(needed - RESERVE - source.staged)),
                self._retention("would-delete" if going else "kept", going)]

    # Taking -----------------------------------------------------------------------------------------------------

    def take(self) -> Backup:
        """Takes a backup and gives it its name; it may be a suspect one. Raises BackupError."""
        try:
            self._make_directories()
            begun, clock = time.time(), time.monotonic()
            source = self.code.identify(self.job)
            last = self.last_good()
            self._refuse_other_data(source, last)
            needed = self._needed(source, last)
            if self._free() < needed:
                # What is due to go makes room for what is to come.
                self._delete()
            self._refuse_lack_of_room(needed)
            name = self._unused_name(begun)
            way = archive.best()
            taken = self.code.take(self.job, os.path.join(self.where, name), way, source)
            manifest = self._manifest(name, begun, time.monotonic() - clock, source, taken, way, last)
            backup_store.publish(self.where, manifest, taken.files)
            return next(backup for backup in self._listing() if (backup.kind, backup.name) == (self.kind, name))
        except (EngineError, OSError) as problem:
            raise error_of(problem, self.where) from problem
        finally:
            self._clear()

    def last_good(self) -> Optional[Backup]:
        """What a new one is compared with."""
        return next((backup for backup in self._listing() if backup.kind != "safety" and backup_store.is_good(backup)),
                    None)

    def _check_directories(self) -> None:
        for path in (self.root, os.path.join(self.root, self.job.target), self.where):
            if os.path.islink(path) or (os.path.lexists(path) and not os.path.isdir(path)):
                raise BackupError("directory", directory=path, said=os.strerror(errno.ENOTDIR))

    def _make_directories(self) -> None:
        self._check_directories()
        for path in (self.root, os.path.join(self.root, self.job.target), self.where):
            files.make_directory(path, 0o700)
        self._clear()

    def _clear(self) -> None:
        """What a run left that did not end well; this one's own, too."""
        for kind in backup_store.KINDS:
            where = backup_store.directory(self.root, self.job.target, kind)
            if os.path.isdir(where) and not os.path.islink(where):
                backup_store.clear_leftovers(where)

    def _refuse_other_data(self, source: Source, last: Optional[Backup]) -> None:
        if last is None or self.accept_change:
            return
        for what, before in manifest_of(last)["identity"].items():
            now = source.identity.get(what, "-")
            if now != before:
                raise BackupError("other-data", what=what, before=before, now=now)

    def _needed(self, source: Source, last: Optional[Backup]) -> int:
        """Bytes that must be free before it begins."""
        ratio = _GUESSED_RATIO
        if last is not None:
            main = manifest_of(last)["files"][0]
            ratio = main["size"] / max(main["raw_size"], 1)
        return int(source.estimate * ratio * 1.2) + source.staged + RESERVE

    def _free(self) -> int:
        where = self.where
        while not os.path.isdir(where):
            where = os.path.dirname(where)
        status = os.statvfs(where)
        return status.f_bavail * status.f_frsize

    def _refuse_lack_of_room(self, needed: int) -> None:
        free = self._free()
        if free < needed:
            raise BackupError("no-room", needed=size_text(needed), free=size_text(free), directory=self.where)

    def _unused_name(self, moment: float) -> str:
        """A clock that was set back may come by the same second twice."""
        taken = {backup.name for backup in self._listing()}
        while backup_store.name(self.stack, self.job.target, moment) in taken:
            moment += 1
        return backup_store.name(self.stack, self.job.target, moment)

    def _manifest(self, name: str, begun: float, seconds: float, source: Source, taken: Taken,
                  way: archive.Compression, last: Optional[Backup]) -> Dict[str, Any]:
        suspect = [] if last is None or self.accept_change else judge_content(taken, manifest_of(last))
        return {
            "format": backup_store.FORMAT, "stack": self.stack, "project": self.job.description["project"],
            "target": self.job.target, "engine": self.job.service["engine"], "name": name,
            "host": {"name": socket.gethostname(), "machine_id": machine_id()},
            "started_at": utc(begun), "finished_at": utc(time.time()), "seconds": round(seconds, 1),
            "files": [file._asdict() for file in taken.files], "compression": way.label,
            "identity": source.identity, "versions": source.versions, "counts": taken.counts,
            "live_size": source.estimate,
            "details": taken.details, "suspect": suspect, "accepted": self.accept_change,
            "compared_with": last.name if last else None,
        }

    # Retention --------------------------------------------------------------------------------------------------

    def _retain(self, taken: Optional[Backup]) -> Finding:
        try:
            weekly = backup_store.directory(self.root, self.job.target, "weekly")
            if taken is not None and backup_retention.promote(self._listing(), taken):
                files.make_directory(weekly, 0o700)
                backup_store.link(taken, weekly)
            gone = self._delete()
            damaged = backup_state.damaged(self.state, self.job.target)
            if damaged:
                return RULES["backup-retention"].finding("unrecorded", self.job.target, path=damaged, **self.keep)
        except OSError as problem:
            return self._finding("directory", directory=problem.filename or self.where,
                                 said=problem.strerror or str(problem))
        return self._retention("deleted" if gone else "kept", gone)

    def _decisions(self) -> List[backup_retention.Decision]:
        backups = self._listing()
        state, _found = backup_state.load(self.state, self.job.target)
        proven = backup_state.newest_proven(state, backups)
        return backup_retention.plan(backups, self.keep, proven, time.time())

    def _going(self) -> List[Backup]:
        """What is due to be deleted. Nothing, while it is not known what rehearsals have proven."""
        if backup_state.damaged(self.state, self.job.target):
            return []
        return [decision.backup for decision in self._decisions() if not decision.kept]

    def _delete(self) -> List[Backup]:
        gone = self._going()
        for backup in gone:
            backup_store.remove(backup)
        return gone

    def _retention(self, case: str, gone: List[Backup]) -> Finding:
        kept = len([decision for decision in self._decisions() if decision.kept])
        return RULES["backup-retention"].finding(case, self.job.target, kept=kept,
                                                 names=", ".join(backup.name for backup in gone), **self.keep)

    def _listing(self) -> List[Backup]:
        return backup_store.listing(self.root, self.job.target, self.stack)

    # Words ------------------------------------------------------------------------------------------------------

    def _finding(self, case: str, **values: Any) -> Finding:
        return RULES["backup"].finding(case, self.job.target, command=COMMAND, **values)

    def _seen(self, taken: Backup) -> Dict[str, Any]:
        """What every case about a backup that was taken may tell."""
        manifest = manifest_of(taken)
        seen = {"name": taken.name, "size": size_text(total_size(manifest)), "rows": sum(manifest["counts"].values()),
                "seconds": manifest["seconds"]}
        last = next((backup for backup in self._listing() if backup.name == manifest["compared_with"]), None)
        if last is not None:
            before = manifest_of(last)
            seen.update(last=last.name, rows_before=sum(before["counts"].values()),
                        size_before=size_text(total_size(before)),
                        tables=", ".join(vanished(manifest["counts"], before["counts"])))
        return seen


def judge_content(taken: Taken, before: Mapping[str, Any]) -> List[str]:
    """What makes a backup suspect: cases of the rule `backup`. ``before`` is the last good one's manifest."""
    rows, rows_before = sum(taken.counts.values()), sum(before["counts"].values())
    if rows_before and not rows:
        return ["empty"]
    suspect: List[str] = []
    if vanished(taken.counts, before["counts"]):
        suspect.append("vanished")
    elif rows_before >= SMALL_ROWS and rows < SHRUNK * rows_before:
        suspect.append("shrunk")
    size, size_before = taken.files[0].raw_size, before["files"][0]["raw_size"]
    if not suspect and size_before >= SMALL_BYTES and size < SHRUNK * size_before:
        suspect.append("smaller")
    return suspect


def vanished(counts: Mapping[str, int], before: Mapping[str, int]) -> List[str]:
    """What held many rows and holds none now. However much the others hold: trades are few beside candles."""
    return [name for name, rows in sorted(before.items()) if rows >= SMALL_ROWS and not counts.get(name)]


def total_size(manifest: Mapping[str, Any]) -> int:
    """Bytes of all data files."""
    return sum(file["size"] for file in manifest["files"])


def machine_id() -> str:
    return (files.read_text("/etc/machine-id") or "").strip()


def utc(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))
