# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""The modules of the host's command where Python keeps them compiled: of a zip file it compiles each at every start.

The directory is made by the deploy. Where it is not there, or cannot be written, the zip file serves as it is.
"""

from __future__ import annotations

import os
import stat
import time
from types import ModuleType

DIRECTORY = "/var/cache/coinpilot-ops"
# Seconds for which what another version left is kept: one that still runs may not have imported everything.
_KEPT = 86400


def use(package: ModuleType, cache: str = DIRECTORY) -> None:
    """Has the modules of a package that was found in a zip file come from the directory from now on."""
    program, name = os.path.split(next(iter(package.__path__)))
    try:
        status = os.lstat(cache)
        # Root runs what lies there.
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
            return
        file = os.stat(program)
        directory = os.path.join(cache, "%x-%x" % (file.st_mtime_ns, file.st_size))
        if not os.path.isdir(directory):
            _unpack(program, directory)
    except OSError:
        return
    package.__path__ = [os.path.join(directory, name)]


def _unpack(program: str, directory: str) -> None:
    """Appears whole or not at all. Raises OSError."""
    import shutil
    import tempfile
    import zipfile

    cache = os.path.dirname(directory)
    for entry in os.scandir(cache):
        if entry.stat(follow_symlinks=False).st_mtime < time.time() - _KEPT:
            shutil.rmtree(entry.path, ignore_errors=True)
    temporary = tempfile.mkdtemp(dir=cache)
    try:
        with zipfile.ZipFile(program) as archive:
            archive.extractall(temporary)
        os.rename(temporary, directory)
    except zipfile.BadZipFile as problem:
        raise OSError("%s is no zip file" % program) from problem
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
