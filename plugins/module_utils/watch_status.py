# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""How things stand, from what was recorded: the watch, its checkpoints, the daily run, the backups. Runs no check."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

from . import backup_state, findings, watch
from .findings import FAIL, NOTHING, PASS, UNKNOWN, WARN, Case, Finding, Rule, Text, table
from .moments import clock, span
from .watch import Armed, Description, Entry
from .watch_message import label, told

# A run each day, and the time that it may take and wait.
_DAILY_SECONDS = 26 * watch.HOUR
_DUE = "status-due"
_DUE_WORD = Text("due", "예정")

_AT = Text("{at}, {ago} ago", "{at}, {ago} 전")
_TOLD = Text("{at}, {ago} ago: {told}", "{at}, {ago} 전: {told}")
_LOOK = Text("sudo coinpilot-ops check {what}", "sudo coinpilot-ops check {what}")


def _verdicts(look: Text) -> Dict[str, Case]:
    return {status: Case(status, _TOLD, NOTHING if status == PASS else look) for status in findings.WORST_FIRST}


RULES = table(
    Rule("status-watch", Text("24-hour watch", "24시간 감시"), Text("armed by every change", "변경할 때마다 시작됨"), {
        "armed": Case(PASS, Text("since {at}, {ago} ago: {reason}", "{at} 시작, {ago} 전: {reason}")),
        "never": Case(PASS, Text("nothing has armed it yet", "아직 시작된 적 없음")),
    }),
    Rule("status-checkpoint", Text("checkpoint", "체크포인트"), Text("every item passes", "모든 항목 정상"), {
        **_verdicts(_LOOK),
        "overdue": Case(WARN, Text("was due {at}, {ago} ago, and has not run",
                                   "{at} 예정이었으나 {ago} 동안 실행되지 않음"),
                        Text("is the timer on? systemctl status {name}-watch.timer; "
                             "now: sudo coinpilot-ops watch run",
                             "타이머 확인: systemctl status {name}-watch.timer; "
                             "지금 실행: sudo coinpilot-ops watch run")),
    }),
    Rule(_DUE, Text("checkpoint", "체크포인트"), Text("runs at its time", "예정 시각에 실행"), {
        "due": Case(PASS, Text("{at}", "{at}")),
    }),
    Rule("status-daily", Text("daily verification", "일일 점검"), Text("each day, and it passes", "매일 실행, 정상"), {
        **_verdicts(_LOOK),
        "old": Case(WARN, Text("last run {at}, {ago} ago", "마지막 실행 {at}, {ago} 전"),
                    Text("is the timer on? systemctl status {name}-verify.timer; "
                         "now: sudo coinpilot-ops verify --record",
                         "타이머 확인: systemctl status {name}-verify.timer; "
                         "지금 실행: sudo coinpilot-ops verify --record")),
        "never": Case(WARN, Text("no run is recorded", "기록된 실행이 없음"),
                      Text("now: sudo coinpilot-ops verify --record", "지금 실행: sudo coinpilot-ops verify --record")),
    }),
    Rule("status-backup", Text("backup", "백업"), Text("the last one succeeded", "마지막 백업 성공"), {
        "good": Case(PASS, _AT),
        "none": Case(PASS, Text("none yet; cron: {schedule}", "아직 없음. cron: {schedule}")),
        "failed": Case(FAIL, Text("the last one failed; last success: {at}", "마지막 백업 실패. 마지막 성공: {at}"),
                       Text("try again and see why: sudo coinpilot-ops backup {subject}",
                            "다시 실행해 원인 확인: sudo coinpilot-ops backup {subject}")),
    }),
    Rule("status-rehearsal", Text("restore rehearsal", "복구 리허설"), Text("the last succeeded", "마지막 성공"), {
        "good": Case(PASS, _AT),
        "none": Case(PASS, Text("none yet; cron: {schedule}", "아직 없음. cron: {schedule}")),
        "failed": Case(FAIL, Text("{at}, {ago} ago: the backup did not restore", "{at}, {ago} 전: 복구되지 않음"),
                       Text("see why: sudo coinpilot-ops restore-rehearsal {subject}",
                            "원인 확인: sudo coinpilot-ops restore-rehearsal {subject}")),
        "untried": Case(UNKNOWN, Text("{at}, {ago} ago: could not be tried", "{at}, {ago} 전: 시도하지 못함"),
                        Text("see why: sudo coinpilot-ops restore-rehearsal {subject}",
                             "원인 확인: sudo coinpilot-ops restore-rehearsal {subject}")),
    }),
)


class World(NamedTuple):
    armed: Optional[Armed]
    entries: List[Entry]
    # By target; what was never recorded is not in it.
    backups: Mapping[str, Mapping[str, Any]]
    # What is wrong with the files that this was read from.
    problems: List[Finding]


