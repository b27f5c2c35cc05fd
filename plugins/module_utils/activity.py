# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Is the application at work? It is where what it writes is new: rows, keys of the cache, lines of its log.

What is looked at is data, `stack_activity`. A service that has not run long enough is not blamed: it is said when it
is due. Where the database or the cache does not have what the data names, nothing can be told.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import re
import subprocess
import zlib
from typing import Any, Callable, Dict, Iterable, List, Mapping, NamedTuple, Optional, Pattern, Sequence, Tuple

from . import backup_postgresql, backup_redis, container, definitions, health, log_files
from .backup_errors import BackupError
from .checklist_context import Context
from .compose import cli_environment
from .container import Container
from .definitions import EXPRESSION, TEXT, Kind, is_line
from .engine import Engine, EngineError
from .findings import FAIL, PASS, UNKNOWN, WARN, Case, Finding, Rule, Text, table
from .log_files import LogError
from .log_tally import text_of
from .moments import moment, seconds, span

ACTIVITY_VARIABLE, OVERRIDES_VARIABLE = "stack_activity", "stack_activity_overrides"
SQL, REDIS, LOG = "sql", "redis", "log"
# The reader's options: these names alone, or all but these.
DEFAULTS: Mapping[str, Any] = {"only": None, "without": []}
ENGINES = {SQL: "postgresql", REDIS: "redis"}

# Seconds that a database may take for one answer, and to be waited for at all.
_STATEMENT, _ANSWER = 3, 20
# The end of the year 5138, in seconds since 1970.
_LATEST = 1e11
# More keys of one kind than this are not looked at.
_KEYS = 200
# The last lines that are looked at of a log that is in no file, more of them while a mark is missing: some 20 MB.
_LINES = (1000, 10000, 100000)
# And the last bytes of one that is: more than twice of what Docker keeps as this stack sets it.
_BYTES = 128 << 20
# The clocks of the host and of its containers are one; an exchange's candle may be dated by its end.
_FUTURE = 120
_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")
# SQLSTATE of a table, a column or a schema that is not there.
_NOT_THERE = ("42P01", "42703", "3F000")
_MARK = "-- activity --"

_TELL_IT = Text("if the application keeps it elsewhere, change {subject} in stack_activity_overrides, or switch it "
                "off: {{{subject}: {{enabled: false}}}}",
                "애플리케이션이 다른 곳에 저장한다면 stack_activity_overrides에서 {subject}을(를) 바꾸거나 끄세요: "
                "{{{subject}: {{enabled: false}}}}")
_LOGS = Text("see what {service} does: docker logs --tail 100 {container}",
             "{service}의 동작 확인: docker logs --tail 100 {container}")

