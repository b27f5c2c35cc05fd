# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""The 24-hour watch over a change: what armed it, its checkpoints, and the history that the daily runs are in as well.

Files under ``<state>/watch``: ``armed.json`` is the last change, with how every container stood then.
``history.jsonl`` holds one line a run; one that is damaged is moved to a file beside it, never lost. ``pending.json``
is there while the watch has something to do: the timer's service starts no process without it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import tempfile
import time
from typing import Any, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from . import dotenv, files, health
from .compose import release_key
from .engine import Engine, EngineError
from .findings import FAIL, PASS, UNKNOWN, WARN, WORST_FIRST, Case, Finding, Rule, Text, sort, table, worst, worst_of
from .moments import span

HOUR, DAY = 3600.0, 86400.0
# Seconds after the arming. The first leaves what a deploy does beside the containers (cron, the workflows) time to end.
CHECKPOINTS = {"t0": 180.0, "t1h": HOUR, "t6h": 6 * HOUR, "t12h": 12 * HOUR, "t24h": 24 * HOUR}
DAILY = "daily"
# A checkpoint that runs so much after its time is called late.
LATE = 600.0
LINES_KEPT, PROBLEMS_KEPT = 400, 20
# More than the runs of one turn add to the history.
_ROOM = 1 << 20
# A clock is set back by less than that without anybody noticing.
_AHEAD = 60.0
# Changes closer together than that, of which none was looked at yet, are one: the workflows follow the containers.
ONE_CHANGE = 900.0

Description = Mapping[str, Any]
Entry = Dict[str, Any]
Armed = Dict[str, Any]

# Seconds since 1970 are less; NaN is not.
_LARGEST = 1e12
_LONGEST_REASON = 200

# What a change says of itself.
_DEPLOYED = Text("deploy of release {release}: restarted {services}", "릴리스 {release} 배포: {services} 재시작")
_EVERYTHING = Text("everything", "전체")
UNDONE = Text("a deploy failed and was undone", "배포가 실패하여 이전 상태로 되돌림")
WORKFLOWS = Text("n8n's workflows were changed", "n8n 워크플로 변경")
MONITORING = Text("the monitoring's configuration was changed", "모니터링 설정 변경")
RESTORED = Text("{target} was restored from {name}", "{target}을(를) {name}(으)로 복구")

RULES = table(
    Rule("watch-history", Text("history", "이력"), Text("every line can be read", "모든 줄을 읽을 수 있음"), {
        "damaged": Case(WARN, Text("{path} has damaged lines: {lines}", "{path}의 손상된 줄: {lines}"),
                        Text("correct them, or have them set aside: sudo coinpilot-ops verify --record",
                             "고치거나 따로 보관하세요: sudo coinpilot-ops verify --record")),
        "set-aside": Case(WARN, Text("damaged lines were moved to {path}: {lines}",
                                     "손상된 줄을 {path}(으)로 옮김: {lines}"),
                          Text("delete that file when you have looked at it", "내용을 확인한 뒤 그 파일을 지우세요")),
        "unwritten": Case(WARN, Text("{path} could not be written: {error}", "{path}에 쓸 수 없음: {error}"),
                          Text("this run is not in the history; make room or mend the mount: df -h {directory}",
                               "이번 결과는 이력에 남지 않습니다. 공간이나 마운트를 확인하세요: df -h {directory}")),
    }, Text("look at the file: sudo ls -l {path}", "파일을 확인하세요: sudo ls -l {path}")),
    Rule("watch-armed", Text("24-hour watch", "24시간 감시"), Text("armed by every change", "변경할 때마다 시작됨"), {
        "armed": Case(PASS, Text("armed: {reason}", "시작됨: {reason}")),
        "damaged": Case(UNKNOWN, Text("{path} is damaged: what the watch compares with is not known",
                                      "{path}이(가) 손상되어 비교할 기준이 없음"),
                        Text("begin again from now: sudo coinpilot-ops watch arm --reason 'begun again'",
                             "지금부터 다시 시작하세요: sudo coinpilot-ops watch arm --reason '다시 시작'")),
        "ahead": Case(WARN, Text("{path} says that it begins in {span}: no checkpoint runs until then",
                                 "{path}의 시작 시각이 {span} 뒤: 그때까지 체크포인트가 실행되지 않음"),
                      Text("is the clock right? timedatectl; then begin again from now: "
                           "sudo coinpilot-ops watch arm --reason 'begun again'",
                           "시계를 확인한 뒤(timedatectl) 지금부터 다시 시작하세요: "
                           "sudo coinpilot-ops watch arm --reason '다시 시작'")),
        "not-armed": Case(WARN, Text("not armed: {error}", "시작하지 못함: {error}"),
                          Text("mend that; then: sudo coinpilot-ops watch arm --reason 'what was changed'",
                               "원인을 고친 뒤 실행하세요: sudo coinpilot-ops watch arm --reason '변경 내용'")),
    }, Text("look at the file: sudo ls -l {path}", "파일을 확인하세요: sudo ls -l {path}")),
)


