"""n8n's workflows: what is wrong with a file, what is to be done about each, and what is said of what differs."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.coinpilot.ops.plugins.filter.n8n_workflow_problems import n8n_workflow_problems
from ansible_collections.coinpilot.ops.plugins.module_utils import (
    findings,
    n8n_credentials,
    n8n_owner,
    n8n_workflow_compare,
    n8n_workflow_files,
    n8n_workflows,
    preflight_workflows,
)
from ansible_collections.coinpilot.ops.plugins.module_utils.n8n_database import Webhook, Workflow
from ansible_collections.coinpilot.ops.plugins.module_utils.n8n_workflow_compare import (
    CREATE,
    CURRENT,
    KEEP,
    OVERWRITE,
    UPDATE,
    Decision,
)
from ansible_collections.coinpilot.ops.plugins.module_utils.n8n_workflow_files import Wanted

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "roles" / "n8n_workflows" / "files").glob("*.json"))
PATHS = ["ai-decision", "daily-report", "risk", "trade", "weekly-exit-report"]


def workflow(**more: Any) -> dict[str, Any]:
    return {
        "id": "one", "name": "One",
        "nodes": [
            {"id": "1", "name": "Webhook", "type": "n8n-nodes-base.webhook", "typeVersion": 2, "position": [0, 0],
             "webhookId": "hook", "parameters": {"httpMethod": "POST", "path": "trade", "options": {}},
             "credentials": {"httpHeaderAuth": {"id": "c1", "name": "Secret"}}},
            {"id": "2", "name": "Send", "type": "n8n-nodes-base.discord", "typeVersion": 2, "position": [1, 0],
             "parameters": {"content": "first\nsecond", "options": {"wait": True}}},
        ],
        "connections": {"Webhook": {"main": [[{"node": "Send", "type": "main", "index": 0}]]}},
        "settings": {"executionOrder": "v1"}, **more,
    }


def loaded(*documents: Any) -> tuple[list[Wanted], list[findings.Finding]]:
    return n8n_workflow_files.load(
        [{"name": f"{number}.json", "text": one if isinstance(one, str) else json.dumps(one)}
         for number, one in enumerate(documents)], "coinpilot-n8n")


def wanted(document: dict[str, Any] | None = None) -> Wanted:
    workflows, problems = loaded(document or workflow())
    assert not problems
    return workflows[0]


def stored(document: dict[str, Any] | None = None, **more: Any) -> Workflow:
    one = copy.deepcopy(document or workflow())
    base = Workflow(one["id"], one["name"], True, False, one["nodes"], one["connections"], one["settings"], "",
                    one["nodes"], one["connections"])
    return base._replace(**more)


def decided(there: list[Workflow], record: dict[str, Any] | None = None, overwrite: bool = False,
            document: dict[str, Any] | None = None) -> Decision:
    return n8n_workflow_compare.decide([wanted(document)], there, record or {}, overwrite)[0]


def edited(**parameters: Any) -> dict[str, Any]:
    document = workflow()
    document["nodes"][1]["parameters"].update(parameters)
    return document


def recorded(file: dict[str, Any], kept: dict[str, Any] | None = None, before: Any = None) -> dict[str, Any]:
    return {"one": n8n_workflow_compare.entry(wanted(file), stored(kept or file), before)}


# -- the project's own -------------------------------------------------------------------------------------------------


def own(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text()))


def code(path: Path) -> str:
    return str(next(node for node in own(path)["nodes"] if node["name"] == "Message")["parameters"]["jsCode"])


def test_the_projects_workflows_can_be_imported_and_answer_what_the_bot_calls() -> None:
    workflows, problems = loaded(*(path.read_text() for path in FILES))
    assert not problems
    assert [hook for one in workflows for hook in one.hooks()] == [("POST", path) for path in PATHS]
    assert all(one.active for one in workflows)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_only_credentials_hold_secrets_and_they_are_those_that_are_written(path: Path) -> None:
    used = {kind: entry for node in own(path)["nodes"] for kind, entry in node.get("credentials", {}).items()}
    assert used == {kind.type: {"id": kind.id, "name": kind.name} for kind in n8n_credentials.KINDS}
    assert "$env" not in path.read_text() and "process" not in code(path)


def test_what_is_wrong_with_a_file_is_told_before_anything_is_touched() -> None:
    files = [{"name": path.name, "text": path.read_text()} for path in FILES]
    assert n8n_workflow_problems(files, "coinpilot-n8n") == []
    said = n8n_workflow_problems([*files, {"name": "mine.json", "text": "{"}], "coinpilot-n8n", "ko")
    assert len(said) == 1 and "mine.json: JSON이 아님" in said[0]


def test_the_preflight_finds_nothing_wrong_with_them() -> None:
    found = preflight_workflows.judge(preflight_workflows.gather(str(FILES[0].parent)), env_blocked=True)
    assert {finding.status for finding in found} == {"PASS"}


def test_the_part_that_all_messages_have_in_common_is_the_same() -> None:
    end = "  return [{ json: { event, probe: isProbe, embed } }];\n}\n"
    assert len({code(path).split(end)[0] for path in FILES}) == 1
    assert all(end in code(path) for path in FILES)


# -- files -------------------------------------------------------------------------------------------------------------


def without(part: str) -> dict[str, Any]:
    document = workflow()
    del document[part]
    return document


def without_webhook_id() -> dict[str, Any]:
    document = workflow()
    del document["nodes"][0]["webhookId"]
    return document


@pytest.mark.parametrize(("documents", "said"), [
    (["{"], "no JSON"),
    (["[" * 100_000], "no JSON"),
    (["[]"], "a list"),
    ([[workflow()]], "a list"),
    (["null"], "no nodes"),
    ([without("nodes")], "no nodes"),
    ([without("connections")], "no connections"),
    ([without("name")], "no name"),
    ([workflow(name="x" * 129)], "no name"),
    ([workflow(settings="v1")], "settings"),
    ([workflow(nodes=[{"name": "A", "type": "a"}, {"name": "A", "type": "b"}])], "nodes without a name of their own"),
    ([workflow(nodes=["A"])], "nodes without a name of their own"),
    ([workflow(nodes=[{"name": "A"}])], "nodes without a type"),
    ([without("id")], "has no id"),
    ([workflow(id="")], "has no id"),
    ([workflow(id=7)], "the id 7"),
    ([workflow(id="a b")], "the id a b"),
    ([without_webhook_id()], "node Webhook has no webhookId"),
    ([workflow(), workflow(name="Two")], "has the id one, as 0.json has"),
    ([workflow(), workflow(id="two")], "answers POST /webhook/trade, as 0.json does"),
])
def test_what_is_wrong_with_a_file_is_one_line_and_nothing_is_imported(documents: list[Any], said: str) -> None:
    _workflows, problems = loaded(*documents)
    assert [finding.status for finding in problems] == ["FAIL"]
    assert said in problems[0].seen.en
    assert problems[0].fix.en.startswith("nothing was changed") and "\n" not in problems[0].line("ko")


def test_two_may_have_one_path_when_one_of_them_is_inactive() -> None:
    assert not loaded(workflow(), workflow(id="two", active=False))[1]


def test_what_belongs_to_the_instance_of_an_export_is_left_behind() -> None:
    given = workflow(active=True, versionId="v", shared=[], staticData={"last": 1}, activeVersion={}, parentFolder={})
    handed = n8n_workflow_files.for_import(wanted(given))
    assert set(handed) == {"id", "name", "nodes", "connections", "settings", "active", "isArchived"}
    assert handed["active"] is False


# -- what is to be done ------------------------------------------------------------------------------------------------


def test_what_n8n_does_not_have_is_imported_and_made_active() -> None:
    decision = decided([])
    assert (decision.kind, decision.activate) == (CREATE, True)


def test_what_is_as_the_file_has_it_is_left_alone_with_or_without_a_record() -> None:
    for record in ({}, recorded(workflow()), recorded(edited(content="old"))):
        decision = decided([stored()], record)
        assert (decision.kind, decision.activate) == (CURRENT, False)


def test_where_nodes_stand_and_what_the_editor_adds_is_no_difference() -> None:
    moved = workflow(settings={"executionOrder": "v1", "callerPolicy": "workflowsFromSameOwner"})
    moved["nodes"].reverse()
    moved["nodes"][0].update(position=[500, 7], id="other")
    del moved["nodes"][1]["parameters"]["options"]
    moved["nodes"][1]["credentials"]["httpHeaderAuth"]["name"] = "renamed"
    assert decided([stored(moved)]).kind == CURRENT


def test_what_nobody_changed_follows_its_file() -> None:
    decision = decided([stored(edited(content="old"))], recorded(edited(content="old")))
    assert (decision.kind, decision.activate) == (UPDATE, True)


def test_what_n8n_made_of_a_file_is_not_taken_for_a_persons_change() -> None:
    given_another = workflow()
    given_another["nodes"][0]["credentials"]["httpHeaderAuth"]["id"] = "of-this-instance"
    assert decided([stored(given_another)], recorded(workflow(), given_another)).kind == CURRENT


def test_what_a_person_changed_is_kept_unless_told_otherwise() -> None:
    there = [stored(edited(content="mine"))]
    for record in ({}, recorded(workflow()), recorded(edited(content="old")), {"one": "odd"}, {"one": {"earlier": 7}}):
        assert (decided(there, record).kind, decided(there, record).activate) == (KEEP, False)
        assert decided(there, record, overwrite=True).kind == OVERWRITE


def test_an_older_import_that_a_restored_backup_brought_back_follows_its_file() -> None:
    older, newer = edited(content="old"), edited(content="newer")
    record = recorded(newer, before=recorded(older)["one"])
    assert decided([stored(older)], record, document=newer).kind == UPDATE


def test_what_was_made_inactive_by_hand_is_made_active_again() -> None:
    assert decided([stored(active=False)]).activate
    assert decided([stored(edited(content="mine"), active=False)]).activate


def test_a_file_that_says_inactive_leaves_it_to_the_person() -> None:
    document = workflow(active=False)
    assert not decided([], document=document).activate
    assert not decided([stored(active=False)], document=document).activate


def test_what_was_archived_stays_inactive_unless_told_otherwise() -> None:
    there = [stored(active=False, archived=True)]
    assert (decided(there).kind, decided(there).activate) == (KEEP, False)
    assert (decided(there, overwrite=True).kind, decided(there, overwrite=True).activate) == (OVERWRITE, True)


def users(**more: Any) -> Workflow:
    return stored(workflow(id="theirs", name="My trade"))._replace(**more)


def test_the_path_of_another_active_workflow_is_not_taken_from_it() -> None:
    decision = decided([users()])
    assert (decision.kind, decision.activate) == (CREATE, False)
    said = n8n_workflows.kept(decision)
    assert [finding.status for finding in said] == ["WARN"]
    assert "My trade (theirs)" in said[0].seen.en and "overwrite" in said[0].fix.en


def test_told_to_the_other_one_gives_up_its_path() -> None:
    decision = decided([users()], overwrite=True)
    assert decision.activate
    plan = n8n_workflows.Plan([decision], [], False, True, [])
    assert list(plan.deactivated()) == ["theirs"]
    assert any("My trade (theirs): made inactive" in line.en for line in plan.changes())
    # Also without the diff.
    said = n8n_workflows.foreseen(plan)
    assert [finding.status for finding in said] == ["PASS", "PASS"]
    assert "in place of My trade (theirs), which is made inactive" in said[1].seen.en


@pytest.mark.parametrize("more", [{"active": False}, {"archived": True}, {"active_nodes": []}])
def test_another_workflow_that_does_not_answer_the_path_is_in_nobodys_way(more: dict[str, Any]) -> None:
    assert decided([users(**more)]).activate


def test_another_method_is_another_webhook() -> None:
    other = workflow(id="theirs")
    other["nodes"][0]["parameters"]["httpMethod"] = ["GET", "PUT"]
    assert decided([stored(other)]).activate


# -- what is said ------------------------------------------------------------------------------------------------------


def differing(change: Any) -> str:
    document = workflow()
    change(document)
    return n8n_workflow_compare.shown(decided([stored(document)], recorded(workflow())).differences).en


@pytest.mark.parametrize(("change", "said"), [
    (lambda one: one.update(name="Mine"), "name: Mine -> One"),
    (lambda one: one["nodes"][1]["parameters"]["options"].update(wait=False),
     "node Send: parameters.options.wait: false -> true"),
    (lambda one: one["nodes"][1]["parameters"].update(content="first\nother"),
     "node Send: parameters.content: from line 2 on: other -> second"),
    (lambda one: one["nodes"][1].update(maxTries=3), "node Send: maxTries: 3 -> nothing"),
    (lambda one: one["nodes"].append({"name": "New", "type": "x", "parameters": {}}), "node New: only in n8n"),
    (lambda one: one["nodes"].pop(), "node Send: only in the file"),
    (lambda one: one["connections"].clear(), "connections of Webhook: nothing -> Send"),
    (lambda one: one["settings"].update(timezone="Asia/Seoul"), "settings: timezone: Asia/Seoul -> nothing"),
])
def test_the_difference_is_told_by_node_and_parameter(change: Any, said: str) -> None:
    assert differing(change) == said


def test_a_long_difference_is_cut() -> None:
    added = {f"p{number}": "x" * 500 for number in range(20)}
    said = differing(lambda one: one["nodes"][1]["parameters"].update(added))
    assert said.endswith("12 more") and len(said) < 1500


@pytest.mark.parametrize("value", [
    "https://discord.com/api/webhooks/123456789/abcdefghijklmnop", "Bearer abcdef1234567890abcdef",
])
def test_secrets_in_a_difference_are_not_shown(value: str) -> None:
    said = differing(lambda one: one["nodes"][1]["parameters"].update(content=value))
    assert said == "node Send: parameters.content: ***"


def test_a_secret_is_hidden_by_the_name_beside_it() -> None:
    header = {"parameters": [{"name": "Authorization", "value": "plain-words-as-a-secret"}]}
    said = differing(lambda one: one["nodes"][1]["parameters"].update(headers=header))
    assert "plain-words" not in said


# -- credentials and owner ---------------------------------------------------------------------------------------------


ENV = {"N8N_WEBHOOK_SECRET": "a secret of the test", "DISCORD_WEBHOOK_URL": "https://discord.com/api/webhooks/1/x"}


def test_credentials_are_what_the_webhook_and_discord_nodes_take() -> None:
    assert [one.for_import()["data"] for one in n8n_credentials.wanted(ENV)] == [
        {"name": "x-webhook-secret", "value": "a secret of the test"},
        {"webhookUri": "https://discord.com/api/webhooks/1/x"}]


@pytest.mark.parametrize(("key", "value", "status", "said"), [
    ("N8N_WEBHOOK_SECRET", None, "FAIL", "is not in .env"),
    ("N8N_WEBHOOK_SECRET", "", "FAIL", "is not in .env"),
    ("N8N_WEBHOOK_SECRET", "비밀", "FAIL", "no HTTP header"),
    ("N8N_WEBHOOK_SECRET", " padded ", "FAIL", "no HTTP header"),
    ("N8N_WEBHOOK_SECRET", "two\tparts", "FAIL", "no HTTP header"),
    ("DISCORD_WEBHOOK_URL", "", "WARN", "is not in .env"),
    ("DISCORD_WEBHOOK_URL", "discord.com/api", "FAIL", "is no address"),
    ("DISCORD_WEBHOOK_URL", "https://discord.com/a b", "FAIL", "is no address"),
])
def test_what_cannot_be_a_credential_is_said_and_not_written(key: str, value: str | None, status: str,
                                                             said: str) -> None:
    env = {**ENV, key: value} if value is not None else {name: ENV[name] for name in ENV if name != key}
    problems = n8n_credentials.problems(env)
    assert [(finding.status, finding.subject) for finding in problems] == [(status, key)]
    assert said in problems[0].seen.en and not (value and value in problems[0].line("en"))
    assert [one.kind.key for one in n8n_credentials.wanted(env)] == [name for name in ENV if name != key]


def test_a_credential_is_written_again_when_the_value_or_what_n8n_has_changed() -> None:
    one = n8n_credentials.wanted(ENV)[0]
    entry = n8n_credentials.entry(one, "mark")
    assert n8n_credentials.is_current(one, "mark", entry)
    assert not n8n_credentials.is_current(one._replace(value="another"), "mark", entry)
    assert not n8n_credentials.is_current(one, "edited in n8n", entry)
    assert not n8n_credentials.is_current(one, None, entry)
    assert not n8n_credentials.is_current(one, "mark", "nonsense")


def test_neither_the_record_nor_a_traceback_holds_the_value() -> None:
    one = n8n_credentials.wanted(ENV)[0]
    assert one.value not in json.dumps(n8n_credentials.entry(one, "mark"))
    assert one.value not in repr(one)


OWNER = {"N8N_OWNER_EMAIL": "me@example.com", "N8N_OWNER_PASSWORD": "Passw0rd"}


@pytest.mark.parametrize(("changed", "case"), [
    ({}, "missing"),
    ({"N8N_OWNER_EMAIL": ""}, "no-keys"),
    ({"N8N_OWNER_PASSWORD": ""}, "no-keys"),
    ({"N8N_OWNER_EMAIL": "me"}, "unfit"),
    ({"N8N_OWNER_PASSWORD": "Short1"}, "unfit"),
    ({"N8N_OWNER_PASSWORD": "no-capital-1"}, "unfit"),
    ({"N8N_OWNER_PASSWORD": "No-digit-at-all"}, "unfit"),
    ({"N8N_OWNER_PASSWORD": "Aa1" * 30}, "unfit"),
])
def test_an_owner_is_only_made_of_what_n8n_takes(changed: dict[str, str], case: str) -> None:
    env = {**OWNER, **changed}
    assert n8n_owner.state(False, env) == case
    assert n8n_owner.state(True, env) == "there"
    if case != "missing":
        finding = n8n_owner.finding(case, env)
        assert finding.status == "FAIL" and "N8N_OWNER_PASSWORD (8 to 64" in finding.fix.en
        assert not any(value and value in finding.line("en") for value in changed.values())


# -- the plan ----------------------------------------------------------------------------------------------------------


def planned(there: list[Workflow], webhooks: list[Webhook], **more: Any) -> n8n_workflows.Plan:
    state = n8n_workflows.Stored(there, webhooks, {}, True)
    record: dict[str, Any] = {"workflows": {}, "credentials": {}}
    world = n8n_workflows.World({}, record, stored=state)
    return n8n_workflows.plan(world, [wanted(more.pop("document", None))], more.pop("overwrite", False))


REGISTERED = [Webhook("trade", "POST", "Webhook", "one")]


def test_n8n_is_restarted_only_when_it_has_to_register_something() -> None:
    assert not planned([stored()], REGISTERED).restart
    assert planned([stored()], []).restart
    assert not planned([stored()], [Webhook("trade", "POST", "Webhook", "other")]).restart
    assert planned([stored(active=False)], REGISTERED).restart
    assert planned([], []).restart
    assert not planned([stored(edited(content="mine"))], REGISTERED).restart
    assert not planned([users()], []).restart


def test_a_second_run_has_nothing_to_do() -> None:
    assert planned([stored()], REGISTERED).changes() == []


def test_check_mode_tells_what_is_there_and_what_is_to_come() -> None:
    for there, said in (([stored()], "active"), ([], "to be imported"), ([stored(active=False)], "to be made active")):
        assert n8n_workflows.foreseen(planned(there, REGISTERED))[-1].seen.en == said


def test_a_record_that_cannot_be_read_is_as_none(tmp_path: Path) -> None:
    for text in ("{", "[]", '{"workflows": 7}', "\udcff".encode("utf-8", "surrogateescape").decode("latin-1")):
        (tmp_path / n8n_workflows.RECORD).write_text(text)
        record = n8n_workflows._read_record({"state_directory": str(tmp_path)})
        assert record == {"workflows": {}, "credentials": {}}


# -- the work, with n8n's commands played ------------------------------------------------------------------------------


class FakeN8n:
    """n8n's commands and database. ``deaf`` commands end well and do nothing, as the real ones do."""

    def __init__(self, deaf: tuple[str, ...] = (), registers: bool = True) -> None:
        self.deaf, self.registers = deaf, registers
        self.workflows: dict[str, Workflow] = {}
        self.marks: dict[str, str] = {}
        self.webhooks: list[Webhook] = []
        self.calls: list[str] = []
        self.watched = 0

    def begin(self, *_how: Any) -> findings.Finding:
        self.watched += 1
        return n8n_workflows.watch.RULES["watch-armed"].finding("armed", reason="")

    def read(self, service: Any) -> n8n_workflows.Stored:
        return n8n_workflows.Stored(list(self.workflows.values()), self.webhooks, dict(self.marks), True)

    def does(self, command: str) -> bool:
        self.calls.append(command)
        return command not in self.deaf

    def import_workflows(self, service: Any, given: Any) -> str:
        if self.does("import:workflow"):
            self.workflows.update({one["id"]: stored(one, active=False) for one in given})
            ids = {one["id"] for one in given}
            self.webhooks = [webhook for webhook in self.webhooks if webhook.workflow_id not in ids]
        return "An error occurred"

    def import_credentials(self, service: Any, given: Any) -> str:
        if self.does("import:credentials"):
            self.marks.update({one["id"]: f"mark {len(self.calls)}" for one in given})
        return "An error with " + ENV["N8N_WEBHOOK_SECRET"]

    def set_active(self, service: Any, ident: str, active: bool) -> str:
        if self.does("update:workflow"):
            self.workflows[ident] = self.workflows[ident]._replace(active=active)
        return ""

    def set_all_active(self, service: Any) -> str:
        if self.does("update:workflow --all"):
            self.workflows = {ident: one._replace(active=True) for ident, one in self.workflows.items()}
        return ""

    def restart(self) -> None:
        self.calls.append("restart")
        if self.registers:
            taken = {(webhook.method, webhook.path) for webhook in self.webhooks}
            self.webhooks += [Webhook(path, method, "Webhook", one.id) for one in self.workflows.values() if one.active
                              for method, path in n8n_workflow_files.hooks(one.nodes) if (method, path) not in taken]


