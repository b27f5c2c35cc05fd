# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Clients of the OCI API, by Oracle's own SDK. It is large and optional, so it is imported when it is asked for."""

from __future__ import annotations

import importlib
import os
from typing import Any, Dict, Mapping, NamedTuple

ATTEMPTS, SECONDS = 3, 60


class Clients(NamedTuple):
    """One client a service, and the tenancy that the credentials are of."""

    compute: Any
    network: Any
    budgets: Any
    quotas: Any
    limits: Any
    tenancy: str


def configuration(config_file: str, profile: str, credentials: Mapping[str, Any]) -> Dict[str, Any]:
    """The SDK's configuration: of a profile, or of credentials given. Raises what the SDK finds wrong with it."""
    config_module = importlib.import_module("oci.config")
    given = {key: value for key, value in credentials.items() if value}
    if given:
        config = {**config_module.DEFAULT_CONFIG, **given}
        if "key_file" in given:
            config["key_file"] = os.path.expanduser(given["key_file"])
    else:
        config = config_module.from_file(os.path.expanduser(config_file), profile)
    # The SDK would log the requests with their signatures.
    config["log_requests"] = False
    config_module.validate_config(config)
    return dict(config)


def connect(config: Mapping[str, Any], instance_id: str, endpoint: str = "", timeout: float = 20) -> Clients:
    """Clients that try again when OCI is busy, for a minute at most. Raises what the SDK finds wrong with the key.

    Budgets, quotas and limits are asked for in the profile's region; the instance and its network where it is.
    """
    core, budget, limits = (importlib.import_module("oci." + name) for name in ("core", "budget", "limits"))
    builder = importlib.import_module("oci.retry").RetryStrategyBuilder
    # One for all: reading a key with a passphrase takes its time.
    signer = importlib.import_module("oci.signer").Signer(
        config["tenancy"], config["user"], config["fingerprint"], config.get("key_file"), config.get("pass_phrase"),
        config.get("key_content"))
    # The SDK's models make an empty list of much that is none; what came is looked at as it came.
    more: Dict[str, Any] = {"signer": signer, "timeout": timeout, "skip_deserialization": True}
    more["retry_strategy"] = builder(
        max_attempts=ATTEMPTS, total_elapsed_time_seconds=SECONDS, retry_base_sleep_time_seconds=1,
        retry_max_wait_between_calls_seconds=4).get_retry_strategy()
    if endpoint:
        more["service_endpoint"] = endpoint
    local = {**config, "region": region_of(instance_id) or config["region"]}
    home = dict(config)
    return Clients(core.ComputeClient(local, **more), core.VirtualNetworkClient(local, **more),
                   budget.BudgetClient(home, **more), limits.QuotasClient(home, **more),
                   limits.LimitsClient(home, **more), config["tenancy"])


def region_of(ocid: str) -> str:
    """The region that an OCID names, ocid1.<type>.<realm>.<region>..<unique>; "" when it names none."""
    parts = ocid.split(".")
    if len(parts) < 5 or not parts[3]:
        return ""
    # Older regions are named by three letters there, e.g. iad.
    return str(importlib.import_module("oci.regions").get_region_from_short_name(parts[3]))
