"""A Discord of the tests' own, and alert rules that do not take their time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from discord_on_host import Discord
from stack_on_host import CHECKOUT, Play
from testinfra.host import Host

# What the tests bring about. What they look back on becomes a minute or two, and what they wait for becomes nothing.
WATCHED = ("BotDown", "ApiLatencyP95High", "VolatilityMetricMissing", "VolatilityFrozen", "ServiceUnhealthy",
           "ContainerRestartLoop", "BackupTooOld", "DiskFillingUp")
WINDOWS = {"5m": "1m", "2h": "1m", "10m": "2m"}


@pytest.fixture(scope="module")
def discord(host: Host) -> Iterator[Discord]:
    discord = Discord(host)
    yield discord
    discord.remove()


@pytest.fixture(scope="module")
def configure(play: Play) -> Iterator[Callable[..., None]]:
    """``configure(variable=value)`` has the monitoring configured so, the rules at work with their own conditions,
    but quick; those that the tests are not about wait so long that they say nothing. The inventory's configuration is
    put back afterwards."""
    rules = yaml.safe_load((CHECKOUT / "roles" / "stack" / "vars" / "main" / "alert_rules.yml").read_text())
    changes: dict[str, Any] = {}
    for name, rule in rules["stack_alert_rules"].items():
        query = re.sub(r"(?<=\[|\s)(5m|2h|10m)(?=[\])])", lambda match: WINDOWS[match[1]], rule["query"])
        changes[name] = {"for": "0s", "query": query} if name in WATCHED else {"for": "1d"}

    def configure(**variables: Any) -> None:
        play("tests/host/monitoring.yml", {"stack_alert_rule_overrides": changes, **variables}).expect_success()

    yield configure
    play("tests/host/monitoring.yml").expect_success()
