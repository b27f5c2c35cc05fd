"""The services' logs, as Docker writes them to files: what is found in them, how they are judged, what is shown."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.coinpilot.ops.plugins.module_utils import log_api, log_files, log_scan, log_search, log_tally
from ansible_collections.coinpilot.ops.plugins.module_utils.checklist_context import Context
from ansible_collections.coinpilot.ops.plugins.module_utils.engine import Engine, EngineError
from ansible_collections.coinpilot.ops.plugins.module_utils.findings import FAIL, PASS, UNKNOWN, WARN, Finding

CHECKOUT = Path(__file__).resolve().parents[2]
PATTERNS = yaml.safe_load((CHECKOUT / "roles/stack/vars/main/log_patterns.yml").read_text())["stack_log_patterns"]
ENGINES = {"db": "postgresql", "redis": "redis", "collector": "application", "bot": "application",
           "dashboard": "application", "n8n": "n8n", "prometheus": "prometheus", "grafana": "grafana"}
NOW, HOUR = 1_795_000_000.0, 3600.0
SECRET = "s3cret/Value+with\"quote"
TRACEBACK = """2026-11-18 12:26:40,000 - app - ERROR - Unexpected error in collector.
Traceback (most recent call last):
  File "/app/service.py", line 94, in _guarded_turn
    self.turn()
ValueError: no candles

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/app/service.py", line 99, in run
    raise RuntimeError("again") from error
