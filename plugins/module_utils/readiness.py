# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Whether a host can take the stack: judged as a whole, before anything on it changes."""

from __future__ import annotations

import ipaddress
import re
from typing import Any, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Tuple

from .description import memory_bytes
from .findings import FAIL, PASS, WARN, Case, Finding, Rule, Text, table

SUPPORTED = {"debian": ("12", "13"), "ubuntu": ("22.04", "24.04", "26.04")}
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
PYTHON = (3, 9)
# The compose file's health checks have a start_interval, which these are the first to know.
ENGINE, COMPOSE = (25, 0), (2, 20)
INODES = 50000

_FREE_UP = Text("Make room: docker system df; sudo du -xh --max-depth=2 / | sort -h | tail",
                "공간을 확보하세요: docker system df; sudo du -xh --max-depth=2 / | sort -h | tail")
_LOOK = Text("Look on the host as root", "호스트에서 root로 확인하세요")

REFUSAL = Text("This host cannot take the stack as it is; nothing on it was changed:",
               "이 호스트에는 지금 상태로 스택을 올릴 수 없습니다. 바뀐 것은 없습니다.")

RULES = table(
    Rule(
        "host-system", Text("system", "운영체제"),
        Text("Ubuntu 22.04, 24.04 or 26.04; Debian 12 or 13", "Ubuntu 22.04, 24.04, 26.04 또는 Debian 12, 13"),
        {
            "supported": Case(PASS, Text("{name}", "{name}")),
            "unsupported": Case(FAIL, Text("{name} is not supported", "{name}은(는) 지원하지 않습니다"),
                                Text("Use a VM with Ubuntu 22.04, 24.04 or 26.04, or Debian 12 or 13",
                                     "Ubuntu 22.04, 24.04, 26.04 또는 Debian 12, 13을 설치한 VM을 쓰세요")),
        }, _LOOK),
    Rule("host-architecture", Text("architecture", "아키텍처"), Text("x86_64 or aarch64", "x86_64 또는 aarch64"), {
        "supported": Case(PASS, Text("{name}", "{name}")),
        "unsupported": Case(FAIL, Text("{name} is not supported", "{name}은(는) 지원하지 않습니다"),
                            Text("Use a 64-bit VM, x86_64 or aarch64", "64비트(x86_64 또는 aarch64) VM을 쓰세요")),
    }),
    Rule("host-python", Text("Python", "Python"), Text("3.9 or newer", "3.9 이상"), {
        "supported": Case(PASS, Text("{name}", "{name}")),
        "unsupported": Case(FAIL, Text("{name} is too old", "{name}은(는) 너무 오래되었습니다"),
                            Text("Use a supported system; its own Python is new enough",
                                 "지원하는 운영체제를 쓰세요. 기본 Python으로 충분합니다")),
    }),
    Rule("host-space", Text("disk", "디스크"), Text("{needed} free for {uses}", "{uses}용 여유 공간 {needed}"), {
        "enough": Case(PASS, Text("{free} free", "여유 {free}")),
        "full": Case(FAIL, Text("{free} free; {uses} need {needed}", "여유 {free}; {uses}에 {needed} 필요"),
                     _FREE_UP),
        "inodes": Case(FAIL, Text("only {inodes} inodes free", "남은 inode가 {inodes}개뿐입니다"), _FREE_UP),
    }, _LOOK),
    Rule(
        "host-memory", Text("memory", "메모리"),
        Text("as much as the services' limits together ({limits})", "서비스 메모리 한도의 합({limits}) 이상"),
        {
            "enough": Case(PASS, Text("{total}", "{total}")),
            "less": Case(WARN, Text("{total}, and the services' limits add up to {limits}",
                                    "{total}이며, 서비스 메모리 한도의 합은 {limits}"),
                         Text("Lower memory in stack_service_overrides, or use a larger VM",
                              "stack_service_overrides에서 memory를 줄이거나 더 큰 VM을 쓰세요")),
        }, _LOOK),
    Rule(
        "docker-engine", Text("Docker", "Docker"),
        Text("an Engine from 25.0 on that answers, or none yet", "Engine 25.0 이상이 응답함, 또는 아직 설치 전"),
        {
            "answers": Case(PASS, Text("Engine {version}", "Engine {version}")),
            "absent": Case(PASS, Text("not installed yet", "아직 설치되지 않음")),
            "interrupted": Case(PASS, Text("its installation is not complete yet", "설치가 아직 끝나지 않음")),
            "silent": Case(FAIL, Text("installed, but its Engine does not answer: {error}",
                                      "설치되어 있지만 Engine이 응답하지 않습니다: {error}"),
                           Text("Start it: sudo systemctl start docker - if it fails: sudo journalctl -u docker -n 50",
                                "시작하세요: sudo systemctl start docker - 실패하면: sudo journalctl -u docker -n 50")),
            "old": Case(FAIL, Text("Engine {version} is too old", "Engine {version}은(는) 너무 오래되었습니다"),
                        Text("Upgrade it (its containers restart): sudo apt-get update && sudo apt-get install "
                             "--only-upgrade {package}",
                             "업그레이드하세요(컨테이너가 재시작됩니다): sudo apt-get update && sudo apt-get install "
                             "--only-upgrade {package}")),
            "unavailable": Case(FAIL, Text("Debian 12's own packages are too old, and have no Compose plugin",
                                           "Debian 12의 자체 패키지는 너무 오래되었고 Compose 플러그인도 없습니다"),
                                Text("Set docker_host_package_source: docker",
                                     "docker_host_package_source: docker 로 설정하세요")),
            "stuck": Case(FAIL, Text("Debian 12's own docker.io is too old, and has no Compose plugin",
                                     "Debian 12의 docker.io는 너무 오래되었고 Compose 플러그인도 없습니다"),
                          Text("When the stack may stop, replace it (volumes stay): sudo apt-get remove docker.io "
                               "- and set docker_host_package_source: docker",
                               "스택을 멈춰도 될 때 교체하세요(볼륨은 남습니다): sudo apt-get remove docker.io "
                               "- 그리고 docker_host_package_source: docker 로 설정하세요")),
        }, _LOOK),
    Rule(
        "docker-compose", Text("Docker Compose", "Docker Compose"),
        Text("2.20 or newer as a plugin, or a package to install", "2.20 이상의 플러그인 또는 설치할 패키지"),
        {
            "present": Case(PASS, Text("{version}", "{version}")),
            "absent": Case(PASS, Text("not installed yet", "아직 설치되지 않음")),
            "old": Case(FAIL, Text("{version} is too old", "{version}은(는) 너무 오래되었습니다"),
                        Text("Upgrade it: sudo apt-get update && sudo apt-get install --only-upgrade {package}",
                             "업그레이드하세요: sudo apt-get update && "
                             "sudo apt-get install --only-upgrade {package}")),
        }, _LOOK),
    Rule("port", Text("port", "포트"), Text("free, or held by {holder}", "비어 있거나 {holder}이(가) 사용"), {
        "free": Case(PASS, Text("free", "비어 있음")),
        "own": Case(PASS, Text("held by {holder}", "{holder}이(가) 사용 중")),
        "container": Case(FAIL, Text("held by the container {owner}", "컨테이너 {owner}이(가) 사용 중"),
                          Text("Stop it if it is not needed: docker stop {owner}",
                               "필요 없다면 중지하세요: docker stop {owner}")),
        "process": Case(FAIL, Text("{owner} (process {pid}) listens on {address}",
                                   "{owner}(프로세스 {pid})이(가) {address}에서 사용 중"),
                        Text("Stop it or move it to another port: sudo ss -ltnp 'sport = :{subject}'",
                             "중지하거나 다른 포트로 옮기세요: sudo ss -ltnp 'sport = :{subject}'")),
        "someone": Case(FAIL, Text("a process that cannot be named listens on {address}",
                                   "확인되지 않는 프로세스가 {address}에서 사용 중"),
                        Text("See which: sudo ss -ltnp 'sport = :{subject}'",
                             "어떤 프로세스인지 확인하세요: sudo ss -ltnp 'sport = :{subject}'")),
    }, _LOOK),
    Rule(
        "container", Text("container", "컨테이너"),
        Text("absent, or of the Compose project {project}", "없거나 Compose 프로젝트 {project}에 속함"),
        {
            "own": Case(PASS, Text("of the project {project}", "프로젝트 {project}")),
            "absent": Case(PASS, Text("not there yet", "아직 없음")),
            "foreign": Case(FAIL, Text("of the Compose project {other}; the volumes of {project} are others, and the "
                                       "stack would start with empty ones",
                                       "Compose 프로젝트 {other}에 속합니다. {project}의 볼륨은 다르므로 "
                                       "스택이 빈 볼륨으로 시작하게 됩니다"),
                            Text("If the data is that project's, set stack_project: {other}; if it is not needed: "
                                 "docker rm -f {names}",
                                 "그 프로젝트의 데이터를 쓰고 있다면 stack_project: {other} 로 설정하고, "
                                 "필요 없다면 지우세요: docker rm -f {names}")),
            "by-hand": Case(FAIL, Text("not made by Compose, and the name is needed",
                                       "Compose가 만든 컨테이너가 아닌데 같은 이름이 필요합니다"),
                            Text("See where the data is (docker inspect {names}), then: docker rm -f {names}",
                                 "데이터 위치를 확인한 뒤(docker inspect {names}) 지우세요: docker rm -f {names}")),
        }, _LOOK),
    Rule(
        "volume", Text("volume", "볼륨"),
        Text("the one with the data, or none like it yet", "데이터가 있는 볼륨, 또는 비슷한 이름의 볼륨도 아직 없음"),
        {
            "present": Case(PASS, Text("there", "있음")),
            "first": Case(PASS, Text("not there yet; it will be made", "아직 없음, 새로 만듦")),
            "alike": Case(FAIL, Text("is not there; the data may be in {others}, and a new, empty volume would be "
                                     "attached",
                                     "없습니다. 데이터가 {others}에 있을 수 있는데, 이대로면 빈 새 볼륨이 연결됩니다"),
                          Text("Check stack_project. If a new volume is right: "
                               "-e host_readiness_allow_new_volumes=true",
                               "stack_project를 확인하세요. 새 볼륨이 맞다면: "
                               "-e host_readiness_allow_new_volumes=true")),
            "elsewhere": Case(FAIL, Text("{container} keeps its data in {others}, and would lose sight of it",
                                         "{container}의 데이터는 {others}에 있고, 이대로면 보이지 않게 됩니다"),
                              Text("Check stack_project, or move the data. If it is not needed: "
                                   "-e host_readiness_allow_new_volumes=true",
                                   "stack_project를 확인하거나 데이터를 옮기세요. 필요 없는 데이터라면: "
                                   "-e host_readiness_allow_new_volumes=true")),
            "allowed": Case(WARN, Text("another is attached, as allowed; there are also {others}",
                                       "허용한 대로 다른 볼륨을 연결합니다. 다음 볼륨도 있습니다: {others}"),
                            Text("Remove host_readiness_allow_new_volumes once the stack runs",
                                 "스택이 정상 동작하면 host_readiness_allow_new_volumes를 지우세요")),
        }, _LOOK),
)


