"""Plays Discord's webhook: takes messages as Discord would, refuses what it would refuse, and tells what it got.

    POST /api/webhooks/ID/TOKEN[?wait=true]    204, or 200 and the message; 400 for one that Discord would not take
    GET /messages                              what arrived: {"arrived": seconds, "message": ...}, oldest first
    GET /refused                               what did not: {"arrived", "status", "message"}
    DELETE /messages                           forget both
    POST /mode {"status": 429, "retry_after": 5, "delay": 0}     from now on; {} for as usual

In memory only, and the address that was posted to is not kept: it holds the token.
"""

from __future__ import annotations

import json
import re
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PORT = 8080
WEBHOOK = re.compile(r"/api(/v\d+)?/webhooks/\d+/[\w-]+(\?wait=(true|false))?")
CONTENT, EMBEDS, EMBEDS_TOTAL, FIELDS, USERNAME = 2000, 10, 6000, 25, 80
EMBED = {"title": 256, "description": 4096}
FIELD = {"name": 256, "value": 1024}
FOOTER, AUTHOR = 2048, 256
REFUSALS = {
    401: {"message": "Invalid Webhook Token", "code": 50027},
    404: {"message": "Unknown Webhook", "code": 10015},
}


class Sink:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.messages: list[dict[str, Any]] = []
        self.refused: list[dict[str, Any]] = []
        self.mode: dict[str, float] = {}


SINK = Sink()


def problems(message: Any) -> list[str]:
    """What Discord would not take of a message; lengths are counted in characters, as there."""
    if not isinstance(message, dict):
        return ["the body is no JSON object"]
    content, embeds = message.get("content") or "", message.get("embeds") or []
    if not content and not embeds:
        return ["Cannot send an empty message"]
    found = _long("content", content, CONTENT) + _long("username", message.get("username") or "", USERNAME)
    if not isinstance(embeds, list) or len(embeds) > EMBEDS:
        return [*found, f"embeds: at most {EMBEDS}"]
    for at, embed in enumerate(embeds):
        found += _embed(f"embeds[{at}]", embed)
    if not found and sum(map(_size, embeds)) > EMBEDS_TOTAL:
        found.append(f"embeds: more than {EMBEDS_TOTAL} characters in all")
    return found


def _embed(where: str, embed: Any) -> list[str]:
    if not isinstance(embed, dict):
        return [f"{where}: no JSON object"]
    found = []
    for name, most in EMBED.items():
        found += _long(f"{where}.{name}", embed.get(name) or "", most)
    color = embed.get("color", 0)
    if not isinstance(color, int) or not 0 <= color <= 0xFFFFFF:
        found.append(f"{where}.color: not a number up to 16777215")
    if not str(embed.get("url") or "https://").startswith(("http://", "https://")):
        found.append(f"{where}.url: not a well formed URL")
    found += _long(f"{where}.footer.text", (embed.get("footer") or {}).get("text") or "", FOOTER)
    found += _long(f"{where}.author.name", (embed.get("author") or {}).get("name") or "", AUTHOR)
    fields = embed.get("fields") or []
    if len(fields) > FIELDS:
        found.append(f"{where}.fields: more than {FIELDS}")
    for number, field in enumerate(fields):
        for name, most in FIELD.items():
            text = field.get(name)
            found += _long(f"{where}.fields[{number}].{name}", text, most) if text else \
                [f"{where}.fields[{number}].{name}: this field is required"]
    return found


def _long(where: str, text: Any, most: int) -> list[str]:
    if not isinstance(text, str):
        return [f"{where}: not a text"]
    return [f"{where}: more than {most} characters"] if len(text) > most else []


def _size(embed: dict[str, Any]) -> int:
    texts = [embed.get("title"), embed.get("description"), (embed.get("footer") or {}).get("text"),
             (embed.get("author") or {}).get("name")]
    texts += [text for field in embed.get("fields") or [] for text in (field["name"], field["value"])]
    return sum(len(text or "") for text in texts)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        with SINK.lock:
            told = {"/messages": SINK.messages, "/refused": SINK.refused}.get(self.path)
            self._send(404 if told is None else 200, told)

    def do_DELETE(self) -> None:
        with SINK.lock:
            SINK.messages, SINK.refused = [], []
        self._send(204, None)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == "/mode":
            SINK.mode = json.loads(body or b"{}")
            self._send(204, None)
            return
        try:
            message = json.loads(body)
        except ValueError:
            message = None
        mode = SINK.mode
        time.sleep(mode.get("delay", 0))
        status = int(mode.get("status", 204)) if WEBHOOK.fullmatch(self.path) else 404
        wrong = problems(message)
        if status == 204 and wrong:
            status = 400
        with SINK.lock:
            entry = {"arrived": time.time(), "message": message}
            if status == 204:
                SINK.messages.append(entry)
            else:
                SINK.refused.append({**entry, "status": status, "problems": wrong})
        if status == 204:
            waits = self.path.endswith("wait=true")
            self._send(200 if waits else 204, {"id": "1", **message} if waits else None)
        elif status == 429:
            wait = mode.get("retry_after", 1)
            self._send(429, {"message": "You are being rate limited.", "retry_after": wait, "global": False},
                       {"Retry-After": str(wait)})
        elif status == 400:
            self._send(400, {"message": "; ".join(wrong), "code": 50006 if "empty" in wrong[0] else 50035})
        else:
            self._send(status, REFUSALS.get(status))

    def _send(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
        body = b"" if content is None else json.dumps(content, ensure_ascii=False).encode()
        try:
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)),
                                **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            # Who asked has not waited for the answer.
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the line would hold the token."""


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    ThreadingHTTPServer(("", PORT), Handler).serve_forever()
