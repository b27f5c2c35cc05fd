# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""What of a host can be reached: its listening sockets, its packet filter, and what containers reach through it."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import time
from typing import Any, Collection, Dict, FrozenSet, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Set, Tuple

from . import preflight_host_firewall as firewall
from .findings import Finding
from .preflight_host_commands import enabled, run, there
from .preflight_host_containers import Container, Network
from .preflight_host_firewall import ACCEPT, NEUTRAL, REFUSE, Packet, Redirect, Ruleset
from .preflight_host_rules import RULES
from .survey import LISTENING, UNCONNECTED, parse_tcp, socket_owners

WEB_PORTS = (80, 443)
INTERNAL_PORTS = (5432, 6379, 5678, 8000, 8501, 9090, 3000)
_NOBODYS_PORT = 9  # "discard": where no rule is about it, the filter's last word on it is its word on all
METADATA = {4: (("169.254.169.254", 80), ("169.254.0.2", 3260)), 6: (("fd00:c1::a9fe:a9fe", 80),)}
SAVED = {4: "/etc/iptables/rules.v4", 6: "/etc/iptables/rules.v6"}
# What the role's own unit puts back at boot, before Docker's rules and over the saved ones.
OWN_SAVED = {4: "/etc/coinpilot/firewall/iptables.rules", 6: "/etc/coinpilot/firewall/ip6tables.rules"}
OWN_UNIT, PERSISTENT = "%s-firewall.service", ("netfilter-persistent.service", "iptables.service")
_UFW = "/etc/ufw/ufw.conf"
_SAVE = {4: ("iptables-save", "iptables-nft-save", "iptables-legacy-save", "/proc/net/ip_tables_names"),
         6: ("ip6tables-save", "ip6tables-nft-save", "ip6tables-legacy-save", "/proc/net/ip6_tables_names")}
# Tables of nftables that iptables keeps its own rules in, and those of an Engine that does without iptables.
MANAGED = tuple((family, table) for family in ("ip", "ip6")
                for table in ("filter", "nat", "mangle", "raw", "security", "docker-bridges"))
# Programs that ask and wait for an answer at a port of their own, which is no service.
CLIENTS = ("chronyd", "dhclient", "dhcpcd", "NetworkManager", "systemd-network", "systemd-resolve", "systemd-timesyn")
_CONTAINER = re.compile(r"[/-]([0-9a-f]{64})(?:\.scope)?$", re.MULTILINE)


class Process(NamedTuple):
    """``root`` is whether it has the power of the host's root; ``container`` is the id of the one it runs in."""

    name: str
    root: bool
    container: str


class Socket(NamedTuple):
    """One that waits for what comes. ``pid`` is None when its owner cannot be seen, or is the kernel."""

    protocol: str
    address: str
    port: int
    pid: Optional[int] = None


class Filters(NamedTuple):
    """The packet filter in force, per family; what is saved for the next boot; and how it gets there."""

    rulesets: Mapping[int, List[Ruleset]]
    saved: Mapping[int, Optional[Ruleset]]
    own_saved: Collection[int]
    ufw: bool
    native: Mapping[str, Any]
    doubled: Collection[int]


NO_FILTERS = Filters({}, {}, (), False, {}, ())


# Reading -------------------------------------------------------------------------------------------------------------

def read_processes(patience: float = 3) -> Dict[int, Process]:
    found = {int(pid): _process(int(pid)) for pid in filter(str.isdigit, os.listdir("/proc"))}
    deadline = time.monotonic() + patience
    for pid in found:
        # What Docker starts in a container, such as a health check, is root until its own program begins.
        while _is_starting(found[pid]) and time.monotonic() < deadline:
            time.sleep(0.02)
            found[pid] = _process(pid)
    return {pid: process for pid, process in found.items() if process is not None}


