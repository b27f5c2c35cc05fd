"""The parts that the Compose judge is made of: addresses, images, paths, names of secrets, variables, positions."""

from __future__ import annotations

import ipaddress
import json
import string
from pathlib import Path
from typing import Any, Iterator, Tuple

import pytest
import yaml
from ansible_collections.coinpilot.ops.plugins.module_utils import (
    preflight_compose_images,
    preflight_compose_isolation,
    preflight_compose_lines,
    preflight_compose_paths,
    preflight_compose_ports,
    preflight_compose_render,
    preflight_compose_rules,
    preflight_compose_secret_words,
    preflight_compose_variables,
)
from hypothesis import example, given, settings
from hypothesis import strategies as some

NAMES = some.text(string.ascii_letters + "_", min_size=1, max_size=8)


@given(some.ip_addresses())
def test_only_loopback_is_loopback(address: Any) -> None:
    plain = getattr(address, "ipv4_mapped", None) or address
    wanted = "everywhere" if plain.is_unspecified else "loopback" if plain.is_loopback else "address"
    assert preflight_compose_ports.reach(str(address)) == wanted
    if isinstance(address, ipaddress.IPv6Address):
        assert preflight_compose_ports.reach("[%s]" % address) == wanted


@given(some.text())
def test_what_is_no_address_is_never_loopback(text: str) -> None:
    try:
        ipaddress.ip_address(text.strip().strip("[]").partition("%")[0])
    except ValueError:
        assert preflight_compose_ports.reach(text) in ("everywhere", "address")


@pytest.mark.parametrize(("published", "allowed"), [
    ("80", True), ("443", True), ("80-81", False), ("442-443", False), ("", False), ("0", False), ("8080", False),
    ("80-", False), ("x", False), ("1-99999", False), ("9" * 50, False), ("80-" + "9" * 50, False), ("443-80", False)])
def test_a_port_is_allowed_when_all_that_it_may_become_are(published: str, allowed: bool) -> None:
    assert preflight_compose_ports.allowed((published, "80"), {80, 443}) is allowed


@given(some.text())
def test_any_text_is_judged_as_an_image(text: str) -> None:
    assert preflight_compose_images.pinning(text) in ("", "untagged", "moving", "broken", "major")


@given(some.from_regex(r"\A([a-z]{1,5}\.[a-z]{2}(:[0-9]{2,5})?/)?[a-z]{1,6}(/[a-z]{1,6})?\Z"),
       some.from_regex(r"\A[0-9]{1,2}\.[0-9]{1,2}\.[0-9]{1,2}(-[a-z]{2,5})?\Z"))
def test_a_version_is_pinned_wherever_its_image_comes_from(repository: str, tag: str) -> None:
    assert preflight_compose_images.image("%s:%s" % (repository, tag)) == (repository, tag, "")
    assert preflight_compose_images.pinning(repository) == "untagged"
    assert preflight_compose_images.pinning("%s:latest" % repository) == "moving"
    assert preflight_compose_images.pinning("%s:%s" % (repository, tag)) == (
        "moving" if tag.endswith("-latest") else "")
    assert preflight_compose_images.pinning("%s@sha256:%s" % (repository, "0" * 64)) == ""


@pytest.mark.parametrize(("tag", "case"), [
    ("7", "major"), ("7-alpine", "major"), ("v2", "major"), ("pg16", "major"), ("20-alpine3.19", "major"),
    ("12-slim", "major"), ("7.4", ""), ("7.4.2-alpine3.20", ""), ("v1.2", ""), ("2024-01-31", ""), ("20240131", ""),
    ("3.12-slim-bookworm", ""), ("sha-0a1b2c3", ""), ("main-0a1b2c3", ""), ("nightly-20240131", ""), ("r2024a", ""),
    ("release-1.2.3", ""), ("1.27-stable", ""), ("RELEASE.2024-01-01T00-00-00Z", ""), ("0.7.0-pg16", ""),
    ("latest", "moving"), ("LATEST", "moving"), ("latest-pg15", "moving"), ("pg15-latest", "moving"),
    ("stable", "moving"), ("stable-alpine3.19", "moving"), ("alpine3.19", "moving"), ("bookworm", "moving"),
    ("lts", "moving"), ("lts-alpine3.19", "moving"), ("edge-alpine3.20", "moving"), ("slim", "moving")])
