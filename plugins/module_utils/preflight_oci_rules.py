# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""What ``preflight_oci`` can say."""

from __future__ import annotations

from .findings import CRITICAL, FAIL, HIGH, MEDIUM, PASS, UNKNOWN, WARN, Case, Rule, Text, table

# What the user whose key is used must be allowed to, by what was to be read.
STATEMENTS = {
    "instance": "Allow group <group> to read instances in compartment <compartment>",
    "network": "Allow group <group> to read virtual-network-family in compartment <compartment>",
    "budgets": "Allow group <group> to read usage-budgets in tenancy",
    "quotas": "Allow group <group> to read quotas in tenancy",
    "limits": "Allow group <group> to inspect resource-availability in tenancy",
}

GROUPS = {
    "rules": Text("security rules", "보안 규칙"),
    "budgets": Text("budgets", "예산"),
    "quotas": Text("quotas", "쿼터"),
    "limits": Text("service limits", "서비스 한도"),
}

ACCESS = Rule(
    "oci-access", Text("OCI API", "OCI API"),
    Text("everything asked for can be read", "필요한 항목을 모두 읽을 수 있음"),
    {
        "read": Case(PASS, Text("everything was read", "모두 읽음")),
        "no-sdk": Case(
            UNKNOWN,
            Text("the Python package oci is not installed for {python}", "{python}에 Python 패키지 oci가 없습니다"),
            Text("Install it: {python} -m pip install -r requirements-oci.txt",
                 "설치하세요: {python} -m pip install -r requirements-oci.txt")),
        "credentials": Case(
            UNKNOWN,
            Text("no usable credentials: {error}", "쓸 수 있는 인증 정보가 없습니다: {error}"),
            Text("Make an API key and a profile in ~/.oci/config: oci setup config",
                 "API 키와 ~/.oci/config 프로필을 만드세요: oci setup config")),
        "denied": Case(
            UNKNOWN,
            Text("OCI does not take the credentials: {error}", "OCI가 인증 정보를 거부했습니다: {error}"),
            Text("Compare user, fingerprint, key_file and tenancy with the Console (User settings > API keys), and "
                 "this machine's clock with the time",
                 "사용자, fingerprint, key_file, tenancy를 콘솔(User settings > API keys)과 비교하고 "
                 "이 컴퓨터의 시계가 맞는지 확인하세요")),
        "not-allowed": Case(
            UNKNOWN,
            Text("not permitted, or not there: {error}", "권한이 없거나 존재하지 않습니다: {error}"),
            Text("If the id and the region are right, have an administrator add the policy: {statement}",
                 "OCID와 리전이 맞다면 관리자에게 정책 추가를 요청하세요: {statement}")),
        "busy": Case(
            UNKNOWN,
            Text("too many requests: {error}", "요청이 너무 많습니다: {error}"),
            Text("Wait 15 minutes and run it again", "15분 뒤에 다시 실행하세요")),
        "failed": Case(
            UNKNOWN,
            Text("could not be asked: {error}", "조회하지 못했습니다: {error}"),
            Text("See that this machine reaches oraclecloud.com, and run it again",
                 "이 컴퓨터에서 oraclecloud.com에 연결되는지 확인하고 다시 실행하세요")),
        "no-vnic": Case(
            UNKNOWN,
            Text("the instance has no network interface (state: {state})", "인스턴스에 VNIC이 없습니다(상태: {state})"),
            Text("Check security_preflight_oci_instance_id: it may be an instance that was replaced",
                 "security_preflight_oci_instance_id를 확인하세요. 교체된 예전 인스턴스일 수 있습니다")),
    },
    severity=MEDIUM,
    why=Text("OCI's rules are the outer wall. What of them cannot be read is not known to be shut.",
             "OCI 규칙은 가장 바깥의 방화벽입니다. 읽지 못한 규칙은 닫혀 있다고 볼 수 없습니다."))

