# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Packet filters as `iptables-save` shows them, and what becomes of a packet in them.

Rules are judged by what they do, not by how they are written: a packet is sent through them in thought. A match that
cannot be evaluated (a set, a rate limit) may hold or not, so a packet can have several fates.
"""

from __future__ import annotations

import ipaddress
import shlex
from typing import Any, Dict, FrozenSet, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

ACCEPT, REFUSE, RETURN, CONTINUE = "accept", "refuse", "return", "continue"
NEUTRAL = {4: "198.51.100.1", 6: "2001:db8::1"}  # an address of documentation: nobody's own
_VERDICTS = {"ACCEPT": ACCEPT, "DROP": REFUSE, "REJECT": REFUSE, "TARPIT": REFUSE, "RETURN": RETURN,
             # A program decides: it may let it through.
             "QUEUE": ACCEPT, "NFQUEUE": ACCEPT}
_LONG = {"--source": "-s", "--src": "-s", "--destination": "-d", "--dst": "-d", "--in-interface": "-i",
         "--out-interface": "-o", "--protocol": "-p", "--proto": "-p", "--jump": "-j", "--goto": "-g",
         "--destination-port": "--dport", "--destination-ports": "--dports", "--source-port": "--sport",
         "--source-ports": "--sports", "--state": "--ctstate"}
_PROTOCOLS = {"6": "tcp", "17": "udp", "1": "icmp", "58": "ipv6-icmp"}


class Packet(NamedTuple):
    """The first packet of a connection. ``published`` is the host's port that a DNAT rule has sent it on from."""

    protocol: str
    port: int
    source: str
    destination: str
    inbound: str = ""
    outbound: str = ""
    published: Optional[int] = None


class Rule(NamedTuple):
    """One line: its matches as (option, negated, values), where it goes, and whether that is a goto."""

    matches: Tuple[Tuple[str, bool, Tuple[str, ...]], ...]
    target: str
    goto: bool
    arguments: Tuple[str, ...]
    text: str


class Chain(NamedTuple):
    policy: str  # "-" for a chain that is none of the kernel's
    rules: List[Rule]


class Ruleset:
    """The tables of one family (4 or 6) in one of the kernel's two places for them."""

    def __init__(self, family: int, tables: Mapping[str, Mapping[str, Chain]]):
        self.family = family
        self.tables = tables

    def chain(self, name: str, table: str = "filter") -> Optional[Chain]:
        return self.tables.get(table, {}).get(name)

    def fates(self, name: str, packet: Packet, table: str = "filter") -> FrozenSet[str]:
        """What may become of a packet in a base chain. A chain that does not exist lets everything through."""
        chain = self.chain(name, table)
        if chain is None:
            return frozenset((ACCEPT,))
        fates = self._walk(name, packet, table, {})
        if RETURN in fates:
            fates = (fates - {RETURN}) | {ACCEPT if chain.policy == "ACCEPT" else REFUSE}
        return frozenset(fates)

    def inner(self, name: str, packet: Packet, table: str = "filter") -> FrozenSet[str]:
        """What may become of it in any chain; RETURN is left to the one that called it."""
        return frozenset(self._walk(name, packet, table, {}))

    def reaches(self, start: str, goal: str, packet: Packet) -> bool:
        """Whether a packet surely comes to a chain before anything has let it through."""
        chain = self.chain(start)
        for rule in chain.rules if chain else ():
            hit = matches(rule, packet)
            if hit is None or hit:
                if rule.target == goal:
                    return bool(hit)
                if ACCEPT in self._target(rule, packet, "filter", {}):
                    return False
        return False

    def _walk(self, name: str, packet: Packet, table: str, known: Dict[str, Set[str]]) -> Set[str]:
        """``known`` are the fates in the chains that were walked through before."""
        chain = self.chain(name, table)
        if name not in known:
            # Of one that calls itself, which the kernel would refuse, nothing is claimed.
            known[name] = {ACCEPT, REFUSE}
            known[name] = self._fates(chain.rules if chain else [], packet, table, known)
        return known[name]

    def _fates(self, rules: List[Rule], packet: Packet, table: str, known: Dict[str, Set[str]]) -> Set[str]:
        fates: Set[str] = set()
        for rule in rules:
            hit = matches(rule, packet)
            if hit is False:
                continue
            here = self._target(rule, packet, table, known)
            fates |= here - {CONTINUE}
            if hit and CONTINUE not in here:
                return fates
        return fates | {RETURN}

    def _target(self, rule: Rule, packet: Packet, table: str, known: Dict[str, Set[str]]) -> Set[str]:
        if rule.target in _VERDICTS:
            return {_VERDICTS[rule.target]}
        if self.chain(rule.target, table) is None:
            return {CONTINUE}  # LOG, MARK and the like
        inside = self._walk(rule.target, packet, table, known)
        # What returns from a `goto` returns to the caller's caller.
        return inside if rule.goto else {CONTINUE if fate == RETURN else fate for fate in inside}


