# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""What the containers of a host really have, beside what the Compose file says.

A container of the project is compared with its service in the file: what the file itself says is judged by the file's
rules. One that no file describes, such as a stray `docker run`, may have nothing dangerous at all.
"""

from __future__ import annotations

import hashlib
import ipaddress
import posixpath
from typing import Any, Collection, Dict, FrozenSet, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Set, Tuple

from . import preflight_compose_paths as paths
from .engine import Engine, EngineError
from .findings import Finding
from .preflight_compose_common import undoubled, variables
from .preflight_compose_isolation import capability, is_root, security_option
from .preflight_compose_mounts import volume_devices
from .preflight_compose_rules import HARMLESS
from .preflight_host_rules import RULES

PROJECT, SERVICE, ONE_OFF = ("com.docker.compose." + name for name in ("project", "service", "oneoff"))
NAMESPACES = (("PidMode", "pid", "pid"), ("IpcMode", "ipc", "ipc"), ("UTSMode", "uts", "uts"),
              ("UsernsMode", "userns_mode", "userns"))
GATEWAY_MODES = ("com.docker.network.bridge.gateway_mode_ipv4", "com.docker.network.bridge.gateway_mode_ipv6")
EXPOSING_MODES = ("nat-unprotected", "routed")
EXPOSING_DRIVERS = ("macvlan", "ipvlan")  # containers with addresses of the outer network


class Binding(NamedTuple):
    """A port of a container as the host publishes it. ``port`` is None where any may be taken."""

    address: str
    port: Optional[int]
    protocol: str
    target: int

    def __str__(self) -> str:
        address = "[%s]" % self.address if ":" in self.address else self.address
        return "%s:%s->%d/%s" % (address, self.port, self.target, self.protocol)


class Mount(NamedTuple):
    """What a container sees of the host's files: a path of the host, or a named volume."""

    source: str
    target: str
    writable: bool
    is_volume: bool = False


class Container(NamedTuple):
    """A container that runs. ``service`` is "" when no Compose project made it. Its environment is hashed."""

    id: str
    name: str
    project: str
    service: str
    image: str
    image_id: str
    user: str
    bindings: Tuple[Binding, ...] = ()
    networks: Tuple[str, ...] = ()
    host_network: bool = False
    mounts: Tuple[Mount, ...] = ()
    powers: FrozenSet[str] = frozenset()
    limits: FrozenSet[str] = frozenset()
    environment: Mapping[str, str] = {}

    @property
    def label(self) -> str:
        """What a waiver calls it."""
        return self.service or self.name


class Network(NamedTuple):
    """A network of the Engine. ``interface`` is the bridge on the host, "" for networks without one."""

    name: str
    interface: str
    subnets: Tuple[str, ...]
    gateways: Tuple[str, ...]
    modes: Tuple[str, ...]


# Reading -------------------------------------------------------------------------------------------------------------

def read(engine: Engine) -> List[Container]:
    """Every container that runs, or would at any moment (paused, restarting)."""
    volumes = {volume["Name"]: volume.get("Options") or {} for volume in engine.get("/volumes").get("Volumes") or ()}
    found = []
    for entry in engine.get("/containers/json"):
        try:
            found.append(container(engine.get("/containers/%s/json" % entry["Id"]), volumes))
        except EngineError as problem:
            if problem.status != 404:  # gone meanwhile
                raise
    return found


def read_networks(engine: Engine) -> List[Network]:
    return [network(shown) for shown in engine.get("/networks")]


def read_images(engine: Engine, references: Iterable[str]) -> Dict[str, Optional[str]]:
    """reference -> the id that it names now; None when it names nothing here."""
    return {reference: engine.image_id(reference) for reference in sorted(set(references))}


def container(shown: Mapping[str, Any], volumes: Mapping[str, Mapping[str, str]]) -> Container:
    """A container as `docker inspect` shows it."""
    config, host = shown["Config"], shown["HostConfig"]
    labels = config.get("Labels") or {}
    settings = shown.get("NetworkSettings") or {}
    # `docker compose run` makes a container of its own, with other settings than the service's.
    described = labels.get(ONE_OFF) != "True"
    return Container(
        shown["Id"], shown["Name"].lstrip("/"), labels.get(PROJECT, ""), labels.get(SERVICE, "") if described else "",
        config.get("Image") or "", shown["Image"], config.get("User") or "",
        tuple(_bindings(settings.get("Ports") or {})), tuple(sorted(settings.get("Networks") or {})),
        host.get("NetworkMode") == "host",
        tuple(_mount(mount, volumes) for mount in shown.get("Mounts") or ()), _powers(host), _limits(host),
        fingerprints(dict(entry.partition("=")[::2] for entry in config.get("Env") or ())))


