"""OCI's own rules, judged of recorded worlds; and the record of earlier days."""

from __future__ import annotations

import datetime
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils import (
    findings,
    preflight_oci,
    preflight_oci_run,
    preflight_oci_sdk,
    preflight_oci_state,
)
from ansible_collections.coinpilot.ops.plugins.module_utils.preflight_oci import Ingress, Unread, World
from ansible_collections.coinpilot.ops.plugins.module_utils.preflight_oci_rules import RULES
from ansible_collections.coinpilot.ops.plugins.module_utils.preflight_oci_state import Entry
from hypothesis import given, settings
from hypothesis import strategies as st

POLICY: dict[str, Any] = {"public_ports": [], "waivers": []}
WEB: dict[str, Any] = {"public_ports": [80, 443], "waivers": []}
LIST, ANYONE, MINE, MINE6 = "Default Security List", "0.0.0.0/0", "203.0.113.7/32", "2001:db8::7/128"
RECORD = {"rules": {"a": ""}, "budgets": {"monthly": "amount=10.0"}, "quotas": {"free": "zero compute-core quotas"},
          "limits": {"compute standard-a1-core-count": "2"}}
LAST_WEEK = Entry("2026-11-16T00:00:00Z", RECORD)


def tcp(source: str = ANYONE, first: int = 0, last: int = 0, **more: Any) -> Ingress:
    ports = (first, last or first) if first else None
    return Ingress(LIST, source, **{"source_type": "CIDR_BLOCK", "protocol": "6", "ports": ports, **more})


SSH = tcp(MINE, 22)


def world(*rules: Ingress, **more: Any) -> World:
    return World(**{"state": "RUNNING", "interfaces": 1, "rules": rules, "complete": True, "record": RECORD,
                    "errors": [], **more})


def judged(*rules: Ingress, policy: dict[str, Any] = POLICY, **more: Any) -> dict[str, str]:
    """The worst status of each rule of the table."""
    found = preflight_oci.judge(world(*rules, **more), LAST_WEEK, policy)
    assert all(finding.line(lang) for finding in found for lang in findings.LANGUAGES)
    return {name: findings.worst(finding for finding in found if finding.id == name)
            for name in {finding.id for finding in found}}


def verdict(name: str, *rules: Ingress, policy: dict[str, Any] = POLICY) -> str:
    return judged(*rules, policy=policy)[name]


GOOD = {"oci-access": "PASS", "oci-ssh-source": "PASS", "oci-open": "PASS", "oci-changed": "PASS"}


def test_the_runbooks_rules_with_ssh_limited_are_good() -> None:
    icmp = Ingress(LIST, ANYONE, "CIDR_BLOCK", "1", icmp=3)
    inside = Ingress(LIST, "10.0.0.0/16", "CIDR_BLOCK", "1", icmp=3)
    assert judged(SSH, tcp(first=80), tcp(first=443), icmp, inside, policy=WEB) == GOOD
    assert judged(SSH, icmp, inside, Ingress(LIST, ANYONE, "CIDR_BLOCK", "1", icmp=8)) == GOOD
    assert judged(SSH, tcp(MINE6, 22), tcp("198.51.100.4/32", 22)) == GOOD
    assert judged() == GOOD, "nothing is let in"


# SSH -----------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("source", "expected"), [
    (MINE, "PASS"), (MINE6, "PASS"), ("203.0.113.7", "PASS"),
    (ANYONE, "FAIL"), ("::/0", "FAIL"), ("0.0.0.0/1", "FAIL"), ("203.0.113.0/24", "FAIL"), ("203.0.113.6/31", "FAIL"),
    ("2001:db8::/64", "FAIL"), ("2001:db8::/127", "FAIL"), ("10.0.0.0/7", "FAIL"), ("172.16.0.0/11", "FAIL"),
    ("10.0.0.0/16", "WARN"), ("10.0.0.9/32", "WARN"), ("192.168.0.0/24", "WARN"), ("fd00::/64", "WARN"),
    ("not an address", "UNKNOWN"), ("", "UNKNOWN"),
])
def test_the_source_of_ssh(source: str, expected: str) -> None:
    assert verdict("oci-ssh-source", tcp(source, 22)) == expected
    assert verdict("oci-ssh-source", SSH, tcp(source, 22)) == expected, "one good rule does not mend a bad one"


