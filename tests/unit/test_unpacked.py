"""The host's command from where Python keeps its modules compiled."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ansible_collections.coinpilot.ops.plugins.lookup.host_command import pack

# Started as the program starts itself, with another directory; it says where its modules come from.
START = """\
import sys
sys.path.insert(0, {program!r})
import coinpilot_ops
from coinpilot_ops import unpacked
unpacked.use(coinpilot_ops, {cache!r})
from coinpilot_ops import command
print(command.__file__)
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "bin" / "coinpilot-ops"
    path.parent.mkdir()
    path.write_bytes(pack())
    return path


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    path = tmp_path / "cache"
    path.mkdir(mode=0o700)
    return path


def start(program: Path, cache: Path) -> str:
    code = START.format(program=str(program), cache=str(cache))
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_second_start_finds_it_compiled(program: Path, cache: Path) -> None:
    first = start(program, cache)
    assert first.startswith(f"{cache}/") and start(program, cache) == first
    (directory,) = cache.iterdir()
    compiled = directory / "coinpilot_ops" / "__pycache__"
    assert [path for path in compiled.iterdir() if path.name.startswith("command.")]


def test_another_version_is_another_directory(program: Path, cache: Path) -> None:
    first = start(program, cache)
    for age in (10, 2 * 86400):
        os.utime(next(cache.iterdir()), (time.time() - age,) * 2)
        program.write_bytes(pack() + b" ")
        os.utime(program, (age, age))
        assert start(program, cache) != first
    # What is older than a day is gone.
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize("why", ["missing", "open", "file", "not writable"])
def test_without_the_directory_the_file_serves(program: Path, cache: Path, why: str) -> None:
    if why == "open":
        cache.chmod(0o755)
    else:
        cache.rmdir()
    if why == "file":
        cache.write_text("")
    elif why == "not writable":
        cache.symlink_to("/proc")
    assert start(program, cache) == f"{program}/coinpilot_ops/command.py"
