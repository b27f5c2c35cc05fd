# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Databases that trust everyone and dashboards that anyone may open, by what their images and variables say."""

from __future__ import annotations

import re
from typing import Any, Dict, Iterator, Mapping, NamedTuple, Optional, Tuple

from .preflight_compose_common import Found, Path, containers, listed, mapping, variables, words
from .preflight_compose_images import image
from .preflight_compose_rules import RULES

_POSTGRES = re.compile(r"(postgres|postgresql|postgis|pgvector|timescaledb(-ha)?|citus|supabase-postgres|pgvecto-rs|"
                       r"[a-z0-9-]+-postgres(ql)?)\Z")
_MYSQL = re.compile(r"(mysql(-server)?|mariadb|percona(-server)?)\Z")
_TRUE = ("1", "t", "true", "y", "yes", "on")
_FALSE = ("0", "f", "false", "n", "no", "off")
# Variables that switch off a login, whatever the image: name -> the values that do.
_OPEN_DATABASES = {
    "ALLOW_EMPTY_PASSWORD": _TRUE, "ALLOW_NONE_AUTHENTICATION": _TRUE, "ALLOW_ANONYMOUS_LOGIN": _TRUE,
    "ALLOW_PLAINTEXT_LISTENER": _TRUE, "XPACK.SECURITY.ENABLED": _FALSE, "XPACK_SECURITY_ENABLED": _FALSE,
    "ES_SETTING_XPACK_SECURITY_ENABLED": _FALSE, "PLUGINS.SECURITY.DISABLED": _TRUE, "DISABLE_SECURITY_PLUGIN": _TRUE,
    "NEO4J_AUTH": ("none",), "ARANGO_NO_AUTH": _TRUE, "INFLUXDB_HTTP_AUTH_ENABLED": _FALSE,
    "CLICKHOUSE_SKIP_USER_SETUP": _TRUE, "CASSANDRA_AUTHENTICATOR": ("allowallauthenticator",),
    "AUTH_TYPE": ("any", "trust"), "PGBOUNCER_AUTH_TYPE": ("any", "trust"), "WEAVIATE_AUTH": ("none",),
    "AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED": _TRUE,
}
_OPEN_DASHBOARDS = {
    "GF_AUTH_ANONYMOUS_ENABLED": _TRUE, "GF_USERS_ALLOW_SIGN_UP": _TRUE, "PGADMIN_CONFIG_SERVER_MODE": _FALSE,
    "ME_CONFIG_BASICAUTH": _FALSE, "ME_CONFIG_BASICAUTH_ENABLED": _FALSE, "TRAEFIK_API_INSECURE": _TRUE,
    "FLOWER_UNAUTHENTICATED_API": _TRUE, "DISABLE_AUTH": _TRUE, "DISABLE_AUTHENTICATION": _TRUE,
    "AUTH_TYPE": ("disabled",), "WEBUI_AUTH": _FALSE, "SUPERSET_PUBLIC_ROLE_LIKE": ("admin", "alpha"),
}
# Options of programs, with what they mean: (rule, of which images, what in the command).
_ARGUMENTS: Tuple[Tuple[str, str, "re.Pattern[str]"], ...] = (
    ("trust", r".*", re.compile(r"--skip-grant-tables(?!=(0|off|false))\b")),
    ("trust", r".*", re.compile(r"\bhost(ssl|nossl)?\s+\S+\s+\S+\s+\S+\s+trust\b")),
    ("trust", r".*", re.compile(r"--requirepass(?=[= ]*(''|\"\")?\s*(\Z|\s--))")),
    ("trust", r"mongo.*", re.compile(r"(?<!\S)--noauth\b")),
    ("trust", r"cockroach.*", re.compile(r"(?<!\S)--insecure\b(?!=false)")),
    ("trust", r"surrealdb.*", re.compile(r"(?<!\S)--unauthenticated\b|--allow-all\b")),
    ("trust", r".*", re.compile(r"-Expack\.security\.enabled=false|-Eplugins\.security\.disabled=true")),
    ("open", r".*", re.compile(r"--api\.insecure(=true|=1)?(?![=\w])", re.IGNORECASE)),
    ("open", r".*", re.compile(r"--(NotebookApp|ServerApp|IdentityProvider)\.(token|password)=(''|\"\")?(?=\s|\Z)")),
    ("open", r"grafana.*", re.compile(
        r"cfg:(default\.)?(auth\.anonymous\.enabled|users\.allow_sign_up)=(1|t|true|y|yes|on)\b", re.IGNORECASE)),
    ("open", r".*code-server.*", re.compile(r"--auth[= ]none\b")),
    ("open", r"prometheus.*", re.compile(r"--web\.enable-admin-api(?!=false)\b")),
    ("remote-control", r"prometheus.*", re.compile(r"--web\.enable-lifecycle(?!=false)\b")),
)
# The same in files that `configs:` writes.
_CONTENTS = (
    ("trust", re.compile(r"^[ \t]*host(ssl|nossl)?[ \t]+\S+[ \t]+\S+[ \t]+\S+[ \t]+trust\b", re.MULTILINE)),
    ("trust", re.compile(r"^[ \t]*protected-mode[ \t]+no\b(?![\s\S]*^[ \t]*requirepass)", re.MULTILINE)),
    ("trust", re.compile(r"^[ \t]*xpack\.security\.enabled[ \t]*:[ \t]*false\b", re.MULTILINE)),
    ("open", re.compile(r"^\[auth\.anonymous\][^\[]*?^[ \t]*enabled[ \t]*=[ \t]*true\b", re.MULTILINE | re.IGNORECASE)),
)
_INITDB_TRUST = re.compile(r"(--auth(-host)?[= ]|(?<!\S)-A[= ]?)[\"']?trust\b", re.IGNORECASE)


