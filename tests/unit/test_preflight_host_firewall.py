"""What becomes of packets in recorded packet filters: OCI's own, Docker's, the role's, and those made by hand."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils import preflight_host_firewall as firewall
from ansible_collections.coinpilot.ops.plugins.module_utils.preflight_host_firewall import (
    ACCEPT,
    NEUTRAL,
    REFUSE,
    RETURN,
    Packet,
)
from hypothesis import given, settings

# As Ubuntu's image of OCI brings it, shortened in the chain for the cloud's own services.
OCI = """
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [463:49013]
:InstanceServices - [0:0]
-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT
-A INPUT -p icmp -j ACCEPT
-A INPUT -i lo -j ACCEPT
-A INPUT -p udp --sport 123 -j ACCEPT
-A INPUT -p tcp -m state --state NEW -m tcp --dport 22 -j ACCEPT
-A INPUT -j REJECT --reject-with icmp-host-prohibited
-A FORWARD -j REJECT --reject-with icmp-host-prohibited
-A OUTPUT -d 169.254.0.0/16 -j InstanceServices
-A InstanceServices -d 169.254.0.2/32 -p tcp -m owner --uid-owner 0 -m tcp --dport 3260 -m comment --comment "See the \
Oracle-Provided Images section" -j ACCEPT
-A InstanceServices -d 169.254.0.0/16 -p tcp -m tcp -m comment --comment "-j ACCEPT" -j REJECT --reject-with tcp-reset
COMMIT
"""
UFW = """
*filter
:INPUT DROP [0:0]
:ufw-before-input - [0:0]
:ufw-user-input - [0:0]
:ufw-skip-to-policy-input - [0:0]
-A INPUT -j ufw-before-input
-A ufw-before-input -i lo -j ACCEPT
-A ufw-before-input -m addrtype --dst-type BROADCAST -j RETURN
-A ufw-before-input -j ufw-user-input
-A ufw-user-input -p tcp -m multiport --dports 80,443 -j ACCEPT
-A ufw-user-input -s 203.0.113.0/24 -p tcp -m tcp --dport 5432 -j ACCEPT
-A ufw-user-input -p tcp -m tcp --dport 25 -g ufw-skip-to-policy-input
-A ufw-user-input -p tcp -m tcp --dport 26 -m recent --update --seconds 30 --name DEFAULT -j ACCEPT
-A ufw-skip-to-policy-input -j DROP
COMMIT
"""


def arriving(port: int, protocol: str = "tcp", inbound: str = "ens3", source: str = NEUTRAL[4]) -> Packet:
    return Packet(protocol, port, source, "10.0.0.5", inbound)


@pytest.mark.parametrize(("rules", "packet", "expected"), [
    (OCI, arriving(22), {ACCEPT}),
    (OCI, arriving(443), {REFUSE}),
    (OCI, arriving(53, "udp"), {REFUSE}),
    (OCI, arriving(5432, inbound="lo"), {ACCEPT}),
    (UFW, arriving(443), {ACCEPT}),
    (UFW, arriving(5432), {REFUSE}),
    (UFW, arriving(5432, source="203.0.113.9"), {ACCEPT}),
    (UFW, arriving(25), {REFUSE}),
    # A match that only the kernel can evaluate.
    (UFW, arriving(26), {ACCEPT, REFUSE}),
    ("", arriving(1), {ACCEPT}),
    ("*filter\n:INPUT ACCEPT\n-A INPUT ! -i lo -p tcp -j DROP\n", arriving(1), {REFUSE}),
    ("*filter\n:INPUT ACCEPT\n-A INPUT ! -i e+ -p tcp -j DROP\n", arriving(1), {ACCEPT}),
    ("*filter\n:INPUT ACCEPT\n[1:2] -A INPUT -p tcp --syn -j LOG --log-prefix \"-j ACCEPT \"\n-A INPUT -j DROP\n",
     arriving(1), {REFUSE}),
    # A chain that calls itself ends somewhere, and nothing is claimed of it.
    ("*filter\n:INPUT DROP\n:A -\n-A INPUT -j A\n-A A -j A\n", arriving(1), {ACCEPT, REFUSE}),
])
def test_fates(rules: str, packet: Packet, expected: set[str]) -> None:
    assert firewall.parse(rules, 4).fates("INPUT", packet) == expected


def test_either_place_can_refuse() -> None:
    both = [firewall.parse("", 4), firewall.parse(OCI, 4)]
    assert firewall.fates(both, "INPUT", arriving(443)) == {REFUSE}
    assert firewall.fates(both, "INPUT", arriving(22)) == {ACCEPT}


@pytest.mark.parametrize("text", ["# Table `filter' is incompatible, use 'nft' tool.\n", "*filter\n-A INPUT -s 'x\n"])
def test_what_cannot_be_read_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="nftables|quotation"):
        firewall.parse(text, 4)


def test_published_ports_are_told_by_the_hosts_port() -> None:
    rules = firewall.parse("*filter\n:DOCKER-USER -\n-A DOCKER-USER -p tcp -m conntrack --ctorigdstport 443 --ctdir "
                           "ORIGINAL -j RETURN\n-A DOCKER-USER -o br-+ -j DROP\n", 4)
    packet = Packet("tcp", 8443, NEUTRAL[4], "172.18.0.2", "ens3", "br-1", 443)
    assert rules.inner("DOCKER-USER", packet) == {RETURN}
    assert rules.inner("DOCKER-USER", packet._replace(published=8443)) == {REFUSE}


@pytest.mark.parametrize(("rules", "expected"), [
    ("-A FORWARD -j DOCKER-USER\n-A FORWARD -j ACCEPT\n", True),
    ("-A FORWARD -j LOG\n-A FORWARD -j DOCKER-USER\n", True),
    ("-A FORWARD -i br-+ -j ACCEPT\n-A FORWARD -j DOCKER-USER\n", True),
    ("-A FORWARD -o br-+ -j ACCEPT\n-A FORWARD -j DOCKER-USER\n", False),
    ("-A FORWARD -j OWN\n-A FORWARD -j DOCKER-USER\n-A OWN -p tcp -j ACCEPT\n", False),
    ("-A FORWARD -i tun0 -j DOCKER-USER\n", False),
    ("", False),
])
def test_reached_before_anything_lets_through(rules: str, expected: bool) -> None:
    ruleset = firewall.parse("*filter\n:FORWARD DROP\n:DOCKER-USER -\n:OWN -\n" + rules, 4)
    packet = Packet("tcp", 80, NEUTRAL[4], "172.18.0.2", "ens3", "br-1", 80)
    assert ruleset.reaches("FORWARD", "DOCKER-USER", packet) is expected


def test_redirects() -> None:
    ruleset = firewall.parse("""
