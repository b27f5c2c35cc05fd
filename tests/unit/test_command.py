"""The host's own command: the real file, run as a program of its own."""

from __future__ import annotations

import fcntl
import getpass
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.coinpilot.ops.plugins.lookup.host_command import pack

Program = Callable[..., "subprocess.CompletedProcess[str]"]

# Root is what the tests may be and may not be: the program is told.
START = """\
import os, sys
os.geteuid = lambda: {uid}
sys.path.insert(0, {program!r})
sys.argv[0] = "coinpilot-ops"
from coinpilot_ops import command, findings
{before}
sys.exit(command.main())
"""
# A job of the test's own in place of a real one.
JOB = """\
from coinpilot_ops.findings import FAIL, PASS, Case, Rule, Text
RULE = Rule("job", Text("job", "작업"), Text("done", "완료"),
            {{"good": Case(PASS, Text("done", "완료")), "bad": Case(FAIL, Text("not done", "실패"))}})
def job(target, tell):
    {body}
command.COMMANDS["backup"] = command.SubCommand(
    Text("a job", "작업"), command._targets_argument,
    lambda options, description: command._each_target(options, description, job))
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bin") / "coinpilot-ops"
    path.write_bytes(pack())
    return path


@pytest.fixture
def description(tmp_path: Path) -> dict[str, Any]:
    for target in ("postgres", "redis"):
        (tmp_path / "backups" / target / "daily").mkdir(parents=True)
    return {
        "name": "coinpilot", "project": "oci", "directory": str(tmp_path / "oci"), "compose_file": "compose.yml",
        "unit": "coinpilot.service", "owner": getpass.getuser(), "state_directory": str(tmp_path / "state"),
        "log_directory": str(tmp_path / "log"), "backup_directory": str(tmp_path / "backups"), "services": {},
        "required_keys": [], "checklist": {},
        "backup": {"targets": {"postgres": {"service": "db"}, "redis": {"service": "redis"}}},
    }


@pytest.fixture
def run(program: Path, tmp_path: Path, description: dict[str, Any]) -> Program:
    def run_program(*arguments: str, uid: int = 0, before: str = "", lang: str = "C.UTF-8", write: bool = True,
                    **how: Any) -> subprocess.CompletedProcess[str]:
        stack = tmp_path / "stack.json"
        if write:
            stack.write_text(json.dumps(description))
        code = START.format(uid=uid, program=str(program), before=before)
        how = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **how}
        return subprocess.run([sys.executable, "-I", "-c", code, "--description", str(stack), *arguments], text=True,
                              env={"LANG": lang, "PATH": os.environ["PATH"]}, stdin=subprocess.DEVNULL, timeout=60,
                              check=False, **how)

    return run_program


def one_line(result: subprocess.CompletedProcess[str], code: int = 2) -> str:
    """The single line of one that was called wrongly."""
    assert (result.returncode, result.stdout) == (code, "")
    assert result.stderr.startswith("coinpilot-ops: ") and result.stderr.count("\n") == 1
    return result.stderr


@pytest.mark.parametrize(("lang", "arguments", "expected"), [
    ("C.UTF-8", (), "점검한 항목이 없습니다"),
    ("ko_KR.UTF-8", (), "점검한 항목이 없습니다"),
    ("C.UTF-8", ("--lang", "en"), "nothing was checked"),
])
def test_the_language_that_was_deployed_counts_where_sudo_kept_none(
        run: Program, description: dict[str, Any], lang: str, arguments: tuple[str, ...], expected: str) -> None:
    description["language"] = "ko"
    assert expected in run("check", "all", *arguments, lang=lang).stdout


def test_the_file_runs_as_it_is(program: Path, tmp_path: Path) -> None:
    """Without a locale, from a directory that holds a module named as one of Python's own."""
    (tmp_path / "json.py").write_text("raise SystemExit(99)")
    result = subprocess.run([sys.executable, "-I", str(program), "--lang", "ko", "--help"], cwd=tmp_path, env={},
                            capture_output=True, check=True)
    assert "백업" in result.stdout.decode() and result.stderr == b""


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_every_command_has_help_without_root(run: Program, lang: str) -> None:
    shown = run("--lang", lang, "--help", uid=1000)
    assert shown.returncode == 0 and shown.stderr == ""
    for name in ("verify", "check", "status", "watch", "backup", "checksum", "backups", "restore-rehearsal", "restore",
                 "offsite"):
        assert name in shown.stdout
        of_command = run(name, "--help", "--lang", lang, uid=1000)
        assert of_command.returncode == 0 and of_command.stdout.startswith(f"usage: coinpilot-ops {name} ")


