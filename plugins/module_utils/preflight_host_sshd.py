# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""What sshd really obeys: its effective settings for everyone whom its files tell apart, and who may write keys."""

from __future__ import annotations

import glob
import grp
import ipaddress
import os
import pwd
import re
import shlex
import stat
from typing import Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from .findings import Finding
from .preflight_host_commands import run
from .preflight_host_firewall import NEUTRAL
from .preflight_host_rules import RULES

MAIN = "/etc/ssh/sshd_config"
_MOST = 16  # Match blocks beyond these are asked for by nobody's hand
_ALIASES = {"challengeresponseauthentication": "kbdinteractiveauthentication",
            "skeyauthentication": "kbdinteractiveauthentication", "without-password": "prohibit-password"}


class Line(NamedTuple):
    """A line of sshd's files, in the order in which sshd reads them."""

    file: str
    number: int
    keyword: str
    values: Tuple[str, ...]


class Caller(NamedTuple):
    """Someone who logs in: sshd may have other settings for another."""

    user: str
    address: str

    def __str__(self) -> str:
        return self.user if self.address == NEUTRAL[4] else "%s@%s" % (self.user, self.address)


class KeyFile(NamedTuple):
    """A path that decides who may log in, and that someone else can write to."""

    user: str
    path: str


class Sshd(NamedTuple):
    """``settings``: caller -> effective settings. ``loaded`` and ``changed``: when sshd read its files, and the newest
    of them (seconds; None where that cannot be told)."""

    settings: Mapping[Caller, Mapping[str, str]]
    lines: Sequence[Line]
    open_keys: Sequence[KeyFile]
    loaded: Optional[float]
    changed: float
    changed_file: str


# Reading -------------------------------------------------------------------------------------------------------------

def read(owner: str) -> Sshd:
    lines = list(read_lines(MAIN))
    settings = {caller: parse(run("sshd", "-T", "-C", "user=%s,host=%s,addr=%s,laddr=%s,lport=22" % (
        caller.user, caller.address, caller.address, NEUTRAL[4]))) for caller in callers(owner, lines)}
    # A drop-in that was deleted leaves its mark on the directory.
    places = {MAIN, *(line.file for line in lines)} | {
        os.path.dirname(_absolute(pattern)) for line in lines if line.keyword == "include" for pattern in line.values}
    changed, changed_file = max((os.stat(place).st_mtime, place) for place in places if os.path.exists(place))
    own = settings[Caller(owner, NEUTRAL[4])]
    pid_file = own.get("pidfile", "none")
    # sshd writes it anew whenever it has read its files, also at a reload.
    loaded = os.stat(pid_file).st_mtime if os.path.exists(pid_file) else None
    patterns = own.get("authorizedkeysfile", ".ssh/authorized_keys").split()
    # Every pattern is in the same home.
    open_keys = dict.fromkeys(key for user in (owner, "root") for key in _open_keys(user, patterns))
    return Sshd(settings, lines, list(open_keys), loaded, changed, changed_file)


def read_lines(path: str, depth: int = 0) -> Iterator[Line]:
    with open(path, encoding="utf-8", errors="replace") as file:
        text = file.read()
    for number, raw in enumerate(text.splitlines(), 1):
        words = re.split(r"[\s=]+", raw.strip(), maxsplit=1)
        if not words[0] or words[0].startswith("#"):
            continue
        keyword = words[0].lower()
        values = _words(words[1] if len(words) > 1 else "")
        yield Line(path, number, _ALIASES.get(keyword, keyword), values)
        if keyword == "include" and depth < 8:
            for pattern in values:
                for included in sorted(glob.glob(_absolute(pattern))):
                    yield from read_lines(included, depth + 1)


def _absolute(pattern: str) -> str:
    return os.path.join(os.path.dirname(MAIN), pattern)


def _words(text: str) -> Tuple[str, ...]:
    try:
        return tuple(shlex.split(text, comments=True))
    except ValueError:
        return tuple(text.split())


def callers(owner: str, lines: Sequence[Line]) -> List[Caller]:
    """Whom to ask for: the operator from anywhere; where settings differ, root and one for whom each Match block is."""
    found = [Caller(owner, NEUTRAL[4])]
    for line in lines:
        if line.keyword == "match":
            found.append(Caller("root", NEUTRAL[4]))
            wanted = dict(zip((word.lower() for word in line.values[::2]), line.values[1::2]))
            user = _example(wanted.get("user", "")) or _member(wanted.get("group", "")) or owner
            found.append(Caller(user, _address(wanted.get("address", ""))))
    return list(dict.fromkeys(found))[:_MOST]


def _example(patterns: str) -> str:
    """A name that the first pattern stands for."""
    pattern = next((part for part in patterns.split(",") if part and not part.startswith("!")), "")
    return re.sub(r"[^\w.-]", "", pattern.replace("*", "").replace("?", "x"))


def _member(patterns: str) -> str:
    name = _example(patterns)
    try:
        group = grp.getgrnam(name)
    except (KeyError, ValueError):
        return ""
    own = [user.pw_name for user in pwd.getpwall() if user.pw_gid == group.gr_gid]
    return next(iter([*group.gr_mem, *own]), "")


