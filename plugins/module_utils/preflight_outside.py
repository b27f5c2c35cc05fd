# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""How the host looks from outside: which of its ports answer this machine, over IPv4 and IPv6.

A port that does not answer proves something only when the way to the host is sound and this machine stands where
anyone could stand. Wherever that is in doubt, nothing passes; an open port is a failure all the same.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

from .findings import Finding
from .preflight_outside_rules import PORT, RULES, VANTAGE

__all__ = ["RULES", "judge", "ports", "probe"]

WEB = (80, 443)
# Where each engine listens in its container, and so where it would if it were published.
ENGINE_PORTS = {"postgresql": 5432, "redis": 6379, "n8n": 5678, "application": 8000, "prometheus": 9090,
                "grafana": 3000}
DASHBOARD, DOCKER = 8501, (2375, 2376)
# Nothing listens there. Where both are open, something on the way answers for the host.
UNLIKELY = (1, 61931)
TIMEOUT, TRIES, AT_ONCE = 3.0, 2, 32

OPEN, REFUSED, REJECTED, FILTERED, ERROR = "open", "refused", "rejected", "filtered", "error"
# What an ICMP answer becomes: OCI's own last rule is REJECT with icmp-host-prohibited, and a router without a way says
# nearly the same. Only whether other ports of the address answer tells them apart.
_REJECTIONS = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EACCES, errno.EPERM, errno.EADDRNOTAVAIL)
PRIVATE = [ipaddress.ip_network(network) for network in (
    "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "fc00::/7", "fe80::/10")]
_UP, _GATEWAY, _REJECT = 0x1, 0x2, 0x200

Address = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]
Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]


class Answer(NamedTuple):
    """What came back from a port; the error's text where there was one."""

    state: str
    detail: str = ""


class Target(NamedTuple):
    """One address of the host. ``source`` is the address that this machine reaches it from, "" without a way."""

    address: str
    source: str
    answers: Mapping[int, Answer]
    ansible: bool = False


class World(NamedTuple):
    """``networks`` are those that this machine is in; None when they cannot be read, for ``error``."""

    targets: Sequence[Target]
    unresolved: Mapping[str, str]
    networks: Optional[Sequence[str]]
    error: str = ""


def ports(description: Mapping[str, Any], policy: Mapping[str, Any], ssh_port: int = 22) -> Dict[int, str]:
    """What to try: port -> the service whose it is, "" when it is nobody's or several services'."""
    wanted = dict.fromkeys([ssh_port, *WEB, *policy["public_ports"], DASHBOARD, *ENGINE_PORTS.values(), *DOCKER], "")
    services = description.get("services", {})
    for engine, port in ENGINE_PORTS.items():
        names = [name for name, service in services.items() if service.get("engine") == engine]
        wanted[port] = names[0] if len(names) == 1 else ""
    wanted.update({service["port"]: name for name, service in services.items() if "port" in service})
    return wanted


# Looking -------------------------------------------------------------------------------------------------------------

def probe(host: str, more: Sequence[str], wanted: Iterable[int], timeout: float = TIMEOUT) -> World:
    """Tries every port at every address: those of ``host``, which Ansible is connected to, and ``more``."""
    addresses, unresolved = _resolve(host, more)
    sources = {address: source_towards(address) for address in addresses}
    # What answers at an address of this machine may be its own, and says nothing of the host.
    away = [address for address in addresses if not _is_own(address, sources[address])]
    answers = knock(away, sorted({*wanted, *UNLIKELY}), timeout)
    networks, error = own_networks()
    return World([Target(address, sources[address], answers.get(address, {}), ansible)
                  for address, ansible in addresses.items()], unresolved, networks, error)


def knock(addresses: Sequence[str], wanted: Sequence[int], timeout: float = TIMEOUT) -> Dict[str, Dict[int, Answer]]:
    """What every port answers, all tried at once."""
    pairs = [(address, port) for address in addresses for port in wanted]
    found: Dict[str, Dict[int, Answer]] = {address: {} for address in addresses}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for (address, port), answer in zip(pairs, pool.map(lambda pair: _try(pair[0], pair[1], timeout), pairs)):
            found[address][port] = answer
    return found