RuntimeError: Daily Report Failed: again
[SQL: SELECT 1]
"""


def moment(seconds: float) -> str:
    """As Docker writes it: nanoseconds, without zeros at the end."""
    at = datetime.fromtimestamp(seconds, timezone.utc)
    return (at.strftime("%Y-%m-%dT%H:%M:%S.%f").rstrip("0") + "Z").replace(".Z", "Z")


def entry(text: str, ago: float = 60, stream: str = "stdout") -> bytes:
    shown = json.dumps(text, ensure_ascii=False)
    for character, escape in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026"), ("\\t", "\\u0009")):
        shown = shown.replace(character, escape)
    return f'{{"log":{shown},"stream":"{stream}","time":"{moment(NOW - ago)}"}}\n'.encode()


def lines(text: str, ago: float = 60) -> bytes:
    return b"".join(entry(line + "\n", ago) for line in text.splitlines())


def quiet(begin: float = HOUR, end: float = 5, step: float = 5) -> bytes:
    """A service at its work."""
    return b"".join(entry(f"{number} - app.collector - INFO - [+] Saved 1 candle(s). failed_feeds=0\n",
                          begin - number * step) for number in range(int((begin - end) / step)))


class Docker(Engine):
    """An Engine that has these containers."""

    def __init__(self, containers: list[dict[str, Any]] | EngineError) -> None:
        super().__init__("/nowhere", timeout=1)
        self._containers = containers

    def containers(self, project: str) -> list[dict]:
        if isinstance(self._containers, EngineError):
            raise self._containers
        return self._containers


def container(service: str, path: str, started: float = 2 * HOUR, **changes: Any) -> dict[str, Any]:
    state = {"Status": "running", "StartedAt": moment(NOW - started), "FinishedAt": "0001-01-01T00:00:00Z",
             **changes.pop("state", {})}
    return {"Id": service, "Name": "/coinpilot-" + service, "LogPath": path, "State": state, "RestartCount": 0,
            "Created": moment(NOW - started - 5), "HostConfig": {"LogConfig": {"Type": "json-file"}},
            "Config": {"Labels": {"com.docker.compose.service": service}}, **changes}


Scan = Callable[..., list[Finding]]


@pytest.fixture
def scan(tmp_path: Path) -> Scan:
    """``scan({"bot": b"..."})`` is what is found in these logs; other services have said what is harmless."""
    (tmp_path / ".env").write_text(f"DB_PASSWORD='{SECRET}'\nTZ=Asia/Seoul\n")
    description = {"project": "oci", "unit": "stack.service", "directory": str(tmp_path), "logs": PATTERNS,
                   "state_directory": str(tmp_path / "state"),
                   "services": {name: {"engine": engine, "container": "coinpilot-" + name}
                                for name, engine in ENGINES.items()}}

    def run(logs: dict[str, bytes], containers: dict[str, dict[str, Any] | None] | None = None, window: float = HOUR,
            release: dict[str, Any] | None = None, checkpoint: str = "daily", **options: Any) -> list[Finding]:
        there = []
        for service in ENGINES:
            path = tmp_path / service / f"{service}-json.log"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(logs.get(service, quiet()))
            changes = (containers or {}).get(service, {})
            if changes is not None:
                there.append(container(service, str(path), **changes))
        context = Context(description, Docker(there), NOW, checkpoint, NOW - window, release)
        return log_scan.read(context, options)

    return run


def of(found: Iterable[Finding], subject: str, rule: str = "log-errors") -> Finding:
    return next(finding for finding in found if (finding.subject, finding.id) == (subject, rule))


def problems(found: Iterable[Finding]) -> list[tuple[str, str, str]]:
    return [(finding.subject, finding.id, finding.status) for finding in found if finding.status != PASS]


def test_nothing_is_said_of_a_stack_at_its_work(scan: Scan) -> None:
    found = scan({}, silence={"bot": "10m", "collector": "10m"})
    assert problems(found) == []
    assert len(found) == 3 * len(ENGINES) + 2


@pytest.mark.parametrize(("service", "line", "status"), [
    ("bot", "Critical Bot Loop Error: division by zero", FAIL),
    ("collector", "Critical Error in Collector Loop: no answer", FAIL),
    ("bot", "sqlalchemy.exc.ProgrammingError: <class 'asyncpg.exceptions.UndefinedTableError'>: relation", FAIL),
    ("dashboard", "psycopg2.errors.UndefinedColumn: column does not exist", FAIL),
    ("bot", "[Scheduler] Regime Update Failed: timeout", FAIL),
    ("bot", "[Scheduler] Retraining Failed: timeout", FAIL),
    ("bot", "[Scheduler] Daily Report Failed: timeout", FAIL),
    ("bot", "RSS ingest job failed: timeout", FAIL),
    ("bot", "RSS summarize job failed: timeout", FAIL),
    ("bot", "[Notification] send failed (webhook /webhook/trade): HTTP 404", FAIL),
    ("bot", "Traceback (most recent call last):", FAIL),
    ("bot", "RSS ingest done. inserted=0, skipped=0, failed_feeds=12", WARN),
    ("bot", "2026-11-18 21:00:00,000 - app - ERROR - something else", WARN),
    ("bot", "RSS ingest done. inserted=2, skipped=112, failed_feeds=0", PASS),
    ("bot", "Trade Rejected by AI Agent: KRW-BTC is falling towards a critical support level", PASS),
    ("bot", "the breakout failed, an undefined risk; critical error of judgement", PASS),
    ("db", "2026-11-18 12:00:00 UTC [1] PANIC:  could not write to file \"pg_wal/x\": No space left on device", FAIL),
    ("db", "2026-11-18 12:00:00 UTC [1] ERROR:  could not extend file \"base/1\": No space left on device", FAIL),
    ("db", "2026-11-18 12:00:00 UTC [1] FATAL:  password authentication failed for user \"postgres\"", WARN),
    ("db", "2026-11-18 12:00:00 UTC [1] FATAL:  the database system is starting up", PASS),
    ("redis", "1:M 18 Nov 2026 12:00:00.000 # MISCONF Errors writing to the AOF file", FAIL),
    ("redis", "1:C 18 Nov 2026 12:00:00.000 # WARNING Memory overcommit must be enabled! ... may fail under", PASS),
    ("redis", "1:M 18 Nov 2026 12:00:00.000 # User requested shutdown...", PASS),
    ("n8n", "SqliteError: SQLITE_FULL: database or disk is full", FAIL),
    ("n8n", "Mismatching encryption keys. The encryption key in the settings file /x does not match", FAIL),
    ("prometheus", 'ts=2026 caller=db.go level=error msg="compaction failed" err="no space left on device"', FAIL),
    ("prometheus", 'time=2026 level=ERROR source=db.go msg="x" err="write /data: no space left on device"', FAIL),
    ("grafana", "logger=provisioning.dashboard level=error failed to load /x.json", WARN),
    # That an alert cannot be delivered, the notification's own line on the checklist tells.
    ("grafana", "logger=ngalert.notifier level=error receiver=discord", PASS),
])
def test_what_a_line_means(scan: Scan, service: str, line: str, status: str) -> None:
    found = scan({service: quiet() + lines(line)})
    rule = "log-warnings" if status == WARN else "log-errors"
    assert problems(found) == ([] if status == PASS else [(service, rule, status)])


def test_a_traceback_is_one_failure_shown_by_its_last_error(scan: Scan) -> None:
    found = scan({"collector": quiet() + lines(TRACEBACK) + lines("2026 - app - INFO - on it goes") + lines(TRACEBACK)})
    finding = of(found, "collector")
    assert finding.seen.en == ("the daily report failed, 2 times, last 60 seconds ago: "
                               "RuntimeError: Daily Report Failed: again")
    assert problems(found) == [("collector", "log-errors", FAIL)]


@pytest.mark.parametrize("block", [300, 1000, 3001])
def test_a_traceback_over_several_blocks_is_one(scan: Scan, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(log_files, "BLOCK", block)
    found = scan({"collector": (quiet(1000, 800) + lines(TRACEBACK)) * 7})
    assert of(found, "collector").seen.en.startswith("the daily report failed, 7 times, last 60 seconds ago")


def test_a_line_that_docker_cut_is_one_line(scan: Scan) -> None:
    long = "x" * 16380 + "Critical Bot Loop Error: cut in two " + "y" * 20000 + "Critical Bot Loop Error: again"
    cut = [long[at:at + 16384] for at in range(0, len(long), 16384)]
    log = b"".join(map(entry, [*cut[:-1], cut[-1] + "\n"]))
    assert "Critical Bot Loop Error: cut in two" in of(scan({"bot": quiet() + log + quiet(50)}), "bot").seen.en
    assert ", once, " in of(scan({"bot": quiet() + log + quiet(50)}), "bot").seen.en


def test_only_the_window_counts_and_what_was_written_since_the_deploy(scan: Scan) -> None:
    log = lines("Retraining Failed: old", 2.5 * HOUR) + quiet() + lines("Retraining Failed: new", 60)
    assert "once" in of(scan({"bot": log}), "bot").seen.en
    assert of(scan({"bot": log}, window=30), "bot").status == PASS
    assert of(scan({"bot": log}, window=3 * HOUR), "bot").seen.en.startswith("retraining failed, 2 times")
    armed = {"armed_at": NOW - 30}
    assert of(scan({"bot": log}, release=armed, checkpoint="t1h"), "bot").status == PASS
    assert of(scan({"bot": log}, {"bot": {"started": 400}}, release=armed), "bot").status == PASS


@pytest.mark.parametrize(("started", "release", "status"), [
    # The change was one of another service.
    (2 * HOUR, {"armed_at": NOW - 30}, FAIL),
    (2 * HOUR, {"armed_at": NOW - 30, "anew": NOW - 30}, PASS),
    (2 * HOUR, {"armed_at": NOW - 30, "anew": NOW - 90}, FAIL),
    # From here on, though it was coming up a minute before.
    (90, {"armed_at": NOW - 30, "anew": NOW - 30}, PASS),
    (90, {"armed_at": NOW - 30}, FAIL),
    (2 * HOUR, {"armed_at": NOW + 9 * HOUR, "anew": NOW + 9 * HOUR}, FAIL),
    (500, {"armed_at": NOW - 30}, PASS),
    # It has been started since, but not by the change.
    (20, {"armed_at": NOW - 30, "baseline": {"bot": {"restarts": 0, "started_at": moment(NOW - 2 * HOUR)}}}, FAIL),
    (20, {"armed_at": NOW - 30, "baseline": {"bot": {"restarts": 0, "started_at": moment(NOW - 500)}}}, PASS),
])
def test_what_was_logged_before_a_change_counts_for_services_that_it_left_alone(
        scan: Scan, started: float, release: dict[str, Any], status: str) -> None:
    log = quiet() + lines("Retraining Failed: before it", 60)
    containers = {"bot": {"started": started, "Created": moment(NOW - 2 * HOUR)}}
    finding = of(scan({"bot": log}, containers, release=release), "bot")
    assert finding.status == status
    assert status == FAIL or "in 30 seconds" in finding.seen.en
    assert of(scan({"bot": log}, containers, release=release, checkpoint="all", window=30), "bot").status == status


@pytest.mark.parametrize("packed", [False, True])
def test_rotated_files_count(scan: Scan, tmp_path: Path, packed: bool) -> None:
    directory = tmp_path / "bot"
    directory.mkdir()
    head, _newline, tail = TRACEBACK.partition("    self.turn()\n")
    older = quiet(HOUR, 1800) + lines(head)
    path = directory / ("bot-json.log.1.gz" if packed else "bot-json.log.1")
    path.write_bytes(gzip.compress(older) if packed else older)
    (directory / "bot-json.log.notes").write_text("Traceback (most recent call last)")
    found = scan({"bot": lines("    self.turn()\n" + tail, 59) + quiet(1000)})
    assert of(found, "bot").seen.en.startswith("the daily report failed, once")
    assert problems(found) == [("bot", "log-errors", FAIL)]


def test_what_rotation_has_taken_is_not_called_good(scan: Scan, tmp_path: Path) -> None:
    (tmp_path / "bot").mkdir()
    (tmp_path / "bot" / "bot-json.log.1").write_bytes(quiet(1200, 600))
    found = scan({"bot": quiet(600)})
    assert (of(found, "bot").status, of(found, "bot").seen.en) == (
        WARN, "no failure in the last 20 minutes; older lines are rotated away")
    assert of(scan({"bot": quiet(600)}, {"bot": {"started": 1199}}), "bot").status == PASS


@pytest.mark.parametrize(("options", "started", "status"), [
    ({"max-size": "10m"}, 1800, WARN),
    ({"max-size": "10m", "max-file": "1"}, 1800, WARN),
    # The first line came as soon as it was started, or nearly.
    ({"max-size": "10m"}, 601, PASS),
    ({"max-size": "10m"}, 650, PASS),
    # Nothing is taken away of these.
    ({"max-size": "10m", "max-file": "5"}, 1800, PASS),
    ({}, 1800, PASS),
    (None, 1800, PASS),
])
def test_an_only_file_that_docker_empties(scan: Scan, options: dict[str, str] | None, started: float,
                                          status: str) -> None:
    host = {"LogConfig": {"Type": "json-file", "Config": options}}
    finding = of(scan({"bot": quiet(600)}, {"bot": {"HostConfig": host, "started": started}}), "bot")
    assert finding.status == status
    assert status == PASS or finding.seen.en == "no failure in the last 10 minutes; older lines are rotated away"
    assert of(scan({"bot": b""}, {"bot": {"HostConfig": host}}), "bot").status == PASS
    assert of(scan({"bot": quiet(600)}, {"bot": {"HostConfig": host}}, window=500), "bot").status == PASS


def test_a_command_that_is_read_hours_later_finds_the_same_lines(scan: Scan) -> None:
    finding = of(scan({"bot": quiet() + lines("Retraining Failed: again", 90)}), "bot")
    since = moment(int(NOW - 150))
    assert f"docker logs --timestamps --since {since} coinpilot-bot" in finding.fix.en
    assert f"--since {since} " in finding.fix.ko


@pytest.mark.parametrize(("ahead", "since"), [(5000, 3000), (5000, 100), (50_000, 4000), (900, 3000)])
def test_the_window_is_found_though_the_clock_was_behind(tmp_path: Path, ahead: float, since: float) -> None:
    """Hours of it: halving would jump past what was written before that, and takes it for older."""
    path = tmp_path / "x-json.log"
    times = [*range(4000, 2500, -1), *(int(ahead) + number for number in range(3000, 0, -1)), *range(2500, 0, -1)]
    written = [entry("a" * 200 + "\n", time) for time in times]
    path.write_bytes(b"".join(written))
    with log_files.opened(str(path)) as files:
        begin = log_files.begin(files[0], NOW - since)
    first = next(number for number, time in enumerate(times) if time <= since)
    assert begin == sum(map(len, written[:first]))


def from_end(files: list[log_files.LogFile], most: int, last: bytes | None) -> list[bytes]:
    lines: list[bytes] = []

    def enough(line: bytes) -> bool:
        lines.append(line)
        return line == last

    log_files.from_end(files, most, enough)
    return lines


@pytest.mark.parametrize("packed", [False, True])
def test_a_log_is_read_from_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: bool) -> None:
    monkeypatch.setattr(log_files, "BLOCK", 1000)
    path = tmp_path / "x-json.log"
    texts = [b"line %d " % number + b"x" * (number * 37 % 900) for number in range(200)] + [b"long" * 1000, b"end"]
    path.write_bytes(b"\n".join(texts[100:]) + b"\nhalf")
    older = b"\n".join(texts[:100]) + b"\n"
    (tmp_path / ("x-json.log.1.gz" if packed else "x-json.log.1")).write_bytes(
        gzip.compress(older) if packed else older)
    with log_files.opened(str(path)) as files:
        read, some, until = (from_end(files, most, last) for most, last in (
            (1 << 30, None), (6000, None), (1 << 30, b"end")))
    whole = [line for line in read if line.startswith((b"line", b"end", b"half"))]
    assert whole == [b"half", b"end", *reversed(texts[:200])]
    assert some == read[:len(some)] and 6000 <= sum(map(len, some)) < 8000
    assert until == [b"half", b"end"]


@pytest.mark.parametrize("since", [0, 1, 5, 17.3, 599, 3000, 3599, 4000])
def test_the_window_is_found(tmp_path: Path, since: float) -> None:
    path = tmp_path / "x-json.log"
    written = [entry("a" * (number * 37 % 900) + "\n", 3600 - number) for number in range(3600)]
    written[100:100] = [b"\0" * 200_000 + b"\n", b"half an entry\n", b"\n" * 300_000]
    path.write_bytes(b"".join(written) + b'{"log":"being written\\n","stream":"stdout","time":"2026')
    with log_files.opened(str(path)) as files:
        begin = log_files.begin(files[0], NOW - since)
        first = path.read_bytes()[begin:].partition(b"\n")[0]
        wanted = next((line for line in written if b"time" in line and log_files.time_of(line, 0, len(line)) is not None
                       and (log_files.time_of(line, 0, len(line)) or 0) >= NOW - since), b"\n")
        # Where nothing is as new, what is being written is left.
        assert first + b"\n" == wanted or wanted == b"\n" and b"being written" in first
        assert log_files.oldest(files) == pytest.approx(NOW - 3600)
        assert log_files.newest(files) == pytest.approx(NOW - 1)


@pytest.mark.parametrize(("text", "status"), [
    (quiet(HOUR), PASS),
    (quiet(HOUR, 700), FAIL),
    (quiet(HOUR, 2000) + quiet(1000), WARN),
    (b"", FAIL),
])
def test_silence_where_a_line_is_due(scan: Scan, text: bytes, status: str) -> None:
    assert of(scan({"bot": text}, silence={"bot": "10m"}), "bot", "log-silence").status == status


@pytest.mark.parametrize(("changes", "text", "status", "said"), [
    ({"started": 60}, b"", PASS, "started 60 seconds ago; a line is due within 10 minutes"),
    # The pause was before it was started.
    ({"started": 1000}, quiet(HOUR, 2000) + quiet(1000), PASS, "last line"),
    ({"state": {"Status": "exited", "ExitCode": 1}}, quiet(HOUR, 1000), UNKNOWN, "not judged while it is exited"),
    ({"state": {"Status": "paused"}}, quiet(HOUR, 1000), UNKNOWN, "not judged while it is paused"),
    (None, b"", UNKNOWN, "no container"),
])
def test_silence_of_what_does_not_run(scan: Scan, changes: dict[str, Any] | None, text: bytes, status: str,
                                      said: str) -> None:
    finding = of(scan({"bot": text}, {"bot": changes}, silence={"bot": "10m"}), "bot", "log-silence")
    assert (finding.status, said in finding.seen.en) == (status, True), finding.seen.en


@pytest.mark.parametrize(("text", "status"), [
    (quiet(HOUR, 100) + quiet(100, 40, 0.01), FAIL),
    (quiet(HOUR, 2000) + quiet(2000, 1940, 0.01) + quiet(1900), WARN),
    (quiet(HOUR, 5, 0.5), PASS),
])
def test_a_flood(scan: Scan, text: bytes, status: str) -> None:
    assert of(scan({"bot": text}), "bot", "log-flood").status == status


def test_what_another_service_explains_is_not_held_against_who_complains(scan: Scan) -> None:
    failed = lines("[Notification] send failed (webhook /webhook/trade): connection refused", 300)
    since = {"started": 250, "state": {"FinishedAt": moment(NOW - 310)}}
    assert of(scan({"bot": quiet() + failed}, {"n8n": since}), "bot").seen.en == (
        "no failure of its own in 60 minutes; 1 while another service was down")
    stopped = {"state": {"Status": "exited", "ExitCode": 0, "FinishedAt": moment(NOW - 310)}}
    assert of(scan({"bot": quiet() + failed}, {"n8n": stopped}), "bot").status == PASS
    assert of(scan({"bot": quiet() + failed}, {"db": stopped}), "bot").status == FAIL
    assert of(scan({"bot": quiet() + failed}, {"n8n": {"started": 9000}}), "bot").status == FAIL


@pytest.mark.parametrize("spelled", [
    SECRET, json.dumps(SECRET)[1:-1], "s3cret%2FValue%2Bwith%22quote", "s3c\x1b[31mret/Value+with\"quote",
    "sk-ant-api03-abcdef0123456789", "https://discord.com/api/webhooks/123456789/abcdefghijkl",
    "postgresql://postgres:hunter22@db:5432/coinpilot", "password=hunter22", "'x-webhook-secret': 'hunter22'",
    "Authorization: Bearer hunter22hunter22", "eyJhbGciOiJI.eyJzdWIiOiIx.SflKxwRJSMeKKF2QT4",
    "Zb4mXq81LpT0vHcE7RkYd2NsJw93UgFa",
])
def test_no_secret_is_shown(scan: Scan, spelled: str) -> None:
    finding = of(scan({"bot": quiet() + lines(f"Retraining Failed: with {spelled} in it")}), "bot")
    assert "Retraining Failed: with" in finding.seen.en
    shown = json.dumps(finding.as_dict())
    for secret in ("s3c", "Value", "hunter22", "0123456789", "abcdefghijkl", "SflKx", "LpT0v", "\x1b"):
        assert secret not in shown


def test_without_the_secrets_no_line_is_shown(scan: Scan, tmp_path: Path) -> None:
    (tmp_path / ".env").unlink()
    finding = of(scan({"bot": quiet() + lines("Retraining Failed: with " + SECRET)}), "bot")
    assert finding.seen.en == "retraining failed, once, 60 seconds ago"


def test_a_flood_of_failures_takes_no_more_memory_or_time(scan: Scan) -> None:
    found = scan({"bot": lines("Retraining Failed: again\n" * 5000) + quiet(50)})
    assert of(found, "bot").seen.en.startswith(f"retraining failed, {log_tally.ENOUGH}+ times")


@pytest.mark.parametrize("text", [
    b"", b"\n", b"\n" * 2_000_000, b"\0" * 3_000_000, b'{"log":', b'{"log":7,"time":"x"}\n' * 3,
    b"\xff\xfe" * 1000 + b"\n",
    b'{"log":"Traceback (most recent call last)', b'{"log":"' + b"x" * 2_000_000,
    b'{"log":["Traceback (most recent call last)"],"time":"2026-99-99T99:99:99Z"}\n', b"[" * 100_000 + b"\n",
])
def test_a_damaged_log_is_read_as_far_as_it_goes(scan: Scan, text: bytes) -> None:
    found = scan({"bot": quiet() + text + b"\n" + lines("Retraining Failed: at the end", 1)})
    assert of(found, "bot").seen.en.startswith("retraining failed, once")


def test_what_cannot_be_read_is_unknown(scan: Scan, tmp_path: Path) -> None:
    found = scan({}, {"bot": {"LogPath": str(tmp_path / "gone-json.log")}, "redis": {
        "HostConfig": {"LogConfig": {"Type": "none"}}}, "db": None}, silence={"bot": "often", "redis": "1h"})
    assert problems(found) == [
        ("db", "log-errors", UNKNOWN), ("redis", "log-errors", UNKNOWN), ("redis", "log-silence", UNKNOWN),
        ("bot", "log-errors", UNKNOWN), ("bot", "log-silence", UNKNOWN)]
    assert "No such file" in of(found, "bot").seen.en


def test_an_engine_that_does_not_answer_is_unknown() -> None:
    description = {"project": "oci", "unit": "u", "services": {"bot": {"engine": "application"}}, "logs": PATTERNS}
    context = Context(description, Docker(EngineError("no answer")), NOW, "daily", NOW - HOUR, None)
    assert problems(log_scan.read(context, {})) == [("bot", "log-errors", UNKNOWN)]


@pytest.mark.parametrize(("started", "begins"), [(0.0, 5000), (4699, 5000), (4701, 4701), (4999, 4999), (5001, 5000)])
def test_what_a_service_wrote_while_it_came_up_is_looked_at(started: float, begins: float) -> None:
    """The watch is armed when a deploy's containers are healthy, so after the lines of their start."""
    assert log_scan.window_of(started, 5000) == begins