def _process(pid: int) -> Optional[Process]:
    """None when it has ended."""
    try:
        with open("/proc/%d/status" % pid, encoding="utf-8", errors="replace") as file:
            fields = dict(line.split(":", 1) for line in file if ":" in line)
        with open("/proc/%d/cgroup" % pid, encoding="utf-8", errors="replace") as file:
            inside = _CONTAINER.search(file.read())
    except OSError:
        return None
    # Real, effective, saved, file system: the effective one counts.
    return Process(fields["Name"].strip(), fields["Uid"].split()[1] == "0", inside.group(1) if inside else "")


def _is_starting(process: Optional[Process]) -> bool:
    return process is not None and process.root and process.container != "" and process.name.startswith("runc:[")


def read_sockets() -> List[Socket]:
    found: List[Tuple[str, str, int, str]] = []
    for protocol, state in (("tcp", LISTENING), ("udp", UNCONNECTED)):
        for path in ("/proc/net/" + protocol, "/proc/net/%s6" % protocol):
            if os.path.exists(path):  # no tcp6 where IPv6 is off
                with open(path, encoding="ascii") as file:
                    found += [(protocol, *fields) for fields in parse_tcp(file.read(), state=state)]
    owners = socket_owners({inode for _protocol, _address, _port, inode in found})
    sockets = {Socket(protocol, address, port, owners.get(inode, (None, ""))[0])
               for protocol, address, port, inode in found}
    return sorted(sockets, key=lambda one: (one.port, one.protocol, one.address, one.pid or 0))


def read_addresses() -> Dict[str, List[str]]:
    """interface -> its addresses."""
    return {link["ifname"]: [entry["local"] for entry in link.get("addr_info") or () if "local" in entry]
            for link in json.loads(run("ip", "-json", "address", "show"))}


def read_ways_out() -> List[str]:
    """The interfaces with a default route: where the world is."""
    with open("/proc/net/route", encoding="ascii") as file:
        rows = [line.split() for line in file.read().splitlines()[1:]]
    found = {row[0] for row in rows if len(row) > 7 and row[1] == "00000000" and row[7] == "00000000"}
    if os.path.exists("/proc/net/ipv6_route"):
        with open("/proc/net/ipv6_route", encoding="ascii") as file:
            found |= {row[-1] for row in map(str.split, file) if row[0] == "0" * 32 and row[1] == "00"}
    return sorted(found - {"lo"})


def read_filters(name: str) -> Filters:
    """``name`` is the stack's."""
    rulesets: Dict[int, List[Ruleset]] = {}
    doubled = []
    for family, (program, nft, legacy, names) in _SAVE.items():
        if not there(program):
            if family == 4:
                raise OSError("there is no %s" % program)
            continue
        rulesets[family] = [firewall.parse(run(program), family)]
        # iptables-legacy would make the tables that it is asked for: look first whether there are any.
        other = legacy if "nf_tables" in run(program, "--version") else nft
        if there(other) and (other == nft or _has_lines(names)):
            second = firewall.parse(run(other), family)
            if any(chain.rules for table in second.tables.values() for chain in table.values()):
                rulesets[family].append(second)
                doubled.append(family)
    own_unit = OWN_UNIT % name
    at_boot = enabled(*PERSISTENT, own_unit)
    persistent = at_boot & set(PERSISTENT)
    return Filters(
        rulesets,
        {family: _saved(path, family) if persistent else None for family, path in SAVED.items()},
        [family for family, path in OWN_SAVED.items()
         if own_unit in at_boot and os.path.exists(path)],
        _has_lines(_UFW, "ENABLED=yes"),
        json.loads(run("nft", "--json", "list", "ruleset")) if there("nft") else {}, doubled)


def _saved(path: str, family: int) -> Optional[Ruleset]:
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8", errors="replace") as file:
        return firewall.parse(file.read(), family)


def _has_lines(path: str, wanted: str = "") -> bool:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return any(wanted in line for line in file)
    except FileNotFoundError:
        return False


# Judging -------------------------------------------------------------------------------------------------------------

