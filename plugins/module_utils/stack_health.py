# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Is the stack as it is described, and healthy? `gather` reads the host, `judge` is pure.

Whether a service has died and come back is judged in `restarts`, by the time in which it did.
"""

from __future__ import annotations

import os
import pwd
import stat
import subprocess
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

from . import deploy_state, files, health
from .compose import Compose, ComposeError
from .engine import Engine, EngineError
from .findings import DEPLOY, FAIL, PASS, UNKNOWN, WARN, Case, Finding, Rule, Text, table

_HASH = "com.docker.compose.config-hash"

# Reloading applies a changed file, and only while the unit is active.
_APPLY = Text("apply the file: sudo systemctl reload-or-restart {unit}; or undo the edit by deploying again: "
              "ansible-playbook site.yml",
              "파일 적용: sudo systemctl reload-or-restart {unit}. 수정을 되돌리려면 다시 배포하세요: ansible-playbook "
              "site.yml")
_CLOSE = Text("anyone may reach it: deploy again at once: ansible-playbook site.yml; if stack_service_overrides in the "
              "inventory asks for it, take it out there first",
              "누구나 접속할 수 있습니다. 지금 바로 다시 배포하세요: ansible-playbook site.yml. 인벤토리의 "
              "stack_service_overrides에 있다면 먼저 지우세요")

RULES = table(
    Rule("service", Text("service", "서비스"), Text("running and healthy", "실행 중이며 healthy"), {
        "healthy": Case(PASS, Text("healthy", "정상(healthy)")),
        "unchecked": Case(WARN, Text("running, with no health check", "실행 중이지만 헬스체크가 없음"),
                          Text("deploy again: the compose file has one for every service: ansible-playbook site.yml",
                               "다시 배포하세요. compose 파일에는 모든 서비스의 헬스체크가 있습니다: ansible-playbook "
                               "site.yml")),
        "missing": Case(FAIL, Text("{condition}", "{condition}"),
                        Text("start it: sudo systemctl reload-or-restart {unit}; if it fails: sudo journalctl -u "
                             "{unit} -n 50",
                             "시작하세요: sudo systemctl reload-or-restart {unit}. 실패하면: sudo journalctl -u {unit} "
                             "-n 50")),
        # To Compose a container that runs is up: it leaves these two as they are.
        "unhealthy": Case(FAIL, Text("{condition}", "{condition}"),
                          Text("see why: docker logs --tail 100 {container}; then: docker restart {container}",
                               "원인 확인: docker logs --tail 100 {container}. 그다음: docker restart {container}")),
        "paused": Case(FAIL, Text("{condition}", "{condition}"),
                       Text("let it go on: docker unpause {container}", "다시 진행: docker unpause {container}")),
        "down": Case(FAIL, Text("{condition}", "{condition}"),
                     Text("see why: docker logs --tail 100 {container}; then: sudo systemctl reload-or-restart {unit}",
                          "원인 확인: docker logs --tail 100 {container}. 그다음: sudo systemctl reload-or-restart "
                          "{unit}")),
    }, Text("start Docker: sudo systemctl start docker; if it fails: sudo journalctl -u docker -n 50",
            "Docker를 시작하세요: sudo systemctl start docker. 실패하면: sudo journalctl -u docker -n 50")),
    Rule("image", Text("image", "이미지"), Text("{wanted}", "{wanted}"), {
        "as-described": Case(PASS, Text("{image}", "{image}")),
        "other": Case(FAIL, Text("runs {image}, not {wanted}", "{wanted}이(가) 아니라 {image} 실행 중"), DEPLOY),
    }),
    Rule(
        "configuration", Text("configuration", "설정"),
        Text("the container runs what the compose file and .env say", "컨테이너가 compose 파일, .env와 일치함"),
        {
            "same": Case(PASS, Text("as in the file", "파일과 같음")),
            "differs": Case(FAIL, Text("the file has changed since the container was created",
                                       "컨테이너가 만들어진 뒤 파일이 바뀌었음"), _APPLY),
            # That is told as an edit, and whether it is applied is a second question.
            "edited": Case(UNKNOWN, Text("not judged while an edit of the file is not applied",
                                         "파일 수정이 적용되지 않은 동안은 판단하지 않음"), _APPLY),
            # Every version of Compose may count another hash for the same configuration.
            "other-compose": Case(UNKNOWN, Text("made by Compose {made}, which counts otherwise than {now}",
                                                "Compose {made}에서 만들어졌고, {now}과(와)는 해시 계산이 다름"),
                                  Text("deploy again when a restart suits: ansible-playbook site.yml",
                                       "재시작해도 될 때 다시 배포하세요: ansible-playbook site.yml")),
        },
        Text("on the host: cd {directory} && docker compose --env-file .env -f {compose_file} config --quiet",
             "호스트에서: cd {directory} && docker compose --env-file .env -f {compose_file} config --quiet")),
    Rule("volume", Text("data volume", "데이터 볼륨"), Text("{wanted}", "{wanted}"), {
        "right": Case(PASS, Text("{volume}", "{volume}")),
        "wrong": Case(FAIL, Text("{volume} is mounted at {mount}, not {wanted}",
                                 "{mount}에 {wanted}이(가) 아니라 {volume}이(가) 연결됨"),
                      Text("the data is not lost, it is in another volume (docker volume ls): never delete one; set "
                           "stack_project in the inventory back to what it was (oci, if you never set it), and deploy: "
                           "ansible-playbook site.yml",
                           "데이터는 사라지지 않고 다른 볼륨에 있습니다(docker volume ls). 볼륨을 지우지 마세요. "
                           "인벤토리의 stack_project를 원래 값(정한 적이 없으면 oci)으로 되돌리고 배포하세요: "
                           "ansible-playbook site.yml")),
    }),
    Rule("port", Text("port", "포트"), Text("published on 127.0.0.1 alone", "127.0.0.1에만 열림"), {
        "loopback": Case(PASS, Text("{bindings}", "{bindings}")),
        "public": Case(FAIL, Text("published on {bindings}", "{bindings}에 열려 있음"), _CLOSE),
        "host-network": Case(FAIL, Text("network_mode: host: every port that it opens is the host's",
                                        "network_mode: host: 여는 포트가 모두 호스트의 포트가 됨"), _CLOSE),
        "all-ports": Case(FAIL, Text("publishes all its ports on all addresses (docker run -P)",
                                     "모든 포트를 모든 주소에 열고 있음(docker run -P)"), _CLOSE),
    }),
    Rule(
        "stranger", Text("container", "컨테이너"),
        Text("the project's containers are those of the description", "프로젝트에 스택 설명에 있는 컨테이너만 있음"),
        {
            "unknown": Case(WARN, Text("belongs to the project and is not described",
                                       "프로젝트에 속하지만 스택 설명에 없음"),
                            Text("if nothing needs it: docker rm -f {subject}", "필요 없다면: docker rm -f {subject}")),
        }),
    Rule(
        "unit", Text("systemd unit", "systemd 유닛"),
        Text("enabled and active: the stack returns after a reboot", "enabled, active: 재부팅 후 스택 자동복구"),
        {
            "active": Case(PASS, Text("{state}", "{state}")),
            "not": Case(FAIL, Text("{state}", "{state}"),
                        Text("sudo systemctl enable --now {subject}; if it fails: sudo journalctl -u {subject} -n 50",
                             "sudo systemctl enable --now {subject}. 실패하면: sudo journalctl -u {subject} -n 50")),
        },
        Text("ask systemd itself: systemctl status {subject} --no-pager",
             "systemd에서 직접 확인하세요: systemctl status {subject} --no-pager")),
    Rule(
        "env-file", Text("secrets file", "시크릿 파일"),
        Text("mode 0600, a file of {owner}", "권한 0600, {owner} 소유"),
        {
            "closed": Case(PASS, Text("mode {mode}", "권한 {mode}")),
            "open": Case(FAIL, Text("mode {mode}: others may read it", "권한 {mode}: 다른 사용자가 읽을 수 있음"),
                         Text("sudo chmod 600 {subject}", "sudo chmod 600 {subject}")),
            "foreign": Case(FAIL, Text("a file of {actual}", "{actual} 소유"),
                            Text("sudo chown {owner} {subject}", "sudo chown {owner} {subject}")),
        },
        DEPLOY),
)


def gather(description: Mapping[str, Any], engine: Optional[Engine] = None) -> Dict[str, Any]:
    """What the host says; a reading that failed is under ``errors`` by its name. Holds no secrets."""
    env_path = os.path.join(description["directory"], ".env")
    compose = Compose(description["project"], description["directory"],
                      os.path.join(description["directory"], description["compose_file"]), env_path)
    world: Dict[str, Any] = {"errors": {}}
    readings: Dict[str, Callable[[], Any]] = {
        "containers": lambda: (engine or Engine()).containers(description["project"]),
        "hashes": compose.hashes,
        # Only where something differs it is of use.
        "compose": lambda: compose.version() if _differs(world) else None,
        "unit": lambda: _unit(description["unit"]),
        "env_file": lambda: _env_file(env_path),
        "edited": lambda: _is_edited(description),
    }
    for name, read in readings.items():
        try:
            world[name] = read()
        except (EngineError, ComposeError, OSError, subprocess.SubprocessError, ValueError) as problem:
            world[name], world["errors"][name] = None, _said(problem)
    return world


def _said(problem: Exception) -> str:
    # Compose quotes the line of .env that it cannot read, and with it the secret.
    if isinstance(problem, ComposeError):
        return "docker compose cannot read the compose file or .env"
    return (str(problem).strip().splitlines() or [type(problem).__name__])[-1]


def _env_file(path: str) -> Tuple[int, str]:
    """Mode and owner."""
    status = os.lstat(path)
    try:
        return stat.S_IMODE(status.st_mode), pwd.getpwuid(status.st_uid).pw_name
    except KeyError:
        return stat.S_IMODE(status.st_mode), str(status.st_uid)


def _differs(world: Mapping[str, Any]) -> bool:
    """Whether a container is another than the compose file says."""
    if world["containers"] is None or world["hashes"] is None:
        return False
    return any(container["Config"]["Labels"].get(_HASH) != world["hashes"].get(name)
               for name, container in health.by_service(world["containers"]).items())


def _is_edited(description: Mapping[str, Any]) -> bool:
    """Whether the compose file or .env is another than the last good deploy put in force."""
    good = deploy_state.read(description)
    paths = (os.path.join(description["directory"], name) for name in (description["compose_file"], ".env"))
    return good is not None and [files.read_text(path, "surrogateescape") for path in paths] != [good.compose, good.env]


def _unit(name: str) -> Dict[str, str]:
    shown = subprocess.run(["systemctl", "show", name, "--property=ActiveState,SubState,UnitFileState"],
                           capture_output=True, text=True, timeout=20, check=True).stdout
    return dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)


def judge(world: Mapping[str, Any], description: Mapping[str, Any]) -> List[Finding]:
    """Findings in the order of the services, then what belongs to the whole."""
    found: List[Finding] = []
    containers = None if world["containers"] is None else health.by_service(world["containers"])
    for name, service in description["services"].items():
        if containers is None:
            found.append(RULES["service"].unread(world["errors"]["containers"], name))
        else:
            found += _judge_service(name, service, containers.get(name), world, description)
    for name, container in (containers or {}).items():
        if name not in description["services"]:
            found.append(RULES["stranger"].finding("unknown", container["Name"].lstrip("/")))
    return found + [_judge_unit(world, description), _judge_env_file(world, description)]


def _judge_service(name: str, service: Mapping[str, Any], container: Optional[Mapping[str, Any]],
                   world: Mapping[str, Any], description: Mapping[str, Any]) -> List[Finding]:
    now = health.condition(container)
    case = "unchecked" if now.kind == "running" else now.kind if now.kind in RULES["service"].cases else "down"
    found = [RULES["service"].finding(case, name, condition=now, container=service["container"],
                                      unit=description["unit"])]
    if container is None:
        return found
    if "image" in service:
        image = container["Config"]["Image"]
        found.append(RULES["image"].finding("as-described" if image == service["image"] else "other", name,
                                            image=image, wanted=service["image"]))
    if world["hashes"] is None:
        found.append(RULES["configuration"].unread(world["errors"]["hashes"], name, directory=description["directory"],
                                                   compose_file=description["compose_file"]))
    else:
        labels, version = container["Config"]["Labels"], world["compose"]
        made = labels.get("com.docker.compose.version")
        case = ("same" if labels.get(_HASH) == world["hashes"].get(name)
                else "other-compose" if version and made != version
                else "edited" if world["edited"] else "differs")
        found.append(RULES["configuration"].finding(case, name, unit=description["unit"], made=made, now=version))
    if "volume" in service:
        wanted = "%s_%s" % (description["project"], service["volume"])
        mounted = [mount.get("Name") or mount["Source"] for mount in container["Mounts"]
                   if mount["Destination"] == service["mount"]]
        volume = mounted[0] if mounted else "-"
        found.append(RULES["volume"].finding("right" if volume == wanted else "wrong", name, volume=volume,
                                             wanted=wanted, mount=service["mount"]))
    return found + _judge_ports(name, container)


def _judge_ports(name: str, container: Mapping[str, Any]) -> List[Finding]:
    settings = container["HostConfig"]
    if settings.get("NetworkMode") == "host":
        return [RULES["port"].finding("host-network", name)]
    if settings.get("PublishAllPorts"):
        return [RULES["port"].finding("all-ports", name)]
    wanted = settings.get("PortBindings") or {}
    bindings = ["%s:%s" % (bind["HostIp"] or "0.0.0.0", bind["HostPort"]) for binds in wanted.values()
                for bind in binds or ()]
    if not bindings:
        return []
    public = [bind for bind in bindings if not bind.startswith(("127.", "::1:", "[::1]:"))]
    return [RULES["port"].finding("public" if public else "loopback", name, bindings=", ".join(public or bindings))]


def _judge_unit(world: Mapping[str, Any], description: Mapping[str, Any]) -> Finding:
    unit = world["unit"]
    if unit is None:
        return RULES["unit"].unread(world["errors"]["unit"], description["unit"])
    state = "%s, %s (%s)" % (unit.get("UnitFileState") or "not installed", unit.get("ActiveState"),
                             unit.get("SubState"))
    good = unit.get("UnitFileState") == "enabled" and unit.get("ActiveState") == "active"
    return RULES["unit"].finding("active" if good else "not", description["unit"], state=state)


def _judge_env_file(world: Mapping[str, Any], description: Mapping[str, Any]) -> Finding:
    path = os.path.join(description["directory"], ".env")
    if world["env_file"] is None:
        return RULES["env-file"].unread(world["errors"]["env_file"], path, owner=description["owner"])
    mode, owner = world["env_file"]
    case = "open" if mode & 0o077 else "closed" if owner == description["owner"] else "foreign"
    return RULES["env-file"].finding(case, path, mode="%04o" % mode, owner=description["owner"], actual=owner)
