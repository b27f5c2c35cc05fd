# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""The container of a service: found, looked at, run in; and scratch containers of the same image."""

from __future__ import annotations

import contextlib
import subprocess
import time
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence

from . import health
from .backup_errors import BackupError
from .compose import cli_environment, tail
from .engine import Engine, EngineError
from .findings import FAIL, Case, Text

SCRATCH_LABEL = "coinpilot.ops.scratch"

CASES: Dict[str, Case] = {
    "no-engine": Case(FAIL, Text("Docker does not answer: {said}", "Docker가 응답하지 않음: {said}"),
                      Text("sudo systemctl restart docker, then run this again",
                           "sudo systemctl restart docker 실행 후 다시 시도하세요")),
    "no-container": Case(FAIL, Text("there is no container for the service {service}",
                                    "{service} 서비스의 컨테이너가 없음"),
                         Text("start the stack: sudo systemctl reload-or-restart {unit}",
                              "스택을 시작하세요: sudo systemctl reload-or-restart {unit}")),
    "not-running": Case(FAIL, Text("the container {container} is {condition}",
                                   "컨테이너 {container} 상태: {condition}"),
                        Text("see why: docker logs --tail 100 {container}",
                             "원인 확인: docker logs --tail 100 {container}")),
    "wrong-volume": Case(FAIL, Text("{container} has {volume} at {mount}, not {wanted}",
                                    "{container}의 {mount}에 {wanted}이(가) 아니라 {volume}이(가) 연결됨"),
                         Text("this is not the described data: nothing was backed up or deleted. Find the right "
                              "volume: docker volume ls",
                              "스택 설명에 있는 데이터가 아닙니다. 백업도 삭제도 하지 않았습니다. 볼륨 확인: "
                              "docker volume ls")),
    "command-failed": Case(FAIL, Text("{program} in {container} failed: {said}",
                                      "{container}의 {program} 실패: {said}"),
                           Text("see what the service says: docker logs --tail 100 {container}",
                                "서비스 로그 확인: docker logs --tail 100 {container}")),
    "scratch-failed": Case(FAIL, Text("the scratch container {container} failed: {said}",
                                      "임시 컨테이너 {container} 실패: {said}"),
                           Text("the running service was not touched; mend what it says, then run this again",
                                "실행 중인 서비스에는 영향이 없습니다. 메시지의 원인을 해결한 뒤 다시 실행하세요")),
}


class Container(NamedTuple):
    """A service's container. ``directory`` is where the host keeps its volume, ``volume`` that one's name."""

    id: str
    name: str
    image_id: str
    volume: str
    directory: str
    memory: int


def find(engine: Engine, description: Mapping[str, Any], service_name: str, running: bool = True) -> Container:
    """The container of a service that has a volume, by Compose's labels; it may have been renamed by hand.

    Refuses one with another volume than the described one, and, unless told otherwise, one that does not run.
    """
    service = description["services"][service_name]
    try:
        shown = health.by_service(engine.containers(description["project"])).get(service_name)
    except EngineError as problem:
        raise BackupError("no-engine", said=str(problem)) from problem
    if shown is None:
        raise BackupError("no-container", service=service_name, unit=description["unit"])
    name = shown["Name"].lstrip("/")
    now = health.condition(shown)
    if running and now.kind not in ("healthy", "running", "starting", "unhealthy"):
        raise BackupError("not-running", container=name, condition=now)
    wanted = "%s_%s" % (description["project"], service["volume"])
    mounts = [mount for mount in shown["Mounts"] if mount["Destination"] == service["mount"]]
    mount: Mapping[str, Any] = mounts[0] if mounts else {"Source": "-"}
    volume = mount.get("Name") or mount["Source"]
    if volume != wanted:
        raise BackupError("wrong-volume", container=name, volume=volume, mount=service["mount"], wanted=wanted)
    return Container(shown["Id"], name, shown["Image"], volume, mount["Source"], shown["HostConfig"].get("Memory") or 0)