class Demands(NamedTuple):
    """What an installation asks of its host beyond the description."""

    package_source: str = "distribution"
    allow_new_volumes: bool = False
    docker_space: str = "5g"
    stack_space: str = "512m"


def judge(world: Mapping[str, Any], description: Mapping[str, Any], demands: Demands) -> List[Finding]:
    """Everything that can be said about the host, good and bad."""
    return [*_judge_system(world), *_judge_space(world, demands), *_judge_memory(world, description),
            *_judge_docker(world, demands), *_judge_ports(world, description),
            *_judge_containers(world, description), *_judge_volumes(world, description, demands)]


def facts(world: Mapping[str, Any]) -> Dict[str, str]:
    """What others may want to know, under names that package repositories use."""
    system = world["system"] or {}
    return {
        "distribution": system.get("id", ""),
        "version": system.get("version", ""),
        "codename": system.get("codename", ""),
        "architecture": ARCHITECTURES.get(world["architecture"], ""),
        "docker": world["docker"]["state"],
        "engine": (world["engine"] or {}).get("version", ""),
        "compose": world["compose"] or "",
    }


def _judge_system(world: Mapping[str, Any]) -> Iterator[Finding]:
    system, rule = world["system"], RULES["host-system"]
    if system is None:
        yield rule.unread(world["errors"]["system"])
    else:
        known = system["version"] in SUPPORTED.get(system["id"], ())
        yield rule.finding("supported" if known else "unsupported", name=system["name"])
    name = world["architecture"]
    yield RULES["host-architecture"].finding("supported" if name in ARCHITECTURES else "unsupported", name=name)
    yield RULES["host-python"].finding("supported" if tuple(world["python"]) >= PYTHON else "unsupported",
                                       name=".".join(map(str, world["python"])))


