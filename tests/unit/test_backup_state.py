"""What others read of the backups: the state, the metrics, and pings to a watchdog (a real HTTP server here)."""

from __future__ import annotations

import errno
import json
import re
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils import backup_state, backup_store, files
from ansible_collections.coinpilot.ops.plugins.module_utils.findings import (
    FAIL,
    PASS,
    UNKNOWN,
    WARN,
    Case,
    Finding,
    Rule,
    Text,
)

AT = 1795456800.0  # 2026-11-23T18:00:00Z
NAME = "coinpilot_postgres_20261123T180000Z"
MANIFEST = {"name": NAME, "seconds": 12.5, "counts": {"public.a": 3, "public.b": 4},
            "files": [{"name": NAME + ".dump.zst", "size": 100, "raw_size": 400},
                      {"name": NAME + ".globals.sql.zst", "size": 5, "raw_size": 9}]}
RULE = Rule("source", Text("source", "원본"), Text("there", "있음"), {
    "gone": Case(FAIL, Text("the volume is missing", "볼륨이 없음"), Text("start it", "시작하세요")),
    "right": Case(PASS, Text("there", "있음")),
})
WHAT = Text("7 rows compared", "7행 비교")


@pytest.fixture
def where(tmp_path: Path) -> str:
    return str(tmp_path / "state")


def file_of(where: str) -> Path:
    return Path(backup_state.path(where, "postgres"))


def state_of(where: str) -> dict[str, Any]:
    state, found = backup_state.load(where, "postgres")
    assert found == []
    return state


def rehearse(where: str, name: str, ok: bool | None, at: float = AT) -> list[Finding]:
    return backup_state.record_rehearsal(where, "postgres", at, name, ok, 3.0, WHAT)


def backup(name: str, taken_at: float, kind: str = "daily", directory: str = "/none",
           manifest: dict[str, Any] | None = None) -> backup_store.Backup:
    return backup_store.Backup("postgres", name, directory, kind, taken_at, (name + ".dump.zst",), manifest, True)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_was_never_recorded_is_not_there(where: str) -> None:
    assert backup_state.load(where, "postgres") == ({}, [])
    assert not Path(where).exists()


def test_a_success_is_recorded_from_its_manifest(where: str) -> None:
    assert backup_state.record_attempt(where, "postgres", AT - 13) == []
    assert backup_state.record_success(where, "postgres", AT, MANIFEST) == []
    assert state_of(where) == {
        "format": 1, "target": "postgres", "last_attempt": {"at": "2026-11-23T17:59:47Z"}, "last_result": "success",
        "suspect": False, "last_success": {"name": NAME, "at": "2026-11-23T18:00:00Z", "seconds": 12.5, "size": 105,
                                           "raw_size": 409, "count": 7}}
    assert backup_state.epoch("2026-11-23T18:00:00Z") == AT


def test_the_state_is_nobody_elses(where: str) -> None:
    backup_state.record_attempt(where, "postgres", AT)
    assert (mode(file_of(where)), mode(file_of(where).parent), mode(Path(where))) == (0o600, 0o700, 0o700)


def test_a_failure_says_what_is_wrong_in_both_languages_and_keeps_the_last_success(where: str) -> None:
    backup_state.record_success(where, "postgres", AT, MANIFEST)
    wrong = [RULE.finding("right"), RULE.finding("gone", "postgres")]
    assert backup_state.record_failure(where, "postgres", AT + 60, wrong) == []
    state = state_of(where)
    assert state["last_result"] == "failure" and state["suspect"] is False
    assert state["last_failure"] == {"at": "2026-11-23T18:01:00Z", "findings": ["source"], "text": {
        "en": "source postgres: the volume is missing. start it", "ko": "원본 postgres: 볼륨이 없음. 시작하세요"}}
    assert state["last_success"]["name"] == NAME
    assert "볼륨이 없음" in file_of(where).read_text(encoding="utf-8")


def test_suspect_stays_until_the_next_success(where: str) -> None:
    backup_state.record_failure(where, "postgres", AT, [], suspect=True)
    backup_state.record_failure(where, "postgres", AT + 1, [])
    assert state_of(where)["suspect"] is True
    backup_state.record_success(where, "postgres", AT + 2, MANIFEST)
    assert state_of(where)["suspect"] is False


