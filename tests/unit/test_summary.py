"""The last line of `make test` says what really happened."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SUMMARY = Path(__file__).resolve().parents[2] / "tools" / "summary.py"


def junit(directory: Path, name: str, **counts: int) -> str:
    attributes = " ".join(f'{key}="{value}"' for key, value in counts.items())
    file = directory / name
    file.write_text(f"<testsuites><testsuite name='pytest' {attributes}></testsuite></testsuites>")
    return str(file)


def summary(*arguments: str) -> tuple[int, str]:
    result = subprocess.run([sys.executable, SUMMARY, *arguments], capture_output=True, text=True, check=False)
    return result.returncode, result.stdout.splitlines()[-1]


def test_a_step_with_two_files_counts_both_and_needs_both(tmp_path: Path) -> None:
    files = [junit(tmp_path, name, tests=3, failures=0, errors=0, skipped=0) for name in ("a.xml", "b.xml")]
    assert summary("molecule=0:" + ":".join(files)) == (0, "6 passed, 0 failed")
    assert summary(f"molecule=0:{files[0]}:{tmp_path}/missing.xml") == (1, "3 passed, 1 failed")


def test_all_is_well(tmp_path: Path) -> None:
    unit = junit(tmp_path, "unit.xml", tests=5, failures=0, errors=0, skipped=0)
    assert summary("lint=0", f"unit=0:{unit}") == (0, "6 passed, 0 failed")


@pytest.mark.parametrize(("arguments", "last"), [
    (["lint=2", "unit=0:{good}"], "5 passed, 1 failed"),
    (["unit=1:{bad}"], "2 passed, 2 failed, 1 skipped"),
    (["unit=0:{bad}"], "2 passed, 2 failed, 1 skipped"),
    # Failed around its tests, not in one; no test at all; no file; half a file.
    (["unit=1:{good}"], "5 passed, 1 failed"),
    (["unit=0:{none}"], "0 passed, 1 failed"),
    (["unit=0:{missing}"], "0 passed, 1 failed"),
    (["unit=0:{broken}"], "0 passed, 1 failed"),
])
def test_what_is_not_well_fails(tmp_path: Path, arguments: list[str], last: str) -> None:
    files = {
        "good": junit(tmp_path, "good.xml", tests=5, failures=0, errors=0, skipped=0),
        "bad": junit(tmp_path, "bad.xml", tests=5, failures=1, errors=1, skipped=1),
        "none": junit(tmp_path, "none.xml", tests=0, failures=0, errors=0, skipped=0),
        "missing": str(tmp_path / "missing.xml"),
        "broken": str(tmp_path / "broken.xml"),
    }
    Path(files["broken"]).write_text("<testsuites><testsuite tests='5'>")
    assert summary(*(argument.format(**files) for argument in arguments)) == (1, last)
