# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Rehearsing a restore: the newest good backup is restored in a scratch place and compared with what it should hold.

A backup that passes is proven: retention keeps the newest of those whatever else it deletes.
"""

from __future__ import annotations

import os
import time
from typing import Any, Callable, Dict, List, Mapping, Optional

from . import (
    backup,
    backup_choice,
    backup_compare,
    backup_engines,
    backup_journal,
    backup_lock,
    backup_state,
    backup_store,
    dotenv,
    files,
)
from .backup_errors import BackupError
from .backup_job import Job, Restored
from .backup_store import Backup
from .engine import Engine, EngineError
from .findings import FAIL, PASS, WARN, Case, Finding, Rule, Text, problems, table

# So many differences are told one by one.
SHOWN = 5
_MORE = Text("and {count} more", "외 {count}건")

RULES = table(
    Rule("rehearsal", Text("restore rehearsal", "복구 리허설"),
         Text("restores in a scratch place, as its manifest says", "임시 위치에 복구되고 manifest와 내용이 같음"), {
        **backup.RULES["backup"].cases, **backup_choice.CASES,
        "proven": Case(PASS, Text("{name}: restored, all {rows} rows or keys as in the manifest, {seconds} s",
                                  "{name}: 복구 확인, 행(키) {rows}개 모두 manifest와 같음, {seconds}초")),
        "loads": Case(PASS, Text("{name}: restored, {rows} rows or keys, {seconds} s; of an old format, which does not "
                                 "tell how many there should be",
                                 "{name}: 복구 확인, 행(키) {rows}개, {seconds}초. 이전 형식이라 비교할 기록은 없음")),
        "holds-nothing": Case(WARN, Text("{name}: restored, but there is nothing in it",
                                         "{name}: 복구되지만 내용이 없음"),
                              Text("use another backup if there should be something",
                                   "내용이 있어야 한다면 다른 백업을 사용하세요")),
        "differs": Case(FAIL, Text("{name} restores, but not as its manifest says: {differences}",
                                   "{name}: 복구되지만 manifest와 다름: {differences}"),
                        Text("do not rely on it; take a new one and rehearse that: sudo {command} backup {subject} && "
                             "sudo {command} restore-rehearsal {subject}",
                             "이 백업을 믿지 마세요. 새로 백업해 다시 리허설하세요: sudo {command} backup {subject} && "
                             "sudo {command} restore-rehearsal {subject}")),
    }),
)
# What these say is nothing about the backup.
_NOT_TRIED = ("none-good", "no-room", "no-engine", "no-container", "not-running", "wrong-volume", "directory",
              "cut-off", "journal-damaged")


def run(description: Mapping[str, Any], target: str, name: str = "", root: str = "",
        tell: Callable[[Text], None] = lambda text: None, engine: Optional[Engine] = None) -> List[Finding]:
    """Rehearses the restore of a backup, by default the newest good one. Never raises for what that can meet.

    ``root`` is another directory of backups, such as one that was fetched from off-site; nothing is recorded of it.
    """
    job = Job(description, target, engine or Engine())
    where = root or description["backup_directory"]
    try:
        if name:
            backup_choice.named(description, target, where, name)
        with backup_lock.hold(description, "rehearsal", target, tell):
            return _rehearse(job, name, where)
    except (BackupError, OSError) as problem:
        return [backup.finding_of(backup.error_of(problem, where), target, RULES["rehearsal"])]


def _rehearse(job: Job, name: str, root: str) -> List[Finding]:
    description, target = job.description, job.target
    clock = time.monotonic()
    chosen: Optional[Backup] = None
    tried: Optional[bool] = None
    try:
        backup_journal.refuse_unfinished(description, target)
        chosen = (backup_choice.named(description, target, root, name) if name
                  else backup_choice.newest_good(description, target, root))
        restored = _restore(job, chosen, root)
        outcome = judge(chosen, restored, job, time.monotonic() - clock)
        tried = not problems([outcome])
    except (BackupError, EngineError, OSError) as problem:
        error = backup.error_of(problem, root)
        outcome = backup.finding_of(error, target, RULES["rehearsal"])
        tried = None if error.case in _NOT_TRIED else False
    if root != description["backup_directory"] or (chosen is not None and not chosen.own):
        return [outcome]
    return [outcome] + _record(job, chosen.name if chosen else "", tried, time.monotonic() - clock, outcome)


def _restore(job: Job, chosen: Backup, root: str) -> Restored:
    backup_choice.require_bytes(chosen, job.description, root)
    backup_choice.require_room(_room(job, chosen))
    return backup_engines.ENGINES[job.service["engine"]].rehearse(job, chosen)


def _room(job: Job, chosen: Backup) -> Any:
    size = backup_choice.unpacked_size(chosen)
    if job.service["engine"] in backup_engines.IN_SERVER:
        return [(job.container().directory, size)]
    # Unpacked, and once more for the program that opens it.
    return [(job.description["backup_directory"], 2 * size)]


def judge(chosen: Backup, restored: Restored, job: Job, seconds: float) -> Finding:
    rows = sum(restored.counts.values())
    values = {"name": chosen.name, "rows": rows, "seconds": round(seconds, 1), "command": backup.COMMAND}
    rule = RULES["rehearsal"]
    if chosen.manifest is None:
        return rule.finding("loads" if rows else "holds-nothing", job.target, **values)
    found = backup_compare.differences(chosen.manifest, restored)
    if found:
        return rule.finding("differs", job.target, differences=listed(found), **values)
    return rule.finding("proven", job.target, **values)


def listed(found: List[str]) -> Text:
    """The first differences, and how many more there are."""
    first, more = ", ".join(found[:SHOWN]), len(found) - SHOWN
    return Text(*(first + (", " + text if more > 0 else "") for text in _MORE.fill(count=more)))


def _record(job: Job, name: str, tried: Optional[bool], seconds: float, outcome: Finding) -> List[Finding]:
    """State and metrics; the watchdog hears of a failure alone, for it waits for backups, not for this."""
    description, target = job.description, job.target
    state = description["state_directory"]
    found = backup_state.record_rehearsal(state, target, time.time(), name, tried, round(seconds, 1), outcome.seen)
    backups = backup_store.listing(description["backup_directory"], target, description["name"])
    found += backup_state.write_metrics(state, description["name"], target, backups)
    if problems([outcome]):
        env: Dict[str, str] = dotenv.parse(files.read_text(os.path.join(description["directory"], ".env")) or "")
        url = backup_state.ping_url(env, target)
        undelivered = backup_state.ping(url, "failure") if url else None
        found += [undelivered] if undelivered else []
    return found
