# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""n8n's owner account. Until there is one, everybody who reaches n8n is shown the page that makes them its owner."""

from __future__ import annotations

import re
from typing import Any, Dict, Mapping

from . import http_json
from .findings import FAIL, PASS, Case, Finding, Rule, Text, table

EMAIL, PASSWORD = "N8N_OWNER_EMAIL", "N8N_OWNER_PASSWORD"
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+\Z")
_TIMEOUT = 30.0

_KEYS = Text("put N8N_OWNER_EMAIL (an address) and N8N_OWNER_PASSWORD (8 to 64 characters, at least one digit and one "
             "capital letter) into the vault under stack_secrets and deploy again",
             "vault의 stack_secrets에 N8N_OWNER_EMAIL(이메일 주소)과 N8N_OWNER_PASSWORD(8~64자, 숫자와 영문 대문자를 "
             "하나 이상 포함)를 넣고 다시 배포하세요")
RULES = table(
    Rule("n8n-owner", Text("n8n owner", "n8n 소유자 계정"), Text("an owner account, and no public set-up page",
                                                            "소유자 계정이 있고 공개 설정 페이지가 없음"), {
        "there": Case(PASS, Text("n8n has its owner", "소유자 계정이 있음")),
        "created": Case(PASS, Text("the owner account was created", "소유자 계정을 만듦")),
        "missing": Case(PASS, Text("the owner account is still to be created", "소유자 계정을 만들 예정")),
        "no-keys": Case(FAIL, Text("n8n has no owner: whoever opens it first may make themselves one",
                                   "n8n에 소유자 계정이 없어 먼저 접속한 사람이 소유자가 될 수 있음"), _KEYS),
        "unfit": Case(FAIL, Text("n8n has no owner, and would not take {keys} of .env",
                                 "n8n에 소유자 계정이 없고, .env의 {keys} 값은 n8n이 받지 않음"), _KEYS),
        "refused": Case(FAIL, Text("n8n did not create the owner: {said}", "n8n이 소유자 계정을 만들지 않음: {said}"),
                        Text("see: docker logs --tail 100 {container}; then run this again",
                             "원인 확인: docker logs --tail 100 {container}; 그 뒤 다시 실행하세요")),
    }),
)


def state(is_set_up: bool, env: Mapping[str, str]) -> str:
    """``there``, ``missing`` (and may be created), or why it cannot be created: ``no-keys``, ``unfit``."""
    if is_set_up:
        return "there"
    if not env.get(EMAIL) or not env.get(PASSWORD):
        return "no-keys"
    return "unfit" if unfit(env) else "missing"


def unfit(env: Mapping[str, str]) -> str:
    """The keys whose values n8n would not take."""
    password = env.get(PASSWORD) or ""
    fits = {EMAIL: bool(_EMAIL.match(env.get(EMAIL) or "")),
            PASSWORD: 8 <= len(password) <= 64 and bool(re.search("[0-9]", password) and re.search("[A-Z]", password))}
    return ", ".join(key for key, good in fits.items() if not good)


def finding(case: str, env: Mapping[str, str], **values: Any) -> Finding:
    return RULES["n8n-owner"].finding(case, keys=unfit(env), **values)


def create(port: int, title: str, env: Mapping[str, str]) -> str:
    """Makes the owner as n8n's own page does. Gives why n8n refused; "" when it did not."""
    asked: Dict[str, str] = {"email": env[EMAIL], "firstName": title[:32] or "n8n", "lastName": "Operator",
                             "password": env[PASSWORD]}
    try:
        answer = http_json.ask("http://127.0.0.1:%d/rest/owner/setup" % port, asked, timeout=_TIMEOUT)
    except http_json.HttpError as problem:
        return problem.case
    if answer.status < 400:
        return ""
    said = answer.content.get("message") if isinstance(answer.content, dict) else ""
    return http_json.masked("HTTP %d %s" % (answer.status, said or ""), [env[PASSWORD], env[EMAIL]])