def test_half_a_character_in_a_text_does_not_damage_the_state(where: str) -> None:
    rule = Rule("x", Text("x", "x"), Text("", ""), {"x": Case(FAIL, Text("{said}", "{said}"))})
    assert backup_state.record_failure(where, "postgres", AT, [rule.finding("x", said="a\udcffb")]) == []
    assert state_of(where)["last_failure"]["text"]["en"] == "x: a?b"


def test_rehearsals(where: str) -> None:
    assert rehearse(where, "first", True) == []
    rehearse(where, "second", None, AT + 60)
    state = state_of(where)
    assert state["last_rehearsal"] == {"name": "second", "at": "2026-11-23T18:01:00Z", "ok": None, "seconds": 3.0,
                                       "what": {"en": "7 rows compared", "ko": "7행 비교"}}
    assert state["last_rehearsal_success"] == {"name": "first", "at": "2026-11-23T18:00:00Z"}
    assert state["proven"] == [{"name": "first", "at": "2026-11-23T18:00:00Z"}]


def test_the_newest_proven_is_the_newest_taken_of_those_there_are(where: str) -> None:
    backups = [backup("new", AT), backup("middle", AT - 60), backup("old", AT - 120)]
    for name in ("middle", "old", "never-there"):
        rehearse(where, name, True)
    assert backup_state.newest_proven(state_of(where), backups) == "middle"
    assert backup_state.newest_proven(state_of(where), backups[2:]) == "old"
    assert backup_state.newest_proven(state_of(where), backups[:1]) is None
    assert backup_state.newest_proven({}, backups) is None


def test_one_that_no_longer_restores_is_proven_no_more_and_one_that_could_not_be_tried_is(where: str) -> None:
    for name, ok in (("old", True), ("new", True), ("new", None)):
        rehearse(where, name, ok)
    assert [proof["name"] for proof in state_of(where)["proven"]] == ["new", "old"]
    rehearse(where, "new", False)
    assert [proof["name"] for proof in state_of(where)["proven"]] == ["old"]
    assert state_of(where)["last_rehearsal_success"]["name"] == "new"


