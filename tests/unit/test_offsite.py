"""The off-site copy without a server: its settings, what answers mean, and what is judged of what was read."""

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils import (
    offsite,
    offsite_messages,
    offsite_restic,
    offsite_s3,
)
from ansible_collections.coinpilot.ops.plugins.module_utils.backup_errors import BackupError
from ansible_collections.coinpilot.ops.plugins.module_utils.backup_store import Backup
from ansible_collections.coinpilot.ops.plugins.module_utils.offsite_restic import Snapshot

OCI = "s3:https://namespace.compat.objectstorage.ap-seoul-1.oraclecloud.com/bucket/coinpilot"
GOOD: dict[str, Any] = {"repository": OCI, "schedule": "45 3 * * *", "check_schedule": "45 5 * * 0",
                        "keep": {"daily": 7, "weekly": 4}}
SNAPSHOT = Snapshot("0123456789abcdef", "2026-11-22T18:45:00.123456789+09:00", "host",
                    ["stack-coinpilot", "machine-1"], ["/backups/postgres"])


# Settings ------------------------------------------------------------------------------------------------------------

def test_nothing_is_wrong_when_it_is_off_or_complete() -> None:
    assert offsite.problems({}, []) == []
    assert offsite.problems(GOOD, offsite_restic.KEYS) == []


@pytest.mark.parametrize(("change", "says"), [
    ({"repositary": "x"}, "unknown key 'repositary'"),
    ({"repository": "/srv/copies"}, "no s3:https://"),
    ({"repository": 5}, "no s3:https://"),
    ({"keep": 7}, "stack_backup_offsite.keep must hold keys"),
    ({"keep": {"daily": 7}}, "stack_backup_offsite.keep lacks weekly"),
    ({"keep": {"daily": 7, "weekly": 0}}, "keep.weekly must be a whole number"),
    ({"keep": {"daily": True, "weekly": 4}}, "keep.daily must be a whole number"),
    ({"keep": {"daily": "7", "weekly": 4}}, "keep.daily must be a whole number"),
    ({"keep": {"daily": 7, "weekly": 4, "yearly": 1}}, "unknown key 'yearly'"),
])
def test_what_is_wrong_with_settings(change: dict[str, Any], says: str) -> None:
    [finding] = offsite.problems({**GOOD, **change}, offsite_restic.KEYS)
    assert says in finding.line("en")


@pytest.mark.parametrize("key", offsite.SETTINGS)
def test_every_setting_is_needed(key: str) -> None:
    [finding] = offsite.problems({name: value for name, value in GOOD.items() if name != key}, offsite_restic.KEYS)
    assert f"lacks {key}" in finding.line("en")


@pytest.mark.parametrize("key", offsite_restic.KEYS)
def test_every_key_of_env_is_needed(key: str) -> None:
    [finding] = offsite.problems(GOOD, [name for name in offsite_restic.KEYS if name != key])
    assert key in finding.line("en") and key in finding.line("ko")


@pytest.mark.parametrize("settings", [None, [], "s3:https://host/bucket/path"])
def test_settings_of_another_shape(settings: Any) -> None:
    assert "must hold keys" in offsite.problems(settings, [])[0].line("en")


@pytest.mark.parametrize("address", [
    "s3:http://host/bucket/path", "s3:https://host/bucket", "s3:https://host/bucket/", "https://host/bucket/path",
    "s3:https://key:secret@host/bucket/path", "s3:https://host/bucket/path?x=1", "s3:https://host/bucket/a b",
    "s3:https://host/bucket/path\n", "s3:http://127.0.0.1.example.com/bucket/path", "s3:host/bucket/path", "",
])
def test_no_address_of_a_repository(address: str) -> None:
    assert offsite_s3.parse(address) is None


def test_an_unencrypted_server_is_taken_on_this_host_alone() -> None:
    assert offsite_s3.parse("s3:http://127.0.0.1:9000/bucket/a/b") == ("http", "127.0.0.1:9000", "bucket", "a/b")
    assert offsite_s3.parse("s3:http://localhost:9000/bucket/a") is not None


# The question to the server ------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("host", "region"), [
    ("namespace.compat.objectstorage.ap-seoul-1.oraclecloud.com", "ap-seoul-1"),
    ("namespace.compat.objectstorage.eu-frankfurt-1.oci.customer-oci.com", "eu-frankfurt-1"),
    ("s3.eu-central-1.amazonaws.com", "eu-central-1"),
    ("s3.amazonaws.com", None),
    ("127.0.0.1:9000", None),
    ("minio.example.com", None),
])
def test_the_region_in_a_server_s_name(host: str, region: str | None) -> None:
    assert offsite_s3.Repository("https", host, "bucket", "path").region == region


