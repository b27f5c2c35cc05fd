# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""What the verification of one or many hosts comes to: one verdict, every item worst first, and what changed. Pure.

What comes in is what the modules returned, host by host, as Ansible registered it; nothing is taken for granted of it.
A summary is made of plain values, for JSON; its texts are mappings of en and ko.
"""

from __future__ import annotations

import datetime
from typing import Any, Dict, Iterable, List, Mapping, Sequence, Tuple

from . import findings, preflight_policy
from .findings import FAIL, PASS, UNKNOWN, WARN, WORST_FIRST, Case, Finding, Rule, Text, table
from .watch import CHECKPOINTS

_AGAIN = Text("does it answer? ansible {subject} -m ping; then run this again",
              "응답하는지 확인하고(ansible {subject} -m ping) 다시 실행하세요")

RULES = table(
    Rule("reached", Text("host", "호스트"), Text("it answers, and was looked at", "응답하며, 점검이 끝까지 실행됨"), {
        "unreachable": Case(UNKNOWN, Text("could not be reached: {error}", "접속할 수 없습니다: {error}"),
                            Text("is the VM running, its address right? Try: ansible {subject} -m ping",
                                 "VM과 인벤토리의 주소를 확인하세요. 접속 시험: ansible {subject} -m ping")),
        "stopped": Case(UNKNOWN, Text("the check stopped: {error}", "점검이 중단되었습니다: {error}"),
                        Text("mend what it says and run this again", "위 내용을 해결한 뒤 다시 실행하세요")),
        "nothing": Case(UNKNOWN, Text("nothing came back from it", "결과를 받지 못했습니다"), _AGAIN),
        "unreadable": Case(UNKNOWN, Text("what came back cannot be read", "받은 결과를 읽을 수 없습니다"), _AGAIN),
    }),
    Rule("identity", Text("machine", "머신"), Text("the machine on record", "기록된 머신"), {
        "same": Case(PASS, Text("the machine on record", "기록된 머신과 같음")),
        "unrecorded": Case(WARN, Text("no machine is on record for {subject}", "{subject}에 기록된 머신이 없음"),
                           Text("put it on record: ansible-playbook playbooks/first_contact.yml -l {subject}",
                                "기록하세요: ansible-playbook playbooks/first_contact.yml -l {subject}")),
        "other": Case(FAIL, Text("{said}", "{said}"),
                      Text("judge nothing by this report before ansible_host of {subject} is right",
                           "{subject}의 ansible_host를 바로잡기 전에는 이 보고서를 믿지 마세요")),
    }),
    Rule("oci", Text("OCI's own rules", "OCI 보안 규칙"), Text("looked at each week", "매주 점검"), {
        "unasked": Case(WARN, Text("not looked at: security rules, budget and quotas",
                                   "보안 규칙·예산·쿼터를 점검하지 않음"),
                        Text("set security_preflight_oci_instance_id of {subject} (README, Security), "
                             "or look in OCI's console",
                             "{subject}의 security_preflight_oci_instance_id를 설정하거나(README의 보안 절) "
                             "OCI 콘솔에서 확인하세요")),
    }),
)
TITLES = {
    "reached": RULES["reached"].title,
    "identity": RULES["identity"].title,
    "outside": Text("ports from outside", "외부에서 본 포트"),
    "history": Text("history of the checks", "점검 이력"),
    "oci": Text("OCI's own rules", "OCI 보안 규칙·예산"),
}

# Lines of one item: more than that is no screen.
_MOST_LINES = 5
_REPORT = {
    "checkpoint": Text("checkpoint {name}", "체크포인트 {name}"),
    "expected": findings.EXPECTED,
    "do": Text("do", "조치"),
    "advice": Text("then", "추가 조치"),
    "since": Text("since {when}", "{when} 이후"),
    "worse": Text("worse", "나빠짐"),
    "better": Text("better", "나아짐"),
    "more": Text("and {count} more: they are on the page", "외 {count}건은 페이지에 있습니다"),
    "nobody": Text("no host was verified: does the inventory or --limit name one?",
                   "점검한 호스트가 없습니다. 인벤토리나 --limit를 확인하세요"),
}


# One host ------------------------------------------------------------------------------------------------------------

def summarize(hosts: Mapping[str, Mapping[str, Any]], now: float, checkpoint: str = "daily") -> Dict[str, Any]:
    """The summary of all hosts, worst first. Of each host: what came back as ``identity``, ``checklist``, ``outside``
    and ``oci``; ``stopped``, the message of what ended the run there; and ``policy``, with what is waived."""
    shown = sorted((_host(name, given, now) for name, given in hosts.items()),
                   key=lambda host: WORST_FIRST.index(host["status"]))
    # Of one host its items count, of many the hosts.
    counts = shown[0]["counts"] if len(shown) == 1 else _counts(host["status"] for host in shown)
    return _with_verdict({
        "status": findings.worst_of(host["status"] for host in shown), "at": now, "checkpoint": checkpoint,
        "passed": bool(shown) and all(host["status"] in (PASS, WARN) for host in shown),
        "counts": counts, "hosts": shown})


def _host(name: str, given: Mapping[str, Any], now: float) -> Dict[str, Any]:
    items = sorted(_items(name, given), key=lambda item: WORST_FIRST.index(item["status"]))
    checklist = _mapping(given.get("checklist"))
    history = entries(checklist.get("history"))
    return _with_verdict({
        "name": name, "status": findings.worst_of(item["status"] for item in items), "items": items,
        "counts": _counts(item["status"] for item in items),
        "compared": compare({item["id"]: item["status"] for item in items}, history, now),
        "watch": due(checklist.get("armed"), history, now), "history": history})


def _with_verdict(shown: Dict[str, Any]) -> Dict[str, Any]:
    """With its verdict in one line, e.g. FAIL: FAIL 1, PASS 14."""
    words = findings.STATUS_WORDS
    told = {lang: ", ".join("%s %d" % (words[status].get(lang), count) for status, count in shown["counts"].items())
            or _REPORT["nobody"].get(lang) for lang in findings.LANGUAGES}
    return {**shown, "verdict": {lang: "%s: %s" % (words[shown["status"]].get(lang), told[lang]) for lang in told}}


def _items(name: str, given: Mapping[str, Any]) -> List[Dict[str, Any]]:
    asked = {part: _mapping(given.get(part)) for part in ("identity", "checklist", "outside", "oci")}
    no_oci = bool(asked["oci"].get("skipped"))
    asked = {part: answer for part, answer in asked.items() if answer and not answer.get("skipped")}
    away = next((answer for answer in asked.values() if answer.get("unreachable")), None)
    if away is not None:
        return [_item("reached", [RULES["reached"].finding("unreachable", name, error=_said(away.get("msg")))])]
    machine = asked.pop("identity", None)
    if machine is not None and machine.get("failed") and "identity" not in machine:
        # The module itself broke, and says nothing of the machine.
        error = _said(machine.get("module_stderr") or machine.get("msg"))
        return [_item("reached", [RULES["reached"].finding("stopped", name, error=error)])]
    known = [] if machine is None else [_item("identity", [_judge_identity(name, machine)])]
    if machine is not None and machine.get("failed"):
        # Nothing was looked at: it is another machine.
        return known
    found = []
    if given.get("stopped"):
        found.append(_item("reached", [RULES["reached"].finding("stopped", name, error=_said(given["stopped"]))]))
    if "checklist" in asked and not asked["checklist"].get("failed"):
        found += _checked(name, asked.pop("checklist"))
    asked.pop("checklist", None)
    found += [_part(name, part, answer, given.get("policy", preflight_policy.NONE)) for part, answer in asked.items()]
    if not found:
        found.append(_item("reached", [RULES["reached"].finding("nothing", name)]))
    if no_oci:
        found.append(_item("oci", [RULES["oci"].finding("unasked", name)]))
    return known + found


def _judge_identity(name: str, answer: Mapping[str, Any]) -> Finding:
    if answer.get("failed"):
        return RULES["identity"].finding("other", name, said=_said(answer.get("msg")))
    return RULES["identity"].finding("same" if answer.get("recorded") else "unrecorded", name)


def _checked(name: str, answer: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """The items of the checklist as the module returned them."""
    found = []
    items = answer.get("checked")
    for item in items if isinstance(items, list) else ():
        try:
            read = [_read(finding) for finding in item["findings"]]
            found.append({"id": str(item["id"]), "title": _text(item["title"]), "status": _status(item["status"]),
                          "advice": _text(item.get("advice") or ""), "seconds": float(item.get("seconds") or 0),
                          "findings": [finding.as_dict() for finding in findings.sort(read)]})
        except (KeyError, TypeError, ValueError):
            found.append(_item("reached", [RULES["reached"].finding("unreadable", name)]))
    found = found or [_item("reached", [RULES["reached"].finding("nothing", name)])]
    return found + _history(answer)


def _history(answer: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """What is wrong with the host's history, which belongs to no item."""
    try:
        read = [_read(finding) for finding in answer.get("findings") or () if finding["id"] == "watch-history"]
    except (KeyError, TypeError, ValueError):
        return []
    return [_item("history", read)] if read else []


