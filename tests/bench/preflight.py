"""The preflight of a large compose file beside the time that Compose itself needs to resolve it, on the same host."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

from backups import Host
from table import Row, say

SERVICES = 200
PLACE = "/var/tmp/bench-preflight"
REPEATS = 5


def measure(ssh_config: Path) -> list[Row]:
    host = Host(ssh_config)
    say(f"preflight of {SERVICES} services …")
    host.root(f"install -d -m 700 {PLACE}; cat > {PLACE}/compose.json", given=json.dumps(project()))
    host.root(f"umask 077; echo DB_PASSWORD=mRkV7pXw2eGzQ9sTn4Lb > {PLACE}/.env")
    files = f"{PLACE}/compose.json --env-file {PLACE}/.env"
    try:
        ours, composes = [], []
        for _ in range(REPEATS):
            composes.append(host.measure(f"docker compose --file {files} --profile '*' config --format json").seconds)
            ours.append(host.measure(f"coinpilot-ops preflight --compose {files}").seconds)
    finally:
        host.root(f"rm -r {PLACE}")
    own, floor = statistics.median(ours), statistics.median(composes)
    return [Row(f"floor: docker compose config, {SERVICES} services", floor),
            Row(f"preflight, {SERVICES} services", own, f"{own - floor:+.2f} s over it", "< 1 s over it")]


def project() -> dict[str, object]:
    """A safe one, so that every rule looks at every service. JSON is YAML."""
    return {"services": {f"service-{number}": service(number) for number in range(SERVICES)},
            "volumes": {f"data-{number}": {} for number in range(SERVICES)}}


def service(number: int) -> dict[str, object]:
    return {
        "image": f"registry.example.com:5000/team/service-{number}:1.{number}.0",
        "user": "1000:1000",
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "environment": {"DATABASE_PASSWORD": "${DB_PASSWORD}", "WORKERS": "4", "LOG_LEVEL": "info"},
        "ports": [f"127.0.0.1:{20000 + number}:8000"],
        "volumes": [f"data-{number}:/data", "./config:/etc/service:ro"],
        "healthcheck": {"test": ["CMD", "wget", "-qO-", "http://127.0.0.1:8000/health"]},
    }