def test_the_signature_is_that_of_the_published_example() -> None:
    repository = offsite_s3.Repository("https", "examplebucket.s3.amazonaws.com", "", "")
    headers = offsite_s3.sign(repository, "/", "max-keys=2&prefix=J", "AKIAIOSFODNN7EXAMPLE",
                              "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", 1369353600.0)
    assert headers["authorization"].endswith("34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7")


REPOSITORY = offsite_s3.Repository("https", "host", "bucket", "path")


@pytest.mark.parametrize(("body", "empty"), [
    ("<ListBucketResult><Name>bucket</Name></ListBucketResult>", True),
    ("<ListBucketResult><Contents><Key>path/config</Key></Contents></ListBucketResult>", False),
])
def test_what_lies_at_the_path(body: str, empty: bool) -> None:
    assert offsite_s3.read_answer(REPOSITORY, 200, body) is empty


@pytest.mark.parametrize(("status", "body", "case"), [
    (404, "<Error><Code>NoSuchBucket</Code></Error>", "no-bucket"),
    (404, "", "no-bucket"),
    (403, "<Error><Code>SignatureDoesNotMatch</Code></Error>", "denied"),
    (403, "<Error><Code>RequestTimeTooSkewed</Code></Error>", "clock"),
    (400, "<Error><Code>AuthorizationHeaderMalformed</Code></Error>", "denied"),
    (200, "<html>Log in to the network</html>", "no-s3"),
    (301, "", "no-s3"),
    (503, "", "no-s3"),
])
def test_an_answer_that_tells_nothing_of_the_path(status: int, body: str, case: str) -> None:
    with pytest.raises(BackupError) as caught:
        offsite_s3.read_answer(REPOSITORY, status, body)
    assert caught.value.case == case


def test_a_server_that_is_not_there() -> None:
    with pytest.raises(BackupError) as caught:
        offsite_s3.is_empty(offsite_s3.Repository("http", "127.0.0.1:1", "bucket", "path"), "key", "secret")
    assert caught.value.case == "unreachable"


# restic --------------------------------------------------------------------------------------------------------------

# As restic 0.11, 0.14 and 0.18 say it.
@pytest.mark.parametrize(("code", "text", "case"), [
    (1, "Fatal: wrong password or no key found", "password"),
    (12, "Fatal: wrong password or no key found", "password"),
    (1, "unable to create lock in backend: repository is already locked by PID 12801 on vm by root", "locked"),
    (11, "repo already locked, waiting up to 0s for the lock", "locked"),
    (1, "Fatal: unable to open config file: Stat: The specified bucket does not exist\nIs there a repository at the "
        "following location?\ns3:https://host/bucket/path", "no-bucket"),
    (1, "Fatal: unable to open config file: Stat: The request signature we calculated does not match the signature you "
        "provided. Check your key and signing method.\nIs there a repository at the following location?", "denied"),
    (1, "Fatal: unable to open config file: Stat: The Access Key Id you provided does not exist in our records.",
     "denied"),
    (1, 'Fatal: unable to open config file: Stat: Get "http://host/bucket/?location=": dial tcp: lookup host: no such '
        "host\nIs there a repository at the following location?", "unreachable"),
    (1, "Fatal: unable to open config file: Stat: The specified key does not exist.\nIs there a repository at the "
        "following location?", "no-repository"),
    (1, 'Save(<data/1234>) failed: Put "http://host": dial tcp 127.0.0.1:9: connect: refused', "unreachable"),
    (1, "Pack ID does not match, want 27d43903, got bfa7be4c\nFatal: repository contains errors", "damaged"),
    (1, "pack a507 contains errors: ciphertext verification failed\nFatal: repository contains errors", "damaged"),
    (1, "Fatal: unable to save snapshot: write /var/lib/x: no space left on device", "disk-full"),
    (1, "Fatal: unable to save snapshot: QuotaExceeded: the bucket is full", "full"),
    (3, "Warning: at least one source file could not be read", "unread"),
    (-9, "", "killed"),
    (1, "Fatal: something new", "restic"),
    (99, "", "restic"),
])
def test_why_restic_failed(code: int, text: str, case: str) -> None:
    assert offsite_restic.case_of(code, text) == case


def test_the_line_that_says_most() -> None:
    assert offsite_restic.last_line("Fatal: the reason\nIs there a repository?\n") == "Fatal: the reason"
    assert offsite_restic.last_line("one\ntwo\n\n") == "two"
    assert offsite_restic.last_line("") == "?"


