# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Restoring a backup for real: checked before anything is touched, confirmed, and finished by running it again.

What stands at any moment: before the journal is written, nothing has been touched. While its stage is `restore`, the
data is the old or the new whole, or, where data is files, what an engine's next run sets aside; a host that starts
anew then starts every service with it. While its stage is `start`, the data is the backup's. What was there before is
in the safety backup, and the engine keeps it aside as well.
"""

from __future__ import annotations

import os
import socket
import time
from typing import Any, Callable, Dict, Iterable, List, Mapping, NamedTuple, Optional, Tuple

from . import (
    backup,
    backup_choice,
    backup_compare,
    backup_engines,
    backup_journal,
    backup_list,
    backup_lock,
    backup_rehearsal,
    health,
    watch,
)
from .backup_errors import BackupError
from .backup_job import Job, Restored
from .backup_journal import RESTORE, START, Journal
from .backup_store import Backup
from .engine import Engine, EngineError
from .findings import FAIL, NOTHING, PASS, Case, Finding, Rule, Text, problems, table

# Seconds: longer than any service's grace period; until all that was started is healthy.
STOP_SECONDS, HEALTHY_SECONDS = 180.0, 300.0
_PAUSE = 1.0

Tell = Callable[[Text], None]
# Shows what is going to happen, and gives what the person answers: it must be the host's name.
Confirm = Callable[[Text], str]

_GO_ON = Text("{fix}. Then finish it: {again}{or_back}", "{fix}. 그다음 마무리하세요: {again}{or_back}")

RULES = table(
    Rule("restore", Text("restore", "복구"), Text("the backup's data, and all services healthy",
                                                "백업의 데이터로 모든 서비스가 정상"), {
        **backup_rehearsal.RULES["rehearsal"].cases,
        "not-confirmed": Case(FAIL, Text("not confirmed: '{given}' is not this host's name; nothing was changed",
                                         "확인되지 않음: '{given}'은(는) 이 호스트의 이름이 아님. 바뀐 것은 없음"),
                              Text("to go on: {again} --confirm {host}", "계속하려면: {again} --confirm {host}")),
        "no-safety": Case(FAIL, Text("the present data cannot be backed up, so nothing was changed: {why}",
                                     "현재 데이터를 백업할 수 없어 아무것도 바꾸지 않음: {why}"),
                          Text("{fix}. If the present data is of no use, add: --without-safety-backup",
                               "{fix}. 현재 데이터가 필요 없다면 다음을 붙이세요: --without-safety-backup")),
        "kept": Case(FAIL, Text("not restored; the data is what it was, and the services run: {why}",
                                "복구하지 못함. 데이터는 이전 그대로이고 서비스는 실행 중: {why}"),
                     Text("{fix}", "{fix}")),
        "half": Case(FAIL, Text("broke off; the data of {service} may be neither the old nor the new, and these stay "
                                "stopped: {stopped}; {why}",
                                "중단됨. {service} 데이터가 이전 것도 새것도 아닐 수 있어 다음 서비스는 멈춰 둠: "
                                "{stopped}; {why}"), _GO_ON),
        "not-started": Case(FAIL, Text("{name} is restored, but not all that was stopped could be started: {why}",
                                       "{name} 복구는 끝났지만 멈춘 서비스를 시작하지 못함: {why}"), _GO_ON),
        "unhealthy": Case(FAIL, Text("{name} is restored, but not all services are healthy: {conditions}",
                                     "{name} 복구는 끝났지만 정상이 아닌 서비스가 있음: {conditions}"),
                          Text("see why: docker logs --tail 100 {container}; what was there before: {kept}",
                               "원인 확인: docker logs --tail 100 {container}; 이전 데이터: {kept}")),
        "restored": Case(PASS, Text("{name}: all {rows} rows or keys as in the manifest, {seconds} s. {next}",
                                    "{name}: 행(키) {rows}개 모두 manifest와 같음, {seconds}초. {next}")),
        "restored-old": Case(PASS, Text("{name}: {rows} rows or keys, {seconds} s; of an old format, which does not "
                                        "tell how many there should be. {next}",
                                        "{name}: 행(키) {rows}개, {seconds}초. 이전 형식이라 비교 기록 없음. {next}")),
        "finished": Case(PASS, Text("{name} had been restored already; the services run. {next}",
                                    "{name}은(는) 이미 복구되어 있었음. 서비스 실행 확인. {next}")),
    }),
)

_TOLD = {
    "ask": Text("The data of {target} ({service}) on {host} will be replaced by {name}, taken at {when}. {stopped}",
                "{host}의 {target}({service}) 데이터를 {name}({when})(으)로 바꿉니다. {stopped}"),
    "stops": Text("Stopped meanwhile: {services}.", "그동안 멈추는 서비스: {services}."),
    "again": Text("A restore of {name} was begun at {begun} and cut off; this one goes on with it",
                  "{begun}에 시작한 {name} 복구가 중단되었으므로 이어서 진행"),
    "bytes": Text("reading {name}", "{name} 읽는 중"),
    "safety": Text("taking the safety backup", "복구 전 안전 백업 중"),
    "stop": Text("stopping {service}", "{service} 멈추는 중"),
    "restore": Text("restoring {name}", "{name} 복구 중"),
    "start": Text("starting {service}", "{service} 시작 중"),
    "how": Text("To restore one: sudo {command} restore {target} NAME\n",
                "복구하려면: sudo {command} restore {target} 이름\n"),
}
_NO_SAFETY = Text("no safety backup", "안전 백업 없음")
# A backup of older data may hold much less than the last one did.
_NEXT = Text("What was there before: {kept}. Take a backup of it now: sudo {command} backup {target} --accept-change",
             "이전 데이터: {kept}. 지금 새로 백업하세요: sudo {command} backup {target} --accept-change")


class Wish(NamedTuple):
    """What a person asks for. ``root`` is another directory of backups, ``from_host`` the lost host they are of."""

    target: str
    name: str
    root: str = ""
    from_host: str = ""
    accept_suspect: bool = False
    without_safety_backup: bool = False


def listing(description: Mapping[str, Any], target: str, root: str = "") -> Tuple[List[Finding], Text, List[Any]]:
    """What could be restored, newest first: findings, a text, and the rows."""
    where = dict(description, backup_directory=root or description["backup_directory"])
    rows, found = backup_list.rows(where, [target])
    how = _TOLD["how"].fill(command=backup.COMMAND, target=target) if rows else NOTHING
    shown = backup_list.render(rows)
    return found, Text(shown.en + how.en, shown.ko + how.ko), rows


def run(description: Mapping[str, Any], wish: Wish, confirm: Confirm, tell: Tell = lambda text: None,
        engine: Optional[Engine] = None) -> List[Finding]:
    """Restores a backup. Never raises for what that can meet."""
    job = Job(description, wish.target, engine or Engine())
    root = os.path.abspath(wish.root) if wish.root else description["backup_directory"]
    try:
        _ask(job, _choose(job, wish, root), _again(wish, root), confirm)
        with backup_lock.hold(description, "restore", wish.target, tell), backup_lock.no_deploy(description):
            # Chosen again: while this one waited for its turn, another may have deleted it.
            found = _Restore(job, _choose(job, wish, root), root, _again(wish, root), tell).run(
                wish.without_safety_backup)
    except (BackupError, EngineError, OSError) as problem:
        return [_stopped(problem, wish.target, root)]
    if problems(found):
        return found
    reason = watch.RESTORED.fill(target=wish.target, name=wish.name)
    begun = watch.begin(description, reason, job.engine)
    return found if begun.status == PASS else [*found, begun]


def _again(wish: Wish, root: str) -> str:
    """The command that restores the same."""
    options = ["--from", root] if wish.root else []
    options += ["--from-host", wish.from_host] if wish.from_host else []
    options += ["--accept-suspect"] if wish.accept_suspect else []
    return backup_journal.command_line(wish.target, wish.name, *options)


def _choose(job: Job, wish: Wish, root: str) -> Backup:
    chosen = backup_choice.named(job.description, wish.target, root, wish.name)
    backup_choice.refuse_foreign(chosen, job.description, backup.machine_id(), wish.from_host)
    if not wish.accept_suspect:
        backup_choice.refuse_suspect(chosen)
    return chosen


def _ask(job: Job, chosen: Backup, again: str, confirm: Confirm) -> None:
    host = socket.gethostname()
    writers = _writers(job)
    stopped = _TOLD["stops"].fill(services=", ".join(writers)) if writers else NOTHING
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(chosen.taken_at))
    given = confirm(_TOLD["ask"].fill(target=job.target, service=job.service_name, host=host, name=chosen.name,
                                      when=when, stopped=stopped)).strip()
    if given != host:
        raise BackupError("not-confirmed", given=given, host=host, again=again)


def _writers(job: Job) -> List[str]:
    return list(job.description["backup"]["targets"][job.target]["writers"])


def _stopped(problem: Exception, target: str, directory: str) -> Finding:
    """What stopped a restore, as a finding."""
    return backup.finding_of(backup.error_of(problem, directory), target, RULES["restore"])


class _Restore:
    """One restore, under its locks."""

    def __init__(self, job: Job, chosen: Backup, root: str, again: str, tell: Tell):
        self.job = job
        self.chosen = chosen
        self.root = root
        self.again = again
        self.tell = tell
        self.clock = time.monotonic()
        self.before: Dict[str, health.Condition] = {}
        self.code = backup_engines.ENGINES[job.service["engine"]]
        self.in_server = job.service["engine"] in backup_engines.IN_SERVER

    def run(self, without_safety: bool) -> List[Finding]:
        earlier = backup_journal.read(self.job.description, self.job.target)
        if earlier is not None:
            self._say("again", name=earlier.name, begun=earlier.begun)
            if earlier.stage == START and (earlier.name, earlier.root) == (self.chosen.name, self.root):
                return self._finish(earlier, None)
        self._prove()
        # Data that a cut-off run has begun to replace is nothing to save; what was there before it is saved already.
        begun = earlier is not None and earlier.stage == RESTORE
        safety = earlier.safety if earlier is not None and begun else self._take_safety(without_safety)
        stopping = self._running(_writers(self.job))
        journal = Journal(self.job.target, self.chosen.name, self.root, self.again, RESTORE, safety,
                          _merged(earlier.stopped if earlier else [], stopping), backup.utc(time.time()))
        backup_journal.write(self.job.description, journal)
        return self._replace(journal, begun)

    def _prove(self) -> None:
        """All that can be known before anything is touched."""
        where = self.job.container(running=self.in_server)
        self._say("bytes", name=self.chosen.name)
        backup_choice.require_bytes(self.chosen, self.job.description, self.root)
        size = backup_choice.unpacked_size(self.chosen)
        # Files lie in either place twice: once more for the program that opens them to prove them.
        backup_choice.require_room([(where.directory, size)] if self.in_server else [
            (where.directory, 2 * size), (self.job.description["backup_directory"], 2 * size)])

    def _take_safety(self, without: bool) -> str:
        if without:
            return ""
        self._say("safety")
        try:
            return backup.take_safety(self.job).name
        except (BackupError, EngineError) as problem:
            found = _stopped(problem, self.job.target, self.root)
            raise BackupError("no-safety", why=found.seen, fix=found.fix) from problem

    def _replace(self, journal: Journal, begun: bool) -> List[Finding]:
        before = self._started()
        # Crashes of last week are none of this restore's.
        self.before = {name: health.condition(container) for name, container in self._containers().items()}
        try:
            for service in self._running(journal.stopped):
                self._say("stop", service=service)
                self._switch(service, "stop")
            self._say("restore", name=self.chosen.name)
            restored = self.code.restore(self.job, self.chosen, lambda line: self.tell(Text(line, line)))
            self._compare(restored)
        except (BackupError, EngineError, OSError) as problem:
            return self._give_up(journal, _stopped(problem, self.job.target, self.root), before, begun)
        return self._finish(journal, restored)

    def _compare(self, restored: Restored) -> None:
        manifest = self.chosen.manifest
        found = backup_compare.differences(manifest, restored) if manifest is not None else []
        if found:
            raise BackupError("differs", name=self.chosen.name, differences=backup_rehearsal.listed(found))

    def _give_up(self, journal: Journal, why: Finding, before: str, begun: bool) -> List[Finding]:
        """Services are started again only with whole data; a journal stays where there is something to finish."""
        values = {"why": why.seen, "fix": why.fix, "service": self.job.service_name,
                  "stopped": ", ".join(journal.stopped) or "-", **backup_journal.ways_on(journal)}
        try:
            # Files are put in place while their service is stopped: one that has run all along has what it had.
            if not self.in_server and (begun or not before or self._started() != before):
                return [self._finding("half", **values)]
            self._start(journal)
        except EngineError:
            return [self._finding("half", **values)]
        backup_journal.remove(self.job.description, self.job.target)
        return [self._finding("kept", **values)]

    def _finish(self, journal: Journal, restored: Optional[Restored]) -> List[Finding]:
        """The data is the backup's: all that was stopped is started, and the journal has done its work."""
        journal = journal._replace(stage=START)
        backup_journal.write(self.job.description, journal)
        kept = journal.safety or _NO_SAFETY
        try:
            self._start(journal)
            sick = self._wait_healthy(_merged([self.job.service_name], journal.stopped))
        except EngineError as problem:
            why = _stopped(problem, self.job.target, self.root)
            return [self._finding("not-started", name=self.chosen.name, why=why.seen, fix=why.fix,
                                  **backup_journal.ways_on(journal))]
        backup_journal.remove(self.job.description, self.job.target)
        if sick:
            container = self.job.description["services"][next(iter(sick))]["container"]
            return [self._finding("unhealthy", name=self.chosen.name, kept=kept, container=container,
                                  conditions=", ".join("%s %s" % pair for pair in sick.items()))]
        next_step = _NEXT.fill(kept=kept, command=backup.COMMAND, target=self.job.target)
        case = ("finished" if restored is None else "restored-old" if self.chosen.manifest is None else "restored")
        return [self._finding(case, name=self.chosen.name, next=next_step,
                              rows=sum(restored.counts.values()) if restored else 0,
                              seconds=round(time.monotonic() - self.clock, 1))]

    def _finding(self, case: str, **values: Any) -> Finding:
        return RULES["restore"].finding(case, self.job.target, command=backup.COMMAND, **values)

    # Services ---------------------------------------------------------------------------------------------------

    def _containers(self) -> Mapping[str, Mapping[str, Any]]:
        return health.by_service(self.job.engine.containers(self.job.description["project"]))

    def _running(self, services: Iterable[str]) -> List[str]:
        containers = self._containers()
        return [name for name in services
                if name in containers and containers[name]["State"]["Status"] in ("running", "restarting", "paused")]

    def _started(self) -> str:
        """When the target's own service was started; "" for one that does not run."""
        shown = self._containers().get(self.job.service_name)
        return shown["State"]["StartedAt"] if shown is not None and shown["State"]["Running"] else ""

    def _start(self, journal: Journal) -> None:
        containers = self._containers()
        for service in journal.stopped:
            if service in containers:
                self._say("start", service=service)
                self._switch(service, "start")

    def _switch(self, service: str, verb: str) -> None:
        Engine(self.job.engine.path, STOP_SECONDS).request(
            "POST", "/containers/%s/%s" % (self._containers()[service]["Id"], verb))

    def _wait_healthy(self, services: List[str]) -> Dict[str, health.Condition]:
        """Those that are not healthy when all have come to an end of it, or the time is over."""
        deadline = time.monotonic() + HEALTHY_SECONDS
        while True:
            containers = self._containers()
            now = {name: health.condition(containers.get(name)) for name in services}
            states = {name: health.progress(condition, self.before.get(name), up_finished=True)
                      for name, condition in now.items()}
            if health.PENDING not in states.values() or time.monotonic() > deadline:
                return {name: now[name] for name, state in states.items() if state != health.HEALTHY}
            time.sleep(_PAUSE)

    def _say(self, what: str, **values: Any) -> None:
        self.tell(_TOLD[what].fill(**values))


def _merged(*lists: Iterable[str]) -> List[str]:
    return list(dict.fromkeys(name for part in lists for name in part))