def gather(description: Description, now: float) -> World:
    armed, problems = watch.load_armed(description, now)
    entries, unread = watch.history(description)
    backups = {}
    for target in description["backup"]["targets"]:
        backups[target], damaged = backup_state.load(description["state_directory"], target)
        problems += damaged
    return World(armed, entries, backups, problems + unread)


def judge(world: World, description: Description, now: float) -> List[Finding]:
    """In the order in which it is shown."""
    judge = _Judge(description, now)
    found = [judge.armed(world.armed)] if world.armed or not _is_damaged(world) else []
    if world.armed:
        found += judge.checkpoints(world.armed, world.entries)
    found.append(judge.daily(world.entries))
    for target, state in world.backups.items():
        found += [judge.backup(target, state), judge.rehearsal(target, state)]
    return found + world.problems


def _is_damaged(world: World) -> bool:
    return any(finding.id == "watch-armed" for finding in world.problems)


class _Judge:
    def __init__(self, description: Description, now: float):
        self.description = description
        self.now = now

    def armed(self, armed: Optional[Armed]) -> Finding:
        if armed is None:
            return RULES["status-watch"].finding("never")
        return RULES["status-watch"].finding("armed", reason=Text(**armed["reason"]), **self._when(armed["armed_at"]))

    def checkpoints(self, armed: Armed, entries: Sequence[Entry]) -> List[Finding]:
        done = watch.runs(armed, entries)
        left = {wanted.checkpoint: wanted.at for wanted in watch.outstanding(armed, entries)}
        return [self._ran("status-checkpoint", done[name], label(name)) if name in done else
                self._due(name, left[name]) for name in watch.CHECKPOINTS]

    def _due(self, checkpoint: str, at: float) -> Finding:
        if self.now - at > watch.LATE:
            return RULES["status-checkpoint"].finding("overdue", label(checkpoint), name=self.description["name"],
                                                      **self._when(at))
        return RULES[_DUE].finding("due", label(checkpoint), **self._when(at))

    def daily(self, entries: Sequence[Entry]) -> Finding:
        last = next((entry for entry in reversed(entries) if entry["checkpoint"] == watch.DAILY), None)
        if last is None:
            return RULES["status-daily"].finding("never")
        if self.now - last["at"] > _DAILY_SECONDS:
            return RULES["status-daily"].finding("old", name=self.description["name"], **self._when(last["at"]))
        return self._ran("status-daily", last, "")

    def _ran(self, rule: str, entry: Entry, subject: str) -> Finding:
        return RULES[rule].finding(entry["verdict"], subject, told=told(entry), what=entry["checkpoint"],
                                   **self._when(entry["at"]))

    def backup(self, target: str, state: Mapping[str, Any]) -> Finding:
        rule, success = RULES["status-backup"], state.get("last_success")
        if state.get("last_result") == "failure" or state.get("suspect"):
            at = clock(backup_state.epoch(success["at"]), self.description["timezone"]) if success else "-"
            return rule.finding("failed", target, at=at)
        if success is None:
            return rule.finding("none", target, schedule=self.description["backup"]["targets"][target]["schedule"])
        return rule.finding("good", target, **self._when(backup_state.epoch(success["at"])))

    def rehearsal(self, target: str, state: Mapping[str, Any]) -> Finding:
        rule, last = RULES["status-rehearsal"], state.get("last_rehearsal")
        if last is None:
            return rule.finding("none", target, schedule=self.description["backup"]["rehearsal"]["schedule"])
        case = {True: "good", False: "failed", None: "untried"}[last["ok"]]
        return rule.finding(case, target, **self._when(backup_state.epoch(last["at"])))

    def _when(self, at: float) -> Dict[str, Any]:
        return {"at": clock(at, self.description["timezone"]), "ago": span(abs(self.now - at))}


def render(found: Sequence[Finding], lang: str) -> str:
    """A line a thing, in the order given; what is not well says what to do beneath."""
    words = {status: findings.STATUS_WORDS[status].get(lang) for status in findings.WORST_FIRST}
    word_width = max(map(findings.width, words.values()))
    heading_width = max((findings.width(finding.heading(lang)) for finding in found), default=0)
    lines = []
    for finding in found:
        word = _DUE_WORD.get(lang) if finding.id == _DUE else words[finding.status]
        lines.append("  ".join((findings.pad(word, word_width),
                                findings.pad(finding.heading(lang), heading_width), finding.seen.get(lang))))
        if finding.fix.get(lang):
            lines.append(" " * (word_width + 2) + finding.fix.get(lang))
    return "\n".join(lines) + "\n"
