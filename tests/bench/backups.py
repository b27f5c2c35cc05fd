"""Backups by coinpilot-ops beside plain scripts as the runbook has them, in turn and on the same data."""

from __future__ import annotations

import json
import shlex
import statistics
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from table import Row, say

# 1 GB of candles with their index: 10 coins, a candle a minute for two years and some.
CANDLE_MINUTES = 1_150_000
FILES, FILE_MIB = 5, 200
SMALL_FILES, SMALL_KIB = 10_000, 10
# What takes longer than this is measured twice instead of three times.
LONG = 30
MIB = 1 << 20

# Each candle opens where the one before closed, at a price that moves by the least step the exchange knows.
CANDLES = f"""
CREATE TABLE bench_candles (LIKE market_data INCLUDING DEFAULTS);
SELECT create_hypertable('bench_candles', 'timestamp', chunk_time_interval => interval '7 days');
CREATE FUNCTION pg_temp.price(base int, step int, minute int) RETURNS float8 LANGUAGE sql IMMUTABLE AS $$
  SELECT step * round(base * (1 + 0.2 * sin(minute / 20000.0) + 0.001 * hashint4(minute # base) / 2147483648.0) / step)
$$;
INSERT INTO bench_candles
SELECT 'KRW-' || coin, '1m', opened, greatest(opened, closed) + step * floor(random() * 3),
       least(opened, closed) - step * floor(random() * 3), closed,
       round((random() * random() * 40)::numeric, 8), timestamptz '2024-01-01' + minute * interval '1 minute'
FROM generate_series(1, {CANDLE_MINUTES}) AS minute,
     (VALUES ('BTC', 140000000, 1000), ('ETH', 5000000, 1000), ('XRP', 3000, 1), ('SOL', 250000, 50),
             ('DOGE', 300, 1), ('ADA', 900, 1), ('AVAX', 40000, 10), ('LINK', 25000, 10), ('DOT', 7000, 5),
             ('TRX', 400, 1)) AS coins (coin, base, step),
     LATERAL (SELECT pg_temp.price(base, step, minute - 1) AS opened,
                     pg_temp.price(base, step, minute) AS closed) AS prices
"""
PLACE = "/var/tmp/bench"
SCRIPT_DUMP = f"{PLACE}/coinpilot.sql.gz"
SCRIPT = (f"docker exec coinpilot-db pg_dump -U postgres -d coinpilot | gzip > {SCRIPT_DUMP}; "
          f"sha256sum {SCRIPT_DUMP} > {SCRIPT_DUMP}.sha256")


class Run(NamedTuple):
    """Wall seconds, and the peak in bytes of a command's processes on the host and of Docker's client beside them."""

    seconds: float
    memory: int
    docker: int


class Pair(NamedTuple):
    ours: list[Run]
    theirs: list[Run]

    def row(self, what: str, aim: str = "") -> Row:
        ours, theirs = median(self.ours), median(self.theirs)
        return Row(what, ours, f"{ours / theirs:.2f} of the {theirs:.2f} s of plain scripts", aim)


