# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Who can reach the ports that a Compose project publishes."""

from __future__ import annotations

import ipaddress
from typing import Any, Collection, Dict, Iterator, List, Mapping, Tuple

from .preflight_compose_common import Found, containers, listed, mapping
from .preflight_compose_rules import RULES

_HOST_BINDING = "com.docker.network.bridge.host_binding_ipv4"


def judge_ports(project: Mapping[str, Any], public: Collection[int]) -> Iterator[Found]:
    """Ports published on anything but loopback, unless the policy allows them."""
    bound = _loopback_networks(project)
    for name, service in containers(project):
        by_default = _loopback_by_default(service, bound)
        for key, ports in _grouped(service).items():
            address, protocol = key
            if reach(address) == "loopback" or (not address and by_default):
                continue
            open_ports = [port for port in ports if not allowed(port, public)]
            for published, target in _runs(open_ports):
                yield _finding(name, address, published, target, protocol)


def reach(address: str) -> str:
    """loopback, everywhere (also with no address), or address."""
    try:
        parsed = ipaddress.ip_address(address.strip().strip("[]").partition("%")[0]) if address else None
    except ValueError:
        return "address"
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    if parsed is None or parsed.is_unspecified:
        return "everywhere"
    return "loopback" if parsed.is_loopback else "address"


def allowed(port: Tuple[str, str], public: Collection[int]) -> bool:
    """Whether the policy names every port that this one may be published on."""
    first, dash, last = port[0].partition("-")
    if not first.isdigit() or (dash and not last.isdigit()) or len(first) > 5 or len(last) > 5:
        return False
    return 0 < int(first) <= int(last or first) and all(
        number in public for number in range(int(first), int(last or first) + 1))


def _grouped(service: Mapping[str, Any]) -> Dict[Tuple[str, str], List[Tuple[str, str]]]:
    """(address, protocol) -> [(published, target)]."""
    groups: Dict[Tuple[str, str], List[Tuple[str, str]]] = {}
    for port in map(mapping, listed(service.get("ports"))):
        key = str(port.get("host_ip") or ""), str(port.get("protocol") or "tcp")
        groups.setdefault(key, []).append((str(port.get("published") or ""), str(port.get("target") or "")))
    return groups


def _runs(ports: List[Tuple[str, str]]) -> Iterator[Tuple[str, str]]:
    """Neighbouring ports as one range: a range in the file is many ports once resolved."""
    rest = sorted(set(ports), key=lambda port: [int(part) if part.isdigit() else -1 for part in port])
    while rest:
        first = last = rest.pop(0)
        while rest and _follows(last, rest[0]):
            last = rest.pop(0)
        yield first if first == last else ("%s-%s" % (first[0], last[0]), "%s-%s" % (first[1], last[1]))


def _follows(port: Tuple[str, str], other: Tuple[str, str]) -> bool:
    return all(a.isdigit() and b.isdigit() and int(b) == int(a) + 1 for a, b in zip(port, other))


def _finding(service: str, address: str, published: str, target: str, protocol: str) -> Found:
    shown = "%s:%s/%s" % (published, target, protocol) if published else "%s/%s" % (target, protocol)
    case = reach(address)
    if case == "everywhere" and published in ("", "0"):
        case = "ephemeral"
    finding = RULES["compose-port-public"].finding(case, "%s %s" % (service, shown), address=address)
    return Found(finding, service, ("services", service, "ports", published or target))


def _loopback_networks(project: Mapping[str, Any]) -> List[str]:
    """Networks whose own default puts published ports on loopback."""
    return [name for name, network in mapping(project.get("networks")).items()
            if reach(str(mapping(mapping(network).get("driver_opts")).get(_HOST_BINDING) or "")) == "loopback"]


def _loopback_by_default(service: Mapping[str, Any], bound: Collection[str]) -> bool:
    """Any of a service's networks may become its gateway, so all of them have to say so."""
    attached = list(mapping(service.get("networks")))
    return bool(attached) and all(name in bound for name in attached)