RULES = table(
    Rule("activity", Text("activity", "활동"), Text("newer than {limit}", "{limit} 이내"), {
        "fresh": Case(PASS, Text("{title}: {age} old", "{title}: {age} 전")),
        "due": Case(PASS, Text("{title}: due within {rest}; {service} has been running for {running}",
                               "{title}: {rest} 안에 예정. {service}은(는) {running} 전부터 실행 중")),
        "late": Case(FAIL, Text("{title}: the newest is {age} old", "{title}: 마지막 것이 {age} 전"), _LOGS),
        "none": Case(FAIL, Text("{title}: none yet, and {service} has been running for {running}",
                                "{title}: {service}이(가) {running} 전부터 실행 중인데 아직 없음"), _LOGS),
        "rare": Case(WARN, Text("{title}: the newest is {age} old", "{title}: 마지막 것이 {age} 전"), _LOGS),
        "rare-none": Case(WARN, Text("{title}: none yet, and {service} has been running for {running}",
                                     "{title}: {service}이(가) {running} 전부터 실행 중인데 아직 없음"), _LOGS),
        "future": Case(UNKNOWN, Text("{title}: the newest is dated {age} in the future",
                                     "{title}: 마지막 것의 시각이 {age} 뒤의 미래임"),
                       Text("check the clock (timedatectl); if it is a time without a time zone, name the zone in the "
                            "query: {subject} in stack_activity_overrides",
                            "시계를 확인하세요(timedatectl). 시간대가 없는 시각이라면 쿼리에 시간대를 넣으세요: "
                            "stack_activity_overrides의 {subject}")),
        "short": Case(UNKNOWN, Text("{title}: none in the log, of which only the last {age} could be looked at",
                                    "{title}: 로그에 없음. 로그는 최근 {age}만 볼 수 있음"),
                      Text("something writes so much that the log is cut: docker logs --tail 100 {container}",
                           "무언가가 로그를 너무 많이 써서 앞부분이 잘렸습니다: docker logs --tail 100 {container}")),
        "not-there": Case(UNKNOWN, Text("{title}: {said}", "{title}: {said}"), _TELL_IT),
        "not-running": Case(UNKNOWN, Text("{title}: not judged while {service} is {condition}",
                                          "{title}: {service} 상태가 {condition}이어서 판단하지 않음"),
                            Text("start it first: sudo systemctl reload-or-restart {unit}",
                                 "먼저 서비스를 시작하세요: sudo systemctl reload-or-restart {unit}")),
        "no-engine": Case(UNKNOWN, Text("nothing was asked: {error}", "조회하지 못함: {error}"),
                          Text("is Docker running? sudo systemctl status docker",
                               "Docker가 실행 중인가요? sudo systemctl status docker")),
    }, Text("see what {asked} says: docker logs --tail 50 {asked_container}",
            "{asked}의 로그 확인: docker logs --tail 50 {asked_container}")),
)
DEFINITION_RULES = table(
    Rule("activity-definition", Text("activity", "활동"),
         Text("complete, with keys and values of their kind", "빠진 항목이 없고 값의 형식이 맞음"), {
        "not-a-mapping": Case(FAIL, Text("{name} must hold keys and values", "{name}에는 키와 값이 있어야 합니다")),
        "name": Case(FAIL, Text("'{name}' is no name for an activity; write it like market_data, in lower case",
                                "'{name}'은(는) 활동 이름으로 쓸 수 없습니다. market_data처럼 영문 소문자로 쓰세요")),
        "unknown": Case(FAIL, Text("{name}: unknown key '{key}'; known: {known}",
                                   "{name}: 알 수 없는 키 '{key}'; 가능한 키: {known}")),
        "incomplete": Case(FAIL, Text("{name}: missing: {missing}", "{name}: 빠진 항목: {missing}")),
        "kind": Case(FAIL, Text("{name}: {key} must be {kind}",
                                "{name}: {key} 값이 잘못되었습니다. 필요한 값: {kind}")),
    }),
)


KINDS: Mapping[str, Kind] = {
    "title": TEXT,
    "kind": Kind(Text("sql, redis or log", "sql, redis, log 중 하나"), lambda value: value in tuple(_NEEDED)),
    "service": Kind(Text("the service that is at work", "동작하는 서비스 이름"), is_line),
    "max_age": Kind(Text("a time such as 10m, 3h or 1d", "10m, 3h, 1d 같은 시간"), lambda value: bool(seconds(value))),
    "late": Kind(Text("FAIL or WARN", "FAIL 또는 WARN"), lambda value: value in (FAIL, WARN)),
    # psql takes what begins with a backslash for a command of its own.
    "query": Kind(Text("one SELECT of one moment, on one line, without ; and \\",
                       "시각 하나를 얻는 SELECT 한 줄(;와 \\ 없이)"),
                  lambda value: is_line(value) and not set(";\\") & set(value)),
    "key": Kind(Text("a pattern of keys such as bot:status:*", "bot:status:* 같은 키 패턴"),
                lambda value: is_line(value) and len(value.split()) == 1),
    "field": Kind(Text("a field of the key's JSON", "키에 저장된 JSON의 필드"), is_line),
    "pattern": EXPRESSION,
    **definitions.ENABLED,
}
# What each kind must have beside what all have.
_NEEDED: Mapping[str, Sequence[str]] = {SQL: ("query",), REDIS: ("key", "field"), LOG: ("pattern",)}
_REQUIRED = ("title", "kind", "service", "max_age")
_DEFINITION = definitions.Definition(DEFINITION_RULES["activity-definition"], ACTIVITY_VARIABLE, OVERRIDES_VARIABLE,
                                     _NAME, KINDS)


# What a person can write ---------------------------------------------------------------------------------------------

def problems(activity: Any, overrides: Any) -> List[Finding]:
    """What is wrong with the activities or with what an installation changes of them."""
    found = definitions.shape_problems(_DEFINITION, activity, overrides)
    if found:
        return found
    for name, entry in definitions.merged(activity, overrides).items():
        missing = [key for key in (*_REQUIRED, *_NEEDED.get(entry.get("kind", ""), ())) if key not in entry]
        if missing:
            found.append(_DEFINITION.problem("incomplete", _DEFINITION.variable_of(name, overrides), name=name,
                                             missing=", ".join(missing)))
    return found


