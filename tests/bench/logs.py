"""A gigabyte of a container's log, written by Docker itself, read by the checklist's reader and by a grep."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

from backups import Host
from table import Row, say

PROJECT, PLACE = "bench-logs", "/var/tmp/bench-logs"
SIZE, REPEATS = 1 << 30, 5
MIB = 1 << 20
COMMAND = "/usr/local/bin/coinpilot-ops"

# The bot's own lines, as often as it writes them in four minutes.
WRITER = """
import sys
line = "2026-11-23 21:23:30,506 - app.bot - INFO - %s\\n"
outcomes = ["AI PreFilter Rejected: KRW-BTC volume is below its average",
            "Trade Rejected by AI Agent: KRW-BTC is falling towards a critical support level",
            "Trade Approved by AI Agent: KRW-BTC holds above the last high",
            "Order Skipped: KRW-BTC order is below the minimum of 5,000 KRW"] * 2
turns = [line % "RSS ingest done. inserted=2, skipped=112, failed_feeds=0"] * 2
for outcome in outcomes:
    turns += [line % "Entry Signal Detected: KRW-BTC at 100,554,626 KRW (sample_walk)", line % outcome]
turns += [line % "[Scheduler] KRW-BTC Regime: BULL (volatility 0.101%)"] * 4
block = "".join(turns) * 100
while True:
    sys.stdout.write(block)
"""

SCANNER = f"""
import json, sys
sys.path.insert(0, "{COMMAND}")
from coinpilot_ops import log_scan
from coinpilot_ops.checklist_context import Context
from coinpilot_ops.engine import Engine
with open("{PLACE}/stack.json", encoding="utf-8") as stream:
    description = json.load(stream)
found = log_scan.read(Context(description, Engine(), 4e9, "daily", 0, None), {{}})
if [finding.status for finding in found if finding.id == "log-errors"] != ["PASS"]:
    raise SystemExit("\\n".join(finding.line("en") for finding in found))
"""


def measure(ssh_config: Path) -> list[Row]:
    host = Host(ssh_config)
    description = json.loads(host.root("cat /etc/coinpilot/stack.json"))
    description.update(project=PROJECT, services={"bot": {"engine": "application", "container": PROJECT}})
    host.root(f"install -d -m 700 {PLACE}; cat > {PLACE}/stack.json", given=json.dumps(description))
    host.root(f"cat > {PLACE}/scan.py", given=SCANNER)
    say("Docker writes a log of 1 GB …")
    try:
        # The image of a service that is there anyway.
        host.root(f"docker run --detach --name {PROJECT} --network none --interactive "
                  f"--label com.docker.compose.project={PROJECT} --label com.docker.compose.service=bot "
                  "--log-driver json-file --entrypoint python "
                  "$(docker inspect --format '{{.Image}}' coinpilot-bot) -c " + f"'{WRITER}'")
        path = host.root("docker inspect --format '{{.LogPath}}' " + PROJECT).strip()
        host.root(f"while (($(stat --format %s {path}) < {SIZE})); do sleep 0.2; done; docker kill {PROJECT}")
        size = int(host.root(f"stat --format %s {path}"))
        say("reading it …")
        greps = [host.measure(f"docker logs --since 24h {PROJECT} 2>&1 | "
                              "{ grep -Eci 'traceback|undefined|failed:' || test $? = 1; }").seconds]
        ours = [host.measure(f"python3 {PLACE}/scan.py") for _ in range(REPEATS)]
    finally:
        host.root(f"docker rm --force --volumes {PROJECT}; rm -r {PLACE}")
    seconds, memory = statistics.median(run.seconds for run in ours), max(run.memory for run in ours)
    return [Row("floor: docker logs of 1 GB, through grep", greps[0], f"{size / 1e6 / greps[0]:.0f} MB/s"),
            Row("1 GB of logs, by the checklist's reader", seconds,
                f"{size / 1e6 / seconds:.0f} MB/s, peak {memory / MIB:.0f} MiB", ">= 300 MB/s, < 80 MiB")]
