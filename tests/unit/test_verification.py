"""What the verification of one or many hosts comes to, as a text, as a comparison and as a page."""

from __future__ import annotations

import datetime
import html.parser
import json
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.coinpilot.ops.plugins.filter.compare_verifications import compare_verifications
from ansible_collections.coinpilot.ops.plugins.filter.due_checkpoints import due_checkpoints
from ansible_collections.coinpilot.ops.plugins.filter.verification_summary import verification_summary
from ansible_collections.coinpilot.ops.plugins.filter.verification_table import verification_table
from ansible_collections.coinpilot.ops.plugins.module_utils import report_html, verification
from ansible_collections.coinpilot.ops.plugins.module_utils.findings import HIGH, Finding, Text

HOUR, DAY = 3600, 86400
NOW = datetime.datetime(2026, 11, 23, 7, 0).timestamp()
AWAY = {"unreachable": True, "msg": "Failed to connect to the host via ssh:\nssh: connect to host: Connection refused"}


def finding(status: str, title: str = "service", subject: str = "bot", **changes: Any) -> dict[str, Any]:
    both = Text("seen", "본 것")
    return {**Finding("service", status, Text(title, title), subject, both, Text("good", "정상"),
                      Text("do this", "이렇게 하세요"), HIGH).as_dict(), **changes}


def item(name: str, status: str = "PASS", *found: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"id": name, "title": {"en": f"the {name}", "ko": f"{name} 항목"}, "status": status, "seconds": 0.1,
            "findings": list(found) or [finding(status)], **changes}


def answer(*items: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"identity": {"recorded": True}, "checklist": {"checked": list(items), "history": [], **more}}


def run(days_ago: float, checkpoint: str = "daily", **items: str) -> dict[str, Any]:
    return {"at": NOW - days_ago * DAY, "checkpoint": checkpoint, "items": items}


def statuses(given: dict[str, Any]) -> list[tuple[str, str]]:
    host = verification_summary({"oci": given}, now=NOW)["hosts"][0]
    return [(shown["id"], shown["status"]) for shown in host["items"]]


