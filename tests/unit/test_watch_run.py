"""A turn of the watch, with a checklist and a Discord that are played."""

from __future__ import annotations

import errno
import fcntl
import json
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils import deploy_state, watch, watch_message, watch_run
from ansible_collections.coinpilot.ops.plugins.module_utils.engine import Engine
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

NOW = 1_800_000_000.0
HOUR = 3600.0
AGENTS: list[str] = []
SECRET = "correct-horse-battery"
RULE = Rule("service", Text("service", "서비스"), Text("healthy", "정상"), {
    "good": Case(PASS, Text("healthy", "정상")),
    "bad": Case(FAIL, Text("said {word}", "{word} 출력"), Text("look at `x`", "`x` 확인")),
})


class Nothing(Engine):
    def containers(self, _project: str) -> list[dict[str, Any]]:
        return []


class World:
    """A host with its clock, its checklist and its Discord."""

    def __init__(self, path: Path):
        self.path, self.clock, self.bad, self.why, self.up = path, NOW, 0, None, 1e6
        self.tried = 0
        self.checked: list[str] = []
        self.posted: list[Mapping[str, Any]] = []
        path.joinpath(".env").write_text(
            f"COINPILOT_RELEASE='r7'\nDB_PASSWORD='{SECRET}'\nDISCORD_WEBHOOK_URL='https://discord.test/api/1/tok'\n")
        self.description = {"name": "coinpilot", "title": "CoinPilot", "project": "oci", "directory": str(path),
                            "state_directory": str(path / "state"), "services": {}, "required_keys": ["DB_PASSWORD"]}

    bad: int
    why: watch_run.Refusal | None

    def arm(self, words: str = "a change", korean: str = "변경") -> None:
        watch.arm(self.description, Text(words, korean), Nothing(), self.clock)

    def turn(self, hours: float | None = None) -> list[Finding]:
        """A turn so many hours after the beginning."""
        if hours is not None:
            self.clock = NOW + hours * HOUR
        return watch_run.run(self.description, self._check, lambda: self.clock, self._post, lambda: self.up)

    def _check(self, _description: Any, checkpoint: str) -> watch_run.Checked:
        self.checked.append(checkpoint)
        found = [RULE.finding("bad", f"bot{number}", word=SECRET) for number in range(self.bad)]
        return watch_run.Checked({"services": FAIL if found else PASS}, found or [RULE.finding("good", "bot")])

    def _post(self, url: str, body: Mapping[str, Any]) -> watch_run.Refusal | None:
        assert url == "https://discord.test/api/1/tok"
        self.tried += 1
        if self.why is None:
            self.posted.append(body)
        return self.why

    def titles(self) -> list[str]:
        return [message["embeds"][0]["title"] for message in self.posted]

    def pending(self) -> bool:
        return Path(watch.pending_path(self.description)).exists()

    @property
    def metrics(self) -> dict[str, float]:
        lines = (self.path / "state" / "metrics" / "watch.prom").read_text().splitlines()
        return {line.rsplit(" ", 1)[0].replace("coinpilot_watch_", ""): float(line.rsplit(" ", 1)[1])
                for line in lines if not line.startswith("#")}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(watch_run, "RUNTIME", str(tmp_path))
    return World(tmp_path)


def refused(words: str = "no connection", for_good: bool = False) -> watch_run.Refusal:
    return watch_run.Refusal(Text(words, words), for_good)


