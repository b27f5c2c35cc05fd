# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""The rules about what stands in a `.env`: every line, and every value as Compose reads it."""

from __future__ import annotations

import re
import shlex
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Set, Tuple
from urllib.parse import unquote

from . import placeholder
from . import preflight_env_values as values
from .dotenv_reading import BOM, Entry, parse
from .findings import Finding
from .preflight_env_rules import RULES

_INVISIBLE = re.compile("[\u00a0\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\x01-\x08\x0e-\x1f\x7f]")
_CONTROL = re.compile(r"[\x00-\x1f]")
_SHARED_SOCKET = "unix:///var/run/docker.sock"
_STEERING = ("COMPOSE_FILE", "COMPOSE_ENV_FILES", "COMPOSE_PATH_SEPARATOR", "COMPOSE_DISABLE_ENV_FILE", "DOCKER_HOST",
             "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")
# As much of a text as a URL may take up on either side of a value.
_NEAR = 1024
_TWIN = "_URLENCODED"
# What changes a URL when it stands unencoded before the host, and in what follows a question mark.
_BREAKS_LOGIN = re.compile(r"[^A-Za-z0-9._~!$&'()*+,;=-]")
_BREAKS_QUERY = re.compile(r"[#&%+\s]")
_BEFORE_LOGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s/?#@]*\Z")
_BEFORE_QUERY = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s?#]*\?[^\s#]*\Z")


