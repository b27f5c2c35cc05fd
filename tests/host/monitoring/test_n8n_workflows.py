"""n8n's workflows on a real host: imported, active, delivering; kept as files say, and as a person has changed them.

The tests build on one another: a run of the role takes half a minute or more where n8n has to be restarted.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from discord_on_host import Discord
from n8n_on_host import FILES, RECORD, Editor, call, got, own_workflow, set_env, write_own
from stack_on_host import DIRECTORY, Play, Run, inspect
from testinfra.host import Host

PLAYBOOK = "tests/host/n8n_workflows.yml"
TRADE, RISK, DAILY = "coinpilotTrade01", "coinpilotRisk001", "coinpilotDaily01"
OWN = "myOwnWorkflow001"
SECRET = "another-secret-of-the-test-0123456789"
EVENTS = ("trade", "risk", "daily-report", "ai-decision", "weekly-exit-report")
PROJECTS = {json.loads(path.read_text())["id"]: path.stem for path in FILES.glob("*.json")}
# What a bot might send one day; every message must be one that Discord takes.
ODD: list[Any] = [
    None, "", "plain", "{", [], [1, 2], 7, True, {}, {"message": "only a text"},
    {"side": "buy", "symbol": None, "price": None, "quantity": "many"},
    {"side": {"a": 1}, "symbol": ["x"], "price": {}, "quantity": []},
    {"symbol": "KRW-BTC", "side": "ASK", "price": "95,000,000", "quantity": 1e-8, "pnl": -0.1},
    {"decision": 5, "reasoning": "길" * 9000, "confidence": "high", "symbol": "x" * 400},
    {"reasoning": "🚀" * 9000, "confidence": 0.5, "date": {"from": 1}},
    {"type": "y" * 2000, "message": "@everyone", "": "no name", " ": "spaces", "probe": "yes"},
    {f"field {number}" + "n" * 300: "v" * 2000 for number in range(60)},
    {"constructor": 1, "__proto__x": 2, "toString": 3, "hasOwnProperty": 4},
]
RUN_CODE = """
const [codes, bodies] = JSON.parse(require("zlib").inflateSync(Buffer.from(process.argv[1], "base64")));
(async () => {
  for (const code of codes) for (const body of bodies) {
    const { embed } = new Function("$input", code)({ first: () => ({ json: { body } }) })[0].json;
    const sent = { method: "POST", headers: { "Content-Type": "application/json" },
                   body: JSON.stringify({ content: "", embeds: [embed] }) };
    const answer = await fetch("http://discord-sink:8080/api/webhooks/1/odd?wait=true", sent);
    if (answer.status !== 200) console.log(JSON.stringify(body).slice(0, 200), await answer.text());
  }
})();
"""


@pytest.fixture(scope="module")
def role(play: Play, secrets: dict[str, str]) -> Callable[..., Run]:
    """A run of the role alone; no secret may be in what it prints."""

    def run(variables: dict[str, Any] | None = None, *arguments: str) -> Run:
        done = play(PLAYBOOK, variables, "--diff", *arguments)
        for value in (SECRET, *(secrets[key] for key in ("N8N_WEBHOOK_SECRET", "DISCORD_WEBHOOK_URL",
                                                         "N8N_OWNER_PASSWORD"))):
            assert value not in done.output
        return done

    return run


@pytest.fixture(scope="module")
def editor(host: Host, role: Callable[..., Run], secrets: dict[str, str]) -> Iterator[Editor]:
    """n8n with nothing of the project in it but its owner; afterwards as the inventory says."""
    role().expect_success()
    editor = Editor(host, secrets["N8N_OWNER_EMAIL"], secrets["N8N_OWNER_PASSWORD"])
    before = set(editor.workflows()) - set(PROJECTS)
    host.check_output(f"cp --preserve {DIRECTORY}/.env /tmp/env.kept")
    editor.delete(*PROJECTS)
    host.check_output(f"rm -f {RECORD}")
    yield editor
    editor.delete(*set(editor.workflows()) - set(PROJECTS) - before)
    host.check_output(f"cat /tmp/env.kept > {DIRECTORY}/.env; rm /tmp/env.kept")
    role({"n8n_workflows_overwrite": True}).expect_success()


def states(editor: Editor) -> dict[str, bool]:
    return {ident: shown["active"] for ident, shown in editor.workflows().items()}


def started_n8n(host: Host) -> str:
    return str(inspect(host, "n8n")["State"]["StartedAt"])


def test_check_mode_tells_what_would_be_imported_and_imports_nothing(role: Callable[..., Run], editor: Editor) -> None:
    run = role(None, "--check").expect_success()
    assert run.changed == 1
    assert all(f"({name}.json): imported" in run.output for name in PROJECTS.values())
    assert not set(editor.workflows()) & set(PROJECTS)


def test_what_is_missing_is_imported_and_made_active(role: Callable[..., Run], editor: Editor, host: Host) -> None:
    assert role().expect_success().changed == 1
    assert dict.fromkeys(PROJECTS, True).items() <= states(editor).items()
    assert host.file(RECORD).mode == 0o600


def test_a_second_run_changes_nothing(role: Callable[..., Run], editor: Editor, host: Host) -> None:
    before, started = states(editor), started_n8n(host)
    run = role().expect_success()
    assert run.changed == 0 and "PASS: PASS 8" in run.output
    assert (states(editor), started_n8n(host)) == (before, started)


def test_the_right_secret_and_no_other_reaches_discord(host: Host, discord: Discord, secrets: dict[str, str]) -> None:
    for wrong in ("wrong", "", None):
        assert call(host, *((event, {"symbol": "NOT-SENT"}, wrong) for event in EVENTS)) == [403] * 5
    right = secrets["N8N_WEBHOOK_SECRET"]
    assert call(host, *((event, {"symbol": f"S-{event}", "probe": True}, right) for event in EVENTS)) == [200] * 5
    for event in EVENTS:
        embed = got(discord, f"S-{event}")
        assert embed["title"].startswith("🧪 시험 · TEST") and "Test message" in embed["description"]
        assert embed["footer"]["text"].endswith(event)
    assert "NOT-SENT" not in json.dumps(discord.ask("GET", "/messages"))


def test_a_message_says_what_happened(host: Host, discord: Discord, secrets: dict[str, str]) -> None:
    sent = {"side": "SELL", "symbol": "KRW-TEST", "price": 1000, "quantity": 2.5, "my_field": "of the bot"}
    call(host, ("trade", sent, secrets["N8N_WEBHOOK_SECRET"]))
    embed = got(discord, "KRW-TEST")
    assert embed["title"] == "🔴 매도 · SELL KRW-TEST" and embed["color"] == 0xE74C3C
    assert [(field["name"], field["value"]) for field in embed["fields"]] == [
        ("가격 · Price", "1,000 KRW"), ("수량 · Quantity", "2.5"), ("금액 · Value", "2,500 KRW"),
        ("my_field", "of the bot")]


def test_whatever_is_sent_makes_a_message_that_discord_takes(host: Host, discord: Discord) -> None:
    codes = [node["parameters"]["jsCode"] for path in FILES.glob("*.json")
             for node in json.loads(path.read_text())["nodes"] if node["name"] == "Message"]
    given = base64.b64encode(zlib.compress(json.dumps([codes, ODD]).encode())).decode()
    assert host.check_output(f"docker exec coinpilot-n8n node -e '{RUN_CODE}' {given}") == ""


def test_files_that_cannot_be_imported_stop_the_run_before_anything_changes(
        role: Callable[..., Run], editor: Editor, tmp_path: Path) -> None:
    editor.deactivate(RISK)
    broken = own_workflow("mine", "broken", OWN)
    del broken["id"]
    (tmp_path / "no.json").write_text("{")
    run = role({"n8n_workflows_directory": write_own(tmp_path, broken)}).expect_failure()
    assert "broken.json" in run.output and "no id" in run.output and "no JSON" in run.output
    assert not states(editor)[RISK]


def test_each_workflow_is_brought_to_its_file_and_what_a_person_made_is_kept(
        role: Callable[..., Run], editor: Editor, host: Host, discord: Discord, secrets: dict[str, str],
        tmp_path: Path) -> None:
    """One run for all of it: RISK is inactive, TRADE edited, DAILY's path taken, the secret new, a workflow new."""
    editor.save(TRADE, "Discord", maxTries=2)
    editor.deactivate(DAILY)
    theirs = editor.create(own_workflow("daily-report", "My daily report", "x"))
    set_env(host, "N8N_WEBHOOK_SECRET", SECRET)
    mine = write_own(tmp_path, own_workflow("mine", "Mine", OWN))
    run = role({"n8n_workflows_directory": mine}).expect_success()
    assert run.changed == 1
    assert "from n8n to the file: node Discord: maxTries: 2 -> 5" in run.output
    assert f"My daily report ({theirs})" in run.output
    assert states(editor).items() >= {TRADE: True, RISK: True, DAILY: False, theirs: True, OWN: True}.items()
    assert editor.ask("GET", f"/workflows/{TRADE}")["nodes"][2]["maxTries"] == 2
    assert call(host, ("trade", {}, secrets["N8N_WEBHOOK_SECRET"]),
                ("mine", {"symbol": "BY-MINE"}, SECRET)) == [403, 200]
    got(discord, "BY-MINE")
    assert role({"n8n_workflows_directory": mine}).expect_success().changed == 0


def test_told_to_the_files_win_and_nothing_is_deleted(role: Callable[..., Run], editor: Editor, host: Host) -> None:
    theirs = next(ident for ident, shown in editor.workflows().items() if shown["name"] == "My daily report")
    count = len(editor.workflows())
    run = role({"n8n_workflows_overwrite": True}).expect_success()
    assert "maxTries: 2 -> 5" in run.output and f"({theirs}): made inactive" in run.output
    assert states(editor).items() >= {TRADE: True, DAILY: True, theirs: False, OWN: True}.items()
    assert editor.ask("GET", f"/workflows/{TRADE}")["nodes"][2]["maxTries"] == 5
    assert len(editor.workflows()) == count
    assert call(host, ("daily-report", {}, SECRET)) == [200]
    assert role().expect_success().changed == 0


def test_without_a_secret_the_run_fails_and_n8n_stays_shut(role: Callable[..., Run], editor: Editor,
                                                           host: Host) -> None:
    set_env(host, "N8N_WEBHOOK_SECRET", "")
    set_env(host, "DISCORD_WEBHOOK_URL", "")
    run = role().expect_failure()
    assert "n8n refuses every call" in run.output and "their messages go nowhere" in run.output
    assert call(host, ("trade", {}, "")) == [403]
