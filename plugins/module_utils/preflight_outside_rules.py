# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""What ``preflight_outside`` can say."""

from __future__ import annotations

from .findings import CRITICAL, FAIL, MEDIUM, PASS, UNKNOWN, WARN, Case, Rule, Text, table

_ELSEWHERE = Text("Run it from a machine with another way to the Internet, e.g. through a phone's hotspot",
                  "다른 인터넷 경로(예: 휴대폰 핫스팟)를 쓰는 컴퓨터에서 실행하세요")
_GIVE_ADDRESS = Text("Give the host's public addresses: security_preflight_addresses",
                     "호스트의 공인 IP를 security_preflight_addresses에 지정하세요")

PORT = Rule(
    "outside-port", Text("port from outside", "외부에서 본 포트"),
    Text("only SSH and the policy's public_ports answer", "SSH와 정책의 public_ports만 응답함"),
    {
        "closed": Case(PASS, Text("closed: {closed}; open as allowed: {open}",
                                  "닫힘: {closed}; 허용되어 열림: {open}")),
        "open": Case(
            FAIL,
            Text("{port} ({name}) is open from outside at {address}",
                 "{address}의 {port}({name}) 포트가 외부에서 열려 있습니다"),
            Text("Close it now in OCI's security list, then publish it on 127.0.0.1 only; if it is meant to be public, "
                 "add {port} to public_ports",
                 "지금 OCI Security List에서 닫고 127.0.0.1에만 게시하세요. "
                 "공개할 포트라면 public_ports에 {port}을(를) 추가하세요")),
        "ssh-open": Case(
            FAIL,
            Text("SSH answers {source}, which is in none of the allowed sources ({allowed})",
                 "허용된 Source({allowed})가 아닌 {source}에서도 SSH가 응답합니다"),
            Text("Limit the source of port {port} in OCI's security list to your own address /32",
                 "OCI Security List에서 {port} 포트의 Source를 본인 공인 IP /32로 제한하세요")),
        "unused": Case(
            WARN,
            Text("the policy allows {port}, and nothing answers there at {address}",
                 "정책은 {port} 포트를 허용하지만 {address}에서 응답이 없습니다"),
            Text("If nothing is to be reached there, take it out of public_ports",
                 "공개할 것이 없다면 public_ports에서 빼세요")),
    },
    Text("Try again; see that this machine may open connections: ulimit -n",
         "다시 실행하고, 이 컴퓨터에서 연결을 열 수 있는지 확인하세요: ulimit -n"),
    severity=CRITICAL,
    why=Text("A database, a workflow engine or a dashboard that the Internet reaches is tried within minutes, and each "
             "of them holds or leads to the exchange's keys.",
             "인터넷에서 닿는 데이터베이스, n8n, 대시보드는 몇 분 안에 공격 대상이 되며, 모두 거래소 키로 이어집니다."))

