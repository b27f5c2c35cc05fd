# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Whether what really runs on a host is as safe as its files say. `gather` reads the host, `judge` is pure.

What cannot be read makes the rules UNKNOWN that need it, and no other.
"""

from __future__ import annotations

import subprocess
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Tuple

from . import preflight_host_containers as containers
from . import preflight_host_network as network
from . import preflight_host_sshd as sshd
from . import preflight_host_system as system
from .engine import Engine, EngineError
from .findings import Finding, Rule, with_passes
from .preflight_host_rules import RULES

# What a reading of a host can fail with; and a judge, when the host answers in a shape that nobody expects.
_MISREAD = (AttributeError, LookupError, TypeError, ValueError)
_UNREAD = (OSError, EngineError, subprocess.SubprocessError, RecursionError, *_MISREAD)


class World(NamedTuple):
    """What was read, by name, and why the rest was not. Holds no secrets."""

    read: Dict[str, Any]
    errors: Dict[str, str]

    def get(self, name: str, otherwise: Any = None) -> Any:
        return self.read.get(name, otherwise)


def gather(description: Mapping[str, Any], resolved: Optional[Mapping[str, Any]],
           engine: Optional[Engine] = None) -> World:
    """Reads the host, as far as this user may. ``resolved`` is what Compose makes of the file, None when it cannot."""
    world = World({}, {})
    engine = engine or Engine(timeout=10)

    def read(name: str, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            world.read[name] = function(*arguments)
        except _UNREAD as problem:
            world.errors[name] = (str(problem).strip().splitlines() or [type(problem).__name__])[0]
        return world.read.get(name)

    read("containers", containers.read, engine)
    read("networks", containers.read_networks, engine)
    read("images", lambda: containers.read_images(engine, _images(resolved)))
    processes = read("processes", network.read_processes) or {}
    read("sockets", network.read_sockets)
    read("addresses", network.read_addresses)
    read("ways_out", network.read_ways_out)
    enabled = read("enabled", system.read_enabled) or {}
    read("filters", network.read_filters, enabled)
    read("sshd", sshd.read, description["owner"])
    read("daemon", system.read_daemon, processes)
    read("access", system.read_access)
    read("updates", system.read_updates, enabled)
    return world


def _images(resolved: Optional[Mapping[str, Any]]) -> List[str]:
    return [containers.file_image(name, service, resolved or {})
            for name, service in ((resolved or {}).get("services") or {}).items()]


def judge(world: World, description: Mapping[str, Any], resolved: Optional[Mapping[str, Any]],
          policy: Mapping[str, Any]) -> List[Finding]:
    """Everything that can be said, rule by rule; a PASS for each that was judged and found nothing."""
    found: List[Finding] = []
    for rule_id, needs, look in _judges(world, description, resolved, policy):
        found += _judge(RULES[rule_id], world, needs, look)
    return found


def _judge(rule: Rule, world: World, needs: Iterable[str], look: Callable[[], Iterable[Finding]]) -> List[Finding]:
    missing = [world.errors.get(name, "not read") for name in needs if name not in world.read]
    if missing:
        return [rule.unread(missing[0])]
    try:
        return with_passes({rule.id: rule}, list(look()))
    except _MISREAD as problem:
        return [rule.unread("%s: %s" % (type(problem).__name__, problem))]


_Judge = Tuple[str, Tuple[str, ...], Callable[[], Iterable[Finding]]]


def _judges(world: World, description: Mapping[str, Any], resolved: Optional[Mapping[str, Any]],
            policy: Mapping[str, Any]) -> Iterator[_Judge]:
    """Each rule, the readings without which it cannot be judged, and its judge."""
    public_ports = policy.get("public_ports") or ()
    stack = containers.Scene(world.get("containers", []), description["project"], resolved, public_ports,
                             _own_directories(description))
    processes = world.get("processes", {})
    sockets, daemon = world.get("sockets", []), world.get("daemon")
    net = network.Scene(
        sockets, processes, stack.containers, world.get("networks", []), world.get("addresses", {}),
        world.get("ways_out", []), world.get("filters", network.NO_FILTERS), sshd.ports(world.get("sshd")),
        system.docker_ports(daemon, sockets, processes), public_ports)
    yield "host-container", ("containers",), lambda: containers.judge_presence(stack)
    yield "host-binding", ("containers", "networks"), lambda: containers.judge_bindings(stack, net.networks)
    yield "host-privilege", ("containers",), lambda: containers.judge_privileges(stack)
    yield "host-mount", ("containers",), lambda: containers.judge_mounts(stack)
    yield "host-user", ("containers", "processes"), lambda: containers.judge_users(stack, network.roots(processes))
    yield "host-image", ("containers", "images"), lambda: containers.judge_images(stack, world.get("images"))
    yield "host-listener", ("sockets", "processes"), lambda: network.judge_listeners(net)
    firewall = ("filters", "networks", "addresses", "ways_out")
    yield "host-dnat", ("filters",), lambda: network.judge_dnat(net)
    yield "host-docker-user", firewall, lambda: network.judge_docker_user(net)
    yield "host-reject", ("filters", "addresses", "ways_out"), lambda: network.judge_reject(net)
    yield "host-web-ports", ("filters", "addresses", "ways_out", "sockets"), lambda: network.judge_web_ports(net)
    yield "host-metadata", firewall, lambda: network.judge_metadata(net)
    yield "host-sshd", ("sshd",), lambda: sshd.judge(world.get("sshd"), description["owner"])
    yield "host-docker-tcp", ("daemon", "sockets"), lambda: system.judge_docker_tcp(daemon, sockets, processes)
    yield "host-docker-group", ("access",), lambda: system.judge_docker_group(
        world.get("access"), description["owner"])
    yield "host-reboot", ("updates",), lambda: system.judge_updates(world.get("updates"))


def _own_directories(description: Mapping[str, Any]) -> List[str]:
    """Where this stack's secrets and backups lie: as sensitive as the system's own directories."""
    return [description[key] for key in ("directory", "backup_directory", "state_directory") if description.get(key)]


