# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""What Compose makes of the files: resolved, and once more with the variables left as they stand."""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from . import compose, dotenv

SECONDS = 60
# What plain `docker compose` takes by itself, and what it lays over it, in its own order of preference.
DEFAULT_NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
OVERRIDES = ("compose.override.yml", "compose.override.yaml",
             "docker-compose.override.yml", "docker-compose.override.yaml")
# An include from afar is fetched anew by the next `up`: what was judged is not what runs.
_LOCAL_ONLY = {"COMPOSE_EXPERIMENTAL_GIT_REMOTE": "0", "COMPOSE_EXPERIMENTAL_OCI_REMOTE": "0"}
_UNSET = re.compile(r'The \\?"([A-Za-z_][A-Za-z0-9_]*)\\?" variable is not set')
_WARNING = re.compile(r'^time="|level=warning')
# Compose ends these with what it could not read, which may be a secret.
_QUOTES_INPUT = re.compile(r"(near|quoted value|parsing|invalid template:|with another \$\.|invalid spec:)\s.*",
                           re.DOTALL)
_QUOTED = re.compile(r"""(["'`])(.*?)\1""")
_NAME = re.compile(r"[A-Za-z0-9_.\-/: ]{1,60}\Z")
_USER_INFO = re.compile(r"(://[^/\s:@]*:)[^/\s@]+@")


class Rendering(NamedTuple):
    """One answer of `docker compose config`; ``error`` says why there is none."""

    project: Optional[Dict[str, Any]]
    error: str = ""
    # Variables that Compose took for empty, with no more than a warning.
    unset: Tuple[str, ...] = ()


def chosen_files(files: Sequence[str]) -> List[str]:
    """The files that count: those named, and the override file that plain `docker compose` would take beside one."""
    chosen = list(files)
    if len(chosen) == 1 and os.path.basename(chosen[0]) in DEFAULT_NAMES:
        beside = (os.path.join(os.path.dirname(chosen[0]), name) for name in OVERRIDES)
        chosen.extend([path for path in beside if os.path.isfile(path)][:1])
    return chosen


def render(files: Sequence[str], env_file: str, secrets: Iterable[str] = (),
           directory: str = "") -> Tuple[Rendering, Rendering]:
    """Resolved, and with the variables as they stand. Both run at once. No error has one of the ``secrets`` in it."""
    settings = env_file if os.path.lexists(env_file) else os.devnull
    command = ["docker", "compose", "--profile", "*", "--env-file", settings]
    if directory:
        command += ["--project-directory", directory]
    for path in files:
        command += ["--file", path]
    command += ["config", "--format", "json"]
    masked = [value for value in secrets if len(value) >= 4]
    started = [_start(command), _start([*command, "--no-interpolate"])]
    resolved, raw = [_answer(process, masked) for process in started]
    return resolved, raw


def available() -> bool:
    """Whether there is a `docker compose` here that could have answered."""
    try:
        done = subprocess.run(["docker", "compose", "version"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, env=compose.cli_environment(), timeout=SECONDS, check=False)
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0


def reason(said: str, secrets: Iterable[str] = ()) -> str:
    """Why Compose refuses, in one line, with nothing in it that might be a secret."""
    lines = [line.strip() for line in said.splitlines() if line.strip() and not _WARNING.search(line)]
    text = " ".join(lines[-3:]) or "docker compose said nothing"
    for value in sorted(secrets, key=len, reverse=True):
        text = text.replace(value, "***")
    text = _QUOTES_INPUT.sub(r"\1 ***", text)
    text = _USER_INFO.sub(r"\1***@", text)
    text = _QUOTED.sub(lambda match: match.group(0) if _NAME.match(match.group(2)) else "***", text)
    return text if len(text) <= 300 else text[:297] + "..."


def _start(command: List[str]) -> Any:
    try:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                env=dict(compose.cli_environment(), **_LOCAL_ONLY), encoding="utf-8", errors="replace")
    except (OSError, ValueError) as error:
        return error


def _answer(process: Any, secrets: Iterable[str]) -> Rendering:
    if isinstance(process, Exception):
        return Rendering(None, str(process))
    try:
        out, said = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return Rendering(None, "docker compose config did not end within %d s" % SECONDS)
    unset = tuple(dict.fromkeys(_UNSET.findall(said)))
    if process.returncode:
        return Rendering(None, reason(said, secrets), unset)
    try:
        project = json.loads(out)
    except ValueError:
        project = None
    if not isinstance(project, dict):
        return Rendering(None, "docker compose config gave no JSON object", unset)
    return Rendering(project, "", unset)


def values(env_file: str) -> Mapping[str, str]:
    """What is in `.env`, or nothing. Only for masking, and for paths of other files."""
    try:
        with open(env_file, encoding="utf-8", errors="replace") as stream:
            return dotenv.parse(stream.read())
    except (OSError, ValueError):
        return {}