@pytest.mark.parametrize(("output", "version"), [
    ("restic 0.12.1 compiled with go1.18.1 on linux/arm64\n", (0, 12)),
    ("restic 0.18.0-dev compiled manually", (0, 18)),
    ("something else", (0, 0)),
])
def test_the_version(output: str, version: tuple[int, ...]) -> None:
    assert offsite_restic.version(output) == version


def test_the_environment_holds_the_secrets_and_none_of_another_restic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESTIC_PASSWORD_FILE", "/root/other")
    monkeypatch.setenv("AWS_PROFILE", "other")
    repository = offsite_s3.parse(OCI)
    assert repository
    given = offsite_restic.environment(OCI, repository, dict(zip(offsite_restic.KEYS, "abc", strict=True)), "/cache")
    assert "RESTIC_PASSWORD_FILE" not in given and "AWS_PROFILE" not in given
    assert (given["RESTIC_PASSWORD"], given["AWS_ACCESS_KEY_ID"], given["AWS_SECRET_ACCESS_KEY"]) == ("a", "b", "c")
    assert given["AWS_DEFAULT_REGION"] == "ap-seoul-1"


def test_messages_among_other_lines() -> None:
    assert offsite_restic.messages('repository opened\n{"message_type": "summary"}\n\n') == [
        {"message_type": "summary"}]


def test_every_case_that_may_be_raised_has_a_text() -> None:
    cases = {case for _words, case in offsite_restic._WORDS} | set(offsite_restic._EXIT_CODES.values()) | {
        "killed", "unread", "hangs", "no-restic", "restic", "no-s3", "unreachable"}
    assert cases <= set(offsite_messages.TROUBLE)


# What is judged ------------------------------------------------------------------------------------------------------

def make_backup(root: Path, target: str, stamp: str, **manifest: Any) -> Backup:
    name = f"coinpilot_{target}_{stamp}"
    file = name + ".dump.zst"
    where = root / target / "daily"
    where.mkdir(parents=True, exist_ok=True)
    (where / file).write_bytes(b"x" * 10)
    full = {"files": [{"name": file, "size": 10}], "suspect": [], **manifest}
    return Backup(target, name, str(where), "daily", float(stamp[6:8]), (file,), full, True)


def files_of(backup: Backup) -> dict[str, int]:
    return {f"{backup.directory}/{name}": size for name, size in (
        (backup.files[0], 10), (backup.files[0] + ".sha256", 99), (backup.name + ".json", 500))}


def case_of(backups: list[Backup], snapshot: Snapshot | None, files: dict[str, int]) -> str:
    [finding] = offsite.judge_newest(offsite.World({"postgres": backups}, snapshot, files))
    rule = offsite_messages.RULES["offsite-newest"]
    newest = offsite.newest_good(backups)
    values = {"name": newest.name if newest else "", "file": newest.files[0] if newest else "",
              "snapshot": SNAPSHOT.short_id}
    return next(name for name, case in rule.cases.items() if finding.seen == case.seen.fill(**values))


def test_the_newest_good_backup_is_in_the_snapshot(tmp_path: Path) -> None:
    old, new = (make_backup(tmp_path, "postgres", stamp) for stamp in ("20261121T180500Z", "20261122T180500Z"))
    suspect = make_backup(tmp_path, "postgres", "20261123T180500Z", suspect=["shrunk"])
    both = {**files_of(old), **files_of(new)}
    assert case_of([suspect, new, old], SNAPSHOT, both) == "there"
    assert case_of([suspect, new, old], SNAPSHOT, files_of(old)) == "missing"
    assert case_of([suspect, new, old], SNAPSHOT, {**both, f"{new.directory}/{new.files[0]}": 9}) == "other-size"
    assert case_of([suspect], SNAPSHOT, both) == "none"
    assert case_of([new], None, {}) == "no-snapshot"
    del both[f"{new.directory}/{new.files[0]}.sha256"]
    assert case_of([new], SNAPSHOT, both) == "missing"


def test_a_snapshot_with_newer_backups_than_the_host_has(tmp_path: Path) -> None:
    old, new = (make_backup(tmp_path, "postgres", stamp) for stamp in ("20261121T180500Z", "20261122T180500Z"))
    here = offsite.backup_store.parse(old.files[0])
    assert here
    old = old._replace(taken_at=here.taken_at)
    there = {**files_of(old), **files_of(new)}
    [finding] = offsite.judge_lost(offsite.World({"postgres": [old]}, SNAPSHOT, there), "coinpilot")
    assert new.name in finding.line("en")
    assert offsite.judge_lost(offsite.World({"postgres": [old]}, SNAPSHOT, files_of(old)), "coinpilot") == []
    assert offsite.judge_lost(offsite.World({"postgres": [old]}, SNAPSHOT, there), "another") == []
    assert offsite.judge_lost(offsite.World({"postgres": [old]}, None, {}), "coinpilot") == []


