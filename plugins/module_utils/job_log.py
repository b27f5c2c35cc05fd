# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""The log file of a job, for who looks later what happened at night. Nothing about it ever stops the job."""

from __future__ import annotations

import os
import pwd
import stat
import time
from typing import Optional


class JobLog:
    """Lines with the time before them, appended to a file. ``error`` says why the last one could not be written."""

    def __init__(self, directory: str, name: str, owner: str):
        self.directory = directory
        self.path = os.path.join(directory, name)
        self.owner = owner
        self.error: Optional[str] = None

    def write(self, text: str) -> None:
        now = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        lines = "".join("%s %s\n" % (now, line) for line in text.splitlines())
        try:
            self._make_directory()
            self._append(lines.encode("utf-8", "backslashreplace"))
        except OSError as problem:
            self.error = problem.strerror or str(problem)

    def _make_directory(self) -> None:
        """Makes it as the deploy does, for the person who reads there without sudo."""
        try:
            status = os.lstat(self.directory)
        except FileNotFoundError:
            os.makedirs(self.directory, mode=0o750)
            try:
                entry = pwd.getpwnam(self.owner)
            except KeyError:
                return
            if os.geteuid() == 0:
                os.chown(self.directory, entry.pw_uid, entry.pw_gid)
        else:
            # Who made the link says where root writes.
            if stat.S_ISLNK(status.st_mode) and status.st_uid not in (0, os.geteuid()):
                raise OSError("%s is a link that root did not make" % self.directory)

    def _append(self, data: bytes) -> None:
        # The directory is the operator's. A link or a pipe that lies there under the log's name is not written to.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(self.path, flags, 0o644)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
                raise OSError("%s is no plain file" % self.path)
            while data:
                data = data[os.write(descriptor, data):]
        finally:
            os.close(descriptor)
