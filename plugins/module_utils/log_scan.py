# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Do the services' logs tell of failures, and are they as busy as they should be? `gather` reads them, `judge` is pure.

What is a failure is data, `stack_log_patterns`. What another service's outage explains is not blamed on who complains.
"""

from __future__ import annotations

import os
import shlex
import time
import zlib
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from . import change_window, dotenv_reading, health, log_api, log_files
from .checklist_context import Context
from .engine import Engine, EngineError
from .files import read_text
from .findings import FAIL, NOTHING, PASS, UNKNOWN, WARN, Case, Finding, Rule, Text, size_text, table
from .log_files import LogError
from .log_mask import Mask
from .log_patterns import LogPattern, of_service
from .log_tally import ENOUGH, Found, Tally
from .moments import moment, seconds, span

# Seconds that a service takes from its start until others can use it, and before its end, when it is on its way down.
_STARTING, _ENDING = 120, 30
# The watch over a deploy begins when what it started is healthy; what that wrote on its way there belongs to it.
_COMING_UP = 300
# How long ago a flood may have been that is called one now.
_NOW = 300
# From its start until a service has said something.
_SPOKEN = 60
# What rotation has taken is told where less than this is left.
_DAY = 86400
# What the reader takes where its item does not say otherwise: how long a service may be silent, KiB a minute.
DEFAULTS: Mapping[str, Any] = {"silence": {}, "flood": 512}

# It may be read hours later.
_SEE = Text("docker logs --timestamps --since {begin} {container} 2>&1 | grep -A 20 -F {find}",
            "docker logs --timestamps --since {begin} {container} 2>&1 | grep -A 20 -F {find}")
_REPEATS = Text("a flood pushes older lines out; see what repeats: "
                "docker logs --since 2m {container} 2>&1 | tail -n 50",
                "로그가 쏟아지면 이전 로그가 밀려납니다. 반복되는 내용 확인: "
                "docker logs --since 2m {container} 2>&1 | tail -n 50")
_QUIET = Text("see where it stands: docker logs --timestamps --tail 20 {container}; if it hangs: "
              "docker restart {container}",
              "멈춘 지점 확인: docker logs --timestamps --tail 20 {container}. 멈췄다면: docker restart {container}")
_RUNS = Text("with sudo, is Docker running? sudo systemctl status docker; if the log's file is gone: "
             "docker restart {container}",
             "sudo로 실행했나요? Docker 확인: sudo systemctl status docker. 로그 파일이 없어졌다면: "
             "docker restart {container}")

RULES = table(
    Rule("log-errors", Text("log", "로그"), Text("no failure in {window}", "{window} 동안 실패 기록 없음"), {
        "none": Case(PASS, Text("no failure in {window}", "{window} 동안 실패 기록 없음")),
        "excused": Case(PASS, Text("no failure of its own in {window}; {excused} while another service was down",
                                   "{window} 동안 자체 실패 기록 없음. 다른 서비스 중단으로 생긴 {excused}건 제외")),
        "cut": Case(WARN, Text("no failure in the last {reach}; older lines are rotated away",
                               "최근 {reach} 동안 실패 기록 없음. 그 이전 로그는 로테이션되어 남아 있지 않음"),
                    _REPEATS),
        "found": Case(FAIL, Text("{what}", "{what}"), Text("{fix}{see}", "{fix}{see}")),
    }, _RUNS),
    Rule("log-warnings", Text("log", "로그"), Text("no warning in {window}", "{window} 동안 경고 없음"), {
        "none": Case(PASS, Text("no warning in {window}", "{window} 동안 경고 없음")),
        "found": Case(WARN, Text("{what}", "{what}"), Text("{fix}{see}", "{fix}{see}")),
    }, _RUNS),
    Rule("log-flood", Text("log volume", "로그 양"), Text("at most {limit} a minute", "1분에 {limit} 이하"), {
        "calm": Case(PASS, Text("{size} in {window}", "{window} 동안 {size}")),
        "flood": Case(FAIL, Text("{most} within a minute, just now", "방금 1분 동안 {most}"), _REPEATS),
        "was": Case(WARN, Text("{most} within a minute, {ago} ago", "{ago} 전 1분 동안 {most}"), _REPEATS),
    }, _RUNS),
    Rule("log-silence", Text("log activity", "로그 활동"),
         Text("a line at least every {limit}", "최소 {limit}마다 한 줄"), {
        "busy": Case(PASS, Text("last line {ago} ago", "마지막 줄이 {ago} 전")),
        "due": Case(PASS, Text("started {running} ago; a line is due within {limit}",
                               "{running} 전에 시작됨. {limit} 안에 기록 예정")),
        "silent": Case(FAIL, Text("nothing written for {ago}", "{ago} 동안 아무 기록도 없음"), _QUIET),
        "was": Case(WARN, Text("nothing written for {pause} until {ago} ago",
                               "{ago} 전까지 {pause} 동안 아무 기록도 없었음"), _QUIET),
        "not-running": Case(UNKNOWN, Text("not judged while it is {condition}", "{condition} 상태여서 판단하지 않음"),
                            Text("start it first: sudo systemctl reload-or-restart {unit}",
                                 "먼저 서비스를 시작하세요: sudo systemctl reload-or-restart {unit}")),
    }, _RUNS),
)


class Hits(NamedTuple):
    """What was found of one pattern; the excerpt, of the last one, holds no secret."""

    pattern: LogPattern
    times: int
    last: float
    excerpt: str


class Log(NamedTuple):
    """One service's log in the window, which begins at ``since``. ``first`` is the oldest moment that is left,
    ``last`` the newest. ``rotated`` says that there are older files, ``emptied`` that Docker empties its only one."""

    hits: Sequence[Hits] = ()
    excused: int = 0
    size: int = 0
    first: Optional[float] = None
    last: Optional[float] = None
    rotated: bool = False
    emptied: bool = False
    pause: Tuple[float, float] = (0, 0)
    most: Tuple[int, float] = (0, 0)
    started: float = 0
    since: float = 0
    error: str = ""


class World(NamedTuple):
    """The services' logs and conditions, since when those were looked at that no change has started, and what went
    wrong with all of them."""

    since: float
    now: float
    logs: Mapping[str, Log] = {}
    conditions: Mapping[str, health.Condition] = {}
    error: str = ""


def read(context: Context, options: Mapping[str, Any]) -> List[Finding]:
    """The reader of the checklist. Options: silence {service: time}, flood (KiB a minute)."""
    return judge(gather(context, _limits(options)), context.description, options)


def _limits(options: Mapping[str, Any]) -> Dict[str, Optional[float]]:
    """service -> how long it may be silent; None where that is no time."""
    given = options.get("silence")
    return {str(name): seconds(limit) for name, limit in given.items()} if isinstance(given, Mapping) else {}


# Reading -------------------------------------------------------------------------------------------------------------

def gather(context: Context, limits: Mapping[str, Optional[float]]) -> World:
    """Never raises for what the host or a log does."""
    description, engine, now = context.description, context.engine, context.now
    try:
        containers = health.by_service(engine.containers(description["project"]))
    except (EngineError, ValueError, KeyError) as problem:
        return World(context.since, now, error=_said(problem))
    # What a service wrote before a change that started it is the former release's.
    windows = change_window.windows(context, containers, change_window.armings(context))
    mask = _mask(description)
    outages = {name: _outage(containers.get(name), windows.of(name), now) for name in description["services"]}

    def excused(pattern: LogPattern, time: float) -> bool:
        return any(begin <= time <= end for begin, end in (outages[name] for name in pattern.without
                                                           if name in outages))

    logs = {}
    for name, container in containers.items():
        if name in description["services"]:
            started, since = moment(container["State"].get("StartedAt")) or 0.0, windows.of(name)
            begin = since if since == windows.anew else window_of(started, since)
            tally = Tally(of_service(description, name), begin, limits.get(name) or float("inf"), started, excused)
            logs[name] = _read_log(engine, container, tally, begin, now, mask)._replace(started=started, since=since)
    conditions = {name: health.condition(containers.get(name)) for name in description["services"]}
    return World(windows.since, now, logs, conditions)


def window_of(started: float, since: float) -> float:
    """From when on the log of a service that was started then is looked at."""
    return started if since - _COMING_UP < started < since else since


def _outage(container: Optional[Mapping[str, Any]], since: float, now: float) -> Tuple[float, float]:
    """The last time that others could not use a service: from when it went until it was up again, or now."""
    if container is None:
        return since, now
    state = container["State"]
    started = moment(state.get("StartedAt"))
    stopped = moment(state.get("FinishedAt")) or moment(container.get("Created")) or since
    kind = health.condition(container).kind
    if started is not None and kind in ("healthy", "running"):
        return stopped - _ENDING, started + _STARTING
    # Since when it is unhealthy or paused, Docker does not tell.
    return (stopped - _ENDING if kind in ("starting", "exited", "dead") else since), now


def _mask(description: Mapping[str, Any]) -> Optional[Mask]:
    """What hides the secrets; None where they are not known: then no line is shown."""
    try:
        text = read_text(os.path.join(description["directory"], ".env"))
    except (OSError, ValueError):
        return None
    if text is None:
        return None
    values = {value for expand in (True, False)
              for value in dotenv_reading.parse(text, interpolate=expand).values().values()}
    return Mask(values)


def _read_log(engine: Engine, container: Mapping[str, Any], tally: Tally, since: float, now: float,
              mask: Optional[Mask]) -> Log:
    try:
        path = log_files.path_of(container)
        if path is not None:
            return _of_files(path, tally, since, mask)._replace(emptied=_is_emptied(container))
        terminal = bool(container["Config"].get("Tty"))
        with engine.stream("/containers/%s/logs" % container["Id"], **log_api.query(since, now)) as answer:
            log_files.blocks(log_api.ApiLog(answer, terminal), tally.scan)
        return _counted(tally, mask)
    except (LogError, EngineError, OSError, ValueError, KeyError, zlib.error) as problem:
        return Log(error=_said(problem))


def _of_files(path: str, tally: Tally, since: float, mask: Optional[Mask]) -> Log:
    with log_files.opened(path) as files:
        first, last = log_files.oldest(files), log_files.newest(files)
        wanted = [file for file in files if file.modified >= since]
        log_files.blocks(log_files.Chain(log_files.content(file, since) for file in wanted), tally.scan)
        return _counted(tally, mask)._replace(first=first, last=last, rotated=len(files) > 1)


def _is_emptied(container: Mapping[str, Any]) -> bool:
    """Whether Docker has one file for this log and empties it when it is full: that is its default with a size."""
    options = container["HostConfig"]["LogConfig"].get("Config") or {}
    return "max-size" in options and str(options.get("max-file", "1")).strip() == "1"


def _counted(tally: Tally, mask: Optional[Mask]) -> Log:
    return Log([_hits(found, mask) for found in tally.found.values()], tally.excused, tally.size, tally.first,
               tally.last, pause=tally.longest, most=tally.most)


def _hits(found: Found, mask: Optional[Mask]) -> Hits:
    shown = mask(found.last.text, found.last.around) if mask else ""
    return Hits(found.pattern, found.count, found.last.time, shown)


def _said(problem: Exception) -> str:
    if isinstance(problem, OSError) and problem.strerror:
        return "%s: %s" % (problem.filename, problem.strerror) if problem.filename else problem.strerror
    return (str(problem).strip().splitlines() or [type(problem).__name__])[0]


# Judging -------------------------------------------------------------------------------------------------------------

def judge(world: World, description: Mapping[str, Any], options: Mapping[str, Any]) -> List[Finding]:
    """By service: failures, warnings, volume, and silence where a line is due."""
    limits, flood = _limits(options), options.get("flood")
    if not isinstance(flood, int) or isinstance(flood, bool) or flood <= 0:
        flood = DEFAULTS["flood"]
    found: List[Finding] = []
    for name, service in description["services"].items():
        service_of: Dict[str, Any] = {"container": service.get("container", name), "unit": description["unit"],
                                      "limit": NOTHING}
        log = world.logs.get(name)
        service_of["window"] = span(world.now - (log.since if log else world.since))
        error = world.error or (log.error if log else "no container")
        if log is None or error:
            found.append(RULES["log-errors"].unread(error, name, **service_of))
        else:
            found.append(_judge_errors(world, log, name, service_of))
            found.append(_judge_warnings(world, log, name, service_of))
            found.append(_judge_volume(world, log, name, flood * 1024, service_of))
        if name in limits:
            found.append(_judge_silence(world, log, error, name, limits[name], service_of))
    return found


def _judge_errors(world: World, log: Log, name: str, values: Mapping[str, Any]) -> Finding:
    hits = [each for each in log.hits if each.pattern.status == FAIL]
    if hits:
        return RULES["log-errors"].finding("found", name, **_told(world, hits, values))
    reach = world.now - (log.first if log.first is not None else world.now)
    cut = _is_cut(log) and reach < min(world.now - log.since - 60, _DAY)
    case = "cut" if cut else "excused" if log.excused else "none"
    return RULES["log-errors"].finding(case, name, excused=log.excused, reach=span(reach), **values)


def _is_cut(log: Log) -> bool:
    """Whether what is older than the first line was written and is gone. In an only file that Docker does not empty,
    it has never been there; in one that it may have emptied, a service that was up for a minute has written before."""
    if log.emptied and not log.rotated:
        return log.first is not None and log.started + _SPOKEN < log.first
    return log.rotated and (log.first is None or log.started < log.first)


def _judge_warnings(world: World, log: Log, name: str, values: Mapping[str, Any]) -> Finding:
    hits = [each for each in log.hits if each.pattern.status == WARN]
    if hits:
        return RULES["log-warnings"].finding("found", name, **_told(world, hits, values))
    return RULES["log-warnings"].finding("none", name, **values)


def _told(world: World, hits: Sequence[Hits], values: Mapping[str, Any]) -> Dict[str, Any]:
    """The latest with its line, and the others by name and number."""
    shown, *others = sorted(hits, key=lambda each: -each.last)
    ago = span(world.now - shown.last)
    when = (Text("once, {ago} ago", "1회, {ago} 전") if shown.times == 1
            else Text("{times} times, last {ago} ago", "{times}회, 마지막은 {ago} 전"))
    when = when.fill(times=_number(shown), ago=ago)
    what = Text("{title}, {when}{excerpt}", "{title} {when}{excerpt}").fill(
        title=shown.pattern.title, when=when, excerpt=": " + shown.excerpt if shown.excerpt else "")
    also = [Text(*("%s (%s)" % (title, _number(each)) for title in each.pattern.title)) for each in others]
    if also:
        what = Text("{what}; also: {also}", "{what}; 그 밖에: {also}").fill(
            what=what, also=Text(*(", ".join(texts) for texts in zip(*also))))
    fix = Text(*(text + "; " if text else "" for text in shown.pattern.fix))
    begin = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(shown.last - 60))
    see = _SEE.fill(begin=begin, container=values["container"], find=shlex.quote(shown.pattern.find))
    return {**values, "what": what, "fix": fix, "see": see}


def _number(hits: Hits) -> str:
    return "%d+" % ENOUGH if hits.times >= ENOUGH else str(hits.times)


def _judge_volume(world: World, log: Log, name: str, limit: int, values: Mapping[str, Any]) -> Finding:
    most, at = log.most
    case = "calm" if most <= limit else "flood" if world.now - at < _NOW else "was"
    return RULES["log-flood"].finding(case, name, **{**values, "limit": size_text(limit)}, most=size_text(most),
                                      size=size_text(log.size), ago=span(world.now - at))


def _judge_silence(world: World, log: Optional[Log], error: str, name: str, limit: Optional[float],
                   values: Mapping[str, Any]) -> Finding:
    rule = RULES["log-silence"]
    if limit is None:
        return rule.unread("silence of %s must be a time such as 10m" % name, name, **values)
    values = {**values, "limit": span(limit)}
    condition = world.conditions.get(name)
    if log is None or error:
        return rule.unread(error, name, **values)
    if condition is None or condition.kind not in ("healthy", "running", "starting", "unhealthy"):
        return rule.finding("not-running", name, condition=condition or "missing", **values)
    running = world.now - log.started
    quiet = min(running, world.now - (log.last if log.last is not None else 0))
    begin, end = log.pause
    values.update(ago=span(quiet), running=span(running))
    if quiet > limit:
        return rule.finding("silent", name, **values)
    if log.last is None or log.last < log.started:
        return rule.finding("due", name, **values)
    if end - begin > limit:
        return rule.finding("was", name, **{**values, "pause": span(end - begin), "ago": span(world.now - end)})
    return rule.finding("busy", name, **values)
