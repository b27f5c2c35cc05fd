# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""What the judges on the control machine (``preflight_outside``, ``preflight_oci``) share: how the policy meets them.

What is wrong with the policy, and which waivers have expired, the preflight on the host says; it is not said again.
"""

from __future__ import annotations

import datetime
from typing import Any, Dict, List, Mapping

from . import preflight, preflight_policy
from .findings import Finding, Rule


def policy_of(description: Mapping[str, Any]) -> Dict[str, Any]:
    """The policy that can be used."""
    return preflight_policy.checked(description.get("security", preflight_policy.NONE), preflight.RULES,
                                    preflight_policy.VARIABLE)[0]


def waived(found: List[Finding], policy: Mapping[str, Any], rules: Mapping[str, Rule]) -> List[Finding]:
    """The findings, less what the policy waives of these rules; a waiver that none of them needs is told."""
    own = {**policy, "waivers": [waiver for waiver in policy["waivers"] if waiver["rule"] in rules]}
    after = preflight_policy.apply(own, found, datetime.date.today(), preflight_policy.VARIABLE)
    return [finding for finding in after if finding.id != "policy-expired"]
