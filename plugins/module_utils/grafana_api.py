# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Grafana's HTTP API on this host, as its administrator, and what is to be said when it cannot be asked."""

from __future__ import annotations

import base64
import os
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence
from urllib.parse import urlencode, urlsplit

from . import dotenv, files, http_json
from .findings import PASS, UNKNOWN, Case, Finding, Rule, Text, table

USER, PASSWORD, WEBHOOK = "GRAFANA_ADMIN_USER", "GRAFANA_ADMIN_PASSWORD", "DISCORD_WEBHOOK_URL"
DEFAULT_USER = "admin"
HEALTH = "/api/health"

RULES = table(
    Rule(
        "grafana-api", Text("Grafana's answers", "Grafana 응답"),
        Text("Grafana lets its administrator read", "Grafana가 관리자 계정의 조회에 응답함"),
        {
            "answers": Case(PASS, Text("version {version}", "버전 {version}")),
            "none": Case(UNKNOWN, Text("the description has no service with the engine grafana and a port",
                                       "스택 설명에 grafana 엔진의 서비스나 포트가 없음"),
                         Text("look at stack_services", "stack_services를 확인하세요")),
            "env": Case(UNKNOWN, Text("{env_file} cannot be read", "{env_file}을(를) 읽을 수 없음"),
                        Text("deploy: ansible-playbook site.yml", "배포하세요: ansible-playbook site.yml")),
            "password": Case(UNKNOWN, Text("{env_file} has no GRAFANA_ADMIN_PASSWORD",
                                           "{env_file}에 GRAFANA_ADMIN_PASSWORD가 없음"),
                             Text("set it in the vault and deploy: ansible-playbook site.yml",
                                  "Vault에 값을 넣고 배포하세요: ansible-playbook site.yml")),
            "down": Case(UNKNOWN, Text("Grafana does not answer on 127.0.0.1:{port}",
                                       "Grafana가 127.0.0.1:{port}에서 응답하지 않음"),
                         Text("docker logs --tail 50 {container}; then: sudo systemctl reload-or-restart {unit}",
                              "docker logs --tail 50 {container}; 그다음: sudo systemctl reload-or-restart {unit}")),
            "timeout": Case(UNKNOWN, Text("no answer from Grafana within {seconds} seconds",
                                          "{seconds}초 안에 Grafana의 응답이 없음"),
                            Text("docker logs --tail 50 {container}", "docker logs --tail 50 {container}")),
            "answer": Case(UNKNOWN, Text("the answer is not what Grafana's API gives",
                                         "Grafana API의 응답 형식이 아님"),
                           Text("is it Grafana that listens on 127.0.0.1:{port}? docker ps",
                                "127.0.0.1:{port}에서 응답하는 것이 Grafana인가요? docker ps")),
            "login": Case(UNKNOWN, Text("Grafana refuses GRAFANA_ADMIN_USER with the password of .env (401)",
                                        "Grafana가 .env의 GRAFANA_ADMIN_USER와 비밀번호를 거부함(401)"),
                          Text("Grafana keeps the password it was first started with; give it the one of .env: "
                               "docker exec -it {container} grafana cli admin reset-admin-password "
                               "--password-from-stdin",
                               "Grafana는 처음 시작할 때의 비밀번호를 계속 씁니다. .env의 값으로 바꾸세요: "
                               "docker exec -it {container} grafana cli admin reset-admin-password "
                               "--password-from-stdin")),
            "forbidden": Case(UNKNOWN, Text("Grafana forbids it (403)", "Grafana가 권한이 없다고 함(403)"),
                              Text("GRAFANA_ADMIN_USER must be an administrator: Administration > Users in Grafana",
                                   "GRAFANA_ADMIN_USER가 관리자여야 합니다: Grafana의 Administration > Users")),
            "gone": Case(UNKNOWN, Text("this version of Grafana does not know the call ({status})",
                                       "이 버전의 Grafana에는 없는 API임({status})"),
                         Text("use a version from 10 to 13", "10~13 버전을 사용하세요")),
            "refused": Case(UNKNOWN, Text("Grafana refuses the call ({status}): {message}",
                                          "Grafana가 요청을 거부함({status}): {message}"),
                            Text("docker logs --tail 50 {container}", "docker logs --tail 50 {container}")),
            "server": Case(UNKNOWN, Text("Grafana fails ({status}): {message}",
                                         "Grafana 내부 오류({status}): {message}"),
                           Text("docker logs --tail 50 {container}", "docker logs --tail 50 {container}")),
        }),
)
# The same for all that is asked: saying it once is enough.
WHOLE = ("none", "env", "password", "down", "timeout", "login")
_STATUS = {401: "login", 403: "forbidden", 404: "gone", 405: "gone", 410: "gone", 501: "gone"}


class Trouble(NamedTuple):
    """Why something could not be asked: a case of RULES["grafana-api"], and what its texts need. Holds no secret."""

    case: str
    status: int = 0
    message: str = ""
    seconds: float = 0


class GrafanaError(Exception):
    def __init__(self, trouble: Trouble):
        super().__init__(trouble.case)
        self.trouble = trouble


