"""n8n workflows: the corpus, each file of which has one defect or none, and what no file may do to the judge."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any, List, Optional

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils import preflight_workflows as workflows
from ansible_collections.coinpilot.ops.plugins.module_utils import preflight_workflows_expression as expression
from ansible_collections.coinpilot.ops.plugins.module_utils.findings import (
    FAIL,
    PASS,
    UNKNOWN,
    WARN,
    Finding,
    render_json,
    render_text,
)
from ansible_collections.coinpilot.ops.plugins.module_utils.preflight_workflows_rules import DEFECTS, RULES
from ansible_collections.coinpilot.ops.plugins.module_utils.preflight_workflows_secrets import kind_of
from hypothesis import given, settings
from hypothesis import strategies as st

CORPUS = Path(__file__).resolve().parents[1] / "corpus" / "workflows"
BAD = sorted((CORPUS / "bad").rglob("*.json"))
GOOD = sorted((CORPUS / "good").rglob("*.json"))
GUARDED = (CORPUS / "good" / "if-version-2.json").read_text(encoding="utf-8")
ENV = "={{ $env.N8N_WEBHOOK_SECRET }}"


def judged(path: Path, env_blocked: Optional[bool]) -> List[Finding]:
    return workflows.judge(workflows.World(str(path.parent), [workflows.read(str(path))]), env_blocked)


def of_text(text: str, env_blocked: Optional[bool] = False) -> List[Finding]:
    return workflows.judge(workflows.World("w", [workflows.File("w/a.json", text)]), env_blocked)


def failures(found: List[Finding]) -> set:
    return {finding.id for finding in found if finding.status in (FAIL, UNKNOWN)}


def with_check(left: str, right: str, **operator: Any) -> List[Finding]:
    """The verdict on a workflow whose only check is this comparison."""
    document = json.loads(GUARDED)
    conditions = document["nodes"][1]["parameters"]["conditions"]["conditions"]
    conditions[:] = [{"leftValue": left, "rightValue": right,
                      "operator": {"type": "string", "operation": "equals", **operator}}]
    return of_text(json.dumps(document))


@pytest.mark.parametrize("path", BAD, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_defect_is_found_by_its_rule(path: Path) -> None:
    rule = path.parent.name
    found = judged(path, env_blocked=rule == "workflow-env-blocked")
    assert rule in {finding.id for finding in found if finding.status == FAIL}
    # One defect, one rule: only a check that nothing leads to leaves the way beside it open as well.
    assert failures(found) == ({rule, "workflow-unguarded"} if path.stem == "orphaned" else {rule})
    for finding in found:
        assert finding.status == PASS or (finding.place.file == str(path) and finding.place.service == "n8n")


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_nothing_safe_is_refused(path: Path) -> None:
    assert failures(judged(path, env_blocked=False)) == set()


def test_there_is_a_file_for_every_rule() -> None:
    assert {path.parent.name for path in BAD} == set(RULES)
    assert len(BAD) + len(GOOD) >= 120


def test_a_directory_of_good_workflows_passes_every_rule() -> None:
    found = workflows.judge(workflows.gather(str(CORPUS / "good")), env_blocked=False)
    assert {finding.id for finding in found if finding.status == PASS} >= {
        "workflow-file", "workflow-unguarded", "workflow-secret-literal", "workflow-env-blocked"}


@pytest.mark.parametrize("left", [
    "={{$json.headers['x-webhook-secret']}}", '={{ $json["headers"]["x-webhook-secret"] }}',
    "={{ $json.headers?.['x-webhook-secret'] }}", "={{ $input.item.json.headers['x-webhook-secret'] }}",
    "={{ $('Webhook').item.json.headers['x-webhook-secret'] }}",
                                  "={{ $('Webhook').all()[0].json.headers['x-webhook-secret'] }}",
    '={{ $node["Webhook"].json.headers["x-webhook-secret"] }}', "={{ $json.headers['x-webhook-secret'].trim() }}",
    "={{ $json.headers['x-webhook-secret'] ?? '' }}", "={{ String($json.headers['x-webhook-secret']) }}",
    "={{ $json.headers.authorization }}", "={{ $json.body.secret }}",
])
def test_every_spelling_of_what_the_caller_sent_counts(left: str) -> None:
    assert failures(with_check(left, ENV)) == set()
    assert failures(with_check(ENV, left)) == set()


@pytest.mark.parametrize(("left", "right"), [
    ("={{ $json.headers['x-webhook-secret'] }}", ""), ("={{ $json.headers['x-webhook-secret'] }}", "={{ '' }}"),
    ("={{ $json.headers['x-webhook-secret'] }}", "={{ undefined }}"),
    ("={{ $json.headers['x-webhook-secret'] }}", "={{ $json['headers']['x-webhook-secret'] }}"),
    ("={{ $json.headers['x-webhook-secret'] }}", "={{ $json.query.secret }}"),
    ("={{ $json.headers['x-webhook-secret'] }}", "={{ $json.headers['x-webhook-secret'] || $env.N8N_WEBHOOK_SECRET }}"),
    ("={{ $json.headers['x-webhook-secret'] }}", "={{ $('Gone').item.json.secret }}"),
    ("={{ $json.headers['x-webhook-secret'].length }}", "={{ $env.N8N_WEBHOOK_SECRET.length }}"),
    ("={{ $env.N8N_WEBHOOK_SECRET }}", "={{ $env.N8N_WEBHOOK_SECRET }}"),
    ("={{ $json.headers['x-webhook-secret'] === $env.N8N_WEBHOOK_SECRET }}", "={{ false }}"),
    ("={{ 1 }}", "={{ 1 }}"), ("", ""),
])
def test_what_only_looks_like_a_comparison_is_none(left: str, right: str) -> None:
    assert failures(with_check(left, right)) & {"workflow-guard", "workflow-unguarded"}


def test_which_variables_n8n_lets_a_workflow_read_may_be_unknown() -> None:
    found = of_text(GUARDED, env_blocked=None)
    assert {finding.status for finding in found if finding.id == "workflow-env-blocked"} == {UNKNOWN}
    assert failures(of_text(GUARDED, env_blocked=True)) == {"workflow-env-blocked"}
    assert failures(of_text(GUARDED, env_blocked=False)) == set()


def test_process_env_is_empty_where_n8n_forbids_the_environment() -> None:
    text = GUARDED.replace("$env.", "process.env.")
    assert failures(of_text(text, env_blocked=False)) == set()
    assert failures(of_text(text, env_blocked=True)) == {"workflow-guard", "workflow-env-blocked"}


def test_a_variable_that_could_be_empty_is_worth_a_warning() -> None:
    found = with_check("={{ $json.headers['x-webhook-secret'] }}", ENV)
    assert [finding.id for finding in found if finding.status == WARN] == ["workflow-guard"]
    assert not [finding for finding in of_text(GUARDED) if finding.status == WARN]


def test_a_check_that_is_not_needed_is_worth_a_warning() -> None:
    document = json.loads(GUARDED)
    document["nodes"][1]["disabled"] = True
    document["nodes"][2]["disabled"] = True
    assert [finding.status for finding in of_text(json.dumps(document)) if finding.id == "workflow-guard"] == [WARN]


def test_a_finding_names_the_line_of_the_node() -> None:
    text = (CORPUS / "bad" / "workflow-guard" / "disabled.json").read_text(encoding="utf-8")
    (finding,) = [finding for finding in of_text(text) if finding.id == "workflow-guard"]
    assert '"name": "Check secret"' in text.split("\n")[(finding.place.line or 0) - 1]
    assert finding.subject == "Trade alert / Check secret"


def test_no_secret_is_ever_shown() -> None:
    for path in sorted((CORPUS / "bad" / "workflow-secret-literal").glob("*.json")):
        found = judged(path, env_blocked=None)
        said = render_text(found, "en") + render_text(found, "ko") + render_json(found)
        for secret in ("q8Zr4T", "3f9c1d", "h7Gf3k", "AbCdEfGh", "abcdefghijkl", "9aB8cD"):
            assert secret not in said, path.name


def test_a_secret_in_a_name_is_hidden() -> None:
    hidden = "https://discord.com/api/webhooks/112233445566778899/AbCdEfGhIjKl"
    document = {"name": hidden, "nodes": [{"name": hidden, "type": "n8n-nodes-base.webhook", "parameters": {}},
                                          {"name": "Send", "type": "n8n-nodes-base.discord"}],
                "connections": {hidden: {"main": [[{"node": "Send", "type": "main", "index": 0}]]}}}
    found = of_text(json.dumps(document))
    assert "workflow-unguarded" in failures(found)
    assert "AbCdEfGhIjKl" not in render_json(found)


def test_decrypted_credentials_are_secrets() -> None:
    export = [{"id": "1", "name": "Discord", "type": "discordWebhookApi", "data": {"webhookUri": "hush"}}]
    assert failures(of_text(json.dumps(export))) == {"workflow-file", "workflow-secret-literal"}


def test_a_signature_of_the_body_is_a_check_and_one_that_signs_itself_is_none() -> None:
    document = json.loads(GUARDED)
    document["nodes"].append({"name": "Sign", "type": "n8n-nodes-base.crypto", "typeVersion": 1, "parameters": {
        "action": "hmac", "value": "={{ JSON.stringify($json.body) }}", "dataPropertyName": "own", "secret": ENV}})
    links = document["connections"]
    links["Sign"], links["Webhook"] = links["Webhook"], {"main": [[{"node": "Sign", "type": "main", "index": 0}]]}
    (condition, *_rest) = conditions = document["nodes"][1]["parameters"]["conditions"]["conditions"]
    del conditions[1:]
    condition.update(leftValue="={{ $('Webhook').item.json.headers['x-signature'] }}", rightValue="={{ $json.own }}")
    assert failures(of_text(json.dumps(document))) == set()
    links["Sign"]["main"][0].append({"node": "Sign", "type": "main", "index": 0})
    document["nodes"][-1]["parameters"]["secret"] = "={{ $json.own }}"
    assert failures(of_text(json.dumps(document))) == {"workflow-guard"}


def test_every_workflow_of_a_list_counts_and_so_does_what_is_none() -> None:
    good, bad = json.loads(GUARDED), json.loads((CORPUS / "bad" / "workflow-unguarded" / "straight.json").read_text())
    assert failures(of_text(json.dumps([good, bad]))) == {"workflow-unguarded"}
    assert failures(of_text(json.dumps({"workflows": [good, {"name": "other"}]}))) == {"workflow-file"}


def test_rules_that_had_nothing_to_judge_do_not_pass() -> None:
    assert [finding.id for finding in of_text("{")] == ["workflow-file"]


def test_a_workflow_of_very_many_nodes_is_not_judged() -> None:
    nodes = [{"name": str(number), "type": "n8n-nodes-base.webhook"} for number in range(1001)]
    assert {finding.status for finding in of_text(json.dumps({"nodes": nodes, "connections": {}}))
            if finding.id == "workflow-file"} == {UNKNOWN}


@pytest.mark.parametrize(("value", "name", "secret"), [
    ("Bearer 3f9c1d7e5b2a48c6", "value", True), ("=Bearer {{ $json.token }}", "Authorization", False),
    ("Bearer YOUR_TOKEN_HERE", "Authorization", False), ("hunter22", "password", True), ("", "password", False),
    ("={{ $json.password }}", "password", False), ("if (h['x-secret'] !== 'q8Zr4TkLm2') return [];", "jsCode", True),
    ("const token = $json.body.token;", "jsCode", False), ("Basic understanding of the market", "content", False),
    ("risk-management-2024-long-name", "content", False), ("https://x.example/?key=chat_messages", "url", False),
    ("postgres://u:{{ $json.p }}@db/x", "url", False), ("500", "maxTokens", False),
])
def test_what_is_a_secret_by_its_shape_or_its_name(value: str, name: str, secret: bool) -> None:
    assert bool(kind_of(value, name)) is secret


def test_a_directory_that_is_missing_fails_and_of_an_empty_one_nothing_can_be_told(tmp_path: Path) -> None:
    assert failures(workflows.judge(workflows.gather(str(tmp_path / "gone")), None)) == {"workflow-file"}
    (tmp_path / "README.md").write_text("not JSON")
    (finding,) = workflows.judge(workflows.gather(str(tmp_path)), None)
    assert (finding.id, finding.status) == ("workflow-file", UNKNOWN)


def test_a_workflow_under_another_ending_is_judged_and_other_files_are_findings(tmp_path: Path) -> None:
    unguarded = CORPUS / "bad" / "workflow-unguarded" / "before-the-check.json"
    (tmp_path / "trade.txt").write_text(unguarded.read_text(encoding="utf-8"))
    (tmp_path / "notes.txt").write_text("not JSON")
    (tmp_path / ".gitkeep").touch()
    found = workflows.judge(workflows.gather(str(tmp_path)), False)
    assert failures(found) == {"workflow-file", "workflow-unguarded"}


def test_what_cannot_be_read_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "gone.json").symlink_to(tmp_path / "nothing")
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "large.JSON").write_text(" " * (1 << 20) * 17)
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "good.json").write_text(GUARDED)
    (tmp_path / "below" / "directory.json").mkdir()
    found = [finding for finding in workflows.judge(workflows.gather(str(tmp_path)),
                                                    False) if finding.id == "workflow-file"]
    assert [(finding.subject, finding.status) for finding in found] == [
        ("gone.json", UNKNOWN), ("large.JSON", UNKNOWN), ("pipe.json", UNKNOWN)]


@pytest.mark.parametrize("text", [
    "[" * 100000, '{"nodes":' * 50000, '{"nodes": [], "connections": {}, "n": ' + "9" * 5000 + "}", "\udcff\udcfe",
    '{"nodes": [null, 1, "x", {"name": 1, "type": []}], "connections": {"a": [1]}}', "nul\0", '"\\ud800"',
])
def test_a_file_of_anything_is_a_finding(text: str) -> None:
    assert failures(of_text(text)) == {"workflow-file"}
    render_json(of_text(text)).encode()


@pytest.mark.parametrize("piece", ["{{", "{{$json.", "a.", "token='", "https://a:", "eyJ", "(", "!", "$('a')."])
def test_a_long_text_takes_no_long_time(piece: str) -> None:
    text = piece * (200000 // len(piece))
    document = json.loads(GUARDED)
    document["nodes"][1]["parameters"]["conditions"]["conditions"][0]["leftValue"] = "={{" + text
    document["nodes"][2]["parameters"]["content"] = "=" + text + "}}"
    began = time.monotonic()
    of_text(json.dumps(document), env_blocked=None)
    assert time.monotonic() - began < 20


NAMES = st.sampled_from(["A", "B", "C", "Webhook"])
EXPRESSIONS: st.SearchStrategy = st.sampled_from(["={{ $json.headers['x-webhook-secret'] }}", ENV,
                                                  "={{ $('A').item.json.b }}",
                               "={{ $json.a }}", "x",
                               "={{", None, 1, True, {}, []])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False,
                                                          allow_infinity=False) | st.text() | EXPRESSIONS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.sampled_from(
        ["nodes", "connections", "main", "parameters", "conditions", "string", "values", "rules", "name", "type",
         "value",
         "data"]), inner, max_size=4), max_leaves=20)
CONDITION = st.fixed_dictionaries({}, optional={
    "leftValue": EXPRESSIONS, "rightValue": EXPRESSIONS, "value1": EXPRESSIONS, "value2": EXPRESSIONS,
    "operation": st.sampled_from(["equal", "notEqual", []]) | ANYTHING,
    "operator": st.fixed_dictionaries({"type": st.sampled_from(["string", "boolean", 1]) | ANYTHING,
                                       "operation": st.sampled_from(["equals", "true",
                                                                     "notEmpty"]) | ANYTHING}) | ANYTHING})
CONDITIONS = st.fixed_dictionaries({}, optional={
    "conditions": st.lists(CONDITION, max_size=3) | ANYTHING, "combinator": st.sampled_from(["and", "or"]) | ANYTHING,
    "string": st.lists(CONDITION, max_size=2), "boolean": ANYTHING, "options": ANYTHING}) | ANYTHING
PARAMETERS = st.fixed_dictionaries({}, optional={
    "conditions": CONDITIONS, "options": ANYTHING, "mode": ANYTHING, "authentication": ANYTHING, "resume": ANYTHING,
    "fallbackOutput": ANYTHING, "dataType": ANYTHING, "value1": EXPRESSIONS, "jsCode": ANYTHING, "public": ANYTHING,
    "include": ANYTHING, "combineOperation": ANYTHING, "dataPropertyName": ANYTHING, "secret": EXPRESSIONS,
    "rules": st.fixed_dictionaries({"values": st.lists(st.fixed_dictionaries({"conditions": CONDITIONS}), max_size=2),
                                    "rules": st.lists(CONDITION, max_size=2)}) | ANYTHING,
    "assignments": st.fixed_dictionaries({"assignments": st.lists(
        st.fixed_dictionaries({"name": NAMES | ANYTHING, "value": EXPRESSIONS}), max_size=2)}) | ANYTHING}) | ANYTHING
NODE = st.fixed_dictionaries({
    "name": NAMES, "type": st.sampled_from(["n8n-nodes-base." + kind for kind in (
        "webhook", "if", "filter", "switch", "set", "discord", "wait", "merge", "code", "crypto", "noOp",
                                                                                  "fooTrigger")]),
    "typeVersion": st.sampled_from([1, 2, 3.4]) | ANYTHING, "parameters": PARAMETERS}, optional={
        "disabled": ANYTHING, "alwaysOutputData": st.booleans(), "onError": ANYTHING, "credentials": ANYTHING})
LINK = st.fixed_dictionaries({"node": NAMES | ANYTHING}, optional={"index": ANYTHING, "type": ANYTHING})
WORKFLOW = st.fixed_dictionaries({
    "nodes": st.lists(NODE | ANYTHING, max_size=5),
    "connections": st.dictionaries(NAMES, st.fixed_dictionaries({"main": st.lists(
        st.lists(LINK | ANYTHING, max_size=2) | ANYTHING, max_size=3)}) | ANYTHING, max_size=4)}, optional={
            "name": ANYTHING, "settings": ANYTHING, "pinData": ANYTHING, "staticData": ANYTHING})


@settings(max_examples=300, deadline=None)
@given(document=WORKFLOW | st.lists(WORKFLOW, max_size=2) | ANYTHING, env_blocked=st.sampled_from([True, False, None]))
def test_no_document_raises(document: Any, env_blocked: Optional[bool]) -> None:
    found = of_text(json.dumps(document), env_blocked)
    assert found
    render_json(found).encode()
    render_text(found, "ko").encode()


@settings(max_examples=300, deadline=None)
@given(text=st.text(alphabet="={}$jsonenv.'\"[]()!&|?`\\ 0a,x-", max_size=60))
def test_no_expression_raises(text: str) -> None:
    expression.steps(expression.unwrap(expression.parse("={{" + text + "}}")))
    assert expression.segments(text) is not None


def test_every_text_can_be_said_in_both_languages() -> None:
    for rule in RULES.values():
        assert rule.why.en and rule.why.ko
        for case, (_status, seen, fix) in rule.cases.items():
            assert seen.en and seen.ko and fix.en and fix.ko, (rule.id, case)
    assert all(what.en and what.ko and fix.en and fix.ko for what, fix in DEFECTS.values())
