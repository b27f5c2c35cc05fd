"""Which backup is rehearsed, what counts as proven, and what is recorded; the engines themselves run on hosts."""

from __future__ import annotations

import hashlib
import types
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils import (
    backup_choice,
    backup_compare,
    backup_engines,
    backup_journal,
    backup_rehearsal,
    backup_state,
    backup_store,
)
from ansible_collections.coinpilot.ops.plugins.module_utils.backup_errors import BackupError
from ansible_collections.coinpilot.ops.plugins.module_utils.backup_job import Restored
from ansible_collections.coinpilot.ops.plugins.module_utils.findings import FAIL, PASS, WARN, Finding

COUNTS = {"public.trades": 10, "public.prices": 200}
RESTORED = Restored(COUNTS, {}, {})


def put(root: Path, moment: float, **changes: Any) -> backup_store.Backup:
    """A backup as the tool makes one."""
    where = root / "cache" / "daily"
    where.mkdir(parents=True, exist_ok=True)
    name = backup_store.name("coinpilot", "cache", moment)
    content = b"content of " + name.encode()
    file = backup_store.DataFile(name + ".tar.gz", len(content), hashlib.sha256(content).hexdigest(), 1000)
    path = backup_store.partial(str(where / file.name))
    Path(path).write_bytes(content)
    Path(path).chmod(0o600)
    manifest = {
        "format": 1, "name": name, "stack": "coinpilot", "project": "oci", "target": "cache", "engine": "redis",
        "host": {"name": "here", "machine_id": "a" * 32}, "files": [file._asdict()], "identity": {}, "versions": {},
        "counts": COUNTS, "details": {}, "suspect": [], "accepted": False, **changes}
    backup_store.publish(str(where), manifest, [file])
    return backup_store.listing(str(root), "cache", "coinpilot")[0]


@pytest.fixture
def description(tmp_path: Path) -> dict[str, Any]:
    return {"name": "coinpilot", "project": "oci", "directory": str(tmp_path), "log_directory": str(tmp_path / "log"),
            "state_directory": str(tmp_path / "state"), "backup_directory": str(tmp_path / "backups"),
            "backup": {"targets": {"cache": {"service": "redis", "schedule": "5 3 * * *", "writers": []}},
                       "keep": {"daily": 7, "weekly": 4}, "rehearsal": {"place": "server"}},
            "services": {"redis": {"engine": "redis"}}}


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> types.SimpleNamespace:
    """An engine that restores what it is told to, and remembers which backups it was given."""
    double = types.SimpleNamespace(given=[], answer=RESTORED)

    def rehearse(_job: Any, backup: backup_store.Backup) -> Restored:
        double.given.append(backup.name)
        if isinstance(double.answer, Exception):
            raise double.answer
        return double.answer

    double.rehearse = rehearse
    monkeypatch.setitem(backup_engines.ENGINES, "redis", double)
    return double


def rehearse(description: dict[str, Any], **how: Any) -> Finding:
    return backup_rehearsal.run(description, "cache", **how)[0]


def last(description: dict[str, Any]) -> Any:
    return backup_state.load(description["state_directory"], "cache")[0].get("last_rehearsal", {})


@pytest.mark.parametrize(("restored", "expected"), [
    (Restored(COUNTS, {}, {}), []),
    (Restored({**COUNTS, "public.trades": 9}, {}, {}), ["public.trades 10 → 9"]),
    (Restored({"public.trades": 10}, {}, {}), ["public.prices 200 → -"]),
    (Restored({**COUNTS, "public.new": 1}, {}, {}), ["public.new - → 1"]),
])
def test_every_count_is_compared_both_ways(restored: Restored, expected: list[str]) -> None:
    manifest = {"engine": "postgresql", "counts": COUNTS, "details": {}, "versions": {}}
    assert backup_compare.differences(manifest, restored) == expected


def test_hypertables_and_the_versions_of_extensions_are_compared_but_not_the_servers() -> None:
    manifest = {"engine": "postgresql", "counts": {}, "details": {"hypertables": {"public.a": 12, "public.b": 1}},
                "versions": {"postgresql": "17.6", "timescaledb": "2.19.3", "vector": "0.8.0", "uuid-ossp": "1.1"}}
    restored = Restored({}, {"hypertables": {"public.a": 11, "public.b": 1}},
                        {"postgresql": "17.7", "timescaledb": "2.24.0", "vector": "0.8.1"})
    assert backup_compare.differences(manifest, restored) == [
        "hypertables public.a 12 → 11", "version of timescaledb 2.19.3 → 2.24.0", "version of uuid-ossp 1.1 → -"]


def test_of_many_differences_the_first_five_are_told() -> None:
    text = backup_rehearsal.listed(["table%d 1 → 0" % number for number in range(8)])
    assert text.en.count("→") == 5 and text.en.endswith(", and 3 more") and text.ko.endswith(", 외 3건")
    assert "more" not in backup_rehearsal.listed(["a 1 → 0"]).en


def test_the_newest_good_one_is_proven(description: dict[str, Any], engine: types.SimpleNamespace) -> None:
    root = Path(description["backup_directory"])
    good = put(root, 1_000_000)
    put(root, 2_000_000, suspect=["shrunk"])
    found = rehearse(description)
    assert (found.status, engine.given) == (PASS, [good.name])
    assert last(description)["ok"] is True
    assert backup_state.load(description["state_directory"], "cache")[0]["proven"][0]["name"] == good.name
    assert (Path(description["state_directory"]) / "metrics" / "coinpilot_backup_cache.prom").exists()


