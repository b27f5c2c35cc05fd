# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""The verification as one page for a phone: verdict, what to do first, every item, the last 30 days. Pure.

The page stands alone: no network, no script, nothing unescaped. The browser chooses between light and dark.
"""

from __future__ import annotations

import datetime
import html
import re
from typing import Any, Dict, Iterable, List, Mapping, Optional

from . import verification
from .findings import EXPECTED, FAIL, PASS, STATUS_WORDS, TERMINAL, UNKNOWN, WARN, WORST_FIRST, Finding, Text, from_dict
from .moments import span
from .watch_message import label

DAYS = 30
# What is listed before the page says that there is more.
FIRST, ROWS = 5, 6
# A shape for each status: colour alone does not tell everybody.
_MARKS = {PASS: "\N{CHECK MARK}", WARN: "!", FAIL: "\N{MULTIPLICATION X}", UNKNOWN: "?"}
_WEEKDAYS = Text("Mon Tue Wed Thu Fri Sat Sun", "월 화 수 목 금 토 일")
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec"

_VERDICTS = {
    PASS: Text("All is well", "모두 정상입니다"),
    WARN: Text("Well, with warnings", "정상이지만 주의할 점이 있습니다"),
    FAIL: Text("Something failed", "실패한 항목이 있습니다"),
    UNKNOWN: Text("Not everything could be told", "판단하지 못한 항목이 있습니다"),
}
_NAMES = {
    "daily": Text("Daily check", "일일 점검"),
    "weekly": Text("Weekly check", "주간 점검"),
    "all": Text("All checks", "전체 점검"),
}
_WORDS = {
    "checkpoint": Text("Checkpoint {name}", "체크포인트 {name}"),
    "first": Text("What to do first", "먼저 할 일"),
    "more": Text("and {count} more below", "그 밖에 {count}건은 아래에 있습니다"),
    "hosts": Text("Hosts", "호스트"),
    "items": Text("Items", "점검 항목"),
    "passed": Text("{count} passed", "정상 {count}개"),
    "do": Text("Do", "조치"),
    "then": Text("Then", "추가 조치"),
    "timeline": Text("The last {days} days", "최근 {days}일"),
    "all": Text("All items", "전체"),
    "today": Text("today", "오늘"),
    "unchecked": Text("not checked", "점검 기록 없음"),
    "days": Text("{checked} days checked: {counts}", "{checked}일 점검: {counts}"),
    "steady": Text("{count} further items passed on every day checked", "나머지 {count}개 항목은 점검한 날 모두 정상"),
    "worse": Text("Worse than on {day}: {items}", "{day}보다 나빠짐: {items}"),
    "better": Text("Better than on {day}: {items}", "{day}보다 나아짐: {items}"),
    "same": Text("As on {day}", "{day}과(와) 같음"),
    "nothing": Text("No earlier check to compare with", "비교할 이전 점검 기록이 없음"),
    "watch": Text("24-hour watch", "24시간 감시"),
    "due": Text("due", "예정 지남"),
    "late": Text("{span} late", "{span} 늦음"),
    "nobody": Text("No host was verified. Does the inventory or --limit name one?",
                   "점검한 호스트가 없습니다. 인벤토리나 --limit를 확인하세요."),
    "again": Text("Again: {command}", "다시 점검: {command}"),
}

_STYLE = """
:root{color-scheme:light dark;--page:#f4f5f7;--card:#fff;--ink:#1b1f24;--soft:#5b6570;--line:#e1e5ea;--none:#e6e9ed;
--pass:#1a7f4b;--warn:#9a5b00;--fail:#c42b2b;--unknown:#6a4bb3;
--pass-soft:#e4f4eb;--warn-soft:#fdf1dc;--fail-soft:#fdeaea;--unknown-soft:#efeafb;
--pass-cell:#36b37e;--warn-cell:#f2a93b;--fail-cell:#e5484d;--unknown-cell:#8e6fdc}
@media(prefers-color-scheme:dark){:root{--page:#0f1216;--card:#181c22;--ink:#e8ebef;--soft:#9aa5b1;--line:#2a3038;
--none:#262c34;--pass:#5fd39b;--warn:#f5bd62;--fail:#ff8080;--unknown:#b9a1f5;
--pass-soft:#12291f;--warn-soft:#2e2412;--fail-soft:#351a1c;--unknown-soft:#251e3a;
--pass-cell:#2e9e6c;--warn-cell:#d9962f;--fail-cell:#e5484d;--unknown-cell:#8267c9}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,
"Apple SD Gothic Neo","Malgun Gothic","Noto Sans KR","Noto Sans CJK KR",sans-serif;-webkit-text-size-adjust:100%;
word-break:keep-all;overflow-wrap:anywhere}
main{max-width:46rem;margin:0 auto;padding:1rem .875rem 2.5rem}
h1,h2,h3,p,ol,ul,dl,dd{margin:0;padding:0}
ol,ul{list-style:none}
.card{background:var(--card);border:1px solid var(--line);border-radius:14px;padding:1rem;margin-top:.875rem}
.card>h2{font-size:1.0625rem;margin-bottom:.625rem}
.soft{color:var(--soft);font-size:.875rem}
.PASS{--c:var(--pass);--b:var(--pass-soft);--f:var(--pass-cell)}
.WARN{--c:var(--warn);--b:var(--warn-soft);--f:var(--warn-cell)}
.FAIL{--c:var(--fail);--b:var(--fail-soft);--f:var(--fail-cell)}
.UNKNOWN{--c:var(--unknown);--b:var(--unknown-soft);--f:var(--unknown-cell)}
.verdict{background:var(--b);border-color:transparent;padding:1.375rem 1.125rem;display:grid;
grid-template-columns:auto 1fr;gap:.25rem 1rem;align-items:center}
.verdict h1{font-size:1.625rem;line-height:1.25;color:var(--c);letter-spacing:-.01em}
.big{grid-row:span 2;width:3.75rem;height:3.75rem;border-radius:50%;background:var(--c);color:var(--card);
display:grid;place-items:center;font-size:2rem;font-weight:700}
.counts{grid-column:1/-1;display:flex;flex-wrap:wrap;gap:.375rem;margin-top:.625rem}
.chip{color:var(--c);background:var(--b);border-radius:99px;padding:.0625rem .5625rem;font-size:.8125rem;
font-weight:600;white-space:nowrap}
.verdict .chip{background:var(--card)}
.mark{flex:none;width:1.5rem;height:1.5rem;border-radius:50%;background:var(--b);color:var(--c);display:grid;
place-items:center;font-size:.875rem;font-weight:700}
.row{display:flex;gap:.625rem;align-items:flex-start}
.row>div,.item{flex:1;min-width:0}
.list>li{padding:.75rem 0;border-top:1px solid var(--line)}
.list>li:first-child{border-top:0;padding-top:0}
.list>li:last-child{padding-bottom:0}
.list .name{font-weight:600;display:flex;flex-wrap:wrap;gap:.25rem .5rem;align-items:baseline}
.what{margin-top:.125rem}
.do{margin-top:.375rem;padding:.5rem .625rem;border-left:3px solid var(--c);background:var(--b);
border-radius:0 8px 8px 0;font-size:.9375rem}
.do b{font-size:.8125rem;color:var(--c);margin-right:.375rem}
.where{color:var(--soft);font-weight:400;font-size:.875rem}
.finding+.finding{margin-top:.625rem}
details{margin-top:.75rem;border-top:1px solid var(--line);padding-top:.75rem}
.item,h3+details{margin-top:0;border-top:0;padding-top:0}
.item>summary{padding:0}
.item>summary::after{content:"+";margin-left:auto;color:var(--soft)}
.item[open]>summary::after{content:""}
summary{cursor:pointer;font-weight:600;padding:.25rem 0}
details[open]>summary{margin-bottom:.5rem}
.host>summary{display:flex;flex-wrap:wrap;gap:.5rem;align-items:center;font-size:1.0625rem}
.host{margin:0;border:0;padding:0}
.days{display:grid;grid-template-columns:repeat(30,1fr);gap:2px}
.days i{height:.75rem;border-radius:3px;background:var(--f,var(--none))}
.days.whole i{height:2rem;border-radius:4px}
.track{margin-top:.625rem}
.track .label{font-size:.875rem;margin-bottom:.1875rem}
.ends{display:flex;justify-content:space-between;margin-top:.1875rem}
.legend{display:flex;flex-wrap:wrap;gap:.25rem .875rem;margin-top:.75rem}
.legend span{display:inline-flex;align-items:center;gap:.3125rem}
.legend i{width:.75rem;height:.75rem;border-radius:3px;background:var(--f,var(--none))}
.legend .UNKNOWN>i,.days i.UNKNOWN{background:repeating-linear-gradient(135deg,var(--f) 0 3px,var(--none) 3px 5px)}
.watch{display:grid;grid-template-columns:repeat(5,1fr);gap:.375rem;text-align:center}
.watch li{background:var(--b,var(--page));color:var(--c,var(--soft));border-radius:10px;padding:.5rem .125rem;
font-size:.8125rem}
.watch b{display:block;font-size:.9375rem}
.section{margin-top:1rem;border-top:1px solid var(--line);padding-top:.875rem}
.section>h3{font-size:.9375rem;margin-bottom:.5rem}
.word{white-space:nowrap}
code{font:.875rem/1.4 ui-monospace,SFMono-Regular,Consolas,monospace}
footer{margin-top:1.25rem;text-align:center}
@media print{.card{break-inside:avoid}}
""".strip().replace("\n", "")


def render(summary: Mapping[str, Any], title: str, lang: str, command: str = "") -> str:
    """The whole page. ``command`` is what makes it anew."""
    page = _Page(lang, summary["at"])
    name = _NAMES.get(summary["checkpoint"], _WORDS["checkpoint"].fill(name=summary["checkpoint"])).get(lang)
    body = [page.verdict(summary, title, name)]
    if not summary["hosts"]:
        body.append('<section class="card"><p>%s</p></section>' % _escaped(page.word("nobody")))
    body.append(page.first(summary))
    many = len(summary["hosts"]) > 1
    if many:
        body.append(page.overview(summary["hosts"]))
    told = [(host["name"], item["id"]) for host, item, _finding in _grave(summary)[:FIRST]]
    body += [page.host(host, many, [item for name, item in told if name == host["name"]]) for host in summary["hosts"]]
    if command:
        body.append('<footer class="soft"><code>%s</code></footer>' % _escaped(page.word("again", command=command)))
    status = STATUS_WORDS[summary["status"]].get(lang)
    return _FRAME.format(lang=lang, title=_escaped("%s %s: %s" % (_MARKS[summary["status"]], status, title)),
                         style=_STYLE, body="\n".join(part for part in body if part))


_FRAME = """<!DOCTYPE html>
<html lang="{lang}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<meta http-equiv="Content-Security-Policy" content="default-src 'none';style-src 'unsafe-inline'">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


def _escaped(text: Any) -> str:
    return html.escape(str(text), quote=True)


def _prose(text: str) -> str:
    """A text that may hold commands: `...` as code, and no line ends at a hyphen of a name or an option."""
    marked = re.sub(r"`([^`]+)`", r"<code>\1</code>", _escaped(text))
    return re.sub(r"(?<![\w.-])(?=[\w.]*-)[\w.-]{2,32}(?![\w.-])", r'<span class="word">\g<0></span>', marked)


class _Page:
    """The parts of the page, in one language, as of one moment."""

    def __init__(self, lang: str, now: float) -> None:
        self.lang, self.now = lang, now

    def word(self, name: str, **values: Any) -> str:
        return _WORDS[name].fill(**values).get(self.lang)

    def status(self, status: Optional[str]) -> str:
        return self.word("unchecked") if status is None else STATUS_WORDS[status].get(self.lang)

    # The top -----------------------------------------------------------------------------------------------------

    def verdict(self, summary: Mapping[str, Any], title: str, name: str) -> str:
        counts = _added(host["counts"] for host in summary["hosts"])
        status = summary["status"]
        return ('<header class="card verdict %s"><span class="big" aria-hidden="true">%s</span><h1>%s</h1>'
                '<p class="soft">%s</p><p class="counts">%s</p></header>') % (
            status, _MARKS[status], _escaped(_VERDICTS[status].get(self.lang)),
            _escaped(" \N{MIDDLE DOT} ".join((title, name, self.moment(summary["at"])))), self.chips(counts))

    def chips(self, counts: Mapping[str, int]) -> str:
        return "".join('<span class="chip %s">%s %d</span>' % (status, _escaped(self.status(status)), counts[status])
                       for status in WORST_FIRST if counts.get(status))

    def first(self, summary: Mapping[str, Any]) -> str:
        """What is wrong, the gravest first; warnings only where nothing is worse."""
        grave = _grave(summary)
        if not grave:
            return ""
        many = len(summary["hosts"]) > 1
        lines = ['<li class="row %s">%s<div><p class="name">%s%s</p>%s</div></li>' % (
            finding.status, self.mark(finding.status), _escaped(item["title"][self.lang]),
            ' <span class="where">%s</span>' % _escaped(host["name"]) if many else "", self.finding(finding, item))
            for host, item, finding in grave[:FIRST]]
        if len(grave) > FIRST:
            lines.append('<li class="soft">%s</li>' % _escaped(self.word("more", count=len(grave) - FIRST)))
        return '<section class="card"><h2>%s</h2><ol class="list">%s</ol><p class="soft">%s</p></section>' % (
            _escaped(self.word("first")), "".join(lines), _prose(TERMINAL.get(self.lang)))

    def overview(self, hosts: Iterable[Mapping[str, Any]]) -> str:
        lines = "".join('<li class="row %s">%s<div><p class="name">%s</p><p class="soft">%s</p></div></li>' % (
            host["status"], self.mark(host["status"]), _escaped(host["name"]),
            _escaped(host["verdict"][self.lang])) for host in hosts)
        return '<section class="card"><h2>%s</h2><ul class="list">%s</ul></section>' % (
            _escaped(self.word("hosts")), lines)

    # A host ------------------------------------------------------------------------------------------------------

    def host(self, host: Mapping[str, Any], many: bool, told: List[str]) -> str:
        """``told`` are the items of findings that stand at the top of the page already, one for each finding."""
        parts = [self.compared(host), self.watch(host["watch"]), self.items(host["items"], told), self.timeline(host)]
        head = '%s%s' % (_escaped(host["name"]), self.chips(host["counts"]))
        # Of many hosts only those that need a look are unfolded.
        unfolded = "" if many and host["status"] == PASS else " open"
        return '<section class="card"><details class="host"%s><summary>%s</summary>%s</details></section>' % (
            unfolded, head, "".join(parts))

    def compared(self, host: Mapping[str, Any]) -> str:
        compared, titles = host["compared"], {item["id"]: item["title"][self.lang] for item in host["items"]}
        if compared["since"] is None:
            return '<p class="soft">%s</p>' % _escaped(self.word("nothing"))
        day = self.date(verification.day(compared["since"]))
        lines = [self.word(kind, day=day, items=", ".join(self.change(change, titles) for change in compared[kind]))
                 for kind in ("worse", "better") if compared[kind]]
        return "".join('<p class="soft">%s</p>' % _escaped(line) for line in lines or [self.word("same", day=day)])

    def change(self, change: Mapping[str, str], titles: Mapping[str, str]) -> str:
        before, now = self.status(change["before"]), self.status(change["now"])
        return "%s (%s \N{RIGHTWARDS ARROW} %s)" % (titles[change["id"]], before, now)

    def watch(self, checkpoints: List[Mapping[str, Any]]) -> str:
        # A watch that was over long ago is in the timeline.
        if not checkpoints or self.now > checkpoints[-1]["due_at"] + 86400 and checkpoints[-1]["state"] == "done":
            return ""
        cells = []
        for checkpoint in checkpoints:
            status, late = checkpoint["status"], checkpoint["late_seconds"]
            at = checkpoint["due_at"] if status is None else checkpoint["at"]
            says = (self.status(status) if status else self.word("due") if checkpoint["state"] == "due" else
                    self.clock(at))
            more = self.word("late", span=span(late)) if status and late >= 600 else self.clock(at)
            cells.append('<li class="%s"><b>%s</b>%s<br>%s</li>' % (
                status or "", _escaped(label(checkpoint["checkpoint"])), _escaped(says),
                _escaped(more if says != more else "")))
        return '<div class="section"><h3>%s</h3><ol class="watch">%s</ol></div>' % (
            _escaped(self.word("watch")), "".join(cells))

    def items(self, items: List[Mapping[str, Any]], told: List[str]) -> str:
        wrong = [item for item in items if item["status"] != PASS]
        passed = [item for item in items if item["status"] == PASS]
        parts = ['<div class="section"><h3>%s</h3>' % _escaped(self.word("items"))]
        if wrong:
            parts.append('<ul class="list">%s</ul>' % "".join(
                self.wrong(item, told.count(item["id"])) for item in wrong))
        if passed:
            parts.append('<details><summary>%s %s</summary><ul class="list">%s</ul></details>' % (
                _MARKS[PASS], _escaped(self.word("passed", count=len(passed))),
                "".join(self.right(item) for item in passed)))
        return "".join(parts) + "</div>"

    def right(self, item: Mapping[str, Any]) -> str:
        """An item that passed, with what was seen in one line."""
        found = [from_dict(finding) for finding in item["findings"]]
        seen = [" ".join(part for part in (finding.subject, finding.seen.get(self.lang)) if part)
                for finding in found[:3]]
        return '<li class="row PASS">%s<div><p class="name">%s</p><p class="soft">%s%s</p></div></li>' % (
            self.mark(PASS), _escaped(item["title"][self.lang]), _escaped(" \N{MIDDLE DOT} ".join(seen)),
            " \N{HORIZONTAL ELLIPSIS}" if len(found) > 3 else "")

    def wrong(self, item: Mapping[str, Any], told: int) -> str:
        """Every finding and what to do; folded where the top of the page has told all of it."""
        found = verification.wrong(item, self.lang)
        said = "".join(self.finding(finding, item) for finding in found)
        # It is for what is wrong, not for what could not be told.
        if item["advice"][self.lang] and item["status"] != UNKNOWN:
            said += '<p class="soft what">%s: %s</p>' % (_escaped(self.word("then")), _prose(item["advice"][self.lang]))
        return ('<li class="row %s">%s<details class="item"%s><summary class="name">%s <span class="chip">%s</span>'
                '</summary>%s</details></li>') % (
            item["status"], self.mark(item["status"]), "" if told >= len(found) else " open",
            _escaped(item["title"][self.lang]), _escaped(self.status(item["status"])), said)

    def finding(self, finding: Finding, item: Mapping[str, Any]) -> str:
        """What was seen and what to do; the finding's own title only where it tells more than the item's."""
        subject = finding.label(Text(**item["title"]), self.lang)
        expected, fix = finding.standard(self.lang), finding.fix.get(self.lang)
        return '<div class="finding %s"><p class="what">%s%s</p>%s%s</div>' % (
            finding.status, _escaped(subject + ": " if subject else ""), _prose(finding.seen.get(self.lang)),
            '<p class="soft">%s: %s</p>' % (_escaped(EXPECTED.get(self.lang)), _escaped(expected)) if expected else "",
            '<p class="do"><b>%s</b>%s</p>' % (_escaped(self.word("do")), _prose(fix)) if fix else "")

    @staticmethod
    def mark(status: str) -> str:
        return '<span class="mark" aria-hidden="true">%s</span>' % _MARKS[status]

    # The last days -----------------------------------------------------------------------------------------------

    def timeline(self, host: Mapping[str, Any]) -> str:
        """One strip for the whole, and one for each item that was not always well; the worst ones first."""
        shown, rows = verification.timeline(host, self.now, DAYS)
        titles = {item["id"]: item["title"][self.lang] for item in host["items"]}
        whole = rows.pop("")
        bad = {name: sum(status != PASS for status in row.values()) for name, row in rows.items()}
        unsteady = sorted((name for name, count in bad.items() if count), key=lambda name: -bad[name])
        parts = ['<div class="section"><h3>%s</h3>' % _escaped(self.word("timeline", days=DAYS)),
                 self.strip(self.word("all"), shown, whole, " whole"),
                 '<p class="ends soft"><span>%s</span><span>%s</span></p>' % (
                     _escaped(self.date(shown[0])), _escaped(self.word("today")))]
        parts += [self.strip(titles.get(name, name), shown, rows[name]) for name in unsteady[:ROWS]]
        steady = len(rows) - len(unsteady)
        if steady:
            parts.append('<p class="soft track">%s</p>' % _escaped(self.word("steady", count=steady)))
        return "".join(parts) + self.legend() + "</div>"

    def strip(self, name: str, shown: List[datetime.date], row: Mapping[Any, str], extra: str = "") -> str:
        counts: Dict[str, int] = {}
        for status in row.values():
            counts[status] = counts.get(status, 0) + 1
        told = self.word("days", checked=len(row), counts=", ".join(
            "%s %d" % (self.status(status), counts[status]) for status in WORST_FIRST if status in counts))
        cells = "".join('<i class="%s" title="%s"></i>' % (
            row.get(date, ""), _escaped("%s: %s" % (self.date(date), self.status(row.get(date))))) for date in shown)
        return ('<div class="track"><p class="label">%s <span class="soft">%s</span></p>'
                '<div class="days%s" role="img" aria-label="%s">%s</div></div>') % (
            _escaped(name), _escaped(told), extra, _escaped("%s: %s" % (name, told)), cells)

    def legend(self) -> str:
        cells = "".join('<span class="%s"><i></i>%s</span>' % (status or "", _escaped(self.status(status)))
                        for status in (PASS, WARN, UNKNOWN, FAIL, None))
        return '<p class="legend soft">%s</p>' % cells

    # Times -------------------------------------------------------------------------------------------------------

    def date(self, date: datetime.date) -> str:
        if self.lang == "ko":
            return "%d월 %d일" % (date.month, date.day)
        return "%d %s" % (date.day, _MONTHS.split()[date.month - 1])

    def moment(self, moment: float) -> str:
        date = verification.day(moment)
        weekday = _WEEKDAYS.get(self.lang).split()[date.weekday()]
        if self.lang == "ko":
            return "%s (%s) %s" % (self.date(date), weekday, self.clock(moment))
        return "%s %s, %s" % (weekday, self.date(date), self.clock(moment))

    def clock(self, moment: float) -> str:
        """The time of the day, and the day where it is another than today."""
        time = datetime.datetime.fromtimestamp(moment)
        shown = time.strftime("%H:%M")
        return shown if time.date() == verification.day(self.now) else "%s %s" % (self.date(time.date()), shown)


def _grave(summary: Mapping[str, Any]) -> List[Any]:
    """What is worse than a warning, or the warnings where nothing is."""
    found = verification.problems(summary)
    return [entry for entry in found if entry[2].status != WARN] or found


def _added(counted: Iterable[Mapping[str, int]]) -> Dict[str, int]:
    total: Dict[str, int] = {}
    for counts in counted:
        for status, count in counts.items():
            total[status] = total.get(status, 0) + count
    return total