DESCRIPTION = {"title": "CoinPilot", "services": {"n8n": {"engine": "n8n", "container": "n8n", "port": 5678}}}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A run of all that the module does, with what is n8n's played."""

    def do(n8n: FakeN8n, documents: list[dict[str, Any]], overwrite: bool = False) -> list[findings.Finding]:
        for name in ("import_workflows", "import_credentials", "set_active", "set_all_active"):
            monkeypatch.setattr(n8n_workflows.n8n_cli, name, getattr(n8n, name))
        monkeypatch.setattr(n8n_workflows, "read", n8n.read)
        monkeypatch.setattr(n8n_workflows.watch, "begin", n8n.begin)
        monkeypatch.setattr(n8n_workflows.Work, "_is_ready", lambda work: True)
        monkeypatch.setattr(n8n_workflows.Work, "_restart", lambda work: n8n.restart())
        description = {**DESCRIPTION, "state_directory": str(tmp_path), "directory": str(tmp_path)}
        record = n8n_workflows._read_record(description)
        service = n8n_workflows.Container("id", "n8n", "image", "volume", "/nowhere", 0)
        world = n8n_workflows.World(ENV, record, service=service, stored=n8n.read(service))
        workflows, problems = loaded(*documents)
        assert not problems
        plan = n8n_workflows.plan(world, workflows, overwrite)
        return n8n_workflows.Work(description, n8n_workflows.Engine(), world, 0.1).do(plan)

    return do