def merge(activity: Any, overrides: Any, services: Mapping[str, Any]) -> Dict[str, Any]:
    """The activities that are to be: changed, added, and without those that are off or of no service of the stack.

    ValueError lists every mistake, in English.
    """
    found = problems(activity, overrides)
    if found:
        definitions.refuse(found)
    return {name: entry for name, entry in definitions.merged(activity, overrides).items()
            if entry["service"] in services}


class Reading(NamedTuple):
    """What was found of one activity. ``newest`` is None where there is none yet; ``not_there`` says that what was
    asked for does not exist, ``error`` why nothing could be asked. A log is looked at from ``oldest`` on."""

    newest: Optional[float] = None
    oldest: float = 0
    not_there: str = ""
    error: Any = ""


class World(NamedTuple):
    """The services as they are, and what was found, by the activity's name."""

    services: Mapping[str, health.Condition] = {}
    readings: Mapping[str, Reading] = {}
    error: str = ""


def read(context: Context, options: Mapping[str, Any]) -> List[Finding]:
    """The reader of the checklist."""
    wanted = wanted_of(context.description, options)
    return judge(gather(context.description, context.engine, wanted), context, wanted)


def wanted_of(description: Mapping[str, Any], options: Mapping[str, Any]) -> Dict[str, Mapping[str, Any]]:
    """The activities that an item asks for, by name."""
    only, without = options.get("only"), options.get("without") or ()
    return {name: entry for name, entry in (description.get("activity") or {}).items()
            if (only is None or name in only) and name not in without}


# Reading -------------------------------------------------------------------------------------------------------------

def gather(description: Mapping[str, Any], engine: Engine, wanted: Mapping[str, Mapping[str, Any]]) -> World:
    """Never raises for what the host does."""
    try:
        shown = health.by_service(engine.containers(description["project"]))
    except (EngineError, ValueError, KeyError) as problem:
        return World(error=str(problem))
    services = {name: health.condition(shown.get(name)) for name in description["services"]}
    kinds = {kind: {name: entry for name, entry in wanted.items() if entry["kind"] == kind} for kind in _READERS}
    readings: Dict[str, Reading] = {}
    # Each waits for a program of its own, most of the time.
    with concurrent.futures.ThreadPoolExecutor(len(kinds)) as pool:
        for found in pool.map(lambda kind: _ask(kind, Asked(description, engine, shown, kinds[kind])), kinds):
            readings.update(found)
    return World(services, readings)


class Asked(NamedTuple):
    """What a reader of one kind is given: the activities that it is to look for, by name."""

    description: Mapping[str, Any]
    engine: Engine
    containers: Mapping[str, Mapping[str, Any]]
    entries: Mapping[str, Mapping[str, Any]]


def _ask(kind: str, asked: Asked) -> Dict[str, Reading]:
    try:
        return _READERS[kind](asked) if asked.entries else {}
    except BackupError as problem:
        return dict.fromkeys(asked.entries, Reading(error=_said(problem)))
    except subprocess.TimeoutExpired:
        return dict.fromkeys(asked.entries, Reading(error="no answer within %d s" % _ANSWER))
    except (EngineError, OSError, ValueError) as problem:
        return dict.fromkeys(asked.entries, Reading(error=str(problem)))


def _said(problem: BackupError) -> Text:
    """In one line, as the module that raised it has it in its table."""
    for cases in (container.CASES, backup_postgresql.CASES, backup_redis.CASES):
        if problem.case in cases:
            return cases[problem.case].seen.fill(**problem.values)
    return Text(str(problem), str(problem))


def _find(asked: Asked, kind: str) -> Tuple[Container, Mapping[str, Any]]:
    """The container that is asked, and what is described of its service."""
    service = service_of(asked.description, kind)
    if service is None:
        raise BackupError("no-container", service=ENGINES[kind], unit=asked.description["unit"])
    return container.find(asked.engine, asked.description, service), asked.description["services"][service]


def service_of(description: Mapping[str, Any], kind: str) -> Optional[str]:
    """The service that is asked, the first with the engine; None for what the service itself tells."""
    return next((name for name, service in description["services"].items()
                 if service.get("engine") == ENGINES.get(kind, "-")), None)


