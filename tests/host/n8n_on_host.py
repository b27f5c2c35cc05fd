"""n8n on the provisioned host: as its user has it in the browser, as the bot calls it, and what comes of it."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

from discord_on_host import Discord
from stack_on_host import CHECKOUT, DIRECTORY
from testinfra.host import Host

N8N = "http://127.0.0.1:5678"
RECORD = "/var/lib/coinpilot/n8n_workflows.json"
FILES = CHECKOUT / "roles" / "n8n_workflows" / "files"
# urllib's own cookie jar would keep n8n's cookie back, which is for HTTPS only.
ASK = """
import json, sys, urllib.error, urllib.request
def ask(method, url, body, headers):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **headers}, method=method)
    try:
        answer = urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as problem:
        answer = problem
    return [answer.status, answer.headers.get("Set-Cookie", ""), answer.read().decode()]
print(json.dumps([ask(*request) for request in json.load(sys.stdin)]))
"""


def ask_all(host: Host, requests: list[tuple[str, str, Any, dict[str, str]]]) -> list[tuple[int, str, str]]:
    """Status, cookie and text of each answer to (method, URL, body, headers), asked on the host."""
    given = base64.b64encode(json.dumps(requests).encode()).decode()
    answers = json.loads(host.check_output(f"echo {given} | base64 -d | python3 -c '{ASK}'"))
    return [(int(status), str(cookie), str(text)) for status, cookie, text in answers]


def ask(host: Host, method: str, url: str, body: Any = None,
        headers: dict[str, str] | None = None) -> tuple[int, str, str]:
    return ask_all(host, [(method, url, body, headers or {})])[0]


def call(host: Host, *calls: tuple[str, Any, str | None]) -> list[int]:
    """What n8n answers to calls of the bot: (path, body, secret)."""
    return [status for status, _cookie, _text in ask_all(host, [
        ("POST", f"{N8N}/webhook/{path}", body, {} if secret is None else {"x-webhook-secret": secret})
        for path, body, secret in calls])]


class Editor:
    """What a person does in n8n's pages."""

    def __init__(self, host: Host, email: str, password: str) -> None:
        self.host = host
        status, cookie, text = ask(host, "POST", f"{N8N}/rest/login",
                                   {"emailOrLdapLoginId": email, "password": password})
        assert status == 200, text
        self.headers = {"Cookie": cookie.split(";")[0]}

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        status, _cookie, text = ask(self.host, method, f"{N8N}/rest{path}", body, self.headers)
        assert status == 200, text
        return json.loads(text)["data"]

    def workflows(self) -> dict[str, dict[str, Any]]:
        return {one["id"]: one for one in self.ask("GET", "/workflows")}

    def save(self, ident: str, node: str, **changed: Any) -> None:
        """Changes a node and saves the workflow."""
        shown = self.ask("GET", f"/workflows/{ident}")
        next(one for one in shown["nodes"] if one["name"] == node).update(changed)
        kept = {key: shown[key] for key in ("name", "nodes", "connections", "settings", "versionId")}
        self.ask("PATCH", f"/workflows/{ident}", kept)

    def create(self, document: dict[str, Any]) -> str:
        """A workflow of the person's own, switched on."""
        kept = {key: document[key] for key in ("name", "nodes", "connections", "settings")}
        kept["active"] = False
        ident = str(self.ask("POST", "/workflows", kept)["id"])
        self.activate(ident)
        return ident

    def activate(self, ident: str) -> None:
        version = self.ask("GET", f"/workflows/{ident}")["versionId"]
        self.ask("POST", f"/workflows/{ident}/activate", {"versionId": version})

    def deactivate(self, ident: str) -> None:
        self.ask("POST", f"/workflows/{ident}/deactivate", {})

    def delete(self, *idents: str) -> None:
        requests: list[tuple[str, str, Any, dict[str, str]]] = []
        for ident in idents:
            requests += [("POST", f"{N8N}/rest/workflows/{ident}/archive", {}, self.headers),
                         ("DELETE", f"{N8N}/rest/workflows/{ident}", None, self.headers)]
        answers = ask_all(self.host, requests)
        assert {status for status, _cookie, _text in answers} <= {200}, answers


def got(discord: Discord, marker: str, patience: float = 300) -> dict[str, Any]:
    """The embed of the one message that has this text, once it is there."""
    deadline = time.monotonic() + patience
    while True:
        found = [entry["message"]["embeds"][0] for entry in discord.ask("GET", "/messages")
                 if marker in json.dumps(entry, ensure_ascii=False)]
        if found or time.monotonic() > deadline:
            assert len(found) == 1, found
            return dict(found[0])
        time.sleep(0.5)


def own_workflow(path: str, name: str, ident: str) -> dict[str, Any]:
    """A workflow as a person has one: the project's own for trades, under another name."""
    text = (FILES / "trade.json").read_text().replace('"path": "trade"', f'"path": "{path}"')
    return {**json.loads(text), "name": name, "id": ident}


def write_own(directory: Path, *documents: dict[str, Any]) -> str:
    for document in documents:
        (directory / f"{document['name']}.json").write_text(json.dumps(document))
    return str(directory)


def set_env(host: Host, key: str, value: str) -> None:
    """A value of `.env`, made of plain characters, changed by hand."""
    host.check_output(f"sed -i 's|^{key}=.*|{key}={value}|' {DIRECTORY}/.env")
