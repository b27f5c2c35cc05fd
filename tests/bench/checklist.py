"""The whole checklist on the host beside the same questions asked one by one in a shell, on the same running stack."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

from backups import Host
from table import Row, say

PLAIN = Path(__file__).with_name("plain_check.sh")
OURS = "coinpilot-ops check all --format json"
REPEATS = 5
# What could not even be asked would be a quick way to a good figure.
FEWEST_ITEMS = 15


def measure(ssh_config: Path) -> list[Row]:
    host = Host(ssh_config)
    say("the checklist, and its questions by hand …")
    judged = len(json.loads(host.root(f"{OURS} || [ $? != 2 ]"))["items"])
    if judged < FEWEST_ITEMS:
        raise SystemExit(f"{OURS} judged {judged} items only")
    by_hand, ours = [], []
    for _ in range(REPEATS):
        by_hand.append(host.measure(PLAIN.read_text()).seconds)
        ours.append(host.measure(f"{OURS} || [ $? != 2 ]").seconds)
    floor, own = statistics.median(by_hand), statistics.median(ours)
    return [Row("baseline: the checklist by hand, a command an item", floor),
            Row(f"coinpilot-ops check all, {judged} items", own, f"{own / floor:.2f} of it", "<= 0.5")]