def _ask_database(asked: Asked) -> Dict[str, Reading]:
    """All queries in one session, which can change nothing."""
    where, service = _find(asked, SQL)
    server = backup_postgresql.Server(where, service)
    script = ["SET default_transaction_read_only = on; SET statement_timeout = '%ds';" % _STATEMENT]
    for name, entry in asked.entries.items():
        script += ["\\echo %s %s" % (_MARK, name),
                   "SELECT extract(epoch FROM (%s));" % entry["query"].strip().rstrip(";"),
                   "\\echo %s end :SQLSTATE :LAST_ERROR_MESSAGE" % _MARK]
    done = subprocess.run(
        server.command("psql", "--dbname", server.database, "--no-psqlrc", "--quiet", "--no-align", "--tuples-only",
                       stdin=True),
        input="\n".join(script) + "\n", capture_output=True, env=cli_environment(), encoding="utf-8",
        errors="replace", timeout=_ANSWER, check=False)
    if done.returncode:
        raise BackupError("query-failed", container=where.name, said=container.one_line(done.stderr or done.stdout))
    return _answers(done.stdout, asked.entries)


def _answers(said: str, names: Iterable[str]) -> Dict[str, Reading]:
    """What psql wrote, by the query's name."""
    readings: Dict[str, Reading] = dict.fromkeys(names, Reading(error="no answer"))
    name, rows = "", []
    for each in said.splitlines():
        if not each.startswith(_MARK + " "):
            rows.append(each.strip())
            continue
        word, _space, state = each[len(_MARK) + 1:].partition(" ")
        if word != "end":
            name, rows = word, []
            continue
        code, _space, message = state.partition(" ")
        if code in _NOT_THERE:
            readings[name] = Reading(not_there=message)
        elif code != "00000":
            readings[name] = Reading(error=message or code)
        else:
            readings[name] = _answer(rows[0] if rows else "")
    return readings


def _answer(row: str) -> Reading:
    try:
        newest = _possible(float(row)) if row else None
    except ValueError:
        newest = None
    return Reading(error="the query's answer is no moment") if row and newest is None else Reading(newest)


def _ask_cache(asked: Asked) -> Dict[str, Reading]:
    server = backup_redis.Server(asked.engine, _find(asked, REDIS)[0])
    readings = {}
    for name, entry in asked.entries.items():
        keys = server.ask("--scan", "--pattern", entry["key"]).split()[:_KEYS]
        if not keys:
            readings[name] = Reading(not_there="no key %s" % entry["key"])
            continue
        values = json.loads(server.ask("--json", "MGET", *keys))
        moments = [found for found in (_moment_of(value, entry["field"]) for value in values) if found is not None]
        readings[name] = Reading(max(moments)) if moments else Reading(
            not_there="no moment with a time zone under '%s' in %s" % (entry["field"], entry["key"]))
    return readings


def _read_logs(asked: Asked) -> Dict[str, Reading]:
    readings: Dict[str, Reading] = {}
    for service in sorted({entry["service"] for entry in asked.entries.values()} & set(asked.containers)):
        wanted = {name: entry["pattern"] for name, entry in asked.entries.items() if entry["service"] == service}
        readings.update(_read_log(asked.engine, asked.containers[service], wanted))
    # Of a service that has no container, nothing is judged.
    return readings


def _read_log(engine: Engine, shown: Mapping[str, Any], wanted: Mapping[str, str]) -> Dict[str, Reading]:
    """The newest line that each pattern finds, in Docker's file; from the Engine where that cannot be read."""
    patterns = {name: re.compile(pattern) for name, pattern in wanted.items()}
    path = log_files.path_of(shown)
    if path is not None:
        with contextlib.suppress(OSError, EOFError, LogError, zlib.error):
            return _of_files(path, patterns)
    return _of_engine(engine, shown["Id"], patterns)


def _of_files(path: str, wanted: Mapping[str, Pattern[str]]) -> Dict[str, Reading]:
    search = _Search(wanted)
    with log_files.opened(path) as files:
        log_files.from_end(files, _BYTES, search.look)
    oldest = log_files.time_of(search.last, 0, len(search.last))
    return {**dict.fromkeys(wanted, Reading(oldest=oldest or 0.0)), **search.found}


