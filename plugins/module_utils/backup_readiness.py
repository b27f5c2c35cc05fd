# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Could the data be restored today? Each target's newest backup: its age, its bytes, its rehearsal, its copy elsewhere.

`gather` reads, `judge` is pure. What a good backup is say backup_store and backup_checksum, when one is due
backup_history.
"""

from __future__ import annotations

import os
import time
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from . import backup_checksum, backup_history, backup_state, backup_store, cron_state, offsite
from .backup_errors import BackupError
from .checklist_context import Context
from .cron_state import FUTURE, SCHEDULE, due_times, first_line, is_ahead, shown
from .findings import FAIL, PASS, UNKNOWN, WARN, Case, Finding, Rule, Text, size_text, table
from .moments import span

# ``bytes`` are read at most, of the newest backups together: the rest is for coinpilot-ops checksum. ``growth`` is in
# percent.
DEFAULTS: Mapping[str, Any] = {"grace_hours": backup_history.GRACE_HOURS, "bytes": 64 << 20, "growth": 100}
# A day after a deploy there is no night to wait for: a backup takes no longer than this.
_GRACE_AFTER_DEPLOY = 0.25
_DAY, _DAYS = 86400, 7
# What these say of a backup keeps it from being one that could be restored.
_WORTHLESS = ("backup-file", "backup-manifest", "backup-size")

_TAKE = Text("take one now: sudo coinpilot-ops backup {subject}; it says what is wrong",
             "지금 백업하세요: sudo coinpilot-ops backup {subject}. 문제가 무엇인지 표시됩니다")
_REHEARSE = Text("sudo coinpilot-ops restore-rehearsal {subject}; it says what is wrong",
                 "sudo coinpilot-ops restore-rehearsal {subject} 명령을 실행하면 문제가 무엇인지 표시됩니다")
_COPY = Text("sudo coinpilot-ops offsite {subject}; it says what is wrong",
             "sudo coinpilot-ops offsite {subject} 명령을 실행하면 문제가 무엇인지 표시됩니다")

RULES = table(
    Rule("backup-newest", Text("newest backup", "최신 백업"),
         Text("a good one since the schedule's last time", "마지막 예정 시각 이후의 정상 백업"), {
        "fresh": Case(PASS, Text("{at} ({age} ago), {size}; the next at {next}",
                                 "{at}({age} 전), {size}. 다음: {next}")),
        "waiting": Case(PASS, Text("none yet; due at {next}", "아직 없음. 예정: {next}")),
        "late": Case(FAIL, Text("{at} ({age} ago), and one was due at {due}",
                                "{at}({age} 전). {due}에 예정된 백업이 없음"), _TAKE),
        "none": Case(FAIL, Text("there is no good one, and one was due at {due}",
                                "정상 백업이 없음. {due}에 예정되어 있었음"), _TAKE),
        "gone": Case(FAIL, Text("{name} was taken and is not there any more", "{name}: 만들어졌지만 지금은 없음"),
                     Text("find out who removed it, or whether a disk is not mounted: findmnt -T {directory}; then: "
                          "sudo coinpilot-ops backup {subject}",
                          "누가 지웠는지, 디스크가 마운트되지 않았는지 확인하세요: findmnt -T {directory}. 그다음: "
                          "sudo coinpilot-ops backup {subject}")),
        "before-deploy": Case(FAIL, Text("{at}, from before the deploy of {armed}", "{at}: {armed} 배포 이전의 백업"),
                              _TAKE),
        "before-deploy-waiting": Case(WARN, Text("{at}, from before the deploy of {armed}; due at {next}",
                                                 "{at}: {armed} 배포 이전의 백업. 예정: {next}"), _TAKE),
        "schedule": SCHEDULE,
    }, Text("look on the host: sudo coinpilot-ops backups {subject}",
            "호스트에서 확인하세요: sudo coinpilot-ops backups {subject}")),
    Rule("backup-bytes", Text("bytes of the newest backup", "최신 백업의 내용"),
         Text("as they were written, with sidecar and manifest", "기록된 그대로이고 체크섬 파일과 manifest가 있음"), {
        "proven": Case(PASS, Text("{name}: as its SHA-256 says", "{name}: SHA-256과 같음")),
        "sized": Case(PASS, Text("{name}: as large as written; {size} not read here: sudo coinpilot-ops checksum",
                                 "{name}: 크기가 같음. {size}를 여기서는 읽지 않음: sudo coinpilot-ops checksum")),
    }, Text("sudo coinpilot-ops checksum {subject}", "sudo coinpilot-ops checksum {subject}")),
    Rule("backup-rehearsal", Text("restore rehearsal", "복구 리허설"),
         Text("succeeded since the schedule's last time", "마지막 예정 시각 이후에 성공"), {
        "proven": Case(PASS, Text("{name} restored at {at}", "{at} {name} 복구 확인")),
        "waiting": Case(PASS, Text("none yet; due at {next}", "아직 없음. 예정: {next}")),
        "failed": Case(FAIL, Text("failed at {at}: {what}", "{at} 실패: {what}"), _REHEARSE),
        "untried": Case(WARN, Text("could not be tried at {at}: {what}", "{at}에 시도하지 못함: {what}"), _REHEARSE),
        "late": Case(WARN, Text("last at {at}, and one was due at {due}", "마지막 {at}. {due}에 예정된 리허설이 없음"),
                     _REHEARSE),
        "future": FUTURE,
        "never": Case(WARN, Text("never, and one was due at {due}", "{due}에 예정되었지만 한 번도 하지 않음"),
                      _REHEARSE),
        "schedule": SCHEDULE,
    }),
    Rule("backup-trend", Text("backups of the last days", "최근 백업 추세"),
         Text("one for each day that had one due before the newest, and growth of at most {most} % in a week",
              "최신 백업까지 예정된 날마다 하나씩, 주간 증가 {most}% 이하"), {
        "steady": Case(PASS, Text("{count} of {expected} days, {growth} % against the week before",
                                  "{expected}일 중 {count}일, 지난주 대비 {growth}%")),
        "counted": Case(PASS, Text("{count} of {expected} days", "{expected}일 중 {count}일")),
        "new": Case(PASS, Text("there are not two days to compare yet", "아직 비교할 이틀 치 백업이 없음")),
        "gaps": Case(WARN, Text("{count} of {expected} days: none on {missing}",
                                "{expected}일 중 {count}일: {missing}에 없음"),
                     Text("see what cron did then: sudo journalctl -t {stack}-backup --since -7days; "
                          "less {log}",
                          "당시 기록을 확인하세요: sudo journalctl -t {stack}-backup --since -7days; less {log}")),
        "grows": Case(WARN, Text("{growth} % against the week before", "지난주 대비 {growth}%"),
                      Text("find out what grows, and whether the disk will do: sudo coinpilot-ops backups {subject}; "
                           "df -h {directory}",
                           "무엇이 늘었는지, 디스크가 충분한지 확인하세요: sudo coinpilot-ops backups {subject}; "
                           "df -h {directory}")),
        "schedule": SCHEDULE,
    }),
    Rule("backup-copy", Text("off-site", "외부 사본"),
         Text("done well since the schedule's last time", "마지막 예정 시각 이후에 성공"), {
        "off": Case(PASS, Text("no copy elsewhere is set up", "외부 사본을 설정하지 않음")),
        "done": Case(PASS, Text("{at}", "{at}")),
        "waiting": Case(PASS, Text("not yet; due at {next}", "아직 없음. 예정: {next}")),
        "failed": Case(FAIL, Text("failed at {at}: {what}", "{at} 실패: {what}"), _COPY),
        "late": Case(FAIL, Text("last at {at}, and it was due at {due}", "마지막 {at}. {due}에 예정되어 있었음"),
                     _COPY),
        "future": FUTURE,
        "never": Case(FAIL, Text("never, and it was due at {due}", "{due}에 예정되었지만 한 번도 하지 않음"), _COPY),
        "schedule": SCHEDULE,
    }),
    *backup_checksum.RULES.values(), backup_state.RULES["backup-state"],
)


class Copy(NamedTuple):
    """One name of a backup in daily or weekly; ``good`` as backup_store says, which reads no bytes."""

    name: str
    kind: str
    taken_at: float
    size: int
    good: bool
    has_manifest: bool = True


class Target(NamedTuple):
    """``copies``: newest first, None where they could not be read. ``files``: what is wrong with those of the newest
    backup that is not dated ahead, good or not; ``read`` says whether their bytes were read."""

    copies: Optional[List[Copy]]
    files: List[Finding]
    read: bool
    state: Mapping[str, Any]
    damage: List[Finding]
    error: str = ""


class World(NamedTuple):
    """``written_at`` is when cron was told of the jobs; ``elsewhere`` is the recorded state of the copy elsewhere, or
    why it could not be read."""

    targets: Mapping[str, Target]
    elsewhere: Any
    written_at: float
    utc_offset: int


def read(context: Context, options: Mapping[str, Any]) -> List[Finding]:
    """The reader of the checklist."""
    options = {**DEFAULTS, **options}
    armed_at = context.release["armed_at"] if context.checkpoint == "t24h" and context.release else None
    return judge(gather(context.description, context.now, options["bytes"]), context.description, context.now, options,
                 armed_at)


# Reading -------------------------------------------------------------------------------------------------------------

def gather(description: Mapping[str, Any], now: float, most_bytes: int) -> World:
    targets, left = {}, most_bytes
    for target in description["backup"]["targets"]:
        targets[target], used = _target(description, target, now, left)
        left -= used
    written_at = cron_state.read_table(cron_state.backup_table(description)).written_at
    return World(targets, _elsewhere(description), written_at, time.localtime(now).tm_gmtoff)


def _elsewhere(description: Mapping[str, Any]) -> Any:
    try:
        return offsite.State(description).load()
    except (OSError, RecursionError) as problem:
        return getattr(problem, "strerror", None) or type(problem).__name__


def _target(description: Mapping[str, Any], target: str, now: float, left: int) -> Tuple[Target, int]:
    """A target, and how many bytes of it were read."""
    root, stack = description["backup_directory"], description["name"]
    contents, used = False, 0
    state, damage = backup_state.load(description["state_directory"], target)
    try:
        copies = [Copy(backup.name, backup.kind, backup.taken_at, _size(backup), backup_store.is_good(backup),
                       backup.manifest is not None)
                  for backup in backup_store.listing(root, target, stack) if backup.kind != "safety"]
        newest = _newest(copies, now)
        if newest is None:
            return Target(copies, [], False, state, damage), 0
        # Without a manifest there is nothing to compare a size with.
        contents = newest.size <= left or not newest.has_manifest
        used = newest.size if contents else 0
        files = backup_checksum.judge(backup_checksum.gather(root, stack, [target], newest.name, now=now,
                                                             contents=contents)).findings
    except OSError as problem:
        return Target(None, [], False, state, damage, problem.strerror or type(problem).__name__), 0
    except BackupError as problem:
        # Gone since it was listed.
        files = [backup_checksum.refusal(problem)]
    return Target(copies, [finding for finding in files if finding.status != PASS], contents, state, damage), used


def _newest(copies: Optional[Sequence[Copy]], now: float) -> Optional[Copy]:
    """Good or not; what a clock that was wrong has dated ahead would be the newest until that day."""
    return next((copy for copy in copies or () if not is_ahead(copy.taken_at, now)), None)


def _size(backup: backup_store.Backup) -> int:
    paths = (os.path.join(backup.directory, name) for name in backup.files)
    return sum(os.path.getsize(path) for path in paths if os.path.exists(path))


# Judging -------------------------------------------------------------------------------------------------------------

def judge(world: World, description: Mapping[str, Any], now: float, options: Mapping[str, Any],
          armed_at: Optional[float] = None) -> List[Finding]:
    """``armed_at`` is when a deploy was done that a backup has to be younger than; None for no such."""
    found: List[Finding] = []
    for name, settings in description["backup"]["targets"].items():
        target = world.targets[name]
        if target.copies is None:
            found.append(RULES["backup-newest"].unread(target.error, name))
        else:
            newest = _judge_newest(name, settings["schedule"], target, world, now, options, armed_at)
            gone = _gone(name, target, description["backup_directory"]) if newest.status == PASS else None
            found.append(gone or newest)
            found += _judge_dates(name, target, now)
            found += _judge_bytes(name, target, now)
            found.append(_judge_trend(name, settings["schedule"], target, world, now, options, description))
        found += target.damage
        found.append(_judge_rehearsal(name, description["backup"]["rehearsal"]["schedule"], target.state, world, now,
                                      options))
    return found + list(_judge_elsewhere(description["backup"].get("offsite") or {}, world, now, options))


def _gone(name: str, target: Target, directory: str) -> Optional[Finding]:
    """Retention never deletes what was taken last."""
    last = target.state.get("last_success")
    if last is None or last["name"] in {copy.name for copy in target.copies or ()}:
        return None
    return RULES["backup-newest"].finding("gone", name, name=last["name"], directory=directory)


def _judge_newest(name: str, schedule: str, target: Target, world: World, now: float, options: Mapping[str, Any],
                  armed_at: Optional[float]) -> Finding:
    rule = RULES["backup-newest"]
    grace = options["grace_hours"] if armed_at is None else _GRACE_AFTER_DEPLOY
    entries = _entries(name, target, now)
    try:
        due, following = due_times(schedule, now, world.utc_offset, grace)
        late = bool(backup_history.due(entries, {name: {"schedule": schedule}}, now, world.utc_offset,
                                       grace_hours=grace))
    except ValueError:
        return rule.finding("schedule", name, schedule=schedule)
    good = next((copy for copy, entry in zip(target.copies or (), entries) if entry["status"] == PASS), None)
    values = {"due": shown(due), "next": shown(following), "armed": shown(armed_at),
              "at": shown(good.taken_at if good else None), "age": span(now - good.taken_at) if good else "",
              "size": size_text(good.size) if good else ""}
    # With a backup of before that time it is no fresh install, whenever cron's table was written.
    missed = late and (_was_there(world, due, now) or any(copy.taken_at < due for copy in target.copies or ()))
    if good is None:
        return rule.finding("none" if missed else "waiting", name, **values)
    if armed_at is not None and good.taken_at < armed_at:
        return rule.finding("before-deploy" if due > armed_at else "before-deploy-waiting", name, **values)
    return rule.finding("late" if missed else "fresh", name, **values)


def _judge_trend(name: str, schedule: str, target: Target, world: World, now: float, options: Mapping[str, Any],
                 description: Mapping[str, Any]) -> Finding:
    rule, entries = RULES["backup-trend"], _entries(name, target, now)
    # Of a day that is further back retention has kept none.
    begin = max(now - min(_DAYS, description["backup"]["keep"]["daily"]) * _DAY, world.written_at)
    try:
        expected = set(_due_days(schedule, begin, now - options["grace_hours"] * 3600, world.utc_offset))
        weeks = [row for row in backup_history.trend(entries) if row["growth"] is not None]
    except ValueError:
        return rule.finding("schedule", name, schedule=schedule, most=options["growth"])
    there = {_day(entry["taken_at"], world.utc_offset) for entry in entries if entry["status"] == PASS}
    # What is missing since the newest is told there.
    expected = {day for day in expected if day <= max(there, default="")}
    missing = sorted(expected - there)
    growth = round(weeks[-1]["growth"]) if weeks else None
    case = ("gaps" if missing else "grows" if growth is not None and growth > options["growth"] else
            "new" if not expected else "counted" if growth is None else "steady")
    return rule.finding(case, name, count=len(expected & there), expected=len(expected), missing=", ".join(missing),
                        growth="%+d" % (growth or 0), most=options["growth"], stack=description["name"],
                        directory=description["backup_directory"],
                        log=os.path.join(description["log_directory"], name + "-backup.log"))


def _due_days(schedule: str, begin: float, end: float, utc_offset: float) -> Iterator[str]:
    """The days, by the host's clock, with a time of a schedule between two moments."""
    due, _following = due_times(schedule, end, utc_offset, 0)
    while due > begin:
        yield _day(due, utc_offset)
        # The last one of an earlier day: those of the same day add nothing.
        midnight = due - (due + utc_offset) % _DAY
        due = backup_history.last_due(schedule, midnight - 1, utc_offset)