@pytest.mark.parametrize(("arguments", "english", "korean"), [
    ([], "say what to do: verify, ", "할 일을 지정하세요: verify, "),
    (["frobnicate"], "invalid choice: 'frobnicate'", "알 수 없는 값 'frobnicate'"),
    (["verify", "postgres"], "unrecognized arguments: postgres", "알 수 없는 인자: postgres"),
    (["verify", "--form", "json"], "unrecognized arguments: --form json", "알 수 없는 인자: --form json"),
    (["verify", "--format"], "argument --format: expected one argument", "--format에는 값이 필요합니다"),
    (["verify", "--format", "xml"], "argument --format: invalid choice: 'xml'", "--format: 알 수 없는 값 'xml'"),
    (["backup", "--dry-run=yes"], "ignored explicit argument 'yes'", "--dry-run에는 값을 줄 수 없습니다: 'yes'"),
    (["backups", "mysql"], "unknown target 'mysql'; known: postgres, redis",
     "알 수 없는 백업 대상 'mysql'. 가능한 대상: postgres, redis"),
    (["backup", "../etc"], "unknown target '../etc'", "알 수 없는 백업 대상 '../etc'"),
    (["restore", "mysql"], "unknown target 'mysql'", "알 수 없는 백업 대상 'mysql'"),
    (["restore"], "required: TARGET", "빠진 인자: TARGET"),
    (["restore-rehearsal", "--name", "x"], "--name goes with one target", "--name은 대상 하나와"),
    (["offsite", "copy", "--read-all"], "--read-all goes with 'offsite check' only", "에만 쓸 수 있습니다"),
    (["verify", "--record", "--only", "unit"], "leave out --only", "--only를 빼세요"),
    (["watch"], "required: ACTION", "빠진 인자: ACTION"),
    (["watch", "stop"], "invalid choice: 'stop'", "알 수 없는 값 'stop'"),
    (["watch", "arm"], "say what was changed", "무엇을 바꾸었는지"),
    (["watch", "arm", "--reason", " "], "say what was changed", "무엇을 바꾸었는지"),
    (["watch", "run", "--reason", "x"], "--reason goes with 'arm' only", "--reason은 'arm'에만"),
    (["checksum", "--path", "/nonexistent"], "/nonexistent", "/nonexistent"),
])
def test_wrong_usage_is_one_line(run: Program, arguments: list[str], english: str, korean: str) -> None:
    assert english in one_line(run(*arguments))
    assert korean in one_line(run("--lang", "ko", *arguments))


def test_the_language_of_the_locale(run: Program) -> None:
    assert "root 권한" in one_line(run("verify", uid=1000, lang="ko_KR.UTF-8"))


def test_it_wants_root(run: Program) -> None:
    assert one_line(run("verify", uid=1000)) == "coinpilot-ops: this needs root: sudo coinpilot-ops verify\n"


@pytest.mark.parametrize(("text", "said"), [
    (None, "is not there: deploy first"),
    ("", "it is no JSON): deploy again"),
    ('{"name": "coinpilot", ', "it is no JSON"),
    ("[]", "it is no description"),
    ('{"name": "coinpilot"}', "it lacks project, directory, "),
])
def test_a_description_that_cannot_be_used(run: Program, tmp_path: Path, text: str | None, said: str) -> None:
    if text is not None:
        (tmp_path / "stack.json").write_text(text)
    assert said in one_line(run("verify", write=False))


