"""The provisioned host: what the tests know of it, and how they look at it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from testinfra.host import Host

CHECKOUT = Path(__file__).resolve().parents[2]
SERVICES = ["db", "redis", "collector", "bot", "dashboard", "n8n", "prometheus", "grafana"]
DIRECTORY = "/opt/coin-pilot/deploy/cloud/oci"
# The items of the checklist that look at the moment; the others look back, over what earlier tests have broken.
AT_PRESENT = "services configuration deployed-files containers volumes ports unit secrets-file"


class Run(NamedTuple):
    """How a playbook ended: its exit code, what it printed, and `changed` tasks of the host."""

    rc: int
    output: str
    changed: int

    def expect_success(self) -> Run:
        assert self.rc == 0, self.output[-6000:]
        return self

    def expect_failure(self) -> Run:
        assert self.rc != 0, "the run was to fail and did not:\n" + self.output[-6000:]
        return self


Play = Callable[..., Run]


def inspect(host: Host, service: str) -> dict[str, Any]:
    """A container as `docker inspect` shows it."""
    shown = json.loads(host.check_output(f"docker inspect coinpilot-{service}"))[0]
    assert isinstance(shown, dict)
    return shown


def started(host: Host) -> dict[str, str]:
    """service -> when its container was started; a restart or a new container is another time."""
    return {service: str(inspect(host, service)["State"]["StartedAt"]) for service in SERVICES}


def assert_all_healthy(host: Host) -> None:
    states = {service: inspect(host, service)["State"].get("Health", {}).get("Status") for service in SERVICES}
    assert set(states.values()) == {"healthy"}, states


def query(host: Host, sql: str) -> str:
    return host.check_output(f"docker exec coinpilot-db psql -U postgres -d coinpilot -tAc {json.dumps(sql)}")


def ops(host: Host, command: str, prefix: str = "") -> tuple[int, dict[str, Any]]:
    """Exit code and report of `coinpilot-ops COMMAND`; `prefix` goes before it, such as `faketime -f -1d`."""
    done = host.run(f"{prefix} coinpilot-ops {command} --format json")
    assert done.stdout, f"no report, but exit code {done.rc}: {done.stderr}"
    return int(done.rc), dict(json.loads(done.stdout))


def said(report: dict[str, Any]) -> str:
    """What a report says, a line a finding."""
    return "\n".join(" ".join((finding["status"], finding["id"], finding["subject"], finding["seen"]["en"]))
                     for finding in report["findings"])