TWO = [workflow(), workflow(id="two", name="Two", nodes=[{**workflow()["nodes"][0], "parameters": {"path": "two"}}],
                            connections={})]


def statuses(found: list[findings.Finding]) -> set[str]:
    return {finding.status for finding in found}


def test_a_new_n8n_takes_three_commands_and_one_restart_and_then_nothing(run: Any) -> None:
    n8n = FakeN8n()
    assert statuses(run(n8n, TWO)) == {"PASS"}
    assert n8n.calls == ["import:credentials", "import:workflow", "update:workflow --all", "restart"]
    assert statuses(run(n8n, TWO)) == {"PASS"}
    assert len(n8n.calls) == 4 and n8n.watched == 1


def test_with_others_workflows_beside_them_only_the_own_are_made_active(run: Any) -> None:
    n8n = FakeN8n()
    n8n.workflows["theirs"] = users(active=False)
    run(n8n, TWO)
    assert n8n.calls.count("update:workflow") == 2 and "update:workflow --all" not in n8n.calls
    assert not n8n.workflows["theirs"].active


@pytest.mark.parametrize(("deaf", "said"), [
    (("import:workflow",), "n8n did not import it: An error occurred"),
    (("update:workflow", "update:workflow --all"), "n8n did not make it active"),
    (("import:credentials",), "n8n did not take it: An error with ***"),
])
def test_a_command_that_ends_well_and_did_nothing_is_found_out(run: Any, deaf: tuple[str, ...], said: str) -> None:
    found = run(FakeN8n(deaf), TWO)
    assert "FAIL" in statuses(found)
    assert any(said in finding.seen.en for finding in found)
    assert not any(ENV["N8N_WEBHOOK_SECRET"] in finding.line("en") for finding in found)


