# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""What a check says: the one shape of a finding, its two languages, and the ways to show a list of them.

A module of rules holds one table, ``RULES = table(Rule(...), ...)``: every rule with all that it can say. Its judge
hands in what was read: ``RULES["port"].finding("taken", "8501", owner="nginx")``.
"""

from __future__ import annotations

import json
import os
import unicodedata
from typing import (
    Any,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Protocol,
    Sequence,
    Set,
    Tuple,
    TypeVar,
)

PASS, WARN, FAIL, UNKNOWN = "PASS", "WARN", "FAIL", "UNKNOWN"
WORST_FIRST = (FAIL, UNKNOWN, WARN, PASS)
CRITICAL, HIGH, MEDIUM, LOW = "critical", "high", "medium", "low"
LANGUAGES = ("en", "ko")


class Text(NamedTuple):
    """A text in every language, possibly with ``{placeholders}``."""

    en: str
    ko: str

    def fill(self, **values: Any) -> Text:
        """The text with its placeholders filled; a value that is a Text itself is taken in each language."""
        return Text(*(template.format(**{name: getattr(value, lang) if isinstance(value, Text) else value
                                         for name, value in values.items()})
                      for lang, template in zip(LANGUAGES, self)))

    def get(self, lang: str) -> str:
        return self.ko if lang == "ko" else self.en


NOTHING = Text("", "")
STATUS_WORDS = {
    PASS: Text("PASS", "정상"),
    WARN: Text("WARN", "주의"),
    FAIL: Text("FAIL", "실패"),
    UNKNOWN: Text("UNKNOWN", "판단 불가"),
}
EXPECTED = Text("expected", "기준")
# Advice of many rules.
DEPLOY = Text("deploy again: ansible-playbook site.yml", "다시 배포하세요: ansible-playbook site.yml")
_FIX = Text("do", "조치")
_RULE = Text("rule", "규칙")
_WHERE = Text("where", "위치")
_NOT_READ = Text("could not be read: {error}", "읽을 수 없습니다: {error}")
TERMINAL = Text("(ansible is for your PC, ansible-playbook with --ask-vault-pass; the other commands are for the VM)",
                "(ansible은 PC에서(ansible-playbook에는 --ask-vault-pass), 나머지 명령은 VM에서 실행하세요)")
_NOTHING_CHECKED = Text("nothing was checked", "점검한 항목이 없습니다")


class Case(NamedTuple):
    """One thing that a rule can say: how bad it is, what is seen, and what to do next."""

    status: str
    seen: Text
    fix: Text = NOTHING


class Place(NamedTuple):
    """Where it was seen, as far as that can be told: a Compose service, a file, a line (from 1)."""

    service: str = ""
    file: str = ""
    line: Optional[int] = None

    def text(self) -> Text:
        """The file and the line, e.g. compose.yml:12, or nothing."""
        shown = self.file if self.line is None else "%s:%d" % (self.file, self.line)
        return Text(shown, shown)


class Finding(NamedTuple):
    """The outcome of one rule for one subject (a port, a key, a container; "" where there is only one)."""

    id: str
    status: str
    title: Text
    subject: str
    seen: Text
    expected: Text
    fix: Text
    severity: str = HIGH
    place: Place = Place()

    def as_dict(self) -> Dict[str, Any]:
        """For JSON: texts in every language, and ``service``, ``file`` and ``line`` beside the others."""
        flat = {name: value._asdict() if isinstance(value, Text) else value for name, value in self._asdict().items()
                if name != "place"}
        return {**flat, **self.place._asdict()}

    def at(self, service: str = "", file: str = "", line: Optional[int] = None) -> Finding:
        """The same, with the place where it was seen."""
        return self._replace(place=Place(service, file, line))

    def heading(self, lang: str) -> str:
        return " ".join(part for part in (self.title.get(lang), self.subject) if part)

    def label(self, above: Text, lang: str) -> str:
        """The heading beneath another title, less what that one says already."""
        return self.subject if self.title == above else self.heading(lang)

    def standard(self, lang: str) -> str:
        """What was expected, of what is not as expected; "" where what was seen says so, or nothing could be seen."""
        told = self.status in (FAIL, WARN) and self.expected != self.seen
        return self.expected.get(lang) if told else ""

    def waived_as(self) -> str:
        """What a waiver of it would name: the rule, and the service where there is one."""
        return f"{self.id}, service {self.place.service}" if self.place.service else self.id

    def line(self, lang: str) -> str:
        """All of it in one line: what is wrong and what to do."""
        text = f"{self.heading(lang)}: {self.seen.get(lang)}"
        return f"{text}. {self.fix.get(lang)}" if self.fix.get(lang) else text


def from_dict(shown: Mapping[str, Any]) -> Finding:
    """A finding as ``as_dict`` shows it, such as a module returns it, as a Finding again."""
    texts = {name: Text(shown[name]["en"], shown[name]["ko"]) for name in ("title", "seen", "expected", "fix")}
    return Finding(id=shown["id"], status=shown["status"], subject=shown["subject"], severity=shown["severity"],
                   place=Place(shown["service"], shown["file"], shown["line"]), **texts)


class Rule(NamedTuple):
    """One check: what it looks at, what it expects, and everything that it can say (case name -> Case)."""

    id: str
    title: Text
    expected: Text
    cases: Mapping[str, Case]
    unread_fix: Text = NOTHING
    # How bad it is where the rule is broken, and why it is one: for who has to choose what to mend first.
    severity: str = HIGH
    why: Text = NOTHING

    def finding(self, case: str, subject: str = "", **values: Any) -> Finding:
        status, seen, fix = self.cases[case]
        values["subject"] = subject
        return Finding(self.id, status, self.title, subject, seen.fill(**values), self.expected.fill(**values),
                       fix.fill(**values), self.severity)

    def unread(self, error: str, subject: str = "", **values: Any) -> Finding:
        """What cannot be read is UNKNOWN, never PASS."""
        values["subject"] = subject
        return Finding(self.id, UNKNOWN, self.title, subject, _NOT_READ.fill(error=error),
                       self.expected.fill(**values), self.unread_fix.fill(**values), self.severity)


def table(*rules: Rule) -> Dict[str, Rule]:
    """The rules of one module by id; two of the same id are a mistake."""
    by_id = {rule.id: rule for rule in rules}
    if len(by_id) != len(rules):
        raise ValueError("two rules have the same id")
    return by_id


def with_passes(rules: Mapping[str, Rule], found: List[Finding]) -> List[Finding]:
    """What was found, and a PASS for each of the rules that found nothing. Only for rules that were really judged."""
    broken = {finding.id for finding in found}
    return found + [Finding(rule.id, PASS, rule.title, "", rule.expected, rule.expected, NOTHING, rule.severity)
                    for rule in rules.values() if rule.id not in broken]


class Judged(Protocol):
    """A finding, or what else has a status."""

    @property
    def status(self) -> str: ...


_Judged = TypeVar("_Judged", bound=Judged)


def worst(findings: Iterable[Judged]) -> str:
    """The status of the whole. With no findings nothing was checked, and that is not a pass."""
    return worst_of(finding.status for finding in findings)


def worst_of(statuses: Iterable[str]) -> str:
    """The same of statuses alone."""
    seen = set(statuses)
    return next((status for status in WORST_FIRST if status in seen), UNKNOWN)


def exit_code(findings: Iterable[Judged]) -> int:
    """0 pass (with or without warnings), 1 something failed, 3 could not tell. 2 is left to wrong usage."""
    return {FAIL: 1, UNKNOWN: 3}.get(worst(findings), 0)


def problems(findings: Iterable[Finding]) -> List[Finding]:
    """What stands in the way: failures, then what could not be told."""
    return [finding for finding in sort(findings) if finding.status in (FAIL, UNKNOWN)]


def sort(findings: Iterable[_Judged]) -> List[_Judged]:
    """Worst first, otherwise in the order given."""
    return sorted(findings, key=lambda finding: WORST_FIRST.index(finding.status))


def language(asked: Optional[str] = None, environ: Optional[Mapping[str, str]] = None) -> str:
    """en or ko: as asked, otherwise as COINPILOT_LANG says, otherwise as the locale (LC_ALL, LANG) says."""
    environ = os.environ if environ is None else environ
    wish = asked or environ.get("COINPILOT_LANG") or environ.get("LC_ALL") or environ.get("LANG") or ""
    return "ko" if wish.lower().startswith("ko") else "en"


def alike(findings: Iterable[Finding], lang: str) -> List[Finding]:
    """What is not well, worst first; of several subjects of which the same is said, one finding that names them all."""
    found: Dict[Tuple[str, ...], List[Finding]] = {}
    for finding in sort(findings):
        if finding.status != PASS:
            said = (finding.title.get(lang), finding.seen.get(lang), finding.standard(lang), finding.fix.get(lang))
            found.setdefault(said, []).append(finding)
    return [each[0]._replace(subject=", ".join(finding.subject for finding in each if finding.subject))
            for each in found.values()]


def with_standards(findings: Iterable[Finding], lang: str) -> Iterator[Tuple[Finding, str]]:
    """Each with what was expected, where that is not said already."""
    told: Set[str] = set()
    for finding in findings:
        expected = finding.standard(lang)
        yield finding, "" if expected in told else expected
        told.add(expected)


def summary(findings: Sequence[Judged], lang: str) -> str:
    """One line: the verdict, and how many of each kind."""
    verdict = STATUS_WORDS[worst(findings)].get(lang)
    if not findings:
        return f"{verdict}: {_NOTHING_CHECKED.get(lang)}"
    counts = [(STATUS_WORDS[status].get(lang), sum(finding.status == status for finding in findings))
              for status in WORST_FIRST]
    return f"{verdict}: " + ", ".join(f"{word} {count}" for word, count in counts if count)


def render_text(findings: Iterable[Finding], lang: str, without: str = "", waivable: bool = False) -> str:
    """A report for a person: the verdict, then one block a finding, worst first; what passed takes one line.

    Findings of the status ``without`` count in the verdict and are not listed. Where they are ``waivable``, each says
    what a waiver has to name.
    """
    ordered = sort(findings)
    lines = [summary(ordered, lang)]
    ordered = [finding for finding in ordered if finding.status != without]
    status_width = max(width(word.get(lang)) for word in STATUS_WORDS.values())
    heading_width = min(32, max((width(finding.heading(lang)) for finding in ordered), default=0))
    label_width = max(width(label.get(lang)) for label in (_RULE, _WHERE, EXPECTED, _FIX))
    for finding in ordered:
        lines.append("  ".join((pad(STATUS_WORDS[finding.status].get(lang), status_width),
                                pad(finding.heading(lang), heading_width), finding.seen.get(lang))).rstrip())
        if finding.status != PASS:
            indent = " " * (status_width + 2)
            rule = Text(finding.waived_as(), finding.waived_as()) if waivable else NOTHING
            lines.extend(f"{indent}{pad(label.get(lang), label_width)}  {text.get(lang)}"
                         for label, text in ((_RULE, rule), (_WHERE, finding.place.text()),
                                             (EXPECTED, finding.expected), (_FIX, finding.fix)) if text.get(lang))
    return "\n".join(lines + terminal(lines, lang)) + "\n"


def terminal(lines: Iterable[str], lang: str) -> List[str]:
    """The line that says where to type what a report advises, where that is not one and the same terminal."""
    return [TERMINAL.get(lang)] if any("ansible-playbook" in line for line in lines) else []


def result(findings: Sequence[Finding], lang: str) -> Dict[str, Any]:
    """What a module returns of its findings: ``status``, ``findings`` (worst first) and ``report``."""
    return {"status": worst(findings), "findings": [finding.as_dict() for finding in sort(findings)],
            "report": render_text(findings, lang)}


def render_json(findings: Iterable[Finding], **more: Any) -> str:
    """The same for a program: the verdict, the exit code, and the findings in every language."""
    ordered = sort(findings)
    report = {"status": worst(ordered), "exit_code": exit_code(ordered), **more,
              "findings": [finding.as_dict() for finding in ordered]}
    return json.dumps(report, ensure_ascii=False, indent=2) + "\n"


def render_problems(findings: Iterable[Finding], lang: str) -> str:
    """The message of a run that stops: one line a problem."""
    return "\n".join(f"- {finding.line(lang)}" for finding in problems(findings))


def width(text: str) -> int:
    """Columns that a text takes on a terminal; Korean characters take two."""
    return sum(0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
               for character in text)


def pad(text: str, columns: int) -> str:
    return text + " " * (columns - width(text))


def size_text(size: float) -> str:
    """A number of bytes as a person reads it, e.g. 1.5 MiB."""
    units = ["B", "KiB", "MiB", "GiB", "TiB"]
    while size >= 1024 and len(units) > 1:
        size /= 1024
        units.pop(0)
    return "%d B" % size if units[0] == "B" else "%.1f %s" % (size, units[0])
