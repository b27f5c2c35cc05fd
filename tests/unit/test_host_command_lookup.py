"""The host's own command, packed into one file."""

from __future__ import annotations

import base64
import io
import os
import zipfile
from pathlib import Path

import pytest
from ansible_collections.coinpilot.ops.plugins.lookup import host_command


def archive(data: bytes) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(data))


def test_the_same_rules_give_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = host_command.pack()
    for path in sorted(host_command.RULES.glob("*.py"), reverse=True):
        copy = tmp_path / path.name
        copy.write_bytes(path.read_bytes())
        copy.chmod(0o640)
        os.utime(copy, (1_000_000_000, 1_000_000_000))
    monkeypatch.setattr(host_command, "RULES", tmp_path)
    assert host_command.pack() == first
    (tmp_path / "findings.py").write_bytes(b"# another\n")
    assert host_command.pack() != first


def test_it_is_a_program_of_all_the_rules_and_nothing_else() -> None:
    data = base64.b64decode(host_command.LookupModule().run([])[0], validate=True)
    assert data.startswith(b"#!/usr/bin/python3 -I\n")
    names = archive(data).namelist()
    assert names == sorted(names)
    assert set(names) == {"__main__.py", "coinpilot_ops/__init__.py"} | {
        f"coinpilot_ops/{path.name}" for path in host_command.RULES.glob("*.py")}
    assert all(entry.compress_type == zipfile.ZIP_DEFLATED for entry in archive(data).infolist())
