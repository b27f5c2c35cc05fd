"""Which service is given which key of `.env`."""

from typing import Any

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils import compose

SERVICES: dict[str, Any] = {
    "db": {"image": "db:1", "environment": {"POSTGRES_PASSWORD": "${DB_PASSWORD}"}},
    "bot": {"dockerfile": "bot.Dockerfile", "keys": ["API_KEY"],
            "environment": {"URL": "postgres://u:${DB_PASSWORD_URLENCODED}@db/x", "N8N_URL": "${N8N_URL:-http://n8n}"}},
    "dashboard": {"dockerfile": "dashboard.Dockerfile"},
}


def given_to(keys: list[str]) -> dict[str, dict[str, str]]:
    return compose.service_environment(SERVICES, ["DB_PASSWORD", "API_KEY"], keys)


def test_a_service_gets_its_own_keys_and_no_others() -> None:
    given = given_to(["DB_PASSWORD", "API_KEY"])
    assert given["db"] == {"POSTGRES_PASSWORD": "${DB_PASSWORD}"}
    assert given["bot"]["API_KEY"] == "${API_KEY}"
    assert given["dashboard"] == {}


def test_a_key_that_env_lacks_is_not_handed_on_as_empty() -> None:
    assert "API_KEY" not in given_to(["DB_PASSWORD"])["bot"]


def test_a_key_the_user_added_reaches_what_is_built_here_only() -> None:
    given = given_to(["DB_PASSWORD", "MY_OWN"])
    assert [name for name in given if "MY_OWN" in given[name]] == ["bot", "dashboard"]


@pytest.mark.parametrize("key", ["N8N_URL", "URL", "POSTGRES_PASSWORD", "TZ"])
def test_a_key_that_the_description_sets_is_not_passed_through(key: str) -> None:
    assert key not in given_to([key])["dashboard"]


def test_a_password_is_encoded_for_the_url_it_is_spliced_into() -> None:
    values = compose.complete_environment(SERVICES, {"DB_PASSWORD": "a/b@c:d%e 한"})
    assert values["DB_PASSWORD_URLENCODED"] == "a%2Fb%40c%3Ad%25e%20%ED%95%9C"
    assert values["DB_PASSWORD"] == "a/b@c:d%e 한"


def test_the_release_is_named_after_the_stack() -> None:
    assert compose.release_key({"name": "coin-pilot"}) == "COIN_PILOT_RELEASE"




@pytest.mark.parametrize(("said", "label"), [
    ("2.40.3\n", "2.40.3"), ("v2.17.2\n", "2.17.2"), ("2.26.1-4\n", "2.26.1"), ("2.40.3+ds1-0ubuntu1\n", "2.40.3"),
    ("dev\n", "dev"),
])
def test_a_version_is_what_containers_are_labelled_with(monkeypatch: pytest.MonkeyPatch, said: str, label: str) -> None:
    monkeypatch.setattr(compose.Compose, "_quiet", lambda *_arguments: said)
    assert compose.Compose("p", "/", "c.yml", ".env").version() == label