VANTAGE = Rule(
    "outside-vantage", Text("vantage point", "외부 점검 위치"),
    Text("a place from which the host looks as it does to anyone", "누구나 보는 것과 똑같이 호스트가 보이는 위치"),
    {
        "neutral": Case(PASS, Text("an answer came back from outside", "외부에서 응답이 돌아옴")),
        "no-address": Case(
            UNKNOWN, Text("no address of the host is known", "호스트의 주소를 알 수 없습니다"), _GIVE_ADDRESS),
        "unresolved": Case(
            UNKNOWN, Text("the name cannot be resolved: {error}", "이름을 찾을 수 없습니다: {error}"), _GIVE_ADDRESS),
        "own": Case(
            UNKNOWN,
            Text("the address is this machine's own: nothing was tried, for what answers may be this machine's",
                 "이 컴퓨터 자신의 주소입니다. 응답해도 이 컴퓨터의 서비스일 수 있어 점검하지 않았습니다"),
            _ELSEWHERE),
        "private": Case(
            UNKNOWN,
            Text("a private address: what the Internet reaches does not show here",
                 "사설 주소라서 인터넷에서 무엇이 보이는지 알 수 없습니다"),
            _GIVE_ADDRESS),
        "network": Case(
            UNKNOWN,
            Text("this machine is in the same network ({network}), past the firewalls on the way",
                 "이 컴퓨터가 같은 네트워크({network})에 있어 중간 방화벽을 거치지 않습니다"),
            _ELSEWHERE),
        "seen-private": Case(
            UNKNOWN,
            Text("the host sees this machine as {source}: through a VPN, a jump host or the same network, past the "
                 "firewalls on the way",
                 "호스트에는 이 컴퓨터가 {source}(으)로 보입니다. VPN, 점프 호스트 또는 같은 네트워크를 통하므로 "
                 "중간 방화벽을 거치지 않습니다"),
            _ELSEWHERE),
        "middlebox": Case(
            UNKNOWN,
            Text("even ports {ports} are open: something on the way answers for the host",
                 "{ports} 포트까지 열려 있습니다. 중간 장비가 호스트 대신 응답하고 있습니다"),
            _ELSEWHERE),
        "no-way": Case(
            UNKNOWN,
            Text("no port can be reached: {error}", "어느 포트에도 연결할 수 없습니다: {error}"),
            Text("See that this machine has a way to {subject} over {family}, and run it again",
                 "이 컴퓨터가 {family}(으)로 {subject}에 연결할 수 있는지 확인하고 다시 실행하세요")),
        "silent": Case(
            UNKNOWN,
            Text("no port answers, not even to refuse: the host may be shut, or this machine's own way out",
                 "거부 응답조차 없습니다. 호스트가 모두 닫혀 있거나 이 컴퓨터의 외부 연결이 막힌 것일 수 있습니다"),
            Text("See that this machine reaches others over {family}; OCI's own rules tell more (oci-open)",
                 "이 컴퓨터가 {family}(으)로 다른 곳에 연결되는지 확인하세요. "
                 "OCI 규칙 점검(oci-open)이 더 확실합니다")),
        "ssh": Case(
            UNKNOWN,
            Text("SSH's port {port} does not answer, though Ansible is connected: its way is another one (jump host, "
                 "VPN, another address)",
                 "Ansible은 연결되어 있는데 SSH 포트 {port}이(가) 응답하지 않습니다. "
                 "다른 경로(점프 호스트, VPN, 다른 주소)로 연결된 것입니다"),
            _GIVE_ADDRESS),
        "allowed": Case(
            UNKNOWN,
            Text("SSH answers {source}, which is inside the allowed {allowed}: whether it answers anyone else does not "
                 "show here",
                 "{source}은(는) 허용된 {allowed} 안에 있으므로, SSH가 다른 곳에도 열려 있는지는 알 수 없습니다"),
            Text("Have OCI's rules read (oci-ssh-source), or run it from another address",
                 "OCI 규칙 점검(oci-ssh-source)을 쓰거나 다른 주소에서 실행하세요")),
        "source": Case(
            UNKNOWN,
            Text("SSH answers, and this machine's public address is not known: it may be an allowed one or not",
                 "SSH가 응답하지만, 이 컴퓨터의 공인 IP를 몰라 허용된 Source인지 판단할 수 없습니다"),
            Text("Have OCI's rules read (oci-ssh-source), or give source, this machine's public address",
                 "OCI 규칙 점검(oci-ssh-source)을 쓰거나 이 컴퓨터의 공인 IP를 source로 지정하세요")),
    },
    Text("Run it on Linux or WSL, where /proc/net can be read", "/proc/net을 읽을 수 있는 Linux나 WSL에서 실행하세요"),
    severity=MEDIUM,
    why=Text("From inside an allowed address, the same machine or the same network, ports look closed or open that are "
             "not so for the rest of the world.",
             "허용된 주소, 같은 컴퓨터, 같은 네트워크에서 보면 포트 상태가 실제 외부와 다르게 보입니다."))

RULES = table(PORT, VANTAGE)
