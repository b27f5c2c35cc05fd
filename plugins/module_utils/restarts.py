# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Has a service died, or been restarted, in the window? One sample that says healthy does not tell.

Docker counts the restarts that it makes itself, and notes when a container was started last; what both were when the
watch was armed is the baseline. Where the host or Docker itself was restarted, that is said once.
"""

from __future__ import annotations

import re
import subprocess
import time
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from . import health
from .checklist_context import Context
from .engine import Engine, EngineError
from .findings import FAIL, NOTHING, PASS, WARN, Case, Finding, Rule, Text, table
from .moments import moment, span

# Seconds in which what starts by itself after the host, or Docker, does so: the unit waits for the services' health.
_STARTING = 600
# And in which what has armed the watch still restarts something itself.
_ARMING = 120
_LOGS = Text("see why: docker logs --tail 100 {container}", "원인 확인: docker logs --tail 100 {container}")
_MEMORY = Text("give it more memory in stack_service_overrides, or see what grows: docker stats {container}",
               "stack_service_overrides에서 메모리를 늘리거나, 무엇이 늘어나는지 보세요: docker stats {container}")

RULES = table(
    Rule("restart", Text("restarts", "재시작"), Text("runs on since {since} ago", "{since} 전부터 계속 실행됨"), {
        "steady": Case(PASS, Text("runs since {started} ago", "{started} 전부터 실행 중")),
        "died": Case(FAIL, Text("died {times} and came back; runs since {started} ago",
                                "{times} 종료된 뒤 되살아남. {started} 전부터 실행 중"), _LOGS),
        "restarted": Case(WARN, Text("was stopped and started again by someone; runs since {started} ago",
                                     "누군가 중지했다가 다시 시작함. {started} 전부터 실행 중"),
                          Text("if it was not you, see who was logged in (last -n 20) and what it says: "
                               "docker logs --tail 100 {container}",
                               "직접 한 것이 아니라면 로그인 기록(last -n 20)과 로그를 확인하세요: "
                               "docker logs --tail 100 {container}")),
        "replaced": Case(WARN, Text("was made anew, not by a deploy; runs since {started} ago",
                                    "배포가 아닌 방법으로 다시 만들어짐. {started} 전부터 실행 중"),
                         Text("if it was not you, see who was logged in: last -n 20",
                              "직접 한 것이 아니라면 로그인 기록을 확인하세요: last -n 20")),
    }, Text("is Docker running? sudo systemctl status docker", "Docker가 실행 중인가요? sudo systemctl status docker")),
    Rule("memory-kill", Text("memory limit", "메모리 한도"),
         Text("no process was killed for want of memory", "메모리 부족으로 종료된 프로세스가 없음"), {
        "none": Case(PASS, Text("no process was killed", "강제 종료된 프로세스 없음")),
        # A host with control groups of version 1 does not tell more.
        "no-container": Case(PASS, Text("no container was killed", "강제 종료된 컨테이너 없음")),
        "container": Case(FAIL, Text("reached its memory limit and was killed", "메모리 한도에 도달해 강제 종료됨"),
                          _MEMORY),
        "process": Case(WARN, Text("{kills} of its processes were killed at its memory limit since {started} ago",
                                   "{started} 전부터 프로세스 {kills}개가 메모리 한도로 강제 종료됨"), _MEMORY),
    }),
    Rule("host-restart", Text("host", "호스트"),
         Text("neither the host nor Docker was restarted", "호스트와 Docker가 재시작되지 않음"), {
        "steady": Case(PASS, Text("up since {up} ago", "{up} 전부터 가동 중")),
        "host": Case(WARN, Text("the host was restarted {up} ago, and all services with it",
                                "호스트가 {up} 전에 재시작되어 모든 서비스도 재시작됨"),
                     Text("if it was not you: last -x -n 10; journalctl -b -1 -n 50",
                          "직접 한 것이 아니라면: last -x -n 10; journalctl -b -1 -n 50")),
        "docker": Case(WARN, Text("Docker was restarted {docker} ago, and all services with it",
                                  "Docker가 {docker} 전에 재시작되어 모든 서비스도 재시작됨"),
                       Text("if it was neither you nor an update: journalctl -u docker -n 50",
                            "직접 하거나 업데이트한 것이 아니라면: journalctl -u docker -n 50")),
    }, Text("systemctl status docker", "systemctl status docker")),
)


class World(NamedTuple):
    """What the host says. Moments are seconds since 1970; ``kills`` counts, by a container's id, what its control
    group saw killed, as far as that can be told. ``errors`` has what failed."""

    containers: Sequence[Mapping[str, Any]] = ()
    host_started: float = 0
    docker_started: float = 0
    kills: Mapping[str, int] = {}
    errors: Mapping[str, str] = {}


def read(context: Context, options: Mapping[str, Any]) -> List[Finding]:
    """The reader of the checklist. It has no options."""
    return judge(gather(context.description, context.engine), context)


def gather(description: Mapping[str, Any], engine: Engine) -> World:
    """Never raises for what the host does."""
    errors: Dict[str, str] = {}
    world = World(errors=errors)
    try:
        containers = engine.containers(description["project"])
        kills = {container["Id"]: _kills(container["State"].get("Pid") or 0) for container in containers}
        world = world._replace(containers=containers,
                               kills={name: count for name, count in kills.items() if count is not None})
    except (EngineError, ValueError, KeyError, TypeError) as problem:
        errors["containers"] = str(problem)
    try:
        host, docker = _started()
        world = world._replace(host_started=host, docker_started=docker)
    except (OSError, subprocess.SubprocessError, ValueError) as problem:
        errors["host"] = str(problem)
    return world


def _started() -> Tuple[float, float]:
    """When the host's services, and Docker, were started."""
    moments = []
    # On the clock that nobody sets: a start is not moved by a clock that was wrong at that time.
    offset = time.time() - time.clock_gettime(time.CLOCK_MONOTONIC)
    for unit, name in (((), "UserspaceTimestampMonotonic"), (("docker.service",), "ExecMainStartTimestampMonotonic")):
        shown = subprocess.run(["systemctl", "show", *unit, "--property=" + name], capture_output=True, text=True,
                               timeout=20, check=True).stdout
        moments.append(int(shown.strip().partition("=")[2]) / 1e6 + offset)
    return moments[0], moments[1]


