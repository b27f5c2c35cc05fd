"""Faults on the provisioned host, and what `coinpilot-ops check all` says of them: each turns its own line, no other.

A finding is told by (item of the checklist, rule, subject, status). What was so before the first fault is the host's,
not the fault's.
"""

from __future__ import annotations

import json
import re
import shlex
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from stack_on_host import ops
from testinfra.host import Host

# Grafana sees the same fault, some time later and by itself: that its alert fires is another line, and right.
ALERTS = ("firing", "about to fire")
# What this machine does meanwhile.
MACHINE = ("load",)

# In the name of a backup.
TIME = re.compile(r"\d{8}T\d{6}Z")

# Seconds until something shows, on a machine that is busy with other hosts.
PATIENCE = 300

# Item of the checklist, rule, subject, status.
Line = tuple[str, str, str, str]
Do = Callable[["Checked"], object]


class Fault(NamedTuple):
    """What is done to the host, how it is mended, the findings that it must lead to and no others, and words of theirs.

    ``blinds`` are items that cannot be judged meanwhile, and say so: UNKNOWN. ``leaves`` says that containers and logs
    show it after the repair: the window begins anew then.
    """

    name: str
    inject: Do
    repair: Do
    turns: set[Line]
    says: str
    blinds: frozenset[str] = frozenset()
    leaves: bool = False


class Seen(NamedTuple):
    """What is not well: lines by which something is wrong, and the items that could not be judged."""

    lines: frozenset[Line]
    blind: frozenset[str]


class Checked:
    """The host between faults: what is found now, and was not found before the first of them."""

    def __init__(self, host: Host, secrets: dict[str, str]) -> None:
        self.host, self.secrets = host, secrets
        self.last: list[tuple[str, dict[str, Any]]] = []
        self.usual = Seen(frozenset(), frozenset())
        # What the logs held before is no part of it.
        self.arm()
        self.usual = self.look()

    def look(self) -> Seen:
        _code, report = ops(self.host, "check all")
        self.last = [(item["id"], finding) for item in report["items"] for finding in item["findings"]
                     if finding["status"] != "PASS" and finding["id"] not in MACHINE
                     and not finding["seen"]["en"].startswith(ALERTS)]
        lines = frozenset((item, finding["id"], TIME.sub("TIME", finding["subject"]), finding["status"])
                          for item, finding in self.last if not _is_blind(finding))
        blind = frozenset(item for item, finding in self.last if _is_blind(finding))
        return Seen(lines - self.usual.lines, blind - self.usual.blind)

    def wait(self, lines: set[Line], blind: frozenset[str] = frozenset(), says: str = "") -> None:
        """Until it says this and nothing else."""
        wanted, deadline = Seen(frozenset(lines), blind), time.monotonic() + PATIENCE
        while (seen := self.look()) != wanted or says not in self.said():
            assert time.monotonic() < deadline, f"wanted {wanted}\nfound {seen}\n{self.said()}"
            time.sleep(2)

    def said(self) -> str:
        return "\n".join(" ".join((item, finding["status"], finding["id"], finding["subject"], finding["seen"]["en"],
                                   "-", finding["fix"]["en"])) for item, finding in self.last)

    def run(self, command: str) -> str:
        return str(self.host.check_output(command))

    def grafana(self, path: str, body: Any = None, method: str = "POST") -> Any:
        """As its administrator."""
        user = f"{self.secrets['GRAFANA_ADMIN_USER']}:{self.secrets['GRAFANA_ADMIN_PASSWORD']}"
        return json.loads(self.run(shlex.join([
            "curl", "-sSf", "--max-time", "20", "--user", user, "--request", method, "--header",
            "Content-Type: application/json", "--data", json.dumps(body or {}), "http://127.0.0.1:3000" + path])))

    def arm(self) -> None:
        """The window that is looked at begins now, with the containers as they are now."""
        self.run("coinpilot-ops watch arm --reason 'a fault of the tests is over'")


def _is_blind(finding: dict[str, Any]) -> bool:
    return finding["status"] == "UNKNOWN"
