# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""JSON over HTTP with services of this host, and how to speak of what goes wrong without giving a secret away."""

from __future__ import annotations

import http.client
import json
import re
import socket
import time
import urllib.request
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional

LARGEST = 64 << 20
LONGEST = 300

_ADDRESS = re.compile(r"(https?:(?:\\?/){2})(?:[^\s/\"'\\]*@)?([^\s/?#\"'\\]+)[^\s\"'<>]*", re.IGNORECASE)
_WEBHOOK = re.compile(r"(webhooks(?:\\?/|%2F))[^\s\"'<>]+", re.IGNORECASE)
_SHORTEST_SECRET = 4


class HttpError(Exception):
    """Nothing usable came back: ``case`` is down (no connection), timeout or answer (not JSON, cut off, too long)."""

    def __init__(self, case: str):
        super().__init__(case)
        self.case = case


class Answer(NamedTuple):
    status: int
    content: Any


def ask(url: str, body: Any = None, headers: Optional[Mapping[str, str]] = None, timeout: float = 10.0) -> Answer:
    """Whatever the service answers, of any status; ``body`` is sent as JSON (POST). Raises HttpError.

    No proxy is asked and no redirect followed: credentials go to this host and nowhere else.
    """
    data = None if body is None else json.dumps(body).encode()
    # Discord turns away what the standard library calls itself.
    given = {"Accept": "application/json", "User-Agent": "coinpilot-ops", **(headers or {})}
    request = urllib.request.Request(url, data=data, headers=given)
    if data is not None:
        request.add_header("Content-Type", "application/json")
    opener = urllib.request.OpenerDirector()
    # The other one reads all of the system's certificates.
    opener.add_handler(urllib.request.HTTPSHandler() if url.startswith("https:") else urllib.request.HTTPHandler())
    deadline = time.monotonic() + timeout
    try:
        with opener.open(request, timeout=timeout) as response:
            text = b""
            while True:
                part = response.read1(1 << 20)
                text += part
                if not part:
                    break
                if len(text) > LARGEST or time.monotonic() > deadline:
                    raise HttpError("answer")
            # What is left of the length that was announced.
            if response.length:
                raise HttpError("answer")
            status = response.status
    except http.client.HTTPException as problem:
        raise HttpError("answer") from problem
    except (OSError, ValueError) as problem:
        # Up to Python 3.9 the socket's timeout is another class.
        late = isinstance(getattr(problem, "reason", problem), (TimeoutError, socket.timeout))
        raise HttpError("timeout" if late else "down") from problem
    return Answer(status, _content(text, status))


def _content(text: bytes, status: int) -> Any:
    try:
        return json.loads(text) if text.strip() else None
    except (ValueError, RecursionError) as problem:
        # An error may come as a page; its status is what counts.
        if status >= 400:
            return None
        raise HttpError("answer") from problem


def objects(value: Any) -> List[Dict[str, Any]]:
    """The objects of what may be a list of objects and may be anything."""
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def masked(text: Any, secrets: Iterable[str] = ()) -> str:
    """A text of another program in one line that can be shown: addresses without what follows the host, no secrets."""
    shown = str(text)
    for secret in sorted(set(secrets), key=len, reverse=True):
        if len(secret) >= _SHORTEST_SECRET:
            shown = shown.replace(secret, "***")
    shown = _WEBHOOK.sub(r"\1***", _ADDRESS.sub(r"\1\2/***", shown))
    shown = " ".join("".join(character if character.isprintable() else " " for character in shown).split())
    return shown if len(shown) <= LONGEST else shown[:LONGEST - 1] + "\u2026"
