# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Metrics of the containers and the file systems, for the node exporter's textfile collector.

Made on the host from what the Docker Engine says, so that no container needs its socket, the host's processes or its
file systems. `gather` reads, `render` judges what was read; what is not known has no series.
"""

from __future__ import annotations

import glob
import os
import time
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Tuple

from . import backup_history, certificate, cron, files, metrics, moments
from .engine import Engine, EngineError
from .findings import FAIL, PASS, WARN, Case, Finding, Rule, Text, table
from .metrics import COUNTER, GAUGE, Metric

# Seconds for one answer of the Engine, and for all of them. A container may hang while the others answer.
CALL, ROUND = 3.0, 10.0
DOCKER_ROOT = "/var/lib/docker"
# Where Certbot and Caddy keep what they get.
CERTIFICATES = ("/etc/letsencrypt/live/*/cert.pem",
                "/var/lib/caddy/.local/share/caddy/certificates/*/*/*.crt")

_ENDLESS = float(1 << 80)
_PROJECT, _SERVICE, _ONE_OFF = ("com.docker.compose." + word for word in ("project", "service", "oneoff"))

RULES = table(
    Rule("host-metrics", Text("metrics of the host", "호스트 메트릭"), Text("written to {path}", "{path}에 기록"), {
        "written": Case(PASS, Text("{up} of {count} services run", "서비스 {count}개 중 {up}개 실행 중")),
        "no-docker": Case(WARN, Text("Docker does not answer: only the host's own were written",
                                     "Docker가 응답하지 않아 호스트 자체의 메트릭만 기록함"),
                          Text("sudo systemctl status docker", "sudo systemctl status docker")),
        "unwritten": Case(FAIL, Text("not written: {error}", "기록하지 못함: {error}"),
                          Text("look at the room and the mount: df -h {directory}; findmnt -T {directory}",
                               "공간과 마운트 상태를 확인하세요: df -h {directory}; findmnt -T {directory}")),
    }),
)


class Container(NamedTuple):
    """What the Engine says of one: in the list of all, on inspection, and of its use. None is what it did not say."""

    entry: Mapping[str, Any]
    inspection: Optional[Mapping[str, Any]]
    stats: Optional[Mapping[str, Any]]


class FileSystem(NamedTuple):
    path: str
    size: int
    available: int
    files: int
    files_free: int


class World(NamedTuple):
    """``containers`` is None when the Engine does not answer. ``certificates``: path -> when it ends. ``utc_offset`` is
    how far the clock that cron goes by is ahead of UTC, in seconds."""

    at: float
    utc_offset: int
    containers: Optional[List[Container]]
    file_systems: List[FileSystem]
    certificates: Mapping[str, float]


def gather(description: Mapping[str, Any], engine: Engine, docker_root: str = DOCKER_ROOT) -> World:
    """What the host says. Takes no longer than the Engine's share of time, whatever that does."""
    paths = (description["state_directory"], docker_root, description["backup_directory"])
    now = time.time()
    return World(now, time.localtime(now).tm_gmtoff, _containers(engine, description["project"]), file_systems(paths),
                 dict(_certificates(CERTIFICATES)))


def render(world: World, description: Mapping[str, Any]) -> str:
    """The text of the metrics file."""
    prefix = metrics.prefix(description["name"])
    host = [
        Metric("docker_up", "Whether the Docker Engine answers.", [({}, world.containers is not None)]),
        Metric("metrics_last_run_timestamp_seconds", "When these metrics were made.", [({}, world.at)]),
        *_of_file_systems(world.file_systems),
        *_of_schedules(world, description["backup"]),
        Metric("certificate_expiry_timestamp_seconds", "When a reverse proxy's certificate ends.",
               [({"path": path}, moment) for path, moment in sorted(world.certificates.items())]),
    ]
    return metrics.render(metric._replace(name="%s_%s" % (prefix, metric.name))
                          for metric in host + _of_containers(world.containers, description["services"]))


def run(description: Mapping[str, Any], every: Optional[int] = None, engine: Optional[Engine] = None,
        outdated: Callable[[], bool] = lambda: False) -> Finding:
    """Writes the metrics once, or every so many seconds until they cannot be written or this program is outdated."""
    engine = engine or Engine()
    path = os.path.join(metrics.directory(description["state_directory"]), "containers.prom")
    root: Optional[str] = None
    while True:
        begun = time.monotonic()
        root = root or _docker_root(engine)
        world = gather(description, engine, root or DOCKER_ROOT)
        try:
            files.remove_leftovers(path)
            files.write(files.File(path, render(world, description), 0o644))
        except OSError as problem:
            return RULES["host-metrics"].finding("unwritten", path=path, error=problem.strerror,
                                                 directory=os.path.dirname(path))
        if every is None or outdated():
            return _outcome(world, description, path)
        time.sleep(max(1.0, every - (time.monotonic() - begun)))


