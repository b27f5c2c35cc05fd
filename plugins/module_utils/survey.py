# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""What a host is and has, read in one go. Reads; judges nothing."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import struct
import subprocess
import sys
import time
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple

from .engine import Engine, EngineError
from .identity import os_release

PROJECT_LABEL = "com.docker.compose.project"
# States of a socket as the kernel writes them. A UDP socket that is connected to someone hears nobody else.
LISTENING, UNCONNECTED = "0A", "07"


def gather(description: Mapping[str, Any], engine: Optional[Engine] = None) -> Dict[str, Any]:
    """Reads the host. A reading that failed is None, and `errors` says why."""
    errors: Dict[str, str] = {}

    def read(name: str, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except (OSError, ValueError, LookupError, EngineError, subprocess.SubprocessError) as problem:
            errors[name] = str(problem) or type(problem).__name__
            return None

    engine = engine or Engine(timeout=10)
    docker = read("docker", _docker) or {"state": "unread", "package": ""}
    world: Dict[str, Any] = {
        "system": read("system", _system),
        "architecture": platform.machine(),
        "python": list(sys.version_info[:3]),
        "memory": read("memory", _memory),
        "docker": docker,
        "engine": None, "containers": None, "volumes": None, "compose": None,
    }
    if docker["state"] != "absent":
        world["compose"] = read("compose", _compose)
    if docker["state"] == "installed":
        world["engine"] = read("engine", _answer, engine)
    if world["engine"]:
        world["containers"] = read("containers", _containers, engine)
        world["volumes"] = read("volumes", _volumes, engine)
    images = (world["engine"] or {}).get("root", "/var/lib/docker")
    world["space"] = {use: read("space " + use, _space, path)
                      for use, path in (("docker", images), ("stack", description["root"]))}
    world["listeners"] = read("listeners", _listeners,
                              [service["port"] for service in description["services"].values() if "port" in service])
    world["errors"] = errors
    return world


def _system() -> Dict[str, str]:
    with open("/etc/os-release", encoding="utf-8", errors="replace") as file:
        values = os_release(file.read())
    return {"id": values["ID"], "version": values.get("VERSION_ID", ""), "codename": values.get("VERSION_CODENAME", ""),
            "name": values.get("PRETTY_NAME", values["ID"])}


def _memory() -> int:
    with open("/proc/meminfo", encoding="ascii") as file:
        sizes = dict(line.split(":", 1) for line in file)
    return int(sizes["MemTotal"].split()[0]) * 1024


def _space(path: str) -> Dict[str, Any]:
    """The file system that a path is, or will be, on."""
    while not os.path.exists(path):
        path = os.path.dirname(path)
    system = os.statvfs(path)
    return {"path": path, "device": os.stat(path).st_dev, "free": system.f_bavail * system.f_frsize,
            # A file system that makes inodes as it goes says that it has none at all.
            "inodes": system.f_favail if system.f_files else None}


def _docker() -> Dict[str, str]:
    """Its package, if any, and its state: absent, installed, or interrupted (dpkg has begun and not finished)."""
    for package, state in _dpkg(("docker.io", "docker-ce")).items():
        return {"state": "installed" if state == "ii" else "interrupted", "package": package}
    return {"state": "installed" if shutil.which("dockerd") else "absent", "package": ""}


def _dpkg(packages: Iterable[str]) -> Dict[str, str]:
    """package -> the state that `dpkg -l` shows, of those that are there at least in part."""
    if not shutil.which("dpkg-query"):
        return {}
    shown = subprocess.run(["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Abbrev}\n", *packages],
                           capture_output=True, encoding="utf-8", check=False, timeout=30).stdout
    states = dict(line.split()[:2] for line in shown.splitlines() if line.strip())
    return {package: state for package, state in states.items() if state[1:2] not in ("n", "c")}


def _compose() -> Optional[str]:
    """The version of Compose's plugin; None when there is none."""
    if not shutil.which("docker"):
        return None
    asked = subprocess.run(["docker", "compose", "version", "--short"], capture_output=True, encoding="utf-8",
                           check=False, timeout=30)
    return asked.stdout.strip() if asked.returncode == 0 else None


def _answer(engine: Engine, patience: float = 5) -> Dict[str, str]:
    """The Engine's version and directory. One that is just starting gets a moment."""
    deadline = time.monotonic() + patience
    while True:
        try:
            return {"version": engine.get("/version")["Version"], "root": engine.get("/info")["DockerRootDir"]}
        except EngineError:
            if time.monotonic() > deadline:
                raise
            time.sleep(1)


def _containers(engine: Engine) -> List[Dict[str, Any]]:
    return [{
        "name": container["Names"][0].lstrip("/"),
        "project": (container.get("Labels") or {}).get(PROJECT_LABEL, ""),
        "running": container["State"] == "running",
        "ports": sorted({port["PublicPort"] for port in container.get("Ports") or () if port.get("PublicPort")}),
        "mounts": {mount["Destination"]: mount.get("Name") or mount.get("Source", "")
                   for mount in container.get("Mounts") or ()},
    } for container in engine.get("/containers/json", all="1")]


def _volumes(engine: Engine) -> List[str]:
    return sorted(volume["Name"] for volume in engine.get("/volumes")["Volumes"] or ())


def _listeners(ports: Sequence[int]) -> List[Dict[str, Any]]:
    """Who listens on these ports of this host."""
    found: List[Dict[str, Any]] = []
    for path in ("/proc/net/tcp", "/proc/net/tcp6"):
        if os.path.exists(path):  # no tcp6 where IPv6 is off
            with open(path, encoding="ascii") as file:
                found.extend({"address": address, "port": port, "inode": inode, "pid": None, "process": ""}
                             for address, port, inode in parse_tcp(file.read()) if port in ports)
    owners = socket_owners({listener["inode"] for listener in found}) if found else {}
    for listener in found:
        listener["pid"], listener["process"] = owners.get(listener["inode"], (None, ""))
    return found


def parse_tcp(text: str, order: str = "=", state: str = LISTENING) -> Iterator[Tuple[str, int, str]]:
    """address, port and inode of each listening socket in /proc/net/tcp or tcp6 (``state`` UNCONNECTED: udp, udp6).

    The kernel writes an address as 32-bit words in its own byte order (``order`` as in `struct`).
    """
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 9 and fields[3] == state:
            address, _colon, port = fields[1].partition(":")
            yield _address(address, order), int(port, 16), fields[9]


def _address(digits: str, order: str) -> str:
    words = [int(digits[at:at + 8], 16) for at in range(0, len(digits), 8)]
    packed = struct.pack("%s%dI" % (order, len(words)), *words)
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)


def socket_owners(inodes: Iterable[str]) -> Dict[str, Tuple[int, str]]:
    """inode -> process id and name, as far as this user may see."""
    wanted = {"socket:[%s]" % inode: inode for inode in inodes}
    owners: Dict[str, Tuple[int, str]] = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            for descriptor in os.listdir("/proc/%s/fd" % pid):
                inode = wanted.get(os.readlink("/proc/%s/fd/%s" % (pid, descriptor)))
                if inode:
                    with open("/proc/%s/comm" % pid, encoding="utf-8", errors="replace") as file:
                        owners.setdefault(inode, (int(pid), file.read().strip()))
        except OSError:
            continue  # it has ended meanwhile, or belongs to someone else
    return owners