def test_what_a_tag_pins(tag: str, case: str) -> None:
    assert preflight_compose_images.pinning("example.com:5000/a/b:" + tag) == case


@given(some.sampled_from(preflight_compose_rules.HARMLESS + ("SYS_ADMIN", "NET_RAW", "ALL")), some.booleans(),
       some.booleans())
def test_a_capability_is_the_same_in_every_spelling(name: str, lower: bool, prefixed: bool) -> None:
    text = ("CAP_" if prefixed else "") + name
    assert preflight_compose_isolation.capability(text.lower() if lower else text) == name


@pytest.mark.parametrize(("user", "root"), [
    ("root", True), ("0", True), ("00", True), ("+0", True), ("0:1000", True), ("root:app", True), (":1000", True),
    ("", False), ("1000", False), ("1000:0", False), ("postgres", False), ("rooty", False), (0, True), (1000, False)])
def test_who_is_root(user: Any, root: bool) -> None:
    assert preflight_compose_isolation.is_root(user) is root


@given(some.text(), some.text())
def test_any_text_is_judged_as_a_path(path: str, project: str) -> None:
    normal = preflight_compose_paths.normal(path)
    assert normal.startswith("/")
    assert preflight_compose_paths.normal(normal) == normal
    preflight_compose_paths.is_sensitive(normal, preflight_compose_paths.normal(project), False)
    preflight_compose_paths.holds_engine_socket(normal)


@pytest.mark.parametrize(("directory", "path", "sensitive"), [
    ("/opt/app", "/opt/app/etc", False), ("/etc", "/etc/shadow", True), ("/", "/etc/shadow", True),
    ("/etc/app", "/etc/app/nginx.conf", False), ("/etc/ssh", "/etc/ssh/ssh_host_rsa_key", True),
    ("/root", "/root/conf", False), ("/root", "/root/.ssh", True), ("/root", "/root", True),
    ("/root/app", "/root/app/.ssh/config", True), ("/root/app", "/root/app/conf", False),
    ("/home/me", "/home/me", True), ("/home/me", "/home/me/.config/x", True), ("/home/me", "/home/me/data", False),
    ("/home/me/app", "/home/me/app/.docker/nginx", False), ("/home/me/app", "/home/me/.docker", True),
    ("/home/me/app", "/home/me", True), ("/home/me/app", "/home/me/other", False), ("/var", "/var/lib", True),
    ("/var/lib/docker", "/var/lib/docker/x", True), ("/proc/1", "/proc/1/environ", True), ("/opt", "/opt", True)])
def test_what_is_a_projects_own_is_not_the_systems(directory: str, path: str, sensitive: bool) -> None:
    home = directory if preflight_compose_paths.may_hold_a_project(directory) else None
    own = home if home and preflight_compose_paths.covers(home, path) else None
    assert preflight_compose_paths.is_sensitive(path, own, False) is sensitive


@pytest.mark.parametrize("name", [
    "DB_PASSWORD", "db-password", "dbPassword", "PGPASSWORD", "MYSQL_ROOT_PASSWORD", "SMTP_PASS", "ADMIN_PWD",
    "API_KEY",
    "apiKey", "OPENAI_API_KEY", "UPBIT_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY", "SECRET_KEY_BASE", "GITHUB_TOKEN",
    "clientSecret", "N8N_ENCRYPTION_KEY", "JWT_KEY", "PASSPHRASE", "DB_PASSWORD_URLENCODED", "REFRESH_TOKEN", "DBPASS"])
def test_names_of_secrets(name: str) -> None:
    assert preflight_compose_secret_words.names_secret(name)


@pytest.mark.parametrize("name", [
    "TOKEN_LIMIT", "MAX_TOKENS", "PASSWORD_MIN_LENGTH", "DB_PASSWORD_FILE", "SECRET_NAME", "TOKEN_URL", "PUBLIC_KEY",
    "COMPASS", "BYPASS", "KEY", "PRIMARY_KEY", "TOKENIZER", "ACCESS_KEY_ID", "PASSWORD_POLICY", "SITE_KEY", "", "_",
    "N8N_BLOCK_ENV_ACCESS_IN_NODE", "TOKEN_SYMBOL", "API_KEY_HEADER", "PASSENGER", "SECRETARY", "MONKEY"])