def watch(*paths: str) -> Callable[[], bool]:
    """A function that says whether one of these files has been changed or replaced since."""
    before = [_version(path) for path in paths]
    return lambda: [_version(path) for path in paths] != before


def _version(path: str) -> Tuple[int, ...]:
    try:
        seen = os.stat(path)
    except OSError:
        return ()
    return seen.st_ino, seen.st_mtime_ns, seen.st_size


def _outcome(world: World, description: Mapping[str, Any], path: str) -> Finding:
    if world.containers is None:
        return RULES["host-metrics"].finding("no-docker", path=path)
    chosen = _by_service(world.containers)
    up = sum(_is_up(chosen[service]) for service in description["services"] if service in chosen)
    return RULES["host-metrics"].finding("written", path=path, up=up, count=len(description["services"]))


# Reading -------------------------------------------------------------------------------------------------------------

def _containers(engine: Engine, project: str) -> Optional[List[Container]]:
    until = time.monotonic() + ROUND
    entries = _asked(engine, until, "/containers/json", all="1", filters={"label": ["%s=%s" % (_PROJECT, project)]})
    if not isinstance(entries, list):
        return None
    found = []
    for entry in entries:
        path = "/containers/%s/" % _at(entry, "Id")
        inspection = _asked(engine, until, path + "json")
        stats = None
        # One that hangs answers neither.
        if inspection is not None and _at(entry, "State") == "running":
            # Without `one-shot` the Engine waits for a second sample.
            stats = _asked(engine, until, path + "stats", **{"stream": "false", "one-shot": "true"})
        found.append(Container(entry, inspection, stats))
    return found


def _asked(engine: Engine, until: float, path: str, **query: Any) -> Any:
    """What the Engine answers, or None. It gets the time that is left."""
    left = until - time.monotonic()
    if left <= 0:
        return None
    engine.timeout = min(CALL, left)
    try:
        return engine.get(path, **query)
    except (EngineError, ValueError):
        return None


def _docker_root(engine: Engine) -> Optional[str]:
    """Where Docker keeps all it has. Asked once: the Engine starts programs to answer."""
    root = _at(_asked(engine, time.monotonic() + CALL, "/info"), "DockerRootDir")
    return root if isinstance(root, str) and os.path.isabs(root) else None


def file_systems(paths: Tuple[str, ...]) -> List[FileSystem]:
    """The file systems that hold these paths, each once, by where they are mounted."""
    found: Dict[str, FileSystem] = {}
    for path in paths:
        try:
            mount = _mount_point(path)
            seen = os.statvfs(mount)
        except OSError:
            continue
        found[mount] = FileSystem(mount, seen.f_blocks * seen.f_frsize, seen.f_bavail * seen.f_frsize, seen.f_files,
                                  seen.f_favail)
    return list(found.values())


def _mount_point(path: str) -> str:
    """Where the file system is mounted that holds a path, or that will hold it."""
    path = os.path.realpath(path)
    while not os.path.exists(path):
        path = os.path.dirname(path)
    device = os.stat(path).st_dev
    while path != "/" and os.stat(os.path.dirname(path)).st_dev == device:
        path = os.path.dirname(path)
    return path


def _certificates(patterns: Tuple[str, ...]) -> Iterator[Tuple[str, float]]:
    for path in (path for pattern in patterns for path in glob.glob(pattern)):
        try:
            yield path, certificate.expires_at(files.read_text(path) or "")
        except (OSError, ValueError):
            continue


# Judging -------------------------------------------------------------------------------------------------------------

def _of_file_systems(found: List[FileSystem]) -> List[Metric]:
    def metric(name: str, words: str, value: Callable[[FileSystem], Optional[float]]) -> Metric:
        return Metric("filesystem_" + name, words, [({"path": one.path}, value(one)) for one in found])

    return [
        metric("size_bytes", "Size of the file system.", lambda one: one.size),
        metric("avail_bytes", "What is free on it for users.", lambda one: one.available),
        # Some file systems do not count files; nothing of none would be no fraction.
        metric("files", "Files that fit on it.", lambda one: one.files or None),
        metric("files_free", "Files that still fit on it.", lambda one: one.files_free if one.files else None),
    ]


