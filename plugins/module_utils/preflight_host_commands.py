# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""The host's own programs, asked for what only they can tell."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Set

from .container import one_line

# A user's own PATH, and an Ansible task's, may lack the directories of the administrator's programs.
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def there(program: str) -> bool:
    return shutil.which(program, path=_PATH) is not None


def enabled(*units: str) -> Set[str]:
    """Those of the units that run at boot."""
    shown = run("systemctl", "show", "--property=UnitFileState", *units)
    # One block a unit, in the order asked for.
    return {unit for unit, block in zip(units, shown.strip("\n").split("\n\n")) if block == "UnitFileState=enabled"}


def run(program: str, *arguments: str, timeout: float = 20) -> str:
    """What it writes to standard output. OSError when it is not there or ends badly."""
    path = shutil.which(program, path=_PATH)
    if path is None:
        raise OSError("there is no %s" % program)
    done = subprocess.run([path, *arguments], stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8",
                          errors="replace", timeout=timeout, check=False,
                          env={"PATH": _PATH, "LC_ALL": "C.UTF-8", "HOME": os.environ.get("HOME", "/")})
    if done.returncode:
        raise OSError("%s: %s" % (program, one_line(done.stderr or done.stdout) or "exit code %d" % done.returncode))
    return done.stdout