def _day(moment: float, utc_offset: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(moment + utc_offset))


def _entries(name: str, target: Target, now: float) -> List[Dict[str, Any]]:
    """The copies as the verification of backups lists them."""
    newest = _newest(target.copies, now)
    # Its bytes say more than its size; its mode says nothing of it.
    bad = newest.name if newest and any(finding.id in _WORTHLESS and finding.status in (FAIL, UNKNOWN)
                                        for finding in target.files) else ""
    return [{"target": name, "kind": copy.kind, "backup": copy.name, "taken_at": copy.taken_at, "size": copy.size,
             "status": PASS if copy.good and copy.name != bad and not is_ahead(copy.taken_at, now) else FAIL,
             "problem": ""} for copy in target.copies or ()]


def _judge_dates(name: str, target: Target, now: float) -> Iterator[Finding]:
    ahead = {copy.name: copy.taken_at - now for copy in target.copies or () if is_ahead(copy.taken_at, now)}
    for backup, seconds in ahead.items():
        yield RULES["backup-date"].finding("future", "%s/%s" % (name, backup), ahead=span(seconds), target=name)


def _judge_bytes(name: str, target: Target, now: float) -> Sequence[Finding]:
    newest = _newest(target.copies, now)
    if newest is None or target.files:
        return target.files
    return [RULES["backup-bytes"].finding("proven" if target.read else "sized", name, name=newest.name,
                                          size=size_text(newest.size))]