@pytest.mark.parametrize(("kind", "expected"), [("SERVICE_CIDR_BLOCK", "FAIL"), ("NETWORK_SECURITY_GROUP", "WARN")])
def test_ssh_from_other_kinds_of_sources(kind: str, expected: str) -> None:
    assert verdict("oci-ssh-source", tcp("all-icn-services", 22, source_type=kind)) == expected


@pytest.mark.parametrize("rule", [tcp(), tcp(first=1, last=65535), tcp(first=22, last=23), tcp(first=20, last=22),
                                  Ingress(LIST, ANYONE, "CIDR_BLOCK", "all"), tcp(first=22, stateless=True)])
def test_every_way_of_opening_ssh(rule: Ingress) -> None:
    assert verdict("oci-ssh-source", rule) == "FAIL"


@pytest.mark.parametrize("rule", [tcp(first=23), tcp(first=2222), tcp(first=22, protocol="17"),
                                  Ingress(LIST, ANYONE, "CIDR_BLOCK", "1", icmp=3)])
def test_what_does_not_open_ssh(rule: Ingress) -> None:
    assert verdict("oci-ssh-source", rule) == "PASS"


def test_another_port_of_ssh() -> None:
    found = preflight_oci.judge(world(tcp(first=2222)), LAST_WEEK, POLICY, ssh_port=2222)
    assert [finding.id for finding in found if finding.status == findings.FAIL] == ["oci-ssh-source"]


# Anything else -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("rule", "expected"), [
    (tcp(first=5432), "FAIL"), (tcp(first=8501), "FAIL"), (tcp(), "FAIL"), (tcp(first=1, last=65535), "FAIL"),
    (tcp(first=22, last=23), "FAIL"), (tcp(first=80, last=81), "FAIL"), (tcp(first=80, last=443), "FAIL"),
    (tcp(MINE, 5432), "FAIL"), (tcp("::/0", 3000), "FAIL"), (tcp(first=5432, stateless=True), "FAIL"),
    (tcp(first=53, protocol="17"), "FAIL"), (tcp(protocol="17"), "FAIL"), (tcp(first=443, protocol="17"), "FAIL"),
    (tcp(protocol="all"), "FAIL"), (tcp(MINE, protocol="all"), "FAIL"), (tcp(protocol="47"), "FAIL"),
    (tcp("all-icn-services", 443, source_type="SERVICE_CIDR_BLOCK"), "WARN"),
    (tcp("all-icn-services", 5432, source_type="SERVICE_CIDR_BLOCK"), "FAIL"),
    (tcp(first=80), "WARN"), (tcp(first=443), "WARN"),
    (tcp("10.0.0.0/16", protocol="all"), "WARN"), (tcp("ocid1.nsg", source_type="NETWORK_SECURITY_GROUP"), "WARN"),
    (tcp(protocol="1"), "WARN"), (tcp(protocol="1", icmp=5), "WARN"),
    (tcp(first=22), "PASS"), (tcp(protocol="1", icmp=3), "PASS"), (tcp(protocol="58"), "PASS"),
    (tcp("nonsense", 5432), "UNKNOWN"),
])
def test_what_else_is_open(rule: Ingress, expected: str) -> None:
    assert verdict("oci-open", SSH, rule) == expected


@pytest.mark.parametrize(("rule", "expected"), [
    (tcp(first=80), "PASS"), (tcp(first=443), "PASS"), (tcp(first=443, protocol="17"), "PASS"),
    (tcp(first=80, last=81), "FAIL"), (tcp(first=8443), "FAIL"), (tcp(first=22, protocol="17"), "FAIL"),
])
def test_what_the_policy_allows(rule: Ingress, expected: str) -> None:
    assert verdict("oci-open", SSH, rule, policy=WEB) == expected


def test_the_finding_names_the_list_the_port_and_the_source() -> None:
    [finding] = [finding for finding in preflight_oci.judge(world(SSH, tcp(first=5432, last=5440)), LAST_WEEK, POLICY)
                 if finding.status == findings.FAIL]
    for lang in findings.LANGUAGES:
        assert all(part in finding.line(lang) for part in (LIST, "TCP 5432-5440", ANYONE))


