"""Whether the application is at work: over recorded worlds, and over what the programs answer."""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.coinpilot.ops.plugins.module_utils import (
    activity,
    backup_redis,
    container,
    findings,
    health,
    log_files,
)
from ansible_collections.coinpilot.ops.plugins.module_utils.activity import Reading
from ansible_collections.coinpilot.ops.plugins.module_utils.checklist_context import Context
from ansible_collections.coinpilot.ops.plugins.module_utils.engine import Engine, EngineError

ROLE = Path(__file__).parents[2] / "roles" / "stack"
ACTIVITY = yaml.safe_load((ROLE / "vars" / "main" / "activity.yml").read_text())["stack_activity"]
SERVICES = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())["stack_services"]
NOW = 1_800_000_000.0
HOUR = 3600.0
TITLE = {"en": "candles", "ko": "캔들"}
ENTRIES = {
    "candles": {"kind": "sql", "service": "collector", "query": "SELECT 1", "max_age": "10m", "title": TITLE},
    "decisions": {"kind": "sql", "service": "collector", "query": "SELECT 1", "max_age": "2d", "title": TITLE,
                  "late": "WARN"},
    "status": {"kind": "redis", "service": "collector", "key": "s:*", "field": "at", "max_age": "10m", "title": TITLE},
    "report": {"kind": "log", "service": "collector", "pattern": "sent", "max_age": "26h", "title": TITLE},
}
DESCRIPTION = {"project": "oci", "unit": "stack.service", "services": SERVICES, "activity": ENTRIES}


def ago(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(NOW - seconds))


def context(description: dict[str, Any] | None = None, engine: Engine | None = None) -> Context:
    return Context(description or DESCRIPTION, engine or Engine("/nowhere"), NOW, "daily", NOW - 24 * HOUR, None)


def verdict(name: str, reading: Reading, started: float = 100 * HOUR, kind: str = "healthy") -> tuple[str, str]:
    wanted = {name: ENTRIES[name]}
    services = {"collector": health.Condition(kind, started_at=ago(started))}
    found, = activity.judge(activity.World(services, {name: reading}), context(), wanted)
    return found.status, found.seen.en


@pytest.mark.parametrize(("name", "reading", "started", "status", "said"), [
    ("candles", Reading(NOW - 30), 100 * HOUR, findings.PASS, "30 seconds old"),
    ("candles", Reading(NOW - HOUR), 100 * HOUR, findings.FAIL, "the newest is 60 minutes old"),
    ("candles", Reading(), 100 * HOUR, findings.FAIL, "none yet"),
    # A service that runs for a moment only, be it on an empty database or after a night without power.
    ("candles", Reading(), 60, findings.PASS, "due within 9 minutes"),
    ("candles", Reading(NOW - HOUR), 60, findings.PASS, "due within 9 minutes"),
    ("candles", Reading(NOW + 30), 100 * HOUR, findings.PASS, "0 seconds old"),
    ("candles", Reading(NOW + 9 * HOUR), 100 * HOUR, findings.UNKNOWN, "9 hours in the future"),
    # Another schema is no failure of the application's.
    ("candles", Reading(not_there='relation "market_data" does not exist'), 60, findings.UNKNOWN, "does not exist"),
    ("candles", Reading(error="no answer within 20 s"), 100 * HOUR, findings.UNKNOWN, "no answer"),
    ("decisions", Reading(NOW - 90 * HOUR), 100 * HOUR, findings.WARN, "3 days old"),
    ("decisions", Reading(), 100 * HOUR, findings.WARN, "none yet"),
    ("status", Reading(not_there="no key s:*"), 60, findings.PASS, "due within"),
    ("status", Reading(not_there="no key s:*"), HOUR, findings.UNKNOWN, "no key"),
    ("report", Reading(NOW - HOUR), 100 * HOUR, findings.PASS, "60 minutes old"),
    ("report", Reading(oldest=NOW - 90 * HOUR), 100 * HOUR, findings.FAIL, "none yet"),
    ("report", Reading(oldest=NOW - 90 * HOUR), 12 * HOUR, findings.PASS, "due within 14 hours"),
    # A log that was cut holds no proof of a failure.
    ("report", Reading(oldest=NOW - HOUR), 100 * HOUR, findings.UNKNOWN, "only the last 60 minutes"),
    ("report", Reading(), 100 * HOUR, findings.FAIL, "none yet"),
])
def test_verdict(name: str, reading: Reading, started: float, status: str, said: str) -> None:
    found = verdict(name, reading, started)
    assert found[0] == status
    assert said in found[1]


