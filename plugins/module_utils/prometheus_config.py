# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Prometheus's configuration: proven before it replaces the old one, and read by the running Prometheus afterwards.

What has to be done is told by what there is, not by what a run has changed: a run that was cut off after writing is
made good by the next.
"""

from __future__ import annotations

import http.client
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from typing import Any, Dict, Mapping, NamedTuple, Optional

from . import files
from .compose import cli_environment
from .engine import Engine, EngineError
from .findings import FAIL, PASS, WARN, Case, Finding, Rule, Text, table

ENGINE = "prometheus"
# Seconds: pulling the image at the longest; one answer of Prometheus; until it has read its configuration.
PULL, ANSWER, RELOAD = 900, 5.0, 60.0

_GAUGE = re.compile(r"^prometheus_config_last_reload_(successful|success_timestamp_seconds) (\S+)$", re.MULTILINE)
_LOOK = Text("docker logs --tail 50 {container}", "docker logs --tail 50 {container}")

RULES = table(
    Rule("prometheus-config", Text("Prometheus's configuration", "Prometheus 설정"),
         Text("correct, and the one in force", "올바르며 현재 적용되어 있음"), {
        "read": Case(PASS, Text("in force", "적용됨")),
        "not-running": Case(PASS, Text("read when Prometheus starts", "Prometheus가 시작될 때 읽음")),
        "wrong": Case(FAIL, Text("promtool refuses it: {said}", "promtool이 거부함: {said}"),
                      Text("nothing was changed, the old one stays in force; mend monitoring_jobs, then run this again",
                           "바뀐 것은 없으며 이전 설정이 계속 적용됩니다. monitoring_jobs를 고친 뒤 다시 실행하세요")),
        "unproven": Case(FAIL, Text("it could not be proven: {said}", "검증하지 못함: {said}"),
                         Text("nothing was changed; try on the host: sudo docker pull {image}",
                              "바뀐 것은 없습니다. 호스트에서 실행해 보세요: sudo docker pull {image}")),
        "stale": Case(FAIL, Text("Prometheus has not read it since it was written",
                                 "파일이 바뀐 뒤 Prometheus가 아직 읽지 않음"),
                      Text("docker restart {container}", "docker restart {container}")),
        "refused": Case(FAIL, Text("Prometheus could not read it and goes on with the old one",
                                   "Prometheus가 읽지 못해 이전 설정으로 동작 중"), _LOOK),
        "silent": Case(WARN, Text("Prometheus runs and does not answer: whether it has read it cannot be told",
                                  "Prometheus가 실행 중이지만 응답하지 않아 읽었는지 알 수 없음"), _LOOK),
    }),
)


class Loaded(NamedTuple):
    """What Prometheus says of its configuration: whether it could read it the last time, and when it last could."""

    successful: bool
    at: float


class World(NamedTuple):
    """``process`` is the running Prometheus that reads this file, ``loaded`` is None when it is silent."""

    written_at: Optional[float]
    process: Optional[int]
    loaded: Optional[Loaded]


class Unproven(Exception):
    """The configuration is ``wrong``, or that could not be told (``unproven``); both are cases of the rule."""

    def __init__(self, case: str, said: str):
        super().__init__(said)
        self.case, self.said = case, said


def service(description: Mapping[str, Any]) -> Mapping[str, Any]:
    """The service that is Prometheus."""
    for candidate in description["services"].values():
        if candidate["engine"] == ENGINE:
            return dict(candidate)
    raise ValueError("the description has no service with the engine prometheus")


def gather(description: Mapping[str, Any], path: str, engine: Engine) -> World:
    prometheus = service(description)
    process = running(engine, prometheus["container"], os.path.dirname(path))
    return World(_written_at(path), process, loaded(prometheus["port"]) if process else None)


def is_stale(world: World) -> bool:
    """Whether Prometheus has to be told to read its configuration."""
    if world.written_at is None or world.loaded is None:
        return False
    return not world.loaded.successful or world.loaded.at < world.written_at


def judge(world: World, description: Mapping[str, Any]) -> Finding:
    if world.process is None:
        case = "not-running"
    elif world.loaded is None:
        case = "silent"
    elif not world.loaded.successful:
        case = "refused"
    else:
        case = "stale" if is_stale(world) else "read"
    return RULES["prometheus-config"].finding(case, container=service(description)["container"])


def refusal(problem: Unproven, description: Mapping[str, Any]) -> Finding:
    return RULES["prometheus-config"].finding(problem.case, said=problem.said, image=service(description)["image"])


def can_prove(image: str, engine: Engine) -> bool:
    """Whether that can be done with what is on the host."""
    try:
        return shutil.which("docker") is not None and engine.image_id(image) is not None
    except EngineError:
        return False


def prove(image: str, text: str, kind: str = "config") -> None:
    """Has the image's promtool check a configuration, or a file of rules (``rules``). Raises Unproven."""
    name = "%s.yml" % {"config": "prometheus"}.get(kind, kind)
    with tempfile.TemporaryDirectory(prefix="prometheus-config-") as directory:
        # The user in the container is none of the host's.
        os.chmod(directory, 0o755)
        files.write(files.File(os.path.join(directory, name), text, 0o644))
        command = ["docker", "run", "--rm", "--network", "none", "--read-only", "--cap-drop", "ALL",
                   "--security-opt", "no-new-privileges:true", "--volume", directory + ":/candidate:ro",
                   "--entrypoint", "promtool", image, "check", kind, "/candidate/" + name]
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  env=cli_environment(), timeout=PULL, encoding="utf-8", errors="replace", check=False)
        except (OSError, subprocess.SubprocessError) as problem:
            raise Unproven("unproven", _line(str(problem))) from problem
    if done.returncode == 1:
        raise Unproven("wrong", _line(done.stdout.partition("FAILED:")[2] or done.stdout))
    if done.returncode:
        raise Unproven("unproven", _line(done.stdout))