@pytest.mark.parametrize(("given", "expected"), [
    (answer(item("a")), [("identity", "PASS"), ("a", "PASS")]),
    (answer(item("a"), item("b", "FAIL"), item("c", "WARN"), item("d", "UNKNOWN")),
     [("b", "FAIL"), ("d", "UNKNOWN"), ("c", "WARN"), ("identity", "PASS"), ("a", "PASS")]),
    # Not reached at all, or lost on the way.
    ({"identity": AWAY}, [("reached", "UNKNOWN")]),
    ({"identity": {"recorded": True}, "checklist": AWAY}, [("reached", "UNKNOWN")]),
    ({"identity": {"recorded": False}, "checklist": {"checked": [item("a")]}}, [("identity", "WARN"), ("a", "PASS")]),
    # Another machine: nothing else is told of it.
    ({"identity": {"failed": True, "msg": "recorded as x; the machine that answered is y", "identity": {}},
      "stopped": "recorded"},
     [("identity", "FAIL")]),
    # It could not even start.
    ({"identity": {"failed": True, "msg": "no start of json", "module_stderr": "OSError: no space"}, "stopped": "no"},
     [("reached", "UNKNOWN")]),
    # The module failed: the message of what stopped it, and nothing of what did not run.
    ({"identity": {"recorded": True}, "checklist": {"failed": True, "msg": "no"}, "stopped": "no"},
     [("reached", "UNKNOWN"), ("identity", "PASS")]),
    # Nothing came back, or nothing that can be read.
    ({}, [("reached", "UNKNOWN")]),
    ({"identity": {"recorded": True}}, [("reached", "UNKNOWN"), ("identity", "PASS")]),
    ({"identity": {}, "checklist": {"checked": []}}, [("reached", "UNKNOWN")]),
    ({"identity": {}, "checklist": {"checked": "none"}}, [("reached", "UNKNOWN")]),
    (answer(item("a", status="FINE")), [("reached", "UNKNOWN"), ("identity", "PASS")]),
    (answer({"id": "a"}), [("reached", "UNKNOWN"), ("identity", "PASS")]),
    (answer(item("a", findings=[finding("PASS", seen={"en": 1, "ko": None})])),
     [("reached", "UNKNOWN"), ("identity", "PASS")]),
    ({**answer(item("a")), "outside": {"findings": [finding("FINE")]}},
     [("outside", "UNKNOWN"), ("identity", "PASS"), ("a", "PASS")]),
    (answer(item("a", findings=[{"id": "x"}])), [("reached", "UNKNOWN"), ("identity", "PASS")]),
    (answer(item("a"), findings=[finding("PASS"), finding("WARN", id="watch-history")]),
     [("history", "WARN"), ("identity", "PASS"), ("a", "PASS")]),
    # What was not asked for is not missed.
    ({"identity": {"recorded": True}, "checklist": {"skipped": True}, "outside": {"findings": [finding("PASS")]}},
     [("identity", "PASS"), ("outside", "PASS")]),
    ({**answer(item("a")), "outside": {"skipped": True}, "oci": {}}, [("identity", "PASS"), ("a", "PASS")]),
    # Once a week somebody has to look at OCI's rules.
    ({**answer(item("a")), "oci": {"skipped": True}}, [("oci", "WARN"), ("identity", "PASS"), ("a", "PASS")]),
    ({**answer(item("a")), "outside": {"failed": True, "msg": "boom"}},
     [("outside", "UNKNOWN"), ("identity", "PASS"), ("a", "PASS")]),
    ({**answer(item("a")), "oci": {"findings": [finding("FAIL")]}},
     [("oci", "FAIL"), ("identity", "PASS"), ("a", "PASS")]),
])
def test_every_host_is_judged_by_what_came_back(given: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert statuses(given) == expected


@pytest.mark.parametrize(("hosts", "status", "passed"), [
    ({"a": answer(item("x"))}, "PASS", True),
    ({"a": answer(item("x", "WARN"))}, "WARN", True),
    ({"a": answer(item("x")), "b": {"identity": AWAY}}, "UNKNOWN", False),
    ({"a": answer(item("x", "FAIL")), "b": {"identity": AWAY}}, "FAIL", False),
    ({"a": answer(item("x")), "b": {}}, "UNKNOWN", False),
    ({}, "UNKNOWN", False),
])
def test_the_whole_is_as_its_worst_host(hosts: dict[str, Any], status: str, passed: bool) -> None:
    summary = verification_summary(hosts, now=NOW)
    assert (summary["status"], summary["passed"]) == (status, passed)
    assert json.loads(json.dumps(summary)) == summary


def test_a_waived_port_is_a_warning() -> None:
    open_port = finding("FAIL", id="outside-port", service="dashboard")
    policy = {"public_ports": [], "waivers": [
        {"rule": "outside-port", "service": "dashboard", "reason": "shown to a friend", "expires": "2999-01-01"}]}
    waived = statuses({**answer(item("a")), "outside": {"findings": [open_port]}, "policy": policy})
    assert ("outside", "WARN") in waived


def test_the_table_says_what_is_wrong_and_what_to_do_on_one_screen() -> None:
    summary = verification_summary({"oci": answer(item("a"), item("b", "FAIL", finding("FAIL"), finding("PASS")),
                                                  advice={"en": "", "ko": ""})}, now=NOW)
    assert verification_table(summary) == """\
FAIL: FAIL 1, PASS 2  2026-11-23 07:00
FAIL     the b (b)
         service bot: seen
         expected  good
         do        do this
PASS     2: identity, a
(ansible is for your PC, ansible-playbook with --ask-vault-pass; the other commands are for the VM)
"""
    assert "the VM" not in verification_table(verification_summary({"oci": answer(item("a"))}, now=NOW))
    assert verification_table(summary, "ko").startswith(
        "실패: 실패 1, 정상 2  2026-11-23 07:00\n실패       b 항목 (b)\n           service bot: 본 것\n")


def test_the_table_says_once_what_is_said_of_several_and_ends_a_long_item() -> None:
    same = [finding("FAIL", subject=name) for name in ("bot", "db")]
    others = [finding("FAIL", subject=str(number), seen={"en": f"seen {number}", "ko": "-"}) for number in range(6)]
    text = verification_table(verification_summary({"oci": answer(
        item("b", "FAIL", *same, *others), item("c", "UNKNOWN", advice={"en": "look around", "ko": "-"}))}, now=NOW))
    assert "service bot, db: seen\n         expected  good\n         do        do this\n" in text
    assert "seen 3" in text and "seen 4" not in text and "and 2 more: they are on the page" in text
    assert text.count("expected") == 1 and "look around" not in text


def test_many_hosts_are_one_line_each_and_only_the_sick_in_full() -> None:
    text = verification_table(verification_summary(
        {"good": answer(item("a")), "bad": answer(item("a", "FAIL")), "away": {"identity": AWAY}}, now=NOW))
    assert text.splitlines()[:4] == ["FAIL: FAIL 1, UNKNOWN 1, PASS 1  2026-11-23 07:00", "FAIL     bad   the a",
                                     "UNKNOWN  away  host", "PASS     good"]
    assert "away: could not be reached: ssh: connect to host: Connection refused" in text
    assert text.count("  good") == 2, "its own line, and what was expected of bad"


@pytest.mark.parametrize(("history", "worse", "better", "since"), [
    ([], [], [], None),
    ([run(1, a="PASS", b="FAIL", c="PASS")], ["a"], ["b"], 1),
    # The last word before today counts, item by item; what was seen today does not.
    ([run(2, a="FAIL", b="PASS"), run(1, b="PASS"), run(0.1, a="PASS", b="FAIL")], [], [], 1),
    ([run(1, a="PASS"), run(3, a="FAIL", b="WARN")], ["a"], ["b"], 1),
    ([run(1, z="FAIL")], [], [], None),
    # Damaged by hand.
    (["x", None, {}, {"at": "soon", "items": {}}, {**run(1), "items": [1]}, {**run(1), "at": float("nan")},
      {**run(1), "at": 1e300}, run(1, a="FINE"), run(2, b="FAIL")], [], ["b"], 2),
    ("none", [], [], None),
])
def test_every_item_is_compared_with_what_it_last_was(
        history: Any, worse: list[str], better: list[str], since: float | None) -> None:
    compared = compare_verifications([item("a", "FAIL"), item("b"), item("c")], history, now=NOW)
    assert [change["id"] for change in compared["worse"]] == worse
    assert [change["id"] for change in compared["better"]] == better
    assert compared["since"] == (None if since is None else NOW - since * DAY)


def test_the_checkpoints_of_the_watch_are_done_due_or_waiting() -> None:
    armed = NOW - 7 * HOUR
    history = [{"at": armed + 200, "checkpoint": "t0", "armed_at": armed, "items": {"a": "PASS"}},
               # Of the watch before.
               {"at": armed - DAY, "checkpoint": "t1h", "armed_at": armed - DAY, "items": {"a": "FAIL"}},
               {"at": armed + 7 * HOUR - 60, "checkpoint": "t6h", "armed_at": armed, "items": {"a": "WARN"},
                "late_seconds": 3540}]
    found = due_checkpoints(history, {"armed_at": armed}, now=NOW)
    assert [(each["checkpoint"], each["state"], each["status"]) for each in found] == [
        ("t0", "done", "PASS"), ("t1h", "due", None), ("t6h", "done", "WARN"), ("t12h", "waiting", None),
        ("t24h", "waiting", None)]
    assert [each["late_seconds"] for each in found] == [0, 6 * HOUR, 3540, 0, 0]


@pytest.mark.parametrize("armed", [None, {}, {"armed_at": "x"}, {"armed_at": float("nan")}, [], "x"])
def test_without_a_watch_no_checkpoint_is_due(armed: Any) -> None:
    assert due_checkpoints([], armed, now=NOW) == []


@pytest.mark.parametrize("call", [
    lambda: verification_summary(["oci"]), lambda: verification_summary({"oci": None}), lambda: verification_table({}),
    lambda: due_checkpoints("x", None),
    lambda: compare_verifications([1], []),
])
def test_bad_input_is_one_line(call: Any) -> None:
    with pytest.raises(AnsibleFilterError, match=r"\A[^\n]+\Z"):
        call()


# The page ------------------------------------------------------------------------------------------------------------

class Page(html.parser.HTMLParser):
    """The elements of a page, checked to be nested as they should be, and its text."""

    VOID = {"meta"}

    def __init__(self, text: str):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID | {"br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> where {self.open[-1:]} is open"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def cells(self, label: str) -> list[str | None]:
        """The classes of the days of a strip."""
        start = next(number for number, (_tag, attributes) in enumerate(self.elements)
                     if (attributes.get("aria-label") or "").startswith(label))
        found = []
        for tag, attributes in self.elements[start + 1:]:
            if tag != "i":
                break
            found.append(attributes["class"])
        return found


def page(hosts: dict[str, Any], lang: str = "en") -> Page:
    summary = verification_summary(hosts, now=NOW)
    return Page(report_html.render(summary, "CoinPilot", lang, "ansible-playbook x.yml"))


@pytest.mark.parametrize(("lang", "verdict", "first"), [
    ("en", "Something failed", "What to do first"), ("ko", "실패한 항목이 있습니다", "먼저 할 일")])
def test_the_page_speaks_one_language(lang: str, verdict: str, first: str) -> None:
    shown = page({"oci": answer(item("a"), item("b", "FAIL"))}, lang)
    assert ("html", {"lang": lang}) in shown.elements
    assert verdict in shown.text and first in shown.text
    other = {"en": ("먼저", "실패"), "ko": ("first", "Something")}[lang]
    assert not any(word in shown.text for word in other)


def test_the_page_stands_alone() -> None:
    shown = page({"oci": answer(item("a", "WARN"), history=[run(1, a="PASS")]), "away": {"identity": AWAY}})
    assert not {"script", "link", "img", "iframe", "form"} & {tag for tag, _attributes in shown.elements}
    for _tag, attributes in shown.elements:
        assert not {"src", "href", "style", "onclick"} & set(attributes)
    policy = [attributes["content"] for tag, attributes in shown.elements if tag == "meta"
              and attributes.get("http-equiv") == "Content-Security-Policy"]
    assert policy == ["default-src 'none';style-src 'unsafe-inline'"]
    assert "url(" not in report_html._STYLE and "@import" not in report_html._STYLE


def test_nothing_of_a_host_gets_into_the_page_unescaped() -> None:
    evil = "<script>alert(1)</script>\"'&{seen}%s"
    hostile = finding("FAIL", title=evil, subject=evil, seen={"en": evil, "ko": evil}, fix={"en": evil, "ko": evil})
    shown = page({evil: answer(item("a", "FAIL", hostile, title={"en": evil, "ko": evil}, advice=evil),
                               item("b", "PASS", {**hostile, "status": "PASS"}),
                               history=[run(1, **{"a": "PASS", evil: "FAIL"})])})
    assert "script" not in {tag for tag, _attributes in shown.elements}
    assert evil in shown.text


def test_the_page_says_what_passed_and_what_to_do() -> None:
    shown = page({"oci": answer(item("a", "FAIL", finding("FAIL"), advice={"en": "look around", "ko": "보세요"}))})
    assert "do this" in shown.text and "Then: look around" in shown.text and "1 passed" in shown.text
    assert "All is well" in page({"oci": answer(item("a"))}).text
    assert "What to do first" not in page({"oci": answer(item("a"))}).text
    assert "No host was verified" in page({}).text


def test_a_command_on_the_page_keeps_its_words_together() -> None:
    advised = finding("FAIL", fix={"en": "run `docker ps -a`, then: sudo coinpilot-ops monitoring --prove", "ko": "-"})
    shown = page({"oci": answer(item("a", "FAIL", advised), advice={"en": "", "ko": ""})})
    kept = [attributes.get("class") for tag, attributes in shown.elements if tag in ("code", "span")]
    assert "run docker ps -a , then: sudo coinpilot-ops monitoring --prove" in shown.text
    assert kept.count("word") == 8, "-a, coinpilot-ops and --prove, at the top and in the item; and where to type what"


def test_only_the_first_problems_stand_at_the_top() -> None:
    shown = page({"oci": answer(*(item(f"x{number}", "FAIL") for number in range(8)), item("w", "WARN"))})
    assert "and 3 more below" in shown.text
    assert shown.text.index("the x4") < shown.text.index("and 3 more below") < shown.text.index("the x5")


def test_the_timeline_has_a_day_for_each_of_the_last_thirty() -> None:
    shown = page({"oci": answer(item("a"), item("b"), history=[
        run(40, a="FAIL"), run(3, a="PASS", b="PASS"), run(2, a="PASS", b="FAIL"), run(2, "t1h", b="PASS"),
        run(29, a="WARN", b="PASS")])})
    whole = shown.cells("All items")
    assert len(whole) == 30
    assert (whole[0], whole[1], whole[26], whole[27], whole[28], whole[29]) == ("WARN", "", "PASS", "FAIL", "", "PASS")
    assert shown.cells("the b")[27] == "FAIL"
    assert "1 further items passed" in shown.text


def test_a_watch_is_on_the_page_until_it_is_long_over() -> None:
    armed = NOW - 7 * HOUR
    entry = {"at": armed + 200, "checkpoint": "t0", "armed_at": armed, "items": {"a": "PASS"}}
    shown = page({"oci": answer(item("a"), history=[entry], armed={"armed_at": armed})})
    assert "24-hour watch T+0m PASS 00:03 T+1h due 01:00" in shown.text
    long_ago = NOW - 30 * DAY
    history = [{"at": long_ago + after, "checkpoint": name, "armed_at": long_ago, "items": {"a": "PASS"}}
               for name, after in verification.CHECKPOINTS.items()]
    assert "watch" not in page({"oci": answer(item("a"), history=history, armed={"armed_at": long_ago})}).text