def _part(name: str, part: str, answer: Mapping[str, Any], policy: Any) -> Dict[str, Any]:
    """One item of the findings of a module that ran on the control machine."""
    if "findings" not in answer:
        return _item(part, [RULES["reached"].finding("stopped", name, error=_said(answer.get("msg")))])
    try:
        found = [_read(finding) for finding in answer["findings"]]
    except (KeyError, TypeError, ValueError):
        return _item(part, [RULES["reached"].finding("unreadable", name)])
    judged = preflight_policy.apply(preflight_policy.trusted(policy), found, datetime.date.today(),
                                    preflight_policy.VARIABLE)
    # What is to be said of the policy itself, the preflight says.
    return _item(part, [finding for finding in judged if finding.id not in preflight_policy.RULES])


def _item(identifier: str, found: List[Finding]) -> Dict[str, Any]:
    return {"id": identifier, "title": TITLES[identifier]._asdict(), "status": findings.worst(found),
            "advice": findings.NOTHING._asdict(), "seconds": 0.0,
            "findings": [finding.as_dict() for finding in findings.sort(found)]}


def _read(given: Any) -> Finding:
    finding = findings.from_dict(given)
    texts = (finding.title, finding.seen, finding.expected, finding.fix)
    if not all(isinstance(text, str) for text in (finding.id, finding.subject, *sum(texts, ()))):
        raise TypeError("no finding")
    return finding._replace(status=_status(finding.status))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _status(value: Any) -> str:
    if value not in WORST_FIRST:
        raise ValueError("no status: %s" % value)
    return str(value)


