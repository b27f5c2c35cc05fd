"""Runs a shell command on the measured host and tells, as JSON, its wall seconds and the peak of its memory.

    ssh HOST sudo python3 - COMMAND < on_host.py
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time

# Docker's own client is counted by itself: it is as large for one byte as for a gigabyte.
DOCKER = "docker"


def main() -> int:
    peaks = {"own": 0, DOCKER: 0}
    done = threading.Event()
    with tempfile.TemporaryFile("w+") as said:
        begun = time.monotonic()
        # Whatever the command starts on this host is of its session; what it starts in a container is not.
        process = subprocess.Popen(["bash", "-euo", "pipefail", "-c", sys.argv[1]], stdin=subprocess.DEVNULL,
                                   stdout=said, stderr=subprocess.STDOUT, start_new_session=True)
        watch = threading.Thread(target=watch_memory, args=(process.pid, peaks, done))
        watch.start()
        code = process.wait()
        seconds = time.monotonic() - begun
        done.set()
        watch.join()
        said.seek(0)
        json.dump({"code": code, "seconds": seconds, "memory": peaks["own"], "docker": peaks[DOCKER],
                   "said": said.read()[-4000:]}, sys.stdout)
    return 0


def watch_memory(session: int, peaks: dict[str, int], done: threading.Event) -> None:
    while not done.wait(0.1):
        used = dict.fromkeys(peaks, 0)
        for number in filter(str.isdigit, os.listdir("/proc")):
            try:
                if os.getsid(int(number)) == session:
                    with open(f"/proc/{number}/comm") as comm, open(f"/proc/{number}/smaps_rollup") as rollup:
                        pages = next(line for line in rollup if line.startswith("Pss:"))
                        used[DOCKER if comm.read().strip() == DOCKER else "own"] += int(pages.split()[1]) << 10
            except (OSError, StopIteration):
                continue  # ended meanwhile
        for kind, size in used.items():
            peaks[kind] = max(peaks[kind], size)


if __name__ == "__main__":
    sys.exit(main())