class Due(NamedTuple):
    """A checkpoint of the armed watch that has not run yet, and its time in seconds since 1970."""

    checkpoint: str
    at: float


class Damaged(ValueError):
    """A file of the watch that is not as this writes it."""


def directory(description: Description) -> str:
    return os.path.join(description["state_directory"], "watch")


def armed_path(description: Description) -> str:
    return os.path.join(directory(description), "armed.json")


def pending_path(description: Description) -> str:
    return os.path.join(directory(description), "pending.json")


def history_path(description: Description) -> str:
    return os.path.join(directory(description), "history.jsonl")


# Arming --------------------------------------------------------------------------------------------------------------

def deployed(release: str, restarted: Sequence[str], services: int) -> Text:
    """The reason of a deploy, of so many services in all."""
    names: Any = _EVERYTHING if len(restarted) == services else ", ".join(restarted) or "-"
    return _DEPLOYED.fill(release=release, services=names)


def arm(description: Description, reason: Text, engine: Engine, now: Optional[float] = None, anew: bool = False
        ) -> Armed:
    """Begins the 24 hours anew, and with `anew`, as a person wishes it, the daily check's day as well: see
    `change_window`. Raises OSError or EngineError."""
    now = time.time() if now is None else now
    containers = health.by_service(engine.containers(description["project"]))
    conditions = {name: health.condition(containers.get(name)) for name in description["services"]}
    with locked(description):
        before, _found = load_armed(description, now)
        entries, _found = history(description)
        if before and now - before["armed_at"] < ONE_CHANGE and not _runs(before, entries):
            reason = _joined(before["reason"], reason)
        made = {"release": _release(description), "armed_at": int(now), "reason": reason._asdict(),
                "baseline": _baseline(conditions)}
        if anew or "anew" in (before or {}):
            made["anew"] = int(now) if anew else (before or {})["anew"]
        if not os.path.exists(pending_path(description)):
            files.write(files.File(pending_path(description), "{}\n", 0o600))
        files.write(files.File(armed_path(description), _dumped(made), 0o600))
    return made


def begin(description: Description, reason: Text, engine: Engine, anew: bool = False) -> Finding:
    """The same for what is done already, and which no watch that cannot begin makes undone."""
    try:
        made = arm(description, reason, engine, anew=anew)
    except (EngineError, OSError) as problem:
        return RULES["watch-armed"].finding("not-armed", error=problem)
    return RULES["watch-armed"].finding("armed", reason=Text(**made["reason"]))