*nat
:PREROUTING ACCEPT
:OUTPUT ACCEPT
:DOCKER -
:UNUSED -
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A PREROUTING -i lo -p tcp --dport 1 -j REDIRECT --to-ports 2
-A PREROUTING -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 8080
-A OUTPUT -p tcp --dport 3 -j DNAT --to-destination 10.0.0.1:3
-A UNUSED -p tcp --dport 4 -j DNAT --to-destination 10.0.0.1:4
-A DOCKER -i br-1 -j RETURN
-A DOCKER -d 127.0.0.1/32 ! -i br-1 -p tcp -m tcp --dport 5678 -j DNAT --to-destination 172.19.0.4:5678
-A DOCKER -d 172.17.0.1/32 -p tcp -m tcp --dport 5679 -j DNAT --to-destination 172.19.0.4:5679
-A DOCKER ! -i br-1 -p tcp -m tcp --dport 3000 -j DNAT --to-destination 172.19.0.6:3000
COMMIT
""", 4)
    found = list(firewall.redirects(ruleset, ["172.17.0.1"]))
    assert [(one.protocol, one.ports, one.goal) for one in found] == [
        ("tcp", "80", "8080"), ("tcp", "3000", "172.19.0.6:3000")]


def test_nftables_own_tables() -> None:
    def rule(table: str, chain: str, *expressions: dict[str, Any]) -> dict[str, Any]:
        return {"rule": {"family": "ip", "table": table, "chain": chain, "expr": list(expressions)}}

    dport = {"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 8080}}
    guard = {"family": "ip", "table": "own", "name": "in", "hook": "input", "policy": "accept"}
    ruleset: dict[str, list[dict[str, Any]]] = {"nftables": [
        {"metainfo": {}}, {"chain": guard},
        rule("nat", "PREROUTING", dport, {"dnat": {"addr": "10.0.0.1"}}),
        rule("own", "pre", dport, {"dnat": {"addr": "10.0.0.2", "port": 80}}),
        rule("own", "pre", {"redirect": None}),
    ]}
    managed = [("ip", "nat")]
    found = list(firewall.native_redirects(ruleset, managed))
    assert [(one.ports, one.goal) for one in found] == [("8080", "10.0.0.2:80"), ("", ":")]
    assert not firewall.native_refuses_input(ruleset, managed)
    ruleset["nftables"].append(rule("own", "in", {"counter": {}}, {"reject": None}))
    assert firewall.native_refuses_input(ruleset, managed)


# Engine 28 and later, shortened: other chains between FORWARD and the bridges, and a set of them.
ENGINE_28 = """
*filter
:FORWARD DROP [0:0]
:DOCKER - [0:0]
:DOCKER-BRIDGE - [0:0]
:DOCKER-CT - [0:0]
:DOCKER-FORWARD - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-FORWARD
-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
-A DOCKER ! -i docker0 -o docker0 -j DROP
-A DOCKER-BRIDGE -o docker0 -j DOCKER
-A DOCKER-CT -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A DOCKER-FORWARD -j DOCKER-CT
-A DOCKER-FORWARD -j DOCKER-BRIDGE
-A DOCKER-FORWARD -i docker0 -j ACCEPT
COMMIT
"""


def test_a_newer_engines_chains() -> None:
    rules = firewall.parse(ENGINE_28, 4)
    published = Packet("tcp", 80, NEUTRAL[4], "172.17.0.2", "ens3", "docker0", 8080)
    metadata = Packet("tcp", 80, "172.17.0.2", "169.254.169.254", "docker0", "ens3")
    assert rules.reaches("FORWARD", "DOCKER-USER", published)
    assert rules.fates("FORWARD", published) == {ACCEPT}
    assert rules.fates("FORWARD", published._replace(port=81)) == {REFUSE}
    assert rules.fates("FORWARD", metadata) == {ACCEPT}


WORDS = st.sampled_from([
    "-A", "\n-A INPUT", "\n-A A", "FORWARD", "DOCKER-USER", "A", "-j", "-g", "-j A", "-j ACCEPT", "-j DROP", "RETURN",
    "-j LOG", "!", "-p", "tcp", "-s", "10.0.0.0/8", "::/0", "x", "-d", "-i", "e+", "-o", "lo", "-m", "--dport", "80",
    "1:", ":9", "1,x", "--ctstate", "NEW,DNAT", "--ctorigdstport", "--comment", '"a b"', "\n",
    "-j DNAT --to-destination 1.2.3.4:5", "\n*nat\n", "\n*filter\n", "\n:INPUT DROP", "\n:A -",
    "COMMIT", "\n[1:2]", "#", "'"])


@settings(max_examples=500)
@given(st.lists(WORDS, max_size=60).map(" ".join).map(lambda text: text.replace("\n ", "\n")) | st.text())
def test_whatever_is_read_a_packet_has_a_fate_or_it_is_no_ruleset(text: str) -> None:
    try:
        ruleset = firewall.parse(text, 4)
    except ValueError:
        return
    assert ruleset.fates("INPUT", arriving(80)) <= {ACCEPT, REFUSE}
    assert ruleset.fates("INPUT", arriving(80)) != set()
    ruleset.reaches("FORWARD", "DOCKER-USER", arriving(80))
    list(firewall.redirects(ruleset, []))
