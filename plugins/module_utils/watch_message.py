# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""What the watch tells a person on Discord: one message a checkpoint, with the verdict of the whole at the last."""

from __future__ import annotations

import platform
import re
from typing import Any, Dict, List, Mapping, Sequence

from . import watch
from .findings import FAIL, PASS, STATUS_WORDS, UNKNOWN, WARN, Finding, Text
from .moments import span
from .watch import Description, Entry

# Discord takes 4096 characters of a description, and 6000 of a message.
_LINES, _LONGEST, _DESCRIPTION = 5, 170, 4000
_MARKS = {PASS: "✅", WARN: "🟠", FAIL: "🔴", UNKNOWN: "❔"}
_COLOURS = {PASS: 0x2ECC71, WARN: 0xE67E22, FAIL: 0xE74C3C, UNKNOWN: 0x95A5A6}
# What Discord would take for marks of its own.
_MARKUP = re.compile(r"([*~\\]|\|(?=\|))")

_NOTHING_WRONG = Text("All items pass ({count}).", "모든 항목이 정상입니다({count}개).")
_LATE = Text("Ran {span} late: the host was off, or the timer was.",
             "{span} 늦게 실행했습니다. 호스트나 타이머가 꺼져 있었습니다.")
_MORE = Text("and {count} more: `sudo coinpilot-ops check {checkpoint}`",
             "외 {count}건: `sudo coinpilot-ops check {checkpoint}`")
_DO = Text("do: ", "조치: ")
_NEXT = "다음 점검 (next): %s <t:%d:f>"
_ARMED = "시작 (armed): <t:%d:f>"
_TITLE = "%s %s %s 점검 (check): %s (%s)"
_TROUBLE = "%s %s 24시간 감시를 이어 갈 수 없음 (the 24-hour watch cannot go on)"
_END = "%s 24시간 감시 종료 (the 24-hour watch is over): %s (%s)"


def label(checkpoint: str) -> str:
    """As the runbook calls it: T+0m, T+1h."""
    return {"t0": "T+0m"}.get(checkpoint, "T+" + checkpoint[1:])


def told(entry: Entry) -> Text:
    """A run in one line: the worst that it found, and how late it was."""
    parts = []
    if entry["late_seconds"] >= watch.LATE:
        parts.append(_LATE.fill(span=span(entry["late_seconds"])))
    wrong = entry["problems"]
    if wrong:
        parts.append(Text(*(_shortened(_line(wrong[0], lang)) + ("" if len(wrong) == 1 else " (+%d)" % (len(wrong) - 1))
                            for lang in ("en", "ko"))))
    else:
        parts.append(_NOTHING_WRONG.fill(count=len(entry["items"])))
    return Text(" ".join(part.en for part in parts), " ".join(part.ko for part in parts))


def message(entry: Entry, entries: Sequence[Entry], description: Description) -> Dict[str, Any]:
    """The body of the call."""
    armed = watch.armed(description)
    armed = armed if armed is not None and armed["armed_at"] == entry["armed_at"] else None
    embeds = [_embed(entry, armed, entries, description)]
    if entry["checkpoint"] == "t24h":
        embeds.append(_end(entry, entries))
    return _call(embeds, description)


def trouble(found: Sequence[Finding], description: Description) -> Dict[str, Any]:
    """The body of the call that says what keeps the watch from going on."""
    lines = [line for lang in ("ko", "en") for finding in found for line in _problem(finding.as_dict(), lang)]
    return _call([{"title": _TROUBLE % (_MARKS[FAIL], description["title"]), "description": _fitting(lines, []),
                   "color": _COLOURS[FAIL], "footer": {"text": platform.node()}}], description)


def _call(embeds: List[Dict[str, Any]], description: Description) -> Dict[str, Any]:
    return {"username": description["title"], "embeds": embeds, "allowed_mentions": {"parse": []}}


def _embed(entry: Entry, armed: Any, entries: Sequence[Entry], description: Description) -> Dict[str, Any]:
    verdict = entry["verdict"]
    reason = [_cut(armed["reason"][lang]) for lang in ("ko", "en")] if armed else []
    head = [*reason, _ARMED % entry["armed_at"]]
    body = [text for lang in ("ko", "en") for text in ["", *_body(entry, lang)]]
    left = watch.outstanding(armed, entries)
    foot = ["", _NEXT % (label(left[0].checkpoint), left[0].at)] if left else []
    word = STATUS_WORDS[verdict]
    return {"title": _TITLE % (_MARKS[verdict], description["title"], label(entry["checkpoint"]), word.ko, word.en),
            "description": _fitting(head + body, foot), "color": _COLOURS[verdict],
            "footer": {"text": platform.node()}}


def _body(entry: Entry, lang: str) -> List[str]:
    lines = []
    if entry["late_seconds"] >= watch.LATE:
        lines.append(_LATE.fill(span=span(entry["late_seconds"])).get(lang))
    wrong = entry["problems"]
    if not wrong:
        lines.append(_NOTHING_WRONG.fill(count=len(entry["items"])).get(lang))
    for problem in wrong[:_LINES]:
        lines += _problem(problem, lang)
    if len(wrong) > _LINES:
        lines.append(_MORE.fill(count=len(wrong) - _LINES, checkpoint=entry["checkpoint"]).get(lang))
    return lines


def _problem(problem: Mapping[str, Any], lang: str) -> List[str]:
    shown = ["%s **%s**" % (_MARKS[problem["status"]], _cut(_line(problem, lang)))]
    return [*shown, _DO.get(lang) + _cut(problem["fix"][lang])] if problem["fix"][lang] else shown


def _fitting(lines: Sequence[str], foot: Sequence[str]) -> str:
    """The lines that Discord takes, and the foot."""
    text, end = "\n".join(lines), "".join("\n" + line for line in foot)
    room = _DESCRIPTION - len(end)
    return (text if len(text) <= room else text[:room - 1].rpartition("\n")[0] + "\n…") + end


def _end(entry: Entry, entries: Sequence[Entry]) -> Dict[str, Any]:
    """The verdict of the 24 hours, with each checkpoint's."""
    done = {run["checkpoint"]: run for run in entries if run["armed_at"] == entry["armed_at"]}
    verdict = watch.conclusion(done)
    lines = ["%s %s" % (_MARKS[done[name]["verdict"] if name in done else UNKNOWN], label(name))
             for name in watch.CHECKPOINTS]
    word = STATUS_WORDS[verdict]
    return {"title": _END % (_MARKS[verdict], word.ko, word.en), "description": " · ".join(lines),
            "color": _COLOURS[verdict]}


def _line(problem: Mapping[str, Any], lang: str) -> str:
    heading = " ".join(part for part in (problem["title"][lang], problem["subject"]) if part)
    return "%s: %s" % (heading, problem["seen"][lang])


def _cut(text: str) -> str:
    """For a message: without what Discord would take for marks of its own."""
    return _shortened(_MARKUP.sub(r"\\\1", text)).rstrip("\\")


def _shortened(text: str) -> str:
    shown = " ".join(text.split())
    return shown if len(shown) <= _LONGEST else shown[:_LONGEST - 1] + "…"
