# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""The firewall's rules as the hardening wants them: two chains of its own, in front of all other rules.

NAME-FORWARD, which DOCKER-USER jumps to: no container reaches the cloud's metadata, and nobody from outside reaches a
container except through the public ports. NAME-INPUT, which INPUT jumps to: the public ports are open, and the web's
are not unless they are among these. Rules are written as `iptables-save` writes them, so that they can be compared.
"""

from __future__ import annotations

import os
import re
from typing import Iterable, List, NamedTuple, Sequence

# A forgotten rule of a tutorial may still open these.
WEB_PORTS = (80, 443)


class Family(NamedTuple):
    """What differs between IPv4 and IPv6: the commands, the addresses of the cloud's services, the ways to refuse,
    and the file in which the distribution keeps its own rules."""

    tables: str
    metadata: str
    resolver: str
    unreachable: str
    prohibited: str
    saved: str


# OCI's metadata and its boot volume (iSCSI) are link-local. Its resolver is the same host: Docker's own, which serves
# the containers, asks it from their side.
FAMILIES = (
    Family("iptables", "169.254.0.0/16", "169.254.169.254/32", "icmp-port-unreachable", "icmp-host-prohibited",
           "/etc/iptables/rules.v4"),
    Family("ip6tables", "fd00:c1::a9fe:a9fe/128", "fd00:c1::a9fe:a9fe/128", "icmp6-port-unreachable",
           "icmp6-adm-prohibited", "/etc/iptables/rules.v6"),
)


def chain_prefix(name: str) -> str:
    return name.upper()


def rules_path(directory: str, family: Family) -> str:
    return os.path.join(directory, family.tables + ".rules")


def rules(family: Family, name: str, public_ports: Iterable[int], interfaces: Iterable[str]) -> List[str]:
    """The rules of the two chains. ``interfaces`` are those of containers, such as br-+."""
    ports, interfaces = sorted(set(public_ports)), list(interfaces)
    forward = ["-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN"]
    forward += [f"-d {family.resolver} -p {protocol} -m {protocol} --dport 53 -j RETURN" for protocol in ("udp", "tcp")]
    forward += [f"-d {family.metadata} -j REJECT --reject-with {family.unreachable}"]
    forward += [f"-i {interface} -j RETURN" for interface in interfaces]
    # The port that was asked for on the host; by now the destination is the container's.
    forward += [f"-p tcp -m conntrack --ctorigdstport {port} --ctdir ORIGINAL -j RETURN" for port in ports]
    forward += [f"-o {interface} -j DROP" for interface in interfaces]
    # Published by a network whose interface has another name.
    forward += ["-m conntrack --ctstate DNAT -j DROP"]
    own = [f"-p tcp -m tcp --dport {port} -j ACCEPT" for port in ports]
    own += [f"! -i lo -p tcp -m tcp --dport {port} -j REJECT --reject-with {family.prohibited}"
            for port in WEB_PORTS if port not in ports]
    prefix = chain_prefix(name)
    return [f"-A {prefix}-FORWARD {rule}" for rule in forward] + [f"-A {prefix}-INPUT {rule}" for rule in own]


def rules_text(name: str, lines: Sequence[str]) -> str:
    """What `iptables-restore --noflush` takes: it empties the chains named at the top, and no other."""
    prefix = chain_prefix(name)
    return "\n".join(["# Written by coinpilot.ops from the inventory; what is changed here is overwritten.", "*filter",
                      f":{prefix}-FORWARD - [0:0]", f":{prefix}-INPUT - [0:0]", *lines, "COMMIT", ""])


def in_force(live: str, name: str, lines: Sequence[str]) -> bool:
    """Whether the kernel's rules, as `iptables-save` tells them, are these, and in front."""
    return own_lines(live, name) == jumps(name) + list(lines)


def jumps(name: str) -> List[str]:
    """What leads to the two chains; each is the first rule of its chain. Docker makes the first of them, too."""
    prefix = chain_prefix(name)
    return ["-A FORWARD -j DOCKER-USER", f"-A DOCKER-USER -j {prefix}-FORWARD", f"-A INPUT -j {prefix}-INPUT"]


def own_lines(live: str, name: str) -> List[str]:
    """Of the kernel's rules those of the two chains, after the jumps to them as far as these are in front."""
    lines, prefix = live.splitlines(), chain_prefix(name)
    first = [next((line for line in lines if line.startswith(f"-A {chain} ")), "")
             for chain in ("FORWARD", "DOCKER-USER", "INPUT")]
    return [line for line in first if line in jumps(name)] + [
        line for chain in ("FORWARD", "INPUT") for line in lines if line.startswith(f"-A {prefix}-{chain} ")]


def lost_lines(saved: str, live: str) -> List[str]:
    """The distribution's own rules up to its final refusal, as far as the kernel lacks them and nothing else refuses.

    Without that final rule everything on the host is open. It is put back together with what it lets through.
    """
    lost: List[str] = []
    for chain in ("INPUT", "FORWARD"):
        wanted, there = _lines(saved, chain), _lines(live, chain)
        refuses = any(_is_final(line) for line in there) or f":{chain} DROP" in live
        if not refuses and wanted and _is_final(wanted[-1]):
            known = [_plain(line) for line in there]
            # Between the two stands what Docker puts into FORWARD by itself.
            lost += [line for line in (wanted if chain == "INPUT" else wanted[-1:]) if _plain(line) not in known]
    return lost


def _lines(text: str, chain: str) -> List[str]:
    """The rules of a chain that decide by themselves, without a jump to another chain."""
    lines = (re.sub(r"^\[\d+:\d+\] ", "", line.strip()) for line in text.splitlines())
    return [line for line in lines
            if line.startswith(f"-A {chain} ") and re.search(r" -j (ACCEPT|DROP|REJECT)( |$)", line)]


def _is_final(line: str) -> bool:
    return bool(re.match(r"-A \S+ -j (DROP|REJECT)( |$)", line))


def _plain(line: str) -> str:
    """A rule without what `iptables-save` adds to how it was written."""
    return re.sub(r" -m (tcp|udp|icmp|icmp6)(?= )", "", line)