def network(shown: Mapping[str, Any]) -> Network:
    """A network as `docker network inspect` shows it."""
    options = shown.get("Options") or {}
    ranges = (shown.get("IPAM") or {}).get("Config") or ()
    interface = ""
    if shown.get("Driver") == "bridge":
        interface = options.get("com.docker.network.bridge.name") or "br-" + shown["Id"][:12]
    return Network(shown["Name"], interface, tuple(entry["Subnet"] for entry in ranges if entry.get("Subnet")),
                   tuple(entry["Gateway"].partition("/")[0] for entry in ranges if entry.get("Gateway")),
                   tuple(sorted({options[key] for key in GATEWAY_MODES if options.get(key) in EXPOSING_MODES}
                                | {shown["Driver"]} & set(EXPOSING_DRIVERS))))


def fingerprints(environment: Mapping[str, str]) -> Dict[str, str]:
    """What tells values apart without being them."""
    return {name: hashlib.sha256(str(value).encode("utf-8", "replace")).hexdigest()
            for name, value in environment.items()}


def _bindings(ports: Mapping[str, Any]) -> Iterator[Binding]:
    for inside, published in sorted(ports.items()):
        target, _slash, protocol = inside.partition("/")
        for binding in published or ():
            yield Binding(binding.get("HostIp") or "0.0.0.0", int(binding["HostPort"]), protocol, int(target))


def _mount(mount: Mapping[str, Any], volumes: Mapping[str, Mapping[str, str]]) -> Mount:
    # Anything but a bind (a volume, a tmpfs, an image) shows nothing of the host's own files.
    is_volume, source = mount.get("Type") != "bind", mount.get("Source") or ""
    if is_volume:
        bound = _bound(volumes.get(mount.get("Name") or "", {}))
        is_volume, source = not bound, bound or mount.get("Name") or source
    return Mount(source, mount["Destination"], bool(mount.get("RW")), is_volume)


def _bound(options: Any) -> str:
    """The host's directory that a named volume is nothing but another name for, or ""."""
    return next((device for device, _writable in volume_devices({"driver_opts": options})), "")


def _powers(host: Mapping[str, Any]) -> FrozenSet[str]:
    found = {"cap_add " + name for name in map(capability, host.get("CapAdd") or ())}
    if host.get("Privileged"):
        found.add("privileged")
    found.update(_namespace(word, host.get(key)) for key, _in_file, word in NAMESPACES)
    found.update("device " + str(device.get("PathOnHost")) for device in host.get("Devices") or ())
    found.update("device_cgroup_rules " + rule for rule in host.get("DeviceCgroupRules") or ())
    found.update(word for word in map(_unconfined, host.get("SecurityOpt") or ()) if word)
    # No path of /proc covered: `systempaths=unconfined`, which Docker does not keep as an option.
    if host.get("MaskedPaths") == [] and not host.get("Privileged"):
        found.add("systempaths=unconfined")
    return frozenset(found - {""})


def _namespace(word: str, mode: Any) -> str:
    """Whose namespace is shared: the host's, or some container's, which the file may call by its service."""
    kind = str(mode or "").partition(":")[0]
    return "%s: %s" % (word, kind.replace("service", "container")) if kind in ("host", "container", "service") else ""


def _limits(host: Mapping[str, Any]) -> FrozenSet[str]:
    return _limits_of(host.get("SecurityOpt") or (), host.get("CapDrop") or (), host.get("ReadonlyRootfs"))


def _limits_of(options: Iterable[str], dropped: Iterable[str], read_only: Any) -> FrozenSet[str]:
    found = {"cap_drop " + name for name in map(capability, dropped)}
    if any(option.replace("=", ":") in ("no-new-privileges", "no-new-privileges:true") for option in options):
        found.add("no-new-privileges")
    if read_only:
        found.add("read_only")
    return frozenset(found)


def _unconfined(option: str) -> str:
    key, value = security_option(option)
    off = value in ("disable", "type:spc_t", "type:unconfined_t") if key == "label" else value == "unconfined"
    return "%s=%s" % (key, value) if off else ""


# What the file says --------------------------------------------------------------------------------------------------

def file_powers(service: Mapping[str, Any]) -> FrozenSet[str]:
    found = {"cap_add " + name for name in map(capability, service.get("cap_add") or ())}
    if service.get("privileged"):
        found.add("privileged")
    found.update(_namespace(word, service.get(in_file)) for _key, in_file, word in NAMESPACES)
    for device in service.get("devices") or ():
        found.add("device " + (str(device.get("source")) if isinstance(device, Mapping) else device.split(":")[0]))
    found.update("device_cgroup_rules " + rule for rule in service.get("device_cgroup_rules") or ())
    found.update(word for word in map(_unconfined, service.get("security_opt") or ()) if word)
    return frozenset(found)