def source_towards(address: str) -> str:
    """The address of this machine that packets to another would bear, "" without a way there. Sends nothing."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probing:
            probing.connect((address, 9))
            return str(probing.getsockname()[0]).partition("%")[0]
    except OSError:
        return ""


def own_networks(root: str = "/proc/net") -> Tuple[Optional[List[str]], str]:
    """The networks that this machine reaches without a router, or None and the reason."""
    try:
        with open(os.path.join(root, "route"), encoding="ascii") as stream:
            networks = list(_routes_ipv4(stream.read()))
        # Not there where IPv6 is switched off.
        if os.path.exists(os.path.join(root, "ipv6_route")):
            with open(os.path.join(root, "ipv6_route"), encoding="ascii") as stream:
                networks += _routes_ipv6(stream.read())
    except (OSError, ValueError, IndexError) as problem:
        return None, str(problem)
    # A tunnel's default route, whole or in halves, has no router either, and is no network one is in.
    return sorted(str(network) for network in set(networks) if network.prefixlen >= 8), ""


def _routes_ipv4(text: str) -> Iterator[Network]:
    for line in text.splitlines()[1:]:
        fields = line.split()
        if int(fields[3], 16) & (_UP | _GATEWAY | _REJECT) == _UP:
            # The kernel's words are in the machine's byte order; all that is supported is little-endian.
            address, mask = (int.from_bytes(bytes.fromhex(fields[column]), "little") for column in (1, 7))
            yield ipaddress.IPv4Network((address, bin(mask).count("1")), strict=False)


def _routes_ipv6(text: str) -> Iterator[Network]:
    for line in text.splitlines():
        fields = line.split()
        if int(fields[8], 16) & (_UP | _GATEWAY | _REJECT) == _UP:
            yield ipaddress.IPv6Network((bytes.fromhex(fields[0]), int(fields[1], 16)), strict=False)


def _resolve(host: str, more: Sequence[str]) -> Tuple[Dict[str, bool], Dict[str, str]]:
    """address -> whether Ansible is connected to it, and name -> error. IPv4 and IPv6."""
    addresses: Dict[str, bool] = {}
    unresolved = {}
    for name in [name.strip("[]") for name in (host, *more) if name]:
        try:
            for entry in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM):
                addresses.setdefault(str(_parse(str(entry[4][0]))), name == host.strip("[]"))
        except (OSError, UnicodeError, ValueError) as problem:
            unresolved[name] = getattr(problem, "strerror", None) or str(problem)
    return addresses, unresolved


def _try(address: str, port: int, timeout: float) -> Answer:
    answer = Answer(FILTERED)
    for _attempt in range(TRIES):
        answer = _connect(address, port, timeout)
        # A packet may get lost; a word that came back did not.
        if answer.state != FILTERED:
            break
    return answer


def _connect(address: str, port: int, timeout: float) -> Answer:
    try:
        with socket.create_connection((address, port), timeout):
            return Answer(OPEN)
    except ConnectionRefusedError:
        return Answer(REFUSED)
    except ConnectionResetError:
        # Someone answered and thought better of it: no service can be reached.
        return Answer(REFUSED)
    except (socket.timeout, TimeoutError):
        return Answer(FILTERED)
    except OSError as problem:
        detail = problem.strerror or str(problem)
        return Answer(REJECTED if problem.errno in _REJECTIONS else ERROR, detail)


# Judging -------------------------------------------------------------------------------------------------------------

def judge(world: World, policy: Mapping[str, Any], wanted: Mapping[int, str], ssh_port: int = 22, source: str = "",
          allowed_sources: Sequence[str] = ()) -> List[Finding]:
    """``source`` is this machine's address as the host sees it, "" when that is not known; ``allowed_sources`` are the
    networks that SSH is said to be limited to."""
    found = [VANTAGE.finding("unresolved", name, error=error) for name, error in world.unresolved.items()]
    if not world.targets:
        return found or [VANTAGE.finding("no-address")]
    for target in world.targets:
        found.extend(_judge_target(world, target, policy, wanted, ssh_port, source))
        found.extend(_judge_source(target, ssh_port, source, allowed_sources))
    return found


def _judge_target(world: World, target: Target, policy: Mapping[str, Any], wanted: Mapping[int, str], ssh_port: int,
                  source: str) -> Iterator[Finding]:
    address = target.address
    if not target.answers or _same(source, address):
        yield VANTAGE.finding("own", address)
        return
    if _is_middlebox(target):
        yield VANTAGE.finding("middlebox", address, ports=_list(UNLIKELY))
        return
    allowed = {ssh_port, *policy["public_ports"]}
    states = {port: target.answers[port].state for port in wanted}
    exposed = sorted(port for port, state in states.items() if state == OPEN and port not in allowed)
    for port in exposed:
        yield PORT.finding("open", "%d %s" % (port, address), port=port, address=address,
                           name=wanted[port] or _known(port)).at(service=wanted[port])
    doubts = list(_doubts(world, target, ssh_port, source))
    yield from doubts
    if doubts:
        return
    yield VANTAGE.finding("neutral", address)
    unclear = sorted(port for port, state in states.items() if state == ERROR)
    for port in unclear:
        yield PORT.unread(target.answers[port].detail, "%d %s" % (port, address)).at(service=wanted[port])
    for port in sorted(policy["public_ports"]):
        if states[port] not in (OPEN, ERROR):
            yield PORT.finding("unused", "%d %s" % (port, address), port=port, address=address).at(service=wanted[port])
    if not exposed and not unclear:
        yield PORT.finding("closed", address, closed=_list(port for port in sorted(states) if states[port] != OPEN),
                           open=_list(port for port in sorted(states) if states[port] == OPEN))


def _doubts(world: World, target: Target, ssh_port: int, source: str) -> Iterator[Finding]:
    """Why what does not answer here may answer elsewhere."""
    address = target.address
    family = "IPv6" if ":" in address else "IPv4"
    if world.networks is None:
        yield VANTAGE.unread(world.error, address)
    around = next((network for network in world.networks or () if _inside(address, [network])), None)
    if around:
        yield VANTAGE.finding("network", address, network=around)
    elif _inside(address, PRIVATE):
        yield VANTAGE.finding("private", address)
    if source and (_inside(source, PRIVATE) or _parse(source).is_loopback):
        yield VANTAGE.finding("seen-private", address, source=source)
    answers = [target.answers[port] for port in sorted(target.answers)]
    if not any(answer.state in (OPEN, REFUSED) for answer in answers):
        error = next((answer.detail for answer in answers if answer.detail), "")
        yield VANTAGE.finding("no-way" if error else "silent", address, error=error, family=family)
    elif target.ansible and not any(other.ansible and _is_open(other, ssh_port) for other in world.targets):
        yield VANTAGE.finding("ssh", address, port=ssh_port)


def _judge_source(target: Target, ssh_port: int, source: str, allowed: Sequence[str]) -> Iterator[Finding]:
    """Whether SSH answers here because this machine is one of those it is meant for."""
    if not allowed or _same(source, target.address) or not _is_open(target, ssh_port) or _is_middlebox(target):
        return
    subject = "%d %s" % (ssh_port, target.address)
    # Ansible may be connected over the other of IPv4 and IPv6.
    here = source if source and (":" in source) == (":" in target.address) else target.source
    around = next((network for network in allowed if _inside(here, [network])), None)
    if not here or _inside(here, PRIVATE):
        yield VANTAGE.finding("source", subject)
    elif around:
        yield VANTAGE.finding("allowed", subject, source=here, allowed=around)
    else:
        yield PORT.finding("ssh-open", subject, source=here, allowed=_list(allowed), port=ssh_port)


def _is_open(target: Target, port: int) -> bool:
    return port in target.answers and target.answers[port].state == OPEN


def _is_middlebox(target: Target) -> bool:
    return all(_is_open(target, port) for port in UNLIKELY)


def _is_own(address: str, source: str) -> bool:
    """Packets to an address of this machine bear that same address."""
    return source == address or _parse(address).is_loopback or _parse(address).is_unspecified


def _same(source: str, address: str) -> bool:
    return bool(source) and _parse(source) == _parse(address)


def _inside(address: str, networks: Iterable[Union[str, Network]]) -> bool:
    return bool(address) and any(_parse(address) in ipaddress.ip_network(network, strict=False)
                                 for network in networks)


def _parse(address: str) -> Address:
    """An address; the zone of a link-local one is dropped, and IPv4 in an IPv6 coat is IPv4."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    return getattr(parsed, "ipv4_mapped", None) or parsed


def _known(port: int) -> str:
    """Whose a port is when it is no service's."""
    if port in DOCKER:
        return "Docker"
    return next((engine for engine, known in ENGINE_PORTS.items() if known == port), "TCP")


def _list(values: Iterable[Any]) -> str:
    return ", ".join(str(value) for value in values) or "-"