# What could not be read ----------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("status", "kind", "says"), [
    (401, "instance", "API keys"), (404, "network", "read virtual-network-family"),
    (403, "limits", "inspect resource-availability in tenancy"),
    (404, "budgets", "read usage-budgets in tenancy"), (404, "quotas", "read quotas in tenancy"), (429, "limits", "15"),
    (500, "network", "oraclecloud.com"), (0, "instance", "oraclecloud.com"),
])
def test_what_cannot_be_read_is_unknown(status: int, kind: str, says: str) -> None:
    unread = [Unread(kind, "thing", status, "said")]
    found = preflight_oci.judge(world(complete=False, errors=unread, record={}), LAST_WEEK, POLICY)
    assert [(finding.id, finding.status) for finding in found] == [("oci-access", "UNKNOWN")]
    assert says in found[0].line("en") and says in found[0].line("ko")


def test_a_bad_rule_is_told_though_another_list_cannot_be_read() -> None:
    unread = [Unread("network", "list", 404, "said")]
    assert judged(tcp(first=5432), SSH, complete=False, errors=unread, record={}) == {
        "oci-access": "UNKNOWN", "oci-open": "FAIL"}


def test_an_instance_without_an_interface() -> None:
    assert judged(interfaces=0, complete=False, record={}, state="TERMINATED") == {"oci-access": "UNKNOWN"}


# Changes -------------------------------------------------------------------------------------------------------------

def changes(now: dict[str, Any], before: Entry | None = LAST_WEEK) -> list[tuple[str, str, str]]:
    found = preflight_oci.judge(world(record=now), before, POLICY)
    return [(finding.status, finding.subject, finding.seen.en) for finding in found if finding.id == "oci-changed"]


def test_the_same_as_a_week_ago() -> None:
    assert changes(RECORD) == [("PASS", "", "as on 2026-11-16")]


def test_the_first_run_has_nothing_to_compare_with() -> None:
    [(status, _subject, seen)] = changes(RECORD, None)
    assert status == "WARN" and "first time" in seen
    assert changes({}, None) == []


@pytest.mark.parametrize(("group", "values", "says"), [
    ("budgets", {"monthly": "amount=90.0"}, "monthly: amount=10.0 -> amount=90.0"),
    ("budgets", {}, "- monthly"),
    ("budgets", {"monthly": "amount=10.0", "extra": "amount=1"}, "+ extra (amount=1)"),
    ("quotas", {"free": ""}, "free: zero compute-core quotas -> "),
    ("limits", {"compute standard-a1-core-count": "0"}, "compute standard-a1-core-count: 2 -> 0"),
    ("rules", {"a": "", "b": ""}, "+ b"),
])
def test_a_change_is_told(group: str, values: dict[str, str], says: str) -> None:
    [(status, subject, seen)] = changes({**RECORD, group: values})
    assert status == "WARN" and subject == group and says in seen and "2026-11-16" in seen


def test_many_changes_are_counted() -> None:
    [(_status, _subject, seen)] = changes({**RECORD, "limits": {f"compute {number}": "1" for number in range(20)}})
    assert "(+16)" in seen


def test_what_was_not_read_is_neither_the_same_nor_changed() -> None:
    part = {group: values for group, values in RECORD.items() if group != "budgets"}
    assert changes(part) == [] and changes(RECORD, Entry(LAST_WEEK.at, part)) == []
    assert [status for status, *_ in changes({**part, "rules": {}})] == ["WARN"]


# The record ----------------------------------------------------------------------------------------------------------

def at(day: int, hour: int = 0) -> datetime.datetime:
    return datetime.datetime(2026, 11, 1, hour, tzinfo=datetime.timezone.utc) + datetime.timedelta(days=day)


def test_daily_runs_compare_with_a_week_ago() -> None:
    entries: list[Entry] = []
    compared = []
    for day in range(20):
        for hour in (3, 15):
            before = preflight_oci_state.baseline(entries, at(day, hour))
            compared.append(before and (at(day, hour) - preflight_oci_state._when(before)).days)
            entries = preflight_oci_state.add(entries, {"limits": {"n": str(day)}}, at(day, hour))
        assert len(entries) <= 9
    assert compared[0] is None and compared[1] == 0 and set(compared[14:]) == {6}


def test_weekly_runs_compare_with_the_last() -> None:
    entries: list[Entry] = []
    for week in range(5):
        before = preflight_oci_state.baseline(entries, at(week * 7))
        assert (before.record["limits"]["n"] if before else None) == (str(week - 1) if week else None)
        entries = preflight_oci_state.add(entries, {"limits": {"n": str(week)}}, at(week * 7))
        assert len(entries) <= 2


