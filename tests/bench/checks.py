"""The whole checklist on the host beside the same questions asked one by one in a shell, on the same running stack."""

from __future__ import annotations

import shlex
import statistics
from pathlib import Path

from backups import Host
from table import Row, say

PLAIN = Path(__file__).with_name("plain_check.sh")
REPEATS = 5


def measure(ssh_config: Path) -> list[Row]:
    host = Host(ssh_config)
    say("the checklist, and its questions by hand …")
    by_hand, ours = [], []
    for _ in range(REPEATS):
        by_hand.append(host.measure(PLAIN.read_text()).seconds)
        # Whether all is well is not the question here; what could not be run at all would be a quick way to a good figure.
        ours.append(host.measure("coinpilot-ops check all --format json > /var/tmp/bench-check.json || [ $? = 1 ] || [ $? = 3 ]; "
                                 + shlex.join(["python3", "-c", "import json; assert len(json.load(open("
                                               "'/var/tmp/bench-check.json'))['items']) >= 15"])).seconds)
    floor, own = statistics.median(by_hand), statistics.median(ours)
    return [Row("baseline: the checklist by hand, a command an item", floor),
            Row("coinpilot-ops check all", own, f"{own / floor:.2f} of it", "<= 0.5")]
