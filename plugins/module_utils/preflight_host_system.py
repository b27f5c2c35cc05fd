# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Who may command the Docker Engine, and whether the host runs what its security updates have brought."""

from __future__ import annotations

import glob
import grp
import json
import os
import platform
import pwd
import re
import stat
import time
from typing import Any, Collection, Dict, Iterator, List, Mapping, NamedTuple, Optional, Tuple

from .engine import SOCKET
from .findings import Finding
from .preflight_host_commands import enabled, run, there
from .preflight_host_network import Process, Socket
from .preflight_host_rules import RULES

DAEMON = "/etc/docker/daemon.json"
TCP_PORTS = (2375, 2376)
TIMER = "apt-daily-upgrade.timer"
OVERDUE_DAYS = 14
_DAY = 86400.0


class Daemon(NamedTuple):
    """Where dockerd was told to listen, by its file and by its command line, and whether it asks for certificates."""

    hosts: Tuple[str, ...]
    verifies: bool


class Access(NamedTuple):
    """Docker's socket: its mode, the group it belongs to, and everyone in that group."""

    mode: int
    group: str
    members: Tuple[str, ...]


class Updates(NamedTuple):
    """``packages`` that ask for a reboot (None: none asks), since when (seconds), and the kernels."""

    packages: Optional[Tuple[str, ...]]
    since: float
    kernel: str
    newest_kernel: str
    automatic: Optional[bool]
    now: float


# Reading -------------------------------------------------------------------------------------------------------------

def read_daemon() -> Daemon:
    settings: Dict[str, Any] = {}
    if os.path.exists(DAEMON):
        with open(DAEMON, encoding="utf-8") as file:
            settings = json.loads(file.read() or "{}")
    hosts, verifies = list(settings.get("hosts") or ()), bool(settings.get("tlsverify"))
    for words in _command_lines("dockerd"):
        hosts += hosts_of(words)
        verifies = verifies or "--tlsverify" in words or "--tlsverify=true" in words
    return Daemon(tuple(dict.fromkeys(hosts)), verifies)


def _command_lines(name: str) -> Iterator[List[str]]:
    """That of each process of this name."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/comm" % pid, encoding="utf-8", errors="replace") as file:
                if file.read().strip() != name:
                    continue
            with open("/proc/%s/cmdline" % pid, encoding="utf-8", errors="replace") as file:
                yield file.read().split("\0")
        except OSError:
            continue  # it has ended meanwhile


def hosts_of(words: List[str]) -> Iterator[str]:
    """The addresses after -H and --host, in any way of writing them."""
    for word, following in zip(words, [*words[1:], ""]):
        if word in ("-H", "--host"):
            yield following
        elif word.startswith("--host="):
            yield word[len("--host="):]
        elif word.startswith("-H") and len(word) > 2:
            yield word[2:].lstrip("=")


def read_access() -> Optional[Access]:
    """None when there is no socket."""
    try:
        status = os.stat(SOCKET)
    except FileNotFoundError:
        return None
    try:
        group = grp.getgrgid(status.st_gid)
    except KeyError:
        return Access(stat.S_IMODE(status.st_mode), str(status.st_gid), ())
    own = [user.pw_name for user in pwd.getpwall() if user.pw_gid == group.gr_gid]
    return Access(stat.S_IMODE(status.st_mode), group.gr_name, tuple(sorted({*group.gr_mem, *own})))


def read_updates() -> Updates:
    packages, since = None, time.time()
    if os.path.exists("/run/reboot-required"):
        since = os.stat("/run/reboot-required").st_mtime
        packages = tuple(_lines("/run/reboot-required.pkgs"))
    running = platform.release()
    installed = [os.path.basename(path)[len("vmlinuz-"):] for path in glob.glob("/boot/vmlinuz-*")]
    newest = newest_kernel(running, installed)
    if newest != running:
        since = min(since, os.stat("/boot/vmlinuz-" + newest).st_mtime)
    return Updates(packages, since, running, newest, _automatic(), time.time())


def newest_kernel(running: str, installed: Collection[str]) -> str:
    """The newest installed one of the running one's flavour, e.g. of 6.8.0-1013-oracle."""
    flavour = re.sub(r"^[\d.+~-]+", "", running)
    return max([running, *(one for one in installed if re.sub(r"^[\d.+~-]+", "", one) == flavour)],
               key=lambda one: [int(number) for number in re.findall(r"\d+", one)])


def _lines(path: str) -> List[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return sorted(set(file.read().split()))
    except FileNotFoundError:
        return []


def _automatic() -> Optional[bool]:
    """Whether security updates come by themselves; None on a system without apt."""
    if not there("apt-config"):
        return None
    settings = run("apt-config", "dump", "--format=%f=%v%n", "APT::Periodic")
    values = dict(line.split("=", 1) for line in settings.splitlines() if "=" in line)
    wanted = all(values.get("APT::Periodic::" + key, "0") not in ("", "0")
                 for key in ("Update-Package-Lists", "Unattended-Upgrade"))
    return wanted and there("unattended-upgrade") and TIMER in enabled(TIMER)


# Judging -------------------------------------------------------------------------------------------------------------

def docker_ports(daemon: Optional[Daemon], sockets: Collection[Socket], processes: Mapping[int, Process]) -> List[int]:
    """The ports at which the Engine's API answers, or would after a restart."""
    found = {int(match.group(1)) for host in (daemon.hosts if daemon else ()) if host.startswith("tcp://")
             for match in [re.search(r":(\d+)/?$", host)] if match}
    found |= {2375 for host in (daemon.hosts if daemon else ()) if host.startswith("tcp://")
              and not re.search(r":\d+/?$", host)}
    for socket in sockets:
        process = processes.get(socket.pid or 0)
        # With socket activation it is systemd that listens.
        if socket.protocol == "tcp" and socket.port in TCP_PORTS and (
                process is None or process.name in ("dockerd", "systemd")):
            found.add(socket.port)
    return sorted(found)


def judge_docker_tcp(daemon: Daemon, sockets: Collection[Socket],
                     processes: Mapping[int, Process]) -> Iterator[Finding]:
    rule = RULES["host-docker-tcp"]
    for port in docker_ports(daemon, sockets, processes):
        yield rule.finding("verified" if daemon.verifies else "open", str(port))


def judge_docker_group(access: Optional[Access], owner: str) -> Iterator[Finding]:
    rule = RULES["host-docker-group"]
    if access is None:
        return
    if access.mode & stat.S_IWOTH:
        yield rule.finding("socket", SOCKET, mode="%04o" % access.mode)
    if access.mode & stat.S_IWGRP and access.group != "root":
        for name in access.members:
            if name not in ("root", owner):
                yield rule.finding("member", name, group=access.group).at(name)


def judge_updates(updates: Updates) -> Iterator[Finding]:
    rule = RULES["host-reboot"]
    days = int((updates.now - updates.since) / _DAY)
    overdue = days >= OVERDUE_DAYS
    if updates.packages is not None:
        yield rule.finding("overdue" if overdue else "pending", packages=", ".join(updates.packages) or "-", days=days)
    elif updates.newest_kernel != updates.kernel:
        yield rule.finding("overdue" if overdue else "pending", packages="linux " + updates.newest_kernel, days=days)
    if updates.automatic is False:
        yield rule.finding("manual")