def have_read(world: World, description: Mapping[str, Any], path: str, engine: Engine) -> World:
    """Tells Prometheus to read its configuration, and waits until it says how that went."""
    if world.process is not None:
        # Not by `docker kill`: whatever the signal, Docker takes that for the wish to stop the container and does not
        # restart it any more, neither after a crash nor after a reboot.
        os.kill(world.process, signal.SIGHUP)
    until = time.monotonic() + RELOAD
    while True:
        now = gather(description, path, engine)
        if (now.loaded is not None and not is_stale(now)) or time.monotonic() > until:
            return now
        time.sleep(0.2)


def running(engine: Engine, name: str, directory: str) -> Optional[int]:
    """The process of the running container of this name, when it has this directory of the host."""
    try:
        shown = engine.get("/containers/%s/json" % name)
    except EngineError:
        # None of that name, or no Docker: nothing to tell.
        return None
    mounted = any(mount.get("Source") == directory for mount in shown.get("Mounts") or [])
    return shown["State"]["Pid"] if mounted and shown["State"].get("Status") == "running" else None


def loaded(port: int) -> Optional[Loaded]:
    """What Prometheus says of its configuration."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER)
    try:
        connection.request("GET", "/metrics")
        return read_metrics(connection.getresponse().read().decode("utf-8", "replace"))
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def read_metrics(text: str) -> Optional[Loaded]:
    values: Dict[str, float] = {}
    for name, value in _GAUGE.findall(text):
        try:
            values[name] = float(value)
        except ValueError:
            return None
    if len(values) != 2:
        return None
    return Loaded(values["successful"] == 1, values["success_timestamp_seconds"])


def _written_at(path: str) -> Optional[float]:
    try:
        # When it got its name, which may be later than when it was written.
        return os.stat(path).st_ctime
    except OSError:
        return None


def _line(text: str) -> str:
    # What promtool has before it are the names that the files have in the container.
    return " ".join(re.sub(r"(parsing YAML file )?/candidate/\w+\.yml: ", "", text).split())
