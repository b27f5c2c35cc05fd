# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Host paths that a Compose project puts into containers, by bind mounts, volumes' driver options, configs, secrets."""

from __future__ import annotations

from typing import Any, Iterator, List, Mapping, NamedTuple, Tuple

from . import preflight_compose_paths as paths
from .preflight_compose_common import Found, Path, containers, listed, mapping, services, true
from .preflight_compose_isolation import container_names
from .preflight_compose_rules import RULES

_REMOTE = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "tmpfs", "ceph", "glusterfs", "fuse")
_SHARED = ("shared", "rshared")


class Mount(NamedTuple):
    """A host path in a container."""

    service: str
    source: str
    target: str
    read_only: bool
    path: Path
    # bind, npipe (a pipe on Windows), volume, config or secret
    kind: str = "bind"
    propagation: str = ""


class Host(NamedTuple):
    """What was read of the paths on this machine: where the project is, its .env, and where links lead."""

    directory: str = ""
    env_file: str = ""
    real: Mapping[str, str] = {}

    def both(self, path: str) -> List[str]:
        """The path, and where it leads if that is somewhere else."""
        plain = paths.normal(path)
        real = self.real.get(path, plain)
        return [plain] if real == plain else [plain, real]


def mounts(project: Mapping[str, Any]) -> Iterator[Mount]:
    for name, service in containers(project):
        for entry in map(mapping, listed(service.get("volumes"))):
            yield from _of_volume_entry(project, name, entry)
        for kind in ("configs", "secrets"):
            for entry in listed(service.get(kind)):
                source = str(entry.get("source") or "") if isinstance(entry, dict) else str(entry)
                target = str(mapping(entry).get("target") or source)
                file = mapping(mapping(project.get(kind)).get(source)).get("file")
                if file:
                    yield Mount(name, str(file), target, True, (kind, source, "file"), kind[:-1])


def judge_mounts(project: Mapping[str, Any], host: Host) -> Iterator[Found]:
    for mount in mounts(project):
        yield from _judge_mount(mount, host)
    own = container_names(project)
    for name, service in services(project):
        for entry in listed(service.get("volumes_from")):
            kind, _colon, rest = str(entry).partition(":")
            container = rest.partition(":")[0]
            if kind == "container" and container not in own:
                finding = RULES["compose-mount-writable"].finding("foreign", "%s %s" % (name, container),
                                                                  container=container)
                yield Found(finding, name, ("services", name, "volumes_from", str(entry)))


def _of_volume_entry(project: Mapping[str, Any], name: str, entry: Mapping[str, Any]) -> Iterator[Mount]:
    kind, source = entry.get("type"), str(entry.get("source") or "")
    target, read_only = str(entry.get("target") or ""), true(entry.get("read_only"))
    path = ("services", name, "volumes", target)
    if kind in ("bind", "npipe") and source:
        propagation = str(mapping(entry.get("bind")).get("propagation") or "")
        yield Mount(name, source, target, read_only, path, str(kind), propagation)
    elif kind == "volume" and source:
        volume = mapping(mapping(project.get("volumes")).get(source))
        for device, writable in volume_devices(volume):
            yield Mount(name, device, target, read_only or not writable, ("volumes", source, "driver_opts"), "volume")


def volume_devices(volume: Mapping[str, Any]) -> Iterator[Tuple[str, bool]]:
    """(host path, whether it may be written) of a named volume that is a host path in truth."""
    options = {str(key).lower(): str(value) for key, value in mapping(volume.get("driver_opts")).items()}
    words = options.get("o", "").split(",")
    writable = "ro" not in words
    kind = options.get("type", "").lower()
    binds = bool({"bind", "rbind"} & set(words))
    for key in ("device", "mountpoint", "source", "path"):
        value = options.get(key, "")
        if value.startswith("/") and not value.startswith("//") and (binds or kind not in _REMOTE):
            yield value, writable
    for word in words:
        key, _equals, value = word.partition("=")
        if key in ("lowerdir", "upperdir"):
            for each in value.split(":"):
                yield each, writable and key == "upperdir"


def _judge_mount(mount: Mount, host: Host) -> Iterator[Found]:
    plain, real = host.both(mount.source)[0], host.both(mount.source)[-1]
    holds_socket = mount.kind == "npipe" or paths.holds_engine_socket(plain) or paths.holds_engine_socket(real)
    case = _sensitivity(mount, host, plain, real)
    if holds_socket:
        yield _found(mount, "compose-docker-socket", "mount")
    # Of a directory that holds a socket that is the worst to be said; the root is more than that.
    if case and (not holds_socket or "/" in (plain, real)):
        yield _found(mount, "compose-mount-sensitive", case, real=real)
    if not holds_socket and case in ("", "logs") and not mount.read_only and plain not in paths.HARMLESS_DEVICES:
        yield _found(mount, "compose-mount-writable", "writable")
    if mount.propagation in _SHARED:
        yield _found(mount, "compose-mount-writable", "propagation", propagation=mount.propagation)


def _found(mount: Mount, rule: str, case: str, **values: str) -> Found:
    finding = RULES[rule].finding(case, "%s %s" % (mount.service, mount.source), source=mount.source,
                                  target=mount.target, **values)
    return Found(finding, mount.service, mount.path)


def _sensitivity(mount: Mount, host: Host, plain: str, real: str) -> str:
    """The case of compose-mount-sensitive, or "" where the path is an ordinary one."""
    settings = host.both(host.env_file) if host.env_file else []
    if paths.is_settings(plain) or any(paths.covers(path, env) for path in (plain, real) for env in settings):
        return "settings"
    if _is_sensitive(plain, mount, host):
        return "path"
    if _is_sensitive(real, mount, host):
        return "leads"
    return "logs" if mount.read_only and (paths.is_log(plain) or paths.is_log(real)) else ""


def _is_sensitive(path: str, mount: Mount, host: Host) -> bool:
    homes = host.both(host.directory) if host.directory else []
    project = next((each for each in homes if paths.covers(each, path) and paths.may_hold_a_project(each)), None)
    return paths.is_sensitive(path, project, mount.kind in ("config", "secret"))