def parse(text: str, family: int) -> Ruleset:
    """What `iptables-save` prints. ValueError when a table is not its to show."""
    tables: Dict[str, Dict[str, Chain]] = {}
    current: Dict[str, Chain] = {}
    for line in text.splitlines():
        if line.startswith("*"):
            current = tables.setdefault(line[1:].strip(), {})
        elif line.startswith(":"):
            name, policy = line[1:].split()[:2]
            current[name] = Chain(policy, [])
        elif line.startswith("["):
            line = line.partition("] ")[2]  # counters, of `iptables-save -c`
        if line.startswith("-A "):
            name, rule = _rule(line)
            current.setdefault(name, Chain("-", [])).rules.append(rule)
        elif line.startswith("#") and "incompatible" in line:
            raise ValueError("nftables rules that iptables cannot show: sudo nft list ruleset")
    return Ruleset(family, tables)


def _rule(line: str) -> Tuple[str, Rule]:
    words = shlex.split(line)
    if len(words) < 2:
        raise ValueError("a rule of no chain: %s" % line)
    name, words = words[1], words[2:]
    found: List[Tuple[str, bool, Tuple[str, ...]]] = []
    negated = False
    at = 0
    while at < len(words):
        option = _LONG.get(words[at], words[at])
        at += 1
        if option == "!":
            negated = True
            continue
        # A comment is one word, whatever stands in it.
        end = at + 1 if option == "--comment" else at
        while option != "--comment" and end < len(words) and not words[end].startswith("-") and words[end] != "!":
            end += 1
        values, at = tuple(words[at:end]), end
        if option in ("-j", "-g"):
            return name, Rule(tuple(found), values[0] if values else "", option == "-g", tuple(words[end:]), line)
        found.append((option, negated, values))
        negated = False
    return name, Rule(tuple(found), "", False, (), line)


def matches(rule: Rule, packet: Packet) -> Optional[bool]:
    """Whether a rule is for this packet; None when that cannot be told."""
    sure = True
    for option, negated, values in rule.matches:
        hit = _match(option, values, packet)
        if hit is None:
            sure = False
        elif hit == negated:
            return False
    return True if sure else None


def _match(option: str, values: Sequence[str], packet: Packet) -> Optional[bool]:
    if option in ("-m", "--match", "--comment", "-c", "--set-counters"):
        return True
    value = values[0] if values else ""
    if option == "-p":
        return value in ("all", "0") or _PROTOCOLS.get(value, value) == packet.protocol
    if option in ("-s", "-d"):
        return _within(packet.source if option == "-s" else packet.destination, value)
    if option in ("-i", "-o"):
        name = packet.inbound if option == "-i" else packet.outbound
        return name.startswith(value[:-1]) if value.endswith("+") else name == value
    if option in ("--dport", "--dports"):
        return _among(packet.port, value)
    if option in ("--sport", "--sports"):
        # A client takes its port from those that nothing is named after.
        return _among(50000, value)
    if option == "--ctorigdstport":
        return _among(packet.port if packet.published is None else packet.published, value)
    if option == "--ctstate":
        states = value.split(",")
        return "NEW" in states or ("DNAT" in states and packet.published is not None)
    if option == "--ctstatus":
        return packet.published is not None if value == "DNAT" else None
    if option == "--ctdir":
        return value == "ORIGINAL"
    if option == "--dst-type":
        # To one of the host's own addresses, unless it is passed on.
        return value == ("UNICAST" if packet.outbound else "LOCAL")
    return True if option == "--syn" else None


def _within(address: str, network: str) -> Optional[bool]:
    try:
        return ipaddress.ip_address(address) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return None


