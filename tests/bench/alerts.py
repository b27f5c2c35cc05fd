"""From a failure to the message in Discord, beyond what the rule waits by itself. The sink of the tests plays Discord.

The rules' own `for` is taken from them for the time of the measurement: it is known, and would only be waited for.
"""

from __future__ import annotations

import json
import shlex
import time
from pathlib import Path
from typing import Any, NamedTuple

from backups import Host
from table import Row, say

SINK = "discord-sink"
PLACE = "/var/tmp/bench-alerts"
BACKUPS, METRICS = "/var/backups/coinpilot", "/var/lib/coinpilot/metrics"
RULES = "/opt/coin-pilot/deploy/cloud/oci/monitoring/grafana/provisioning/alerting/rules.yml"
PATIENCE = 300
QUIET = 45
AIM = 90
SET_FAULT = "docker exec coinpilot-redis redis-cli set sample:fault:"
NO_FAULT = "docker exec coinpilot-redis redis-cli del sample:fault:bot sample:fault:collector"
# What is mounted later is seen by services on a VM, but not in a container, whose mounts systemd leaves private.
MEASURE_ANEW = "systemctl restart coinpilot-metrics.service"
MESSAGES = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8080/messages').read().decode())"


class Failure(NamedTuple):
    """What is done, which rule tells of it, and how many seconds Docker takes to know of it."""

    what: str
    rule: str
    command: str
    docker: int = 0


TOGETHER = [
    Failure("backup too old", "BackupTooOld",
            f"sed -i -E 's/^(coinpilot_backup_last_success_timestamp_seconds[^ ]*) .*/\\1 1700000000/' "
            f"{METRICS}/coinpilot_backup_redis.prom"),
    Failure("disk nearly full", "DiskFillingUp",
            f"mount -t tmpfs -o size=20m tmpfs {BACKUPS}; fallocate -l 19M {BACKUPS}/filler; {MEASURE_ANEW}"),
    Failure("latency high", "ApiLatencyP95High", f"{SET_FAULT}bot 'latency=5, volatility-missing'"),
    Failure("volatility missing", "VolatilityMetricMissing", "true"),
    Failure("container restarts in a loop", "ContainerRestartLoop", f"{SET_FAULT}collector crash"),
]
ALONE = [
    Failure("bot hung", "ServiceUnhealthy", f"{SET_FAULT}bot hang", docker=90),
    Failure("bot stopped", "BotDown", "docker stop --time 1 coinpilot-bot"),
]


def measure(ssh_config: Path) -> list[Row]:
    host = Host(ssh_config)
    description = json.loads(host.root("cat /etc/coinpilot/stack.json"))
    sink = Path(__file__).parents[1] / "stand_in" / "discord_sink.py"
    host.root(f"mkdir -p {PLACE}; cat > {PLACE}/sink.py; docker rm --force {SINK}", given=sink.read_text())
    host.root(f"docker run --detach --name {SINK} --network {description['project']}_default --network-alias {SINK} "
              f"--volume {PLACE}/sink.py:/sink.py:ro python:3.12-slim python /sink.py")
    host.root(f"coinpilot-ops backup redis; cp --preserve {RULES} {PLACE}/rules.yml; "
              f"sed -i -E 's/\"for\": \"[^\"]*\"/\"for\": \"0s\"/' {RULES}; docker restart coinpilot-grafana")
    try:
        say("failures of the stack, until Discord has the message …")
        # What has been wrong before is not to be taken for what is done now.
        time.sleep(QUIET)
        rows = arrivals(host, TOGETHER, description)
        mend(host)
        for failure in ALONE:
            time.sleep(QUIET)
            rows += arrivals(host, [failure], description)
        return rows
    finally:
        mend(host)
        host.root(f"cp --preserve {PLACE}/rules.yml {RULES}; docker restart coinpilot-grafana; "
                  f"docker rm --force {SINK}; rm -r {PLACE}")


def arrivals(host: Host, failures: list[Failure], description: dict[str, Any]) -> list[Row]:
    begun = {failure.rule: float(host.root(f"date +%s.%N; {{ {failure.command}; }} > /dev/null").split()[0])
             for failure in failures}
    arrived: dict[str, float] = {}
    deadline = time.monotonic() + PATIENCE
    while len(arrived) < len(failures):
        if time.monotonic() > deadline:
            raise SystemExit(f"only {', '.join(arrived) or 'nothing'} of {', '.join(begun)} was told")
        time.sleep(1)
        for entry in json.loads(host.root(f"docker exec {SINK} python -c {shlex.quote(MESSAGES)}")):
            title = entry["message"]["embeds"][0]["title"]
            for rule in begun:
                if rule in title and "resolved" not in title and entry["arrived"] > begun[rule]:
                    arrived.setdefault(rule, entry["arrived"])
    rows = []
    for failure in failures:
        own = description["alert_rules"][failure.rule]["for"]
        against = f"and the {own} that {failure.rule} waits"
        if failure.docker:
            against += f"; {failure.docker} s of it until Docker knows"
        rows.append(Row(f"{failure.what}, until Discord has it", arrived[failure.rule] - begun[failure.rule], against,
                        f"<= {AIM + failure.docker} s"))
    return rows


def mend(host: Host) -> None:
    host.root(f"{NO_FAULT} > /dev/null; docker start coinpilot-bot > /dev/null; docker restart coinpilot-collector "
              f"> /dev/null; ! mountpoint -q {BACKUPS} || umount {BACKUPS}; {MEASURE_ANEW}; coinpilot-ops backup redis")