def _kills(pid: int) -> Optional[int]:
    """How many processes of a container the kernel has killed at its memory limit since it was started."""
    try:
        with open("/proc/%d/cgroup" % pid, encoding="ascii") as stream:
            group = re.search(r"^0::(/.+)$", stream.read(), re.MULTILINE)
        if group is None:
            return None
        with open("/sys/fs/cgroup%s/memory.events" % group.group(1), encoding="ascii") as stream:
            count = re.search(r"^oom_kill (\d+)$", stream.read(), re.MULTILINE)
        return int(count.group(1)) if count else None
    except (OSError, ValueError):
        return None


def judge(world: World, context: Context) -> List[Finding]:
    """One finding a service that is up; of one that is not, or not yet again, the services' own rule tells."""
    host = _judge_host(world, context)
    if "containers" in world.errors:
        return [host, RULES["restart"].unread(world.errors["containers"], since=_since(context))]
    found = []
    containers = health.by_service(world.containers)
    for name, service in context.description["services"].items():
        now = health.condition(containers.get(name))
        if now.kind in ("healthy", "running", "unhealthy", "paused"):
            found.append(_judge_service(world, context, name, service["container"], now))
            found += _judge_memory(world, name, service["container"], now, context)
    if found and not any(finding.id == "memory-kill" for finding in found):
        found.append(RULES["memory-kill"].finding("none" if world.kills else "no-container"))
    return [host, *found]


