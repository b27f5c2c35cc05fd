from __future__ import annotations

import base64
import secrets
from typing import Any, NamedTuple

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils import inputs
from hypothesis import given
from hypothesis import strategies as st

PLACEHOLDERS = [
    "change_me", "changeme", "CHANGE-ME", "ChangeMe", "change me", "change_this", "hange_me_strong_password",
    "CHANGE_ME_TO_A_STRONG_PASSWORD", "please_change_me", "your_api_key_here", "your-upbit-access-key", "YOUR_SECRET",
    "[your key]", "put_your_key_here", "insert_key_here", "replace_me", "replace-with-real-value",
    "enter_your_password", "<your key>", "<...>", "<DB_PASSWORD>", "xxx", "XXXX", "xxxx-xxxx-xxxx", "sk-xxxxxxxx",
    "sk-ant-...", "TODO", "to-do", "TBD", "FIXME", "placeholder", "your.value", "...", "…", "---", "****", "???",
    "${DB_PASSWORD}",
    "${DB_PASSWORD:-}", "$DB_PASSWORD", "%DB_PASSWORD%", "{{ vault_db_password }}", "DB_PASSWORD", "db-password",
    "redacted", "'change_me'", " change_me ", "여기에_입력", "비밀번호를 입력하세요", "변경필요",
    "https://discord.com/api/webhooks/<id>/<webhook token>",
]
NO_SECRETS = ["password", "PassWord", "secret", "test", "test123", "example", "dummy", "sample", "demo",
              "admin", "postgres", "1234", "12345678", "aaaaaaaa", "0", "none", "null", "N/A", "my_secret", "비밀번호"]
REAL = [
    "p$a'ss\"w#o rd\\한글", "$ecret", "${HOME} is home", "a{{b", "x9-xxx-Zq3kfj", "correct horse battery staple",
    "QmFzZTY0+/==", "tEsT-7f3a9c", "sk-ant-api03-Zx81mPq0xxxLr", "https://discord.com/api/webhooks/123/AbC-d_e",
    "hunter22", "비밀은-없다-7", "<b>7", "a<b>c",
]


@pytest.mark.parametrize("value", PLACEHOLDERS)
def test_a_placeholder_is_seen_in_any_key(value: str) -> None:
    assert inputs.is_placeholder("DB_PASSWORD", value)


@pytest.mark.parametrize("value", NO_SECRETS)
def test_a_word_is_no_secret_but_may_be_a_setting(value: str) -> None:
    assert inputs.is_placeholder("DB_PASSWORD", value)
    assert not inputs.is_placeholder("LLM_MODE", value)


@pytest.mark.parametrize("value", REAL)
def test_a_real_value_passes(value: str) -> None:
    assert not inputs.is_placeholder("DB_PASSWORD", value)


@pytest.mark.parametrize(("key", "value"), [
    ("GRAFANA_ADMIN_USER", "admin"), ("LLM_MODE", "test"), ("PAPER_BALANCE", "0"), ("TZ", "Asia/Seoul"),
    ("SYMBOLS", "[\"KRW-BTC\"]"), ("N8N_URL", "http://n8n:5678")])
def test_an_ordinary_setting_passes(key: str, value: str) -> None:
    assert not inputs.is_placeholder(key, value)


def test_random_secrets_pass() -> None:
    for _ in range(2000):
        for value in (secrets.token_urlsafe(24), secrets.token_hex(16),
                      base64.b64encode(secrets.token_bytes(24)).decode()):
            assert not inputs.is_placeholder("DB_PASSWORD", value), value


class Given(NamedTuple):
    secrets: Any
    settings: Any
    required: list
    says: list


@pytest.mark.parametrize("case", [
    Given({"A_KEY": "real"}, {"MODE": "paper", "OPTIONAL": ""}, ["A_KEY"], []),
    Given({}, {"A_USER": "me"}, ["A_USER"], []),
    Given({}, {}, ["A_KEY", "B_KEY"], [
        "key A_KEY: is missing. Add it to the vault",
        "key B_KEY: is missing. Add it to the vault"]),
    Given(None, None, [], []),
    Given({"A_KEY": " "}, {}, ["A_KEY"], ["key A_KEY: is empty (stack_secrets). Give it its real value"]),
    Given({"A_KEY": None}, {"B": None}, ["A_KEY"], [
        "key A_KEY: is empty (stack_secrets). Give it its real value",
        "key B: is nothing, not a text (stack_settings). Put the value in quotes"]),
    Given({"A_KEY": "CHANGE-ME"}, {"MODE": "TODO"}, ["A_KEY"], [
        "key A_KEY: is still a placeholder (stack_secrets). Give it its real value",
        "key MODE: is still a placeholder (stack_settings). Give it its real value"]),
    Given({"A_KEY": 12345}, {"B": True, "C": ["x"], "D": {}}, [], [
        "key A_KEY: is a number, not a text (stack_secrets). Put the value in quotes",
        "key B: is true/false, not a text (stack_settings). Put the value in quotes",
        "key C: is a list, not a text (stack_settings). Put the value in quotes",
        "key D: is a mapping, not a text (stack_settings). Put the value in quotes"]),
    Given({"A_KEY": "two\nlines", "B_KEY": "nul\0"}, {}, [], [
        "key A_KEY: has a line break or a NUL character (stack_secrets). "
        "Give it in one line; `|` and `>` in YAML add a line break",
        "key B_KEY: has a line break or a NUL character (stack_secrets). "
        "Give it in one line; `|` and `>` in YAML add a line break"]),
    Given({"A_KEY": "\ud800"}, {}, [], [
        "key A_KEY: has characters that UTF-8 cannot hold (stack_secrets). Type the value again"]),
    Given({"A-KEY": "real", "1KEY": "real", "s3cret value": "real"}, {}, [], [
        "key A-KEY: is no name for a variable (stack_secrets). Use letters, digits and _, and no digit first",
        "key 1KEY: is no name for a variable (stack_secrets). Use letters, digits and _, and no digit first",
        "key ?: is no name for a variable (stack_secrets). Use letters, digits and _, and no digit first"]),
    Given({"COMPOSE_PROJECT_NAME": "coinpilot"}, {"DB_PASSWORD_URLENCODED": "quoted"}, [], [
        "key COMPOSE_PROJECT_NAME: belongs to Docker or to this collection (stack_secrets). "
        "Remove it: in .env it would change what Compose does",
        "key DB_PASSWORD_URLENCODED: belongs to Docker or to this collection (stack_settings). "
        "Remove it: in .env it would change what Compose does"]),
    Given({"A_KEY": "real"}, {"A_KEY": "other"}, [], [
        "key A_KEY: stands in both stack_secrets and stack_settings. Keep one of the two"]),
    Given("A_KEY=real", {}, [], [
        "variable stack_secrets: holds no keys and values. Write it as lines of KEY: \"value\""]),
], ids=lambda case: (case.says or ["nothing"])[0][:50])
def test_everything_wrong_is_said(case: Given) -> None:
    assert [finding.line("en") for finding in inputs.problems(case.secrets, case.settings, case.required)] == case.says


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(min_size=4) | st.lists(st.text())


@given(st.dictionaries(st.text() | st.integers(), VALUES), st.dictionaries(st.text(), VALUES))
def test_no_value_is_ever_shown(first: dict, second: dict) -> None:
    marker = "Zq7-vErY-sEcReT"
    marked = {key: marker + value if isinstance(value, str) else value for key, value in first.items()}
    for finding in inputs.problems(marked, second, ["DB_PASSWORD"]):
        assert marker not in finding.line("en") + finding.line("ko")