@pytest.mark.parametrize("kind", ["exited", "missing", "paused", "restarting"])
def test_a_service_that_does_not_run_is_not_judged(kind: str) -> None:
    status, said = verdict("candles", Reading(NOW - HOUR), kind=kind)
    assert status == findings.UNKNOWN
    assert f"not judged while collector is {kind}" in said


def test_without_docker_one_line_says_so() -> None:
    found = activity.read(context(engine=Engine("/nowhere/docker.sock")), {})
    assert [finding.status for finding in found] == [findings.UNKNOWN]
    assert "systemctl status docker" in found[0].fix.en


def test_an_item_may_ask_for_some_alone() -> None:
    assert list(activity.wanted_of(DESCRIPTION, {"only": ["report", "gone"]})) == ["report"]
    assert list(activity.wanted_of(DESCRIPTION, {"without": ["report"]})) == ["candles", "decisions", "status"]
    assert list(activity.wanted_of(DESCRIPTION, {})) == list(ENTRIES)
    assert activity.wanted_of({}, {}) == {}


def test_what_psql_says_is_told_apart() -> None:
    said = "\n".join([
        "-- activity -- first", "1799999990.5", "-- activity -- end 00000 ",
        "-- activity -- empty", "", "-- activity -- end 00000 ",
        "-- activity -- table", '-- activity -- end 42P01 relation "x" does not exist',
        "-- activity -- slow", "-- activity -- end 57014 canceling statement due to statement timeout",
        "-- activity -- odd", "not a number", "-- activity -- end 00000 ",
        "-- activity -- endless", "Infinity", "-- activity -- end 00000 ",
        "-- activity -- cut",
    ])
    assert activity._answers(said, ["first", "empty", "table", "slow", "odd", "endless", "cut"]) == {
        "first": Reading(1799999990.5), "empty": Reading(), "table": Reading(not_there='relation "x" does not exist'),
        "slow": Reading(error="canceling statement due to statement timeout"),
        "odd": Reading(error="the query's answer is no moment"),
        "endless": Reading(error="the query's answer is no moment"),
        "cut": Reading(error="no answer"),
    }


@pytest.mark.parametrize(("keys", "values", "expected"), [
    ("s:a\ns:b\n", '["{\\"at\\": 5}", "{\\"at\\": 7.5}"]', Reading(7.5)),
    ("s:a\n", '["{\\"at\\": \\"1970-01-01T00:01:00+00:00\\"}"]', Reading(60.0)),
    ("s:a\ns:b\n", '["no JSON", null]', Reading(not_there="no moment with a time zone under 'at' in s:*")),
    # Which zone it is meant in nobody can tell.
    ("s:a\n", '["{\\"at\\": \\"1970-01-01T00:01:00\\"}"]',
     Reading(not_there="no moment with a time zone under 'at' in s:*")),
    ("s:a\n", '["[1]", "true", "{\\"at\\": true}"]', Reading(not_there="no moment with a time zone under 'at' in s:*")),
    ("s:a\n", '["{\\"at\\": NaN}", "{\\"at\\": 1e400}"]',
     Reading(not_there="no moment with a time zone under 'at' in s:*")),
    ("\n", "[]", Reading(not_there="no key s:*")),
])
def test_keys_of_the_cache(monkeypatch: pytest.MonkeyPatch, keys: str, values: str, expected: Reading) -> None:
    monkeypatch.setattr(container, "find", lambda *_: container.Container("1", "redis", "", "", "", 0))
    monkeypatch.setattr(backup_redis.Server, "ask", lambda _, *command: keys if "--scan" in command else values)
    asked = activity.Asked(DESCRIPTION, Engine("/nowhere"), {}, {"status": ENTRIES["status"]})
    assert activity._ask_cache(asked) == {"status": expected}