def _judge_rehearsal(name: str, schedule: str, state: Mapping[str, Any], world: World, now: float,
                     options: Mapping[str, Any]) -> Finding:
    rule = RULES["backup-rehearsal"]
    try:
        due, following = due_times(schedule, now, world.utc_offset, options["grace_hours"])
    except ValueError:
        return rule.finding("schedule", name, schedule=schedule)
    last, success = state.get("last_rehearsal"), state.get("last_rehearsal_success")
    values: Dict[str, Any] = {"due": shown(due), "next": shown(following)}
    if last is None:
        return rule.finding("never" if _was_there(world, due, now) else "waiting", name, at="-", **values)
    at = backup_state.epoch(last["at"])
    values["at"] = shown(at)
    if is_ahead(at, now):
        return rule.finding("future", name, again="sudo coinpilot-ops restore-rehearsal " + name, **values)
    if last["ok"] is not True:
        return rule.finding("untried" if last["ok"] is None else "failed", name, what=first_line(last["what"]),
                            **values)
    done = backup_state.epoch((success or last)["at"])
    late = done < due and _was_there(world, due, now)
    return rule.finding("late" if late else "proven", name, name=last["name"], **values)


def _judge_elsewhere(settings: Mapping[str, Any], world: World, now: float,
                     options: Mapping[str, Any]) -> Iterator[Finding]:
    rule = RULES["backup-copy"]
    if not settings:
        yield rule.finding("off")
    elif isinstance(world.elsewhere, str):
        yield rule.unread(world.elsewhere)
        return
    for job, key in (("copy", "schedule"), ("check", "check_schedule")) if settings else ():
        try:
            due, following = due_times(settings[key], now, world.utc_offset, options["grace_hours"])
        except (KeyError, ValueError):
            yield rule.finding("schedule", job, schedule=settings.get(key))
            continue
        last = world.elsewhere.get(job, {})
        at = last.get("at") if isinstance(last.get("at"), (int, float)) else None
        missed = _was_there(world, due, now) and (at is None or at < due)
        case = ("never" if missed else "waiting") if at is None else (
            "future" if is_ahead(at, now) else
            "failed" if last.get("ok") is not True else "late" if missed else "done")
        yield rule.finding(case, job, at=shown(at), due=shown(due), next=shown(following),
                           again="sudo coinpilot-ops offsite " + job,
                           what=first_line(last.get("text")))


def _was_there(world: World, due: float, now: float) -> bool:
    """Whether cron knew of the jobs at that time. A host that was set up since is not blamed."""
    return world.written_at <= due or world.written_at > now
