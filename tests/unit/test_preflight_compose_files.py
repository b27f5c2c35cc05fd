"""Compose files as a whole: what is merged into what, what does not render, and where a finding comes from."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any, List, Tuple

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils import findings, preflight_compose
from ansible_collections.coinpilot.ops.plugins.module_utils.findings import FAIL, UNKNOWN, WARN, Finding

HARDENED = "    cap_drop: [ALL]\n    security_opt: ['no-new-privileges:true']\n"
APP = "services:\n  app:\n    image: example.com/app:1.2.3\n" + HARDENED


@pytest.fixture(autouse=True)
def home(compose_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(compose_home))


def write(directory: Path, **files: str) -> None:
    for name, text in files.items():
        path = directory / name.replace("__", ".")
        path.write_text(text)


def judged(directory: Path, *names: str, env: str = ".env") -> List[Finding]:
    world = preflight_compose.gather([str(directory / name) for name in names], str(directory / env))
    found = preflight_compose.judge(world, {"public_ports": []})
    return [finding for finding in found if finding.status != findings.PASS]


def short(found: List[Finding]) -> List[Tuple[str, str, str, int]]:
    return sorted((each.id, each.place.service, os.path.basename(each.place.file), each.place.line or 0)
                  for each in found)


def test_an_anchor_is_followed_to_its_line(tmp_path: Path) -> None:
    write(tmp_path, c__yml="x-base: &base\n  cap_drop: [ALL]\n  security_opt: ['no-new-privileges:true']\n"
                           "  privileged: true\nservices:\n  app:\n    <<: *base\n    image: example.com/app:1.2.3\n")
    assert short(judged(tmp_path, "c.yml")) == [("compose-privileged", "app", "c.yml", 4)]


def test_what_a_service_extends_and_what_is_included_count(tmp_path: Path) -> None:
    write(tmp_path,
          c__yml="include: [inc.yml]\nservices:\n  app:\n    extends: {file: base.yml, service: base}\n" + HARDENED,
          base__yml="services:\n  base:\n    image: example.com/app:1.2.3\n    pid: host\n",
          inc__yml="services:\n  other:\n    image: example.com/other\n" + HARDENED)
    assert short(judged(tmp_path, "c.yml")) == [("compose-image-unpinned", "other", "inc.yml", 3),
                                                ("compose-pid-host", "app", "base.yml", 4)]


def test_an_override_that_takes_effect_counts_and_one_that_does_not_is_nothing(tmp_path: Path) -> None:
    write(tmp_path, a__yml=APP + "    privileged: true\n    ports: ['127.0.0.1:80:80']\n",
          b__yml="services:\n  app:\n    privileged: false\n    ports: ['8080:80']\n")
    assert short(judged(tmp_path, "a.yml", "b.yml")) == [("compose-port-public", "app", "b.yml", 4)]


def test_what_an_override_resets_is_gone(tmp_path: Path) -> None:
    write(tmp_path, a__yml=APP + "    ports: ['8080:80']\n", b__yml="services:\n  app:\n    ports: !reset []\n")
    assert judged(tmp_path, "a.yml", "b.yml") == []


@pytest.mark.parametrize("name", ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"])
def test_the_override_beside_a_file_of_a_default_name_counts(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(APP)
    write(tmp_path, **{"docker-compose__override__yml": "services:\n  app:\n    privileged: true\n"})
    assert [each.id for each in judged(tmp_path, name)] == ["compose-privileged"]


def test_beside_another_name_or_among_several_no_override_counts(tmp_path: Path) -> None:
    write(tmp_path, prod__yml=APP, compose__yml=APP, compose__override__yml="services:\n  app:\n    privileged: true\n")
    assert judged(tmp_path, "prod.yml") == judged(tmp_path, "compose.yml", "prod.yml") == []


def test_services_of_every_profile_are_judged(tmp_path: Path) -> None:
    write(tmp_path, c__yml=APP + "    profiles: [debug]\n    privileged: true\n")
    assert [each.id for each in judged(tmp_path, "c.yml")] == ["compose-privileged"]


def test_the_callers_variables_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOST_IP", "127.0.0.1")
    monkeypatch.setenv("COMPOSE_FILE", "/nowhere.yml")
    monkeypatch.setenv("COMPOSE_PROFILES", "none")
    write(tmp_path, c__yml=APP + "    ports: ['${HOST_IP}:80:80']\n")
    assert [(each.id, each.status) for each in judged(tmp_path, "c.yml")] == [
        ("compose-render", WARN), ("compose-port-public", FAIL)]


def test_what_an_env_file_of_a_service_brings_is_judged_and_is_no_literal(tmp_path: Path) -> None:
    write(tmp_path, c__yml=APP + "    env_file: [app.env]\n",
          app__env="DOCKER_HOST=tcp://x:2375\nAPI_TOKEN=abc123def\n")
    assert [each.id for each in judged(tmp_path, "c.yml")] == ["compose-docker-socket"]


def test_variables_used_without_a_default_are_reported(tmp_path: Path) -> None:
    write(tmp_path, c__yml=APP + "    environment:\n      A: ${ONE}\n      B: ${TWO:-x}\n      C: ${THREE:?}$FOUR\n"
                                 "      D: ${FIVE:+x}\n      E: $$SIX\n", __env="ONE=1\nTHREE=3\nFOUR=4\n")
    world = preflight_compose.gather([str(tmp_path / "c.yml")], str(tmp_path / ".env"))
    assert dict(world.referenced) == {"ONE": ("services.app.environment.A",), "THREE": ("services.app.environment.C",),
                                      "FOUR": ("services.app.environment.C",)}


@pytest.mark.parametrize(("text", "said"), [
    ("", "empty compose file"),
    ("services: {}", ""),
    ("services:\n  app: [", ""),
    ("services:\n  app:\n    imgae: x\n", "imgae"),
    ("services:\n  app:\n    image: a:1.1\n    networks: [nope]\n", "nope"),
    ("services:\n  app:\n    image: 'a:${V:?set V}'\n", "V"),
    ("services:\n  app:\n    image: a:1.1\n    ports: ['nope:80:80']\n", ""),
    ("include: ['https://example.com/x.git']\n", ""),
    ("\0\1\2", ""),
])
def test_a_file_that_does_not_render_is_a_failure_with_the_reason(tmp_path: Path, text: str, said: str) -> None:
    write(tmp_path, c__yml=text)
    found = [each for each in judged(tmp_path, "c.yml") if each.status == FAIL]
    assert [each.id for each in found] == ["compose-render"]
    assert said in found[0].seen.en
    assert found[0].place.file.endswith("c.yml")


def test_a_missing_file_is_a_failure(tmp_path: Path) -> None:
    assert [(each.id, each.status) for each in judged(tmp_path, "none.yml")] == [("compose-render", FAIL)]


def test_a_missing_env_file_leaves_its_variables_unset(tmp_path: Path) -> None:
    write(tmp_path, c__yml=APP + "    environment: {A: '${A}'}\n")
    assert [(each.id, each.subject) for each in judged(tmp_path, "c.yml")] == [("compose-render", "A")]


@pytest.mark.parametrize(("compose_text", "env_text"), [
    (APP + "    environment: {DB_PASSWORD: '${x$hunter2secret'}\n", ""),
    (APP + "    ports: ['${A}:80:80']\n", "A=hunter2secret\n"),
    (APP + "    mem_limit: ${A}\n", "A=hunter2secret\n"),
    (APP, 'A="hunter2secret\nB=1\n'),
    (APP, "A hunter2secret=1\n"),
    (APP + "    volumes: ['${A}:x:y:z:w']\n", "A=hunter2secret\n"),
    (APP + "    environment: ['A', {DB_PASSWORD: hunter2secret}]\n", ""),
    (APP + "    hunter2secret\n", ""),
])
def test_the_reason_has_no_secret_in_it(tmp_path: Path, compose_text: str, env_text: str) -> None:
    write(tmp_path, c__yml=compose_text, __env=env_text)
    found = judged(tmp_path, "c.yml")
    assert [each.id for each in found] == ["compose-render"]
    assert "hunter2" not in json.dumps([each.as_dict() for each in found]), found[0].seen.en


def test_without_docker_compose_nothing_can_be_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, c__yml=APP)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert [(each.id, each.status) for each in judged(tmp_path, "c.yml")] == [("compose-render", UNKNOWN)]


def test_without_the_compose_plugin_nothing_can_be_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, c__yml=APP)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "docker").write_text("#!/bin/sh\necho \"docker: 'compose' is not a docker command\" >&2\nexit 1\n")
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", "%s:/usr/bin:/bin" % tmp_path)
    assert [(each.id, each.status) for each in judged(tmp_path, "c.yml")] == [("compose-render", UNKNOWN)]


def test_secrets_are_found_where_compose_cannot_leave_the_variables(tmp_path: Path) -> None:
    """An include by a variable: `--no-interpolate` looks for a file of that very name."""
    write(tmp_path, c__yml="include: ['${WHICH:-inc}.yml']\n" + APP + "    environment:\n      - DB_PASSWORD\n"
                           "      - API_TOKEN=${DB_PASSWORD}\n      - X_TOKEN=hunter2\n",
          inc__yml="services:\n  inc:\n    image: example.com/i:1.1\n" + HARDENED +
                   "    environment:\n      S_PASSWORD: ${NOPE:-hunter2}\n    env_file: [e.env]\n"
                   "    command: run --token hunter2\n",
          e__env="OTHER_PASSWORD=zzzzzz\n", __env="DB_PASSWORD=abcdef12\n")
    assert short(judged(tmp_path, "c.yml")) == [
        ("compose-secret-literal", "app", "c.yml", 10), ("compose-secret-literal", "inc", "inc.yml", 7),
        ("compose-secret-literal", "inc", "inc.yml", 9)]


def test_n8n_blocks_the_environment_or_does_not(tmp_path: Path) -> None:
    def blocked(*services: str) -> object:
        return preflight_compose.env_blocked({"services": {
            str(number): {"image": image, "environment": {"N8N_BLOCK_ENV_ACCESS_IN_NODE": value}}
            for number, (image, _at, value) in enumerate(service.partition("@") for service in services)}})

    assert blocked("n8nio/n8n:1.123.17@true") is True
    assert blocked("n8nio/n8n:1.123.17@True") is False
    assert blocked("n8nio/n8n:1.123.17@true", "n8nio/n8n:1.123.17@") is False
    assert blocked("redis:7.2@") is None
    assert preflight_compose.env_blocked(None) is None


@pytest.mark.parametrize("project", [
    {}, {"services": None}, {"services": []}, {"services": {"a": None}}, {"services": {"a": []}},
    {"services": {"a": {"ports": "x", "volumes": {"a": 1}, "environment": 7, "command": {"a": 1}, "networks": ["x"],
                        "build": "x", "cap_add": "ALL", "security_opt": 3, "devices": [None], "deploy": [],
                        "post_start": "x", "secrets": 5, "configs": [None], "image": 3, "user": [], "sysctls": 4}},
     "networks": [], "volumes": "x", "configs": 1},
])
def test_a_project_of_any_shape_is_judged(project: Any) -> None:
    world = preflight_compose.World(resolved=project, raw=project)
    assert preflight_compose.judge(world, {})


def test_two_hundred_services_are_judged_in_well_under_a_second(tmp_path: Path) -> None:
    service = ("  s%d:\n    image: example.com/app:1.2.%d\n" + HARDENED + "    environment:\n"
               + "".join("      KEY_%d: ${VALUE_%d:-x}\n" % (n, n) for n in range(20))
               + "    ports: ['%d:80']\n    volumes: ['./data:/data', 'v:/v']\n    command: run --a=b --c d\n")
    write(tmp_path, c__yml="services:\n" + "".join(service % (n, n,
                                                              10000 + n) for n in range(200)) + "volumes: {v: {}}\n")
    # This process's own time: what Compose takes is its own, and other tests may be running.
    started = time.process_time()
    found = judged(tmp_path, "c.yml")
    spent = time.process_time() - started
    assert len(found) == 400 and all(each.place.line for each in found)
    assert spent < 1.0
