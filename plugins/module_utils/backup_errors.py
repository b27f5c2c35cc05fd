# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Why a backup, a rehearsal or a restore stopped."""

from __future__ import annotations

from typing import Any


class BackupError(Exception):
    """``case`` names a Case of the raising module's CASES; ``values`` fill its placeholders."""

    def __init__(self, case: str, **values: Any):
        super().__init__(case)
        self.case = case
        self.values = values

    def __str__(self) -> str:
        return " ".join([self.case] + ["%s=%s" % item for item in sorted(self.values.items())])
