"""What a measurement gives, and the one table of them all."""

from __future__ import annotations

import os
from typing import NamedTuple


class Row(NamedTuple):
    """One measured thing: wall seconds (none for what is no time), what it is held against, and the aim."""

    what: str
    seconds: float | None
    against: str = ""
    aim: str = ""


def print_table(rows: list[Row]) -> None:
    cells = [("what", "seconds", "against", "aim")]
    cells += [(row.what, "" if row.seconds is None else f"{row.seconds:.2f}", row.against, row.aim) for row in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(4)]
    print()
    for what, seconds, against, aim in cells:
        print(f"{what:<{widths[0]}}  {seconds:>{widths[1]}}  {against:<{widths[2]}}  {aim}".rstrip())
    loads = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    print(f"\n{os.cpu_count()} processors; load over the last 1, 5 and 15 minutes, this run's own in it: {loads}")


def say(text: str) -> None:
    print(text, flush=True)
