"""The corpus of Compose projects, bad and good, through the command itself: see tests/corpus/compose/README.md."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.coinpilot.ops.plugins.lookup.host_command import pack
from ansible_collections.coinpilot.ops.plugins.module_utils import preflight_compose, preflight_rules

CORPUS = Path(__file__).parents[1] / "corpus" / "compose"
BAD = sorted(CORPUS.glob("bad/*/*"))
GOOD = sorted(CORPUS.glob("good/*"))
ENTRIES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml", "docker-compose.prod.yml")
# What stands for a secret in the files, and how those of good.env begin.
SECRETS = ("Vq7mT2xKp9Lw4RzN", "corpus-")

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def entry(project: Path) -> Path:
    """The file that says what the project is about."""
    if project.is_file():
        return project
    return project / next(name for name in (*arguments(project)[1::2], *ENTRIES) if (project / name).is_file())


def arguments(project: Path) -> list[str]:
    """What stands on the command line of a project of several files instead of its one entry."""
    listed = project / "args"
    return listed.read_text().split() if listed.is_file() else []


def name(project: Path) -> str:
    return str(project.relative_to(CORPUS).with_suffix(""))


def lay_out(project: Path, directory: Path) -> list[str]:
    """Copies the project to a directory of its own, as it would be deployed; the arguments that judge it."""
    if project.is_dir():
        shutil.copytree(project, directory)
    else:
        directory.mkdir()
        shutil.copy(project, directory)
    env_file = directory / ".env"
    if not env_file.exists():
        shutil.copy(CORPUS / "good.env", env_file)
    env_file.chmod(0o600)
    directory.chmod(0o700)
    policy = ["--policy", "policy.json"] if (directory / "policy.json").is_file() else []
    return [*(arguments(project) or ["--compose", entry(project).name]), "--env-file", ".env", *policy]


@pytest.fixture(scope="module")
def run(compose_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs the command as a program of its own, with nothing of this test's environment but what it needs.

    It is unpacked, so that Python compiles it once and not for each of the projects.
    """
    program = tmp_path_factory.mktemp("coinpilot-ops")
    zipfile.ZipFile(io.BytesIO(pack())).extractall(program)

    def run_program(*given: str, directory: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-I", str(program), "preflight", *given], cwd=directory, timeout=120,
                              env={"HOME": str(compose_home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)

    return run_program


@pytest.fixture(scope="module")
def judged(run: Run, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory,
           ) -> Iterator[dict[Path, Future[subprocess.CompletedProcess[str]]]]:
    """The outcome of every project that was chosen. They are judged side by side: most of the time is waiting."""
    def judge(project: Path, directory: Path) -> subprocess.CompletedProcess[str]:
        return run(*lay_out(project, directory), "--format", "json", directory=directory)

    chosen = [item.callspec.params["project"] for item in request.session.items
              if isinstance(item, pytest.Function) and "judged" in item.fixturenames]
    root = tmp_path_factory.mktemp("projects")
    pool = ThreadPoolExecutor(os.cpu_count())
    yield {project: pool.submit(judge, project, root / str(number)) for number, project in enumerate(chosen)}
    pool.shutdown(cancel_futures=True)


def report(result: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    for secret in SECRETS:
        assert secret not in result.stdout + result.stderr, "a value is shown"
    shown = json.loads(result.stdout)
    # The line for a person comes beside the JSON, not in it.
    assert result.stderr == shown["result"] + "\n"
    return shown


def told(findings: list[dict[str, Any]], *statuses: str) -> dict[str, list[str]]:
    """Rule -> what it says, for the findings of these statuses."""
    by_rule: dict[str, list[str]] = {}
    for finding in findings:
        if finding["status"] in statuses:
            by_rule.setdefault(finding["id"], []).append(f"{finding['service']}: {finding['seen']['en']}")
    return by_rule


@pytest.mark.parametrize("project", BAD, ids=name)
def test_bad(project: Path, judged: dict[Path, Future[subprocess.CompletedProcess[str]]]) -> None:
    result = judged[project].result()
    shown = report(result)
    failed = told(shown["findings"], "FAIL")
    assert set(failed) == set(project.parent.name.split("+")), failed
    assert not told(shown["findings"], "UNKNOWN")
    assert result.returncode == shown["exit_code"] == 1
    assert shown["result"] == f"[RESULT] FAILED ({sum(map(len, failed.values()))} issues)"


@pytest.mark.parametrize("project", GOOD, ids=name)
def test_good(project: Path, judged: dict[Path, Future[subprocess.CompletedProcess[str]]]) -> None:
    result = judged[project].result()
    shown = report(result)
    assert not told(shown["findings"], "FAIL", "UNKNOWN")
    assert result.returncode == shown["exit_code"] == 0
    assert shown["result"] == "[RESULT] PASSED"


@pytest.mark.parametrize("what", ["no-such.yml", "a-directory", "not-text.yml", "empty.yml"])
def test_what_is_no_compose_file_is_one_finding_and_a_last_line(what: str, run: Run, tmp_path: Path) -> None:
    (tmp_path / "a-directory").mkdir()
    (tmp_path / "not-text.yml").write_bytes(b"\x00\xff\xfe services: \x80\n")
    (tmp_path / "empty.yml").write_bytes(b"")
    shutil.copy(CORPUS / "good.env", tmp_path / ".env")
    (tmp_path / ".env").chmod(0o600)
    tmp_path.chmod(0o700)
    result = run("--compose", what, "--env-file", ".env", directory=tmp_path)
    assert result.returncode == 1
    assert result.stdout.splitlines()[-1] == "[RESULT] FAILED (1 issues)"


@pytest.mark.parametrize(("project", "last"), [
    (CORPUS / "good" / "port-loopback.yml", "[RESULT] PASSED"),
    (CORPUS / "bad" / "compose-port-public" / "short.yml", "[RESULT] FAILED (1 issues)"),
], ids=["good", "bad"])
def test_the_last_line_for_a_person(project: Path, last: str, run: Run, tmp_path: Path) -> None:
    result = run(*lay_out(project, tmp_path / "project"), directory=tmp_path / "project")
    assert result.stdout.splitlines()[-1] == last


def test_every_rule_on_compose_files_has_its_bad_ones() -> None:
    covered = {rule for project in BAD for rule in project.parent.name.split("+")}
    assert covered <= set(preflight_rules.RULES)
    assert covered >= set(preflight_compose.RULES)


@pytest.mark.parametrize("project", [*BAD, *GOOD], ids=name)
def test_the_first_line_says_why(project: Path) -> None:
    line = entry(project).read_text().splitlines()[0]
    assert line.startswith("# Unsafe: " if project in BAD else "# Safe: ")
    assert line.endswith(".")