def test_passed_and_could_not_tell(run: Program, tmp_path: Path) -> None:
    passed = run("backups")
    assert passed.returncode == 0 and passed.stdout.startswith("WARN: WARN 2\n")
    (tmp_path / "backups" / "redis" / "weekly").write_text("in the way of a directory")
    unknown = run("backups")
    assert unknown.returncode == 3 and unknown.stdout.startswith("UNKNOWN: ")


def old_backup(tmp_path: Path) -> Path:
    """A backup as the scripts of before made it."""
    file = tmp_path / "backups" / "postgres" / "daily" / "coinpilot_20260301_030501.sql.gz"
    file.write_bytes(b"bytes")
    file.chmod(0o600)
    sidecar = file.with_name(file.name + ".sha256")
    sidecar.write_text(f"{hashlib.sha256(b'bytes').hexdigest()}  /somewhere/else/{file.name}\n")
    sidecar.chmod(0o600)
    return file


def test_checksum_passes_and_fails(run: Program, tmp_path: Path) -> None:
    file = old_backup(tmp_path)
    assert run("checksum", "postgres").returncode == 0
    assert run("checksum", "--path", str(tmp_path / "backups")).returncode == 0
    file.write_bytes(b"Bytes")
    failed = run("checksum", "postgres")
    assert failed.returncode == 1 and file.name in failed.stdout and failed.stderr == ""


def test_the_list_of_backups_for_a_program_and_for_a_person(run: Program, tmp_path: Path) -> None:
    file = old_backup(tmp_path)
    report = json.loads(run("--format", "json", "backups", "postgres").stdout)
    assert (report["status"], report["exit_code"], report["command"]) == ("PASS", 0, "backups")
    assert [(row["name"], row["state"], row["size"], row["files"]) for row in report["backups"]] == [
        ("coinpilot_20260301_030501", "old", 5, [str(file)])]
    assert "이전 형식" in run("backups", "postgres", "--lang", "ko").stdout


def test_an_error_of_its_own_is_one_line_and_its_trace_is_in_the_log(
        run: Program, tmp_path: Path, description: dict[str, Any]) -> None:
    description["backup_directory"] = 5
    said = one_line(run("backups"), code=3)
    assert "TypeError" in said and f"report it, with the end of {tmp_path / 'log' / 'coinpilot-ops.log'}" in said
    assert "Traceback (most recent call last)" in (tmp_path / "log" / "coinpilot-ops.log").read_text()


def test_what_breaks_one_target_does_not_keep_the_others_from_being_done(run: Program, tmp_path: Path) -> None:
    body = "return [RULE.finding('good', target)] if target == 'redis' else {}['missing']"
    result = run("backup", before=JOB.format(body=body))
    assert result.returncode == 3 and result.stderr == ""
    assert "command backup postgres" in result.stdout and "KeyError" in result.stdout and "job redis" in result.stdout
    assert "Traceback" not in result.stdout
    logs = {path.name: path.read_text() for path in (tmp_path / "log").iterdir()}
    assert sorted(logs) == ["postgres-backup.log", "redis-backup.log"]
    assert "Traceback" in logs["postgres-backup.log"] and "job redis" in logs["redis-backup.log"]


def test_a_log_that_cannot_be_written_is_a_warning(run: Program, tmp_path: Path) -> None:
    (tmp_path / "log").write_text("in the way of a directory")
    result = run("backup", "redis", before=JOB.format(body="return [RULE.finding('good', target)]"))
    assert result.returncode == 0 and "WARN" in result.stdout and "job redis" in result.stdout
    assert "could not be written: Not a directory" in result.stdout