class _Search:
    """For the newest line of each pattern, among lines that come newest first."""

    def __init__(self, wanted: Mapping[str, Pattern[str]]) -> None:
        self.found: Dict[str, Reading] = {}
        self.last = b""
        self._missing = dict(wanted)

    def look(self, line: bytes) -> bool:
        """Whether all are found."""
        # Half an entry has no moment.
        if line[-1:] == b"}":
            self.last, text = line, text_of(line).rstrip("\n")
            for name in [name for name, pattern in self._missing.items() if pattern.search(text)]:
                at = log_files.time_of(line, 0, len(line))
                if at is not None:
                    self.found[name] = Reading(at)
                    del self._missing[name]
        return not self._missing


def _of_engine(engine: Engine, container_id: str, wanted: Mapping[str, Pattern[str]]) -> Dict[str, Reading]:
    found: Dict[str, Reading] = {}
    for count in _LINES:
        # A line may hold what str.splitlines cuts at.
        lines = [each.partition(" ") for each in engine.logs(container_id, count, timestamps=True).split("\n")[:-1]]
        for name in set(wanted) - set(found):
            newest = next((at for at, _space, text in reversed(lines) if wanted[name].search(text)), None)
            if newest is not None:
                found[name] = Reading(moment(newest))
        if len(lines) < count or len(found) == len(wanted):
            break
    oldest = moment(lines[0][0]) if lines else None
    return {name: found.get(name, Reading(oldest=oldest or 0.0)) for name in wanted}


def _moment_of(value: Any, field: str) -> Optional[float]:
    """When a status was written, as a field of its JSON tells: as text with a time zone, or in seconds since 1970."""
    try:
        status = json.loads(value)
    except (TypeError, ValueError):
        return None
    told = status.get(field) if isinstance(status, dict) else None
    if isinstance(told, (int, float)) and not isinstance(told, bool):
        return _possible(told)
    return moment(told)


def _possible(seconds_since: float) -> Optional[float]:
    """A moment that a clock can show; databases and JSON know infinity."""
    return float(seconds_since) if 0 <= seconds_since < _LATEST else None


_READERS: Mapping[str, Callable[[Asked], Dict[str, Reading]]] = {
    SQL: _ask_database,
    REDIS: _ask_cache,
    LOG: _read_logs,
}


# Judging -------------------------------------------------------------------------------------------------------------

def judge(world: World, context: Context, wanted: Mapping[str, Mapping[str, Any]]) -> List[Finding]:
    """One finding an activity."""
    if world.error:
        return [RULES["activity"].finding("no-engine", error=world.error, limit="-")]
    return [_judge(world, context, name, entry) for name, entry in wanted.items()]


def _values(entry: Mapping[str, Any], context: Context) -> Dict[str, Any]:
    services, service = context.description["services"], entry["service"]
    asked = service_of(context.description, entry["kind"]) or service
    return {"title": Text(**entry["title"]), "limit": span(seconds(entry["max_age"]) or 0),
            "service": service, "container": services.get(service, {}).get("container", service),
            "asked": asked, "asked_container": services.get(asked, {}).get("container", asked),
            "unit": context.description["unit"]}


def _judge(world: World, context: Context, name: str, entry: Mapping[str, Any]) -> Finding:
    rule, values = RULES["activity"], _values(entry, context)
    writer = world.services.get(entry["service"], health.Condition("missing"))
    if writer.kind not in ("healthy", "running", "starting", "unhealthy"):
        return rule.finding("not-running", name, condition=writer, **values)
    found = world.readings.get(name, Reading(error="not asked"))
    if found.error:
        return rule.unread(found.error, name, **values)
    started, limit = moment(writer.started_at), seconds(entry["max_age"]) or 0
    running = context.now - (started if started is not None else 0)
    values.update(running=span(running), rest=span(limit - running))
    if found.not_there:
        # A key that nobody has written yet is not there; tables are there from the start.
        due = entry["kind"] == REDIS and running <= limit
        return rule.finding("due" if due else "not-there", name, said=found.not_there, **values)
    rare = "rare" if entry.get("late") == WARN else ""
    if found.newest is None and running > limit and context.now - found.oldest < limit:
        return rule.finding("short", name, age=span(context.now - found.oldest), **values)
    if found.newest is None:
        return rule.finding("due" if running <= limit else (rare + "-" if rare else "") + "none", name, **values)
    age = context.now - found.newest
    values["age"] = span(abs(age))
    if age < -_FUTURE:
        return rule.finding("future", name, **values)
    case = "fresh" if age <= limit else "due" if running <= limit else rare or "late"
    return rule.finding(case, name, **values)