def _text(value: Any) -> Dict[str, str]:
    if isinstance(value, Mapping):
        return {lang: str(value[lang]) for lang in findings.LANGUAGES}
    return dict.fromkeys(findings.LANGUAGES, str(value))


def _said(message: Any) -> str:
    """The last line that says something, of a message that may be a traceback."""
    lines = [line.strip() for line in str(message or "").splitlines() if line.strip()]
    return (lines[-1] if lines else "-").replace("Task failed: ", "")[:500]


def _counts(statuses: Iterable[str]) -> Dict[str, int]:
    listed = list(statuses)
    return {status: listed.count(status) for status in WORST_FIRST if status in listed}


# Earlier runs --------------------------------------------------------------------------------------------------------

def entries(history: Any) -> List[Dict[str, Any]]:
    """The earlier runs that can be read, oldest first: when, which checkpoint of which watch, each item's status."""
    found = []
    for entry in history if isinstance(history, list) else ():
        try:
            items = {str(name): _status(status) for name, status in entry["items"].items()}
            found.append({"at": _moment(entry["at"]), "checkpoint": str(entry["checkpoint"]), "items": items,
                          "status": findings.worst_of(items.values()), "armed_at": entry.get("armed_at"),
                          "late_seconds": float(entry.get("late_seconds") or 0)})
        except (AttributeError, KeyError, TypeError, ValueError):
            # The module that read the history has said so already.
            continue
    return sorted(found, key=lambda entry: entry["at"])