class Host:
    def __init__(self, ssh_config: Path):
        self._ssh = ["ssh", "-F", str(ssh_config), "coinpilot"]

    def root(self, command: str, given: str = "") -> str:
        """What a command writes that root runs on the host."""
        remote = shlex.join(["sudo", "bash", "-euo", "pipefail", "-c", command])
        done = subprocess.run([*self._ssh, remote], input=given, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{command} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done.stdout

    def measure(self, command: str) -> Run:
        watcher = Path(__file__).with_name("on_host.py").read_text()
        remote = shlex.join(["sudo", "python3", "-", command])
        done = subprocess.run([*self._ssh, remote], input=watcher, capture_output=True, text=True, check=True)
        told = json.loads(done.stdout)
        if told["code"]:
            raise SystemExit(f"{command} failed:\n{told['said']}")
        return Run(told["seconds"], told["memory"], told["docker"])


def measure(ssh_config: Path) -> list[Row]:
    host = Host(ssh_config)
    host.root(f"rm -rf {PLACE}; mkdir -m 0700 {PLACE}")
    try:
        return [*dump_rows(host), *verification_rows(host), *small_file_rows(host)]
    finally:
        host.root(f"rm -rf {PLACE}")


def dump_rows(host: Host) -> list[Row]:
    say("making a hypertable …")
    psql = "docker exec --interactive coinpilot-db psql --quiet -v ON_ERROR_STOP=1 -U postgres -d coinpilot "
    if "bench_candles" not in host.root(psql + "-At", r"\dt bench_candles"):
        host.root(psql + "--single-transaction", CANDLES)
    say("backing up …")
    dumps = in_turn(partial(host.measure, "coinpilot-ops backup postgres"), partial(host.measure, SCRIPT))
    manifest = json.loads(host.root("cat $(ls -t /var/backups/coinpilot/postgres/daily/*.json | head -n 1)"))
    size, script_size = sum(file["size"] for file in manifest["files"]), int(host.root(f"stat -c %s {SCRIPT_DUMP}"))
    say("rehearsing …")
    rehearsals = [host.measure("coinpilot-ops restore-rehearsal postgres") for _ in range(2)]
    rows = [
        dumps.row("backup of a 1 GB hypertable", "<= 0.5"),
        Row("  its size", None, f"{size / script_size:.2f} of {script_size / MIB:.0f} MiB", "<= 0.9"),
        memory_row(dumps.ours),
        Row("rehearsal of that backup", median(rehearsals), f"{size / MIB:.0f} MiB restored and compared"),
        memory_row(rehearsals),
    ]
    for target in ("redis", "n8n", "grafana"):
        runs = repeated(partial(host.measure, f"coinpilot-ops backup {target}"))
        rows.append(Row(f"backup of {target}", median(runs)))
    return rows


def verification_rows(host: Host) -> list[Row]:
    say("verifying …")
    make_files(host, "large", FILES, FILE_MIB * MIB)
    checks = verifications(host, "large")
    return [checks.row(f"verification of {FILES} files of {FILE_MIB} MiB", "<= 0.4"), memory_row(checks.ours)]


def small_file_rows(host: Host) -> list[Row]:
    make_files(host, "small", SMALL_FILES, SMALL_KIB << 10)
    make_files(host, "few", FILES, SMALL_FILES * (SMALL_KIB << 10) // FILES)
    small, few = verifications(host, "small"), verifications(host, "few")
    return [
        small.row(f"verification of {SMALL_FILES:,} files of {SMALL_KIB} KiB", "<= 1"),
        few.row(f"  of the same bytes in {FILES} files"),
        memory_row(small.ours),
    ]


def make_files(host: Host, name: str, count: int, size: int) -> None:
    """Files as the scripts of before name them, with their checksums, read once so that they are in memory."""
    host.root(f"""
        umask 077; mkdir -p {PLACE}/{name}/postgres/daily; cd {PLACE}/{name}/postgres/daily
        for number in $(seq 0 {count - 1}); do
          printf 'coinpilot_202601%02d_%02d%02d%02d.sql.gz\\n' $((1 + number / 86400)) $((number / 3600 % 24)) \\
            $((number / 60 % 60)) $((number % 60))
        done | while read -r file; do
          head --bytes {size} /dev/urandom > "$file"; sha256sum "$file" > "$file.sha256"
        done""")


def verifications(host: Host, name: str) -> Pair:
    directory = f"{PLACE}/{name}/postgres/daily"
    return in_turn(partial(host.measure, f"coinpilot-ops checksum --path {PLACE}/{name}"),
                   partial(host.measure, f"cd {directory}; find . -name '*.sha256' -exec cat {{}} + "
                                         "| sha256sum --check --quiet"))


def in_turn(ours: Callable[[], Run], theirs: Callable[[], Run]) -> Pair:
    """Both, one after the other, so that what else the machine does falls on both."""
    pair = Pair([ours()], [theirs()])
    for _ in range(repeats(pair.ours[0]) - 1):
        pair.ours.append(ours())
        pair.theirs.append(theirs())
    return pair


def repeated(measured: Callable[[], Run]) -> list[Run]:
    first = measured()
    return [first, *(measured() for _ in range(repeats(first) - 1))]


def repeats(first: Run) -> int:
    return 3 if first.seconds < LONG else 2


def median(runs: list[Run]) -> float:
    return statistics.median(run.seconds for run in runs)


def memory_row(runs: list[Run]) -> Row:
    own, docker = max(run.memory for run in runs), max(run.docker for run in runs)
    beside = f", and {docker / MIB:.0f} MiB of Docker's client" if docker else ""
    return Row("  its memory", None, f"{own / MIB:.0f} MiB at most{beside}", "< 100 MB")
