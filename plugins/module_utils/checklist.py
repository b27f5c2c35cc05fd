# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""The checklist: which items are due at a checkpoint, what they find, and how that is shown on one screen."""

from __future__ import annotations

import json
import os
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from . import checklist_readers, findings, health, watch
from .checklist_context import Context
from .checklist_items import ALL, DAILY, HOURS, WEEKLY, Item, items
from .engine import Engine, EngineError
from .findings import FAIL, NOTHING, PASS, UNKNOWN, Case, Finding, Rule, Text, table

CHECKPOINTS = (ALL, DAILY, WEEKLY, *HOURS)

_HOUR, _DAY = 3600.0, 86400.0
# A checkpoint is a little late, and what was done at its beginning belongs to it.
_LEEWAY = 600.0
# Lines of one item: more than that is no screen.
_MOST_LINES = 5

RULES = table(
    Rule("checklist", Text("checklist", "점검 목록"), Text("every item can be judged", "모든 항목을 판단할 수 있음"), {
        "silent": Case(UNKNOWN, Text("nothing of it could be looked at", "확인할 수 있는 것이 없음"),
                       Text("mend first what else is red or unknown, then look again: coinpilot-ops check all",
                            "다른 실패나 판단 불가 항목부터 해결한 뒤 다시 확인하세요: coinpilot-ops check all")),
        "broken": Case(UNKNOWN, Text("stopped by an error of its own: {error}", "자체 오류로 중단됨: {error}"),
                       Text("report it; the other items are not touched by it",
                            "이 내용을 알려 주세요. 다른 항목에는 영향이 없습니다")),
    }),
)
# Not of the list: here only with what is wrong.
_WATCH = Item("watch", (), watch.RULES["watch-armed"].title, Text(
    "how things stand: sudo coinpilot-ops status", "현재 상태 확인: sudo coinpilot-ops status"), "", (), {}, ())
_NOT_JUDGED = Text("not judged while {services}", "{services} 상태라 판단하지 않음")
_IS = Text("{name} is {kind}", "{name}: {kind}")
_SERVICES_FIRST = Text("see to the service first", "서비스부터 해결하세요")
_AS_ABOVE = Text("as above", "위와 같음")
_CHECKED = Text("{count} checked", "{count}개 확인")
_DO = Text("do: ", "조치: ")
_ADVICE = Text("then: ", "추가 조치: ")
_MORE = Text("and {count} more: --format json shows all", "외 {count}건: --format json으로 모두 표시")
_UNKNOWN_CHECKPOINT = Text("unknown checkpoint '{name}'; known: {known}",
                           "알 수 없는 체크포인트 '{name}'. 가능한 이름: {known}")
_UNKNOWN_ITEM = Text("unknown item '{name}'; known: {known}", "알 수 없는 항목 '{name}'. 가능한 항목: {known}")


class UnknownName(ValueError):
    """A checkpoint or an item that there is not."""

    def __init__(self, text: Text):
        super().__init__(text.en)
        self.text = text


class Result(NamedTuple):
    """What became of one item. ``seconds`` is what its reader took."""

    item: Item
    status: str
    findings: List[Finding]
    seconds: float


class _Reading(NamedTuple):
    findings: List[Finding]
    seconds: float


