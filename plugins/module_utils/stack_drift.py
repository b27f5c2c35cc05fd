# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Has anything changed since the last deploy that no deploy did? `gather` reads the host, `judge` is pure.

What a container's service is described to be (image, configuration, volume, ports, unit) is judged in `stack_health`.
"""

from __future__ import annotations

import itertools
import os
import re
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from . import deploy_state, dotenv, files, findings, health
from .checklist_context import Context
from .container import SCRATCH_LABEL
from .deploy_state import Good
from .engine import Engine, EngineError
from .findings import DEPLOY, FAIL, PASS, UNKNOWN, WARN, Case, Finding, Rule, Text, table

_PROJECT, _SERVICE = "com.docker.compose.project", "com.docker.compose.service"
_NUMBER = "com.docker.compose.container-number"
_DIRECTORY, _ONEOFF = "com.docker.compose.project.working_dir", "com.docker.compose.oneoff"
_KEY = re.compile(r"[A-Z][A-Z_]{1,40}\Z")
_KEEP_OR_UNDO = Text("to keep the edit, put it into the inventory; then, either way: ansible-playbook site.yml",
                     "수정을 유지하려면 인벤토리에 반영하세요. 그다음(되돌릴 때도): ansible-playbook site.yml")
_DOCKER = Text("is Docker running? sudo systemctl status docker",
               "Docker가 실행 중인가요? sudo systemctl status docker")
_REMOVE = Text("if nothing needs it: docker rm -f {subject}", "필요 없다면: docker rm -f {subject}")

# Rules of the files, and rules of the containers.
FILE_RULES = table(
    Rule("deployed-file", Text("file", "파일"), Text("as the last deploy left it", "마지막 배포 그대로임"), {
        "same": Case(PASS, Text("as the last deploy left it", "마지막 배포 그대로임")),
        "edited": Case(FAIL, Text("edited since the last deploy, from line {line} on",
                                  "마지막 배포 뒤에 수정됨({line}번째 줄부터)"), _KEEP_OR_UNDO),
        "keys": Case(FAIL, Text("edited since the last deploy: {keys}", "마지막 배포 뒤에 수정됨: {keys}"),
                     _KEEP_OR_UNDO),
        "missing": Case(FAIL, Text("is gone: the next start of the stack fails",
                                   "파일이 없음. 다음 스택 시작이 실패함"), DEPLOY),
        "no-deploy": Case(UNKNOWN, Text("no deploy is on record on this host", "이 호스트에 배포 기록이 없음"),
                          Text("ansible-playbook site.yml", "ansible-playbook site.yml")),
    }, Text("read it as root: sudo coinpilot-ops check all", "root로 읽으세요: sudo coinpilot-ops check all")),
)
RULES = table(
    *FILE_RULES.values(),
    Rule("deployed-image", Text("running image", "실행 중인 이미지"),
         Text("every service runs the image that was deployed", "모든 서비스가 배포된 이미지로 실행됨"), {
        "release": Case(FAIL, Text("runs {image}, which no deploy put in force",
                                   "배포한 적 없는 {image} 실행 중"), DEPLOY),
        "rebuilt": Case(FAIL, Text("runs another build of {image} than the one that was deployed",
                                   "배포된 것과 다른 빌드의 {image} 실행 중"), DEPLOY),
        "moved": Case(WARN, Text("{image} now stands for another image: the next start changes what runs",
                                 "{image} 태그가 다른 이미지를 가리킴. 다음 시작 때 실행 내용이 바뀜"),
                      Text("deploy now, so that it is watched: ansible-playbook site.yml",
                           "지켜보는 가운데 지금 배포하세요: ansible-playbook site.yml")),
        "removed": Case(WARN, Text("{image} has been removed from this host: the container cannot be made again",
                                   "{image}이(가) 이 호스트에서 삭제됨. 컨테이너를 다시 만들 수 없음"), DEPLOY),
    }, _DOCKER),
    Rule("container-name", Text("container name", "컨테이너 이름"),
         Text("every container has the name that commands use", "모든 컨테이너가 명령에서 쓰는 이름을 가짐"), {
        "renamed": Case(WARN, Text("is called {name}, not {wanted}", "이름이 {wanted}이(가) 아니라 {name}임"),
                        Text("docker rename {name} {wanted}", "docker rename {name} {wanted}")),
    }, _DOCKER),
    Rule("extra-container", Text("extra container", "추가 컨테이너"),
         Text("one container a service", "서비스마다 컨테이너 하나"), {
        "scaled": Case(FAIL, Text("one more container of {service}: both work on the same data",
                                  "{service}의 컨테이너가 하나 더 있음. 둘이 같은 데이터로 동작함"),
                       Text("docker rm -f {subject}", "docker rm -f {subject}")),
        "run": Case(WARN, Text("left by `docker compose run` of {service}",
                               "{service}의 `docker compose run`이 남긴 것"), _REMOVE),
    }, _DOCKER),
    Rule("foreign-container", Text("foreign container", "외부 컨테이너"),
         Text("no container beside the stack uses what is the stack's",
              "스택 밖의 컨테이너가 스택의 자원을 쓰지 않음"), {
        "project": Case(FAIL, Text("was started from {directory} as project '{project}': it has volumes of its own, "
                                   "which are empty",
                                   "{directory}에서 '{project}' 프로젝트로 시작됨. 별도의 빈 볼륨을 사용함"),
                        Text("docker rm -f {subject}; always start with: sudo systemctl reload-or-restart {unit}",
                             "docker rm -f {subject}. 시작은 항상: sudo systemctl reload-or-restart {unit}")),
        "volume": Case(FAIL, Text("uses the stack's volume {volume}: two programs on one set of data destroy it",
                                  "스택의 볼륨 {volume}을(를) 사용함. 두 프로그램이 같은 데이터를 쓰면 손상됨"),
                       Text("docker rm -f {subject}", "docker rm -f {subject}")),
        "name": Case(FAIL, Text("has a name of the stack and does not belong to it",
                                "스택의 컨테이너 이름이지만 스택에 속하지 않음"),
                     Text("docker rename {subject} {subject}-old, then: ansible-playbook site.yml",
                          "docker rename {subject} {subject}-old 실행 후: ansible-playbook site.yml")),
        "by-hand": Case(WARN, Text("was run by hand from an image of the stack",
                                   "스택의 이미지로 직접 실행한 컨테이너"), _REMOVE),
        "network": Case(WARN, Text("is in the stack's network {network} and reaches the database there",
                                   "스택의 네트워크 {network}에 있어 데이터베이스에 접근할 수 있음"), _REMOVE),
    }, _DOCKER),
)


class World(NamedTuple):
    """What the host says. A text of ``files`` is None where there is no such file; ``errors`` has what failed.

    Holds the values of `.env`: never show it.
    """

    files: Mapping[str, Optional[str]] = {}
    good: Optional[Good] = None
    containers: Sequence[Mapping[str, Any]] = ()
    others: Sequence[Mapping[str, Any]] = ()
    images: Mapping[str, Optional[str]] = {}
    errors: Mapping[str, str] = {}


def read(context: Context, options: Mapping[str, Any]) -> List[Finding]:
    """The reader of the checklist. It has no options."""
    return judge(gather(context.description, context.engine), context.description)


def gather(description: Mapping[str, Any], engine: Engine) -> World:
    """Never raises for what the host does."""
    errors: Dict[str, str] = {}
    texts: Dict[str, Optional[str]] = {}
    for path in _paths(description):
        try:
            texts[path] = files.read_text(path, "surrogateescape")
        except OSError as problem:
            errors[path] = problem.strerror or type(problem).__name__
    world = World(files=texts, errors=errors)
    try:
        world = world._replace(good=deploy_state.read(description))
    except OSError as problem:
        errors["good"] = "%s: %s" % (deploy_state.path(description), problem.strerror or type(problem).__name__)
    except ValueError:
        # The parser's message may quote a secret.
        errors["good"] = "%s: it is not what a deploy writes" % deploy_state.path(description)
    try:
        containers = engine.containers(description["project"])
        references = {container["Config"]["Image"] for container in containers}
        listed = engine.get("/containers/json", all="1")
        return world._replace(
            containers=containers, images={name: engine.image_id(name) for name in references},
            others=[entry for entry in listed
                    if _labels(entry).get(_PROJECT) != description["project"] or _NUMBER not in _labels(entry)])
    except (EngineError, ValueError, KeyError, TypeError) as problem:
        errors["containers"] = str(problem)
        return world


def _paths(description: Mapping[str, Any]) -> List[str]:
    """The compose file and `.env`."""
    return [os.path.join(description["directory"], name) for name in (description["compose_file"], ".env")]


def _labels(shown: Mapping[str, Any]) -> Mapping[str, str]:
    """Of a container as `inspect` shows it, or as the list does."""
    return (shown["Config"] if "Config" in shown else shown).get("Labels") or {}


def judge(world: World, description: Mapping[str, Any]) -> List[Finding]:
    """What differs, and a PASS for each rule by which nothing does."""
    found = [_judge_file(world, path, deployed)
             for path, deployed in zip(_paths(description), world.good[:2] if world.good else (None, None))]
    rules = {name: rule for name, rule in RULES.items() if name not in FILE_RULES}
    if "containers" in world.errors:
        return found + [rule.unread(world.errors["containers"]) for rule in rules.values()]
    differences = list(itertools.chain(_judge_images(world, description), _judge_names(world, description),
                                       _judge_foreign(world, description)))
    if world.good is None:
        del rules["deployed-image"]
    return found + findings.with_passes(rules, differences)


def _judge_file(world: World, path: str, deployed: Optional[str]) -> Finding:
    rule = RULES["deployed-file"]
    error = world.errors.get(path) or world.errors.get("good")
    if error is not None:
        return rule.unread(error, path)
    text = world.files[path]
    if text is None:
        return rule.finding("missing", path)
    if deployed is None:
        return rule.finding("no-deploy", path)
    if text == deployed:
        return rule.finding("same", path)
    keys = _keys_that_differ(text, deployed) if path.endswith(".env") else ""
    if keys:
        return rule.finding("keys", path, keys=keys)
    pairs = itertools.zip_longest(text.splitlines(), deployed.splitlines())
    line = next((number for number, (now, then) in enumerate(pairs, 1) if now != then), 1)
    return rule.finding("edited", path, line=line)


def _keys_that_differ(text: str, deployed: str) -> str:
    """Names alone, never values; and a secret on a line of its own is a name, as Compose reads it."""
    now, then = dotenv.parse(text), dotenv.parse(deployed)
    return ", ".join(key for key in sorted(set(now) | set(then))
                     if now.get(key) != then.get(key) and (key in then or _KEY.match(key)))


def _judge_images(world: World, description: Mapping[str, Any]) -> Iterator[Finding]:
    if world.good is None:
        return
    for service, container in health.by_service(world.containers).items():
        # One that is not described, or has another image than the described one, is told of by stack_health.
        described = description["services"].get(service)
        if described is None or described.get("image", container["Config"]["Image"]) != container["Config"]["Image"]:
            continue
        image, running = container["Config"]["Image"], container["Image"]
        deployed, named = world.good.images.get(image), world.images.get(image)
        case = ("release" if deployed is None else "rebuilt" if deployed != running
                else "removed" if named is None else "moved" if named != running else "")
        if case:
            yield RULES["deployed-image"].finding(case, service, image=image)


def _judge_names(world: World, description: Mapping[str, Any]) -> Iterator[Finding]:
    by_service: Dict[str, List[str]] = {}
    for container in world.containers:
        name, service = _name(container["Name"]), _labels(container).get(_SERVICE, "")
        if not health.made_by_compose(container):
            continue
        if _labels(container).get(_ONEOFF) == "True":
            yield RULES["extra-container"].finding("run", name, service=service)
        elif service in description["services"]:
            by_service.setdefault(service, []).append(name)
    for service, names in by_service.items():
        wanted = description["services"][service]["container"]
        kept = wanted if wanted in names else sorted(names)[0]
        if kept != wanted:
            yield RULES["container-name"].finding("renamed", service, name=kept, wanted=wanted)
        for name in sorted(names):
            if name != kept:
                yield RULES["extra-container"].finding("scaled", name, service=service)


def _judge_foreign(world: World, description: Mapping[str, Any]) -> Iterator[Finding]:
    own_names = {service["container"] for service in description["services"].values()}
    volumes = {"%s_%s" % (description["project"], service["volume"])
               for service in description["services"].values() if "volume" in service}
    networks = {name for container in world.containers for name in _networks(container)}
    for other in world.others:
        labels, name = _labels(other), _name((other.get("Names") or ["?"])[0])
        if SCRATCH_LABEL in labels:
            continue
        used = sorted(volumes & {mount.get("Name") for mount in other.get("Mounts") or ()})
        reached = sorted(networks & set(_networks(other)))
        own_project = labels.get(_PROJECT) == description["project"]
        other_project = not own_project and labels.get(_DIRECTORY) == description["directory"]
        by_hand = own_project and labels.get(_SERVICE) in description["services"]
        for case, holds in (("volume", used), ("project", other_project), ("name", name in own_names),
                            ("network", reached), ("by-hand", by_hand)):
            if holds:
                yield RULES["foreign-container"].finding(
                    case, name, volume=", ".join(used), network=", ".join(reached), unit=description["unit"],
                    directory=description["directory"], project=labels.get(_PROJECT, ""))
                break


def _name(shown: str) -> str:
    return shown.lstrip("/")


def _networks(container: Mapping[str, Any]) -> Tuple[str, ...]:
    """The networks that were made for a project: Docker's own are everybody's."""
    settings = container.get("NetworkSettings") or {}
    return tuple(name for name in settings.get("Networks") or () if name not in ("bridge", "host", "none"))