def _judge_space(world: Mapping[str, Any], demands: Demands) -> Iterator[Finding]:
    rule = RULES["host-space"]
    needs = {"docker": memory_bytes(demands.docker_space), "stack": memory_bytes(demands.stack_space)}
    words = {"docker": Text("images and containers", "이미지와 컨테이너"),
             "stack": Text("the stack's files", "스택 파일")}
    systems: Dict[int, List[str]] = {}
    for use, space in world["space"].items():
        if space is None:
            yield rule.unread(world["errors"]["space " + use], needed=size(needs[use]), uses=words[use])
        else:
            systems.setdefault(space["device"], []).append(use)
    # What shares a file system needs room for all of it.
    for uses in systems.values():
        space = world["space"][uses[0]]
        needed = sum(needs[use] for use in uses)
        case = ("full" if space["free"] < needed else
                "inodes" if space["inodes"] is not None and space["inodes"] < INODES else "enough")
        joined = Text(" and ".join(words[use].en for use in uses), ", ".join(words[use].ko for use in uses))
        yield rule.finding(case, space["path"], free=size(space["free"]), needed=size(needed), uses=joined,
                           inodes=space["inodes"])


def _judge_memory(world: Mapping[str, Any], description: Mapping[str, Any]) -> Iterator[Finding]:
    limits = sum(memory_bytes(service["memory"]) for service in description["services"].values())
    rule, total = RULES["host-memory"], world["memory"]
    if total is None:
        yield rule.unread(world["errors"]["memory"], limits=size(limits))
    else:
        yield rule.finding("enough" if total >= limits else "less", total=size(total), limits=size(limits))