def _of_schedules(world: World, backup: Mapping[str, Any]) -> List[Metric]:
    """Since when the newest backup, and the newest rehearsal, has to be: the schedule's last time, with some grace."""
    def since(schedule: Any) -> Optional[float]:
        if cron.problem("schedule", schedule) is not None:
            return None
        return backup_history.last_due(schedule, world.at - backup_history.GRACE_HOURS * 3600, world.utc_offset)

    rehearsal = since(_at(backup, "rehearsal", "schedule"))
    targets = backup["targets"]
    return [
        Metric("backup_due_timestamp_seconds", "Since when there has to be a good backup.",
               [({"target": target}, since(_at(settings, "schedule"))) for target, settings in targets.items()]),
        Metric("backup_rehearsal_due_timestamp_seconds", "Since when a restore has to have been rehearsed.",
               [({"target": target}, rehearsal) for target in targets]),
    ]


def _of_containers(containers: Optional[List[Container]], services: Mapping[str, Any]) -> List[Metric]:
    if containers is None:
        return []
    chosen = _by_service(containers)

    def metric(name: str, words: str, value: Callable[[Container], Optional[float]], kind: str = GAUGE,
               missing: Optional[float] = None) -> Metric:
        return Metric("container_" + name, words, [
            ({"service": service}, value(chosen[service]) if service in chosen else missing) for service in services
        ], kind)

    return [
        metric("up", "Whether the service's container runs.", _is_up, missing=0),
        metric("healthy", "Whether its health check passes.", _is_healthy, missing=0),
        metric("restarts_total", "How often Docker has restarted it.", lambda one: _number(
            one.inspection, "RestartCount"), COUNTER),
        metric("start_time_seconds", "When it was last started.", lambda one: moments.moment(
            _at(one.inspection, "State", "StartedAt"))),
        metric("oom_killed", "Whether it ended because it ran out of memory.", lambda one: _flag(
            one.inspection, "State", "OOMKilled")),
        metric("memory_bytes", "Memory in use, without what can be dropped at once.", _memory),
        metric("memory_limit_bytes", "Its limit.", lambda one: _number(
            one.inspection, "HostConfig", "Memory") or None),
        metric("cpu_seconds_total", "Processor time used.", _cpu_seconds, COUNTER),
        metric("network_receive_bytes_total", "Received.", lambda one: _network(one, "rx_bytes"), COUNTER),
        metric("network_transmit_bytes_total", "Sent.", lambda one: _network(one, "tx_bytes"), COUNTER),
    ]


def _by_service(containers: List[Container]) -> Dict[str, Container]:
    """service -> its container. Of two, as there are while Compose replaces one, the one that runs."""
    chosen: Dict[str, Container] = {}
    for container in sorted(containers, key=_is_up):
        service = _at(container.entry, "Labels", _SERVICE)
        if isinstance(service, str) and _at(container.entry, "Labels", _ONE_OFF) != "True":
            chosen[service] = container
    return chosen


def _is_up(container: Container) -> bool:
    # The list tells it even of a container that hangs.
    return bool(_at(container.entry, "State") == "running")


def _is_healthy(container: Container) -> Optional[float]:
    if not _is_up(container):
        return 0
    if container.inspection is None:
        return None
    # What has no health check is taken by its word.
    return _at(container.inspection, "State", "Health", "Status") in (None, "", "none", "healthy")


def _memory(container: Container) -> Optional[float]:
    usage = _number(container.stats, "memory_stats", "usage")
    # As the kernel calls it in cgroup v2, and in v1.
    cache = (_number(container.stats, "memory_stats", "stats", "inactive_file"),
             _number(container.stats, "memory_stats", "stats", "total_inactive_file"))
    return None if usage is None else max(0.0, usage - (cache[1] or cache[0] or 0))


def _cpu_seconds(container: Container) -> Optional[float]:
    nanoseconds = _number(container.stats, "cpu_stats", "cpu_usage", "total_usage")
    # A container that has just ended is told to have used none.
    return nanoseconds / 1e9 if nanoseconds else None


def _network(container: Container, word: str) -> Optional[float]:
    interfaces = _at(container.stats, "networks")
    if not isinstance(interfaces, Mapping):
        return None
    return sum(_number(interface, word) or 0 for interface in interfaces.values())


def _at(tree: Any, *keys: str) -> Any:
    for key in keys:
        if not isinstance(tree, Mapping):
            return None
        tree = tree.get(key)
    return tree


def _number(tree: Any, *keys: str) -> Optional[float]:
    value = _at(tree, *keys)
    # Nothing that cannot be a number of bytes or of seconds.
    known = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < _ENDLESS
    return value if known else None


def _flag(tree: Any, *keys: str) -> Optional[float]:
    value = _at(tree, *keys)
    return value if isinstance(value, bool) else None