def test_with_none_it_says_when_one_is_due(description: dict[str, Any], engine: types.SimpleNamespace) -> None:
    found = rehearse(description)
    assert found.status == FAIL and "5 3 * * *" in found.fix.en and "coinpilot-ops backup cache" in found.fix.en
    assert last(description)["ok"] is None and not engine.given


@pytest.mark.parametrize(("answer", "ok"), [
    (Restored({**COUNTS, "public.trades": 9}, {}, {}), False),
    (BackupError("read-back-failed", path="p", said="cut"), False),
    (BackupError("no-container", service="redis", unit="u"), None),
])
def test_what_fails_is_told_apart_from_what_could_not_be_tried(
        description: dict[str, Any], engine: types.SimpleNamespace, answer: Any, ok: Any) -> None:
    good = put(Path(description["backup_directory"]), 1_000_000)
    assert rehearse(description).status == PASS
    engine.answer = answer
    assert rehearse(description).status == FAIL
    assert last(description)["ok"] is ok
    # One that does not restore is no longer proven; one that could not be tried still is.
    proven = backup_state.load(description["state_directory"], "cache")[0]["proven"]
    assert [proof["name"] for proof in proven] == ([] if ok is False else [good.name])


def test_altered_bytes_are_not_given_to_the_engine(description: dict[str, Any],
                                                   engine: types.SimpleNamespace) -> None:
    backup = put(Path(description["backup_directory"]), 1_000_000)
    content = bytearray(Path(backup.path).read_bytes())
    content[3] ^= 1
    Path(backup.path).write_bytes(content)
    found = rehearse(description)
    assert found.status == FAIL and backup.files[0] in found.seen.en and not engine.given
    assert last(description)["ok"] is False


def test_room_is_looked_at_first(description: dict[str, Any], engine: types.SimpleNamespace,
                                 monkeypatch: pytest.MonkeyPatch) -> None:
    put(Path(description["backup_directory"]), 1_000_000)
    monkeypatch.setattr(backup_choice, "MARGIN", 1e15)
    found = rehearse(description)
    assert found.status == FAIL and "free" in found.seen.en and not engine.given and last(description)["ok"] is None


def test_a_cut_off_restore_comes_first(description: dict[str, Any], engine: types.SimpleNamespace) -> None:
    put(Path(description["backup_directory"]), 1_000_000)
    backup_journal.write(description, backup_journal.Journal(
        "cache", "coinpilot_cache_19700101T000000Z", "/b", "sudo coinpilot-ops restore cache NAME", "restore", "safe",
        [], "2026-11-23T00:00:00Z"))
    found = rehearse(description)
    assert found.status == FAIL and not engine.given
    assert "restore cache NAME" in found.fix.en and "restore cache safe" in found.fix.en


@pytest.mark.parametrize(("counts", "status"), [({"db0": 3}, PASS), ({}, WARN)])
def test_an_old_one_has_nothing_to_be_compared_with(description: dict[str, Any], engine: types.SimpleNamespace,
                                                    counts: dict[str, int], status: str) -> None:
    description["backup"]["targets"] = {"redis": description["backup"]["targets"]["cache"]}
    where = Path(description["backup_directory"]) / "redis" / "daily"
    where.mkdir(parents=True)
    (where / "coinpilot_redis_20260301_031501.tar.gz").write_bytes(b"old")
    engine.answer = Restored(counts, {}, {})
    found = backup_rehearsal.run(description, "redis", name="coinpilot_redis_20260301_031501.tar.gz")
    assert [finding.status for finding in found] == [status]
    assert backup_state.load(description["state_directory"], "redis")[0] == {}


def test_of_one_that_lies_elsewhere_nothing_is_recorded(description: dict[str, Any], engine: types.SimpleNamespace,
                                                        tmp_path: Path) -> None:
    put(tmp_path / "fetched", 1_000_000)
    assert rehearse(description, root=str(tmp_path / "fetched")).status == PASS
    assert last(description) == {}


@pytest.mark.parametrize(("name", "said"), [
    ("/etc/passwd", "no name"), ("../coinpilot_cache_19700112T134640Z", "no name"), ("nonsense", "no name"),
    ("coinpilot_cache_19990112T134640Z", "there is no backup"), ("coinpilot_db_19700112T134640Z", "a backup of"),
    ("other_cache_19700112T134640Z", "a backup of"),
])
def test_a_wrong_name_changes_nothing(description: dict[str, Any], engine: types.SimpleNamespace, name: str,
                                      said: str) -> None:
    put(Path(description["backup_directory"]), 1_000_000)
    found = rehearse(description, name=name)
    assert found.status == FAIL and said in found.seen.en and not engine.given
    assert not Path(description["state_directory"]).exists()


def test_a_manifest_of_another_backup_is_refused(description: dict[str, Any]) -> None:
    root = Path(description["backup_directory"])
    backup = put(root, 1_000_000, target="other")
    with pytest.raises(BackupError) as refused:
        backup_choice.named(description, "cache", str(root), backup.name)
    assert refused.value.case == "of-another"
    manifest = root / "cache" / "daily" / (backup.name + ".json")
    manifest.write_text("{")
    with pytest.raises(BackupError) as refused:
        backup_choice.named(description, "cache", str(root), backup.name)
    assert refused.value.case == "no-manifest"


def test_no_two_engines_say_different_things_under_one_name() -> None:
    for engine in backup_engines.ENGINES.values():
        for name, case in engine.CASES.items():
            assert backup_engines.CASES[name] == case, name
