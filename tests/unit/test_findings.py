from __future__ import annotations

import json
from typing import NamedTuple

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils.findings import (
    FAIL,
    PASS,
    UNKNOWN,
    WARN,
    Case,
    Rule,
    Text,
    exit_code,
    language,
    render_json,
    render_problems,
    render_text,
    table,
    width,
    worst,
)
from hypothesis import given
from hypothesis import strategies as st

PORT = Rule(
    "port", Text("port", "포트"), Text("free, or held by {holder}", "비어 있거나 {holder} 사용"),
    {
        "free": Case(PASS, Text("free", "비어 있음")),
        "busy": Case(WARN, Text("slow", "느림"), Text("Wait", "기다리세요")),
        "taken": Case(FAIL, Text("{owner} listens", "{owner} 사용 중"), Text("Stop {owner}", "{owner} 중지")),
    },
    Text("Run as root", "root로 실행하세요"))


def findings_of(*statuses: str) -> list:
    cases = {PASS: "free", WARN: "busy", FAIL: "taken"}
    return [PORT.unread("no permission", str(number), holder="bot") if status == UNKNOWN
            else PORT.finding(cases[status], str(number), holder="bot", owner="nginx")
            for number, status in enumerate(statuses)]


class Verdict(NamedTuple):
    statuses: tuple
    worst: str
    exit_code: int


@pytest.mark.parametrize("case", [
    Verdict((), UNKNOWN, 3),
    Verdict((PASS,), PASS, 0),
    Verdict((PASS, WARN), WARN, 0),
    Verdict((PASS, UNKNOWN, WARN), UNKNOWN, 3),
    Verdict((UNKNOWN, FAIL, PASS), FAIL, 1),
], ids=str)
def test_verdict(case: Verdict) -> None:
    found = findings_of(*case.statuses)
    assert worst(found) == case.worst
    assert exit_code(found) == case.exit_code


def test_both_languages_are_filled_and_a_text_goes_into_each() -> None:
    finding = PORT.finding("taken", "8501", holder="bot", owner=Text("a process", "어떤 프로세스"))
    assert finding.line("en") == "port 8501: a process listens. Stop a process"
    assert finding.line("ko") == "포트 8501: 어떤 프로세스 사용 중. 어떤 프로세스 중지"
    assert finding.expected == Text("free, or held by bot", "비어 있거나 bot 사용")


def test_what_cannot_be_read_is_unknown_and_says_why() -> None:
    finding = PORT.unread("no permission", "8501", holder="bot")
    assert (finding.status, finding.line("en")) == (UNKNOWN, "port 8501: could not be read: no permission. Run as root")


def test_values_with_braces_are_not_templates() -> None:
    assert PORT.finding("taken", "{x}", holder="", owner="{0} {y}").seen.en == "{0} {y} listens"


def test_text_is_worst_first_and_explains_only_what_did_not_pass() -> None:
    assert render_text(findings_of(PASS, FAIL, UNKNOWN), "en") == """\
FAIL: FAIL 1, UNKNOWN 1, PASS 1
FAIL     port 1  nginx listens
         expected  free, or held by bot
         do        Stop nginx
UNKNOWN  port 2  could not be read: no permission
         expected  free, or held by bot
         do        Run as root
PASS     port 0  free
"""


def test_what_can_be_waived_says_what_a_waiver_has_to_name() -> None:
    wait, taken = findings_of(WARN, FAIL)
    lines = render_text([wait, taken.at("bot")], "en", waivable=True).splitlines()
    assert [line.strip() for line in lines if "rule" in line] == ["rule      port, service bot", "rule      port"]


def test_korean_columns_line_up_on_a_terminal() -> None:
    lines = render_text(findings_of(PASS, FAIL, UNKNOWN), "ko").splitlines()
    assert lines[0] == "실패: 실패 1, 판단 불가 1, 정상 1"
    starts = {width(line[:line.index("포트")]) for line in lines[1:] if "포트" in line}
    assert starts == {width("판단 불가") + 2}


def test_nothing_checked_is_said() -> None:
    assert render_text([], "en") == "UNKNOWN: nothing was checked\n"


def test_json_carries_every_language_and_the_exit_code() -> None:
    report = json.loads(render_json(findings_of(PASS, FAIL), host="oci"))
    assert (report["status"], report["exit_code"], report["host"]) == (FAIL, 1, "oci")
    assert report["findings"][0]["seen"] == {"en": "nginx listens", "ko": "nginx 사용 중"}


def test_problems_are_one_line_each() -> None:
    assert render_problems(findings_of(WARN, FAIL), "en") == "- port 1: nginx listens. Stop nginx"
    assert render_problems(findings_of(UNKNOWN, PASS, FAIL), "en").splitlines() == [
        "- port 2: nginx listens. Stop nginx", "- port 0: could not be read: no permission. Run as root"]


def test_two_rules_of_one_id_are_refused() -> None:
    with pytest.raises(ValueError):
        table(PORT, PORT)


class Wish(NamedTuple):
    asked: str | None
    environ: dict
    language: str


@pytest.mark.parametrize("case", [
    Wish(None, {}, "en"),
    Wish(None, {"LANG": "ko_KR.UTF-8"}, "ko"),
    Wish(None, {"LANG": "ko_KR.UTF-8", "LC_ALL": "C.UTF-8"}, "en"),
    Wish(None, {"LANG": "ko_KR.UTF-8", "COINPILOT_LANG": "en"}, "en"),
    Wish("ko", {"COINPILOT_LANG": "en"}, "ko"),
], ids=str)
def test_language(case: Wish) -> None:
    assert language(case.asked, case.environ) == case.language


@given(st.lists(st.sampled_from([PASS, WARN, FAIL, UNKNOWN])))
def test_every_list_of_findings_can_be_shown(statuses: list) -> None:
    found = findings_of(*statuses)
    for lang in ("en", "ko"):
        text = render_text(found, lang)
        assert all(finding.seen.get(lang) in text for finding in found)
    assert json.loads(render_json(found))["status"] == worst(found)