class Scene(NamedTuple):
    """What the judges of the network look at; what could not be read is empty where something else makes up for it."""

    sockets: List[Socket] = []
    processes: Mapping[int, Process] = {}
    containers: List[Container] = []
    networks: List[Network] = []
    addresses: Mapping[str, List[str]] = {}
    ways_out: List[str] = []
    filters: Filters = NO_FILTERS
    ssh_ports: Collection[int] = (22,)
    docker_ports: Collection[int] = ()
    public_ports: Collection[int] = ()

    def families(self) -> List[int]:
        """4, and 6 where the host has an address that the world can reach by IPv6."""
        public = any(":" in address and ipaddress.ip_address(address).is_global
                     for addresses in self.addresses.values() for address in addresses)
        return [family for family in ((4, 6) if public else (4,)) if family in self.filters.rulesets]

    def from_outside(self, family: int, protocol: str, port: int) -> List[Packet]:
        """The first packet of a connection to a port of this host, through each way in."""
        return [Packet(protocol, port, NEUTRAL[family], self.own(way, family), way) for way in self.ways_out or [""]]

    def own(self, interface: str, family: int) -> str:
        return next((address for address in self.addresses.get(interface, ()) if (":" in address) == (family == 6)), "")

    def fates(self, family: int, chain: str, packets: Iterable[Packet]) -> FrozenSet[str]:
        found: FrozenSet[str] = frozenset()
        for packet in packets:
            found |= firewall.fates(self.filters.rulesets[family], chain, packet)
        return found

    def let_in(self, family: int, protocol: str, port: int) -> bool:
        return ACCEPT in self.fates(family, "INPUT", self.from_outside(family, protocol, port))

    def bindings(self) -> Set[Tuple[str, int]]:
        return {(binding.protocol, binding.port) for one in self.containers for binding in one.bindings
                if binding.port is not None}

    def gateways(self) -> Set[str]:
        """Addresses of the host that only containers can name."""
        return {gateway for network in self.networks if network.interface for gateway in network.gateways}


def roots(processes: Mapping[int, Process]) -> Dict[str, Set[str]]:
    """container -> the names of its processes that have the power of the host's root."""
    found: Dict[str, Set[str]] = {}
    for process in processes.values():
        if process.root and process.container:
            found.setdefault(process.container, set()).add(process.name)
    return found


def judge_listeners(scene: Scene) -> Iterator[Finding]:
    rule = RULES["host-listener"]
    labels = {one.id: one.label for one in scene.containers}
    shown = set()
    for socket in scene.sockets:
        process = scene.processes.get(socket.pid or 0, Process("", False, ""))
        if _is_expected(socket, process, scene):
            continue
        label = labels.get(process.container) or process.name
        key = (socket.protocol, socket.port, label)
        if key not in shown:
            shown.add(key)
            # A dual-stack socket is asked for by either family; the other one's is in the list of its own.
            families = [family for family in scene.families() if family == 6 or not _only_ipv6(socket.address)]
            shut = bool(families) and not any(scene.let_in(family, socket.protocol, socket.port) for family in families)
            yield rule.finding("filtered" if shut else "open", "%d/%s" % (socket.port, socket.protocol),
                               process=label or "-", address=socket.address).at(label)


def _only_ipv6(address: str) -> bool:
    return ":" in address and address != "::"


def _is_expected(socket: Socket, process: Process, scene: Scene) -> bool:
    address = ipaddress.ip_address(socket.address)
    address = getattr(address, "ipv4_mapped", None) or address
    if address.is_loopback or str(address) in scene.gateways() or socket.port in scene.public_ports:
        return True
    if socket.protocol == "tcp":
        ssh = socket.port in scene.ssh_ports and process.name in ("", "sshd", "systemd")
        # The Engine's own judge names its port.
        return ssh or (socket.port in scene.docker_ports and process.name in ("", "dockerd", "systemd")) or (
            process.name in ("", "docker-proxy") and ("tcp", socket.port) in scene.bindings())
    return process.name in CLIENTS or (
        process.name in ("", "docker-proxy") and ("udp", socket.port) in scene.bindings())


