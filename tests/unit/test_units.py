"""What systemd says of its units, from a systemctl that is none."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils import units

SHOWN = """Id=cron.service
LoadState=loaded
UnitFileState=enabled
ActiveState=active
SubState=running

Id=crond.service
LoadState=not-found
UnitFileState=
ActiveState=inactive
SubState=dead
"""


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "systemctl"
    monkeypatch.setenv("PATH", str(tmp_path))
    return program


def says(program: Path, text: str, complaint: str = "", code: int = 0) -> None:
    program.write_text(f"#!/bin/sh\n/bin/cat <<'END'\n{text}END\nprintf '%s' '{complaint}' >&2\nexit {code}\n",
                       encoding="utf-8")
    program.chmod(0o755)


def test_units(systemctl: Path) -> None:
    says(systemctl, SHOWN)
    cron, crond = units.show("cron.service", "crond.service")
    assert units.runs(cron) and not units.runs(crond)
    assert [units.state(unit) for unit in (cron, crond)] == ["enabled, active (running)", "not-found, inactive (dead)"]
    assert units.show() == []


def test_installed(systemctl: Path) -> None:
    says(systemctl, "coinpilot-metrics.service enabled enabled\ncoinpilot-verify.timer    enabled enabled\n\n")
    assert units.installed("coinpilot-*") == ["coinpilot-metrics.service", "coinpilot-verify.timer"]
    # None at all is no error, whatever the exit code.
    says(systemctl, "", code=1)
    assert units.installed("coinpilot-*") == []


@pytest.mark.parametrize("complaint", ["System has not been booted with systemd", "Failed to connect to bus"])
def test_no_systemd(systemctl: Path, complaint: str) -> None:
    says(systemctl, "", complaint, 1)
    with pytest.raises(units.Unread, match=complaint):
        units.show("cron.service")
    systemctl.unlink()
    with pytest.raises(units.Unread, match="FileNotFoundError"):
        units.installed("coinpilot-*")