def test_proofs_are_each_kept_once_and_do_not_grow_for_ever(where: str) -> None:
    for number in range(60):
        rehearse(where, "backup-%d" % (number // 2 * 2), True)
        rehearse(where, "backup-%d" % number, True)
    names = [proof["name"] for proof in state_of(where)["proven"]]
    assert len(names) == len(set(names)) == 50 and names[0] == "backup-59"


DAMAGE = [
    "", "{", "[]", "null", '"text"', "\0" * 40, '{"last_attempt": {}}', '{"last_attempt": "yesterday"}',
    '{"last_attempt": {"at": "yesterday"}}', '{"last_attempt": {"at": 12}}', '{"suspect": "no"}', '{"proven": {}}',
    '{"proven": [{"name": 1, "at": "2026-11-23T18:00:00Z"}]}', '{"last_result": "fine"}', "[" * 100000, "NaN",
    '{"last_success": {"at": "2026-11-23T18:00:00Z", "name": "x", "seconds": NaN, "size": 1, "raw_size": 1, '
    '"count": 1}}',
]


@pytest.mark.parametrize("text", DAMAGE, ids=range(len(DAMAGE)))
def test_a_damaged_state_is_empty_said_and_never_lost(where: str, text: str) -> None:
    backup_state.record_attempt(where, "postgres", AT)
    file_of(where).write_text(text)
    state, found = backup_state.load(where, "postgres")
    assert state == {} and [(finding.id, finding.status) for finding in found] == [("backup-state", WARN)]
    assert file_of(where).read_text() == text
    said = backup_state.record_attempt(where, "postgres", AT + 60)
    aside = file_of(where).with_name("postgres.json.damaged")
    assert [finding.status for finding in said] == [WARN] and str(aside) in said[0].line("ko")
    assert aside.read_text() == text
    assert state_of(where)["last_attempt"] == {"at": "2026-11-23T18:01:00Z"}
    assert backup_state.record_attempt(where, "postgres", AT) == []


def test_bytes_that_are_no_text_are_damage_and_a_second_damage_keeps_the_first(where: str) -> None:
    for content in (b"\xff\xfe", b"{\xff}"):
        backup_state.record_attempt(where, "postgres", AT)
        file_of(where).write_bytes(content)
        assert len(backup_state.record_attempt(where, "postgres", AT)) == 1
    assert file_of(where).with_name("postgres.json.damaged").read_bytes() == b"\xff\xfe"
    assert file_of(where).with_name("postgres.json.damaged.2").read_bytes() == b"{\xff}"


def test_a_key_of_a_newer_version_is_kept(where: str) -> None:
    backup_state.record_attempt(where, "postgres", AT)
    file_of(where).write_text(json.dumps({**state_of(where), "later": [1]}))
    backup_state.record_success(where, "postgres", AT, MANIFEST)
    assert state_of(where)["later"] == [1]


def test_a_state_that_cannot_be_read_is_unknown_and_not_overwritten(where: str) -> None:
    file_of(where).mkdir(parents=True)
    state, found = backup_state.load(where, "postgres")
    assert state == {} and [finding.status for finding in found] == [UNKNOWN]
    said = backup_state.record_success(where, "postgres", AT, MANIFEST)
    assert [finding.status for finding in said] == [WARN] and "Is a directory" in said[0].line("en")
    assert file_of(where).is_dir()


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> None:
    def write(*wanted: files.File) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", wanted[0].path)

    monkeypatch.setattr(files, "write", write)


def test_a_full_disk_is_a_warning(where: str, full: None) -> None:
    for said in (backup_state.record_success(where, "postgres", AT, MANIFEST),
                 backup_state.write_metrics(where, "coinpilot", "postgres", [])):
        assert [finding.status for finding in said] == [WARN] and "No space left on device" in said[0].line("en")
        assert "No space" in said[0].line("ko")


def test_a_directory_that_cannot_be_made_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    where = str(tmp_path / "file")
    assert [finding.status for finding in backup_state.record_attempt(where, "postgres", AT)] == [WARN]
    assert [finding.status for finding in backup_state.write_metrics(where, "coinpilot", "postgres", [])] == [WARN]


def test_what_a_killed_run_left_is_cleared(where: str) -> None:
    backup_state.record_attempt(where, "postgres", AT)
    (file_of(where).parent / ".postgres.json-abc.new").write_text("half")
    backup_state.record_attempt(where, "postgres", AT)
    assert [path.name for path in file_of(where).parent.iterdir()] == ["postgres.json"]


def test_a_backup_and_a_rehearsal_at_once_lose_nothing(where: str) -> None:
    def rehearsals() -> None:
        for number in range(20):
            rehearse(where, "backup-%d" % number, True)

    thread = threading.Thread(target=rehearsals)
    thread.start()
    for _ in range(20):
        backup_state.record_success(where, "postgres", AT, MANIFEST)
    thread.join()
    assert len(state_of(where)["proven"]) == 20 and state_of(where)["last_success"]["name"] == NAME


PREFIX = "coinpilot_backup_"


def metrics(text: str) -> dict[str, float]:
    """Series by name (without the prefix) and labels; what Prometheus would stumble over fails here."""
    found: dict[str, float] = {}
    described: set[str] = set()
    lines = text.split("\n")
    assert lines.pop() == ""
    for line in lines:
        if line.startswith("# HELP "):
            described.add(line.split()[2])
        elif line.startswith("# TYPE "):
            assert line.split()[2] in described and line.endswith(" gauge")
        else:
            match = re.fullmatch(r'(\w+)(\{\w+="[^"\n]*"(?:,\w+="[^"\n]*")*\}) (\S+)', line)
            assert match and match[1] in described and match[1].startswith(PREFIX), line
            key = match[1][len(PREFIX):] + match[2]
            assert key not in found
            found[key] = float(match[3])
    assert described == {PREFIX + key.split("{")[0] for key in found}
    return found


def test_of_what_never_was_there_is_no_series(where: str) -> None:
    assert backup_state.write_metrics(where, "coinpilot", "postgres", []) == []
    file = Path(where) / "metrics" / "coinpilot_backup_postgres.prom"
    assert (mode(file), mode(file.parent), mode(Path(where))) == (0o644, 0o755, 0o700)
    assert metrics(file.read_text()) == {
        'suspect{target="postgres"}': 0, 'backups{target="postgres",kind="daily"}': 0,
        'backups{target="postgres",kind="weekly"}': 0, 'backups{target="postgres",kind="safety"}': 0}


def test_a_target_that_always_failed(where: str) -> None:
    backup_state.record_attempt(where, "postgres", AT)
    backup_state.record_failure(where, "postgres", AT + 1, [], suspect=True)
    found = metrics(backup_state.render_metrics("coinpilot", "postgres", state_of(where), []))
    assert found['last_attempt_timestamp_seconds{target="postgres"}'] == AT
    assert found['last_result{target="postgres"}'] == 0 and found['suspect{target="postgres"}'] == 1
    assert not any(name.startswith(("last_success", "rehearsal")) for name in found)


def test_every_metric(where: str, tmp_path: Path) -> None:
    backup_state.record_attempt(where, "postgres", AT - 13)
    backup_state.record_success(where, "postgres", AT, MANIFEST)
    rehearse(where, NAME, True, AT + 100)
    rehearse(where, NAME, False, AT + 200)
    manifest = {"suspect": [], "files": [{"name": "data", "size": 0}]}
    (tmp_path / "data").write_text("")
    backups = [backup("suspect", AT, manifest={**manifest, "suspect": ["backup-size"]}),
               backup("safety", AT - 1, "safety", str(tmp_path), manifest),
               backup("a", AT - 60, "daily", str(tmp_path), manifest),
               backup("a", AT - 60, "weekly", str(tmp_path), manifest),
               backup("b", AT - 86400, "daily", str(tmp_path), manifest),
               backup("damaged", AT - 172800)]
    assert backup_state.write_metrics(where, "coinpilot", "postgres", backups) == []
    found = metrics(Path(backup_state.metrics_path(where, "coinpilot", "postgres")).read_text())
    assert {name.replace('target="postgres",', "").replace('{target="postgres"}', ""): value
            for name, value in found.items()} == {
        "last_attempt_timestamp_seconds": AT - 13, "last_success_timestamp_seconds": AT,
        "last_success_size_bytes": 105, "last_success_duration_seconds": 12.5, "last_result": 1, "suspect": 0,
        "rehearsal_last_timestamp_seconds": AT + 200, "rehearsal_last_success_timestamp_seconds": AT + 100,
        "rehearsal_last_result": 0, "oldest_timestamp_seconds": AT - 86400, "newest_timestamp_seconds": AT - 60,
        'backups{kind="daily"}': 4, 'backups{kind="weekly"}': 1, 'backups{kind="safety"}': 1}


def test_a_damaged_state_leaves_the_metrics_of_what_there_is(where: str) -> None:
    backup_state.record_success(where, "postgres", AT, MANIFEST)
    file_of(where).write_text("{")
    said = backup_state.write_metrics(where, "coinpilot", "postgres", [backup("a", AT)])
    assert [finding.id for finding in said] == ["backup-state"]
    found = metrics(Path(backup_state.metrics_path(where, "coinpilot", "postgres")).read_text())
    assert found['backups{target="postgres",kind="daily"}'] == 1
    assert 'last_success_timestamp_seconds{target="postgres"}' not in found


def test_a_name_that_is_none_for_a_metric_or_a_label() -> None:
    text = backup_state.render_metrics("coin-pilot", 'a"b\\c\nd', {}, [])
    assert 'coin_pilot_backup_suspect{target="a\\"b\\\\c\\nd"} 0\n' in text
    assert backup_state.metrics_path("/state", "coin-pilot", "redis") == "/state/metrics/coin_pilot_backup_redis.prom"


@pytest.mark.parametrize(("target", "values", "url"), [
    ("postgres", {"BACKUP_PING_URL_POSTGRES": " https://ping.example/1 "}, "https://ping.example/1"),
    ("my-db", {"BACKUP_PING_URL_MY_DB": "https://ping.example/2"}, "https://ping.example/2"),
    ("redis", {"BACKUP_PING_URL_POSTGRES": "https://ping.example/1"}, None),
    ("redis", {"BACKUP_PING_URL_REDIS": " "}, None),
])
def test_where_the_address_comes_from(target: str, values: dict[str, str], url: str | None) -> None:
    assert backup_state.ping_url(values, target) == url


class Watchdog(ThreadingHTTPServer):
    """A watchdog on loopback: keeps the requests, and answers each as it is told."""

    daemon_threads = True
    answer: Callable[[Any], None]

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.answer = lambda handler: reply(handler, 200)
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return "http://127.0.0.1:%d/s3cret-uuid" % self.server_port


class Handler(BaseHTTPRequestHandler):
    server: Watchdog

    def do_GET(self) -> None:
        self.server.requests.append("%s %s" % (self.command, self.path))
        self.server.answer(self)

    def log_message(self, format: str, *args: Any) -> None:
        """Keeps the tests' output clean."""


def reply(handler: Any, status: int, location: str = "") -> None:
    handler.send_response(status)
    if location:
        handler.send_header("Location", location)
    handler.send_header("Content-Length", "0")
    handler.end_headers()


@pytest.fixture
def watchdog(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watchdog]:
    monkeypatch.setattr(backup_state, "_PAUSE", 0.01)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = Watchdog()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def undelivered(url: str, event: str = "success", timeout: float = 5.0) -> str:
    finding = backup_state.ping(url, event, timeout)
    assert finding and finding.status == WARN
    for part in ("s3cret", "127.0.0.1", "://", "watch.invalid"):
        assert part not in finding.line("en") + finding.line("ko") + repr(finding)
    return finding.seen.en


@pytest.mark.parametrize(("event", "end", "asked"), [
    ("start", "", "/s3cret-uuid/start"), ("success", "", "/s3cret-uuid"), ("failure", "", "/s3cret-uuid/fail"),
    ("failure", "/", "/s3cret-uuid/fail"), ("start", "?create=1", "/s3cret-uuid/start?create=1"),
])
def test_a_ping_arrives(watchdog: Watchdog, event: str, end: str, asked: str) -> None:
    assert backup_state.ping(watchdog.url + end, event) is None
    assert watchdog.requests == ["GET " + asked]


def test_a_second_try_delivers_what_the_first_did_not(watchdog: Watchdog) -> None:
    watchdog.answer = lambda handler: reply(handler, 503 if len(watchdog.requests) == 1 else 200)
    assert backup_state.ping(watchdog.url, "success") is None
    assert len(watchdog.requests) == 2


@pytest.mark.parametrize("status", [404, 500])
def test_an_answer_that_is_no_success_is_said(watchdog: Watchdog, status: int) -> None:
    watchdog.answer = lambda handler: reply(handler, status)
    assert undelivered(watchdog.url, "failure") == "failure was not delivered: the service answered %d" % status
    assert len(watchdog.requests) == 2


def test_a_redirect_is_followed(watchdog: Watchdog) -> None:
    watchdog.answer = lambda handler: (reply(handler, 200) if handler.path == "/moved"
                                       else reply(handler, 302, "/moved"))
    assert backup_state.ping(watchdog.url, "success") is None
    assert watchdog.requests == ["GET /s3cret-uuid", "GET /moved"]


@pytest.mark.parametrize("location", ["/s3cret-uuid", "file:///etc/passwd", "ftp://127.0.0.1/s3cret", "http://["])
def test_a_redirect_in_a_circle_or_to_something_else_is_said(watchdog: Watchdog, location: str) -> None:
    watchdog.answer = lambda handler: reply(handler, 302, location)
    undelivered(watchdog.url)


def test_no_answer_is_waited_for_no_longer_than_the_time_limit(watchdog: Watchdog) -> None:
    ended = threading.Event()
    watchdog.answer = lambda handler: (ended.wait(10), None)[1]
    begun = time.monotonic()
    assert undelivered(watchdog.url, timeout=0.2) == "success was not delivered: no answer in 0.2 s"
    ended.set()
    assert time.monotonic() - begun < 5 and len(watchdog.requests) == 2


def test_an_answer_that_breaks_off_or_is_no_http_is_said(watchdog: Watchdog) -> None:
    watchdog.answer = lambda handler: None
    assert "no proper HTTP answer" in undelivered(watchdog.url)
    watchdog.answer = lambda handler: (handler.wfile.write(b"220 mail.example ESMTP\r\n"), None)[1]
    assert "no proper HTTP answer" in undelivered(watchdog.url)


def test_tls_that_is_none_is_said(watchdog: Watchdog) -> None:
    assert "TLS" in undelivered(watchdog.url.replace("http:", "https:"))


def test_a_refused_connection_is_said(watchdog: Watchdog) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = "http://127.0.0.1:%d/s3cret" % unused.getsockname()[1]
        assert undelivered(url) == "success was not delivered: no connection (Connection refused)"


def test_a_name_that_is_not_known_is_said(watchdog: Watchdog, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*arguments: Any, **more: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert "DNS" in undelivered("https://watch.invalid/s3cret")


@pytest.mark.parametrize("url", [
    "", "s3cret", "file:///s3cret", "ftp://watch.invalid/s3cret", "http://", "http:///s3cret", "http://[s3cret",
    "http://watch.invalid:s3cret/", "http://watch.invalid/s3cret space", "http://watch.invalid/s3cret\x01",
    "http://user:s3cret@watch.invalid/", "http://watch.invalid/비밀s3cret", "javascript:s3cret",
])
def test_what_is_no_address_is_said(watchdog: Watchdog, url: str) -> None:
    assert undelivered(url) == "success was not delivered: no http or https address"