def frame(text: str, ago: float, stream: int = 1) -> bytes:
    payload = f"{moment(NOW - ago)} {text}".encode()
    return bytes([stream, 0, 0, 0]) + len(payload).to_bytes(4, "big") + payload


@pytest.mark.parametrize("terminal", [False, True])
def test_a_log_that_is_in_no_file_is_read_through_the_engine(scan: Scan, monkeypatch: pytest.MonkeyPatch,
                                                            terminal: bool) -> None:
    said = [*(line + "\n" for line in TRACEBACK.splitlines()), "Critical " + "x" * 16375, "Error, cut in two\n"]
    answer = b"".join(f"{moment(NOW - 60)} {text}".encode() if terminal else frame(text, 60, 2) for text in said)
    asked = []

    @contextlib.contextmanager
    def stream(_engine: Engine, path: str, **query: str) -> Iterator[io.BytesIO]:
        asked.append((path, query))
        yield io.BytesIO(answer)

    monkeypatch.setattr(Engine, "stream", stream)
    found = scan({}, {"bot": {"HostConfig": {"LogConfig": {"Type": "local"}},
                              "Config": {"Labels": {"com.docker.compose.service": "bot"}, "Tty": terminal}}})
    assert of(found, "bot").seen.en.startswith("the daily report failed, once, 60 seconds ago: RuntimeError")
    assert asked == [("/containers/bot/logs", {"stdout": "1", "stderr": "1", "timestamps": "1",
                                               "since": "%.9f" % (NOW - HOUR), "until": "%.9f" % NOW})]