def test_names_of_something_else(name: str) -> None:
    assert not preflight_compose_secret_words.names_secret(name)


@pytest.mark.parametrize("text", [
    "redis-server --requirepass hunter2", "redis-cli -a hunter2 ping", "redis-cli --pass hunter2",
    "mysql -uroot -phunter2",
    "PGPASSWORD=hunter2 psql", "curl -u me:hunter2 http://x", "sshpass -p hunter2 ssh x", "app --db-password hunter2",
    "app --token=hunter2", 'curl -H "Authorization: Bearer hunter2x"', "requirepass hunter2",
    'echo \'{"password": "hunter2"}\'',
    "psql -c \"ALTER USER x PASSWORD 'hunter2'\"", "Server=db;Password=hunter2;", "java -Ddb.password=hunter2",
    "http://x/?token=hunter2"])
def test_secrets_handed_over_in_a_text(text: str) -> None:
    assert list(preflight_compose_secret_words.assignments(text))


@pytest.mark.parametrize("text", [
    "redis-cli ping | grep -q PONG", "mysql -h db -P 3306 -u root", "psql --no-password db",
    "app --password-file /run/p",
    "curl -fs http://localhost/health", "app --token-ttl 3600 --max-tokens=100", "test -s /run/secrets/db",
    "token = os.environ['TOKEN']", "app --auth-token-limit 5", "grep -q '\"database\": *\"ok\"'", "tail -f /dev/null",
    "redis-server --requirepass \0", "app --password=/run/secrets/db", "password: {{ password }}",
    "mysqladmin ping -p\0"])
def test_texts_with_no_secret_in_them(text: str) -> None:
    assert not list(preflight_compose_secret_words.assignments(text))


@given(some.text(), some.text())
def test_any_text_is_judged_for_secrets(name: str, text: str) -> None:
    preflight_compose_secret_words.is_secret(name, text)
    list(preflight_compose_secret_words.assignments(text))
    preflight_compose_secret_words.address_password(text)
    preflight_compose_secret_words.token(text)


@given(some.text(alphabet="${}:-?+aB_ \0\1"))
def test_any_text_is_taken_apart(text: str) -> None:
    parts = preflight_compose_variables.template(text)
    assert parts.marked.count(preflight_compose_variables.VARIABLE) == len(parts.references)
    assert parts.with_defaults().marked is not None
    parts.expanded({"a": "x"})


def test_values_are_put_together_as_compose_does(
        compose_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(compose_home))
    texts = ["plain", "$A", "${A}", "${A}${B}", "x${A}y", "$$A", "$${A}", "a$$b", "${B}", "${B:-d}", "${B-d}",
             "${N:-d}",
             "${N-d}", "${N:-$A}", "${N:-${A}}", "${N:-${M:-deep}}", "${A:+alt}", "${B:+alt}", "${B+alt}", "${N+alt}",
             "${A:?m}", "${A?m}", "${N:-}", "${N:-a b:c/d}", "u:${N:-p}@h", "$A_x", "${A}_x", "${N:-a$$b}"]
    values = {"A": "one", "B": ""}
    (tmp_path / ".env").write_text("A=one\nB=\n")
    (tmp_path / "c.json").write_text(json.dumps({"services": {"s": {
        "image": "a:1.1", "environment": {"K%d" % number: text for number, text in enumerate(texts)}}}}))
    resolved, _raw = preflight_compose_render.render([str(tmp_path / "c.json")], str(tmp_path / ".env"))
    assert resolved.project is not None, resolved.error
    answers = resolved.project["services"]["s"]["environment"]
    for number, text in enumerate(texts):
        own = preflight_compose_variables.template(text).expanded(values)
        assert own == answers["K%d" % number].replace("$$", "$"), text


