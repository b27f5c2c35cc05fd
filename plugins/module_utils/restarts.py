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

from . import change_window, health
from .change_window import Windows
from .checklist_context import Context
from .engine import Engine, EngineError
from .findings import FAIL, NOTHING, PASS, WARN, Case, Finding, Rule, Text, table
from .moments import moment, span

# Seconds in which what starts by itself after the host, or Docker, does so: the unit waits for the services' health.
_STARTING = 600
# And in which what has armed the watch still restarts something itself.
_ARMING = 120
# Seconds in which one death of what was there before is a race: all start at once then, whoever waits for whom.
_RACE = 300
_LOGS = Text("see why: docker logs --tail 100 {container}", "원인 확인: docker logs --tail 100 {container}")
_MEMORY = Text("give it more memory in stack_service_overrides, or see what grows: "
               "docker stats --no-stream {container}",
               "stack_service_overrides에서 메모리를 늘리거나, 무엇이 늘어나는지 보세요: "
               "docker stats --no-stream {container}")

RULES = table(
    Rule("restart", Text("restarts", "재시작"), Text("has run on for {since}", "{since} 동안 계속 실행됨"), {
        "steady": Case(PASS, Text("has been running for {started}", "{started} 전부터 실행 중")),
        "died": Case(FAIL, Text("died {times} and came back; has been running for {started}",
                                "{times} 종료된 뒤 되살아남. {started} 전부터 실행 중"), _LOGS),
        "raced": Case(WARN, Text("died once while everything started after the host or Docker, and came back; has been "
                                 "running for {started}",
                                 "호스트나 Docker의 재시작으로 모두 함께 시작할 때 한 번 종료된 뒤 되살아남. "
                                 "{started} 전부터 실행 중"), _LOGS),
        "restarted": Case(WARN, Text("was stopped and started again by someone; has been running for {started}",
                                     "누군가 중지했다가 다시 시작함. {started} 전부터 실행 중"),
                          Text("if it was not you, see who was logged in (last -n 20) and what it says: "
                               "docker logs --tail 100 {container}",
                               "직접 한 것이 아니라면 로그인 기록(last -n 20)과 로그를 확인하세요: "
                               "docker logs --tail 100 {container}")),
        "replaced": Case(WARN, Text("was made anew, not by a deploy; has been running for {started}",
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
    group saw killed, as far as that can be told, ``armings`` is when the watch was armed. ``errors`` has what
    failed."""

    containers: Sequence[Mapping[str, Any]] = ()
    host_started: float = 0
    docker_started: float = 0
    kills: Mapping[str, int] = {}
    armings: Sequence[float] = ()
    errors: Mapping[str, str] = {}


def read(context: Context, options: Mapping[str, Any]) -> List[Finding]:
    """The reader of the checklist. It has no options."""
    world = gather(context.description, context.engine)
    return judge(world._replace(armings=change_window.armings(context)), context)


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
    containers = health.by_service(world.containers)
    windows = change_window.windows(context, containers, world.armings)
    host = _judge_host(world, context, windows.since)
    if "containers" in world.errors:
        return [host, RULES["restart"].unread(world.errors["containers"], since=span(context.now - windows.since))]
    found = []
    for name, service in context.description["services"].items():
        now = health.condition(containers.get(name))
        if now.kind in ("healthy", "running", "unhealthy", "paused"):
            found.append(_judge_service(world, context, name, service["container"], now, windows))
            found += _judge_memory(world, name, service["container"], now, context, windows)
    if found and not any(finding.id == "memory-kill" for finding in found):
        found.append(RULES["memory-kill"].finding("none" if world.kills else "no-container"))
    return [host, *found]


def _judge_host(world: World, context: Context, since: float) -> Finding:
    rule = RULES["host-restart"]
    if "host" in world.errors:
        return rule.unread(world.errors["host"])
    # On a host that is younger than the window nothing was there to be restarted.
    oldest = min((moment(container.get("Created")) or context.now for container in world.containers),
                 default=context.now)
    begin = max(since, oldest)
    # Docker can be set to leave containers running while it is restarted itself.
    with_docker = any(0 <= (moment(container["State"].get("StartedAt")) or 0) - world.docker_started < _STARTING
                      for container in world.containers)
    case = ("host" if world.host_started > begin
            else "docker" if world.docker_started > begin and with_docker else "steady")
    return rule.finding(case, up=span(context.now - world.host_started),
                        docker=span(context.now - world.docker_started))


def _judge_service(world: World, context: Context, name: str, container: str, now: health.Condition,
                   windows: Windows) -> Finding:
    """What a change starts, it starts before it arms the watch: a start after that is one that nobody wanted."""
    started, begin = moment(now.started_at), windows.of(name)
    rule = RULES["restart"]
    since = span(context.now - begin)
    if started is None:
        return rule.unread("StartedAt: %s" % (now.started_at or "-"), name, since=since)
    values = {"since": since, "started": span(context.now - started), "container": container, "times": NOTHING}
    if started <= begin:
        return rule.finding("steady", name, **values)
    before = change_window.baseline(context, name)
    # Docker's number says how often since the container was made, so what it was before the window is not known.
    earlier = before.restarts if before is not None and (moment(before.started_at) or 0.0) > begin else 0
    died = health.crashes(now, before) + earlier
    causes = (world.host_started, world.docker_started)
    if died:
        made = _made(world, now)
        raced = died < health.CRASH_LOOP and any(made < cause <= started < cause + _RACE for cause in causes)
        return rule.finding("raced" if raced else "died", name,
                            **dict(values, times=_times(died, None if earlier else before, now)))
    if (any(0 <= started - cause < _STARTING for cause in causes)
            or any(-change_window.TAKES <= started - armed < _ARMING for armed in world.armings)):
        # That the host or Docker was restarted is told once.
        return rule.finding("steady", name, **values)
    if before is None or started <= change_window.armed_at(context):
        # Whether it is the first start of a container that was wanted, nobody can tell.
        return rule.finding("steady" if _is_first_start(world, now) else "restarted", name, **values)
    return rule.finding("restarted" if before.container_id == now.container_id else "replaced", name, **values)


def _made(world: World, now: health.Condition) -> float:
    return next((moment(container.get("Created")) or 0.0 for container in world.containers
                 if container["Id"] == now.container_id), 0.0)


def _is_first_start(world: World, now: health.Condition) -> bool:
    # Docker writes its zero time for the end of what has never ended.
    return any(container["Id"] == now.container_id and moment(container["State"].get("FinishedAt")) is None
               for container in world.containers)


def _times(count: int, before: Optional[health.Condition], now: health.Condition) -> Text:
    if before is not None and before.container_id == now.container_id or count == 1:
        return Text("once" if count == 1 else "%d times" % count, "%d번" % count)
    return Text("(%d times since the container was made)" % count, "(컨테이너 생성 이후 %d번)" % count)


def _judge_memory(world: World, name: str, container: str, now: health.Condition, context: Context,
                  windows: Windows) -> List[Finding]:
    started = moment(now.started_at) or 0.0
    kills = world.kills.get(now.container_id, 0)
    case = "container" if now.out_of_memory and started > windows.of(name) else "process" if kills else ""
    values = {"container": container, "kills": kills, "started": span(context.now - started)}
    return [RULES["memory-kill"].finding(case, name, **values)] if case else []
