# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""The Docker Engine's API over its Unix socket, with the standard library alone.

Hosts carry a Docker SDK that is too old for a current Engine (Ubuntu 22.04) or none at all, and the host's own
command may need nothing but Python. Paths are sent without a version, so the Engine answers with its newest.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from typing import Any, Iterator, List, Optional, Tuple
from urllib.parse import quote, urlencode

SOCKET = "/var/run/docker.sock"


class EngineError(Exception):
    """The Engine could not be asked, or said no. ``status`` is its HTTP status, 0 when it never answered."""

    def __init__(self, message: str, status: int = 0):
        super().__init__(message)
        self.status = status


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float):
        super().__init__("docker", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Engine:
    """One Engine. Every call opens its own connection, so that a restarted Engine is not a broken client."""

    def __init__(self, path: str = SOCKET, timeout: float = 30):
        self.path = path
        self.timeout = timeout

    def request(self, method: str, path: str, **query: Any) -> bytes:
        """The body of the answer. Raises EngineError for no answer and for any status from 400 on."""
        if query:
            path += "?" + urlencode({key: value if isinstance(value, str) else json.dumps(value)
                                     for key, value in query.items()})
        connection = _UnixConnection(self.path, self.timeout)
        try:
            connection.request(method, path, headers={"Host": "docker"})
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as problem:
            raise EngineError("the Docker Engine does not answer on %s: %s" % (self.path, problem)) from problem
        finally:
            connection.close()
        if answer.status >= 400:
            raise EngineError(_message(body) or "HTTP %d" % answer.status, answer.status)
        return body

    @contextlib.contextmanager
    def stream(self, path: str, **query: str) -> Iterator[http.client.HTTPResponse]:
        """The answer to GET as it comes, for one that may be large."""
        connection = _UnixConnection(self.path, self.timeout)
        try:
            connection.request("GET", path + "?" + urlencode(query), headers={"Host": "docker"})
            answer = connection.getresponse()
            if answer.status >= 400:
                raise EngineError(_message(answer.read()) or "HTTP %d" % answer.status, answer.status)
            yield answer
        except (OSError, http.client.HTTPException) as problem:
            raise EngineError("the Docker Engine does not answer on %s: %s" % (self.path, problem)) from problem
        finally:
            connection.close()

    def get(self, path: str, **query: Any) -> Any:
        return json.loads(self.request("GET", path, **query))

    def containers(self, project: str) -> List[dict]:
        """Every container of a Compose project, running or not, as `docker inspect` shows it."""
        labels = {"label": ["com.docker.compose.project=" + project]}
        found = []
        for entry in self.get("/containers/json", all="1", filters=labels):
            try:
                found.append(self.get("/containers/%s/json" % entry["Id"]))
            except EngineError as problem:
                if problem.status != 404:  # gone between the list and the look: not there, then
                    raise
        return found

    def image_id(self, reference: str) -> Optional[str]:
        """The id that a reference names on this host, or None."""
        try:
            return self.get("/images/%s/json" % quote(reference, safe="/:@"))["Id"]
        except EngineError as problem:
            if problem.status == 404:
                return None
            raise

    def tag(self, image_id: str, reference: str) -> None:
        repository, tag = split_reference(reference)
        self.request("POST", "/images/%s/tag" % image_id, repo=repository, tag=tag)

    def logs(self, container_id: str, lines: int, timestamps: bool = False) -> str:
        """The last lines a container wrote, standard output and error in their order; each after its moment, if so."""
        raw = self.request("GET", "/containers/%s/logs" % container_id, stdout="1", stderr="1", tail=str(lines),
                           timestamps="1" if timestamps else "0")
        return _demultiplex(raw).decode("utf-8", "replace")


def split_reference(reference: str) -> Tuple[str, str]:
    """Repository and tag. A registry's port is no tag, what has no tag is `latest`, and a digest cannot be a tag."""
    name = reference.partition("@")[0]
    repository, colon, tag = name.rpartition(":")
    return (repository, tag) if colon and "/" not in tag else (name, "latest")


def _message(body: bytes) -> str:
    try:
        return json.loads(body)["message"]
    except (ValueError, KeyError, TypeError):
        return body.decode("utf-8", "replace").strip()


def _demultiplex(raw: bytes) -> bytes:
    """The Engine frames a container's two streams: 1 byte which, 3 bytes zero, 4 bytes length, then the text."""
    text, at = [], 0
    while at + 8 <= len(raw) and raw[at] in (0, 1, 2, 3) and raw[at + 1:at + 4] == b"\0\0\0":
        size = int.from_bytes(raw[at + 4:at + 8], "big")
        if raw[at] == 3:
            # What follows is missing; this says why.
            raise EngineError("the log broke off: %s" % raw[at + 8:at + 8 + size].decode("utf-8", "replace").strip())
        text.append(raw[at + 8:at + 8 + size])
        at += 8 + size
    return b"".join(text) if at else raw
