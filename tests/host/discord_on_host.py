"""The sink that plays Discord, in a container beside the stack: Grafana and n8n find it by DISCORD_WEBHOOK_URL."""

from __future__ import annotations

import base64
import json
import re
import shlex
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from stack_on_host import CHECKOUT
from testinfra.host import Host

CONTAINER = NETWORK_ALIAS = "discord-sink"
NETWORK = "oci_default"
ASK = """
import sys, urllib.request
method, path, body = sys.argv[1:]
request = urllib.request.Request("http://127.0.0.1:8080" + path, body.encode() or None, method=method)
print(urllib.request.urlopen(request, timeout=10).read().decode())
"""


class Message(NamedTuple):
    """``title`` is the first embed's; ``arrived`` is in seconds of the host's clock."""

    arrived: float
    title: str
    content: str

    @property
    def resolved(self) -> bool:
        return "resolved" in self.title

    @property
    def about(self) -> str:
        """The rule, and the service where it is about one."""
        return re.sub(r".*?(?=[A-Z]\w+( · .*)?$)", "", self.title)


class Told(NamedTuple):
    """How often something was said to be wrong, and how often to be over."""

    fired: int
    resolved: int


class Discord:
    def __init__(self, host: Host) -> None:
        self.host = host
        self.remove()
        source = base64.b64encode((CHECKOUT / "tests" / "stand_in" / "discord_sink.py").read_bytes()).decode()
        host.check_output(
            f"echo {source} | base64 -d > /var/tmp/discord_sink.py && docker run --detach --name {CONTAINER} "
            f"--network {NETWORK} --network-alias {NETWORK_ALIAS} "
            "--volume /var/tmp/discord_sink.py:/discord_sink.py:ro python:3.12-slim python /discord_sink.py")
        host.check_output(f"timeout 300 sh -c 'until docker exec {CONTAINER} python -c "
                          "\"import socket; socket.create_connection((\\\"127.0.0.1\\\", 8080))\"; do sleep 0.3; done'")

    def remove(self) -> None:
        self.host.check_output(f"docker rm --force {CONTAINER}; rm -f /var/tmp/discord_sink.py")

    def ask(self, method: str, path: str, body: str = "") -> Any:
        command = ["docker", "exec", CONTAINER, "python", "-c", ASK, method, path, body]
        told = self.host.check_output(shlex.join(command))
        return json.loads(told or "null")

    def mode(self, **mode: float) -> None:
        """``status``, ``delay``, ``retry_after``; none of them is as usual."""
        self.ask("POST", "/mode", json.dumps(mode))

    def alerts(self) -> list[Message]:
        """What Grafana told: n8n has other names. That something is over which was told before the sink was there, is
        left out."""
        told: list[Message] = []
        for entry in self.ask("GET", "/messages"):
            title = entry["message"]["embeds"][0]["title"]
            message = Message(entry["arrived"], title, entry["message"]["content"])
            grafana = entry["message"].get("username") == "Grafana"
            if grafana and (not message.resolved or message.about in {earlier.about for earlier in told}):
                told.append(message)
        return told

    def refused(self) -> list[dict[str, Any]]:
        return list(self.ask("GET", "/refused"))

    def leave(self) -> None:
        """Discord cannot be reached any more."""
        self.host.check_output(f"docker network disconnect {NETWORK} {CONTAINER}")

    def come_back(self) -> None:
        self.host.check_output(f"docker network connect --alias {NETWORK_ALIAS} {NETWORK} {CONTAINER}")

    def wait(self, wanted: Mapping[str, Told], seconds: int = 600) -> None:
        """Until so much has been told of each rule."""
        deadline = time.monotonic() + seconds
        while True:
            messages = self.alerts()
            missing = [name for name, told in wanted.items() if any(map(int.__lt__, count(messages, name), told))]
            if not missing:
                return
            assert time.monotonic() < deadline, f"not yet told: {missing}; what was: {titles(messages)}"
            time.sleep(1)


def titles(messages: list[Message]) -> list[str]:
    """What came when, a line each."""
    return [f"{message.arrived:.0f} {message.title}" for message in messages]


def count(messages: list[Message], name: str) -> Told:
    """How often a rule was told of; a title says more than the rule's name."""
    found = [message.resolved for message in messages if name in message.title]
    return Told(found.count(False), found.count(True))
