# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Docker Compose on this host: what a service is given of `.env`, and the command itself."""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional
from urllib.parse import quote

_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)")
_URLENCODED = "_URLENCODED"


class ComposeError(Exception):
    """A `docker compose` command failed; the text is the end of what it said."""


def release_key(description: Mapping[str, Any]) -> str:
    """The key of `.env` that holds the release, e.g. COINPILOT_RELEASE."""
    return re.sub(r"\W", "_", description["name"]).upper() + "_RELEASE"


def service_environment(services: Mapping[str, Mapping[str, Any]], required: Iterable[str],
                        keys: Iterable[str]) -> Dict[str, Dict[str, str]]:
    """Which container gets what: service -> {variable: value as in a compose file}.

    ``keys`` are the keys of `.env`. A service gets its own ``environment`` and, of its ``keys``, those that
    exist. A key that the description does not know is passed through to every service built on the host.
    """
    present = set(keys)
    known = set(required) | {"TZ"}
    for service in services.values():
        known.update(service.get("keys", ()))
        for name, value in service.get("environment", {}).items():
            known.add(name)
            known.update(_REFERENCE.findall(str(value)))
    environments = {}
    for name, service in services.items():
        own = {key: str(value) for key, value in service.get("environment", {}).items()}
        wanted = set(service.get("keys", ())) & present
        if service.get("dockerfile"):
            wanted |= present - known
        own.update({key: "${%s}" % key for key in wanted if key not in own})
        environments[name] = dict(sorted(own.items()))
    return environments


def complete_environment(services: Mapping[str, Mapping[str, Any]], values: Mapping[str, str]) -> Dict[str, str]:
    """The keys of `.env` with the percent-encoded twins that the services' environment asks for."""
    complete = dict(values)
    for service in services.values():
        for value in service.get("environment", {}).values():
            for key in _REFERENCE.findall(str(value)):
                plain = key[:-len(_URLENCODED)] if key.endswith(_URLENCODED) else None
                if plain in complete:
                    complete[key] = quote(complete[plain], safe="")
    return complete


class Compose:
    """`docker compose` for one project, with one compose file and one `.env`."""

    def __init__(self, project: str, directory: str, compose_file: str, env_file: str,
                 log: Optional[Callable[[str], None]] = None):
        self.command = ["docker", "compose", "--project-name", project, "--project-directory", directory,
                        "--env-file", env_file, "--file", compose_file]
        self.directory = directory
        self.log = log or (lambda line: None)

    def start(self, *arguments: str) -> subprocess.Popen:
        """The command as a running process, both its streams in one."""
        return subprocess.Popen(self.command + list(arguments), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, env=cli_environment(), encoding="utf-8", errors="replace")

    def run(self, *arguments: str) -> str:
        """What the command said. Raises ComposeError with the last lines when it fails."""
        said: List[str] = []
        with self.start(*arguments) as process:
            for line in process.stdout or ():
                said.append(line)
                self.log(line.rstrip("\n"))
        if process.returncode:
            raise ComposeError(tail("".join(said), 15))
        return "".join(said)

    def resolved(self) -> Dict[str, Any]:
        """The project as Compose resolves it. Holds secrets: never write it anywhere."""
        return json.loads(self._quiet("config", "--format", "json"))

    def environment(self, keys: Iterable[str]) -> Dict[str, str]:
        """The values that Compose reads from `.env` for these keys, byte for byte. Secrets, again."""
        probe = {"services": {"probe": {"image": "probe", "environment": {key: "${%s}" % key for key in keys}}}}
        answer = json.loads(self._quiet("config", "--format", "json", given=json.dumps(probe)))
        # `config` writes what could be read again, so every dollar sign comes doubled.
        return {key: value.replace("$$", "$")
                for key, value in answer["services"]["probe"].get("environment", {}).items()}

    def hashes(self) -> Dict[str, str]:
        """service -> the hash that Compose labels its containers with."""
        lines = self._quiet("config", "--hash", "*").split("\n")
        return {name: digest for name, _space, digest in (line.partition(" ") for line in lines) if digest}

    def version(self) -> str:
        """As Compose labels its containers with it: three numbers, and nothing of what a distribution adds."""
        said = self._quiet("version", "--short").strip()
        numbers = re.match(r"v?(\d+\.\d+\.\d+)", said)
        return numbers.group(1) if numbers else said

    def _quiet(self, *arguments: str, given: Optional[str] = None) -> str:
        """Standard output alone (warnings would spoil what is to be parsed). ``given`` is read as the compose file."""
        command = self.command if given is None else self.command[:-1] + ["-"]
        done = subprocess.run(command + list(arguments), input=given or "", capture_output=True,
                              env=cli_environment(), encoding="utf-8", errors="replace", check=False)
        if done.returncode:
            raise ComposeError(tail(done.stderr, 15))
        return done.stdout


def cli_environment() -> Dict[str, str]:
    """What `docker` needs of this process's variables and no more: any other would override `.env`."""
    kept = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    return dict(kept, LC_ALL="C.UTF-8", COMPOSE_ANSI="never", COMPOSE_PROGRESS="plain", BUILDKIT_PROGRESS="plain",
                DOCKER_CLI_HINTS="false")


def tail(text: str, lines: int) -> str:
    return "\n".join(text.strip().splitlines()[-lines:])