def test_who_reads_the_report_may_leave(run: Program, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    result = run("backup", before=JOB.format(body="return [RULE.finding('good', target)]"), stdout=writer)
    os.close(writer)
    assert (result.returncode, result.stderr) == (128 + signal.SIGPIPE, "")
    # What was to be done was done.
    assert "job redis" in (tmp_path / "log" / "redis-backup.log").read_text()


def test_a_report_that_finds_no_room(run: Program) -> None:
    with open("/dev/full", "w") as full:
        result = run("backups", stdout=full)
    assert result.returncode == 3
    assert result.stderr == "coinpilot-ops: the report could not be shown: No space left on device\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_one_that_is_told_to_end_clears_up_and_says_so_in_its_log(run: Program, tmp_path: Path, number: int) -> None:
    body = f"""
    try:
        os.kill(os.getpid(), {int(number)})
        __import__("time").sleep(30)
    finally:
        print("cleared up")
    """
    # The tests themselves may be run by nohup, whose deafness is inherited.
    result = run("backup", "redis", before=JOB.format(body=body.strip()),
                 preexec_fn=lambda: signal.signal(number, signal.SIG_DFL))
    assert (result.returncode, result.stdout, result.stderr) == (128 + number, "cleared up\n", "")
    assert "stopped from outside" in (tmp_path / "log" / "redis-backup.log").read_text()


def test_nohup_is_heeded(run: Program) -> None:
    body = "os.kill(os.getpid(), 1); return [RULE.finding('good', target)]"
    result = run("backup", "redis", before=JOB.format(body=body),
                 preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    assert result.returncode == 0


def test_status_with_a_history_that_was_damaged_by_hand_is_one_line_and_loses_nothing(
        run: Program, description: dict[str, Any]) -> None:
    history = Path(description["state_directory"], "watch", "history.jsonl")
    history.parent.mkdir(parents=True)
    history.write_text("{by hand\n")
    assert "damaged lines: 1. correct them" in one_line(run("status"))
    assert "손상된 줄: 1" in one_line(run("status", "--lang", "ko", "--format", "json"))
    assert history.read_text() == "{by hand\n"


def test_status_on_a_host_where_nothing_was_done_yet(run: Program, description: dict[str, Any]) -> None:
    description["timezone"] = "Asia/Seoul"
    description["backup"] = {"targets": {"postgres": {"schedule": "5 3 * * *"}}, "rehearsal": {"schedule": "0 4 * * 0"}}
    shown = run("status")
    assert (shown.returncode, shown.stderr) == (0, "") and "nothing has armed it yet" in shown.stdout
    assert {finding["id"] for finding in json.loads(run("status", "--format", "json").stdout)["findings"]} == {
        "status-watch", "status-daily", "status-backup", "status-rehearsal"}


def test_a_turn_of_the_watch_with_nothing_to_do_says_nothing(run: Program) -> None:
    shown = run("watch", "run")
    assert (shown.returncode, shown.stdout, shown.stderr) == (0, "", "")


# The checklist -------------------------------------------------------------------------------------------------------

# A reader of the test's own in place of those that read a host.
READER = """\
from coinpilot_ops import checklist_readers
from coinpilot_ops.findings import FAIL, Case, Rule, Text, table
RULES = table(Rule("one", Text("one", "하나"), Text("good", "좋음"), {"bad": Case(FAIL, Text("bad", "나쁨"),
                                                                                Text("mend it", "고치세요"))}))
def read(context, options):
    return [RULES["one"].finding("bad")]
checklist_readers.READERS = {"mine": lambda: checklist_readers.Source(RULES, read)}
"""
ITEM = {"at": ["daily", "t1h"], "title": {"en": "An item", "ko": "항목"}, "advice": {"en": "Then this", "ko": "그리고"},
        "read": "mine"}


@pytest.fixture
def described(description: dict[str, Any]) -> dict[str, Any]:
    description["checklist"] = {"one": ITEM, "weekly": {**ITEM, "at": ["weekly"]}}
    return description


def test_a_checkpoint(run: Program, described: dict[str, Any]) -> None:
    shown = run("check", "t1h", before=READER)
    assert (shown.returncode, shown.stderr) == (1, "")
    assert shown.stdout == "FAIL: FAIL 1\nFAIL     An item\n         one: bad\n           expected: good\n" \
                           "           do: mend it\n           then: Then this\n"
    report = json.loads(run("check", "all", "--format", "json", before=READER).stdout)
    assert (report["status"], report["exit_code"], report["checkpoint"]) == ("FAIL", 1, "all")
    assert [(item["id"], item["status"]) for item in report["items"]] == [("one", "FAIL")]
    assert run("check", "t6h", before=READER).returncode == 3
    assert "weekly" in run("check", "all", "--only", "weekly", "one", "--format", "json", before=READER).stdout


@pytest.mark.parametrize(("arguments", "english", "korean"), [
    (["check", "t2h"], "unknown checkpoint 't2h'; known: all, daily, weekly, t0, t1h, t6h, t12h, t24h",
     "알 수 없는 체크포인트 't2h'. 가능한 이름: all, "),
    (["check", "all", "--only", "two"], "unknown item 'two'; known: one, weekly", "알 수 없는 항목 'two'"),
    (["verify", "--only", "two"], "unknown item 'two'", "알 수 없는 항목 'two'"),
    (["check"], "required: CHECKPOINT", "빠진 인자: CHECKPOINT"),
    (["check", "all", "--output", "/nonexistent/report"], "/nonexistent/report cannot be written: No such file",
     "/nonexistent/report에 쓸 수 없습니다"),
    (["check", "all", "--output", "/dev/null"], "/dev/null is no plain file: name another one for --output",
     "/dev/null은(는) 일반 파일이 아닙니다"),
    (["check", "all", "--output", "/tmp"], "/tmp is no plain file", "/tmp은(는) 일반 파일이 아닙니다"),
])
def test_a_wrong_check_is_one_line(run: Program, described: dict[str, Any], arguments: list[str], english: str,
                                   korean: str) -> None:
    nothing_is_read = READER.replace("return [", "raise SystemExit(99)\n    return [")
    assert english in one_line(run(*arguments, before=nothing_is_read))
    assert korean in one_line(run(*arguments, "--lang", "ko", before=nothing_is_read))


def test_the_report_is_in_the_file_too(run: Program, described: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "reports" / "monitoring.log"
    path.parent.mkdir()
    path.write_text("the report of yesterday")
    shown = run("check", "all", "--output", str(path), "--lang", "ko", before=READER)
    assert path.read_text() == shown.stdout and shown.stdout.startswith("실패: 실패 1\n")
    assert [each.name for each in path.parent.iterdir()] == ["monitoring.log"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_what_is_recorded(run: Program, described: dict[str, Any]) -> None:
    assert run("verify", "--record", before=READER).returncode == 1
    state = Path(described["state_directory"])
    (line,) = (state / "watch" / "history.jsonl").read_text().splitlines()
    entry = json.loads(line)
    assert (entry["checkpoint"], entry["verdict"], entry["items"]) == ("daily", "FAIL", {"one": "FAIL"})
    assert "coinpilot_verify_failed 1\n" in (state / "metrics" / "verify.prom").read_text()
    assert run("verify", before=READER).returncode == 1
    assert len((state / "watch" / "history.jsonl").read_text().splitlines()) == 1


def test_what_is_recorded_waits_for_a_deploy_and_says_where_it_did_not_end(
        run: Program, described: dict[str, Any]) -> None:
    lock = Path(described["state_directory"]) / "deploy" / "lock"
    lock.parent.mkdir(parents=True)
    wait = READER + "command._DEPLOY_SECONDS = "
    with lock.open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        assert run("verify", before=wait + "60").returncode == 1, "what is not recorded does not wait"
        begun = time.monotonic()
        shown = run("verify", "--record", before=wait + "1.5")
        assert time.monotonic() - begun > 1.5
        assert "deploy: one was still at work after" in shown.stdout
        (line,) = (lock.parent.parent / "watch" / "history.jsonl").read_text().splitlines()
        assert "deploy-at-work" in [problem["id"] for problem in json.loads(line)["problems"]]
        timer = threading.Timer(1.5, fcntl.flock, (stream, fcntl.LOCK_UN))
        timer.start()
        shown = run("verify", "--record", before=wait + "60")
        timer.join()
    assert "at work" not in shown.stdout


@pytest.mark.parametrize("arguments", [("verify",), ("check", "t1h")])
def test_an_arming_that_is_damaged_is_told_by_every_check(
        run: Program, described: dict[str, Any], arguments: tuple[str, ...]) -> None:
    path = Path(described["state_directory"]) / "watch" / "armed.json"
    path.parent.mkdir(parents=True)
    path.write_text("{")
    assert "coinpilot-ops watch arm" in run(*arguments, before=READER).stdout