class Program(NamedTuple):
    """A service by what runs in it."""

    service: str
    image: str
    environment: Mapping[str, Any]
    # Its own command line; "" leaves the image's.
    command: str
    targets: Tuple[str, ...] = ()
    # Texts that `configs:` puts into it, by name.
    contents: Mapping[str, str] = {}
    major: Optional[int] = None

    def text(self, key: str) -> str:
        value = self.environment.get(key)
        return "" if value is None else str(value).strip()

    def given(self, *keys: str) -> bool:
        """Whether one of these, or a file that holds it, is set."""
        return any(self.text(key) or self.text(key + "_FILE") or self.text(key + "__FILE") for key in keys)

    def runs(self, *programs: str) -> bool:
        """Whether it runs the image's own server: no other command was given, or one that names it or its options."""
        first = self.command.split(" ", 1)[0].rpartition("/")[2]
        return not first or first.startswith("-") or first in programs or first.endswith("entrypoint.sh")


def programs(project: Mapping[str, Any]) -> Iterator[Program]:
    for name, container in containers(project):
        command = " ".join(words(container.get("entrypoint")) + words(container.get("command")))
        targets = tuple(str(mapping(entry).get("target") or "") for kind in ("volumes", "configs", "secrets")
                        for entry in listed(container.get(kind)))
        reference = image(container.get("image"))
        version = re.match(r"v?([0-9]{1,3})(?![0-9a-f])", reference.tag)
        yield Program(name, reference.name, variables(container.get("environment")), command, targets,
                      _contents(project, container), int(version.group(1)) if version else None)


def _contents(project: Mapping[str, Any], container: Mapping[str, Any]) -> Dict[str, str]:
    names = [str(mapping(entry).get("source") or entry) for entry in listed(container.get("configs"))]
    texts = {name: mapping(mapping(project.get("configs")).get(name)).get("content") for name in names}
    return {name: text for name, text in texts.items() if isinstance(text, str)}


def judge_products(project: Mapping[str, Any]) -> Iterator[Found]:
    for program in programs(project):
        for judge in (_switches, _arguments, _files, _postgres, _mysql, _redis, _other_databases, _grafana,
                      _other_dashboards):
            yield from judge(program)