def file_limits(service: Mapping[str, Any]) -> FrozenSet[str]:
    return _limits_of(service.get("security_opt") or (), service.get("cap_drop") or (), service.get("read_only"))


def file_mounts(service: Mapping[str, Any], resolved: Mapping[str, Any]) -> Dict[str, Mount]:
    """target -> what the file mounts there."""
    volumes = resolved.get("volumes") or {}
    found: Dict[str, Mount] = {}
    for entry in service.get("volumes_from") or ():
        other, _colon, mode = str(entry).partition(":")
        for target, mount in file_mounts(((resolved.get("services") or {}).get(other) or {}), resolved).items():
            found[target] = mount._replace(writable=mount.writable and mode != "ro")
    for entry in service.get("volumes") or ():
        source, is_volume = entry.get("source") or "", entry.get("type") == "volume"
        if is_volume:
            volume = volumes.get(source) or {}
            bound = _bound(volume.get("driver_opts"))
            is_volume, source = not bound, bound or volume.get("name") or source
        found[entry["target"]] = Mount(source, entry["target"], not entry.get("read_only"), is_volume)
    for kind in ("configs", "secrets"):
        for entry in service.get(kind) or ():
            target = entry.get("target") or entry["source"]
            target = target if target.startswith("/") else posixpath.join(
                "/run/secrets" if kind == "secrets" else "/", target)
            source = (resolved.get(kind) or {}).get(entry["source"], {}).get("file") or ""
            found[target] = Mount(source, target, False)
    return found


def file_image(name: str, service: Mapping[str, Any], resolved: Mapping[str, Any]) -> str:
    return service.get("image") or "%s-%s" % (resolved.get("name"), name)


# Judging -------------------------------------------------------------------------------------------------------------

class Scene(NamedTuple):
    """What the judges of containers look at. ``resolved`` is None when the file says nothing."""

    containers: List[Container]
    project: str
    resolved: Optional[Mapping[str, Any]]
    public_ports: Collection[int] = ()
    own_paths: Collection[str] = ()

    def service(self, one: Container) -> Optional[Mapping[str, Any]]:
        """The service of the file that a container belongs to; None when no file describes it."""
        if self.resolved is None or one.project != self.project:
            return None
        return (self.resolved.get("services") or {}).get(one.service)


def judge_presence(scene: Scene) -> Iterator[Finding]:
    """What of the project runs and is not in the file, what is missing, and what was made with other settings."""
    rule = RULES["host-container"]
    services = (scene.resolved or {}).get("services") or {}
    own = [one for one in scene.containers if one.project == scene.project]
    for one in own:
        service = services.get(one.service)
        if service is None:
            yield rule.finding("extra", one.name, project=scene.project).at(one.label)
            continue
        wanted = fingerprints({key: undoubled(str(value)) for key, value in variables(
            service.get("environment")).items() if value is not None})
        other = sorted(key for key, value in wanted.items() if one.environment.get(key) != value)
        if other:
            yield rule.finding("environment", one.name, keys=", ".join(other)).at(one.label)
    running = {one.service for one in own}
    for name, service in services.items():
        # Before the first deploy nothing runs, and that is no danger.
        wanted = (service.get("deploy") or {}).get("replicas", service.get("scale", 1))
        if own and name not in running and not service.get("profiles") and wanted != 0:
            yield rule.finding("missing", name).at(name)


def judge_bindings(scene: Scene, networks: Iterable[Network]) -> Iterator[Finding]:
    rule = RULES["host-binding"]
    exposing = {one.name: one for one in networks if one.modes}
    for one in scene.containers:
        service = scene.service(one)
        published = (service or {}).get("ports") or ()
        for binding in one.bindings:
            if not _loopback(binding.address):
                if binding.port not in scene.public_ports:
                    yield rule.finding("public", one.name, binding=binding).at(one.label)
            elif service is not None and not any(_published(port, binding) for port in published):
                yield rule.finding("other", one.name, binding=binding).at(one.label)
        if one.host_network and (service or {}).get("network_mode") != "host":
            yield rule.finding("host-network", one.name).at(one.label)
        for name in sorted(set(one.networks) & set(exposing)):
            if service is None or not _mode_in_file(scene.resolved or {}, exposing[name]):
                modes = ", ".join(exposing[name].modes)
                yield rule.finding("gateway", one.name, network=name, mode=modes).at(one.label)