def compare(items: Mapping[str, str], history: Any, now: float) -> Dict[str, Any]:
    """What is worse and what is better than each item last was before today; ``since`` is None with nothing earlier.

    Today is the day by the clock of whoever reads this.
    """
    today = day(now)
    before: Dict[str, Tuple[float, str]] = {}
    for entry in entries(history):
        if day(entry["at"]) < today:
            before.update((name, (entry["at"], status)) for name, status in entry["items"].items())
    known = [name for name in items if name in before]
    changes = [{"id": name, "before": before[name][1], "now": items[name]} for name in known
               if before[name][1] != items[name]]
    return {"since": max((before[name][0] for name in known), default=None),
            "worse": [change for change in changes if _is_worse(change)],
            "better": [change for change in changes if not _is_worse(change)]}


def _is_worse(change: Mapping[str, str]) -> bool:
    return WORST_FIRST.index(change["now"]) < WORST_FIRST.index(change["before"])


def due(armed: Any, history: Any, now: float) -> List[Dict[str, Any]]:
    """The checkpoints of the watch that runs: each done (with its status), due, or waiting for its time."""
    armed_at = armed.get("armed_at") if isinstance(armed, Mapping) else armed
    try:
        armed_at = _moment(armed_at)
    except (TypeError, ValueError):
        return []
    done = {entry["checkpoint"]: entry for entry in entries(history) if entry["armed_at"] == armed_at}
    found = []
    for name, after in CHECKPOINTS.items():
        due_at, entry = armed_at + after, done.get(name)
        found.append({"checkpoint": name, "due_at": due_at,
                      "state": "done" if entry else "due" if due_at <= now else "waiting",
                      "status": entry["status"] if entry else None, "at": entry["at"] if entry else None,
                      "late_seconds": entry["late_seconds"] if entry else max(0.0, now - due_at)})
    return found


def _moment(value: Any) -> float:
    """Seconds since 1970 that a calendar has."""
    if not 0 <= float(value) < 2 ** 33:
        raise ValueError("no moment: %s" % value)
    return float(value)


def timeline(host: Mapping[str, Any], now: float, days: int) -> Tuple[List[datetime.date], Dict[str, Dict[Any, str]]]:
    """The last days, and per item (and "" for the whole) the worst status of each day that has one; today's as now."""
    last = day(now)
    shown = [last - datetime.timedelta(days=back) for back in reversed(range(days))]
    runs = [*host["history"], {"at": now, "items": {item["id"]: item["status"] for item in host["items"]}}]
    rows: Dict[str, Dict[Any, str]] = {"": {}}
    for run in runs:
        date = day(run["at"])
        for name, status in run["items"].items():
            for row in (rows[""], rows.setdefault(name, {})):
                row[date] = findings.worst_of([status, row.get(date, status)])
    return shown, {name: {date: status for date, status in row.items() if date in set(shown)}
                   for name, row in rows.items()}


def day(moment: float) -> datetime.date:
    return datetime.datetime.fromtimestamp(moment).date()


# Showing -------------------------------------------------------------------------------------------------------------

def problems(summary: Mapping[str, Any]) -> List[Tuple[Mapping[str, Any], Mapping[str, Any], Finding]]:
    """What to do first: host, item and finding; failures, then what could not be told, then warnings; the gravest
    of each first."""
    found = [(host, item, finding) for host in summary["hosts"] for item in host["items"] for finding in wrong(item)]
    grave = (findings.CRITICAL, findings.HIGH, findings.MEDIUM, findings.LOW)
    return sorted(found, key=lambda entry: (
        WORST_FIRST.index(entry[2].status), grave.index(entry[2].severity) if entry[2].severity in grave else 1))


def wrong(item: Mapping[str, Any], lang: str = "en") -> List[Finding]:
    """What is not well in an item of a summary, worst first; what is said of several subjects, once."""
    return findings.alike((findings.from_dict(finding) for finding in item["findings"]), lang)


