# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""The credentials that n8n's workflows use, as `.env` says: the webhook secret, and Discord's address."""

from __future__ import annotations

import hashlib
import json
import os
import re
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional

from .findings import FAIL, PASS, WARN, Case, Finding, Rule, Text, table

HEADER = "x-webhook-secret"
_ROUNDS = 100_000
# What a header takes as it is: visible characters of ASCII, and spaces between them.
_FITS_A_HEADER = re.compile(r"[!-~]([ -~]*[!-~])?\Z")
_ADDRESS = re.compile(r"https?://[!-~]+\Z")

_SET = Text("set it in the vault ({subject} under stack_secrets) and deploy again",
            "vault의 stack_secrets에 {subject}을(를) 넣고 다시 배포하세요")
RULES = table(
    Rule("n8n-credential", Text("n8n credential", "n8n 자격 증명"), Text("as .env says", ".env와 같음"), {
        "current": Case(PASS, Text("as .env says", ".env와 같음")),
        "written": Case(PASS, Text("written from .env", ".env 값으로 저장함")),
        "no-secret": Case(FAIL, Text("is not in .env: n8n refuses every call, and no notification goes out",
                                     ".env에 없어 n8n이 모든 호출을 거부하며 알림이 나가지 않음"), _SET),
        "no-address": Case(WARN, Text("is not in .env: the workflows run, and their messages go nowhere",
                                      ".env에 없어 워크플로가 실행되어도 메시지가 전달되지 않음"), _SET),
        "no-header": Case(FAIL, Text("holds a character that no HTTP header can carry, or a space at its end: n8n "
                                     "would refuse every call",
                                     "HTTP 헤더에 쓸 수 없는 문자나 앞뒤 공백이 있어 n8n이 모든 호출을 거부하게 됨"),
                          Text("use letters, digits and signs of ASCII; " + _SET.en,
                               "ASCII 문자, 숫자, 기호만 쓰세요. " + _SET.ko)),
        "no-url": Case(FAIL, Text("is no address", "주소가 아님"),
                       Text("copy the webhook's URL from Discord (channel settings, Integrations); " + _SET.en,
                            "Discord 채널 설정의 연동(Integrations)에서 webhook URL을 복사하세요. " + _SET.ko)),
        "not-written": Case(FAIL, Text("n8n did not take it: {said}", "n8n이 저장하지 않음: {said}"),
                            Text("see: docker logs --tail 100 {container}; then run this again",
                                 "원인 확인: docker logs --tail 100 {container}; 그 뒤 다시 실행하세요")),
    }),
)


class Kind(NamedTuple):
    """A credential: the key of `.env` that holds its value, and what n8n calls it."""

    key: str
    id: str
    name: str
    type: str
    data: Callable[[str], Dict[str, str]]
    fits: Any
    # What is said of a value that is not there, and of one that cannot be.
    missing: str
    unfit: str


KINDS = (
    Kind("N8N_WEBHOOK_SECRET", "coinpilotWebhookSecret", "CoinPilot webhook secret", "httpHeaderAuth",
         lambda value: {"name": HEADER, "value": value}, _FITS_A_HEADER, "no-secret", "no-header"),
    Kind("DISCORD_WEBHOOK_URL", "coinpilotDiscordWebhook", "CoinPilot Discord", "discordWebhookApi",
         lambda value: {"webhookUri": value}, _ADDRESS, "no-address", "no-url"),
)


class Wanted(NamedTuple):
    """A credential with its value, which is shown nowhere."""

    kind: Kind
    value: str

    def __repr__(self) -> str:
        return "Wanted(%s)" % self.kind.key

    def for_import(self) -> Dict[str, Any]:
        return {"id": self.kind.id, "name": self.kind.name, "type": self.kind.type, "data": self.kind.data(self.value)}


def problems(env: Mapping[str, str]) -> List[Finding]:
    """What of `.env` cannot become a credential. What n8n has under that name is then left as it is."""
    rule = RULES["n8n-credential"]
    return [rule.finding(kind.unfit if env.get(kind.key) else kind.missing, kind.key)
            for kind in KINDS if not _fits(kind, env)]


def wanted(env: Mapping[str, str]) -> List[Wanted]:
    return [Wanted(kind, env[kind.key]) for kind in KINDS if _fits(kind, env)]


def is_current(credential: Wanted, mark: Optional[str], recorded: Any) -> bool:
    """Whether n8n still has what was imported last, and that was this value. ``mark`` stands for what n8n has."""
    if mark is None or not isinstance(recorded, dict) or mark != recorded.get("mark"):
        return False
    return _hash(credential, str(recorded.get("salt"))) == recorded.get("hash")


def entry(credential: Wanted, mark: str) -> Dict[str, str]:
    """What is recorded of an import."""
    salt = os.urandom(16).hex()
    return {"mark": mark, "salt": salt, "hash": _hash(credential, salt)}


def _fits(kind: Kind, env: Mapping[str, str]) -> bool:
    return bool(kind.fits.match(env.get(kind.key) or ""))


def _hash(credential: Wanted, salt: str) -> str:
    # Slow on purpose: the record is no place to try out secrets on.
    text = json.dumps(credential.for_import(), sort_keys=True).encode("utf-8")
    return hashlib.pbkdf2_hmac("sha256", text, salt.encode("utf-8"), _ROUNDS).hex()
