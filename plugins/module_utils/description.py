# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""The description of the stack: what a service may say of itself, and what an installation may change of it."""

from __future__ import annotations

import re
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional

from .findings import FAIL, Case, Finding, Rule, Text, table

ENGINES = ("application", "grafana", "n8n", "node-exporter", "postgresql", "prometheus", "redis")
SERVICES, OVERRIDES = "stack_services", "stack_service_overrides"

_MEMORY = re.compile(r"(\d+)([kmg]?)b?\Z", re.IGNORECASE)
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_SERVICE = re.compile(r"[a-z0-9][a-z0-9_-]*\Z")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}\Z")
_TAG = re.compile(r":([A-Za-z0-9_][A-Za-z0-9_.-]{0,127})\Z")


class Key(NamedTuple):
    """One key of a service: the kind of its value (of KINDS), and whether an installation may override it."""

    kind: str
    overridable: bool = False


KEYS: Mapping[str, Key] = {
    "engine": Key("engine"),
    "container": Key("text"),
    "image": Key("image", overridable=True),
    "dockerfile": Key("text"),
    "memory": Key("memory", overridable=True),
    "volume": Key("text"),
    "mount": Key("path"),
    "port": Key("port"),
    "tunnel_port": Key("port"),
    "keys": Key("names"),
    "environment": Key("variables", overridable=True),
    "read_only": Key("flag", overridable=True),
}
REQUIRED_KEYS = ("engine", "container", "memory")
UNIQUE_KEYS = ("container", "port", "tunnel_port", "volume")

RULES = table(
    Rule(
        "description-service", Text("service", "서비스"),
        Text("services that the description knows, each complete", "스택 설명에 있는 서비스이며 빠진 항목이 없음"),
        {
            "unknown": Case(FAIL, Text("unknown service '{name}'; known: {known}",
                                       "알 수 없는 서비스 '{name}'; 가능한 이름: {known}")),
            "name": Case(FAIL, Text("'{name}' is no name for a service; use lower-case letters, digits, - and _",
                                    "'{name}'은(는) 서비스 이름으로 쓸 수 없습니다. 소문자, 숫자, -, _만 쓰세요")),
            "not-a-mapping": Case(FAIL, Text("'{name}' must hold keys and values, e.g. {{memory: 3g}}",
                                             "'{name}'에는 키와 값이 있어야 합니다. 예: {{memory: 3g}}")),
            "incomplete": Case(FAIL, Text("{name}: missing: {missing}", "{name}: 빠진 항목: {missing}")),
            "source": Case(FAIL, Text("{name}: give either image or dockerfile, not both and not neither",
                                      "{name}: image와 dockerfile 중 하나만 지정하세요")),
        }),
    Rule(
        "description-key", Text("key", "키"),
        Text("keys that the description knows, with values of their kind", "스택 설명에 있는 키이며 값의 형식이 맞음"),
        {
            "unknown": Case(FAIL, Text("{name}: unknown key '{key}'; known: {known}",
                                       "{name}: 알 수 없는 키 '{key}'; 가능한 키: {known}")),
            "fixed": Case(FAIL, Text("{name}: '{key}' cannot be overridden; these can: {known}",
                                     "{name}: '{key}'은(는) 바꿀 수 없습니다. 바꿀 수 있는 키: {known}")),
            "built": Case(FAIL, Text("{name}: its image is built on the host from {dockerfile}: nothing to override",
                                     "{name}: 이미지를 호스트에서 {dockerfile}(으)로 빌드하므로 바꿀 수 없습니다")),
            "kind": Case(FAIL, Text("{name}: {key} must be {kind}; it is {value}",
                                    "{name}: {key} 값이 잘못되었습니다. 필요한 값: {kind}. 지금 값: {value}")),
            "taken": Case(FAIL, Text("{name}: {key} {value} is taken by {other} already",
                                     "{name}: {key} {value}은(는) {other}에서 이미 사용 중입니다")),
        }),
)


def merge_services(services: Any, overrides: Any) -> Dict[str, Dict[str, Any]]:
    """The services with what this installation changes of them. ValueError lists every mistake, in English."""
    found = problems(services, overrides)
    if found:
        raise ValueError("; ".join(line(finding, "en") for finding in found))
    return _merge(services, overrides)


def problems(services: Any, overrides: Any) -> List[Finding]:
    """What is wrong with the services or with the overrides. Nothing, when they can be used."""
    found = _services_problems(services)
    return found or _overrides_problems(services, overrides)


def line(finding: Finding, lang: str) -> str:
    """One line that names the variable to mend."""
    return f"{finding.subject}: {finding.seen.get(lang)}"


def memory_bytes(size: str) -> int:
    """How many bytes a size such as 512m or 3g is. ValueError when it is none."""
    match = _MEMORY.match(size)
    if not match or int(match.group(1)) == 0:
        raise ValueError(f"not a size such as 512m or 3g: {size}")
    return int(match.group(1)) * _UNITS[match.group(2).lower()]


def is_pinned(image: str) -> bool:
    """Whether an image reference always means the same version: a digest, or a tag that is not a moving one."""
    if _DIGEST.search(image):
        return True
    tag = _TAG.search(image)
    return tag is not None and tag.group(1) != "latest" and not re.search(r"[\s@{}]", image) and tag.start() > 0


def _merge(services: Mapping[str, Mapping[str, Any]], overrides: Mapping[str, Mapping[str, Any]]) -> Dict[str, Any]:
    merged: Dict[str, Any] = {}
    for name, service in services.items():
        merged[name] = dict(service)
        for key, value in overrides.get(name, {}).items():
            merged[name][key] = {**service.get(key, {}), **value} if isinstance(value, Mapping) else value
    return merged


