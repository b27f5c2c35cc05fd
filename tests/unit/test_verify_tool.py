"""tools/verify.py with nobody at the keyboard. Ansible's part is played by a function; Discord's by the tests' sink."""

from __future__ import annotations

import fcntl
import importlib.util
import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from ansible_runner.exceptions import ConfigurationError

CHECKOUT = Path(__file__).resolve().parents[2]


def loaded(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(Path(path).stem + "_loaded", CHECKOUT / path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def tool() -> ModuleType:
    return loaded("tools/verify.py")


@pytest.fixture
def discord() -> Iterator[SimpleNamespace]:
    """``url``, ``said()``, and ``sink.mode`` for what it answers."""
    module = loaded("tests/stand_in/discord_sink.py")
    server = ThreadingHTTPServer(("127.0.0.1", 0), module.Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield SimpleNamespace(url=f"http://127.0.0.1:{server.server_port}/api/webhooks/1/made-up-token", sink=module.SINK,
                          said=lambda: [entry["message"]["content"] for entry in module.SINK.messages])
    server.shutdown()
    server.server_close()


class Ansible:
    """Plays ansible_runner.run: writes the report that a run would, and keeps what it was called with."""

    def __init__(self) -> None:
        self.status: str | None = "PASS"
        self.rc, self.output = 0, ""
        self.fails: Exception | None = None
        self.called: dict[str, Any] = {}

    def run(self, **given: Any) -> SimpleNamespace:
        self.called = given
        if self.fails:
            raise self.fails
        artifacts = Path(given["private_data_dir"]) / "artifacts" / "run"
        artifacts.mkdir(parents=True, exist_ok=True)
        (artifacts / "command").write_text('{"env": {}}')
        if self.status is not None:
            finding = {"status": self.status, "seen": {"en": "exited (1)", "ko": "종료됨 (1)"}}
            item = {"title": {"en": "services", "ko": "서비스"}, "findings": [finding]}
            report = {"status": self.status, "passed": self.status in ("PASS", "WARN"), "at": time.time(),
                      "verdict": {"en": f"{self.status}: …", "ko": f"{self.status}: …"},
                      "hosts": [{"name": "oci", "items": [item]}]}
            (Path(given["private_data_dir"]).parent / "verify.json").write_text(json.dumps(report))
        return SimpleNamespace(rc=self.rc, status="successful", stdout=io.StringIO(self.output),
                               config=SimpleNamespace(artifact_dir=str(artifacts)))


@pytest.fixture
def ansible(tool: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Ansible:
    played = Ansible()
    monkeypatch.setattr(tool.ansible_runner, "run", played.run)
    return played


@pytest.fixture
def verify(tool: ModuleType, ansible: Ansible, tmp_path: Path) -> Callable[..., int]:
    """``verify("--limit", "oci", url=…)`` is its exit status; the reports are in ``tmp_path / "reports"``."""
    (tmp_path / "hosts.yml").write_text("all: {hosts: {oci: {}}}\n")

    def run(*arguments: str, url: str = "", mode: int = 0o600) -> int:
        more: list[str] = []
        if url:
            secret = tmp_path / "webhook"
            secret.write_text(url + "\n")
            secret.chmod(mode)
            more = ["--webhook-file", str(secret)]
        return int(tool.main(["--inventory", str(tmp_path / "hosts.yml"), "--directory", str(tmp_path / "reports"),
                              "--lang", "en", *more, *arguments]))

    return run


@pytest.mark.parametrize(("status", "rc", "code"), [
    ("PASS", 0, 0), ("WARN", 0, 0), ("FAIL", 2, 1), ("UNKNOWN", 2, 3),
    # All that was reported passed, and yet Ansible failed.
    ("PASS", 2, 3),
    (None, 2, 3), (None, 0, 3),
])
def test_the_exit_status_tells(verify: Callable[..., int], ansible: Ansible, status: str | None, rc: int,
                               code: int) -> None:
    ansible.status, ansible.rc = status, rc
    assert verify() == code


def test_the_verdict_is_one_line_with_the_worst(verify: Callable[..., int], ansible: Ansible,
                                                capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    ansible.status, ansible.rc = "FAIL", 2
    verify("--limit", "oci", "--keep", "3")
    assert capsys.readouterr().out == "FAIL: … - oci: services: exited (1)\n"
    assert ansible.called["limit"] == "oci" and ansible.called["rotate_artifacts"] == 3
    # It would hold the environment of whoever called.
    assert not list(tmp_path.rglob("command"))
    assert (tmp_path / "reports").stat().st_mode & 0o077 == 0


def test_a_run_that_could_not_happen_says_why_and_an_old_report_is_not_taken_for_it(
        verify: Callable[..., int], ansible: Ansible, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    verify()
    assert (tmp_path / "reports" / "verify.json").exists()
    ansible.status, ansible.rc, ansible.output = None, 1, "PLAY\n[ERROR]: no hosts at https://x.example/secret\n\n"
    assert verify() == 3
    assert capsys.readouterr().err == "The verification could not run: [ERROR]: no hosts at https://x.example/***\n"


@pytest.mark.parametrize("problem", [
    OSError(28, "No space left on device", "reports/runs/env"), ConfigurationError("no such playbook"),
    KeyError("status"),
])
def test_whatever_keeps_the_run_from_happening_is_told(
        verify: Callable[..., int], ansible: Ansible, discord: SimpleNamespace, capsys: pytest.CaptureFixture[str],
        problem: Exception) -> None:
    ansible.fails = problem
    assert verify(url=discord.url) == 3
    shown = capsys.readouterr().err
    assert shown.startswith(f"The verification could not run: {type(problem).__name__}: ") and shown.count("\n") == 1
    assert [line.rpartition("[")[2] for line in discord.said()] == ["nothing before → NOT RUN]"]


def test_a_place_for_runs_that_cannot_be_made_is_told(verify: Callable[..., int], ansible: Ansible, tmp_path: Path,
                                                      discord: SimpleNamespace) -> None:
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "runs").write_text("a file")
    assert verify(url=discord.url) == 3
    assert not ansible.called and len(discord.said()) == 1


def test_what_was_told_cannot_be_kept(verify: Callable[..., int], ansible: Ansible, discord: SimpleNamespace,
                                      tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The verdict stands, and is told once more by the next run."""
    (tmp_path / "reports" / "told.json").mkdir(parents=True)
    for _ in range(2):
        assert verify(url=discord.url) == 0
        assert "told.json cannot be written (Is a directory)" in capsys.readouterr().err
    assert len(discord.said()) == 2


def test_korean_words_alone(verify: Callable[..., int], ansible: Ansible, discord: SimpleNamespace) -> None:
    for status, rc in (("FAIL", 2), (None, 1), ("WARN", 0)):
        ansible.status, ansible.rc = status, rc
        verify("--lang", "ko", url=discord.url)
    assert [line.rpartition("[")[2] for line in discord.said()] == [
        "이전 기록 없음 → 실패]", "실패 → 실행 안 됨]", "실행 안 됨 → 주의]"]


def test_help_says_how_the_file_is_made(verify: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        verify("--help")
    assert "install -m 600 /dev/null ~/.coinpilot-webhook" in capsys.readouterr().out


def test_discord_is_told_only_when_the_verdict_changes(verify: Callable[..., int], ansible: Ansible,
                                                       discord: SimpleNamespace) -> None:
    for status, rc in (("PASS", 0), ("PASS", 0), ("FAIL", 2), ("FAIL", 2), (None, 1), (None, 1), ("PASS", 0)):
        ansible.status, ansible.rc = status, rc
        verify(url=discord.url)
    assert [line.rpartition("[")[2] for line in discord.said()] == [
        "nothing before → PASS]", "PASS → FAIL]", "FAIL → NOT RUN]", "NOT RUN → PASS]"]
    assert all("\n" not in line and "made-up-token" not in line for line in discord.said())


@pytest.mark.parametrize("answer", [429, 404, 500])
def test_what_discord_did_not_take_is_told_by_the_next_run(
        verify: Callable[..., int], discord: SimpleNamespace, capsys: pytest.CaptureFixture[str], answer: int) -> None:
    discord.sink.mode = {"status": answer}
    assert verify(url=discord.url) == 0
    assert f"Discord was not told (HTTP {answer})" in capsys.readouterr().err
    discord.sink.mode = {}
    verify(url=discord.url)
    assert len(discord.said()) == 1


def test_a_damaged_memory_of_what_was_told_is_no_obstacle(verify: Callable[..., int], discord: SimpleNamespace,
                                                          tmp_path: Path) -> None:
    verify(url=discord.url)
    (tmp_path / "reports" / "told.json").write_text("{")
    assert verify(url=discord.url) == 0
    assert len(discord.said()) == 2


def test_two_runs_at_once_are_one(verify: Callable[..., int], ansible: Ansible, tmp_path: Path,
                                  capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "reports").mkdir()
    with open(tmp_path / "reports" / ".lock", "w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert verify() == 3
    assert "another verification is at work" in capsys.readouterr().err
    assert not ansible.called


@pytest.mark.parametrize(("url", "mode", "said"), [
    ("https://discord.example/api", 0o644, "can be read by others: chmod 600"),
    ("discord.example/api", 0o600, "does not hold an address"),
    ("https://a.example/ https://b.example/", 0o600, "does not hold an address"),
])
def test_wrong_usage_is_one_line_and_no_run(verify: Callable[..., int], ansible: Ansible, url: str, mode: int,
                                            said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(url=url, mode=mode) == 2
    shown = capsys.readouterr().err
    assert said in shown and shown.count("\n") == 1 and "discord.example" not in shown
    assert not ansible.called


def test_a_place_that_cannot_be_written_is_wrong_usage(verify: Callable[..., int], ansible: Ansible, tmp_path: Path,
                                                       capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "reports").write_text("a file")
    assert verify() == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not ansible.called


def test_and_discord_hears_of_it(verify: Callable[..., int], tmp_path: Path, discord: SimpleNamespace) -> None:
    """A disk may have become read-only since it was set up."""
    (tmp_path / "reports").write_text("a file")
    assert verify(url=discord.url) == 2
    assert "could not run" in discord.said()[0] and "nothing before → NOT RUN]" in discord.said()[0]


@pytest.mark.parametrize("arguments", [["--keep", "0"], ["--inventory", "/none"], ["--lang", "de"]])
def test_arguments_that_cannot_be_are_refused(verify: Callable[..., int], arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        verify(*arguments)
    assert ended.value.code == 2
