# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""What ``preflight_compose`` can say."""

from __future__ import annotations

from .findings import CRITICAL, FAIL, HIGH, UNKNOWN, WARN, Case, Rule, Text, table

RENDER = Rule(
    "compose-render", Text("compose file", "compose 파일"),
    Text("docker compose resolves it", "docker compose가 해석함"),
    {
        "refused": Case(
            FAIL, Text("docker compose refuses it: {reason}", "docker compose가 거부합니다: {reason}"),
            Text("Correct it until this ends without an error: docker compose config --quiet",
                 "다음 명령이 오류 없이 끝날 때까지 고치세요: docker compose config --quiet")),
        "empty": Case(
            FAIL, Text("it has no services", "서비스가 없습니다"),
            Text("Name the file that holds the services", "서비스가 들어 있는 파일을 지정하세요")),
        "unset": Case(
            WARN, Text("the variable {name} is not set; Compose puts nothing in its place",
                       "변수 {name}이(가) 없어 Compose가 빈 값으로 바꿉니다"),
            Text("Set {name} in .env", ".env에 {name}을(를) 넣으세요")),
        "unavailable": Case(
            UNKNOWN, Text("docker compose does not answer here: {reason}",
                          "이 컴퓨터에서 docker compose를 쓸 수 없습니다: {reason}"),
            Text("Install Docker's compose plugin, then try again: docker compose version",
                 "Docker의 compose 플러그인을 설치한 뒤 다시 실행하세요: docker compose version")),
    },
    severity=HIGH,
    why=Text("What Compose cannot resolve cannot be judged, and the next deploy would stop half way.",
             "Compose가 해석하지 못하는 파일은 판단할 수 없고, 다음 배포가 도중에 멈춥니다."))

PORT = Rule(
    "compose-port-public", Text("published port", "게시된 포트"),
    Text("published on 127.0.0.1 or ::1 only, unless the policy's public_ports names it",
         "정책의 public_ports에 없으면 127.0.0.1 또는 ::1에만 게시"),
    {
        "everywhere": Case(
            FAIL, Text("published on every address of the host", "호스트의 모든 주소에 게시됩니다"),
            Text("Write 127.0.0.1: before it, or add it to public_ports if it is meant to be public",
                 "앞에 127.0.0.1:을 붙이세요. 공개할 포트라면 public_ports에 추가하세요")),
        "address": Case(
            FAIL, Text("published on {address}, which others than this host can reach",
                       "이 호스트 밖에서도 닿는 {address}에 게시됩니다"),
            Text("Publish it on 127.0.0.1, or add it to public_ports if it is meant to be public",
                 "127.0.0.1에 게시하세요. 공개할 포트라면 public_ports에 추가하세요")),
        "ephemeral": Case(
            FAIL, Text("published on every address, on a port that Docker picks",
                       "Docker가 고르는 임의의 포트로 모든 주소에 게시됩니다"),
            Text("Write 127.0.0.1:PORT: before it, or use expose for what only other services need",
                 "앞에 127.0.0.1:포트:를 붙이거나, 다른 서비스만 쓴다면 expose를 쓰세요")),
    },
    severity=CRITICAL,
    why=Text("Docker's published ports bypass the host's INPUT chain and ufw. The VNIC's private address is public "
             "too, for OCI translates the public address to it one to one.",
             "Docker가 게시한 포트는 호스트의 INPUT 체인과 ufw를 거치지 않습니다. VNIC의 사설 주소도 OCI가 공인 주소와 "
             "1:1로 변환하므로 공개됩니다."))

PRIVILEGED = Rule(
    "compose-privileged", Text("privileged", "특권 컨테이너"),
    Text("no container, hook or build is privileged", "컨테이너, 훅, 빌드 모두 특권 없음"),
    {
        "container": Case(
            FAIL, Text("the container is privileged", "컨테이너가 특권(privileged)으로 실행됩니다"),
            Text("Remove privileged: true, and add the one capability or device that it needs",
                 "privileged: true를 지우고 꼭 필요한 capability나 장치 하나만 추가하세요")),
        "hook": Case(
            FAIL, Text("the {hook} hook runs privileged", "{hook} 훅이 특권으로 실행됩니다"),
            Text("Remove privileged: true from the hook", "훅에서 privileged: true를 지우세요")),
        "build": Case(
            FAIL, Text("the build runs privileged ({how})", "빌드가 특권으로 실행됩니다({how})"),
            Text("Remove it from build", "build에서 지우세요")),
    },
    severity=CRITICAL,
    why=Text("A privileged container is root on the host: all devices, all capabilities, no confinement.",
             "특권 컨테이너는 호스트의 root와 같습니다. 모든 장치와 capability를 가지며 격리가 없습니다."))

RULES = table(RENDER, PORT, PRIVILEGED)
