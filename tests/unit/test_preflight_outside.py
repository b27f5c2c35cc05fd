"""How the host looks from outside: real sockets for the looking, recorded worlds for the judging."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils import findings, preflight_outside
from ansible_collections.coinpilot.ops.plugins.module_utils.preflight_outside import (
    ERROR,
    FILTERED,
    OPEN,
    REFUSED,
    REJECTED,
    Answer,
    Target,
    World,
)

HOST, HOST6, HERE, HERE6 = "203.0.113.10", "2001:db8::10", "192.0.2.7", "2001:db8:1::7"
POLICY: dict[str, Any] = {"public_ports": [], "waivers": []}
WEB: dict[str, Any] = {"public_ports": [80, 443], "waivers": []}
SERVICES = {
    "db": {"engine": "postgresql"}, "redis": {"engine": "redis"}, "collector": {"engine": "application"},
    "bot": {"engine": "application"}, "dashboard": {"engine": "application", "port": 8501},
    "n8n": {"engine": "n8n", "port": 5678}, "prometheus": {"engine": "prometheus", "port": 9090},
    "grafana": {"engine": "grafana", "port": 3000},
}
WANTED = preflight_outside.ports({"services": SERVICES}, POLICY)


def target(states: dict[int, str], address: str = HOST, others: str = FILTERED, **more: Any) -> Target:
    state = {port: states.get(port, others) for port in (*WANTED, *preflight_outside.UNLIKELY)}
    answers = {port: Answer(word, "No route to host" if word == REJECTED else "") for port, word in state.items()}
    return Target(address, **{"source": "172.20.5.9", "answers": answers, "ansible": True, **more})


def world(*targets: Target, **more: Any) -> World:
    return World(targets, **{"unresolved": {}, "networks": ["172.20.0.0/16"], **more})


def judged(*targets: Target, policy: dict[str, Any] = POLICY, **more: Any) -> list[tuple[str, str, str]]:
    found = preflight_outside.judge(world(*targets), policy, WANTED, **more)
    return [(finding.id, finding.status, finding.subject) for finding in found]


NEUTRAL, CLOSED = ("outside-vantage", "PASS", HOST), ("outside-port", "PASS", HOST)


def doubt(case: str, subject: str = HOST) -> tuple[str, str, str]:
    assert preflight_outside.RULES["outside-vantage"].cases[case].status == "UNKNOWN"
    return ("outside-vantage", "UNKNOWN", subject)


# What is tried -------------------------------------------------------------------------------------------------------

def test_every_port_of_the_stack_is_tried() -> None:
    assert {22, 80, 443, 5432, 6379, 5678, 8000, 8501, 9090, 3000} <= set(WANTED)
    assert WANTED[5432] == "db" and WANTED[8501] == "dashboard" and WANTED[8000] == "" and WANTED[22] == ""
    assert {22, 5432, 8501} <= set(preflight_outside.ports({}, POLICY)), "also where nothing is described"


def test_other_ports_of_services_and_of_the_policy_are_tried() -> None:
    wanted = preflight_outside.ports({"services": {"grafana": {"engine": "grafana", "port": 3999}}},
                                     {"public_ports": [8443], "waivers": []}, 2222)
    assert wanted[3999] == wanted[3000] == "grafana" and {8443, 2222} <= set(wanted) and 22 not in wanted


# Judging -------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("others", [FILTERED, REFUSED, REJECTED])
def test_only_ssh_answers(others: str) -> None:
    assert judged(target({22: OPEN}, others=others)) == [NEUTRAL, CLOSED]


@pytest.mark.parametrize("port", sorted(set(WANTED) - {22}))
def test_an_open_port(port: int) -> None:
    assert judged(target({22: OPEN, port: OPEN})) == [("outside-port", "FAIL", f"{port} {HOST}"), NEUTRAL]


def test_the_finding_names_the_service() -> None:
    found = preflight_outside.judge(world(target({22: OPEN, 6379: OPEN})), POLICY, WANTED)
    assert found[0].place.service == "redis" and "6379" in found[0].line("en") and "6379" in found[0].line("ko")


def test_what_the_policy_allows() -> None:
    assert judged(target({22: OPEN, 80: OPEN, 443: OPEN}), policy=WEB) == [NEUTRAL, CLOSED]
    unused = ("outside-port", "WARN", f"80 {HOST}")
    assert judged(target({22: OPEN, 443: OPEN}), policy=WEB) == [NEUTRAL, unused, CLOSED]
    assert judged(target({22: OPEN, 443: OPEN})) == [("outside-port", "FAIL", f"443 {HOST}"), NEUTRAL]


def test_every_address_is_judged() -> None:
    assert judged(target({22: OPEN}), target({22: OPEN, 5432: OPEN}, HOST6)) == [
        NEUTRAL, CLOSED, ("outside-port", "FAIL", f"5432 {HOST6}"), ("outside-vantage", "PASS", HOST6)]


def test_a_port_that_could_not_be_tried() -> None:
    assert judged(target({22: OPEN, 5432: ERROR})) == [NEUTRAL, ("outside-port", "UNKNOWN", f"5432 {HOST}")]


@pytest.mark.parametrize(("states", "others", "case"), [
    ({}, FILTERED, "silent"), ({}, REJECTED, "no-way"), ({}, REFUSED, "ssh"), ({}, OPEN, "middlebox"),
    ({22: REFUSED, 80: OPEN}, FILTERED, "ssh"),
])
def test_what_answers_says_nothing(states: dict[int, str], others: str, case: str) -> None:
    found = judged(target(states, others=others), policy=WEB)
    assert found == [doubt(case)]


def test_ssh_may_answer_at_another_address_of_the_same_name() -> None:
    assert judged(target({22: OPEN}), target({}, HOST6, REFUSED)) == [
        NEUTRAL, CLOSED, ("outside-vantage", "PASS", HOST6), ("outside-port", "PASS", HOST6)]


def test_an_address_that_is_not_ansibles_needs_no_ssh() -> None:
    assert judged(target({22: OPEN}), target({}, HOST6, REFUSED, ansible=False))[2:] == [
        ("outside-vantage", "PASS", HOST6), ("outside-port", "PASS", HOST6)]


@pytest.mark.parametrize("address", ["10.0.0.5", "192.168.1.9", "172.31.0.1", "100.64.3.3", "169.254.0.9", "fd00::1",
                                     "fe80::1", "172.20.0.4"])
def test_a_place_that_is_not_neutral(address: str) -> None:
    assert judged(target({22: OPEN}, address)) == [doubt("private", address)]
    assert judged(target({22: OPEN, 5432: OPEN}, address)) == [("outside-port", "FAIL", f"5432 {address}"),
                                                               doubt("private", address)]


def test_the_same_network() -> None:
    found = preflight_outside.judge(world(target({22: OPEN}), networks=["203.0.113.0/24"]), POLICY, WANTED)
    assert [finding.id for finding in found] == ["outside-vantage"] and "203.0.113.0/24" in found[0].line("ko")


def test_networks_that_cannot_be_read() -> None:
    [finding] = preflight_outside.judge(world(target({22: OPEN}), networks=None, error="no /proc"), POLICY, WANTED)
    assert finding.status == findings.UNKNOWN and "no /proc" in finding.line("en")


@pytest.mark.parametrize("source", ["10.0.0.9", "172.17.0.1", "127.0.0.1", "::1", "fd00::9"])
def test_the_host_sees_us_inside(source: str) -> None:
    assert judged(target({22: OPEN}), source=source) == [doubt("seen-private")]


def test_our_own_address() -> None:
    assert judged(Target("127.0.0.1", "127.0.0.1", {}, True)) == [doubt("own", "127.0.0.1")]
    assert judged(target({22: OPEN, 5432: OPEN}), source=HOST) == [doubt("own")]


def test_inside_what_ssh_is_limited_to() -> None:
    allowed = [f"{HERE}/32", "198.51.100.0/24"]
    shut = [NEUTRAL, CLOSED]
    inside = doubt("allowed", f"22 {HOST}")
    assert judged(target({22: OPEN}), source=HERE, allowed_sources=allowed) == [*shut, inside]
    assert judged(target({22: OPEN}, source="198.51.100.3"), allowed_sources=allowed) == [*shut, inside]
    assert judged(target({22: OPEN}), allowed_sources=allowed) == [*shut, doubt("source", f"22 {HOST}")]
    assert judged(target({22: OPEN}, source=""), allowed_sources=allowed) == [*shut, doubt("source", f"22 {HOST}")]
    outside = ("outside-port", "FAIL", f"22 {HOST}")
    assert judged(target({22: OPEN}), source="192.0.2.8", allowed_sources=allowed) == [*shut, outside]


def test_ssh_over_ipv6_is_judged_by_our_ipv6_address() -> None:
    six = target({22: OPEN}, HOST6, source=HERE6)
    assert judged(six, source=HERE, allowed_sources=[f"{HERE}/32"])[2:] == [("outside-port", "FAIL", f"22 {HOST6}")]
    assert judged(six, source=HERE, allowed_sources=[f"{HERE6}/128"])[2:] == [doubt("allowed", f"22 {HOST6}")]


def test_nothing_is_said_of_sources_where_ssh_is_shut() -> None:
    assert judged(target({}), allowed_sources=[f"{HERE}/32"]) == [doubt("silent")]


def test_no_address() -> None:
    found = preflight_outside.judge(world(unresolved={"oci": "Name or service not known"}), POLICY, WANTED)
    assert [(finding.status, finding.subject) for finding in found] == [(findings.UNKNOWN, "oci")]
    assert [finding.status for finding in preflight_outside.judge(world(), POLICY, WANTED)] == [findings.UNKNOWN]


# Looking -------------------------------------------------------------------------------------------------------------

@contextlib.contextmanager
def listening(address: str = "127.0.0.1", backlog: int = 5) -> Iterator[int]:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as server:
        server.bind((address, 0))
        server.listen(backlog)
        yield int(server.getsockname()[1])


def closed_port() -> int:
    with listening() as port:
        return port


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_open_and_refused(address: str) -> None:
    shut = closed_port()
    with listening(address) as port:
        answers = preflight_outside.knock([address], [port, shut], 2)[address]
    assert (answers[port].state, answers[shut].state) == (OPEN, REFUSED)


def test_a_service_that_takes_no_more_is_silent() -> None:
    with listening(backlog=0) as port, contextlib.ExitStack() as waiting:
        # The kernel drops what the queue of a listener has no room for, as a firewall does.
        waiting.enter_context(socket.create_connection(("127.0.0.1", port), 1))
        assert preflight_outside.knock(["127.0.0.1"], [port], 0.3)["127.0.0.1"][port] == Answer(FILTERED)


@pytest.mark.parametrize("error", [errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EACCES])
def test_what_a_firewall_rejects_is_told_from_a_refusal(error: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*_arguments: Any) -> socket.socket:
        raise OSError(error, "No route to host")

    monkeypatch.setattr(preflight_outside.socket, "create_connection", connect)
    assert preflight_outside.knock([HOST], [5432])[HOST][5432] == Answer(REJECTED, "No route to host")


def test_silence_is_tried_again_and_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []

    def connect(address: tuple[str, int], timeout: float) -> socket.socket:
        tries.append(timeout)
        raise TimeoutError("timed out")

    monkeypatch.setattr(preflight_outside.socket, "create_connection", connect)
    assert preflight_outside.knock([HOST], [5432], 0.1) == {HOST: {5432: Answer(FILTERED)}}
    assert tries == [0.1, 0.1]


def test_an_error_of_our_own_is_none_of_the_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*_arguments: Any) -> socket.socket:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(preflight_outside.socket, "create_connection", connect)
    assert preflight_outside.knock([HOST], [5432])[HOST][5432] == Answer(ERROR, "Too many open files")


def test_our_own_addresses_are_not_tried() -> None:
    with listening() as port:
        seen = preflight_outside.probe("127.0.0.1", ["[::1]", "0.0.0.0", "::ffff:127.0.0.1"], [port], 1)
    assert {target.address for target in seen.targets} == {"127.0.0.1", "::1", "0.0.0.0"}
    assert not any(target.answers for target in seen.targets)
    assert [target.ansible for target in seen.targets] == [True, False, False]


def test_a_name_that_is_none() -> None:
    seen = preflight_outside.probe("no-such-host.invalid", ["a" * 70, ""], [22], 1)
    assert not seen.targets and set(seen.unresolved) == {"no-such-host.invalid", "a" * 70}


def test_networks_of_this_machine(tmp_path: Path) -> None:
    (tmp_path / "route").write_text(
        "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n"
        "eth0 00000000 010200C0 0003 0 0 0 00000000 0 0 0\n"  # the default route
        "wg0 00000000 00000000 0001 0 0 0 00000080 0 0 0\n"  # half of everything, through a tunnel
        "eth0 0000A8C0 010200C0 0003 0 0 0 0000FFFF 0 0 0\n"  # through a router
        "docker0 000011AC 00000000 0001 0 0 0 0000FFFF 0 0 0\n", encoding="ascii")
    assert preflight_outside.own_networks(str(tmp_path)) == (["172.17.0.0/16"], "")
    zeros = "0" * 32
    (tmp_path / "ipv6_route").write_text(
        f"20010db8000000000000000000000000 40 {zeros} 00 {zeros} 00000100 00000001 00000000 00000001 eth0\n"
        f"{zeros} 00 {zeros} 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003 eth0\n"
        f"{zeros} 00 {zeros} 00 {zeros} ffffffff 00000001 00000000 00200200 lo\n", encoding="ascii")
    assert preflight_outside.own_networks(str(tmp_path)) == (["172.17.0.0/16", "2001:db8::/64"], "")
    (tmp_path / "route").write_text("Iface\nnonsense\n", encoding="ascii")
    assert preflight_outside.own_networks(str(tmp_path))[0] is None
    assert preflight_outside.own_networks(str(tmp_path / "none"))[0] is None