class Full:
    """A state directory with no room, by the name of what is written: all, or those that begin so."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch):
        self.names: tuple[str, ...] = ("",)
        under = world.description["state_directory"]
        write = watch_run.files.write

        def limited(*wanted: Any) -> None:
            for file in wanted:
                if file.path.startswith(under) and Path(file.path).name.startswith(self.names):
                    raise OSError(errno.ENOSPC, "No space left on device")
            write(*wanted)

        monkeypatch.setattr(watch_run.files, "write", limited)


@pytest.fixture
def full(world: World, monkeypatch: pytest.MonkeyPatch) -> Full:
    made = Full(world, monkeypatch)
    made.names = ()
    return made


def by_id(found: list[Finding], rule: str) -> list[tuple[str, str]]:
    return [(finding.subject, finding.status) for finding in found if finding.id == rule]


def test_a_whole_watch_in_its_time(world: World) -> None:
    world.arm()
    assert world.turn(0) == [] and world.pending() and world.checked == []
    assert world.metrics == {"armed_timestamp_seconds": NOW, "next_due_timestamp_seconds": NOW + 180, "undelivered": 0}
    for hours, name in ((0.05, "t0"), (1, "t1h"), (6, "t6h"), (12, "t12h"), (24, "t24h")):
        found = world.turn(hours)
        assert by_id(found, "watch-checkpoint") == [(name, PASS)] and by_id(found, "watch-message") == [(name, PASS)]
        assert world.turn() == []
    assert not world.pending() and world.checked == list(watch.CHECKPOINTS)
    assert world.metrics == {"armed_timestamp_seconds": NOW, "undelivered": 0,
                             **{f'verdict{{checkpoint="{name}"}}': 0.0 for name in watch.CHECKPOINTS}}
    titles = [message["embeds"][0]["title"] for message in world.posted]
    assert titles[:2] == ["✅ CoinPilot T+0m 점검 (check): 정상 (PASS)", "✅ CoinPilot T+1h 점검 (check): 정상 (PASS)"]
    assert [len(message["embeds"]) for message in world.posted] == [1, 1, 1, 1, 2]
    assert world.posted[4]["embeds"][1]["title"] == "✅ 24시간 감시 종료 (the 24-hour watch is over): 정상 (PASS)"


def test_what_was_missed_runs_late_and_says_so(world: World) -> None:
    world.arm()
    world.turn(0.05)
    found = world.turn(7)
    assert by_id(found, "watch-checkpoint") == [("t1h", PASS), ("t6h", PASS)]
    assert [entry["late_seconds"] for entry in watch.history(world.description, 30, NOW)[0]] == [0, 6 * HOUR, HOUR]
    assert "6시간 늦게" in world.posted[1]["embeds"][0]["description"]
    assert "Ran 6 hours late" in world.posted[1]["embeds"][0]["description"]


def test_after_a_boot_the_host_gets_time_to_settle(world: World) -> None:
    world.arm()
    world.up = 179.0
    assert world.turn(2) == [] and world.pending()
    world.up = 180.0
    assert by_id(world.turn(2), "watch-checkpoint") == [("t0", PASS), ("t1h", PASS)]


def test_how_long_the_host_is_up_can_be_read() -> None:
    first = watch_run.seconds_up()
    assert 0 < first <= watch_run.seconds_up()


def test_a_new_change_begins_it_anew(world: World) -> None:
    world.arm()
    world.turn(1)
    world.clock = NOW + 2 * HOUR
    world.arm("another")
    assert world.turn(2.05) and world.checked == ["t0", "t1h", "t0"]
    assert "another" in world.posted[-1]["embeds"][0]["description"]
    assert watch.outstanding(watch.armed(world.description), watch.history(world.description, 30, NOW)[0])[0] == (
        "t1h", NOW + 3 * HOUR)


def test_the_message_says_what_is_wrong_and_what_to_do_in_both_languages_and_no_secret(world: World) -> None:
    world.arm()
    world.bad = 30
    found = world.turn(0.05)
    assert by_id(found, "watch-checkpoint") == [("t0", FAIL)]
    [embed] = world.posted[0]["embeds"]
    lines = embed["description"].splitlines()
    assert embed["title"].startswith("🔴") and embed["color"] == 0xE74C3C
    assert lines.index("🔴 **서비스 bot0: *** 출력**") < lines.index("🔴 **service bot0: said *****")
    assert "조치: `x` 확인" in lines and "do: look at `x`" in lines
    assert any("`sudo coinpilot-ops check t0`" in line and "15" in line for line in lines)
    assert SECRET not in json.dumps(world.posted, ensure_ascii=False)
    assert world.metrics['verdict{checkpoint="t0"}'] == 3


def test_the_longest_message_is_one_that_discord_takes(world: World) -> None:
    world.arm("long " * 500, "오래 " * 500)
    world.bad = 20
    world.turn(0.05)
    run = watch.history(world.description, 30, NOW)[0][0]
    for problem in run["problems"]:
        problem["seen"] = problem["fix"] = {"en": "*" * 5000, "ko": "한 줄 " * 2000}
    message = watch_message.message({**run, "checkpoint": "t24h", "late_seconds": 9999}, [run], world.description)
    assert sum(len(embed["title"]) + len(embed["description"]) for embed in message["embeds"]) < 5900
    for checkpoint in ("t0", "t24h"):
        shown = watch_message.message({**run, "checkpoint": checkpoint, "late_seconds": 9999}, [run],
                                      world.description)["embeds"][0]["description"]
        assert len(shown) <= 4000 and shown.count("…") > 1
    assert "다음 점검 (next)" in watch_message.message({**run, "late_seconds": 9999}, [run], world.description)[
        "embeds"][0]["description"].splitlines()[-1]


def test_what_was_not_delivered_is_tried_again_but_not_each_minute(world: World) -> None:
    world.arm()
    world.why = refused("HTTP 500")
    assert by_id(world.turn(0.05), "watch-message") == [("t0", WARN)] and world.metrics["undelivered"] == 1
    world.clock += 60
    assert world.turn() == []
    world.clock += 600
    assert by_id(world.turn(), "watch-message") == [("t0", WARN)]
    world.why = None
    world.clock += 600
    assert by_id(world.turn(), "watch-message") == [("t0", PASS)] and world.metrics["undelivered"] == 0
    assert len(world.posted) == 1 and world.checked == ["t0"]


def test_the_watch_that_is_over_goes_on_until_all_is_told_or_two_days_have_passed(world: World) -> None:
    world.arm()
    world.turn(12)
    world.why = refused()
    assert by_id(world.turn(24), "watch-message") == [("t24h", WARN)] and world.pending()
    assert by_id(world.turn(72.1), "watch-message") == [("t24h", WARN)] and not world.pending()


def test_one_that_does_not_arrive_keeps_the_order(world: World) -> None:
    world.arm()
    world.why = refused()
    world.turn(0.05)
    world.turn(1)
    world.why = None
    world.turn(1.5)
    assert ["T+0m" in message["embeds"][0]["title"] for message in world.posted] == [True, False]


def test_with_no_address_it_is_said_and_not_tried_again(world: World) -> None:
    (world.path / ".env").write_text("A=1\n")
    world.arm()
    [found] = [finding for finding in world.turn(0.05) if finding.id == "watch-message"]
    assert found.status == WARN and "DISCORD_WEBHOOK_URL" in found.seen.en and world.metrics["undelivered"] == 0


@pytest.mark.parametrize("text", ["", "{", "[]", '{"untold": 3}', '{"untold": [[1]]}', '{"tried_at": "x"}', "\x00",
                                  '{"untold": [[1e999, "t0"]], "tried_at": 1e999}', "[" * 100_000])
def test_a_damaged_note_of_what_is_to_be_told_stops_nothing(world: World, text: str) -> None:
    world.arm()
    Path(watch.pending_path(world.description)).write_text(text)
    assert by_id(world.turn(0.05), "watch-message") == [("t0", PASS)]


@pytest.mark.parametrize("name", ["", "history.jsonl", "pending.json"])
@pytest.mark.parametrize("hours", [0.05, 1])
def test_a_result_that_cannot_be_kept_is_not_made_again_and_again_and_that_is_told_once(
        world: World, full: Full, name: str, hours: float) -> None:
    world.arm()
    if hours == 1:
        world.turn(0.05)
    world.checked, world.posted = [], []
    full.names = (name,)
    told = [by_id(world.turn(hours + minutes / 60), "watch-message") for minutes in range(30)]
    assert world.checked == [] and told == [[("", PASS)]] + [[]] * 29 and len(world.posted) == 1
    [embed] = world.posted[0]["embeds"]
    assert "the watch cannot record" in embed["description"] and "No space" in embed["description"]
    full.names = ()
    [name, *_others] = [subject for subject, _status in by_id(world.turn(hours + 1), "watch-checkpoint")]
    assert name == ("t0" if hours < 1 else "t1h") and len(world.posted) == 2 + len(_others)


def test_where_a_message_cannot_be_noted_it_is_not_sent_each_minute(world: World, full: Full) -> None:
    world.arm()
    world.why = refused()
    world.turn(0.05)
    world.why, full.names = None, ("pending.json",)
    for minutes in range(11, 40):
        world.turn(0.05 + minutes / 60)
    assert [title.split(" ")[0] for title in world.titles()] == ["🔴"] and world.checked == ["t0"]
    full.names = ()
    world.turn(0.8)
    assert "T+0m" in world.titles()[1]


def test_a_run_that_is_in_the_history_is_told_whatever_happened_next(
        world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.arm()

    append = watch.append

    def killed_after(*arguments: Any) -> list[Finding]:
        done = append(*arguments)
        if len(arguments) > 1:
            raise KeyboardInterrupt
        return done

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(watch, "append", killed_after)
        world.turn(0.05)
    assert by_id(world.turn(0.1), "watch-message") == [("t0", PASS)] and world.checked == ["t0"]


def test_a_history_that_cannot_be_read_runs_nothing_and_is_told_once(world: World) -> None:
    world.arm()
    world.turn(0.05)
    path = Path(watch.history_path(world.description))
    path.rename(path.with_suffix(".kept"))
    path.mkdir()
    for minutes in range(20):
        assert by_id(world.turn(1 + minutes / 60), "watch-history") == [("", UNKNOWN)]
    assert world.checked == ["t0"] and [title.split(" ")[0] for title in world.titles()] == ["✅", "🔴"]
    path.rmdir()
    path.with_suffix(".kept").rename(path)
    world.turn(1.5)
    assert world.checked == ["t0", "t1h"]


@pytest.mark.parametrize("damage", ["damaged", "unreadable"])
def test_an_arming_that_cannot_be_used_does_not_end_the_watch_and_is_told_once(world: World, damage: str) -> None:
    world.arm()
    world.turn(0.05)
    path = Path(watch.armed_path(world.description))
    kept = path.read_text()
    path.unlink()
    if damage == "damaged":
        path.write_text("{")
    else:
        path.mkdir()
    for minutes in range(20):
        assert by_id(world.turn(1 + minutes / 60), "watch-armed") == [("", UNKNOWN)] and world.pending()
    assert len(world.posted) == 2 and "watch arm" in world.posted[1]["embeds"][0]["description"] or damage != "damaged"
    if damage == "unreadable":
        path.rmdir()
    path.write_text(kept)
    world.turn(1.5)
    assert world.checked == ["t0", "t1h"]
    path.write_text("{")
    world.turn(2)
    assert len(world.posted) == 4, "another time is another message"


def test_an_arming_in_the_future_is_told(world: World) -> None:
    world.clock = NOW + HOUR
    world.arm()
    world.turn(0)
    assert world.checked == [] and "60 minutes" in world.posted[0]["embeds"][0]["description"]
    assert by_id(world.turn(0.1), "watch-armed") == [("", WARN)] and len(world.posted) == 1


def test_trouble_that_discord_does_not_take_is_tried_again_but_not_each_minute(world: World) -> None:
    world.arm()
    Path(watch.armed_path(world.description)).write_text("{")
    world.why = refused("HTTP 500")
    for minutes in range(20):
        world.turn(minutes / 60)
    assert world.tried == 2
    world.why = None
    world.turn(0.5)
    world.turn(0.8)
    assert len(world.posted) == 1


def test_what_runtime_cannot_note_is_not_sent_each_minute(
        world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.arm()
    Path(watch.armed_path(world.description)).write_text("{")
    monkeypatch.setattr(watch_run, "RUNTIME", "/nonexistent")
    assert by_id(world.turn(0), "watch-state") == [("", WARN)] and world.tried == 0


def test_a_clock_that_was_ahead_once_runs_nothing_twice(world: World) -> None:
    world.arm()
    world.turn(24)
    entry = watch.entry("daily", [], {}, NOW + 400 * watch.DAY, 1)
    watch.record(world.description, entry)
    assert world.turn(24.1) == [] and world.checked == list(watch.CHECKPOINTS)
    Path(watch.pending_path(world.description)).write_text("{}")
    assert world.turn(400 * 24) == [] and len(world.checked) == 5


def test_a_checkpoint_that_falls_due_during_a_deploy_runs_after_it(world: World) -> None:
    world.arm()
    lock = Path(deploy_state.lock_path(world.description))
    lock.parent.mkdir()
    with lock.open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        assert by_id(world.turn(0.05), "deploy-at-work") == [("", PASS)] and world.checked == []
    assert by_id(world.turn(0.1), "watch-checkpoint") == [("t0", PASS)]


def test_one_that_discord_refuses_for_good_holds_up_nothing(world: World) -> None:
    world.arm()
    world.why = refused("HTTP 500")
    world.turn(0.05)
    world.why = refused("HTTP 400", for_good=True)
    assert by_id(world.turn(1), "watch-message") == [("t0", WARN), ("t1h", WARN)]
    assert world.metrics["undelivered"] == 0


def test_a_damaged_history_is_set_aside_and_told(world: World) -> None:
    world.arm()
    Path(watch.history_path(world.description)).write_text("by hand\n")
    assert by_id(world.turn(0.05), "watch-history") == [("", WARN)]
    assert by_id(world.turn(1), "watch-history") == []


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            AGENTS.append(self.headers["User-Agent"])
            self.send_response(int(self.path.strip("/")))
            self.end_headers()

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    served = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=served.serve_forever, daemon=True).start()
    yield served
    served.shutdown()
    served.server_close()


@pytest.mark.parametrize(("path", "why"), [
    ("204", ""), ("200", ""), ("400", "HTTP 400"), ("401", "HTTP 401"), ("404", "HTTP 404"), ("429", "HTTP 429"),
    ("500", "HTTP 500")])
def test_discord_is_called_by_a_name_that_it_takes(server: HTTPServer, path: str, why: str) -> None:
    told = watch_run._post(f"http://127.0.0.1:{server.server_port}/{path}", {"content": "x"})
    assert (told.why.en if told else "") == why and AGENTS[-1] == "coinpilot-ops"
    assert (told is not None and told.for_good) == (path in ("400", "401", "404"))


@pytest.mark.parametrize(("url", "why"), [
    ("http://127.0.0.1:1/x", "no connection"), ("file:///etc/passwd", "no http or https address"),
    ("https://[", "no http or https address"), ("http://a b/", "no proper HTTP answer"),
])
def test_what_is_no_address_is_said(url: str, why: str) -> None:
    told = watch_run._post(url, {})
    assert told is not None and told.why.en == why and not told.for_good