def test_the_commands_for_all_may_do_nothing_and_each_is_then_made_active(run: Any) -> None:
    n8n = FakeN8n(("update:workflow --all",))
    assert statuses(run(n8n, TWO)) == {"PASS"}
    assert n8n.calls.count("update:workflow") == 2


def test_what_n8n_does_not_register_is_said_by_its_path(run: Any) -> None:
    found = run(FakeN8n(registers=False), TWO)
    assert [finding.seen.en for finding in found if finding.status == "FAIL"] == [
        "is active, and n8n does not answer POST /webhook/trade with it",
        "is active, and n8n does not answer GET /webhook/two with it"]


def test_told_to_another_workflow_gives_its_path_back_and_keeps_all_else(run: Any) -> None:
    n8n = FakeN8n()
    n8n.workflows["theirs"] = users()
    n8n.restart()
    assert "WARN" in statuses(run(n8n, TWO))
    assert n8n.webhooks[0].workflow_id == "theirs"
    assert statuses(run(n8n, TWO, overwrite=True)) == {"PASS"}
    assert n8n.workflows["theirs"]._replace(active=True) == users()
    assert n8n.calls.count("update:workflow") == 2


def test_a_path_that_a_workflow_which_is_gone_still_holds_is_said_and_n8n_is_not_restarted_for_it(run: Any) -> None:
    n8n = FakeN8n()
    n8n.webhooks = [Webhook("trade", "POST", "Webhook", "gone")]
    for _run in range(2):
        found = run(n8n, TWO)
        assert [finding.seen.en for finding in found if finding.status == "FAIL"] == [
            "is active, and n8n keeps POST /webhook/trade for the workflow gone, which is inactive or deleted"]
    assert n8n.calls.count("restart") == 1


