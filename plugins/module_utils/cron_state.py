# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Does cron run, does its table hold the described jobs, and did each of them run when it was due, and well?

`gather` reads the host, `judge` is pure. cron says nowhere that it passes over a table or a line.
"""

from __future__ import annotations

import os
import stat
import time
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from . import backup_history, backup_state, cron, files, units
from .checklist_context import Context
from .findings import DEPLOY, FAIL, PASS, UNKNOWN, Case, Finding, Rule, Text, table

TABLES = "/etc/cron.d"
COMMAND = "/usr/local/bin/coinpilot-ops"
# Debian's and Ubuntu's name, and that of others.
DAEMONS = ("cron.service", "crond.service")
DEFAULTS: Mapping[str, Any] = {"grace_hours": backup_history.GRACE_HOURS}

_AS_ROOT = Text("run it again as root: sudo coinpilot-ops verify; if it stays so, look for errors of the disk: sudo "
                "dmesg --level=err,warn | tail",
                "root로 다시 실행하세요: sudo coinpilot-ops verify. 계속되면 디스크 오류를 확인하세요: sudo dmesg "
                "--level=err,warn | tail")
# A moment so far ahead is no matter of two clocks that differ a little: whatever it is compared with, it says nothing.
_AHEAD = 120
FUTURE = Case(UNKNOWN, Text("dated in the future ({at})", "미래 시각으로 기록됨({at})"),
              Text("check the clock: timedatectl; when it is right, run it again: {again}",
                   "시계를 확인하세요: timedatectl. 시계가 맞으면 다시 실행하세요: {again}"))
SCHEDULE = Case(UNKNOWN, Text("its schedule '{schedule}' never comes", "'{schedule}'은(는) 오지 않는 시각"),
                Text("set another one in the inventory, and deploy: ansible-playbook site.yml",
                     "인벤토리에서 다른 시각으로 바꾼 뒤 배포하세요: ansible-playbook site.yml"))

RULES = table(
    Rule("cron", Text("cron", "cron"), Text("runs, now and after a reboot", "지금 실행 중이고 재부팅 후에도 실행됨"), {
        "runs": Case(PASS, Text("{state}", "{state}")),
        "not": Case(FAIL, Text("{state}", "{state}"),
                    Text("sudo systemctl enable --now {subject}; if it fails: sudo journalctl -u {subject} -n 50",
                         "sudo systemctl enable --now {subject}. 실패하면: sudo journalctl -u {subject} -n 50")),
        "absent": Case(FAIL, Text("not installed", "설치되지 않음"), DEPLOY),
    }, _AS_ROOT),
    Rule("cron-table", Text("cron's table", "cron 테이블"),
         Text("there, and one that cron reads", "파일이 있고 cron이 읽을 수 있음"), {
        "read": Case(PASS, Text("{count} jobs, as described", "작업 {count}개가 설명대로임")),
        "missing": Case(FAIL, Text("is not there: none of its jobs runs", "없음: 예약 작업이 하나도 실행되지 않음"),
                        DEPLOY),
        "owner": Case(FAIL, Text("not root's own: cron passes over it", "root 소유가 아니어서 cron이 무시함"),
                      Text("sudo chown root:root {subject}", "sudo chown root:root {subject}")),
        "mode": Case(FAIL, Text("mode {mode}: cron passes over what others may write",
                                "권한 {mode}: 다른 사용자가 쓸 수 있는 파일은 cron이 무시함"),
                     Text("sudo chmod 644 {subject}", "sudo chmod 644 {subject}")),
        "form": Case(FAIL, Text("no plain file: cron passes over it", "일반 파일이 아니어서 cron이 무시함"), DEPLOY),
        "cut": Case(FAIL, Text("its last line does not end: cron passes over the file",
                               "마지막 줄에 줄바꿈이 없어 cron이 파일을 무시함"), DEPLOY),
    }, _AS_ROOT),
    Rule("cron-job", Text("cron job", "예약 작업"), Text("{schedule} {command}", "{schedule} {command}"), {
        "missing": Case(FAIL, Text("not in {table}", "{table}에 없음"), DEPLOY),
        "other-time": Case(FAIL, Text("at {actual}, not as described", "{actual}: 설명과 다른 시각"), DEPLOY),
        "other-user": Case(FAIL, Text("runs as {actual}, not as root", "root가 아니라 {actual}(으)로 실행됨"), DEPLOY),
    }),
    Rule("cron-command", Text("command", "명령"), Text("a file that root can run", "root가 실행할 수 있는 파일"), {
        "runs": Case(PASS, Text("executable", "실행 가능")),
        "missing": Case(FAIL, Text("is not there", "없음"), DEPLOY),
        "not-executable": Case(FAIL, Text("mode {mode}: cannot be run", "권한 {mode}: 실행할 수 없음"),
                               Text("sudo chmod 755 {subject}", "sudo chmod 755 {subject}")),
    }, _AS_ROOT),
    Rule("cron-run", Text("last run of", "마지막 실행"), Text("in time, and well", "제때 실행되고 성공"), {
        "well": Case(PASS, Text("{at}, the next at {next}", "{at}. 다음: {next}")),
        "waiting": Case(PASS, Text("none yet; due at {next}", "아직 없음. 예정: {next}")),
        "failed": Case(FAIL, Text("failed at {at}: {why}", "{at} 실패: {why}"),
                       Text("do it again: sudo coinpilot-ops backup {subject}; all that it said: tail -n 30 {log}",
                            "다시 실행: sudo coinpilot-ops backup {subject}. 자세한 내용: tail -n 30 {log}")),
        "late": Case(FAIL, Text("not since {due}; the last was begun at {at}",
                                "{due}에 실행되지 않음. 마지막 실행: {at}"),
                     Text("see whether cron started it: sudo journalctl -u cron --since '{due}' -n 50; then: sudo "
                          "coinpilot-ops backup {subject}",
                          "cron이 실행했는지 확인: sudo journalctl -u cron --since '{due}' -n 50. 그다음: sudo "
                          "coinpilot-ops backup {subject}")),
        "never": Case(FAIL, Text("never, and it was due at {due}", "{due}에 예정되었지만 한 번도 실행되지 않음"),
                      Text("see whether cron started it: sudo journalctl -u cron --since '{due}' -n 50; then: sudo "
                           "coinpilot-ops backup {subject}",
                           "cron이 실행했는지 확인: sudo journalctl -u cron --since '{due}' -n 50. 그다음: sudo "
                           "coinpilot-ops backup {subject}")),
        "cut-off": Case(FAIL, Text("begun at {at}, and it did not come to an end", "{at}에 시작되어 끝나지 않음"),
                        Text("is it still at work? tail -n 5 {log}; if not: sudo coinpilot-ops backup {subject}",
                             "아직 실행 중인지 확인: tail -n 5 {log}. 아니면: sudo coinpilot-ops backup {subject}")),
        "running": Case(PASS, Text("begun at {at}, at work", "{at} 시작, 실행 중")),
        "future": FUTURE,
        "schedule": SCHEDULE,
    }, Text("have it recorded anew: sudo coinpilot-ops backup {subject}",
            "새로 기록되게 하세요: sudo coinpilot-ops backup {subject}")),
)


class Job(NamedTuple):
    """One line of a table: when, as whom, and the command without what is done with its output."""

    schedule: str
    user: str
    command: str


class Table(NamedTuple):
    """A table of /etc/cron.d. ``text`` is None where there is none."""

    path: str
    text: Optional[str] = None
    form: int = stat.S_IFREG | 0o644
    owner: int = 0
    written_at: float = 0.0
    error: str = ""


class World(NamedTuple):
    """``commands``: path -> mode, None for what is not there, or the text of an error. ``states``: target -> state;
    ``unread``: target -> why that is not to be had."""

    daemons: List[Dict[str, str]]
    error: str
    tables: Mapping[str, Table]
    commands: Mapping[str, Any]
    states: Mapping[str, Mapping[str, Any]]
    unread: Mapping[str, str]
    utc_offset: int


def read(context: Context, options: Mapping[str, Any]) -> List[Finding]:
    """The reader of the checklist."""
    return judge(gather(context.description, context.now), context.description, context.now, {**DEFAULTS, **options})


# Reading -------------------------------------------------------------------------------------------------------------

def gather(description: Mapping[str, Any], now: float) -> World:
    error, daemons = "", []
    try:
        daemons = units.show(*DAEMONS)
    except units.Unread as problem:
        error = str(problem)
    tables = {path: read_table(path) for path in wanted(description)}
    commands = {job.command.split()[0]: _mode(job.command.split()[0])
                for jobs in wanted(description).values() for job in jobs}
    states, unread = {}, {}
    for target in description["backup"]["targets"]:
        states[target], found = backup_state.load(description["state_directory"], target)
        if found:
            unread[target] = found[0].seen.en
    return World(daemons, error, tables, commands, states, unread, time.localtime(now).tm_gmtoff)


def read_table(path: str) -> Table:
    try:
        text = files.read_text(path)
        if text is None:
            return Table(path)
        seen = os.lstat(path)
    except OSError as problem:
        return Table(path, error=problem.strerror or type(problem).__name__)
    return Table(path, text, seen.st_mode, seen.st_uid, seen.st_mtime)


def backup_table(description: Mapping[str, Any]) -> str:
    return os.path.join(TABLES, description["name"] + "-backup")


def _mode(path: str) -> Any:
    try:
        return os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as problem:
        return problem.strerror or type(problem).__name__


# Judging -------------------------------------------------------------------------------------------------------------

def wanted(description: Mapping[str, Any]) -> Dict[str, List[Job]]:
    """The jobs that a description asks for, by the table that holds them."""
    backup = description["backup"]
    jobs = [Job(settings["schedule"], "root", "%s/scripts/backup/%s_backup.sh" % (description["root"], target))
            for target, settings in backup["targets"].items()]
    jobs.append(Job(backup["rehearsal"]["schedule"], "root", COMMAND + " restore-rehearsal"))
    tables = {backup_table(description): jobs}
    offsite = backup.get("offsite")
    if offsite:
        tables[os.path.join(TABLES, description["name"] + "-offsite")] = [
            Job(offsite["schedule"], "root", COMMAND + " offsite copy"),
            Job(offsite["check_schedule"], "root", COMMAND + " offsite check")]
    return tables


def judge(world: World, description: Mapping[str, Any], now: float, options: Mapping[str, Any]) -> List[Finding]:
    found = [_judge_daemon(world)]
    for path, jobs in wanted(description).items():
        found += _judge_table(world.tables[path], jobs)
    found += [_judge_command(path, mode) for path, mode in world.commands.items()]
    written_at = world.tables[backup_table(description)].written_at
    for target, settings in description["backup"]["targets"].items():
        log = os.path.join(description["log_directory"], target + "-backup.log")
        found.append(_judge_run(target, settings["schedule"], world, written_at, now, log, options))
    return found


def _judge_daemon(world: World) -> Finding:
    if world.error:
        return RULES["cron"].unread(world.error)
    there = [unit for unit in world.daemons if unit.get("LoadState") == "loaded"]
    if not there:
        return RULES["cron"].finding("absent")
    good = units.runs(there[0])
    return RULES["cron"].finding("runs" if good else "not", there[0].get("Id", DAEMONS[0]), state=units.state(there[0]))


def _judge_table(seen: Table, jobs: Sequence[Job]) -> Iterator[Finding]:
    rule = RULES["cron-table"]
    if seen.error:
        yield rule.unread(seen.error, seen.path)
        return
    if seen.text is None:
        yield rule.finding("missing", seen.path)
        return
    case = ("form" if not stat.S_ISREG(seen.form) else "owner" if seen.owner != 0 else
            "mode" if seen.form & 0o022 else "cut" if not seen.text.endswith("\n") else "")
    if case:
        yield rule.finding(case, seen.path, mode="%04o" % stat.S_IMODE(seen.form))
        return
    there = list(jobs_of(seen.text))
    wrong = [finding for job in jobs for finding in _judge_job(job, there, seen.path)]
    yield from wrong
    if not wrong:
        yield rule.finding("read", seen.path, count=len(jobs))


def _judge_job(job: Job, there: Sequence[Job], path: str) -> Iterator[Finding]:
    same = [one for one in there if one.command == job.command]
    values = {"schedule": job.schedule, "command": job.command, "table": path}
    rule = RULES["cron-job"]
    if not same:
        yield rule.finding("missing", job.command, **values)
    elif all(one.schedule != " ".join(job.schedule.split()) for one in same):
        yield rule.finding("other-time", job.command, actual=same[0].schedule, **values)
    elif all(one.user != job.user for one in same):
        yield rule.finding("other-user", job.command, actual=same[0].user, **values)


def jobs_of(text: str) -> Iterator[Job]:
    """The jobs of a table of /etc/cron.d. What is done with a command's output is no part of it."""
    for line in text.splitlines():
        parts = line.split(None, len(cron.FIELDS) + 1)
        if len(parts) < len(cron.FIELDS) + 2 or line.lstrip().startswith("#") or "=" in parts[0]:
            continue
        command = parts[-1]
        for mark in ("2>", ">", "|", ";", "&"):
            command = command.partition(mark)[0]
        yield Job(" ".join(parts[:len(cron.FIELDS)]), parts[len(cron.FIELDS)], " ".join(command.split()))


