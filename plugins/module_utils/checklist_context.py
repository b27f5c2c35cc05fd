# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""What a reader of the checklist is given, and what it gives.

A reader is a module with RULES and `read(context, options)`, which is its judge over what it gathers. It never raises
for what the host does: what cannot be read is a finding, UNKNOWN.
"""

from __future__ import annotations

from typing import Any, Callable, List, Mapping, NamedTuple, Optional

from .engine import Engine
from .findings import Finding


class Context(NamedTuple):
    """What one run of the checklist looks at. Times are seconds since 1970."""

    description: Mapping[str, Any]
    # Of the containers it tells all readers the same: as they were at one moment.
    engine: Engine
    now: float
    # daily, weekly, t0, t1h, ... or all.
    checkpoint: str
    # Where the window begins that is looked at.
    since: float
    # What armed the watch, as `armed.json` has it; None where nothing did yet.
    release: Optional[Mapping[str, Any]]


# The context, and the options of the item that asks.
Reader = Callable[[Context, Mapping[str, Any]], List[Finding]]