def _found(program: Program, rule: str, case: str, key: str, where: str = "environment", shown: str = "") -> Found:
    finding = RULES[rule].finding(case, "%s %s" % (program.service, key), key=key, setting=shown or key)
    path: Path = ("services", program.service, where)
    return Found(finding, program.service, (*path, key) if where == "environment" else path)


def _database(program: Program, case: str, key: str, shown: str = "") -> Found:
    return _found(program, "compose-database-trust", case, key, shown=shown)


def _dashboard(program: Program, case: str, key: str, shown: str = "") -> Found:
    return _found(program, "compose-dashboard-anonymous", case, key, shown=shown)


def _switches(program: Program) -> Iterator[Found]:
    for key, value in program.environment.items():
        text = str(value).strip().lower()
        for switches, found in ((_OPEN_DATABASES, _database), (_OPEN_DASHBOARDS, _dashboard)):
            if text in switches.get(key.upper(), ()):
                yield found(program, "trust" if found is _database else "open", key, "%s: %s" % (key, value))


def _arguments(program: Program) -> Iterator[Found]:
    for case, images, pattern in _ARGUMENTS:
        match = pattern.search(program.command) if re.match(images, program.image) else None
        if match:
            rule = "compose-database-trust" if case == "trust" else "compose-dashboard-anonymous"
            yield _found(program, rule, case, match.group(0), "command")


def _files(program: Program) -> Iterator[Found]:
    for name, text in program.contents.items():
        for case, pattern in _CONTENTS:
            if pattern.search(text):
                rule = "compose-database-trust" if case == "trust" else "compose-dashboard-anonymous"
                shown = "configs.%s" % name
                finding = RULES[rule].finding(case, "%s %s" % (program.service, shown), key=shown, setting=shown)
                yield Found(finding, program.service, ("configs", name, "content"))


def _postgres(program: Program) -> Iterator[Found]:
    method = "POSTGRES_HOST_AUTH_METHOD"
    if program.text(method).lower() == "trust":
        yield _database(program, "trust", method, method + ": trust")
    elif _INITDB_TRUST.search(program.text("POSTGRES_INITDB_ARGS")):
        yield _database(program, "trust", "POSTGRES_INITDB_ARGS")
    elif (_POSTGRES.match(program.image) and program.runs("postgres")
          and not program.given("POSTGRES_PASSWORD", "POSTGRESQL_PASSWORD", "ALLOW_EMPTY_PASSWORD")):
        yield _database(program, _missing(program, "POSTGRES_PASSWORD"), "POSTGRES_PASSWORD")


def _missing(program: Program, *keys: str) -> str:
    """A password that is there and empty was meant to be one. Without the key the image itself refuses to start."""
    return "none" if any(key in program.environment for key in keys) else "absent"


def _mysql(program: Program) -> Iterator[Found]:
    prefixes = ("MYSQL_", "MARIADB_")
    has_root = program.given(*(prefix + key for prefix in prefixes
                               for key in ("ROOT_PASSWORD", "RANDOM_ROOT_PASSWORD", "ROOT_PASSWORD_HASH")))
    # The entrypoint asks only whether there is a value: "no" allows as well as "yes", where there is no other password.
    allowing = [key for prefix in prefixes
                for key in (prefix + "ALLOW_EMPTY_PASSWORD", prefix + "ALLOW_EMPTY_ROOT_PASSWORD")
                if program.text(key) and not (has_root and program.text(key).lower() in _FALSE)]
    for key in allowing:
        yield _database(program, "trust", key)
    if _MYSQL.match(program.image) and program.runs("mysqld", "mariadbd", "mysqld_safe") and not (allowing or has_root):
        if not program.given("ALLOW_EMPTY_PASSWORD"):
            key = ("MARIADB_" if program.image == "mariadb" else "MYSQL_") + "ROOT_PASSWORD"
            yield _database(program, _missing(program, key, "MYSQL_ROOT_PASSWORD"), key)