def test_which_snapshot_is_meant() -> None:
    older, newer = SNAPSHOT, SNAPSHOT._replace(id="0123456799abcdef")
    assert offsite.choose([older, newer], "latest") == newer
    assert offsite.choose([older, newer], "012345678") == older
    assert offsite.choose([older, newer], "01234567") is None
    assert offsite.choose([older, newer], "0") is None
    assert offsite.choose([older, newer], "../etc") is None
    assert offsite.choose([], "latest") is None


def test_where_a_snapshot_can_be_fetched_to(tmp_path: Path) -> None:
    target = tmp_path / "postgres"
    (target / "daily").mkdir(parents=True)
    assert offsite.place_problem(str(tmp_path / "new"), [str(target)]) is None
    assert offsite.place_problem(str(target), [str(target)]) == "in-the-way"
    for bad in (target / "new", target / "daily" / "new", tmp_path / "missing" / "new"):
        assert offsite.place_problem(str(bad), [str(target)]) == "bad-directory"
    for text in ("new", f"{tmp_path}/a/../new", f"{tmp_path}/new/"):
        assert offsite.place_problem(text, [str(target)]) == "bad-directory"


@pytest.mark.parametrize(("given", "shown"), [
    ("2026-11-22T18:45:00.123456789+09:00", "2026-11-22T18:45:00+09:00"),
    ("2026-11-22T09:45:00Z", "2026-11-22T09:45:00Z"),
    ("?", "?"),
])
def test_a_time_as_it_is_shown(given: str, shown: str) -> None:
    assert offsite.shown_time(given) == shown


# What is recorded ----------------------------------------------------------------------------------------------------

DESCRIPTION = {"name": "coin-pilot"}
DONE = [offsite_messages.RULES["offsite-list"].finding("some", count=1, newest="x")]
FAILED = [offsite_messages.RULES["offsite-copy"].finding("off")]


def test_a_failure_keeps_the_last_success(tmp_path: Path) -> None:
    state = offsite.State({**DESCRIPTION, "state_directory": str(tmp_path)})
    (tmp_path / "backup").mkdir()
    assert state.record("copy", DONE, 3) == []
    success = state.load()["copy"]["last_success"]
    assert state.record("copy", FAILED, 1) == []
    copied = state.load()["copy"]
    assert (copied["ok"], copied["last_success"]) == (False, success)
    assert "not turned on" in copied["text"]["en"]
    metrics = Path(state.metrics).read_text()
    assert 'coin_pilot_offsite_last_result{job="copy"} 0' in metrics
    assert f'coin_pilot_offsite_last_success_timestamp_seconds{{job="copy"}} {success}' in metrics
    assert 'job="check"' not in metrics


def test_what_never_succeeded_has_no_time_of_success() -> None:
    entry = offsite.entry({}, FAILED, 1, 1000.5, None)
    assert "last_success" not in entry
    assert "last_success_timestamp" not in offsite.render_metrics("coinpilot", {"copy": entry})


def test_every_check_reads_the_next_part(tmp_path: Path) -> None:
    (tmp_path / "backup").mkdir()
    read = []
    for _time in range(offsite.PARTS + 1):
        state = offsite.State({**DESCRIPTION, "state_directory": str(tmp_path)})
        state.part = state.next_part()
        read.append(state.part)
        state.record("check", DONE, 1)
    assert read == [1, 2, 3, 4, 1]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"check": 5}', '{"check": {"part": "x"}}'])
def test_a_damaged_state_is_written_anew(tmp_path: Path, text: str) -> None:
    (tmp_path / "backup").mkdir()
    state = offsite.State({**DESCRIPTION, "state_directory": str(tmp_path)})
    Path(state.path).write_text(text)
    assert state.next_part() == 1
    assert state.record("check", DONE, 1) == []
    assert json.loads(Path(state.path).read_text())["check"]["ok"] is True


def test_nothing_is_asked_when_it_is_off(tmp_path: Path) -> None:
    description = {**DESCRIPTION, "state_directory": str(tmp_path), "backup_directory": str(tmp_path),
                   "backup": {"offsite": {}, "targets": {}}}
    for job in (offsite.copy, offsite.check, offsite.fetch):
        assert "not turned on" in job(description, {})[0].line("en")
    assert list(tmp_path.iterdir()) == []
