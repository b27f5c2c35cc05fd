# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""What stands between a service's processes and the host: namespaces, privileges, capabilities, confinement."""

from __future__ import annotations

import re
from typing import Any, Iterator, Mapping, Optional, Set, Tuple

from .preflight_compose_common import Found, containers, hooks, listed, mapping, services, true, variables
from .preflight_compose_rules import HARMLESS, RULES

_NAMESPACES = (("pid", "pid"), ("ipc", "ipc"), ("userns_mode", "userns"), ("uts", "uts"), ("cgroup", "cgroup"))
_SELINUX_OFF = ("disable", "type:spc_t", "type:unconfined_t")
# What has a value of its own in each container; all else is the host's.
_OWN_SYSCTL = re.compile(r"net\.|fs\.mqueue\.|kernel\.(msg(max|mnb|mni)|sem|shm(all|max|mni|_rmid_forced))\Z")
_HARMLESS_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_GPU = re.compile(r"/dev/(dri|nvidia|kfd)|[^/].*=")


def judge_isolation(project: Mapping[str, Any]) -> Iterator[Found]:
    """Everything but ports, mounts and networks."""
    names = container_names(project)
    for name, container in containers(project):
        if container.get("provider"):
            yield from _provider(name, container)
            continue
        for judge in (_privileged, _confinement, _capabilities, _sysctls, _user, _devices):
            yield from judge(name, container)
        yield from _namespaces(name, container, names)


def container_names(project: Mapping[str, Any]) -> Set[str]:
    """Names under which the project's own containers may be spoken of."""
    names = {str(service["container_name"]) for _name, service in services(project) if service.get("container_name")}
    prefix = str(project.get("name") or "")
    return names | {"%s-%s-1" % (prefix, name) for name, _service in services(project)}


def foreign_container(mode: Any, own: Set[str]) -> Optional[str]:
    """The container that `container:NAME` speaks of, where it is none of the project's."""
    kind, _colon, name = str(mode or "").partition(":")
    return name if kind == "container" and name not in own else None


def _namespaces(name: str, service: Mapping[str, Any], own: Set[str]) -> Iterator[Found]:
    for key, short in _NAMESPACES:
        rule, mode = RULES["compose-%s-host" % short], service.get(key)
        foreign = foreign_container(mode, own)
        if str(mode or "").strip().lower() == "host":
            yield Found(rule.finding("host", name), name, ("services", name, key))
        elif foreign is not None:
            yield Found(rule.finding("foreign", name, container=foreign), name, ("services", name, key))


def _privileged(name: str, service: Mapping[str, Any]) -> Iterator[Found]:
    rule, path = RULES["compose-privileged"], ("services", name)
    if true(service.get("privileged")):
        yield Found(rule.finding("container", name), name, (*path, "privileged"))
    for kind, hook in hooks(service):
        if true(hook.get("privileged")):
            yield Found(rule.finding("hook", "%s %s" % (name, kind), hook=kind), name, (*path, kind, "privileged"))
    build = mapping(service.get("build"))
    if true(build.get("privileged")):
        yield Found(rule.finding("build", name, how="privileged"), name, (*path, "build", "privileged"))
    for entitlement in listed(build.get("entitlements")):
        if str(entitlement).strip().lower().startswith(("security.insecure", "device")):
            yield Found(rule.finding("build", name, how=entitlement), name, (*path, "build", "entitlements"))


def _provider(name: str, service: Mapping[str, Any]) -> Iterator[Found]:
    """What stands in for a container is a program that `up` runs on the host. Docker's own models are one, too."""
    kind = str(mapping(service.get("provider")).get("type") or "")
    if kind != "model":
        yield Found(RULES["compose-privileged"].finding("provider", name, program=kind), name,
                    ("services", name, "provider"))


def security_option(text: Any) -> Tuple[str, str]:
    """An entry of security_opt as the Engine takes it apart; the old form has a colon."""
    text = str(text).strip()
    mark = "=" if "=" in text else ":"
    key, _mark, value = text.partition(mark)
    return key.strip().lower(), value.strip()