def _judge_command(path: str, mode: Any) -> Finding:
    rule = RULES["cron-command"]
    if isinstance(mode, str):
        return rule.unread(mode, path)
    if mode is None:
        return rule.finding("missing", path)
    good = stat.S_ISREG(mode) and mode & 0o111
    return rule.finding("runs" if good else "not-executable", path, mode="%04o" % stat.S_IMODE(mode))


def _judge_run(target: str, schedule: str, world: World, written_at: float, now: float, log: str,
               options: Mapping[str, Any]) -> Finding:
    rule, state = RULES["cron-run"], world.states[target]
    if target in world.unread:
        return rule.unread(world.unread[target], target)
    try:
        due, following = due_times(schedule, now, world.utc_offset, options["grace_hours"])
    except ValueError:
        return rule.finding("schedule", target, schedule=schedule)
    begun = _at(state, "last_attempt")
    ended = max((moment for moment in (_at(state, "last_success"), _at(state, "last_failure")) if moment), default=None)
    values = {"at": shown(begun), "due": shown(due), "next": shown(following), "log": log}
    newest = max((moment for moment in (begun, ended) if moment is not None), default=None)
    if is_ahead(newest, now):
        return rule.finding("future", target, **{**values, "at": shown(newest)},
                            again="sudo coinpilot-ops backup " + target)
    # What was put in place after its time could not run at it.
    was_there = written_at <= due or written_at > now
    if begun is None:
        return rule.finding("never" if was_there else "waiting", target, **values)
    if ended is None or ended < begun:
        return rule.finding("running" if now - begun < options["grace_hours"] * 3600 else "cut-off", target, **values)
    if begun < due and was_there:
        return rule.finding("late", target, **values)
    if state.get("last_result") == "failure":
        return rule.finding("failed", target, **{**values, "at": shown(_at(state, "last_failure"))},
                            why=first_line(state.get("last_failure", {}).get("text")))
    return rule.finding("well", target, **values)


def due_times(schedule: str, now: float, utc_offset: float, grace_hours: float) -> Tuple[float, float]:
    """When it was due last, with so much time to be done, and when it is due next. ValueError for no schedule."""
    wrong = cron.problem("schedule", schedule)
    if wrong is not None:
        raise ValueError(wrong.line("en"))
    return (backup_history.last_due(schedule, now - grace_hours * 3600, utc_offset),
            backup_history.next_due(schedule, now, utc_offset))


def is_ahead(moment: Optional[float], now: float) -> bool:
    """Whether something bears a time that has not come."""
    return moment is not None and moment > now + _AHEAD


def shown(moment: Optional[float]) -> str:
    """A moment as the host's own clock shows it."""
    return "-" if moment is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(moment))


def _at(state: Mapping[str, Any], section: str) -> Optional[float]:
    return backup_state.epoch(state[section]["at"]) if section in state else None


def first_line(said: Any) -> Text:
    """The first line of a recorded text, in each language."""
    known = said if isinstance(said, Mapping) else {}
    return Text(*((str(known.get(lang, "")).splitlines() or ["-"])[0] for lang in Text._fields))
