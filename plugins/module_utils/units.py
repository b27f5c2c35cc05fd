# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""What systemd says of its units."""

from __future__ import annotations

import subprocess
from typing import Dict, List

PROPERTIES = ("Id", "LoadState", "UnitFileState", "ActiveState", "SubState", "Result", "ExecMainStatus",
              "ConditionResult")


class Unread(Exception):
    """systemd could not be asked."""


def show(*names: str) -> List[Dict[str, str]]:
    """The properties of units, in the order asked for; one that does not exist has the LoadState not-found."""
    if not names:
        return []
    shown = _systemctl("show", "--property=" + ",".join(PROPERTIES), *names)
    return [dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
            for block in shown.strip("\n").split("\n\n")]


def installed(pattern: str) -> List[str]:
    """The units with a file whose names are as a pattern says."""
    listed = _systemctl("list-unit-files", "--no-legend", "--plain", "--no-pager", pattern)
    return [line.split()[0] for line in listed.splitlines() if line.strip()]


def runs(unit: Dict[str, str]) -> bool:
    """Whether it is at work, and returns at boot."""
    return unit.get("ActiveState") == "active" and unit.get("UnitFileState") == "enabled"


def state(unit: Dict[str, str]) -> str:
    """As a person reads it, e.g. enabled, active (running)."""
    return "%s, %s (%s)" % (unit.get("UnitFileState") or unit.get("LoadState"), unit.get("ActiveState"),
                            unit.get("SubState"))


def _systemctl(*arguments: str) -> str:
    try:
        done = subprocess.run(["systemctl", *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                              encoding="utf-8", errors="replace", timeout=10, check=False)
    except (OSError, subprocess.SubprocessError) as problem:
        raise Unread("systemctl: %s" % type(problem).__name__) from problem
    # `list-unit-files` ends with 1 where it lists none.
    if done.returncode and done.stderr.strip():
        raise Unread("systemctl: %s" % done.stderr.strip().splitlines()[-1])
    return done.stdout
