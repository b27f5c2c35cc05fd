"""What a policy allows and waives, until when, and what is said of one that cannot be used."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.coinpilot.ops.plugins.module_utils import preflight_policy
from ansible_collections.coinpilot.ops.plugins.module_utils.findings import FAIL, PASS, UNKNOWN, WARN, Case, Rule, Text

TODAY = datetime.date(2026, 11, 23)
RULE = Rule("root", Text("user", "사용자"), Text("not root", "root가 아님"), {
    "root": Case(FAIL, Text("{subject} is root", "{subject}: root"))})
WAIVER = {"rule": "root", "service": "db", "reason": "until the image can do without", "expires": "2026-11-23"}


def policy(*waivers: dict[str, Any], **more: Any) -> dict[str, Any]:
    usable, problems = preflight_policy.checked({"waivers": list(waivers), **more}, ["root"], "policy.json")
    assert not problems
    return usable


def test_a_waiver_makes_a_warning_of_what_it_names_and_of_nothing_else() -> None:
    found = [RULE.finding("root", "db").at("db"), RULE.finding("root", "bot").at("bot")]
    db, bot = preflight_policy.apply(policy(WAIVER), found, TODAY, "policy.json")
    assert (db.status, bot.status) == (WARN, FAIL)
    assert "until the image can do without" in db.seen.en and "2026-11-23" in db.seen.ko


def test_the_day_after_it_the_finding_is_back_and_the_waiver_is_one_too() -> None:
    found = [RULE.finding("root", "db").at("db")]
    after = preflight_policy.apply(policy(WAIVER), found, TODAY + datetime.timedelta(days=1), "policy.json")
    assert [(finding.id, finding.status) for finding in after] == [("root", FAIL), ("policy-expired", FAIL)]


def test_what_could_not_be_told_is_never_waived() -> None:
    found = [RULE.unread("no permission", "db").at("db")]
    after = preflight_policy.apply(policy(WAIVER), found, TODAY, "policy.json")
    assert after[0].status == UNKNOWN


def test_a_waiver_that_nothing_needs_is_said_once_its_rule_was_judged() -> None:
    passed = RULE.finding("root")._replace(status=PASS)
    after = preflight_policy.apply(policy(WAIVER), [passed], TODAY, "p")
    assert [finding.id for finding in after[1:]] == ["policy-unused"]
    assert not preflight_policy.apply(policy(WAIVER), [], TODAY, "p")


@pytest.mark.parametrize("given, said", [
    ([], "public_ports: [443]"),
    ({"ports": [443]}, "unknown key ports; known: public_ports, waivers"),
    ({"public_ports": 443}, "a list of ports"),
    ({"public_ports": ["443"]}, "a list of ports"),
    ({"public_ports": [True]}, "a list of ports"),
    ({"public_ports": [70000]}, "a list of ports"),
    ({"waivers": {}}, "waivers must be a list"),
    ({"waivers": ["root"]}, "rule, service, reason, expires"),
    ({"waivers": [{**WAIVER, "rule": "toor"}]}, "unknown rule toor"),
    ({"waivers": [{**WAIVER, "reason": " "}]}, "waivers[].reason"),
    ({"waivers": [{**WAIVER, "expires": "soon"}]}, "2027-01-31"),
    ({"waivers": [{**WAIVER, "expires": "2026-W01-1"}]}, "2027-01-31"),
    ({"waivers": [{**WAIVER, "until": "2027-01-31"}]}, "unknown key until"),
    ({"waivers": [{key: value for key, value in WAIVER.items() if key != "service"}]}, "waivers[].service"),
])
def test_a_policy_that_cannot_be_used_allows_and_waives_nothing(given: Any, said: str) -> None:
    usable, problems = preflight_policy.checked(given, ["root"], "policy.json")
    assert usable == preflight_policy.NONE
    assert [finding.status for finding in problems] == [FAIL]
    assert said in problems[0].seen.en


def test_a_date_of_yaml_is_a_date() -> None:
    given = yaml.safe_load("waivers: [{rule: root, service: '', reason: soon mended, expires: 2027-01-31}]")
    usable, problems = preflight_policy.checked(given, ["root"], "policy.json")
    assert not problems
    assert usable["waivers"][0]["expires"] == "2027-01-31"


@pytest.mark.parametrize("text, said", [(None, "No such file"), ("{", "line 1"), ('{"public_ports": [1,]}', "line 1")])
def test_a_file_that_cannot_be_read(tmp_path: Path, text: str | None, said: str) -> None:
    path = tmp_path / "policy.json"
    if text is not None:
        path.write_text(text)
    read, found = preflight_policy.load(str(path))
    assert read == preflight_policy.NONE
    assert [finding.id for finding in found] == ["policy-file"]
    assert said in found[0].seen.en
    assert found[0].place.file == str(path)