def _confinement(name: str, service: Mapping[str, Any]) -> Iterator[Found]:
    path = ("services", name, "security_opt")
    privileges = None
    for option in listed(service.get("security_opt")):
        key, value = security_option(option)
        if key == "no-new-privileges":
            # As Go reads a truth value; the last one counts.
            privileges = value in ("", "1", "t", "T", "TRUE", "true", "True")
        elif _unconfines(key, value.lower()):
            yield Found(RULES["compose-unconfined"].finding("off", "%s %s" % (name, option), option=option), name,
                        (*path, str(option)))
    if not privileges:
        case = "missing" if privileges is None else "off"
        where = ("services", name) if privileges is None else path
        yield Found(RULES["compose-no-new-privileges"].finding(case, name), name, where)


def _unconfines(key: str, value: str) -> bool:
    if key in ("seccomp", "apparmor", "systempaths"):
        return value == "unconfined"
    if key == "label":
        return value.replace("=", ":") in _SELINUX_OFF
    return key == "writable-cgroups" and value not in ("0", "f", "false")


def capability(text: Any) -> str:
    """The one spelling of a capability: SYS_ADMIN."""
    name = str(text).strip().upper()
    return name[len("CAP_"):] if name.startswith("CAP_") else name


def _capabilities(name: str, service: Mapping[str, Any]) -> Iterator[Found]:
    for entry in listed(service.get("cap_add")):
        added = capability(entry)
        if added not in HARMLESS:
            yield Found(RULES["compose-capability"].finding("added", "%s %s" % (name, added), capability=added), name,
                        ("services", name, "cap_add", str(entry)))
    if "ALL" not in map(capability, listed(service.get("cap_drop"))):
        yield Found(RULES["compose-cap-drop"].finding("missing", name), name, ("services", name))


def _sysctls(name: str, service: Mapping[str, Any]) -> Iterator[Found]:
    shares_network = service.get("network_mode") == "host"
    shares_ipc = service.get("ipc") == "host"
    for key in variables(service.get("sysctls")):
        setting = key.strip().replace("/", ".")
        shared = shares_network if setting.startswith("net.") else shares_ipc
        if shared or not _OWN_SYSCTL.match(setting):
            yield Found(RULES["compose-sysctl"].finding("host", "%s %s" % (name, key), name=key), name,
                        ("services", name, "sysctls", key))


def is_root(user: Any) -> bool:
    """Whether a `user:` is root, by name or number. With a group alone the Engine takes root."""
    text = str(user).strip()
    owner = text.partition(":")[0].strip()
    if not owner:
        return ":" in text
    try:
        return int(owner) == 0
    except ValueError:
        return owner == "root"


def _user(name: str, service: Mapping[str, Any]) -> Iterator[Found]:
    rule, user = RULES["compose-user-root"], service.get("user")
    if user is not None and is_root(user):
        yield Found(rule.finding("user", name, user=user), name, ("services", name, "user"))
    for kind, hook in hooks(service):
        if hook.get("user") is not None and is_root(hook["user"]):
            yield Found(rule.finding("hook", "%s %s" % (name, kind), hook=kind, user=hook["user"]), name,
                        ("services", name, kind, "user"))


def _devices(name: str, service: Mapping[str, Any]) -> Iterator[Found]:
    rule, path = RULES["compose-device"], ("services", name)
    for entry in listed(service.get("devices")):
        source = str(entry.get("source") if isinstance(entry, dict) else entry)
        device = source if _GPU.match(source) else source.partition(":")[0]
        if device not in _HARMLESS_DEVICES:
            case = "gpu" if _GPU.match(device) else "device"
            yield Found(rule.finding(case, "%s %s" % (name, device), device=device), name, (*path, "devices", device))
    for entry in listed(service.get("device_cgroup_rules")):
        yield Found(rule.finding("rule", "%s %s" % (name, entry), device=entry), name,
                    (*path, "device_cgroup_rules", str(entry)))
    reserved = mapping(mapping(mapping(service.get("deploy")).get("resources")).get("reservations")).get("devices")
    for key, entry in [("gpus", each) for each in listed(service.get("gpus"))] + [
            ("deploy", each) for each in listed(reserved)]:
        yield Found(rule.finding("gpu", "%s %s" % (name, key), device=_shown(entry)), name, (*path, key))


def _shown(entry: Any) -> str:
    entry = mapping(entry)
    return str(entry.get("driver") or "/".join(map(str, listed(entry.get("capabilities")))) or "all")