def _among(port: int, wanted: str) -> Optional[bool]:
    try:
        for part in wanted.split(","):
            low, _colon, high = part.partition(":")
            if int(low or 0) <= port <= int(high or (65535 if _colon else low)):
                return True
    except ValueError:
        return None
    return False


def fates(rulesets: Iterable[Ruleset], chain: str, packet: Packet) -> FrozenSet[str]:
    """What may become of a packet where more than one ruleset is in force: each can refuse it."""
    said = [ruleset.fates(chain, packet) for ruleset in rulesets]
    if any(one == {REFUSE} for one in said):
        return frozenset((REFUSE,))
    return frozenset().union(*said) if said else frozenset((ACCEPT,))


class Redirect(NamedTuple):
    """A rule that sends what arrives at the host's port on to somewhere else. ``ports`` is "" for every port."""

    protocol: str
    ports: str
    address: str
    goal: str
    text: str


def redirects(ruleset: Ruleset, local_addresses: Iterable[str]) -> Iterator[Redirect]:
    """The DNAT and REDIRECT rules that what comes from outside can meet.

    ``local_addresses`` are those of the host that nobody outside can name as a destination, such as the bridges'.
    """
    hidden = set(local_addresses)
    seen: Set[str] = set()
    waiting = ["PREROUTING"]
    while waiting:
        name = waiting.pop()
        chain = ruleset.chain(name, "nat")
        if name in seen or chain is None:
            continue
        seen.add(name)
        for rule in chain.rules:
            options = {option: values[0] for option, negated, values in rule.matches if values and not negated}
            address = options.get("-d", "").partition("/")[0]
            if _inward(options.get("-i", "")) or (address and (_is_loopback(address) or address in hidden)):
                continue
            if ruleset.chain(rule.target, "nat") is not None:
                waiting.append(rule.target)
            elif rule.target in ("DNAT", "REDIRECT"):
                yield Redirect(options.get("-p", ""), options.get("--dport", options.get("--dports", "")), address,
                               _goal(rule.arguments), rule.text)


def _inward(interface: str) -> bool:
    return interface == "lo" or interface.startswith(("docker", "br-", "veth"))


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _goal(arguments: Sequence[str]) -> str:
    for option, value in zip(arguments, arguments[1:]):
        if option in ("--to-destination", "--to-ports"):
            return value
    return ""


def native_redirects(ruleset: Mapping[str, Any], managed: Iterable[Tuple[str, str]]) -> Iterator[Redirect]:
    """DNAT rules of nftables' own tables, as `nft --json list ruleset` shows them; ``managed`` are iptables' tables."""
    skipped = set(managed)
    for entry in ruleset.get("nftables") or ():
        rule = entry.get("rule") or {}
        if not rule or (rule.get("family"), rule.get("table")) in skipped:
            continue
        target = next((part[kind] or {} for part in rule.get("expr") or () for kind in ("dnat", "redirect")
                       if kind in part), None)
        if target is not None:
            ports = [str(part["match"]["right"]) for part in rule["expr"]
                     if ((part.get("match") or {}).get("left") or {}).get("payload", {}).get("field") == "dport"]
            goal = "%s:%s" % (target.get("addr", ""), target.get("port", ""))
            yield Redirect("", ports[0] if ports else "", "", goal,
                           "%s %s %s" % (rule.get("family"), rule.get("table"), rule.get("chain")))


def native_refuses_input(ruleset: Mapping[str, Any], managed: Iterable[Tuple[str, str]]) -> bool:
    """Whether a chain of nftables' own stands at the host's entrance and refuses what it does not know."""
    skipped = set(managed)
    guards: Dict[Tuple[Any, Any, Any], bool] = {}
    for entry in ruleset.get("nftables") or ():
        chain, rule = entry.get("chain") or {}, entry.get("rule") or {}
        if chain.get("hook") == "input" and (chain.get("family"), chain.get("table")) not in skipped:
            guards[chain.get("family"), chain.get("table"), chain.get("name")] = chain.get("policy") == "drop"
        key = (rule.get("family"), rule.get("table"), rule.get("chain"))
        expressions = [part for part in rule.get("expr") or () if "counter" not in part]
        # One that asks for nothing has the last word.
        if key in guards and len(expressions) == 1 and {"drop", "reject"} & set(expressions[0]):
            guards[key] = True
    return any(guards.values())