SSH = Rule(
    "oci-ssh-source", Text("SSH in OCI's rules", "OCI 규칙의 SSH"),
    Text("SSH only from single addresses (/32, for IPv6 /128)", "SSH는 단일 주소(/32, IPv6는 /128)에서만 허용"),
    {
        "limited": Case(PASS, Text("only from {sources}", "{sources}에서만 허용")),
        "anyone": Case(
            FAIL,
            Text("{place} lets everyone ({source}) reach SSH", "{place}이(가) SSH를 모두({source})에게 허용합니다"),
            Text("Set the source of this rule to your own address /32 (curl -4 https://ifconfig.me)",
                 "이 규칙의 Source를 본인 공인 IP /32로 바꾸세요(확인: curl -4 https://ifconfig.me)")),
        "wide": Case(
            FAIL,
            Text("{place} lets the whole of {source} reach SSH", "{place}이(가) SSH를 {source} 전체에 허용합니다"),
            Text("Set the source of this rule to your own address /32",
                 "이 규칙의 Source를 본인 공인 IP /32로 바꾸세요")),
        "inside": Case(
            WARN,
            Text("{place} lets machines inside the network ({source}) reach SSH",
                 "{place}이(가) SSH를 내부 네트워크({source})에 허용합니다"),
            Text("If no machine there is used to log in from, remove the rule",
                 "그 안에서 접속할 일이 없다면 규칙을 지우세요")),
    },
    Text("Look at this rule in the Console", "콘솔에서 이 규칙을 확인하세요"), severity=HIGH,
    why=Text("Whoever reaches the SSH port tries it day and night; one leaked key or one flaw in sshd is enough.",
             "누구나 닿는 SSH 포트는 밤낮으로 공격받습니다. 키 유출이나 sshd 취약점 하나면 뚫립니다."))

OPEN = Rule(
    "oci-open", Text("open in OCI's rules", "OCI 규칙에서 열린 포트"),
    Text("besides SSH, only the policy's public_ports", "SSH 외에는 정책의 public_ports만"),
    {
        "closed": Case(PASS, Text("nothing else is open", "그 밖에 열린 포트 없음")),
        "open": Case(
            FAIL,
            Text("{place} opens {what} to {source}", "{place}이(가) {what}을(를) {source}에 열고 있습니다"),
            Text("Delete this ingress rule, or narrow its destination ports; what is meant to be public goes into "
                 "public_ports",
                 "이 Ingress 규칙을 지우거나 Destination Port Range를 좁히세요. "
                 "공개할 포트라면 public_ports에 추가하세요")),
        "web": Case(
            WARN,
            Text("{place} opens {what} to {source}, and the policy has no use for it",
                 "{place}이(가) {what}을(를) {source}에 열고 있지만 정책에는 없습니다"),
            Text("With a reverse proxy, add it to public_ports; without one, delete the rule",
                 "리버스 프록시를 쓴다면 public_ports에 추가하고, 아니면 규칙을 지우세요")),
        "inside": Case(
            WARN,
            Text("{place} opens {what} to machines inside the network ({source})",
                 "{place}이(가) {what}을(를) 내부 네트워크({source})에 열고 있습니다"),
            Text("If no other machine of yours needs it, delete the rule",
                 "필요한 다른 서버가 없다면 규칙을 지우세요")),
        "icmp": Case(
            WARN,
            Text("{place} lets more ICMP in from {source} than types 3 and 8 ({what})",
                 "{place}이(가) {source}에서 ICMP 3, 8번 외의 유형({what})도 허용합니다"),
            Text("Limit it to type 3 code 4, and type 8 if you want to ping",
                 "Type 3 Code 4(ping이 필요하면 Type 8도)로 제한하세요")),
    },
    Text("Look at this rule in the Console", "콘솔에서 이 규칙을 확인하세요"), severity=CRITICAL,
    why=Text("What OCI lets through is one mistake on the host away from being public: Docker publishes ports past the "
             "host's own firewall.",
             "OCI가 통과시키는 포트는 호스트에서 실수 한 번이면 공개됩니다. "
             "Docker가 게시한 포트는 호스트 방화벽을 우회합니다."))

CHANGED = Rule(
    "oci-changed", Text("changed in OCI", "OCI 변경 사항"),
    Text("security rules, budgets, quotas and limits as a week ago", "보안 규칙, 예산, 쿼터, 한도가 일주일 전과 같음"),
    {
        "same": Case(PASS, Text("as on {since}", "{since}와 같음")),
        "first": Case(
            WARN,
            Text("recorded for the first time: there is nothing to compare with yet",
                 "처음 기록했습니다. 아직 비교할 기록이 없습니다"),
            Text("Nothing; the next run compares", "조치할 것이 없습니다. 다음 실행부터 비교합니다")),
        "changed": Case(
            WARN,
            Text("since {since}: {changes}", "{since} 이후: {changes}"),
            Text("If this was not you, change the password and the API keys of the OCI account now",
                 "본인이 바꾼 것이 아니라면 지금 OCI 계정의 비밀번호와 API 키를 바꾸세요")),
    },
    Text("Mend the file, or remove it to begin a new record", "파일을 고치거나, 지우고 기록을 새로 시작하세요"),
    severity=MEDIUM,
    why=Text("A rule, a budget or a quota that changed by itself is an early sign of an account that another uses; a "
             "budget that is gone warns nobody.",
             "저절로 바뀐 규칙, 예산, 쿼터는 계정 도용의 초기 신호입니다. 예산이 사라지면 경고도 오지 않습니다."))

RULES = table(ACCESS, SSH, OPEN, CHANGED)