def _judge_docker(world: Mapping[str, Any], demands: Demands) -> Iterator[Finding]:
    rule, state, package = RULES["docker-engine"], world["docker"]["state"], world["docker"]["package"]
    system, engine, plugin = world["system"] or {}, world["engine"], world["compose"]
    if (system.get("id"), system.get("version")) == ("debian", "12"):
        if package == "docker.io":
            yield rule.finding("stuck")
            return
        if state == "absent" and demands.package_source == "distribution":
            yield rule.finding("unavailable")
            return
    if state == "unread":
        yield rule.unread(world["errors"]["docker"])
    elif state != "installed":
        yield rule.finding(state)
    elif engine is None:
        yield rule.finding("silent", error=world["errors"]["engine"])
    else:
        yield rule.finding("answers" if version(engine["version"]) >= ENGINE else "old", version=engine["version"],
                           package=package or "docker.io")

    rule = RULES["docker-compose"]
    if "compose" in world["errors"]:
        yield rule.unread(world["errors"]["compose"])
    elif plugin:
        yield rule.finding("present" if version(plugin) >= COMPOSE else "old", version=plugin,
                           package=_compose_package(package, system.get("id", "")))
    else:
        yield rule.finding("absent")


def _compose_package(engine_package: str, distribution: str) -> str:
    if engine_package == "docker-ce":
        return "docker-compose-plugin"
    return "docker-compose-v2" if distribution == "ubuntu" else "docker-compose"