def test_a_log_that_docker_breaks_off_is_unknown(scan: Scan, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = frame("all is well\n", 60) + frame("error from daemon in stream: Error grabbing logs: EOF\n", 60, 3)
    monkeypatch.setattr(Engine, "stream", lambda *_given, **_query: contextlib.nullcontext(io.BytesIO(answer)))
    found = scan({}, {"bot": {"HostConfig": {"LogConfig": {"Type": "local"}}}})
    assert problems(found) == [("bot", "log-errors", UNKNOWN)]
    assert "Error grabbing logs: EOF" in of(found, "bot").seen.en


def test_a_log_that_takes_too_long_through_the_engine_is_unknown(scan: Scan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_api, "_PATIENCE", -1.0)
    monkeypatch.setattr(Engine, "stream", lambda *_given, **_query: contextlib.nullcontext(io.BytesIO(b"")))
    found = scan({}, {"bot": {"HostConfig": {"LogConfig": {"Type": "local"}}}})
    assert problems(found) == [("bot", "log-errors", UNKNOWN)]


@pytest.mark.parametrize("library", [log_search.memmem, lambda: None])
def test_bytes_are_found_with_and_without_the_c_library(monkeypatch: pytest.MonkeyPatch,
                                                        library: Callable[[], Any]) -> None:
    monkeypatch.setattr(log_search, "memmem", library)
    buffer = bytearray(b"one two one")
    find = log_search.finder(buffer)
    assert [find(b"one", 0, 11), find(b"one", 1, 11), find(b"one", 1, 10), find(b"two", 0, 99), find(b"one", 9, 4)] == [
        0, 8, -1, 4, -1]