def _services_problems(services: Any) -> List[Finding]:
    rule, key_rule = RULES["description-service"], RULES["description-key"]
    if not isinstance(services, Mapping) or not services:
        return [rule.finding("not-a-mapping", SERVICES, name=SERVICES)]
    found: List[Finding] = []
    owners: Dict[Any, str] = {}
    for name, service in services.items():
        if not isinstance(name, str) or not _SERVICE.match(name):
            found.append(rule.finding("name", SERVICES, name=name))
            continue
        if not isinstance(service, Mapping):
            found.append(rule.finding("not-a-mapping", SERVICES, name=name))
            continue
        missing = [key for key in REQUIRED_KEYS if key not in service]
        if missing:
            found.append(rule.finding("incomplete", SERVICES, name=name, missing=", ".join(missing)))
        if ("image" in service) == ("dockerfile" in service):
            found.append(rule.finding("source", SERVICES, name=name))
        if ("volume" in service) != ("mount" in service):
            found.append(rule.finding("incomplete", SERVICES, name=name,
                                      missing="mount" if "volume" in service else "volume"))
        for key, value in service.items():
            problem = _value_problem(SERVICES, name, key, value)
            if problem:
                found.append(problem)
            elif key in UNIQUE_KEYS:
                other = owners.setdefault((key, value), name)
                if other != name:
                    found.append(key_rule.finding("taken", SERVICES, name=name, key=key, value=value, other=other))
    return found


def _overrides_problems(services: Mapping[str, Mapping[str, Any]], overrides: Any) -> List[Finding]:
    rule, key_rule = RULES["description-service"], RULES["description-key"]
    if not isinstance(overrides, Mapping):
        return [rule.finding("not-a-mapping", OVERRIDES, name=OVERRIDES)]
    found: List[Finding] = []
    allowed = ", ".join(key for key in KEYS if KEYS[key].overridable)
    for name, changes in overrides.items():
        if name not in services:
            found.append(rule.finding("unknown", OVERRIDES, name=name, known=", ".join(sorted(services))))
        elif not isinstance(changes, Mapping):
            found.append(rule.finding("not-a-mapping", OVERRIDES, name=name))
        else:
            for key, value in changes.items():
                if key not in KEYS:
                    found.append(key_rule.finding("unknown", OVERRIDES, name=name, key=key, known=allowed))
                elif not KEYS[key].overridable:
                    found.append(key_rule.finding("fixed", OVERRIDES, name=name, key=key, known=allowed))
                elif key == "image" and "dockerfile" in services[name]:
                    found.append(key_rule.finding("built", OVERRIDES, name=name,
                                                  dockerfile=services[name]["dockerfile"]))
                else:
                    problem = _value_problem(OVERRIDES, name, key, value)
                    found.extend([problem] if problem else [])
    return found


def _value_problem(variable: str, name: str, key: Any, value: Any) -> Optional[Finding]:
    rule = RULES["description-key"]
    if key not in KEYS:
        return rule.finding("unknown", variable, name=name, key=key, known=", ".join(KEYS))
    kind = KINDS[KEYS[key].kind]
    if kind.holds(value):
        return None
    return rule.finding("kind", variable, name=name, key=key, kind=kind.words, value=_show(value))


def _show(value: Any) -> str:
    # A wrong value may be anything, and someone may have put a secret there: a mapping or a list is not shown.
    if isinstance(value, (Mapping, list)):
        return type(value).__name__
    return f"'{value}'" if isinstance(value, str) else str(value)


class Kind(NamedTuple):
    """What the value of a key must be: in words, and as a test of a value."""

    words: Text
    holds: Callable[[Any], bool]


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_port(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 65535


def _is_memory(value: Any) -> bool:
    try:
        return isinstance(value, str) and memory_bytes(value) > 0
    except ValueError:
        return False


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) and _VARIABLE.match(name) for name in value)


def _are_variables(value: Any) -> bool:
    return isinstance(value, Mapping) and _are_names(list(value)) and all(
        isinstance(text, str) and not re.search("[\n\r\0]", text) for text in value.values())


KINDS: Mapping[str, Kind] = {
    "engine": Kind(Text("one of " + ", ".join(ENGINES), ", ".join(ENGINES) + " 중 하나"),
                   lambda value: value in ENGINES),
    "text": Kind(Text("a text", "문자열"), _is_text),
    "image": Kind(Text("an image with a fixed tag or digest, e.g. redis:8.4.0-alpine",
                       "태그나 digest를 고정한 이미지(예: redis:8.4.0-alpine)"),
                  lambda value: isinstance(value, str) and is_pinned(value)),
    "memory": Kind(Text("a size such as 512m or 3g", "512m, 3g 같은 크기"), _is_memory),
    "path": Kind(Text("an absolute path", "절대 경로"), lambda value: _is_text(value) and value.startswith("/")),
    "port": Kind(Text("a port from 1 to 65535", "1~65535 사이의 포트"), _is_port),
    "names": Kind(Text("a list of keys of .env", ".env 키 이름의 목록"), _are_names),
    "variables": Kind(Text("texts by variable name, numbers and true/false in quotes",
                           "변수 이름과 문자열의 쌍(숫자와 true/false는 따옴표로)"), _are_variables),
    "flag": Kind(Text("true or false", "true 또는 false"), lambda value: isinstance(value, bool)),
}