class Reading(NamedTuple):
    """What was read, by its path; what could not be, likewise; and why nothing could be, if so."""

    found: Mapping[str, Any]
    troubles: Mapping[str, Trouble]
    whole: Optional[Trouble] = None
    secrets: Sequence[str] = ()


class Service(NamedTuple):
    """What the description says of Grafana, and what `.env` says; ``secrets`` must not be shown."""

    port: Optional[int]
    values: Optional[Mapping[str, str]]

    @property
    def secrets(self) -> List[str]:
        webhook = (self.values or {}).get(WEBHOOK, "")
        found = [webhook, (self.values or {}).get(PASSWORD, "")]
        try:
            # The end of a webhook's address is what makes it a secret.
            found += [part for part in urlsplit(webhook).path.split("/")[-2:] if len(part) > 8]
        except ValueError:
            pass
        return [secret for secret in found if secret]


def env_file(description: Mapping[str, Any]) -> str:
    return os.path.join(description["directory"], ".env")


def service(description: Mapping[str, Any]) -> Service:
    described = _described(description)
    try:
        text = files.read_text(env_file(description))
    except (OSError, ValueError):
        text = None
    return Service(described.get("port"), None if text is None else dotenv.parse(text))


def container(description: Mapping[str, Any]) -> str:
    return str(_described(description).get("container", ""))


def _described(description: Mapping[str, Any]) -> Mapping[str, Any]:
    return next((each for each in description["services"].values() if each.get("engine") == "grafana"), {})


class Grafana:
    """One Grafana. Raises GrafanaError for all that is not an answer to the question."""

    def __init__(self, where: Service, timeout: float = 10.0):
        if where.port is None:
            raise GrafanaError(Trouble("none"))
        if where.values is None:
            raise GrafanaError(Trouble("env"))
        password = where.values.get(PASSWORD)
        if not password:
            raise GrafanaError(Trouble("password"))
        self.base = "http://127.0.0.1:%d" % where.port
        self.secrets = where.secrets
        self.timeout = timeout
        login = "%s:%s" % (where.values.get(USER) or DEFAULT_USER, password)
        self._headers = {"Authorization": "Basic " + base64.b64encode(login.encode()).decode()}

    def get(self, path: str, **query: Any) -> Any:
        answer = self.ask(path + ("?" + urlencode(query) if query else ""))
        if answer.status != 200:
            raise GrafanaError(self.trouble(answer))
        return answer.content

    def ask(self, path: str, body: Any = None, timeout: Optional[float] = None) -> http_json.Answer:
        """Grafana's answer of any status."""
        seconds = timeout or self.timeout
        try:
            return http_json.ask(self.base + path, body, self._headers, seconds)
        except http_json.HttpError as problem:
            raise GrafanaError(Trouble(problem.case, seconds=seconds)) from problem

    def trouble(self, answer: http_json.Answer) -> Trouble:
        """What an answer that is none means."""
        case = _STATUS.get(answer.status) or ("server" if answer.status >= 500 else
                                              "refused" if answer.status >= 400 else "answer")
        message = answer.content.get("message", "") if isinstance(answer.content, dict) else ""
        return Trouble(case, answer.status, http_json.masked(message, self.secrets))


def entries(content: Any) -> List[Dict[str, Any]]:
    """A list of objects, as most of the API's answers are. GrafanaError when it is something else."""
    if not isinstance(content, list) or not all(isinstance(entry, dict) for entry in content):
        raise GrafanaError(Trouble("answer"))
    return content


def version(reading: Reading) -> str:
    return http_json.masked(reading.found.get(HEALTH, {}).get("version", "?"))


def findings_of(reading: Reading, description: Mapping[str, Any]) -> List[Finding]:
    """That Grafana answers, or what it does not: first in every verdict."""
    if reading.whole is not None:
        return [_finding(reading.whole, description, "")]
    if reading.troubles:
        return [_finding(trouble, description, name) for name, trouble in reading.troubles.items()]
    return [RULES["grafana-api"].finding("answers", version=version(reading))]


def _finding(trouble: Trouble, description: Mapping[str, Any], subject: str) -> Finding:
    described = _described(description)
    return RULES["grafana-api"].finding(
        trouble.case, subject, status=trouble.status, message=trouble.message,
        seconds="%g" % trouble.seconds, port=described.get("port"), container=described.get("container"),
        unit=description["unit"], env_file=env_file(description))


def read(description: Mapping[str, Any], readings: Mapping[str, Callable[[Grafana], Any]]) -> Reading:
    """Each reading by its path, and why others could not be made; what holds for all of them ends it. Never raises."""
    found: Dict[str, Any] = {}
    troubles: Dict[str, Trouble] = {}
    where = service(description)
    try:
        grafana = Grafana(where)
    except GrafanaError as problem:
        return Reading({}, {}, problem.trouble, where.secrets)
    for name, reading in {HEALTH: _health, **readings}.items():
        try:
            found[name] = reading(grafana)
        except GrafanaError as problem:
            if problem.trouble.case in WHOLE:
                return Reading({}, {}, problem.trouble, where.secrets)
            troubles[name] = problem.trouble
    return Reading(found, troubles, None, where.secrets)


def _health(grafana: Grafana) -> Mapping[str, Any]:
    content = grafana.get(HEALTH)
    return content if isinstance(content, dict) else {}
