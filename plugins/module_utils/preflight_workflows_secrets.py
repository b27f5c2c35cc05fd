# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Secrets that are written into an n8n workflow: found by their shape, or by the name of what holds them."""

from __future__ import annotations

import re
from typing import Any, Iterator, NamedTuple, Optional, Tuple

from .findings import Text

SHAPES: Tuple[Tuple[Text, Any], ...] = tuple((kind, re.compile(pattern)) for kind, pattern in (
    (Text("the address of a Discord webhook", "Discord webhook 주소"),
     r"discord(?:app)?\.com/api/(?:v\d+/)?webhooks/\d+/[\w-]{8,}"),
    (Text("the address of a Slack webhook", "Slack webhook 주소"),
     r"hooks\.slack\.com/(?:services|workflows)/[\w/-]{8,}"),
    (Text("the address of a Teams webhook", "Teams webhook 주소"),
     r"(?:outlook\.office\.com/webhook|webhook\.office\.com/webhookb2)/[\w@-]{8,}"),
    (Text("a Telegram bot token", "Telegram 봇 토큰"), r"\b\d{8,10}:[A-Za-z0-9_-]{35}\b"),
    (Text("an API key", "API 키"),
     r"\b(?:sk-(?=[\w-]*\d)[\w-]{16,}|(?:sk|rk)_live_[A-Za-z0-9]{16,}|AIza[\w-]{35}|(?:AKIA|ASIA)[A-Z0-9]{16}|whsec_[\w+/=-]{16,}"
     r"|SG\.[\w-]{16,}\.[\w-]{16,}|hf_[A-Za-z0-9]{30,}|npm_[A-Za-z0-9]{30,})"),
    (Text("an access token", "액세스 토큰"),
     r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{22,}|glpat-[\w-]{20,}|xox[abeoprs]-[\w-]{10,})"),
    (Text("a private key", "개인 키"), r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    (Text("a signed token (JWT)", "서명된 토큰(JWT)"), r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}"),
    (Text("an Authorization header", "Authorization 헤더"),
     r"(?i)\b(?:bearer|basic)\s+(?=[\w.~+/-]*\d)[\w.~+/-]{12,}={0,2}"),
    (Text("a password in an address", "주소 안의 비밀번호"),
     r"\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@{}'\"]+:[^\s/@{}'\"$]{3,}@"),
    (Text("a secret in an address", "주소 안의 비밀 값"),
     r"(?i)[?&](?:(?:api[-_]?key|access[-_]?token|token|secret|password)=[\w.~+/%-]{8,}"
     r"|key=(?=[\w.~+/%-]*\d)[\w.~+/%-]{8,})"),
    (Text("a secret", "비밀 값"),
     r"(?i)[\"']?\b\w*(?:secret|token|password|passwd|api[-_]?key)[\"']?\]?\s*(?:=(?!=)|:|===?|!==?)\s*"
     r"[\"'](?!(?:Bearer|Basic)?\s*[{$<=])[^\"'\s{}$]{8,}[\"']"),
))
_NAMED = re.compile(r"(?:secret|password|passwd|passphrase|apikey|accesskey|secretkey|privatekey|signingkey|apitoken"
                    r"|accesstoken|refreshtoken|authtoken|bearertoken|bottoken|authorization)\Z|\Atoken\Z|\Axauth\Z")
_PLACEHOLDER = re.compile(r"\A(?:<.*>|\$\{.*\}|\[.*\]|\*+|x{3,}|\.{3,}|(?:bearer |basic )?your[-_ ].*)\Z",
                          re.IGNORECASE | re.DOTALL)
# What is random or secret by name, and is neither: numbers that n8n gives things.
_NOT_SEARCHED = frozenset(("id", "webhookId", "instanceId", "versionId", "templateId", "credentials"))
_SHORTEST = 6


class Found(NamedTuple):
    """A secret: what it is, where it stands, and the text to look for in the file (never to be shown)."""

    kind: Text
    place: str
    text: str


def search(value: Any, place: str = "") -> Iterator[Found]:
    """The secrets in a part of a workflow."""
    waiting = [(place, "", value)]
    while waiting:
        path, name, part = waiting.pop()
        if isinstance(part, dict):
            # {"name": "Authorization", "value": "..."}: the name of the field stands beside it.
            label = next((part[key] for key in ("name", "key", "keyName") if isinstance(part.get(key), str)), "")
            waiting.extend((_joined(path, key), label if key in ("value", "stringValue") and label else key, below)
                           for key, below in reversed(list(part.items())) if key not in _NOT_SEARCHED)
        elif isinstance(part, list):
            waiting.extend((path, name, below) for below in reversed(part))
        elif isinstance(part, str):
            kind = kind_of(part, name)
            if kind:
                yield Found(kind, path, part)


def kind_of(value: str, name: str = "") -> Optional[Text]:
    """What a text gives away; the name is that of the field that holds it."""
    for kind, shape in SHAPES:
        if shape.search(value):
            return kind
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    literal = value[1:] if value.startswith("=") else value
    if _NAMED.search(plain) and len(literal.strip()) >= _SHORTEST and "{{" not in literal \
            and not _PLACEHOLDER.match(literal.strip()) and re.sub(r"[^a-z0-9]", "", literal.lower()) != plain:
        return Text("a secret", "비밀 값")
    return None


def _joined(path: str, key: str) -> str:
    return "%s.%s" % (path, key) if path else key