def by_hand(words: str) -> Text:
    """A person's words as the reason."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in words).split())[:_LONGEST_REASON]
    return Text(line, line)


def armed(description: Description) -> Optional[Armed]:
    """The last change that armed the watch; None where nothing did, or its file cannot be used."""
    return load_armed(description)[0]


def load_armed(description: Description, now: Optional[float] = None) -> Tuple[Optional[Armed], List[Finding]]:
    """The same, with what is wrong with the file."""
    path = armed_path(description)
    now = time.time() if now is None else now
    try:
        text = files.read_text(path)
    except OSError as problem:
        return None, [RULES["watch-armed"].unread(_said(problem), path=path)]
    if text is None:
        return None, []
    try:
        made = _checked_armed(json.loads(text))
    except (ValueError, RecursionError):
        return None, [RULES["watch-armed"].finding("damaged", path=path)]
    if made["armed_at"] > now + _AHEAD:
        return made, [RULES["watch-armed"].finding("ahead", path=path, span=span(made["armed_at"] - now))]
    return made, []


def _checked_armed(value: Any) -> Armed:
    good = (isinstance(value, dict) and isinstance(value.get("release"), str) and _is_number(value.get("armed_at"))
            and _is_text(value.get("reason")) and isinstance(value.get("baseline"), dict)
            and all(isinstance(entry, dict) for entry in value["baseline"].values()))
    if not good:
        raise Damaged("armed.json")
    _must_have_bytes(value)
    return dict(value)


def _baseline(conditions: Mapping[str, health.Condition]) -> Dict[str, Dict[str, Any]]:
    """How the containers stand: what restarts from now on is told by it."""
    return {name: {"id": now.container_id, "started_at": now.started_at, "restarts": now.restarts}
            for name, now in conditions.items() if now.container_id}


def _release(description: Description) -> str:
    """What `.env` says that runs; nothing on a host that was set up by hand."""
    values = dotenv.parse(files.read_text(os.path.join(description["directory"], ".env")) or "")
    return values.get(release_key(description), "")


def _joined(before: Mapping[str, str], reason: Text) -> Text:
    parts = {lang: before[lang].split("; ") for lang in ("en", "ko")}
    return Text(*("; ".join(dict.fromkeys([*parts[lang], reason.get(lang)])) for lang in ("en", "ko")))


# The checkpoints -----------------------------------------------------------------------------------------------------

def outstanding(armed_now: Optional[Armed], entries: Iterable[Entry]) -> List[Due]:
    """The checkpoints of this arming that have not run, in their order."""
    if armed_now is None:
        return []
    done = set(_runs(armed_now, entries))
    return [Due(name, armed_now["armed_at"] + after) for name, after in CHECKPOINTS.items() if name not in done]


def due(armed_now: Optional[Armed], entries: Iterable[Entry], now: float) -> List[Due]:
    return [wanted for wanted in outstanding(armed_now, entries) if wanted.at <= now]


def _runs(armed_now: Armed, entries: Iterable[Entry]) -> Dict[str, Entry]:
    """checkpoint -> its run for this arming. What was asked for by hand is another thing."""
    return {entry["checkpoint"]: entry for entry in entries
            if entry.get("armed_at") == armed_now["armed_at"] and entry["checkpoint"] in CHECKPOINTS}


def runs(armed_now: Optional[Armed], entries: Iterable[Entry]) -> Dict[str, Entry]:
    """checkpoint -> its run, of those that ran since the arming."""
    return {} if armed_now is None else _runs(armed_now, entries)


def conclusion(done: Mapping[str, Entry]) -> str:
    """The verdict over the 24 hours: how they ended, where a good end does not hide that it was worse in between."""
    last = done["t24h"]["verdict"] if "t24h" in done else UNKNOWN
    if last in (FAIL, UNKNOWN):
        return str(last)
    verdicts = [done[name]["verdict"] if name in done else UNKNOWN for name in CHECKPOINTS]
    return PASS if set(verdicts) == {PASS} else WARN


# The history ---------------------------------------------------------------------------------------------------------

def entry(checkpoint: str, found: Sequence[Finding], items: Mapping[str, str], at: float, seconds: float,
          armed_now: Optional[Armed] = None, late: float = 0.0) -> Entry:
    """One line of the history. ``items`` is what became of each item of the checklist."""
    wrong = [finding.as_dict() for finding in sort(found) if finding.status != PASS]
    # Of what a service wrote, not every text has bytes.
    shown = json.loads(json.dumps(wrong[:PROBLEMS_KEPT], ensure_ascii=False).encode("utf-8", "replace"))
    return {"at": int(at), "checkpoint": checkpoint, "release": armed_now["release"] if armed_now else None,
            "armed_at": armed_now["armed_at"] if armed_now else None, "late_seconds": int(max(0.0, late)),
            "verdict": _verdict(items, found), "items": dict(items), "problems": shown,
            "seconds": round(seconds, 1)}


def _verdict(items: Mapping[str, str], found: Iterable[Finding]) -> str:
    return worst_of(items.values()) if items else worst(found)


def history(description: Description, days: float = math.inf, now: Optional[float] = None
            ) -> Tuple[List[Entry], List[Finding]]:
    """The runs that are kept, or those of the last so many days, oldest first, and what is wrong with their file:
    UNKNOWN where it cannot be read. Changes nothing."""
    path = history_path(description)
    try:
        good, bad = _read(path)
    except OSError as problem:
        return [], [RULES["watch-history"].unread(_said(problem), path=path)]
    since = (time.time() if now is None else now) - days * DAY
    found = [RULES["watch-history"].finding("damaged", path=path, lines=_numbers(bad))] if bad else []
    return [run for run in good if run["at"] >= since], found


def record(description: Description, *new: Entry) -> List[Finding]:
    """Appends to the history. What keeps it from that is a finding, as is what had to be set aside."""
    path = history_path(description)
    try:
        with locked(description):
            return append(description, *new)
    except OSError as problem:
        return [RULES["watch-history"].finding("unwritten", path=path, error=_said(problem),
                                               directory=description["state_directory"])]


def prove_writable(description: Description) -> List[Finding]:
    """That a run can be recorded, before it is made. For who holds the lock. Raises OSError."""
    with tempfile.TemporaryFile(dir=directory(description)) as room:
        path = history_path(description)
        room.write(b" " * ((os.path.getsize(path) if os.path.exists(path) else 0) + _ROOM))
        room.flush()
        os.fsync(room.fileno())
    return append(description)


def append(description: Description, *new: Entry) -> List[Finding]:
    """The same as `record`, for who holds the lock. Raises OSError."""
    path = history_path(description)
    good, bad = _read(path)
    if bad:
        # First: a line that is nowhere is worse than one that is in two places.
        _append_text(path + ".damaged", "".join(text + "\n" for _number, text in bad))
    # By their number, not by their age: a clock that was ahead once would make all of them old.
    kept = [*good, *new][-LINES_KEPT:]
    files.remove_leftovers(path)
    files.write(files.File(path, "".join(json.dumps(run, ensure_ascii=False) + "\n" for run in kept), 0o600))
    return [RULES["watch-history"].finding("set-aside", path=path + ".damaged", lines=_numbers(bad))] if bad else []


def _read(path: str) -> Tuple[List[Entry], List[Tuple[int, str]]]:
    """The entries, and the number and text of each line that is none."""
    good: List[Entry] = []
    bad: List[Tuple[int, str]] = []
    for number, line in enumerate((files.read_text(path, "surrogateescape") or "").split("\n"), 1):
        if not line.strip():
            continue
        try:
            good.append(_checked(json.loads(line)))
        except (ValueError, RecursionError):
            bad.append((number, line))
    return good, bad


def _checked(value: Any) -> Entry:
    good = (isinstance(value, dict) and all(_is_number(value.get(key)) for key in ("at", "late_seconds", "seconds"))
            and isinstance(value.get("checkpoint"), str) and value.get("verdict") in WORST_FIRST
            and (value.get("release") is None or isinstance(value["release"], str))
            and (value.get("armed_at") is None or _is_number(value["armed_at"]))
            and isinstance(value.get("items"), dict)
            and all(status in WORST_FIRST for status in value["items"].values())
            and isinstance(value.get("problems"), list) and all(map(_is_problem, value["problems"])))
    if not good:
        raise Damaged("history.jsonl")
    _must_have_bytes(value)
    return {"release": None, "armed_at": None, **value}


def _must_have_bytes(value: Any) -> None:
    """It has to be written again, and not every text that JSON can hold has bytes."""
    json.dumps(value, ensure_ascii=False).encode("utf-8")


def _is_problem(value: Any) -> bool:
    return (isinstance(value, dict) and value.get("status") in WORST_FIRST and isinstance(value.get("subject"), str)
            and all(_is_text(value.get(key)) for key in ("title", "seen", "fix")))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < _LARGEST


def _is_text(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(value.get(lang), str) for lang in ("en", "ko"))


def _numbers(lines: Sequence[Tuple[int, str]]) -> str:
    shown = ", ".join(str(number) for number, _text in lines[:5])
    return shown + (", …" if len(lines) > 5 else "")


def _append_text(path: str, text: str) -> None:
    with open(path, "a", encoding="utf-8", errors="surrogateescape") as stream:
        os.fchmod(stream.fileno(), 0o600)
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())


# Small parts ---------------------------------------------------------------------------------------------------------

@contextlib.contextmanager
def locked(description: Description, name: str = "lock") -> Iterator[None]:
    """One writer at a time; nobody holds it for long. A turn of the watch has a lock of its own."""
    where = directory(description)
    files.make_directory(where, 0o700)
    with open(os.path.join(where, name), "a", encoding="ascii") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


def _said(problem: OSError) -> str:
    return problem.strerror or str(problem)