def _address(patterns: str) -> str:
    pattern = next((part for part in patterns.split(",") if part and not part.startswith("!")), "")
    try:
        network = ipaddress.ip_network(pattern.replace("*", "1"), strict=False)
    except ValueError:
        return NEUTRAL[4]
    return str(network.network_address + min(1, network.num_addresses - 1))


def parse(text: str) -> Dict[str, str]:
    """What `sshd -T` prints: the first value of each keyword, as sshd itself takes it."""
    found: Dict[str, str] = {}
    for line in text.splitlines():
        keyword, _space, value = line.strip().partition(" ")
        value = _ALIASES.get(value, value)
        name = _ALIASES.get(keyword.lower(), keyword.lower())
        # There can be many of it.
        found[name] = "%s %s" % (found[name], value) if name == "port" and name in found else found.get(name, value)
    return found


def _open_keys(user: str, patterns: Sequence[str]) -> Iterator[KeyFile]:
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        return
    for pattern in patterns:
        path = os.path.join(entry.pw_dir, pattern.replace("%h", entry.pw_dir).replace("%u", user))
        directory = os.path.dirname(path)
        for one in (path, directory, entry.pw_dir):
            try:
                status = os.stat(one)
            except FileNotFoundError:
                continue
            if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) or status.st_uid not in (0, entry.pw_uid):
                yield KeyFile(user, one)


# Judging -------------------------------------------------------------------------------------------------------------

def ports(sshd: Optional[Sshd]) -> List[int]:
    """Where it listens."""
    found = {int(port) for settings in (sshd.settings if sshd else {}).values()
             for port in settings.get("port", "").split() if port.isdigit()}
    return sorted(found or {22})


def _passwords(settings: Mapping[str, str]) -> bool:
    """Whether a password, however asked for, is enough to log in."""
    asked = []
    if settings.get("passwordauthentication") != "no":
        asked.append("password")
    # It asks what PAM asks, which is the password.
    if settings.get("kbdinteractiveauthentication") != "no" and settings.get("usepam") != "no":
        asked.append("keyboard-interactive")
    if not asked:
        return False
    methods = settings.get("authenticationmethods", "any").split()
    # One list of methods is enough, and all in it are needed.
    return methods == ["any"] or any(all(one.partition(":")[0] in asked for one in several.split(","))
                                     for several in methods)


# keyword -> the values that are as they should be.
_GOOD = {
    "allowtcpforwarding": ("yes", "all", "local"), "disableforwarding": ("no",), "gatewayports": ("no",),
    "hostbasedauthentication": ("no",), "kbdinteractiveauthentication": ("no",), "passwordauthentication": ("no",),
    "permitemptypasswords": ("no",), "permitrootlogin": ("no", "prohibit-password", "forced-commands-only"),
    "permituserenvironment": ("no",), "pubkeyauthentication": ("yes",), "x11forwarding": ("no",),
}
# case of the rule -> the keywords that it is about.
_CASES = {
    "root": ("permitrootlogin",), "passwords": ("passwordauthentication", "kbdinteractiveauthentication"),
    "empty-passwords": ("permitemptypasswords",), "hosts": ("hostbasedauthentication",),
    "environment": ("permituserenvironment",), "keys-off": ("pubkeyauthentication",), "gateway": ("gatewayports",),
    "x11": ("x11forwarding",), "tunnel": ("allowtcpforwarding", "disableforwarding"),
}


def judge(sshd: Sshd, owner: str) -> Iterator[Finding]:
    rule = RULES["host-sshd"]
    for case, keywords in _CASES.items():
        wrong = {caller: _wrong(case, keywords, settings) for caller, settings in sshd.settings.items()}
        # The tunnel is the operator's; what others may forward is nobody's business.
        users = [caller for caller, settings in wrong.items()
                 if settings and (case != "tunnel" or caller == Caller(owner, NEUTRAL[4]))]
        if users:
            file, number = _origin(sshd.lines, wrong[users[0]])
            yield rule.finding(case, users=", ".join(map(str, users)), keywords=", ".join(
                "%s %s" % setting for setting in wrong[users[0]].items())).at(file=file, line=number)
    for key in sshd.open_keys:
        yield rule.finding("key-file", key.path, user=key.user).at(file=key.path)
    if sshd.loaded is None:
        return
    # The clock of a file system is a little coarse.
    if sshd.changed > sshd.loaded + 1:
        yield rule.finding("stale", "", file=sshd.changed_file).at(file=sshd.changed_file)


def _wrong(case: str, keywords: Sequence[str], settings: Mapping[str, str]) -> Dict[str, str]:
    """The settings that make this case, if they do."""
    if case == "passwords" and not _passwords(settings):
        return {}
    return {keyword: settings[keyword] for keyword in keywords
            if keyword in settings and settings[keyword] not in _GOOD[keyword]}


def _origin(lines: Sequence[Line], settings: Mapping[str, str]) -> Tuple[str, Optional[int]]:
    """The first line that says so, which is the one that sshd takes. Nowhere, when it is a default."""
    for line in lines:
        if line.keyword in settings and " ".join(line.values).lower() == settings[line.keyword]:
            return line.file, line.number
    return "", None
