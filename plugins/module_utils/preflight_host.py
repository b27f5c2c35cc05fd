# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Whether what really runs on a host is as safe as its files say. `gather` reads the host, `judge` is pure.

What cannot be read makes the rules UNKNOWN that need it, and no other.
"""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Tuple

from . import preflight_host_containers as containers
from . import preflight_host_network as network
from . import preflight_host_sshd as sshd
from . import preflight_host_system as system
from .engine import Engine, EngineError
from .findings import Finding, Rule, with_passes
from .preflight_host_rules import RULES

# What a reading of a host can fail with; and a judge, when the host answers in a shape that nobody expects.
_MISREAD = (AttributeError, LookupError, RecursionError, TypeError, ValueError)
_UNREAD = (OSError, EngineError, subprocess.SubprocessError, *_MISREAD)


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
    asked = engine or Engine(timeout=10)
    # What is asked of other programs takes its time: they work side by side.
    readings: Dict[str, Callable[[], Any]] = {
        "sshd": lambda: sshd.read(description["owner"]),
        "filters": lambda: network.read_filters(description["name"]),
        "updates": system.read_updates,
        "addresses": network.read_addresses,
        "containers": lambda: containers.read(asked),
        "networks": lambda: containers.read_networks(asked),
        "images": lambda: containers.read_images(asked, _images(resolved)),
        "processes": network.read_processes,
        "sockets": network.read_sockets,
        "ways_out": network.read_ways_out,
        "daemon": system.read_daemon,
        "access": system.read_access,
    }
    with ThreadPoolExecutor(max_workers=6) as pool:
        jobs = {reading: pool.submit(read) for reading, read in readings.items()}
    for reading, job in jobs.items():
        try:
            world.read[reading] = job.result()
        except _UNREAD as problem:
            world.errors[reading] = (str(problem).strip().splitlines() or [type(problem).__name__])[0]
    return world


def _images(resolved: Optional[Mapping[str, Any]]) -> List[str]:
    return [containers.file_image(name, service, resolved or {})
            for name, service in ((resolved or {}).get("services") or {}).items()]


def judge(world: World, description: Mapping[str, Any], resolved: Optional[Mapping[str, Any]],
          policy: Mapping[str, Any]) -> List[Finding]:
    """Everything that can be said, rule by rule; a PASS for each that was judged and found nothing."""
    world = World({**world.read, "file": True}, world.errors) if resolved is not None else World(
        world.read, {**world.errors, "file": "Compose cannot make anything of the file"})
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
                             _own_paths(description))
    processes = world.get("processes", {})
    sockets, daemon = world.get("sockets", []), world.get("daemon")
    net = network.Scene(
        sockets, processes, stack.containers, world.get("networks", []), world.get("addresses", {}),
        world.get("ways_out", []), world.get("filters", network.NO_FILTERS), sshd.ports(world.get("sshd")),
        system.docker_ports(daemon, sockets, processes), public_ports)
    yield "host-container", ("containers", "file"), lambda: containers.judge_presence(stack)
    yield "host-binding", ("containers", "networks"), lambda: containers.judge_bindings(stack, net.networks)
    yield "host-privilege", ("containers",), lambda: containers.judge_privileges(stack)
    yield "host-mount", ("containers",), lambda: containers.judge_mounts(stack)
    yield "host-user", ("containers", "processes", "file"), lambda: containers.judge_users(
        stack, network.roots(processes))
    yield "host-image", ("containers", "images", "file"), lambda: containers.judge_images(stack, world.get("images"))
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


def _own_paths(description: Mapping[str, Any]) -> List[str]:
    """Where this stack's secrets and backups lie: as sensitive as the system's own directories."""
    return [os.path.join(description["directory"], ".env"), description["backup_directory"],
            description["state_directory"]]
