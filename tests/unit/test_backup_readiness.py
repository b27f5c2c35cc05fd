"""Whether the data could be restored today: over backups as they are made, and as they break."""

from __future__ import annotations

import calendar
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils import (
    backup_readiness,
    backup_state,
    backup_store,
    cron_state,
    files,
)
from ansible_collections.coinpilot.ops.plugins.module_utils.backup_readiness import DEFAULTS, Copy, Target, World
from ansible_collections.coinpilot.ops.plugins.module_utils.checklist_context import Context
from ansible_collections.coinpilot.ops.plugins.module_utils.engine import Engine
from ansible_collections.coinpilot.ops.plugins.module_utils.findings import Finding, Text

SEOUL = 9 * 3600
DAY = 86400
BODY = bytes(range(256)) * 40


def at(*moment: int) -> float:
    """A moment by the clock of Seoul."""
    return calendar.timegm((*moment, 0)) - SEOUL


NOW = at(2026, 11, 23, 9, 0)  # a Monday
LAST_NIGHT = at(2026, 11, 23, 3, 15)
LONG_AGO = at(2026, 9, 1, 12, 0)


class Host:
    """The backups, states and cron's table of a host, in a temporary directory."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch):
        self.root = root
        self.description: dict[str, Any] = {
            "name": "coinpilot", "backup_directory": str(root / "backups"), "state_directory": str(root / "state"),
            "log_directory": "/var/log/coinpilot", "root": "/opt/coin-pilot",
            "backup": {"targets": {"redis": {"schedule": "15 3 * * *"}}, "rehearsal": {"schedule": "35 4 * * 0"},
                       "offsite": {}, "keep": {"daily": 7, "weekly": 4}},
        }
        (root / "state/backup").mkdir(parents=True)
        (root / "backups").mkdir(mode=0o700)
        monkeypatch.setattr(cron_state, "TABLES", str(root))
        self.cron_written(LONG_AGO)

    def cron_written(self, moment: float) -> None:
        path = self.root / "coinpilot-backup"
        path.write_text("", encoding="utf-8")
        os.utime(path, (moment, moment))

    def add(self, taken_at: float, kind: str = "daily", size: int = len(BODY), **manifest: Any) -> Path:
        """A backup; its data file. Without the record of the run that took it."""
        where = self.root / "backups/redis" / kind
        for path in (where.parent, where):
            files.make_directory(str(path), 0o700)
        name = backup_store.name("coinpilot", "redis", taken_at)
        content = (name.encode() + BODY)[:size]
        written = backup_store.DataFile(name + ".tar.zst", size, hashlib.sha256(content).hexdigest(), size)
        partial = Path(backup_store.partial(str(where / written.name)))
        partial.write_bytes(content)
        partial.chmod(0o600)
        backup_store.publish(str(where), {
            "format": 1, "stack": "coinpilot", "target": "redis", "name": name, "files": [written._asdict()],
            "counts": {}, "versions": {}, "details": {}, "identity": {}, "suspect": [], "accepted": False, **manifest},
            [written])
        return where / written.name

    def add_nights(self, number: int, last: float = LAST_NIGHT) -> Path:
        return [self.add(last - night * DAY) for night in reversed(range(number))][-1]

    def rehearse(self, moment: float, ok: bool | None = True) -> None:
        backup_state.record_rehearsal(self.description["state_directory"], "redis", moment, "a_backup", ok, 1.0,
                                      Text("as it was", "그대로"))

    def read(self, checkpoint: str = "daily", armed_at: float | None = None, **options: Any) -> list[Finding]:
        for path in (self.root / "backups").rglob("*.*"):
            # They are not from after this test's own day.
            os.utime(path, (LONG_AGO, LONG_AGO))
        release = None if armed_at is None else {"release": "1", "armed_at": armed_at}
        return backup_readiness.read(
            Context(self.description, Engine("/nonexistent"), NOW, checkpoint, NOW - DAY, release), options)

    def bad(self, *arguments: Any, **options: Any) -> list[tuple[str, str, str]]:
        return [(finding.id, finding.status, finding.seen.en) for finding in self.read(*arguments, **options)
                if finding.status != "PASS"]


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    monkeypatch.setenv("TZ", "Asia/Seoul")
    time.tzset()
    yield Host(tmp_path, monkeypatch)
    monkeypatch.undo()
    time.tzset()


def test_a_good_host(host: Host) -> None:
    host.add_nights(8)
    host.rehearse(at(2026, 11, 22, 4, 35))
    found = {finding.id: finding for finding in host.read()}
    assert {finding.status for finding in found.values()} == {"PASS"}
    assert set(found) == {"backup-newest", "backup-bytes", "backup-trend", "backup-rehearsal", "backup-copy"}
    assert found["backup-newest"].seen.en == "2026-11-23 03:15 (5 hours ago), 10.0 KiB; the next at 2026-11-24 03:15"
    assert found["backup-bytes"].seen.en.endswith("as its SHA-256 says")
    assert found["backup-trend"].seen.en == "7 of 7 days, +0 % against the week before"


def test_a_fresh_install_is_not_blamed(host: Host) -> None:
    host.cron_written(NOW - 3600)
    found = {finding.id: finding for finding in host.read()}
    assert {finding.status for finding in found.values()} == {"PASS"}
    assert found["backup-newest"].seen.en == "none yet; due at 2026-11-24 03:15"
    assert found["backup-rehearsal"].seen.en == "none yet; due at 2026-11-29 04:35"


def test_an_old_backup_is_none_of_a_fresh_install(host: Host) -> None:
    host.cron_written(NOW - 3600)
    host.add(LAST_NIGHT - 3 * DAY)
    assert host.bad() == [
        ("backup-newest", "FAIL", "2026-11-20 03:15 (3 days ago), and one was due at 2026-11-23 03:15")]


def test_one_that_was_taken_and_is_gone(host: Host) -> None:
    """Also on the day of the install, when none is due."""
    host.cron_written(NOW - 3600)
    newest = host.add(NOW - 1800)
    backup_state.record_success(host.description["state_directory"], "redis", NOW - 1800,
                                json.loads(manifest(newest).read_text(encoding="utf-8")) | {"seconds": 1})
    assert host.bad() == []
    newest.unlink()
    assert [entry[0] for entry in host.bad()] == ["backup-newest"]
    for path in newest.parent.iterdir():
        path.unlink()
    assert host.bad() == [
        ("backup-newest", "FAIL", "coinpilot_redis_20261122T233000Z was taken and is not there any more")]


def test_what_was_due_and_is_not_there(host: Host) -> None:
    assert host.bad() == [
        ("backup-newest", "FAIL", "there is no good one, and one was due at 2026-11-23 03:15"),
        ("backup-rehearsal", "WARN", "never, and one was due at 2026-11-22 04:35"),
    ]


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[5000] ^= 1
    path.write_bytes(bytes(content))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def sidecar(path: Path) -> Path:
    return Path(str(path) + backup_store.SIDECAR)


def manifest(path: Path) -> Path:
    return path.parent / (path.name.split(".")[0] + backup_store.MANIFEST)


OLDER = "2026-11-22 03:15 (29 hours ago), and one was due at 2026-11-23 03:15"


@pytest.mark.parametrize("limit", [DEFAULTS["bytes"], 0])
@pytest.mark.parametrize(("damage", "rule", "words"), [
    (cut, "backup-file", "truncated"),
    (empty, "backup-file", "empty"),
    (lambda path: sidecar(path).unlink(), "backup-sidecar", "missing"),
    (lambda path: empty(sidecar(path)), "backup-sidecar", "empty"),
    (lambda path: sidecar(path).write_text("0" * 64 + "  %s\n" % path.name, encoding="utf-8"), "backup-sidecar",
     "altered"),
    (lambda path: manifest(path).unlink(), "backup-manifest", "missing"),
    (lambda path: manifest(path).write_text("{", encoding="utf-8"), "backup-manifest", "damaged"),
])
def test_a_broken_newest_backup(host: Host, limit: int, damage: Callable[[Path], Any], rule: str, words: str) -> None:
    """Told whether or not its bytes are read; and then it is not the one that was due."""
    newest = host.add_nights(7)
    host.rehearse(at(2026, 11, 22, 4, 35))
    damage(newest)
    bad = [entry for entry in host.bad(bytes=limit) if entry[0] != "backup-size"]
    assert (rule, "FAIL") in {entry[:2] for entry in bad}
    assert {entry[0] for entry in bad} == {rule} | ({"backup-newest"} if rule != "backup-sidecar" else set())
    assert any(words in entry[2] for entry in bad)
    assert rule == "backup-sidecar" or bad[0][2] == OLDER


def test_one_that_others_may_read_is_still_a_backup(host: Host) -> None:
    host.add_nights(7).chmod(0o644)
    host.rehearse(at(2026, 11, 22, 4, 35))
    assert [entry[:2] for entry in host.bad()] == [("backup-mode", "FAIL")]


def test_a_flipped_bit_takes_reading(host: Host) -> None:
    flip(host.add_nights(7))
    host.rehearse(at(2026, 11, 22, 4, 35))
    assert [entry[0] for entry in host.bad()] == ["backup-newest", "backup-file"]
    assert host.bad(bytes=0) == []
    seen = next(finding.seen.en for finding in host.read(bytes=0) if finding.id == "backup-bytes")
    assert "10.0 KiB not read here" in seen


def test_the_main_file_is_gone(host: Host) -> None:
    host.add_nights(7).unlink()
    host.rehearse(at(2026, 11, 22, 4, 35))
    assert [entry[0] for entry in host.bad()] == ["backup-newest"]


def test_much_smaller_than_those_before(host: Host) -> None:
    host.add_nights(6, LAST_NIGHT - DAY)
    host.add(LAST_NIGHT, size=1000)
    host.rehearse(at(2026, 11, 22, 4, 35))
    assert ("backup-size", "FAIL") in {entry[:2] for entry in host.bad()}


def test_one_of_the_scripts_of_before(host: Host) -> None:
    """Is read whatever its size, and is none of ours."""
    path = host.root / "backups/redis/daily"
    path.mkdir(parents=True)
    name = "coinpilot_redis_20261123_031500.tar.gz"
    (path / name).write_bytes(BODY)
    (path / (name + ".sha256")).write_text("%s  %s\n" % (hashlib.sha256(BODY).hexdigest(), name), encoding="utf-8")
    host.rehearse(at(2026, 11, 22, 4, 35))
    assert [entry[0] for entry in host.bad(bytes=0)] == ["backup-newest"]


@pytest.mark.parametrize("checkpoint", ["daily", "t24h"])
def test_a_backup_dated_ahead_is_none(host: Host, checkpoint: str) -> None:
    """It was taken while the clock was a month ahead; the nights since then are looked at as ever."""
    host.rehearse(at(2026, 11, 22, 4, 35))
    host.add(NOW + 30 * DAY)
    ahead = ("backup-date", "WARN", "dated 30 days ahead of this host's clock")
    armed = NOW - DAY
    assert host.bad(checkpoint, armed) == [
        ("backup-newest", "FAIL", "there is no good one, and one was due at 2026-11-23 03:15"), ahead]
    newest = host.add_nights(7)
    assert host.bad(checkpoint, armed) == [ahead]
    flip(newest)
    assert [entry[:2] for entry in host.bad(checkpoint, armed)] == [
        ("backup-newest", "FAIL"), ahead[:2], ("backup-file", "FAIL")]


def test_two_clocks_that_differ_a_little(host: Host) -> None:
    host.add_nights(7)
    host.add(NOW + 119)
    host.rehearse(NOW + 119)
    assert host.bad() == []


def test_a_rehearsal_and_a_copy_dated_ahead_say_nothing(host: Host) -> None:
    host.add_nights(7)
    host.rehearse(NOW + 30 * DAY)
    host.description["backup"]["offsite"] = {"schedule": "15 4 * * *", "check_schedule": "45 4 * * 0"}
    (host.root / "state/backup/offsite.json").write_text(
        json.dumps({job: {"at": NOW + 30 * DAY, "ok": True} for job in ("copy", "check")}), encoding="utf-8")
    assert [entry[:2] for entry in host.bad()] == [
        ("backup-rehearsal", "UNKNOWN"), ("backup-copy", "UNKNOWN"), ("backup-copy", "UNKNOWN")]
    found = host.read()[-1]
    assert (found.seen.en, found.fix.en) == (
        "dated in the future (2026-12-23 09:00)",
        "check the clock: timedatectl; when it is right, run it again: sudo coinpilot-ops offsite check")


@pytest.mark.parametrize(("taken", "armed", "status", "words"), [
    (LAST_NIGHT, at(2026, 11, 22, 9, 0), "PASS", ""),
    # By hand, soon after the deploy: that one, or the night's.
    (LAST_NIGHT, LAST_NIGHT - 60, "PASS", ""),
    (at(2026, 11, 22, 3, 15), at(2026, 11, 22, 9, 0), "FAIL", "from before the deploy of 2026-11-22 09:00"),
    (LAST_NIGHT, at(2026, 11, 23, 4, 0), "WARN", "from before the deploy of 2026-11-23 04:00; due at 2026-11-24"),
])
def test_a_day_after_a_deploy(host: Host, taken: float, armed: float, status: str, words: str) -> None:
    """A backup from before it does not pass."""
    host.add(taken)
    newest = host.read("t24h", armed)[0]
    assert (newest.id, newest.status) == ("backup-newest", status)
    assert words in newest.seen.en
    # On any other day it may.
    assert host.read("daily", at(2026, 11, 23, 4, 0))[0].status == ("PASS" if taken == LAST_NIGHT else "FAIL")


@pytest.mark.parametrize(("moment", "ok", "status", "words"), [
    (at(2026, 11, 22, 4, 35), True, "PASS", "a_backup restored at 2026-11-22 04:35"),
    (at(2026, 11, 15, 4, 35), True, "WARN", "last at 2026-11-15 04:35, and one was due at 2026-11-22 04:35"),
    (at(2026, 11, 22, 4, 35), False, "FAIL", "failed at 2026-11-22 04:35: as it was"),
    (at(2026, 11, 22, 4, 35), None, "WARN", "could not be tried at 2026-11-22 04:35: as it was"),
])
def test_rehearsals(host: Host, moment: float, ok: bool | None, status: str, words: str) -> None:
    host.add_nights(7)
    host.rehearse(moment, ok)
    found = next(finding for finding in host.read() if finding.id == "backup-rehearsal")
    assert (found.status, found.seen.en) == (status, words)


def test_a_damaged_state(host: Host) -> None:
    host.add_nights(7)
    (host.root / "state/backup/redis.json").write_text("{", encoding="utf-8")
    assert {entry[:2] for entry in host.bad()} == {("backup-state", "WARN"), ("backup-rehearsal", "WARN")}


@pytest.mark.parametrize(("state", "statuses"), [
    ({"copy": {"at": LAST_NIGHT + 7200, "ok": True}, "check": {"at": LAST_NIGHT - 3600 * 22, "ok": True}},
     ["PASS", "PASS"]),
    ({"copy": {"at": LAST_NIGHT + 7200, "ok": False, "text": {"en": "no answer\nat all", "ko": "응답 없음"}}},
     ["FAIL", "FAIL"]),
    ({"copy": {"at": LAST_NIGHT - 2 * DAY, "ok": True}}, ["FAIL", "FAIL"]),
    ({"copy": {"at": "yesterday", "ok": True, "text": 5}}, ["FAIL", "FAIL"]),
    ({"copy": 5, "check": []}, ["FAIL", "FAIL"]),
    ([], ["FAIL", "FAIL"]),
])
def test_the_copy_elsewhere(host: Host, state: Any, statuses: list[str]) -> None:
    host.description["backup"]["offsite"] = {"schedule": "15 4 * * *", "check_schedule": "45 4 * * 0"}
    (host.root / "state/backup/offsite.json").write_text(json.dumps(state), encoding="utf-8")
    assert [finding.status for finding in host.read() if finding.id == "backup-copy"] == statuses


def test_the_state_of_the_copy_cannot_be_read(host: Host) -> None:
    host.description["backup"]["offsite"] = {"schedule": "15 4 * * *", "check_schedule": "45 4 * * 0"}
    (host.root / "state/backup/offsite.json").mkdir()
    assert [finding.status for finding in host.read() if finding.id == "backup-copy"] == ["UNKNOWN"]


def test_growth(host: Host) -> None:
    for night in range(14):
        host.add(LAST_NIGHT - night * DAY, size=9000 if night < 7 else 4000)
    host.rehearse(at(2026, 11, 22, 4, 35))
    assert host.bad() == [("backup-trend", "WARN", "+125 % against the week before")]


def test_a_missing_night(host: Host) -> None:
    for night in (0, 1, 3, 4, 5, 6):
        host.add(LAST_NIGHT - night * DAY)
    host.rehearse(at(2026, 11, 22, 4, 35))
    assert host.bad() == [("backup-trend", "WARN", "6 of 7 days: none on 2026-11-21")]


def test_directories_that_cannot_be_read(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(backup_store, "listing", refuse)
    assert [entry[:2] for entry in host.bad()] == [("backup-newest", "UNKNOWN"), ("backup-rehearsal", "WARN")]


@pytest.mark.parametrize("schedule", ["", "nonsense", "61 3 * * *", "0 0 31 2 *"])
def test_a_schedule_that_never_comes(host: Host, schedule: str) -> None:
    target = Target([Copy("a", "daily", LAST_NIGHT, 1, True)], [], True, {}, [])
    host.description["backup"]["targets"]["redis"]["schedule"] = schedule
    found = backup_readiness.judge(World({"redis": target}, {}, LONG_AGO, SEOUL), host.description, NOW, DEFAULTS)
    assert {finding.status for finding in found if finding.id in ("backup-newest", "backup-trend")} == {"UNKNOWN"}


def test_texts() -> None:
    """What is wrong comes with what to do; and whoever shows a title sets a colon of their own."""
    for rule in {**cron_state.RULES, **backup_readiness.RULES}.values():
        assert not any(title.endswith(":") for title in rule.title)
        assert all(case.status == "PASS" or all(case.fix) for case in rule.cases.values())