def judge_dnat(scene: Scene) -> Iterator[Finding]:
    """Ports that a rule sends on, and that no container that runs has published."""
    rule = RULES["host-dnat"]
    found: List[Redirect] = []
    for rulesets in scene.filters.rulesets.values():
        for ruleset in rulesets:
            found += firewall.redirects(ruleset, scene.gateways())
    found += firewall.native_redirects(scene.filters.native, MANAGED)
    known = scene.bindings()
    for redirect in dict.fromkeys(found):
        ports = redirect.ports.replace(":", "-")
        if ports.isdigit() and (int(ports) in scene.public_ports or (redirect.protocol, int(ports)) in known):
            continue
        yield rule.finding("stray" if ports else "every-port", ports, goal=redirect.goal or "-", rule=redirect.text)


def judge_docker_user(scene: Scene) -> Iterator[Finding]:
    """DOCKER-USER is the only place where a rule can stop what Docker publishes."""
    rule = RULES["host-docker-user"]
    for family, ruleset, bridges in _docker_rulesets(scene):
        subject = "" if family == 4 else "IPv6"
        if ruleset is None:
            yield rule.finding("absent", subject)
            continue
        unwanted = [packet for bridge in bridges for packet in _to_container(scene, family, bridge, 15432, 5432)]
        wanted = {port: [packet for bridge in bridges for packet in _to_container(
            scene, family, bridge, port, _inside(scene, port))] for port in scene.public_ports}
        shut = sorted(port for port, packets in wanted.items()
                      if any(ruleset.inner("DOCKER-USER", packet) == {REFUSE} for packet in packets))
        if not all(ruleset.reaches("FORWARD", "DOCKER-USER", packet) for packet in unwanted):
            yield rule.finding("unreached", subject)
        elif any(ruleset.inner("DOCKER-USER", packet) != {REFUSE} for packet in unwanted):
            yield rule.finding("open", subject)
        elif family not in scene.filters.own_saved and not _saves_docker_user(scene, family):
            yield rule.finding("not-saved", subject)
        if shut:
            yield rule.finding("shut", subject, ports=", ".join(map(str, shut)))


def _docker_rulesets(scene: Scene) -> Iterator[Tuple[int, Optional[Ruleset], List[Network]]]:
    """family, the ruleset with Docker's chains if there is one, and the bridges that have addresses of that family."""
    for family in scene.families():
        bridges = [network for network in scene.networks if network.interface and _subnet(network, family)]
        if bridges:
            rulesets = scene.filters.rulesets[family]
            yield family, next((one for one in rulesets if one.chain("DOCKER-USER")), None), bridges


def _subnet(network: Network, family: int) -> str:
    return next((subnet for subnet in network.subnets if (":" in subnet) == (family == 6)), "")


def _container_address(network: Network, family: int) -> str:
    subnet = ipaddress.ip_network(_subnet(network, family), strict=False)
    return str(subnet.network_address + min(2, subnet.num_addresses - 1))


def _to_container(scene: Scene, family: int, network: Network, published: int, port: int) -> List[Packet]:
    return [Packet("tcp", port, NEUTRAL[family], _container_address(network, family), way, network.interface, published)
            for way in scene.ways_out or [""]]


def _inside(scene: Scene, port: int) -> int:
    """The container's port behind a port of the host; the same number where nothing is published yet."""
    return next((binding.target for one in scene.containers for binding in one.bindings if binding.port == port), port)


def _saves_docker_user(scene: Scene, family: int) -> bool:
    saved = scene.filters.saved.get(family)
    chain = saved.chain("DOCKER-USER") if saved else None
    return scene.filters.ufw or bool(chain and any(one.target != "RETURN" for one in chain.rules))