def inside(container: Container, *argv: str, stdin: bool = False) -> List[str]:
    """The command that runs a program in a container. No secret may stand in it: anyone can read command lines."""
    return ["docker", "exec"] + (["--interactive"] if stdin else []) + [container.id, *argv]


def ask(container: Container, *argv: str, given: Optional[str] = None, program: str = "") -> str:
    """What a program in a container writes to its standard output."""
    done = subprocess.run(inside(container, *argv, stdin=given is not None), input=given, capture_output=True,
                          env=cli_environment(), encoding="utf-8", errors="replace", check=False)
    if done.returncode:
        raise BackupError("command-failed", program=program or argv[0], container=container.name,
                          said=one_line(done.stderr or done.stdout))
    return done.stdout


@contextlib.contextmanager
def scratch(container: Container, name: str, mounts: Mapping[str, str], command: Sequence[str],
            options: Sequence[str] = ()) -> Iterator[Container]:
    """A container of the same image beside the real one: no network, no ports, and gone afterwards.

    ``mounts`` maps directories of the host to paths inside. One of that name that a run which was killed left behind
    is removed first.
    """
    remove_scratch(name)
    argv = ["docker", "run", "--detach", "--pull", "never", "--network", "none", "--name", name,
            "--label", SCRATCH_LABEL + "=" + name, "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
            "--restart", "no", *options]
    if container.memory:
        argv += ["--memory", str(container.memory)]
    for source, target in mounts.items():
        argv += ["--volume", "%s:%s" % (source, target)]
    try:
        identifier = _docker(name, *argv[1:], container.image_id, *command).strip()
        yield container._replace(id=identifier, name=name)
    finally:
        remove_scratch(name)


def remove_scratch(name: str) -> None:
    """Removes a scratch container, if there is one; a container of that name without our label is left alone."""
    found = _docker(name, "ps", "--all", "--quiet", "--filter", "name=^/%s$" % name,
                    "--filter", "label=%s=%s" % (SCRATCH_LABEL, name)).split()
    if found:
        _docker(name, "rm", "--force", "--volumes", *found)


def wait_until(container: Container, patience: float, *probe: str) -> None:
    """Waits until a program in a scratch container ends well. One that has ended itself is not waited for."""
    deadline = time.monotonic() + patience
    while True:
        try:
            ask(container, *probe)
            return
        except BackupError as problem:
            running = _docker(container.name, "inspect", "--format", "{{.State.Running}}", container.id).strip()
            if running != "true" or time.monotonic() > deadline:
                said = one_line(_logs(container)) or problem.values["said"]
                raise BackupError("scratch-failed", container=container.name, said=said) from problem
            time.sleep(0.5)


def _logs(container: Container) -> str:
    return subprocess.run(["docker", "logs", "--tail", "20", container.id], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, env=cli_environment(), encoding="utf-8", errors="replace",
                          check=False).stdout


def wait(container: Container) -> str:
    """Waits until a scratch container has ended, and gives what it wrote. An exit code other than 0 is an error."""
    code = _docker(container.name, "wait", container.id).strip()
    done = subprocess.run(["docker", "logs", container.id], capture_output=True, env=cli_environment(),
                          encoding="utf-8", errors="replace", check=False)
    if code != "0":
        raise BackupError("scratch-failed", container=container.name,
                          said="exit code %s: %s" % (code, one_line(done.stderr or done.stdout)))
    return done.stdout


def one_line(text: str) -> str:
    return " / ".join(line.strip() for line in tail(text, 3).splitlines())


def _docker(name: str, *argv: str) -> str:
    done = subprocess.run(["docker", *argv], capture_output=True, env=cli_environment(), encoding="utf-8",
                          errors="replace", check=False)
    if done.returncode:
        raise BackupError("scratch-failed", container=name, said=one_line(done.stderr or done.stdout))
    return done.stdout