def _judge_ports(world: Mapping[str, Any], description: Mapping[str, Any]) -> Iterator[Finding]:
    rule = RULES["port"]
    for port, holder in ((service["port"], service["container"])
                         for service in description["services"].values() if "port" in service):
        subject = str(port)
        publishers = [container["name"] for container in world["containers"] or ()
                      if container["running"] and port in container["ports"]]
        others = [name for name in publishers if name != holder]
        if others:
            yield rule.finding("container", subject, holder=holder, owner=others[0])
        elif publishers:
            yield rule.finding("own", subject, holder=holder)
        elif world["listeners"] is None:
            yield rule.unread(world["errors"]["listeners"], subject, holder=holder)
        else:
            yield _listener(rule, port, holder, world["listeners"])


def _listener(rule: Rule, port: int, holder: str, listeners: Iterable[Mapping[str, Any]]) -> Finding:
    for listener in listeners:
        if listener["port"] == port and _meets_loopback(listener["address"]):
            return rule.finding("process" if listener["pid"] else "someone", str(port), holder=holder,
                                owner=listener["process"], pid=listener["pid"], address=listener["address"])
    return rule.finding("free", str(port), holder=holder)


def _meets_loopback(address: str) -> bool:
    """Whether a listener on this address keeps another from listening on 127.0.0.1."""
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    return parsed.is_unspecified or str(parsed) == "127.0.0.1"


def _judge_containers(world: Mapping[str, Any], description: Mapping[str, Any]) -> Iterator[Finding]:
    rule, project = RULES["container"], description["project"]
    if world["engine"] is None:
        return
    if world["containers"] is None:
        yield rule.unread(world["errors"]["containers"], project=project)
        return
    there = {container["name"]: container["project"] for container in world["containers"]}
    groups: Dict[Tuple[str, str], List[str]] = {}
    for service in description["services"].values():
        name = service["container"]
        other = there.get(name, "")
        case = "absent" if name not in there else "own" if other == project else "foreign" if other else "by-hand"
        groups.setdefault((case, other), []).append(name)
    for (case, other), names in groups.items():
        yield rule.finding(case, ", ".join(names), project=project, other=other, names=" ".join(names))


def _judge_volumes(world: Mapping[str, Any], description: Mapping[str, Any], demands: Demands) -> Iterator[Finding]:
    rule = RULES["volume"]
    if world["engine"] is None:
        return
    unread = next((name for name in ("volumes", "containers") if world[name] is None), None)
    if unread:
        yield rule.unread(world["errors"][unread])
        return
    containers = {container["name"]: container for container in world["containers"]}
    for service in description["services"].values():
        if not service.get("volume"):
            continue
        name = "%s_%s" % (description["project"], service["volume"])
        in_use = containers.get(service["container"], {}).get("mounts", {}).get(service["mount"], name)
        alike = [volume for volume in world["volumes"] if service["volume"] in volume and volume != name]
        if in_use != name:
            yield rule.finding("allowed" if demands.allow_new_volumes else "elsewhere", name, others=in_use,
                               container=service["container"])
        elif name in world["volumes"]:
            yield rule.finding("present", name)
        elif alike:
            yield rule.finding("allowed" if demands.allow_new_volumes else "alike", name, others=", ".join(alike))
        else:
            yield rule.finding("first", name)


def version(text: str) -> Tuple[int, ...]:
    """The leading numbers of a version: 2.26.1-4 is (2, 26, 1), v5.0 is (5, 0)."""
    return tuple(int(number) for number in re.findall(r"\d+", re.split(r"[^v\d.]", text, maxsplit=1)[0]))


def size(count: int) -> str:
    """A number of bytes for a person."""
    return "%.1f GiB" % (count / (1 << 30)) if count >= 1 << 30 else "%d MiB" % (count >> 20)
