"""n8n's webhooks on a real host: registered, guarded and delivered; and each way in which they are not, by its name.

The tests build on one another: n8n is stopped and started at the end.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from discord_on_host import Discord
from n8n_on_host import FILES, Editor, own_workflow, set_env
from stack_on_host import DIRECTORY, Play
from testinfra.host import Host

WEBHOOKS = ["trade", "risk", "daily-report", "ai-decision", "weekly-exit-report"]
RISK = "coinpilotRisk001"
COMPOSE = f"cd {DIRECTORY} && docker compose --env-file .env -f docker-compose.prod.yml"
# As the user's workflows were: the secret and Discord's address from the environment, which n8n forbids now.
OLD_STYLE: dict[str, Any] = {
    "id": "oldStyle00000001", "name": "Old style", "active": False, "settings": {"executionOrder": "v1"},
    "nodes": [
        {"parameters": {"httpMethod": "POST", "path": "old-style", "options": {}}, "id": "1", "name": "Webhook",
         "type": "n8n-nodes-base.webhook", "typeVersion": 2, "position": [0, 0], "webhookId": "old-style"},
        {"parameters": {"conditions": {"string": [{"value1": '={{$json["headers"]["x-webhook-secret"]}}',
                                                   "value2": "={{$env.N8N_WEBHOOK_SECRET}}"}]}},
         "id": "2", "name": "IF", "type": "n8n-nodes-base.if", "typeVersion": 1, "position": [200, 0]},
        {"parameters": {"requestMethod": "POST", "url": "={{$env.DISCORD_WEBHOOK_URL}}", "options": {}}, "id": "3",
         "name": "Discord", "type": "n8n-nodes-base.httpRequest", "typeVersion": 1, "position": [400, 0]}],
    "connections": {"Webhook": {"main": [[{"node": "IF", "type": "main", "index": 0}]]},
                    "IF": {"main": [[{"node": "Discord", "type": "main", "index": 0}]]}}}
WITHOUT_ID = own_workflow("no-id", "Without an id", "noWebhookId00001")
del WITHOUT_ID["nodes"][0]["webhookId"]
ONCE = own_workflow("once", "Does not try again", "tryOnce000000001")
ONCE["nodes"][2]["retryOnFail"] = False
IMPORTED = [OLD_STYLE, WITHOUT_ID, ONCE]

Found = dict[tuple[str, str], dict[str, Any]]
Look = Callable[..., Found]


@pytest.fixture(scope="module")
def discord(host: Host) -> Iterator[Discord]:
    discord = Discord(host)
    yield discord
    discord.remove()


@pytest.fixture(scope="module")
def look(play: Play, secrets: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Look:
    """``look(probe=True, webhooks=[…])`` is what the module finds, by rule and subject; no secret is in it."""
    kept = tmp_path_factory.mktemp("found") / "found.json"

    def look(probe: bool = False, webhooks: list[str] | None = None) -> Found:
        run = play("tests/host/n8n_webhooks.yml", {"test_probe": probe, "test_file": str(kept),
                                                   "stack_webhooks": webhooks or WEBHOOKS}).expect_success()
        text = kept.read_text()
        for key in ("N8N_WEBHOOK_SECRET", "DISCORD_WEBHOOK_URL", "N8N_OWNER_PASSWORD"):
            assert secrets[key] not in run.output + text
        return {(finding["id"], finding["subject"]): finding for finding in json.loads(text)["findings"]}

    return look


@pytest.fixture(scope="module")
def editor(host: Host, secrets: dict[str, str]) -> Iterator[Editor]:
    """n8n's pages; afterwards, what the tests put there is gone."""
    def editor() -> Editor:
        return Editor(host, secrets["N8N_OWNER_EMAIL"], secrets["N8N_OWNER_PASSWORD"])

    yield editor()
    last = editor()
    last.activate(RISK)
    for ident in set(last.workflows()) & {workflow["id"] for workflow in IMPORTED}:
        last.deactivate(ident)
        last.delete(ident)


def status(found: Found, rule: str, name: str = "") -> str:
    return str(found[rule, name and f"/webhook/{name}"]["status"])


def seen(found: Found, rule: str, name: str = "") -> str:
    return str(found[rule, name and f"/webhook/{name}"]["seen"]["en"])


def probes_in(discord: Discord) -> int:
    """How many messages say that they are of a probe; the bot sends its own meanwhile."""
    return sum("TEST" in entry["message"]["embeds"][0]["title"] for entry in discord.ask("GET", "/messages"))


def test_all_is_well_and_every_probe_arrives_once(look: Look, discord: Discord) -> None:
    found = look(probe=True)
    # What the bot's own calls came to before is not looked at here.
    assert {finding["status"] for (rule, _name), finding in found.items() if rule != "n8n-calls"} == {"PASS"}
    assert len(found) == 4 + 3 * len(WEBHOOKS)
    assert all(seen(found, "n8n-probe-refusal", name) == "refused: none 403, wrong 403" for name in WEBHOOKS)
    assert probes_in(discord) == len(WEBHOOKS)
    # Without the probe nothing is sent.
    assert {finding["status"] for (rule, _name), finding in look().items() if rule != "n8n-calls"} == {"PASS"}
    assert probes_in(discord) == len(WEBHOOKS)