class Snapshot(Engine):
    """The Engine, with the containers as they were at one moment, for all readers: they are asked for once."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._asked: Dict[str, Any] = {}

    def containers(self, project: str) -> List[Dict[str, Any]]:
        with self._lock:
            if project not in self._asked:
                try:
                    self._asked[project] = super().containers(project)
                except EngineError as problem:
                    self._asked[project] = problem
        asked = self._asked[project]
        if isinstance(asked, EngineError):
            raise asked
        return list(asked)


# What is due ---------------------------------------------------------------------------------------------------------

def select(description: Mapping[str, Any], checkpoint: str, only: Sequence[str] = ()) -> List[Item]:
    """The items of a checkpoint, or those named. All: whatever is due each day or after a deploy.

    UnknownName for what there is not.
    """
    known = {item.id: item for item in items(description)}
    if checkpoint not in CHECKPOINTS:
        raise UnknownName(_UNKNOWN_CHECKPOINT.fill(name=checkpoint, known=", ".join(CHECKPOINTS)))
    for name in only:
        if name not in known:
            raise UnknownName(_UNKNOWN_ITEM.fill(name=name, known=", ".join(known)))
    if only:
        return [item for item in known.values() if item.id in only]
    at = {DAILY, *HOURS} if checkpoint == ALL else {checkpoint}
    return [item for item in known.values() if at & set(item.at)]


def since(checkpoint: str, now: float, release: Optional[Mapping[str, Any]]) -> float:
    """Where the window of a checkpoint begins."""
    armed = release["armed_at"] if release is not None and release["armed_at"] <= now else None
    if checkpoint in (DAILY, WEEKLY):
        return now - (_DAY if checkpoint == DAILY else 7 * _DAY)
    if checkpoint == ALL:
        return now - _DAY if armed is None else max(armed, now - _DAY)
    hours = HOURS[checkpoint] * _HOUR
    if armed is None:
        return now - max(hours, _LEEWAY)
    return max(armed, now - hours - _LEEWAY)


# A run ---------------------------------------------------------------------------------------------------------------

def run(description: Mapping[str, Any], checkpoint: str, only: Sequence[str] = (),
        now: Optional[float] = None) -> List[Result]:
    """Looks at the items of a checkpoint, all readers side by side. Never raises for what the host does."""
    chosen = select(description, checkpoint, only)
    now = time.time() if now is None else now
    release, wrong = watch.load_armed(description, now)
    context = Context(description, Snapshot(), now, checkpoint, since(checkpoint, now, release), release)
    wanted = {_key(item): item for item in chosen}
    with ThreadPoolExecutor(max_workers=max(1, len(wanted))) as pool:
        jobs = {key: pool.submit(_read, context, item) for key, item in wanted.items()}
    results = [_result(item, jobs[_key(item)].result()) for item in chosen]
    if wrong:
        # What the readers compare with.
        results.append(Result(_WATCH, findings.worst(wrong), wrong, 0.0))
    return _without_consequences(results, context)


def _key(item: Item) -> Tuple[str, str]:
    """Items with the same reader and options share a reading."""
    return item.read, json.dumps(item.options, sort_keys=True, default=str)


def _read(context: Context, item: Item) -> _Reading:
    begin = time.monotonic()
    try:
        found = checklist_readers.READERS[item.read]().read(context, item.options)
    except Exception as problem:
        # Whatever a reader did not think of is its own item's trouble. What the error says may hold a secret.
        at = traceback.extract_tb(problem.__traceback__)[-1]
        error = "%s (%s:%s)" % (type(problem).__name__, os.path.basename(at.filename), at.lineno)
        found = [RULES["checklist"].finding("broken", item.read, error=error)]
    return _Reading(found, time.monotonic() - begin)


def _result(item: Item, reading: _Reading) -> Result:
    """An item's part of a reading."""
    meant = [finding for finding in reading.findings
             if item.rules is None or finding.id in item.rules or finding.id in RULES]
    meant = meant or [RULES["checklist"].finding("silent")]
    return Result(item, findings.worst(meant), meant, reading.seconds)


def _without_consequences(results: List[Result], context: Context) -> List[Result]:
    """What a service that is down brings about is not judged until that is mended: one fault is one red line."""
    if not any(result.status in (FAIL, UNKNOWN) and result.item.needs for result in results):
        return results
    try:
        containers = health.by_service(context.engine.containers(context.description["project"]))
    except EngineError:
        return results
    kinds = {name: health.condition(containers.get(name)).kind for name in context.description["services"]}
    sick = {name: kind for name, kind in kinds.items() if kind not in ("healthy", "running")}
    return [_excused(result, {name: sick[name] for name in result.item.needs if name in sick}) for result in results]


