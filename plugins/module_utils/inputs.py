# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Whether the keys of `.env` can be used as they were given. No text that comes from here ever holds a value."""

from __future__ import annotations

import re
from typing import Any, Iterable, List, Mapping

from . import placeholder
from .findings import FAIL, Case, Finding, Rule, Text, table

SECRETS, SETTINGS = "stack_secrets", "stack_settings"

_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
# Compose itself obeys these when they stand in `.env`: another project name means other volumes.
_COMPOSE_OWN = re.compile(r"(COMPOSE|DOCKER|BUILDKIT|BUILDX)_|.*_URLENCODED\Z")

# Words that may well be the value of a setting, and never that of a key with one of these names.
_SENSITIVE = re.compile(r"PASS(WORD|WD|PHRASE)?|SECRET|TOKEN|KEY|CREDENTIAL|WEBHOOK", re.IGNORECASE)
_NO_SECRET = re.compile(r"postgres|qwerty|letmein|abc123|0?123(4(5(6(7(8(90?)?)?)?)?)?)?|(?P<one>.)(?P=one)*",
                        re.DOTALL)

RULES = table(
    Rule("input-shape", Text("variable", "변수"), Text("a mapping of keys to texts", "키와 문자열의 쌍(mapping)"), {
        "not-a-mapping": Case(FAIL, Text("holds no keys and values", "키와 값의 쌍이 아닙니다"),
                              Text("Write it as lines of KEY: \"value\"", "KEY: \"값\" 형식의 줄로 쓰세요")),
    }),
    Rule(
        "input-key", Text("key", "키"),
        Text("names of letters, digits and _, each given once", "영문자, 숫자, _로 된 이름, 중복 없음"),
        {
            "name": Case(FAIL, Text("is no name for a variable ({where})", "변수 이름으로 쓸 수 없습니다({where})"),
                         Text("Use letters, digits and _, and no digit first",
                              "영문자, 숫자, _만 쓰고 숫자로 시작하지 마세요")),
            "reserved": Case(FAIL, Text("belongs to Docker or to this collection ({where})",
                                        "Docker 또는 이 컬렉션이 쓰는 이름입니다({where})"),
                             Text("Remove it: in .env it would change what Compose does",
                                  "지우세요. .env에 있으면 Compose의 동작이 바뀝니다")),
            "twice": Case(FAIL, Text("stands in both stack_secrets and stack_settings",
                                     "stack_secrets와 stack_settings 양쪽에 있습니다"),
                          Text("Keep one of the two", "하나만 남기세요")),
        }),
    Rule(
        "input-value", Text("key", "키"), Text("a real value, in one line of text", "한 줄 문자열로 된 실제 값"),
        {
            "missing": Case(FAIL, Text("is missing", "없습니다"),
                            Text("Add it to the vault", "vault에 추가하세요")),
            "empty": Case(FAIL, Text("is empty ({where})", "비어 있습니다({where})"),
                          Text("Give it its real value", "실제 값을 넣으세요")),
            "placeholder": Case(FAIL, Text("is still a placeholder ({where})", "아직 예시 값입니다({where})"),
                                Text("Give it its real value", "실제 값을 넣으세요")),
            "not-text": Case(FAIL, Text("is {kind}, not a text ({where})", "문자열이 아니라 {kind}입니다({where})"),
                             Text("Put the value in quotes", "값을 따옴표로 감싸세요")),
            "lines": Case(FAIL, Text("has a line break or a NUL character ({where})",
                                     "줄바꿈이나 NUL 문자가 들어 있습니다({where})"),
                          Text("Give it in one line; `|` and `>` in YAML add a line break",
                               "한 줄로 쓰세요. YAML의 `|`와 `>`는 줄바꿈을 붙입니다")),
            "encoding": Case(FAIL, Text("has characters that UTF-8 cannot hold ({where})",
                                        "UTF-8로 쓸 수 없는 문자가 들어 있습니다({where})"),
                             Text("Type the value again", "값을 다시 입력하세요")),
        }),
)


def problems(secrets: Any, settings: Any, required: Iterable[str]) -> List[Finding]:
    """Everything that is wrong with the keys of `.env`, all at once."""
    found: List[Finding] = []
    given = {SECRETS: secrets or {}, SETTINGS: settings or {}}
    for where, values in given.items():
        if not isinstance(values, Mapping):
            found.append(RULES["input-shape"].finding("not-a-mapping", where))
            given[where] = {}
    needed = list(required)
    for key in needed:
        if not any(key in values for values in given.values()):
            found.append(RULES["input-value"].finding("missing", key))
    for where, values in given.items():
        for key, value in values.items():
            found.extend(_key_problems(where, key))
            found.extend(_value_problems(where, key, value, key in needed))
    found.extend(RULES["input-key"].finding("twice", str(key)) for key in given[SECRETS] if key in given[SETTINGS])
    return found


def is_placeholder(key: str, value: str) -> bool:
    """Whether a value stands for "a value goes here", or is a word that cannot be this key's secret."""
    if placeholder.is_request(value) or placeholder.is_name_of(value, key):
        return True
    text = value.strip().strip("\"'`").strip().lower()
    return bool(_SENSITIVE.search(key) and (placeholder.is_placeholder(value, key) or _NO_SECRET.fullmatch(text)))


def _key_problems(where: str, key: Any) -> Iterable[Finding]:
    rule = RULES["input-key"]
    if not isinstance(key, str) or not _KEY.match(key):
        # A name that is none may be a value that slipped into the wrong column.
        return [rule.finding("name", key if isinstance(key, str) and re.match(r"[\w.-]{1,40}\Z", key) else "?",
                             where=where)]
    if _COMPOSE_OWN.match(key):
        return [rule.finding("reserved", key, where=where)]
    return []


def _value_problems(where: str, key: Any, value: Any, needed: bool) -> Iterable[Finding]:
    rule, name = RULES["input-value"], str(key)
    if value is None or (isinstance(value, str) and not value.strip()):
        # An optional key may be empty on purpose; nothing at all (`KEY:`) is not a text.
        if needed:
            return [rule.finding("empty", name, where=where)]
        return [] if isinstance(value, str) else [rule.finding("not-text", name, where=where, kind=_kind(value))]
    if not isinstance(value, str):
        return [rule.finding("not-text", name, where=where, kind=_kind(value))]
    if re.search("[\n\r\0]", value):
        return [rule.finding("lines", name, where=where)]
    try:
        value.encode()
    except UnicodeEncodeError:
        return [rule.finding("encoding", name, where=where)]
    if is_placeholder(name, value):
        return [rule.finding("placeholder", name, where=where)]
    return []


def _kind(value: Any) -> Text:
    if value is None:
        return Text("nothing", "빈 값")
    if isinstance(value, bool):
        return Text("true/false", "true/false")
    if isinstance(value, (int, float)):
        return Text("a number", "숫자")
    return Text("a list", "목록(list)") if isinstance(value, list) else Text("a mapping", "mapping")