def _redis(program: Program) -> Iterator[Found]:
    """Protection taken away on purpose, with no password in its place. Without one it is open to its network only."""
    unprotected = re.search(r"--protected-mode[= ]+[\"']?no\b", program.command)
    if unprotected and not re.search(r"--(requirepass|user|aclfile)[= ]+[^\s-]", program.command):
        yield _found(program, "compose-database-trust", "trust", "--protected-mode no", "command")


def _other_databases(program: Program) -> Iterator[Found]:
    if program.image in ("mongo", "mongodb-community-server") and program.runs("mongod"):
        secured = re.search(r"--(auth|keyFile|config|clusterAuthMode)\b|(?<!\S)-f ", program.command)
        if not (secured or program.given("MONGO_INITDB_ROOT_USERNAME") and program.given("MONGO_INITDB_ROOT_PASSWORD")):
            yield _database(program, "none", "MONGO_INITDB_ROOT_PASSWORD")
    # Versions before these had their security switched off unless it was asked for.
    if program.image == "elasticsearch" and (program.major or 8) < 8:
        if not any(program.text(key).lower() in _TRUE for key in ("xpack.security.enabled", "XPACK_SECURITY_ENABLED")):
            yield _database(program, "none", "xpack.security.enabled")
    if program.image == "influxdb" and program.major == 1:
        if program.text("INFLUXDB_HTTP_AUTH_ENABLED").lower() not in (*_TRUE, *_FALSE):
            yield _database(program, "none", "INFLUXDB_HTTP_AUTH_ENABLED")
    if program.text("RABBITMQ_DEFAULT_PASS") == "guest":
        yield _database(program, "known", "RABBITMQ_DEFAULT_PASS")
    if program.image == "minio" and program.runs("server", "minio"):
        if not program.given("MINIO_ROOT_PASSWORD", "MINIO_SECRET_KEY"):
            yield _database(program, "none", "MINIO_ROOT_PASSWORD")
    if program.text("MINIO_ROOT_PASSWORD") == "minioadmin":
        yield _database(program, "known", "MINIO_ROOT_PASSWORD")


def _grafana(program: Program) -> Iterator[Found]:
    key = "GF_SECURITY_ADMIN_PASSWORD"
    if program.text(key).lower() == "admin":
        yield _dashboard(program, "known", key)
    elif re.match(r"grafana(-oss|-enterprise)?\Z", program.image) and not program.given(key) and (
            "security.admin_password=" not in program.command):
        own_file = program.given("GF_PATHS_CONFIG") or any(
            target.rstrip("/") == "/etc/grafana" or target.startswith("/etc/grafana/grafana.ini")
            for target in program.targets)
        if program.text("GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION").lower() not in _TRUE:
            yield _dashboard(program, "elsewhere" if own_file else "none", key)


def _other_dashboards(program: Program) -> Iterator[Found]:
    needed: Mapping[str, Tuple[str, ...]] = {
        "mongo-express": ("ME_CONFIG_BASICAUTH_PASSWORD",), "redis-commander": ("HTTP_PASSWORD", "HTTP_PASSWORD_HASH"),
        "pgweb": ("PGWEB_AUTH_PASS",), "flower": ("FLOWER_BASIC_AUTH", "FLOWER_AUTH_PROVIDER"),
        "graphql-engine": ("HASURA_GRAPHQL_ADMIN_SECRET", "HASURA_GRAPHQL_ADMIN_SECRETS"),
    }
    keys = needed.get(program.image)
    by_argument = re.search(r"--(basic[_-]auth|auth-pass|http-auth-password)\b", program.command)
    if keys and not by_argument and not program.given(*keys):
        yield _dashboard(program, "none", keys[0])
    if program.image == "phpmyadmin" and program.given("PMA_PASSWORD") and program.given("PMA_USER"):
        yield _dashboard(program, "open", "PMA_PASSWORD")
