from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from ansible_collections.coinpilot.ops.plugins.module_utils import description
from hypothesis import given
from hypothesis import strategies as st

ROLE = Path(__file__).resolve().parents[2] / "roles" / "stack"
DEFAULTS = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text(encoding="utf-8"))
DB = {"engine": "postgresql", "container": "db", "image": "postgres:17", "memory": "1g"}
BOT = {"engine": "application", "container": "bot", "dockerfile": "bot.Dockerfile", "memory": "512m", "port": 8000}


def says(services: Any, overrides: Any) -> str:
    return "; ".join(description.line(finding, "en") for finding in description.problems(services, overrides))


def test_the_roles_own_description_is_sound() -> None:
    services = {**DEFAULTS["stack_services"], **DEFAULTS["stack_metrics_services"]}
    assert says(services, {}) == ""
    assert description.merge_services(services, DEFAULTS["stack_service_overrides"]) == services


def test_overrides_are_merged_into_a_copy() -> None:
    services = {"db": {**DB, "environment": {"A": "1", "B": "2"}}, "bot": BOT}
    merged = description.merge_services(
        services, {"db": {"memory": "2g", "image": "postgres:17.2", "environment": {"B": "3", "C": "4"}}})
    assert merged["db"] == {**DB, "memory": "2g", "image": "postgres:17.2",
                            "environment": {"A": "1", "B": "3", "C": "4"}}
    assert merged["bot"] == BOT
    assert services["db"]["memory"] == "1g" and services["db"]["environment"] == {"A": "1", "B": "2"}


class Wrong(NamedTuple):
    services: Any
    overrides: Any
    says: str


@pytest.mark.parametrize("case", [
    Wrong({"db": DB, "bot": BOT}, {"bto": {"memory": "1g"}},
          "stack_service_overrides: unknown service 'bto'; known: bot, db"),
    Wrong({"db": DB}, {"db": {"memoy": "1g"}},
          "stack_service_overrides: db: unknown key 'memoy'; known: image, memory, environment, read_only"),
    Wrong({"db": DB}, {"db": {"container": "x"}},
          "stack_service_overrides: db: 'container' cannot be overridden; "
          "these can: image, memory, environment, read_only"),
    Wrong({"db": DB}, {"db": {"memory": 3}},
          "stack_service_overrides: db: memory must be a size such as 512m or 3g; it is 3"),
    Wrong({"db": DB}, {"db": {"memory": "3 gigs"}},
          "stack_service_overrides: db: memory must be a size such as 512m or 3g; it is '3 gigs'"),
    Wrong({"db": DB}, {"db": {"image": "postgres"}},
          "stack_service_overrides: db: image must be an image with a fixed tag or digest, e.g. redis:8.4.0-alpine; "
          "it is 'postgres'"),
    Wrong({"db": DB}, {"db": {"read_only": "yes"}},
          "stack_service_overrides: db: read_only must be true or false; it is 'yes'"),
    Wrong({"db": DB}, {"db": {"environment": {"DEBUG": True}}},
          "stack_service_overrides: db: environment must be texts by variable name, numbers and true/false in quotes; "
          "it is dict"),
    Wrong({"bot": BOT}, {"bot": {"image": "bot:1"}},
          "stack_service_overrides: bot: its image is built on the host from bot.Dockerfile: nothing to override"),
    Wrong({"db": DB}, {"db": "1g"}, "stack_service_overrides: 'db' must hold keys and values, e.g. {memory: 3g}"),
    Wrong({"db": DB}, ["db"],
          "stack_service_overrides: 'stack_service_overrides' must hold keys and values, e.g. {memory: 3g}"),
    Wrong({}, {}, "stack_services: 'stack_services' must hold keys and values, e.g. {memory: 3g}"),
    Wrong({"db": {"engine": "postgresql", "image": "postgres:17"}}, {},
          "stack_services: db: missing: container, memory"),
    Wrong({"db": {**DB, "dockerfile": "x"}}, {},
          "stack_services: db: give either image or dockerfile, not both and not neither"),
    Wrong({"db": {**DB, "engine": "oracle"}}, {},
          "stack_services: db: engine must be one of application, grafana, n8n, node-exporter, postgresql, prometheus, "
          "redis; it is 'oracle'"),
    Wrong({"db": {**DB, "volume": "data"}}, {}, "stack_services: db: missing: mount"),
    Wrong({"db": DB, "db2": DB}, {}, "stack_services: db2: container db is taken by db already"),
    Wrong({"bot": BOT, "api": {**BOT, "container": "api"}}, {},
          "stack_services: api: port 8000 is taken by bot already"),
    Wrong({"bot": {**BOT, "port": True}}, {}, "stack_services: bot: port must be a port from 1 to 65535; it is True"),
    Wrong({"bot": {**BOT, "keys": "DB_PASSWORD"}}, {},
          "stack_services: bot: keys must be a list of keys of .env; it is 'DB_PASSWORD'"),
    Wrong({"Bot!": BOT}, {},
          "stack_services: 'Bot!' is no name for a service; use lower-case letters, digits, - and _"),
], ids=lambda case: case.says[:60])
def test_a_mistake_is_named(case: Wrong) -> None:
    assert says(case.services, case.overrides) == case.says
    with pytest.raises(ValueError) as problem:
        description.merge_services(case.services, case.overrides)
    assert str(problem.value) == case.says


def test_every_mistake_is_listed_at_once() -> None:
    assert len(description.problems({"db": DB}, {"db": {"memory": "?", "image": "x"}, "nope": {}})) == 3


@pytest.mark.parametrize(("image", "pinned"), [
    ("redis:8.4.0-alpine", True),
    ("registry.example:5000/team/app:v1", True),
    ("redis@sha256:" + "a" * 64, True),
    ("redis:8@sha256:" + "a" * 64, True),
    ("redis", False),
    ("redis:", False),
    (":8", False),
    ("redis:latest", False),
    ("registry.example:5000/team/app", False),
    ("redis@sha256:abc", False),
    ("redis:8 ", False),
])
def test_pinned(image: str, pinned: bool) -> None:
    assert description.is_pinned(image) is pinned


@pytest.mark.parametrize(("size", "expected"), [
    ("512m", 512 << 20), ("3g", 3 << 30), ("3G", 3 << 30), ("1gb", 1 << 30), ("64k", 64 << 10), ("1048576", 1 << 20)])
def test_memory(size: str, expected: int) -> None:
    assert description.memory_bytes(size) == expected


@pytest.mark.parametrize("size", ["", "0", "0m", "1.5g", "-1g", "g", "1t", "1 g"])
def test_no_memory(size: str) -> None:
    with pytest.raises(ValueError):
        description.memory_bytes(size)


NAMES = st.sampled_from(["db", "bot", *description.KEYS]) | st.text()
JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(),
                    lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner))


@given(JSON, JSON)
def test_any_input_is_judged_not_crashed_on(services: Any, overrides: Any) -> None:
    description.problems(services, overrides)
    description.problems({"db": DB, "bot": BOT}, overrides)
    description.problems({"db": services}, {})
