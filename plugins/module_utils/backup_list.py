# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Which backups there are, as a list to look at. Says nothing of their bytes: that is what checksum is for."""

from __future__ import annotations

import os
import time
from typing import Any, Collection, Dict, List, Mapping, NamedTuple, Sequence, Tuple

from . import backup_state, backup_store
from .findings import LANGUAGES, PASS, WARN, Case, Finding, Rule, Text, pad, size_text, table, width

RULES = table(
    Rule("backups", Text("backups", "백업"), Text("there are some", "백업이 있음"), {
        "some": Case(PASS, Text("{count}, the newest of {newest}", "{count}개, 최신: {newest}")),
        "none": Case(WARN, Text("none", "없음"),
                     Text("take one: sudo coinpilot-ops backup {subject}",
                          "백업하세요: sudo coinpilot-ops backup {subject}")),
    }, Text("look at {directory}", "{directory} 확인")),
)

STATES = {
    "proven": Text("proven", "복구 확인됨"),
    "good": Text("good", "정상"),
    "suspect": Text("suspect", "의심"),
    "damaged": Text("damaged", "손상"),
    "old": Text("old format", "이전 형식"),
}


class Row(NamedTuple):
    """One backup; ``kinds`` are the directories that hold it, ``files`` its data files, the main one first."""

    target: str
    name: str
    taken_at: float
    kinds: List[str]
    state: str
    size: int
    files: List[str]


def rows(description: Mapping[str, Any], targets: Sequence[str]) -> Tuple[List[Row], List[Finding]]:
    """Every backup of the targets, newest first, and a finding a target."""
    found: List[Finding] = []
    listed: List[Row] = []
    for target in targets:
        root = description["backup_directory"]
        try:
            state, _damage = backup_state.load(description["state_directory"], target)
            proven = {proof["name"] for proof in state.get("proven", [])}
            of_target = _rows(backup_store.listing(root, target, description["name"]), proven)
        except OSError as problem:
            found.append(RULES["backups"].unread(str(problem.strerror), target, directory=os.path.join(root, target)))
            continue
        newest = _when(of_target[0].taken_at) if of_target else ""
        found.append(RULES["backups"].finding("some" if of_target else "none", target, count=len(of_target),
                                              newest=newest))
        listed += of_target
    return listed, found


def _rows(backups: Sequence[backup_store.Backup], proven: Collection[str]) -> List[Row]:
    """A weekly one is the daily one under a further name: both are one row."""
    by_name: Dict[str, Row] = {}
    for backup in backups:
        if backup.name in by_name:
            by_name[backup.name].kinds.append(backup.kind)
            continue
        paths = [os.path.join(backup.directory, name) for name in backup.files]
        by_name[backup.name] = Row(backup.target, backup.name, backup.taken_at, [backup.kind], _state(backup, proven),
                                   sum(os.path.getsize(path) for path in paths if os.path.exists(path)), paths)
    return list(by_name.values())


def _state(backup: backup_store.Backup, proven: Collection[str]) -> str:
    if not backup.own:
        return "old"
    if backup_store.is_good(backup):
        return "proven" if backup.name in proven else "good"
    return "suspect" if backup.manifest is not None and backup.manifest["suspect"] else "damaged"


def render(listed: Sequence[Row]) -> Text:
    """The rows as columns for a person."""
    return Text(*(_columns([_cells(row, lang) for row in listed]) for lang in LANGUAGES))


def _cells(row: Row, lang: str) -> Sequence[str]:
    return (row.target, _when(row.taken_at), "+".join(row.kinds), STATES[row.state].get(lang), size_text(row.size),
            row.name)


def _columns(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(width(cell) for cell in column) for column in zip(*lines)]
    return "".join("  ".join(pad(cell, columns) for cell, columns in zip(line, widths)).rstrip() + "\n"
                   for line in lines)


def _when(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))