def decode(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")


class Content:
    """What a file says in a shell with these variables."""

    def __init__(self, path: str, content: bytes, environ: Mapping[str, str]):
        self.path = path
        self.content = content
        self.environ = environ
        self.text = decode(content)
        self.reading = parse(self.text, environ)
        self.effective = self.reading.effective()
        self.values = self.reading.values()
        self.kinds: Dict[str, str] = {}
        self.secrets: Dict[str, str] = {}
        self.required: List[str] = []
        self.referenced: List[str] = []
        self.resolved: Mapping[str, Any] = {}
        self.project = ""
        self.found: List[Finding] = []

    def judge(self, required: Sequence[str], resolved: Mapping[str, Any], referenced: Sequence[str] = (),
              project: str = "") -> List[Finding]:
        self.required, self.resolved, self.found = list(dict.fromkeys(required)), resolved, []
        self.referenced = [key for key in dict.fromkeys(referenced) if key not in self.required]
        self.project = project or str(resolved.get("name") or "")
        self.kinds = self._kinds()
        self.secrets = {key: value for key, value in self.values.items() if value and key in self.kinds}
        if not self.reading.entries and not self.reading.problems:
            self._add("env-file", "empty")
        for problem in self.reading.problems:
            self._add("env-syntax", problem.case, line=problem.line)
        self._encoding()
        self._required()
        for entry in self.reading.entries:
            self._line(entry)
        for key, value in self.values.items():
            self._value(key, value)
        self._reused()
        self._users()
        self._urls()
        return self.found

    def _kinds(self) -> Dict[str, str]:
        """key -> the kind of secret, by its own name or by that of the variable which a service is given it as."""
        found = {key: kind for key, kind in ((key, values.kind(key)) for key in self.effective) if kind}
        used = [(value, values.kind(name)) for name, value in self._variables() if values.kind(name)]
        for key, value in self.values.items():
            kind = next((kind for other, kind in used if other == value), None)
            if value and kind and not values.is_user(key):
                found.setdefault(key, kind)
        return found

    def _add(self, rule: str, case: str, key: str = "", line: Optional[int] = None, **more: Any) -> None:
        entry = self.effective.get(key)
        line = line if line is not None else entry.line if entry else None
        finding = RULES[rule].finding(case, self._shown(key), path=shlex.quote(self.path), line=line, **more)
        self.found.append(finding.at(file=self.path, line=line))

    def _shown(self, key: str) -> str:
        """A key's name, unless it may be part of a value: what follows a quote, a line of a key that was pasted in."""
        if key in self.required or key in self.referenced:
            return key
        entry = self.effective.get(key)
        usual = re.fullmatch(r"[A-Z_][A-Z0-9_]{0,63}|[a-z_][a-z0-9_]{0,63}", key)
        if entry is None or entry.trailing or not usual or _INVISIBLE.search(key):
            return ""
        if entry.value is None or not entry.written.strip("="):
            return key if "_" in key and values.is_secret(key) or key.isalpha() and len(key) <= 8 else ""
        return key

    def _encoding(self) -> None:
        content = self.content
        if b"\0" in content:
            self._add("env-encoding", "nul", line=content[:content.index(b"\0")].count(b"\n") + 1)
        else:
            try:
                content.decode("utf-8")
            except UnicodeDecodeError as error:
                self._add("env-encoding", "utf8", line=content[:error.start].count(b"\n") + 1)
        if self.text.startswith(BOM):
            self._add("env-encoding", "bom", line=1)
        if "\r\n" in self.text:
            self._add("env-encoding", "crlf", line=self.text[:self.text.index("\r\n")].count("\n") + 1)
        for key, value in self.values.items():
            if "\r" in value.replace("\r\n", "\n") and not self.effective[key].quote:
                self._add("env-encoding", "return", key)
            elif "\0" not in value and _INVISIBLE.search(value) and (key in self.kinds or key in self.required):
                self._add("env-encoding", "invisible", key)

    def _required(self) -> None:
        for key in self.required:
            entry = self.effective.get(key)
            if entry is None:
                self._add("env-required", "missing", key)
            elif entry.value is None:
                self._add("env-required", "inherited", key)
            elif not entry.value.strip():
                self._add("env-required", "empty", key)
        for key in self.referenced:
            entry = self.effective.get(key)
            if entry is None:
                self._add("env-required", "missing", key)
            elif entry.value is not None and not entry.value.strip() and values.guards(key):
                self._add("env-required", "empty", key)

    def _line(self, entry: Entry) -> None:
        """One assignment, whether it is the one that counts or not."""
        if self.effective[entry.key] is not entry:
            last = self.effective[entry.key]
            if not any(finding.id == "env-duplicate" and finding.place.line == last.line for finding in self.found):
                self._add("env-duplicate", "again", entry.key, first=entry.line)
            return
        self._shell(entry)
        self._compose_settings(entry)
        case = difference(entry, entry.key in self.kinds)
        if case:
            self._add("env-truncated", case, entry.key)

    def _shell(self, entry: Entry) -> None:
        key = entry.key
        weighty = key in self.kinds or key in self.required
        if entry.value is None:
            # What follows a closing quote on its line is no key that somebody meant to inherit.
            if key not in self.required and not entry.trailing:
                self._add("env-shell", "inherited" if weighty else "inherited-setting", key)
        elif key in self.environ and self.environ[key] != entry.value:
            self._add("env-shell", "secret" if weighty else "setting", key)

    def _compose_settings(self, entry: Entry) -> None:
        key, value = entry.key, entry.value
        if not value:
            return
        if key == "COMPOSE_PROJECT_NAME":
            if self.project and value != self.project:
                self._add("env-compose", "project", key, project=self.project)
        elif key == "DOCKER_HOST" and re.match("(tcp|http)://", value):
            self._add("env-compose", "engine", key)
        elif key in _STEERING and value != _SHARED_SOCKET:
            self._add("env-compose", "steers", key)

    def _value(self, key: str, value: str) -> None:
        """Placeholders and weak secrets."""
        sort = self.kinds.get(key)
        if not value.strip() or self._is_twin(key) or self._is_alias(key):
            return
        if sort is None:
            if placeholder.is_request(value):
                self._add("env-placeholder", "setting", key)
            else:
                self._login_in_url(key, value)
        elif placeholder.is_placeholder(value, key):
            self._add("env-placeholder", "placeholder", key)
        else:
            weakness = values.weakness(value, sort, self._names(key))
            if weakness:
                self._add("env-weak", weakness.case, key, minimum=weakness.minimum)

    def _login_in_url(self, key: str, value: str) -> None:
        login = values.url_login(value)
        if login is None or login[1] in self.secrets.values():
            return
        user, password = login
        if password and password == user:
            self._add("env-user-password", "url", key)
        elif placeholder.is_placeholder(password) or values.weakness(password, "password", values.names_of(user)):
            self._add("env-weak", "url", key)

    def _names(self, key: str) -> Set[str]:
        """What is no secret about a secret: its own name, its user, the stack's and the services' names."""
        users = [value for other, value in self.values.items() if values.is_user(other)]
        services = self._services()
        containers = [str(service.get("container_name") or "") for service in services.values()]
        return set(values.names_of(key, self.project, *users, *services, *containers))

    def _services(self) -> Dict[str, Mapping[str, Any]]:
        services = self.resolved.get("services")
        if not isinstance(services, Mapping):
            return {}
        return {str(name): service for name, service in services.items() if isinstance(service, Mapping)}

    def _variables(self) -> List[Tuple[str, str]]:
        """Names and values that the services are given, as far as they are not empty."""
        given = [service.get("environment") for service in self._services().values()]
        return [(str(name), value.replace("$$", "$")) for environment in given if isinstance(environment, Mapping)
                for name, value in environment.items() if isinstance(value, str) and value]

    def _is_twin(self, key: str) -> bool:
        return key.endswith(_TWIN) and key[:-len(_TWIN)] in self.values

    def _is_alias(self, key: str) -> bool:
        """Whether the value is nothing but another key of the file, e.g. POSTGRES_PASSWORD=${DB_PASSWORD}."""
        entry = self.effective[key]
        return _is_one_variable(entry) and entry.references[0].found == "file"

    def _reused(self) -> None:
        holders: Dict[str, str] = {}
        for key, value in self.secrets.items():
            if self._is_twin(key) or self._is_alias(key) or placeholder.is_placeholder(value, key):
                continue
            if value in holders:
                self._add("env-reused", "reused", key, other=self._shown(holders[value]))
            holders.setdefault(value, key)

    def _users(self) -> None:
        """The user of GRAFANA_ADMIN_USER with GRAFANA_ADMIN_PASSWORD, and of a service that gets the password."""
        users = [(key, value) for key, value in self.values.items() if values.is_user(key) and value]
        users += [(key, value) for key, value in self._variables() if values.is_user(key)]
        for key, value in self.secrets.items():
            same = [user for user, name in users if name.casefold() == value.casefold()
                    and (values.stem(user) == values.stem(key) or len(value) >= 4)]
            if same and self.kinds[key] == "password":
                self._add("env-user-password", "same", key, other=same[0])

    def _urls(self) -> None:
        for key, value in self.values.items():
            if self._is_twin(key):
                plain = key[:-len(_TWIN)]
                if unquote(value) != self.values[plain] or _BREAKS_LOGIN.search(value.replace("%", "")):
                    self._add("env-url", "twin", key, other=self._shown(plain))
            elif key not in self.kinds and values.is_broken_url(value) and not self.effective[key].references:
                self._add("env-url", "broken", key)
        spliced = list(_urls_in(self.resolved))
        spliced += [(self._shown(key), value) for key, value in self.values.items() if self.effective[key].references]
        for key, value in self.secrets.items():
            where = next((where for where, text in spliced if breaks(value, text)), None)
            if where is not None and not self._is_twin(key) and not self._is_alias(key):
                self._add("env-url", "spliced", key, where=where)


def difference(entry: Entry, secret: bool) -> str:
    """How what Compose reads differs from what is written there, as a case of env-truncated; empty if it does not."""
    if entry.value is None:
        return ""
    if entry.quote:
        if re.search(r"\n\s*(export\s+)?[A-Za-z_][A-Za-z0-9_]*\s*=", entry.written):
            return "swallowed"
        if entry.rest.strip() and not re.match(r"\s+#", entry.rest):
            return "after-quote"
    elif entry.spaced and entry.written.startswith("#"):
        return "comment-value"
    elif secret and re.match(r" #\S", entry.rest):
        return "comment"
    elif re.match("[\u201c\u201d\u2018\u2019]", entry.written):
        return "typographic"
    return _dollar(entry, secret) or _escape(entry, secret)


def _is_one_variable(entry: Entry) -> bool:
    return len(entry.references) == 1 and bool(re.fullmatch(r"\$(\w+|\{\w+\})", entry.written))


def _dollar(entry: Entry, secret: bool) -> str:
    for reference in entry.references:
        if not reference.found and not reference.defaulted:
            return "unset"
        by_accident = reference.found == "shell" or not reference.braced
        if secret and by_accident and not reference.defaulted and not _is_one_variable(entry):
            return "variable"
    return "doubled" if entry.doubled and secret else ""


def _escape(entry: Entry, secret: bool) -> str:
    """Only where a backslash made it: a private key may well be written in several lines."""
    if entry.quote != '"' or not secret or "-----BEGIN" in entry.written:
        return ""
    return "escape" if len(_CONTROL.findall(entry.value or "")) > len(_CONTROL.findall(entry.written)) else ""


def breaks(value: str, text: str) -> bool:
    """Whether a secret stands unencoded inside a URL in this text where its characters mean something else."""
    if "://" not in text or not _BREAKS_LOGIN.search(value):
        return False
    for spelling in dict.fromkeys((value, value.replace("$", "$$"))):
        at = text.find(spelling)
        while at >= 0:
            before, after = text[max(0, at - _NEAR):at], text[at + len(spelling):][:_NEAR]
            if _BEFORE_LOGIN.search(before) and re.match(r"[^\s/?#]*@", after):
                return True
            if _BEFORE_QUERY.search(before) and _BREAKS_QUERY.search(value):
                return True
            at = text.find(spelling, at + 1)
    return False


def _urls_in(node: Any, where: str = "") -> Iterator[Tuple[str, str]]:
    """Every text with a URL in it of a resolved project, and its place: services.bot.environment.DATABASE_URL."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _urls_in(value, "%s.%s" % (where, key) if where else str(key))
    elif isinstance(node, (list, tuple)):
        for value in node:
            yield from _urls_in(value, where)
    elif isinstance(node, str) and "://" in node:
        yield where, node
