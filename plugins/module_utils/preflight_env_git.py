# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Whether Git knows a file: tracked, once committed, or one `git add .` away from it.

The repository may belong to somebody else than who asks. Git refuses that, rightly: a repository's own settings can
name programs to run. So root asks as the repository's owner, and what could run a program is switched off.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Any, Dict, NamedTuple, Optional, Tuple

_QUIET = ["-c", "safe.directory=*", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"]
_TIMEOUT = 20


class Git(NamedTuple):
    """What Git knows of the file; ``root`` is empty where it is in no repository. ``error``: it could not be told."""

    root: str = ""
    tracked: bool = False
    committed: bool = False
    ignored: bool = False
    error: str = ""


class _NoAnswer(Exception):
    """Git is not there or did not answer; the text says why."""


def look(path: str) -> Git:
    root, directory = _repository(os.path.dirname(path))
    if not root:
        return Git()
    name = os.path.relpath(path, root)
    exactly = ":(literal)" + name
    try:
        ask = _Program(root, os.stat(directory))
        return Git(root, tracked=bool(ask.run("ls-files", "--", exactly)),
                   committed=bool(ask.run("rev-list", "--all", "--max-count=1", "--", exactly)),
                   ignored=ask.run("check-ignore", "--no-index", "--", "./" + name, also=1) != "")
    except (_NoAnswer, OSError) as error:
        return Git(root, error=getattr(error, "strerror", None) or str(error))


def _repository(directory: str) -> Tuple[str, str]:
    """The working tree that a directory is in, and its `.git` (a file in a worktree or submodule)."""
    while True:
        git = os.path.join(directory, ".git")
        if os.path.isfile(git) or os.path.isfile(os.path.join(git, "HEAD")):
            return directory, git
        parent = os.path.dirname(directory)
        if parent == directory:
            return "", ""
        directory = parent


class _Program:
    """`git` in one working tree, as the owner of its `.git` when root asks."""

    def __init__(self, root: str, status: os.stat_result):
        self.root = root
        self.command: Optional[str] = shutil.which("git")
        self.identity: Dict[str, Any] = {}
        if os.geteuid() == 0 and status.st_uid:
            self.identity = {"user": status.st_uid, "group": status.st_gid, "extra_groups": []}

    def run(self, *arguments: str, also: int = 0) -> str:
        """What it says. ``also`` is an exit code that is an answer too. Raises _NoAnswer."""
        if self.command is None:
            raise _NoAnswer("git is not installed")
        environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": "/nonexistent", "LC_ALL": "C",
                       "GIT_CONFIG_NOSYSTEM": "1", "GIT_NO_LAZY_FETCH": "1", "GIT_OPTIONAL_LOCKS": "0",
                       "GIT_TERMINAL_PROMPT": "0"}
        try:
            done = subprocess.run([self.command, "--no-pager", *_QUIET, "-C", self.root, *arguments],
                                  stdin=subprocess.DEVNULL, capture_output=True, env=environment, encoding="utf-8",
                                  errors="replace", timeout=_TIMEOUT, check=False, **self.identity)
        except subprocess.SubprocessError as error:
            raise _NoAnswer("git %s: %s" % (arguments[0], type(error).__name__)) from None
        if done.returncode not in (0, also):
            raise _NoAnswer("git %s: %s" % (arguments[0], (done.stderr.strip().splitlines() or ["no answer"])[0]))
        return done.stdout.strip()