# What Compose files hold: nested mappings and lists, whose keys and texts are all different here.
VALUES = some.recursive(some.text(string.printable, max_size=12), lambda inner: some.one_of(
    some.lists(inner, max_size=4), some.dictionaries(NAMES, inner, max_size=4)), max_leaves=20)


def leaves(value: Any, path: Tuple[str, ...] = ()) -> Iterator[Tuple[Tuple[str, ...], str]]:
    """Texts that are reached by keys alone."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from leaves(each, (*path, key))
    elif isinstance(value, str):
        yield path, value


@settings(max_examples=300, deadline=None)
@given(some.dictionaries(NAMES, VALUES, min_size=1, max_size=5), some.sampled_from((None, True, False)),
       some.integers(2, 6), some.booleans())
def test_positions_are_those_of_the_keys(tree: Any, flow: Any, indent: int, as_json: bool) -> None:
    text = json.dumps(tree, indent=indent) if as_json else yaml.safe_dump(
        tree, default_flow_style=flow, indent=indent, allow_unicode=True)
    source = preflight_compose_lines.parse("f", text)
    lines = text.split("\n")
    for path, _value in leaves(tree):
        place = preflight_compose_lines.find([source], path)
        if place and len(path) < 3:
            assert path[-1] in lines[place[1] - 1]


@settings(max_examples=300, deadline=None)
@given(some.one_of(some.text(), some.text(alphabet="ab:- \n#'\"[]{},&*|>!?%@\t$", max_size=80)))
@example("[" * 5000)
@example("- " * 3000)
@example("a:\n" + "".join(" " * n + "a:\n" for n in range(1, 2000)))
@example("a: &a\n  <<: *a\n")
@example("services: &s\n  a: *s\n")
def test_any_text_has_positions_or_none(text: str) -> None:
    source = preflight_compose_lines.parse("f", text)
    for path in (("services", "a", "b"), ("a", "b", "c", "d"), ("",)):
        place = preflight_compose_lines.find([source], path)
        assert place is None or 1 <= place[1] <= text.count("\n") + 1


WRITTEN = """\
# a comment
---
x-a: &a {cap_drop: [ALL], "read_only": true}   # another
x-b: &b
  environment: &env
    ONE: "a: b # no comment"
    TWO: |
      not: a key
      more

    'THREE': >-
      folded
services:
  first: !custom
    <<: [*a, *b]
    image: example.com/app:1.2.3
    command: ["sh", "-c",
      "echo one; # not a comment
       echo two"]
    ports:
    - "127.0.0.1:80:80"
    -   target: 81
        published: "8081"
    - 8000-8002:90-92/udp
    labels:
      - a.b=c
      - d.e
  second:
    extends: first
    user: >
      root
    plain: a text
      over two lines
    healthcheck: {test: [CMD, "x: y"],
                  retries: 3}
    environment:
      <<: *env
      FOUR: 'it''s'
"""


@pytest.mark.parametrize(("path", "line"), [
    (("services", "first", "cap_drop"), 3), (("services", "first", "cap_drop", "ALL"), 3),
    (("services", "first", "environment", "ONE"), 6), (("services", "first", "environment", "TWO"), 7),
    (("services", "first", "environment", "THREE"), 11), (("services", "first", "image"), 16),
    (("services", "first", "command"), 17), (("services", "first", "ports", "80"), 21),
    (("services", "first", "ports", "8081"), 22), (("services", "first", "ports", "8000-8002"), 24),
    (("services", "first", "labels", "a.b"), 26), (("services", "first", "labels", "d.e"), 27),
    (("services", "second", "image"), 16), (("services", "second", "user"), 30),
    (("services", "second", "plain"), 32), (("services", "second", "healthcheck", "retries"), 35),
    (("services", "second", "environment", "FOUR"), 38), (("services", "second", "environment", "TWO"), 7),
    (("services", "second", "nothing"), 28), (("services", "third", "image"), None), (("networks", "x"), None)])
def test_lines_of_a_file_as_people_write_them(path: Tuple[str, ...], line: Any) -> None:
    source = preflight_compose_lines.parse("f", WRITTEN)
    assert source.root.value is not None
    assert preflight_compose_lines.find([source], path) == (("f", line) if line else None)