def _judge_host(world: World, context: Context) -> Finding:
    rule = RULES["host-restart"]
    if "host" in world.errors:
        return rule.unread(world.errors["host"])
    # On a host that is younger than the window nothing was there to be restarted.
    oldest = min((moment(container.get("Created")) or context.now for container in world.containers),
                 default=context.now)
    begin = max(_begin(context), oldest)
    # Docker can be set to leave containers running while it is restarted itself.
    with_docker = any(0 <= (moment(container["State"].get("StartedAt")) or 0) - world.docker_started < _STARTING
                      for container in world.containers)
    case = ("host" if world.host_started > begin
            else "docker" if world.docker_started > begin and with_docker else "steady")
    return rule.finding(case, up=span(context.now - world.host_started),
                        docker=span(context.now - world.docker_started))


def _begin(context: Context) -> float:
    """From when on a start is one that nobody wanted: what a deploy starts, it starts before it arms the watch."""
    return max(context.since, _armed(context))


def _armed(context: Context) -> float:
    """When the watch was armed last; 0 where it never was."""
    armed = (context.release or {}).get("armed_at")
    return armed if isinstance(armed, (int, float)) else 0.0


def _since(context: Context) -> Text:
    return span(context.now - _begin(context))


def _judge_service(world: World, context: Context, name: str, container: str, now: health.Condition) -> Finding:
    started = moment(now.started_at)
    rule = RULES["restart"]
    if started is None:
        return rule.unread("StartedAt: %s" % (now.started_at or "-"), name, since=_since(context))
    before = _baseline(context, name)
    values = {"since": _since(context), "started": span(context.now - started), "container": container,
              "times": NOTHING}
    if started <= _begin(context):
        return rule.finding("steady", name, **values)
    died = health.crashes(now, before)
    if died:
        return rule.finding("died", name, **dict(values, times=_times(died, before, now)))
    if (any(0 <= started - cause < _STARTING for cause in (world.host_started, world.docker_started))
            or 0 <= started - _armed(context) < _ARMING):
        # That the host or Docker was restarted is told once.
        return rule.finding("steady", name, **values)
    if before is None:
        # Whether it is the first start of a container that was wanted, nobody can tell.
        return rule.finding("steady" if _is_first_start(world, now) else "restarted", name, **values)
    return rule.finding("restarted" if before.container_id == now.container_id else "replaced", name, **values)


def _is_first_start(world: World, now: health.Condition) -> bool:
    # Docker writes its zero time for the end of what has never ended.
    return any(container["Id"] == now.container_id and moment(container["State"].get("FinishedAt")) is None
               for container in world.containers)


def _times(count: int, before: Optional[health.Condition], now: health.Condition) -> Text:
    if before is not None and before.container_id == now.container_id or count == 1:
        return Text("once" if count == 1 else "%d times" % count, "%d번" % count)
    return Text("(%d times since the container was made)" % count, "(컨테이너 생성 이후 %d번)" % count)


def _baseline(context: Context, name: str) -> Optional[health.Condition]:
    """The service when the watch was armed, or None where that is not known."""
    baseline = (context.release or {}).get("baseline")
    noted = baseline.get(name) if isinstance(baseline, Mapping) else None
    if not isinstance(noted, Mapping) or not isinstance(noted.get("restarts"), int):
        return None
    return health.Condition("running", restarts=noted["restarts"], started_at=str(noted.get("started_at", "")),
                            container_id=str(noted.get("id", "")))


def _judge_memory(world: World, name: str, container: str, now: health.Condition, context: Context) -> List[Finding]:
    started = moment(now.started_at) or 0.0
    kills = world.kills.get(now.container_id, 0)
    case = "container" if now.out_of_memory and started > _begin(context) else "process" if kills else ""
    values = {"container": container, "kills": kills, "started": span(context.now - started)}
    return [RULES["memory-kill"].finding(case, name, **values)] if case else []