def test_each_webhook_that_does_not_deliver_is_told_by_its_reason(look: Look, discord: Discord, editor: Editor,
                                                                  host: Host) -> None:
    editor.deactivate(RISK)
    host.check_output(f"printf %s {shlex.quote(json.dumps(IMPORTED))} | docker exec -i coinpilot-n8n sh -c "
                      "'cat > /tmp/imported.json && n8n import:workflow --input=/tmp/imported.json'")
    for workflow in IMPORTED:
        editor.activate(workflow["id"])
    before = probes_in(discord)
    found = look(probe=True, webhooks=["trade", "risk", "old-style", "no-id", "nothing"])
    assert status(found, "n8n-probe", "trade") == "PASS"
    assert "is not active: 404" in seen(found, "n8n-probe", "risk")
    assert "registered as /webhook/noWebhookId00001/webhook/no-id" in seen(found, "n8n-probe", "no-id")
    assert "no workflow in oci_coinpilot_n8n_data has it" in seen(found, "n8n-probe", "nothing")
    assert "answers 200 and fails" in seen(found, "n8n-webhook", "old-style")
    assert "answered 200, but execution" in seen(found, "n8n-probe", "old-style")
    assert "failed at the node IF: access to env vars denied" in seen(found, "n8n-probe", "old-style")
    assert probes_in(discord) == before + 1


def test_a_secret_that_differs(look: Look, host: Host, secrets: dict[str, str]) -> None:
    set_env(host, "N8N_WEBHOOK_SECRET", "another-secret-of-the-test")
    try:
        found = look(probe=True, webhooks=["trade"])
    finally:
        set_env(host, "N8N_WEBHOOK_SECRET", secrets["N8N_WEBHOOK_SECRET"])
    assert "answered 403: n8n's credential does not hold the secret of .env" in seen(found, "n8n-probe", "trade")
    assert status(found, "n8n-probe-refusal", "trade") == "PASS"


def test_discord_refuses(look: Look, discord: Discord) -> None:
    """With all the attempts that the project's workflows make."""
    discord.mode(status=401)
    found = look(probe=True, webhooks=["trade"])
    # And without a probe it is known; the bot calls meanwhile, too.
    later = look(webhooks=["trade"])
    discord.mode()
    assert status(found, "n8n-probe", "trade") == "FAIL"
    assert "Invalid Webhook Token" in seen(later, "n8n-calls")
    assert "failed at the node Discord: Invalid Webhook Token" in seen(found, "n8n-probe", "trade")
    assert "DISCORD_WEBHOOK_URL" in found["n8n-probe", "/webhook/trade"]["fix"]["en"]


def test_discord_cannot_be_reached(look: Look, discord: Discord, editor: Editor) -> None:
    discord.leave()
    try:
        found = look(probe=True, webhooks=["once"])
    finally:
        discord.come_back()
    assert status(found, "n8n-probe", "once") == "FAIL"
    told = found["n8n-probe", "/webhook/once"]
    assert "n8n cannot reach it" in told["fix"]["en"], told["seen"]["en"]


@pytest.fixture
def stopped(host: Host) -> Iterator[None]:
    """n8n stopped; afterwards it is the stack's own again, and healthy."""
    host.check_output("docker stop coinpilot-n8n")
    yield
    host.check_output(f"{COMPOSE} --project-name other down --volumes; docker rm --force second-n8n; docker volume rm "
                      f"--force second_n8n; {COMPOSE} up --detach --wait --no-deps n8n")


def test_n8n_stopped_another_one_in_its_place_and_another_volume(look: Look, host: Host, stopped: None) -> None:
    found = look(probe=True)
    assert "coinpilot-n8n is exited" in seen(found, "n8n")
    assert status(found, "n8n-probe") == status(found, "n8n-webhook", "trade") == "UNKNOWN"

    # Another n8n has the port.
    host.check_output("docker run --detach --name second-n8n --publish 127.0.0.1:5678:5678 --volume "
                      "second_n8n:/home/node/.n8n n8nio/n8n:1.123.81")
    found = look(probe=True)
    assert "the container second-n8n" in seen(found, "n8n")
    assert "not called" in seen(found, "n8n-probe")
    host.check_output("timeout 300 sh -c 'until curl -sf http://127.0.0.1:5678/healthz/readiness; do sleep 1; done'; "
                      "docker stop --time 1 second-n8n")

    # The stack's n8n under another project's name, and so with another volume: the runbook's "my n8n data is gone".
    host.check_output(f"docker rm --force coinpilot-n8n && {COMPOSE} --project-name other up --detach --wait "
                      "--no-deps n8n")
    found = look(probe=True, webhooks=["trade"])
    assert seen(found, "n8n-volume") == (
        "other_coinpilot_n8n_data is mounted, with 0 workflows; others: oci_coinpilot_n8n_data (workflows: "
        f"{len(list(FILES.glob('*.json'))) + len(IMPORTED)}), second_n8n (workflows: 0)")
    assert status(found, "n8n-owner") == "FAIL"
    assert "no workflow in other_coinpilot_n8n_data has it: 404" in seen(found, "n8n-probe", "trade")


def test_and_it_delivers_again(look: Look) -> None:
    assert status(look(probe=True, webhooks=["trade"]), "n8n-probe", "trade") == "PASS"