def judge_reject(scene: Scene) -> Iterator[Finding]:
    """What no rule is about is refused: at the entrance, and where the host would pass it on."""
    rule = RULES["host-reject"]
    for family in scene.families():
        subject = "INPUT" if family == 4 else "INPUT (IPv6)"
        saved = scene.filters.saved.get(family)
        saved_refuses = saved is not None and _refuses(saved, "INPUT", scene, family)
        if firewall.native_refuses_input(scene.filters.native, MANAGED):
            continue
        if not _all_refuse(scene, family, "INPUT"):
            yield rule.finding("gone" if saved_refuses else "none", subject)
        elif saved is not None and not saved_refuses and not scene.filters.ufw:
            yield rule.finding("saved-without", subject, file=SAVED[family]).at(file=SAVED[family])
        elif saved is None and not scene.filters.ufw:
            yield rule.finding("not-saved", subject)
        saved_refuses = saved is not None and _refuses(saved, "FORWARD", scene, family)
        if saved_refuses and not _all_refuse(scene, family, "FORWARD"):
            yield rule.finding("gone", "FORWARD" if family == 4 else "FORWARD (IPv6)")
    for family in scene.filters.doubled:
        yield rule.finding("two-places", "iptables" if family == 4 else "ip6tables")


def _probes(scene: Scene, family: int, chain: str) -> List[Packet]:
    packets = [packet for protocol in ("tcp", "udp") for packet in scene.from_outside(family, protocol, _NOBODYS_PORT)]
    # What is to be passed on goes from one outside to another: Docker's own rules are for its bridges alone.
    return [packet._replace(destination=NEUTRAL[family], outbound=packet.inbound) for packet in packets] \
        if chain == "FORWARD" else packets


def _refuses(ruleset: Ruleset, chain: str, scene: Scene, family: int) -> bool:
    return all(ruleset.fates(chain, packet) == {REFUSE} for packet in _probes(scene, family, chain))


def _all_refuse(scene: Scene, family: int, chain: str) -> bool:
    return all(firewall.fates(scene.filters.rulesets[family], chain, packet) == {REFUSE}
               for packet in _probes(scene, family, chain))


def judge_web_ports(scene: Scene) -> Iterator[Finding]:
    """Ports that a rule opens before the final REJECT. Where nothing is rejected, that is another rule's finding."""
    rule = RULES["host-web-ports"]
    opened: Set[int] = set()
    unwanted = [port for port in WEB_PORTS + INTERNAL_PORTS if port not in scene.public_ports]
    for family in scene.families():
        if _all_refuse(scene, family, "INPUT"):
            opened.update(port for port in unwanted if scene.let_in(family, "tcp", port))
            saved = scene.filters.saved.get(family)
            # What the role puts before the saved rules at boot closes what they open.
            if saved and family not in scene.filters.own_saved and _refuses(saved, "INPUT", scene, family):
                for port in unwanted:
                    if port not in opened and any(ACCEPT in saved.fates("INPUT", packet)
                                                  for packet in scene.from_outside(family, "tcp", port)):
                        yield rule.finding("saved", str(port)).at(file=SAVED[family])
    for port in sorted(opened):
        yield rule.finding("open", str(port))
    for port in sorted(set(scene.public_ports)):
        waits = any(socket.port == port and socket.protocol == "tcp" and ("tcp", port) not in scene.bindings()
                    and not ipaddress.ip_address(socket.address).is_loopback for socket in scene.sockets)
        if waits and 4 in scene.families() and not scene.let_in(4, "tcp", port):
            yield rule.finding("shut", str(port))


def judge_metadata(scene: Scene) -> Iterator[Finding]:
    """Whether containers reach the cloud's own addresses through the host."""
    rule = RULES["host-metadata"]
    for family, goals in METADATA.items():
        for address, port in goals:
            reaching = sorted(network.name for network in scene.networks if network.interface
                              and _subnet(network, family) and _reaches(scene, network, family, address, port))
            if reaching:
                case = "disk" if port == 3260 else "metadata"
                yield rule.finding(case, address, networks=", ".join(reaching))


def _reaches(scene: Scene, network: Network, family: int, address: str, port: int) -> bool:
    rulesets = scene.filters.rulesets.get(family, [])
    packets = [Packet("tcp", port, _container_address(network, family), address, network.interface, way)
               for way in scene.ways_out or [""]]
    return any(firewall.fates(rulesets, "FORWARD", packet) != {REFUSE} for packet in packets)