def test_what_was_not_read_this_time_stays_on_record() -> None:
    entries = preflight_oci_state.add([LAST_WEEK], {"limits": {}}, at(22))
    assert entries[-1].record == {**RECORD, "limits": {}}


def test_a_record_is_kept_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "oci.json"
    assert preflight_oci_state.load(str(path), "id") == []
    preflight_oci_state.save(str(path), "id", [LAST_WEEK])
    assert preflight_oci_state.load(str(path), "id") == [LAST_WEEK] and path.stat().st_mode & 0o777 == 0o600
    assert preflight_oci_state.load(str(path), "another") == [], "another instance begins anew"


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}",
                                  '{"instance": "id", "entries": [{"at": "x", "record": {}}]}',
                                  '{"instance": "id", "entries": [{"at": 5, "record": {}}]}',
                                  '{"instance": "id", "entries": [{"at": "2026-11-16T00:00:00Z", "record": [1]}]}',
                                  '{"instance": "id", "entries": 3}', "[" * 5000])
def test_a_broken_record_is_an_error(text: str, tmp_path: Path) -> None:
    path = tmp_path / "oci.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="no record"):
        preflight_oci_state.load(str(path), "id")


@settings(max_examples=50)
@given(st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(
    st.sampled_from(["instance", "entries", "at", "record"]) | st.text(), inner)))
def test_no_record_breaks_the_reading(held: Any) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "oci.json"
        path.write_text(json.dumps(held), encoding="utf-8")
        try:
            assert isinstance(preflight_oci_state.load(str(path), "id"), list)
        except ValueError as problem:
            assert "no record" in str(problem)


@given(st.text(), st.text(), st.text(), st.none() | st.tuples(st.integers(), st.integers()), st.none() | st.integers())
def test_no_rule_breaks_the_judge(source: str, kind: str, protocol: str, ports: Any, icmp: Any) -> None:
    assert judged(Ingress(LIST, source, kind, protocol, ports, icmp))


# Credentials ---------------------------------------------------------------------------------------------------------

def wish(tmp_path: Path, **more: Any) -> preflight_oci_run.Wish:
    return preflight_oci_run.Wish(**{"instance_id": "ocid1.instance.oc1.ap-seoul-1.abc",
                                     "state_file": str(tmp_path / "oci.json"), "config_file": str(tmp_path / "config"),
                                     **more})


@pytest.mark.parametrize("text", [
    None, "", "[OTHER]\nuser=x\n", "[DEFAULT]\nuser=x\npass_phrase=letmein\n", "pass_phrase=letmein\n",
    "[DEFAULT]\npass_phrase letmein\n",
    "[DEFAULT]\ntenancy=ocid1.tenancy.oc1..a\nuser=ocid1.user.oc1..a\nregion=ap-seoul-1\n"
    "fingerprint=12:34:56:78:90:ab:cd:ef:12:34:56:78:90:ab:cd:ef\nkey_file=/nonexistent/key.pem\npass_phrase=letmein\n",
])
def test_no_credentials(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "config").write_text(text, encoding="utf-8")
    [finding] = preflight_oci_run.run(wish(tmp_path), POLICY, record=True)
    assert (finding.id, finding.status) == ("oci-access", "UNKNOWN")
    assert "letmein" not in json.dumps(finding.as_dict())
    assert not (tmp_path / "oci.json").exists()


def test_a_broken_key_is_not_shown(tmp_path: Path) -> None:
    credentials = {"tenancy": "ocid1.tenancy.oc1..a", "user": "ocid1.user.oc1..a", "region": "ap-seoul-1",
                   "fingerprint": ":".join(["12"] * 16), "key_content": "-----BEGIN letmein",
                   "pass_phrase": "opensesame"}
    [finding] = preflight_oci_run.run(wish(tmp_path, credentials=credentials), POLICY, record=True)
    shown = json.dumps(finding.as_dict())
    assert finding.status == "UNKNOWN" and "letmein" not in shown and "opensesame" not in shown


def test_no_sdk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> Any:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(preflight_oci_sdk.importlib, "import_module", absent)
    [finding] = preflight_oci_run.run(wish(tmp_path), POLICY, record=True)
    assert finding.status == "UNKNOWN" and "requirements-oci.txt" in finding.line("en")


def test_every_rule_is_documented() -> None:
    assert set(RULES) == {"oci-access", "oci-ssh-source", "oci-open", "oci-changed"}
    assert all(rule.why.en and rule.why.ko for rule in RULES.values())
