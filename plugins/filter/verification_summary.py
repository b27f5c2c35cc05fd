# Copyright (c) the CoinPilot operators
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: verification_summary
short_description: What the verification of one or many hosts comes to
version_added: 0.1.0
author: The CoinPilot operators (@coinpilot)
description:
  - Puts together what came back from every host, worst first. A host that was not reached, or of which nothing came
    back, is UNKNOWN, never PASS.
  - Also says what is worse and better than before today, by the history that M(coinpilot.ops.checklist_24h) returns,
    and which checkpoints of the 24-hour watch are done, due, or waiting.
positional: _input
options:
  _input:
    description:
      - By the name of the host what was registered there.
      - C(identity) of M(coinpilot.ops.host_identity), C(checklist) of M(coinpilot.ops.checklist_24h), C(outside) of
        M(coinpilot.ops.preflight_outside), C(oci) of M(coinpilot.ops.preflight_oci), and C(stopped), the message of
        what ended the run there. What is missing was not asked.
    type: dict
    required: true
  checkpoint:
    description: What was looked at, such as V(daily), V(weekly) or V(t6h).
    type: str
    default: daily
  now:
    description: When, in seconds since 1970. Without it now.
    type: float
seealso:
  - plugin: coinpilot.ops.verification_table
    plugin_type: filter
  - module: coinpilot.ops.verification_report
"""

EXAMPLES = r"""
- name: Put together what came back
  ansible.builtin.set_fact:
    summary: "{{ {'oci': {'checklist': verify_checklist}} | coinpilot.ops.verification_summary }}"
"""

RETURN = r"""
_value:
  description: >-
    C(passed), true when nothing failed and everything could be told; C(status), the worst of all; C(at), C(checkpoint)
    and C(counts); C(hosts), each with C(name), C(status), C(counts), C(items), C(compared), C(watch) and C(history).
  type: dict
"""

import time
from typing import Any, Callable, Dict

from ansible.errors import AnsibleFilterError
from ansible_collections.coinpilot.ops.plugins.module_utils import verification


def verification_summary(hosts: Any, checkpoint: str = "daily", now: Any = None) -> Dict[str, Any]:
    if not isinstance(hosts, dict) or not all(isinstance(given, dict) for given in hosts.values()):
        raise AnsibleFilterError("verification_summary wants a mapping: host, then what was registered there")
    return verification.summarize(hosts, time.time() if now is None else float(now), checkpoint)


class FilterModule:
    def filters(self) -> Dict[str, Callable[..., Any]]:
        return {"verification_summary": verification_summary}