def when(moment: float) -> str:
    return datetime.datetime.fromtimestamp(moment).strftime("%Y-%m-%d %H:%M")


def render_table(summary: Mapping[str, Any], lang: str) -> str:
    """One screen: the verdict, one line a host where there are many, then host by host what is not well, with what to
    do, and what passed in one line."""
    head = [summary["verdict"][lang], when(summary["at"])]
    if summary["checkpoint"] != "daily":
        head.append(_REPORT["checkpoint"].fill(name=summary["checkpoint"]).get(lang))
    lines = ["  ".join(head)]
    if len(summary["hosts"]) > 1:
        lines += _host_lines(summary["hosts"], lang)
    for host in summary["hosts"]:
        if len(summary["hosts"]) > 1 and host["status"] != PASS:
            lines += ["", "%s  %s" % (host["name"], host["verdict"][lang])]
        if len(summary["hosts"]) == 1 or host["status"] != PASS:
            lines += _item_lines(host, lang)
    if summary["status"] != PASS and summary["hosts"]:
        lines.append(findings.TERMINAL.get(lang))
    return "\n".join(lines) + "\n"


def _host_lines(hosts: Sequence[Mapping[str, Any]], lang: str) -> List[str]:
    rows = []
    for host in hosts:
        wrong = [item["title"][lang] for item in host["items"] if item["status"] != PASS]
        rows.append((findings.STATUS_WORDS[host["status"]].get(lang), host["name"], ", ".join(wrong)))
    widths = [max(findings.width(row[column]) for row in rows) for column in (0, 1)]
    return ["  ".join((findings.pad(status, widths[0]), findings.pad(name, widths[1]), wrong)).rstrip()
            for status, name, wrong in rows]


def _item_lines(host: Mapping[str, Any], lang: str) -> List[str]:
    passed = [item["id"] for item in host["items"] if item["status"] == PASS]
    word = max(findings.width(words.get(lang)) for words in findings.STATUS_WORDS.values())
    label = max(findings.width(_REPORT[name].get(lang)) for name in ("expected", "do", "advice"))
    indent, lines = " " * (word + 2), []
    for item in host["items"]:
        if item["status"] == PASS:
            continue
        lines.append("%s  %s (%s)" % (findings.pad(findings.STATUS_WORDS[item["status"]].get(lang), word),
                                      item["title"][lang], item["id"]))
        found = wrong(item, lang)
        for finding, expected in findings.with_standards(found[:_MOST_LINES], lang):
            subject = finding.label(Text(**item["title"]), lang)
            lines.append(indent + (subject + ": " if subject else "") + finding.seen.get(lang))
            lines += _labelled(indent, label, "expected", expected, lang)
            lines += _labelled(indent, label, "do", finding.fix.get(lang), lang)
        if len(found) > _MOST_LINES:
            lines.append(indent + _REPORT["more"].fill(count=len(found) - _MOST_LINES).get(lang))
        # It is for what is wrong, not for what could not be told.
        if item["status"] != UNKNOWN:
            lines += _labelled(indent, label, "advice", item["advice"][lang], lang)
    if passed:
        lines.append("%s  %d: %s" % (findings.pad(findings.STATUS_WORDS[PASS].get(lang), word), len(passed),
                                     ", ".join(passed)))
    return lines + _change_lines(host, lang)


def _labelled(indent: str, width: int, name: str, text: str, lang: str) -> List[str]:
    return ["%s%s  %s" % (indent, findings.pad(_REPORT[name].get(lang), width), text)] if text else []


def _change_lines(host: Mapping[str, Any], lang: str) -> List[str]:
    compared, titles = host["compared"], {item["id"]: item["title"][lang] for item in host["items"]}
    if compared["since"] is None:
        return []
    changes = ["%s %s" % (_REPORT[kind].get(lang), ", ".join(titles[change["id"]] for change in compared[kind]))
               for kind in ("worse", "better") if compared[kind]]
    since = _REPORT["since"].fill(when=when(compared["since"])).get(lang)
    return ["%s: %s" % (since, "; ".join(changes))] if changes else []