def test_what_could_not_be_imported_is_not_recorded_as_if_it_had_been(run: Any) -> None:
    n8n = FakeN8n()
    run(n8n, TWO)
    n8n.deaf = ("import:workflow",)
    run(n8n, [edited(content="newer"), TWO[1]])
    n8n.deaf = ()
    assert statuses(run(n8n, [edited(content="newer"), TWO[1]])) == {"PASS"}
    assert n8n.workflows["one"].nodes[1]["parameters"]["content"] == "newer"


def test_a_command_that_fails_is_one_line_without_the_secret(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    n8n = FakeN8n()

    def fails(service: Any, given: Any) -> str:
        raise n8n_workflows.BackupError("command-failed", program="n8n import:credentials", container="n8n",
                                        said="no memory for " + ENV["N8N_WEBHOOK_SECRET"])

    monkeypatch.setattr(n8n, "import_credentials", fails)
    found = run(n8n, TWO)
    assert [finding.seen.en for finding in found if finding.status == "FAIL"] == [
        "n8n import:credentials in n8n failed: no memory for ***"]
    assert n8n.calls == []


def test_a_full_disk_is_said_in_one_line(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: Any) -> None:
        raise OSError(28, "No space left on device", file.path)

    monkeypatch.setattr(n8n_workflows.files, "write", full)
    found = [finding for finding in run(FakeN8n(), TWO) if finding.status == "UNKNOWN"]
    assert len(found) == 1 and found[0].seen.en.endswith("n8n_workflows.json: No space left on device")