class Log(Engine):
    """An Engine with the log of one container."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("/nowhere")
        self.lines = lines
        self.asked: list[int] = []

    def logs(self, container_id: str, lines: int, timestamps: bool = False) -> str:
        self.asked.append(lines)
        if container_id == "none":
            raise EngineError("configured logging driver does not support reading", 501)
        return "".join(line + "\n" for line in self.lines[-lines:])


def shown(path: str = "", identity: str = "bot", driver: str = "json-file") -> dict[str, Any]:
    return {"Id": identity, "LogPath": path, "HostConfig": {"LogConfig": {"Type": driver}}}


def line(second: int, text: str) -> str:
    return f"1970-01-01T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}Z {text}"


@pytest.mark.parametrize(("lines", "expected", "asked"), [
    ([line(5, "sent"), line(9, "sent again"), line(12, "idle")], Reading(9.0), [1000]),
    ([line(5, "idle")], Reading(oldest=5.0), [1000]),
    ([], Reading(), [1000]),
    (["no moment"], Reading(), [1000]),
    # What str.splitlines cuts at is no end of a line.
    ([line(5, "idle"), line(7, "a\u2028b\x85 sent")], Reading(7.0), [1000]),
    ([line(5, "sent"), *(line(9 + n // 10, "idle") for n in range(20000))], Reading(5.0), [1000, 10000, 100000]),
    ([line(1 + n // 10, "idle") for n in range(120000)], Reading(oldest=2001.0), [1000, 10000, 100000]),
])
def test_the_newest_line_of_a_log_in_no_file(lines: list[str], expected: Reading, asked: list[int]) -> None:
    log = Log(lines)
    assert activity._read_log(log, shown(), {"report": "sent", "never": "^$"})["report"] == expected
    assert log.asked == asked


def test_no_more_of_a_log_is_read_than_needed() -> None:
    log = Log([line(5, "idle")] * 20000 + [line(9, "sent"), line(9, "ingested")])
    assert set(activity._read_log(log, shown(), {"report": "^sent$", "rss": "ingested"}).values()) == {Reading(9.0)}
    assert log.asked == [1000]


def test_a_log_that_cannot_be_read_is_unknown() -> None:
    asked = activity.Asked(DESCRIPTION, Log([]), {"collector": shown(identity="none")}, {"report": ENTRIES["report"]})
    assert "does not support reading" in activity._ask("log", asked)["report"].error


def written(lines: list[str]) -> bytes:
    """As Docker keeps it."""
    entries = []
    for each in lines:
        at, _space, text = each.partition(" ")
        entries.append(json.dumps({"log": text + "\n", "stream": "stdout", "time": at}, ensure_ascii=False,
                                  separators=(",", ":")))
    return "".join(entry + "\n" for entry in entries).encode()


@pytest.mark.parametrize(("older", "newer", "expected"), [
    ([], [line(5, "sent"), line(9, "sent again"), line(12, "idle")], Reading(9.0)),
    ([line(3, "sent")], [line(5, "idle")], Reading(3.0)),
    ([line(3, "sent"), line(4, "sent")], [], Reading(4.0)),
    ([line(3, "idle")], [line(5, "idle")], Reading(oldest=3.0)),
    ([], [line(3, '"quoted" <sent>'), line(4, "a\u2028b\x85 sent")], Reading(4.0)),
    ([], [], Reading()),
    # More of a day than Docker's answer held.
    ([line(5, "sent")], [line(9 + n // 10, "idle") for n in range(120_000)], Reading(5.0)),
])
@pytest.mark.parametrize("packed", [False, True])
def test_the_newest_line_of_a_file(tmp_path: Path, older: list[str], newer: list[str], expected: Reading,
                                   packed: bool) -> None:
    path = tmp_path / "bot-json.log"
    path.write_bytes(written(newer) + b'{"log":"sent, and being writ')
    rotated = tmp_path / ("bot-json.log.1.gz" if packed else "bot-json.log.1")
    rotated.write_bytes(gzip.compress(written(older)) if packed else written(older))
    log = Log([])
    found = activity._read_log(log, shown(str(path)), {"report": "sent", "never": "^$"})
    assert found["report"] == expected and log.asked == []


def test_more_of_a_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activity, "_BYTES", 5000)
    monkeypatch.setattr(log_files, "BLOCK", 1000)
    path = tmp_path / "bot-json.log"
    path.write_bytes(written([line(1, "sent"), *(line(n, "idle") for n in range(2, 1000))]))
    found = activity._read_log(Log([]), shown(str(path)), {"report": "sent"})["report"]
    assert found.newest is None and found.oldest > 900


@pytest.mark.parametrize(("driver", "name"), [("local", "bot-json.log"), ("json-file", "gone.log")])
def test_where_there_is_no_file_the_engine_is_asked(tmp_path: Path, driver: str, name: str) -> None:
    (tmp_path / "bot-json.log").write_bytes(b"")
    log = Log([line(5, "sent")])
    found = activity._read_log(log, shown(str(tmp_path / name), driver=driver), {"report": "sent"})
    assert found["report"] == Reading(5.0)


# What a person can write ---------------------------------------------------------------------------------------------

def test_what_comes_with_the_role_can_be_used() -> None:
    assert activity.problems(ACTIVITY, {}) == []
    assert activity.merge(ACTIVITY, {}, SERVICES) == ACTIVITY


def test_an_installation_changes_what_it_names() -> None:
    merged = activity.merge(ACTIVITY, {"market_data": {"max_age": "3m"}, "decisions": {"enabled": False},
                                       "mine": ENTRIES["status"]}, SERVICES)
    assert merged["market_data"] == {**ACTIVITY["market_data"], "max_age": "3m"}
    assert "decisions" not in merged
    assert merged["mine"] == ENTRIES["status"]
    without = {name: service for name, service in SERVICES.items() if name != "collector"}
    assert "market_data" not in activity.merge(ACTIVITY, {}, without)


@pytest.mark.parametrize(("overrides", "said"), [
    ([], "stack_activity_overrides must hold keys and values"),
    ({"Market Data": {}}, "'Market Data' is no name for an activity"),
    ({3: {}}, "'3' is no name for an activity"),
    ({"market_data": "off"}, "market_data must hold keys and values"),
    ({"market_data": {"age": "3m"}}, "market_data: unknown key 'age'"),
    ({"market_data": {"max_age": "soon"}}, "max_age must be a time such as 10m"),
    ({"market_data": {"max_age": "0s"}}, "max_age must be a time such as 10m"),
    ({"market_data": {"max_age": 600}}, "max_age must be a time such as 10m"),
    ({"market_data": {"kind": []}}, "kind must be sql, redis or log"),
    ({"market_data": {"late": "PASS"}}, "late must be FAIL or WARN"),
    ({"market_data": {"query": "SELECT 1; DROP TABLE x"}}, "query must be one SELECT"),
    ({"market_data": {"query": "SELECT 1 \\! id"}}, "query must be one SELECT"),
    ({"market_data": {"kind": "redis"}}, "market_data: missing: key, field"),
    ({"bot_status": {"key": "a b"}}, "key must be a pattern of keys"),
    ({"daily_report": {"pattern": "("}}, "pattern must be a regular expression"),
    ({"daily_report": {"title": "report"}}, "title must be one line each"),
    ({"mine": {"kind": "log"}}, "mine: missing: title, service, max_age, pattern"),
])
def test_what_cannot_be_used_is_told_in_one_line(overrides: Any, said: str) -> None:
    found = activity.problems(ACTIVITY, overrides)
    assert len(found) == 1
    assert said in found[0].seen.en
    assert found[0].seen.ko
    with pytest.raises(ValueError, match="stack_activity_overrides: "):
        activity.merge(ACTIVITY, overrides, SERVICES)
