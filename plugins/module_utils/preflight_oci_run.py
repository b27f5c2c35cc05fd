# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""The whole look at OCI's own rules: credentials, reading, judging, and the record for the next time."""

from __future__ import annotations

import configparser
import datetime
import sys
from typing import Any, List, Mapping, NamedTuple, Optional

from . import preflight_oci, preflight_oci_sdk, preflight_oci_state
from .findings import Finding
from .preflight_oci_rules import ACCESS, CHANGED


class Wish(NamedTuple):
    """Which instance, by which credentials (of a profile, where none are given), and where the record is."""

    instance_id: str
    state_file: str
    config_file: str
    profile: str = "DEFAULT"
    credentials: Optional[Mapping[str, Any]] = None
    ssh_port: int = 22
    timeout: float = 20


def run(wish: Wish, policy: Mapping[str, Any], record: bool, endpoint: str = "",
        now: Optional[datetime.datetime] = None) -> List[Finding]:
    """What is found. Never raises. Writes the record only where ``record``, and only what was read."""
    try:
        config = preflight_oci_sdk.configuration(wish.config_file, wish.profile, wish.credentials or {})
        clients = preflight_oci_sdk.connect(config, wish.instance_id, endpoint, wish.timeout)
    except ImportError:
        return [ACCESS.finding("no-sdk", python=sys.executable)]
    except configparser.Error as problem:
        # Its text quotes the line, which may hold a passphrase.
        return [ACCESS.finding("credentials", error="%s: %s" % (wish.config_file, type(problem).__name__))]
    # The SDK has an error of its own for each way in which a profile or a key can be wrong.
    except Exception as problem:
        return [ACCESS.finding("credentials", error=" ".join(str(problem).split())[:300])]
    return _compared(preflight_oci.gather(clients, wish.instance_id), wish, policy, record,
                     now or datetime.datetime.now(datetime.timezone.utc))


def _compared(world: preflight_oci.World, wish: Wish, policy: Mapping[str, Any], record: bool,
              now: datetime.datetime) -> List[Finding]:
    try:
        entries = preflight_oci_state.load(wish.state_file, wish.instance_id)
        if record and world.record:
            preflight_oci_state.save(wish.state_file, wish.instance_id,
                                     preflight_oci_state.add(entries, world.record, now))
    except (OSError, ValueError) as problem:
        found = preflight_oci.judge(world, None, policy, wish.ssh_port)
        return [finding for finding in found if finding.id != CHANGED.id] + [
            CHANGED.unread(str(problem), wish.state_file)]
    return preflight_oci.judge(world, preflight_oci_state.baseline(entries, now), policy, wish.ssh_port)
