"""The verification of backups, on real files."""

from __future__ import annotations

import calendar
import errno
import hashlib
import json
import os
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils import (
    backup_checksum,
    backup_checksum_messages,
    backup_reading,
    backup_store,
)
from ansible_collections.coinpilot.ops.plugins.module_utils.backup_errors import BackupError
from ansible_collections.coinpilot.ops.plugins.module_utils.findings import FAIL, PASS, UNKNOWN, WARN, Text, worst

NOW = calendar.timegm((2026, 11, 23, 12, 0, 0))
DAY = 86400
BODY = bytes(range(256)) * 40
CHECKOUT = Path(__file__).resolve().parents[2]


class Backups:
    """A backup root in a temporary directory, with backups as they are made."""

    def __init__(self, root: Path):
        self.root = root
        root.mkdir(mode=0o700)

    def directory(self, target: str = "postgres", kind: str = "daily") -> Path:
        path = self.root / target / kind
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path

    def add(self, days_ago: float = 1, target: str = "postgres", kind: str = "daily", size: int = len(BODY),
            suffixes: tuple[str, ...] = (".dump.zst",), **manifest: Any) -> Path:
        """A backup of ours; its main data file. ``manifest`` changes what its manifest says."""
        where = self.directory(target, kind)
        name = backup_store.name("coinpilot", target, NOW - days_ago * DAY)
        written = []
        for suffix in suffixes:
            content = (suffix.encode() + name.encode() + BODY * (size // len(BODY) + 1))[:size]
            write(where / (name + suffix), content, NOW - days_ago * DAY)
            digest = hashlib.sha256(content).hexdigest()
            write(where / f"{name}{suffix}.sha256", f"{digest}  {name}{suffix}\n".encode())
            written.append({"name": name + suffix, "size": size, "sha256": digest, "raw_size": size})
        text = {"format": 1, "stack": "coinpilot", "target": target, "name": name, "files": written, "counts": {},
                "versions": {}, "details": {}, "identity": {}, "suspect": [], "accepted": False, **manifest}
        write(where / f"{name}.json", json.dumps(text).encode())
        return where / (name + suffixes[0])

    def add_old(self, name: str, target: str = "postgres", kind: str = "daily", content: bytes = BODY) -> Path:
        """One as the shell scripts of before made it: an absolute path in its sidecar, and no manifest."""
        path = self.directory(target, kind) / name
        write(path, content)
        sidecar = f"{hashlib.sha256(content).hexdigest()}  /var/backups/coinpilot/{target}/{kind}/{name}\n"
        write(Path(f"{path}.sha256"), sidecar.encode())
        return path

    def verify(self, **options: Any) -> backup_checksum.Result:
        options = {"now": NOW, **options}
        return backup_checksum.judge(backup_checksum.gather(str(self.root), "coinpilot", **options))

    def problems(self, **options: Any) -> dict[str, tuple[str, str]]:
        """File's name -> (problem, status), of those that have one."""
        return {os.path.basename(entry["path"]): (entry["problem"], entry["status"])
                for entry in self.verify(**options).entries if entry["problem"]}


def write(path: Path, content: bytes, mtime: float = NOW - DAY) -> None:
    path.write_bytes(content)
    path.chmod(0o600)
    os.utime(path, (mtime, mtime))


def sidecar(path: Path) -> Path:
    return Path(f"{path}.sha256")


def manifest(path: Path) -> Path:
    return path.parent / (path.name.split(".")[0] + ".json")


def flip(path: Path, offset: int, bit: int = 1) -> None:
    content = bytearray(path.read_bytes())
    content[offset] ^= bit
    write(path, bytes(content))


@pytest.fixture
def backups(tmp_path: Path) -> Backups:
    return Backups(tmp_path / "coinpilot")


def test_good_backups(backups: Backups) -> None:
    path = backups.add(suffixes=(".dump.zst", ".globals.sql.zst"))
    backups.add_old("coinpilot_20260301_030501.sql.gz")
    backups.add_old("coinpilot_weekly_20260301_030501.sql.gz", kind="weekly")
    backups.add_old("coinpilot_redis_20260301_031501.tar.gz", target="redis")
    backups.add_old("coinpilot_n8n_weekly_20260301_032501.tar.gz", target="n8n", kind="weekly")
    backups.add(target="redis", kind="safety", suffixes=(".tar.zst",))
    result = backups.verify()
    assert {entry["status"] for entry in result.entries} == {PASS}
    assert worst(result.findings) == PASS
    assert [finding.subject for finding in result.findings] == ["n8n", "postgres", "redis"]
    assert (result.totals["files"], result.totals["bytes"]) == (7, 7 * len(BODY))
    entry = next(entry for entry in result.entries if entry["path"] == str(path))
    assert entry == {
        "path": str(path), "target": "postgres", "kind": "daily", "backup": path.name.split(".")[0],
        "taken_at": float(NOW - DAY), "size": len(BODY), "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "status": PASS, "problem": "",
    }


@pytest.mark.parametrize("offset", [0, len(BODY) // 2, len(BODY) - 1])
def test_one_bit_of_a_file(backups: Backups, offset: int) -> None:
    path, old = backups.add(), backups.add_old("coinpilot_20260301_030501.sql.gz")
    flip(path, offset)
    flip(old, offset, 0x80)
    assert backups.problems() == {path.name: ("altered", FAIL), old.name: ("altered", FAIL)}


@pytest.mark.parametrize(("offset", "problem"), [
    (0, "altered-sidecar"), (63, "altered-sidecar"),  # another digit
    (64, "malformed-sidecar"),  # no blank any more
    (70, "other-sidecar"),  # another name
])
def test_one_bit_of_a_sidecar(backups: Backups, offset: int, problem: str) -> None:
    path = backups.add()
    if offset < 64:
        digits = sidecar(path).read_bytes()
        other = b"0" if digits[offset:offset + 1] != b"0" else b"1"
        write(sidecar(path), digits[:offset] + other + digits[offset + 1:])
    else:
        flip(sidecar(path), offset)
    assert backups.problems() == {path.name: (problem, FAIL)}


def test_every_bit_of_a_sidecar_but_case(backups: Backups) -> None:
    path = backups.add(size=100)
    content = sidecar(path).read_bytes()
    missed = []
    for index in range(len(content)):
        for bit in range(8):
            write(sidecar(path), content)
            flip(sidecar(path), index, 1 << bit)
            changed = sidecar(path).read_bytes()
            same = changed.lower() == content.lower() and index < 64  # a digit in the other case means the same
            # `sha256sum` writes its second blank as a star for binary mode; and the line's end may be missing.
            if not same and path.name not in backups.problems() and changed[65:66] != b"*":
                missed.append((index, bit))
    assert missed == []


def test_a_flipped_bit_in_a_manifest(backups: Backups) -> None:
    path = backups.add()
    text = json.loads(manifest(path).read_text())
    text["files"][0]["sha256"] = "0" * 64
    write(manifest(path), json.dumps(text).encode())
    assert backups.problems() == {path.name: ("altered-manifest", FAIL)}
    text["files"][0].update(sha256=hashlib.sha256(path.read_bytes()).hexdigest(), size=5)
    write(manifest(path), json.dumps(text).encode())
    assert backups.problems() == {path.name: ("altered-manifest", FAIL)}


def test_sizes_other_than_written(backups: Backups) -> None:
    cut, longer, empty = (backups.add(days) for days in (1, 2, 3))
    old_cut = backups.add_old("coinpilot_20260301_030501.sql.gz")
    old_empty = backups.add_old("coinpilot_20260302_030501.sql.gz", content=b"")
    write(cut, cut.read_bytes()[:-1])
    write(longer, longer.read_bytes() + b"\0")
    write(empty, b"")
    write(old_cut, BODY[:-10])
    assert backups.problems() == {
        cut.name: ("truncated", FAIL), longer.name: ("longer", FAIL), empty.name: ("empty", FAIL),
        old_cut.name: ("altered", FAIL), old_empty.name: ("empty", FAIL),
    }


def test_what_is_missing(backups: Backups) -> None:
    gone = backups.add(1)
    second_gone = backups.add(2, suffixes=(".dump.zst", ".globals.sql.zst"))
    bare, alone, old_bare = backups.add(3), backups.add(4), backups.add_old("coinpilot_20260301_030501.sql.gz")
    orphan = backups.add_old("coinpilot_20260302_030501.sql.gz")
    gone.unlink()
    globals_file = second_gone.with_name(second_gone.name.replace(".dump.zst", ".globals.sql.zst"))
    globals_file.unlink()
    sidecar(globals_file).unlink()
    sidecar(bare).unlink()
    manifest(alone).unlink()
    sidecar(old_bare).unlink()
    orphan.unlink()
    assert backups.problems() == {
        gone.name: ("missing", FAIL), globals_file.name: ("missing", FAIL), bare.name: ("no-sidecar", FAIL),
        manifest(alone).name: ("no-manifest", FAIL), old_bare.name: ("no-sidecar", FAIL),
        orphan.name: ("orphaned-sidecar", FAIL),
    }
    fixes = {finding.subject: finding.fix.en for finding in backups.verify().findings if "sidecar" in finding.id}
    assert "proves the file" in fixes[f"postgres/daily/{bare.name}"]
    assert "Nothing proves" in fixes[f"postgres/daily/{old_bare.name}"]


@pytest.mark.parametrize(("content", "problem"), [
    (b"", "empty-sidecar"),
    (b"\n", "malformed-sidecar"),
    (b"\xff\xfe garbage", "malformed-sidecar"),
    (b"0123456789abcdef  {name}\n", "malformed-sidecar"),
    (b"{hash}\n", "malformed-sidecar"),
    (b"{hash}  other.dump.zst\n", "other-sidecar"),
    (b"{hash}  {name}.more\n", "other-sidecar"),
    (b"{zero}  {name}\n{hash}  {name}\n", "malformed-sidecar"),
    (b"{zero}  {name}\n", "altered-sidecar"),
    (b"{hash}  {name}\n", ""),
    (b"{HASH}  {name}\n", ""),
    (b"{hash} *{name}\n", ""),
    (b"{hash}  {name}", ""),
    (b"{hash}  /srv/elsewhere/{name}\n", ""),
    (b"{hash}  ./{name}\n", ""),
    (b"{zero}  other.dump.zst\n{hash}  {name}\n", ""),
])
def test_sidecars(backups: Backups, content: bytes, problem: str) -> None:
    path = backups.add()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    for placeholder, value in ((b"{hash}", digest), (b"{HASH}", digest.upper()), (b"{name}", path.name),
                               (b"{zero}", "0" * 64)):
        content = content.replace(placeholder, value.encode())
    write(sidecar(path), content)
    assert backups.problems() == ({path.name: (problem, FAIL)} if problem else {})


@pytest.mark.parametrize("name", ["끝난 백업 (복사본).dump", "two\nlines.sql", "back\\slash.sql", "carriage\rreturn",
                                  "{braces} 'quotes' \"more\" $HOME", os.fsdecode(b"no-utf8-\xff\xfe.tar")])
def test_names_as_sha256sum_writes_them(backups: Backups, name: str) -> None:
    where = backups.directory()
    write(where / name, BODY)
    line = subprocess.run(["sha256sum", "--", name], cwd=where, check=True, capture_output=True).stdout
    write(where / f"{name}.sha256", line)
    result = backups.verify()
    assert [(entry["status"], entry["problem"]) for entry in result.entries] == [(PASS, "")]
    flip(where / name, 7)
    result = backups.verify()
    assert [entry["problem"] for entry in result.entries] == ["altered"]
    assert all("\n" not in finding.line(lang) for finding in result.findings for lang in ("en", "ko"))
    json.dumps(result.entries, ensure_ascii=False).encode()


@pytest.mark.parametrize(("content", "problem"), [
    ("", "broken-manifest"),
    ("{\"format\": 1, \"na", "broken-manifest"),
    ("\0\0\0\0", "broken-manifest"),
    ("[]", "foreign-manifest"),
    ("{}", "foreign-manifest"),
    ("{\"format\": 2}", "foreign-manifest"),
])
def test_manifests_that_are_damaged(backups: Backups, content: str, problem: str) -> None:
    path = backups.add()
    write(manifest(path), content.encode())
    assert backups.problems() == {manifest(path).name: (problem, FAIL)}


@pytest.mark.parametrize("change", [{"name": "coinpilot_postgres_20200101T000000Z"}, {"stack": "other"},
                                    {"target": "redis"}, {"format": 2}])
def test_manifests_of_another(backups: Backups, change: dict[str, Any]) -> None:
    path = backups.add()
    write(manifest(path), json.dumps({**json.loads(manifest(path).read_text()), **change}).encode())
    assert backups.problems() == {manifest(path).name: ("foreign-manifest", FAIL)}


def test_a_suspect_backup(backups: Backups) -> None:
    path = backups.add(suspect=["identity", "size"])
    assert backups.problems() == {manifest(path).name: ("suspect", WARN)}


def test_a_file_that_the_manifest_does_not_name(backups: Backups) -> None:
    path = backups.add(suffixes=(".dump.zst", ".globals.sql.zst"))
    text = json.loads(manifest(path).read_text())
    del text["files"][1]
    write(manifest(path), json.dumps(text).encode())
    assert list(backups.problems().values()) == [("unlisted", WARN)]


def test_what_a_run_leaves_that_was_cut_off(backups: Backups) -> None:
    """At each step of `publish`: never a failure, and never a good backup before the last."""
    where = backups.directory()
    name = "coinpilot_postgres_20261122T180500Z"
    parts = [f"{name}.dump.zst", f"{name}.globals.sql.zst"]
    for part in parts:
        write(where / f".{part}.partial", BODY)
    partials = {f".{part}.partial": ("unfinished", WARN) for part in parts}
    assert backups.problems() == partials
    write(where / f".{parts[0]}.sha256-x8dj3.new", b"half")
    assert backups.problems() == {**partials, f".{parts[0]}.sha256-x8dj3.new": ("unfinished", WARN)}
    (where / f".{parts[0]}.sha256-x8dj3.new").unlink()
    for part in parts:
        write(where / f"{part}.sha256", f"{hashlib.sha256(BODY).hexdigest()}  {part}\n".encode())
    assert backups.problems() == partials
    (where / f".{parts[1]}.partial").rename(where / parts[1])
    result = backups.verify()
    assert [entry["problem"] for entry in result.entries] == ["unfinished"]
    assert worst(result.findings) == WARN


def test_links_and_special_files(backups: Backups, tmp_path: Path) -> None:
    where = backups.directory()
    backups.add()
    write(tmp_path / "elsewhere", BODY)
    (where / "coinpilot_20260301_030501.sql.gz").symlink_to(tmp_path / "elsewhere")
    (where / "dangling").symlink_to("nothing")
    os.mkfifo(where / "coinpilot_20260302_030501.sql.gz")  # would block whoever opens it
    (where / "coinpilot_20260303_030501.sql.gz").mkdir()
    (where / "a-directory").mkdir()
    backups.add_old("coinpilot_20260304_030501.sql.gz")
    sidecar(where / "coinpilot_20260304_030501.sql.gz").unlink()
    sidecar(where / "coinpilot_20260304_030501.sql.gz").symlink_to(tmp_path / "elsewhere")
    assert backups.problems() == {
        "coinpilot_20260301_030501.sql.gz": ("symlink", FAIL), "dangling": ("symlink", FAIL),
        "coinpilot_20260302_030501.sql.gz": ("special", FAIL), "coinpilot_20260303_030501.sql.gz": ("special", FAIL),
        "a-directory": ("unknown", WARN), "coinpilot_20260304_030501.sql.gz": ("no-sidecar", FAIL),
        "coinpilot_20260304_030501.sql.gz.sha256": ("symlink", FAIL),
    }


def test_directories_that_are_links(backups: Backups, tmp_path: Path) -> None:
    backups.add()
    (tmp_path / "weekly").mkdir()
    (backups.root / "postgres" / "weekly").symlink_to(tmp_path / "weekly")
    (backups.root / "redis").symlink_to(tmp_path)
    assert backups.problems() == {"weekly": ("symlink", FAIL), "redis": ("symlink", FAIL)}


def test_a_root_that_is_a_link_is_followed(backups: Backups, tmp_path: Path) -> None:
    backups.add()
    (tmp_path / "link").symlink_to(backups.root)
    result = backups_of(tmp_path / "link")
    assert worst(result.findings) == PASS


def backups_of(root: Path) -> backup_checksum.Result:
    return backup_checksum.judge(backup_checksum.gather(str(root), "coinpilot", now=NOW))


@pytest.mark.parametrize("damage", [
    Path.unlink, lambda path: write(path, b"0" * 64 + b"  other\n"),
    lambda path: write(path, f"{'0' * 64}  {path.stem}\n".encode()),
])
def test_the_advice_for_a_sidecar_can_be_typed(tmp_path: Path, damage: Callable[[Path], Any]) -> None:
    """From anywhere: into the directories of backups goes root alone."""
    backups = Backups(tmp_path / "with a blank")
    lost = sidecar(backups.add())
    damage(lost)
    advice = next(finding for finding in backups.verify().findings if finding.id == "backup-sidecar").fix
    for text in advice:
        before, sudo, command = text.partition("sudo ")
        assert before.endswith(": ") and sudo
        subprocess.run(command, shell=True, check=True, cwd="/")
        assert backups.problems() == {} and stat.S_IMODE(lost.stat().st_mode) == 0o600


def test_files_of_nobody(backups: Backups) -> None:
    where = backups.directory()
    backups.add()
    write(where / "notes.txt", b"remember")
    write(where.parent / "loose.sql", BODY)
    write(where / "coinpilot_postgres_20261399T999999Z.dump.zst", BODY)  # no such date
    write(backups.root / "README", b"left alone")
    assert backups.problems() == {
        "notes.txt": ("unknown", WARN), "loose.sql": ("unknown", WARN),
        "coinpilot_postgres_20261399T999999Z.dump.zst": ("unknown", WARN),
    }


def test_backups_of_another_target_or_stack(backups: Backups) -> None:
    path = backups.add(target="redis", suffixes=(".tar.zst",))
    where = backups.directory("postgres")
    for file in (path, sidecar(path), manifest(path)):
        os.link(file, where / file.name)
    other = backups.add_old("other_20260301_030501.sql.gz")
    assert backups.problems() == {path.name: ("foreign", WARN), manifest(path).name: ("foreign", WARN),
                                  other.name: ("foreign", WARN)}


def test_a_weekly_link_is_read_once(backups: Backups) -> None:
    path = backups.add()
    weekly = backups.directory(kind="weekly")
    for file in (path, sidecar(path), manifest(path)):
        os.link(file, weekly / file.name)
    result = backups.verify()
    assert [entry["kind"] for entry in result.entries] == ["daily", "weekly"]
    assert {entry["sha256"] for entry in result.entries} == {hashlib.sha256(path.read_bytes()).hexdigest()}
    assert (result.totals["files"], result.totals["bytes"]) == (1, len(BODY))
    with path.open("r+b") as stream:
        stream.write(b"X")
    assert [entry["problem"] for entry in backups.verify().entries] == ["altered", "altered"]


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o644, 0o660])
def test_modes(backups: Backups, mode: int) -> None:
    path, old = backups.add(), backups.add_old("coinpilot_20260301_030501.sql.gz")
    path.chmod(mode)
    old.chmod(mode)
    # The old ones are as the mask had it; nobody gets to them.
    assert backups.problems() == {path.name: ("open", FAIL)}
    for directory in (backups.root, path.parent.parent, path.parent):
        directory.chmod(0o755)
    assert backups.problems() == {path.name: ("open", FAIL), old.name: ("open", FAIL)}


def test_dates_ahead_of_the_clock(backups: Backups) -> None:
    by_name, by_time = backups.add(-1), backups.add(2)
    os.utime(by_time, (NOW + 3600, NOW + 3600))
    near = backups.add(-500 / DAY)
    assert backups.problems() == {by_name.name: ("future", WARN), by_time.name: ("future", WARN)}
    assert near.name not in backups.problems(now=NOW - 50)
    assert near.name in backups.problems(now=NOW - 150)


class TestSizeAgainstHistory:
    def test_less_than_half(self, backups: Backups) -> None:
        for days in range(2, 9):
            backups.add(days, size=1000)
        small = backups.add(1, size=499)
        assert backups.problems() == {small.name: ("too-small", FAIL)}

    @pytest.mark.parametrize(("before", "size"), [(7, 500), (7, 100000), (3, 500), (2, 1), (0, 1)])
    def test_enough_or_no_history(self, backups: Backups, before: int, size: int) -> None:
        for days in range(2, 2 + before):
            backups.add(days, size=1000)
        backups.add(1, size=size)
        assert backups.problems() == {}

    def test_three_are_a_history_and_small_ones_are_none(self, backups: Backups) -> None:
        for days in (11, 10, 9):
            backups.add(days, size=1000)
        small = [backups.add(days, size=400) for days in range(1, 9)]
        # A week of failures does not become what is usual.
        assert backups.problems() == {path.name: ("too-small", FAIL) for path in small}

    def test_what_was_accepted_starts_anew(self, backups: Backups) -> None:
        for days in (11, 10, 9):
            backups.add(days, size=1000)
        backups.add(5, size=300)
        backups.add(4, size=300, accepted=True)
        backups.add(3, size=320)
        assert backups.problems() == {}
        backups.add(2, size=310)
        small = backups.add(1, size=100)
        assert backups.problems() == {small.name: ("too-small", FAIL)}

    def test_each_sort_of_file_has_its_own(self, backups: Backups) -> None:
        for days in range(2, 7):
            backups.add(days, size=10000)
            backups.add_old(f"coinpilot_2026030{days}_030501.sql.gz", content=BODY * 10)
        backups.add(1, size=9000, suffixes=(".dump.zst", ".globals.sql.zst"))
        backups.add(1, target="redis", size=10, suffixes=(".tar.zst",))
        assert backups.problems() == {}
        small = backups.add_old("coinpilot_20260308_030501.sql.gz")
        assert backups.problems() == {small.name: ("too-small", FAIL)}

    def test_bad_and_suspect_ones_and_second_names_do_not_count(self, backups: Backups) -> None:
        for days in (9, 8, 7):
            flip(backups.add(days, size=5000), 0)
            backups.add(days - 0.5, size=5000, suspect=["identity"])
        twice = backups.add(5, size=5000)
        for kind in ("weekly", "safety"):
            for file in (twice, sidecar(twice), manifest(twice)):
                os.link(file, backups.directory(kind=kind) / file.name)
        last = backups.add(1, size=100)
        assert last.name not in backups.problems()


class TestUnreadable:
    """What cannot be read is UNKNOWN. The superuser may read everything, so these become nobody."""

    @pytest.fixture
    def shared(self) -> Iterator[Backups]:
        with tempfile.TemporaryDirectory() as directory:
            os.chmod(directory, 0o755)
            backups = Backups(Path(directory) / "coinpilot")
            backups.root.chmod(0o755)
            yield backups

    @pytest.fixture
    def as_nobody(self) -> Iterator[None]:
        if os.geteuid():
            yield
            return
        os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(0)

    @pytest.fixture
    def files(self, shared: Backups) -> tuple[Path, Path, Path]:
        paths = shared.add(1), shared.add(2), shared.add(3)
        for directory in (shared.root / "postgres", shared.root / "postgres" / "daily"):
            directory.chmod(0o755)
        for path in (shared.root / "postgres" / "daily").iterdir():
            path.chmod(0o644)
        paths[0].chmod(0o000)
        sidecar(paths[1]).chmod(0o000)
        manifest(paths[2]).chmod(0o000)
        return paths

    def test_files(self, shared: Backups, files: tuple[Path, Path, Path], as_nobody: None) -> None:
        result = shared.verify()
        unread = {finding.subject: (finding.id, finding.seen.en) for finding in result.findings
                  if finding.status == UNKNOWN}
        error = f"could not be read: {os.strerror(errno.EACCES)}"
        assert unread == {
            f"postgres/daily/{files[0].name}": ("backup-file", error),
            f"postgres/daily/{files[1].name}": ("backup-sidecar", error),
            f"postgres/daily/{manifest(files[2]).name}": ("backup-manifest", error),
        }
        assert {entry["problem"]: entry["status"] for entry in result.entries if entry["status"] == UNKNOWN} == {
            "unreadable": UNKNOWN}

    @pytest.fixture
    def closed(self, shared: Backups) -> tuple[Path, ...]:
        shared.add(target="redis", suffixes=(".tar.zst",))
        shared.add(target="n8n", suffixes=(".tar.zst",))
        closed = (shared.root / "redis", shared.root / "n8n" / "daily")
        shared.root.joinpath("n8n").chmod(0o755)
        for path in closed:
            path.chmod(0o000)
        return closed

    def test_directories(self, shared: Backups, closed: tuple[Path, ...], as_nobody: None) -> None:
        assert {entry["path"]: entry["status"] for entry in shared.verify().entries} == {
            str(path): UNKNOWN for path in closed}

    def test_the_root(self, shared: Backups, closed: tuple[Path, ...], request: pytest.FixtureRequest) -> None:
        shared.root.chmod(0o000)
        request.getfixturevalue("as_nobody")
        result = shared.verify()
        assert [(finding.id, finding.status) for finding in result.findings] == [("backup-root", UNKNOWN)]
        assert worst(result.findings) == UNKNOWN

    def test_an_error_of_the_disk(self) -> None:
        # The kernel's own file that opens and answers every read at its begin with EIO.
        job = backup_reading._Job("/proc/self/mem", 10, (0, 0), None)
        [answer] = backup_reading._Reading([job]).run(None)
        assert (answer.error, answer.sha256) == (os.strerror(errno.EIO), "")

    def test_a_file_that_is_gone_or_became_a_link(self, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to("/etc/passwd")
        jobs = [backup_reading._Job(str(tmp_path / name), 10, (0, 0), limit)
                for name in ("gone", "link") for limit in (None, 100)]
        answers = backup_reading._Reading(jobs).run(None)
        assert [answer.error for answer in answers] == [os.strerror(errno.ENOENT)] * 2 + [os.strerror(errno.ELOOP)] * 2


class TestWhatWasAskedFor:
    def test_targets(self, backups: Backups) -> None:
        flip(backups.add(), 1)
        backups.add(target="redis", suffixes=(".tar.zst",))
        assert [entry["target"] for entry in backups.verify(targets=["redis"]).entries] == ["redis"]
        assert worst(backups.verify(targets=["redis"]).findings) == PASS

    def test_a_target_with_no_backup_yet(self, backups: Backups) -> None:
        backups.directory("redis")
        result = backups.verify(expected=["redis", "grafana"])
        assert [(finding.subject, finding.status) for finding in result.findings] == [("grafana", WARN),
                                                                                      ("redis", WARN)]

    @pytest.mark.parametrize("wanted", ["file", "backup"])
    def test_one(self, backups: Backups, wanted: str) -> None:
        path, bad = backups.add(1, suffixes=(".dump.zst", ".globals.sql.zst")), backups.add(2)
        backups.add(1, target="redis", suffixes=(".tar.zst",))
        flip(bad, 3)
        sidecar(bad).unlink()
        name = path.name if wanted == "file" else path.name.split(".")[0]
        result = backups.verify(name=name)
        assert {entry["backup"] for entry in result.entries} == {path.name.split(".")[0]}
        assert len(result.entries) == result.totals["files"] == (1 if wanted == "file" else 2)
        assert worst(result.findings) == PASS
        assert backups.problems(name=bad.name) == {bad.name: ("no-sidecar", FAIL)}

    def test_the_manifest_of_one_file(self, backups: Backups) -> None:
        path = backups.add()
        write(manifest(path), b"{")
        assert backups.problems(name=path.name) == {manifest(path).name: ("broken-manifest", FAIL)}

    def test_history_of_one_file(self, backups: Backups) -> None:
        for days in range(2, 6):
            backups.add(days, size=1000)
        small = backups.add(1, size=10)
        assert backups.problems(name=small.name) == {small.name: ("too-small", FAIL)}

    @pytest.mark.parametrize(("options", "case"), [
        ({"targets": ["mysql"]}, "unknown-target"),
        ({"targets": ["../postgres"]}, "bad-target"),
        ({"targets": ["postgres/daily"]}, "bad-target"),
        ({"targets": ["/etc"]}, "bad-target"),
        ({"targets": [""]}, "bad-target"),
        ({"targets": ["postgres", "Redis\n"]}, "bad-target"),
        ({"name": "../x"}, "bad-name"),
        ({"name": "daily/x"}, "bad-name"),
        ({"name": ".."}, "bad-name"),
        ({"name": "x\0"}, "bad-name"),
        ({"name": "coinpilot_postgres_20260101T000000Z"}, "unknown-name"),
    ])
    def test_bad_input(self, backups: Backups, options: dict[str, Any], case: str) -> None:
        backups.add()
        with pytest.raises(BackupError) as caught:
            backups.verify(**options)
        assert caught.value.case == case
        line = backup_checksum.refusal(caught.value)
        assert line.status == FAIL
        assert all("\n" not in line.line(lang) and "{" not in line.line(lang) for lang in ("en", "ko"))

    def test_no_backup_root(self, tmp_path: Path) -> None:
        (tmp_path / "something").mkdir()
        write(tmp_path / "file", b"")
        for path, case in ((tmp_path, "not-a-root"), (tmp_path / "none", "no-root"), (tmp_path / "file", "no-root")):
            with pytest.raises(BackupError) as caught:
                backups_of(path)
            assert caught.value.case == case
            assert str(path) in backup_checksum.refusal(caught.value).line("ko")

    def test_the_directory_of_one_target_is_no_root(self, backups: Backups) -> None:
        backups.add()
        with pytest.raises(BackupError, match="not-a-root"):
            backups_of(backups.root / "postgres")


def test_many_files_at_once(tmp_path: Path) -> None:
    backups = Backups(tmp_path / "coinpilot")
    where = backups.directory()
    contents = [b"%05d" % number + BODY[:100] for number in range(10000)]
    for number, content in enumerate(contents):
        write(where / f"part-{number:05d}", content)
        write(where / f"part-{number:05d}.sha256",
              f"{hashlib.sha256(content).hexdigest()}  part-{number:05d}\n".encode())
    for number in (0, 4321, 9999):
        flip(where / f"part-{number:05d}", 5)
    calls: list[tuple[int, int, str]] = []
    result = backups.verify(progress=lambda *call: calls.append(call))
    assert [entry["path"][-5:] for entry in result.entries if entry["problem"]] == ["00000", "04321", "09999"]
    assert len(result.entries) == result.totals["files"] == 10000
    assert result.totals["bytes"] == sum(map(len, contents))
    assert calls[-1][0] == calls[-1][1]


def sparse(backups: Backups, size: int) -> Path:
    path = backups.directory() / "coinpilot_20260301_030501.sql.gz"
    with path.open("wb") as stream:
        stream.truncate(size)
    return path


def test_progress(backups: Backups) -> None:
    path = sparse(backups, 600 << 20)
    calls: list[tuple[int, int, str]] = []
    started = time.monotonic()
    backups.verify(progress=lambda *call: calls.append(call))
    assert 2 <= len(calls) <= 10 * (time.monotonic() - started) + 2
    done = [call[0] for call in calls]
    assert done == sorted(done)
    assert set(done[:-1]) - {0, done[-1]}
    assert {call[1:] for call in calls} == {(600 << 20, str(path))}


def test_a_progress_that_fails_stops_the_reading(backups: Backups) -> None:
    sparse(backups, 64 << 30)

    def interrupted(*_call: Any) -> None:
        raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        backups.verify(progress=interrupted)
    assert time.monotonic() - started < 5
    assert [thread for thread in threading.enumerate() if thread.name.startswith("ThreadPool")] == []


def test_memory_is_constant(backups: Backups) -> None:
    sparse(backups, 600 << 20)
    program = ("import sys; sys.path.insert(0, sys.argv[1]); "
               "from ansible_collections.coinpilot.ops.plugins.module_utils import backup_checksum as b; "
               "r = b.judge(b.gather(sys.argv[2], 'coinpilot')); assert r.totals['bytes'] == 600 << 20; "
               "print(open('/proc/self/status').read())")
    output = subprocess.run([sys.executable, "-c", program, str(CHECKOUT / "collections"), str(backups.root)],
                            check=True, capture_output=True, text=True).stdout
    peak = int(output.split("VmHWM:")[1].split()[0])
    assert peak < 100 * 1024


def test_every_case_says_what_to_do() -> None:
    cases = [(name, case) for rule in backup_checksum.RULES.values() for name, case in rule.cases.items()]
    assert len(backup_checksum_messages.RULE_OF) == len(cases)  # no name twice
    for name, case in cases:
        assert case.seen.en and case.seen.ko, name
        assert case.status == PASS or (case.fix.en and case.fix.ko), name
    assert backup_checksum.refusal(BackupError("no-root", path="/x")).title == Text("backup directory", "백업 디렉터리")


def run_module(arguments: dict[str, Any]) -> dict[str, Any]:
    program = "ansible_collections.coinpilot.ops.plugins.modules.backup_checksum"
    done = subprocess.run([sys.executable, "-m", program], input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
                          env={**os.environ, "PYTHONPATH": str(CHECKOUT / "collections")}, capture_output=True,
                          text=True, check=False)
    return json.loads(done.stdout)


def test_the_module(backups: Backups) -> None:
    path = backups.add()
    backups.add(target="redis", suffixes=(".tar.zst",))
    arguments = {"path": str(backups.root), "stack": "coinpilot"}
    answer = run_module({**arguments, "targets": ["postgres"]})
    assert (answer["status"], answer["changed"], answer["totals"]["files"]) == (PASS, False, 1)
    assert answer["utc_offset"] == time.localtime(answer["now"]).tm_gmtoff
    flip(path, 0)
    answer = run_module({**arguments, "language": "ko"})
    assert answer["failed"] and answer["msg"] == answer["report"] and "내용이 바뀌었음" in answer["msg"]
    assert [entry["problem"] for entry in answer["entries"]] == ["altered", ""]
    answer = run_module({**arguments, "targets": ["mysql"]})
    assert answer["failed"] and "no backups of 'mysql'" in answer["msg"] and answer["entries"] == []