def _excused(result: Result, sick: Mapping[str, str]) -> Result:
    if not sick or result.status not in (FAIL, UNKNOWN):
        return result
    named = [_IS.fill(name=name, kind=kind) for name, kind in sick.items()]
    services = Text(", ".join(each.en for each in named), ", ".join(each.ko for each in named))
    seen = _NOT_JUDGED.fill(services=services)
    found = [finding._replace(status=UNKNOWN, seen=seen, fix=_SERVICES_FIRST)
             if finding.status in (FAIL, UNKNOWN) else finding for finding in result.findings]
    return result._replace(status=findings.worst(found), findings=found)


# For a person, and for a program -------------------------------------------------------------------------------------

def found(results: Sequence[Result]) -> List[Finding]:
    """All findings of a run."""
    return [finding for result in results for finding in result.findings]


def as_dict(results: Sequence[Result]) -> List[Dict[str, Any]]:
    """The items, worst first, for JSON."""
    return [{"id": result.item.id, "title": result.item.title._asdict(), "status": result.status,
             "seconds": round(result.seconds, 3), "advice": result.item.advice._asdict(),
             "findings": [finding.as_dict() for finding in findings.sort(result.findings)]}
            for result in findings.sort(results)]


def render(results: Sequence[Result], lang: str) -> str:
    """One screen: the verdict, and a line an item, worst first; beneath what is not well: what is seen, what to do."""
    ordered = findings.sort(results)
    status_width = max(findings.width(word.get(lang)) for word in findings.STATUS_WORDS.values())
    title_width = max((findings.width(result.item.title.get(lang)) for result in ordered), default=0)
    lines = [findings.summary(ordered, lang)]
    told: Set[Text] = set()
    for result in ordered:
        note = _note(result, told)
        told |= {finding.seen for finding in result.findings if finding.status != PASS}
        lines.append("  ".join((findings.pad(findings.STATUS_WORDS[result.status].get(lang), status_width),
                                findings.pad(result.item.title.get(lang), title_width), note.get(lang))))
        if not note.get(lang):
            lines += [" " * (status_width + 2) + line for line in _trouble(result, lang)]
    return "\n".join(line.rstrip() for line in [*lines, *findings.terminal(lines, lang)]) + "\n"


def _note(result: Result, told: Set[Text]) -> Text:
    """What takes no more than the item's own line: a pass, and what is not judged for a reason that is told already."""
    if result.status == PASS:
        one = len(result.findings) == 1
        return result.findings[0].seen if one else _CHECKED.fill(count=len(result.findings))
    wrong = [finding for finding in result.findings if finding.status != PASS]
    if all(finding.fix == _SERVICES_FIRST for finding in wrong):
        return wrong[0].seen
    return _AS_ABOVE if result.status == UNKNOWN and {finding.seen for finding in wrong} <= told else NOTHING


def _trouble(result: Result, lang: str) -> List[str]:
    """What is wrong and what to do. What is said of several subjects alike takes one line."""
    alike = findings.alike(result.findings, lang)
    lines: List[str] = []
    for finding, expected in findings.with_standards(alike[:_MOST_LINES], lang):
        heading = finding.label(result.item.title, lang)
        lines.append((heading + ": " if heading else "") + finding.seen.get(lang))
        lines += ["  %s: %s" % (findings.EXPECTED.get(lang), expected)] if expected else []
        lines += ["  " + _DO.get(lang) + finding.fix.get(lang)] if finding.fix.get(lang) else []
    if len(alike) > _MOST_LINES:
        lines.append(_MORE.fill(count=len(alike) - _MOST_LINES).get(lang))
    # It is for what is wrong, not for what could not be told.
    return lines if result.status == UNKNOWN else [*lines, "  " + _ADVICE.get(lang) + result.item.advice.get(lang)]