def _mode_in_file(resolved: Mapping[str, Any], network_: Network) -> bool:
    for entry in (resolved.get("networks") or {}).values():
        entry = entry or {}
        options = entry.get("driver_opts") or {}
        modes = {options.get(key) for key in GATEWAY_MODES} | {entry.get("driver")}
        if entry.get("name") == network_.name and modes >= set(network_.modes):
            return True
    return False


def _published(port: Mapping[str, Any], binding: Binding) -> bool:
    """Whether this is what the file publishes there."""
    low, _dash, high = str(port.get("published") or "").partition("-")
    within = not low or (low.isdigit() and int(low) <= (binding.port or 0) <= int(high or low))
    return (within and int(port["target"]) == binding.target and (port.get("protocol") or "tcp") == binding.protocol
            and _same_address(port.get("host_ip") or "0.0.0.0", binding.address))


def _same_address(one: str, other: str) -> bool:
    return ipaddress.ip_address(one.strip("[]")) == ipaddress.ip_address(other)


def _loopback(address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_loopback


def judge_privileges(scene: Scene) -> Iterator[Finding]:
    rule = RULES["host-privilege"]
    for one in scene.containers:
        service = scene.service(one)
        if service is None:
            beyond, lacking = {power for power in one.powers if _dangerous(power)}, set()
        else:
            allowed = file_powers(service)
            # Who is privileged has all the rest with it.
            beyond = set() if "privileged" in allowed else set(one.powers - allowed)
            lacking = set(file_limits(service) - one.limits)
        if beyond:
            yield rule.finding("beyond" if service is not None else "stray", one.name,
                               powers=", ".join(sorted(beyond))).at(one.label)
        if lacking:
            yield rule.finding("lacking", one.name, limits=", ".join(sorted(lacking))).at(one.label)


def _dangerous(power: str) -> bool:
    kind, _space, name = power.partition(" ")
    return not (kind == "cap_add" and name in HARMLESS or kind == "device" and name in paths.HARMLESS_DEVICES)


def judge_mounts(scene: Scene) -> Iterator[Finding]:
    rule = RULES["host-mount"]
    for one in scene.containers:
        service = scene.service(one)
        described = {} if service is None else file_mounts(service, scene.resolved or {})
        for mount in one.mounts:
            wanted = described.get(mount.target)
            values = {"source": mount.source, "target": mount.target}
            if service is None:
                if not mount.is_volume and _sensitive(mount.source, scene.own_paths):
                    yield rule.finding("sensitive", one.name, **values).at(one.label)
            elif wanted is None:
                # A volume that the image asks for holds nothing of the host.
                if not mount.is_volume:
                    yield rule.finding("beyond", one.name, **values).at(one.label)
            elif wanted.source and not _same_source(wanted, mount):
                yield rule.finding("other", one.name, wanted=wanted.source, **values).at(one.label)
            elif mount.writable and not wanted.writable:
                yield rule.finding("writable", one.name, **values).at(one.label)


def _same_source(wanted: Mount, mount: Mount) -> bool:
    if wanted.is_volume != mount.is_volume:
        return False
    return wanted.source == mount.source or (
        not mount.is_volume and paths.normal(wanted.source) == paths.normal(mount.source))


def _sensitive(path: str, own_paths: Iterable[str]) -> bool:
    path = paths.normal(path)
    return (paths.holds_engine_socket(path) or paths.is_settings(path) or paths.is_sensitive(path, None, False)
            or any(paths.covers(path, own) or paths.covers(own, path) for own in own_paths))


def judge_users(scene: Scene, roots: Mapping[str, Set[str]]) -> Iterator[Finding]:
    """``roots``: container id -> names of its processes that run as the host's root."""
    rule = RULES["host-user"]
    for one in scene.containers:
        service = scene.service(one)
        if service is None:
            continue
        wanted = str(service.get("user") or "")
        user = wanted or one.user
        if wanted and wanted != one.user:
            yield rule.finding("other", one.name, user=one.user or "-", wanted=wanted).at(one.label)
        elif roots.get(one.id) and not (wanted and is_root(wanted)):
            case = "unnamed" if not user or is_root(user) else "root"
            yield rule.finding(case, one.name, user=user, processes=", ".join(sorted(roots[one.id]))).at(one.label)


def judge_images(scene: Scene, images: Mapping[str, Optional[str]]) -> Iterator[Finding]:
    rule = RULES["host-image"]
    for one in scene.containers:
        service = scene.service(one)
        if service is None:
            continue
        wanted = file_image(one.service, service, scene.resolved or {})
        if images.get(wanted) == one.image_id:
            continue
        case = "other" if wanted != one.image else "older" if images.get(wanted) else "gone"
        yield rule.finding(case, one.name, image=one.image, wanted=wanted, digest=one.image_id[:19]).at(one.label)
