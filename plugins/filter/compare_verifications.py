# Copyright (c) the CoinPilot operators
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: compare_verifications
short_description: What is worse and what is better than before today
version_added: 0.1.0
author: The CoinPilot operators (@coinpilot)
description:
  - Compares every item with what it last was on an earlier day, by the clock of the control machine. An item that is
    new has nothing to be compared with.
positional: _input, history
options:
  _input:
    description: The items, RV(coinpilot.ops.checklist_24h#module:checked).
    type: list
    elements: dict
    required: true
  history:
    description: The earlier runs, RV(coinpilot.ops.checklist_24h#module:history).
    type: list
    elements: dict
    required: true
  now:
    description: Seconds since 1970. Without it now.
    type: float
seealso:
  - module: coinpilot.ops.checklist_24h
"""

EXAMPLES = r"""
- name: What got worse overnight?
  ansible.builtin.debug:
    msg: "{{ (result.checked | coinpilot.ops.compare_verifications(result.history)).worse }}"
"""

RETURN = r"""
_value:
  description: >-
    C(worse) and C(better), each a list of C(id), C(before) and C(now); C(since), when the newest of what was compared
    with was, null with nothing to compare with.
  type: dict
"""

import time
from typing import Any, Callable, Dict

from ansible.errors import AnsibleFilterError
from ansible_collections.coinpilot.ops.plugins.module_utils import verification


def compare_verifications(items: Any, history: Any, now: Any = None) -> Dict[str, Any]:
    try:
        statuses = {item["id"]: item["status"] for item in items}
    except (KeyError, TypeError) as problem:
        raise AnsibleFilterError("compare_verifications wants the items that checklist_24h returns") from problem
    return verification.compare(statuses, history, time.time() if now is None else float(now))


class FilterModule:
    def filters(self) -> Dict[str, Callable[..., Any]]:
        return {"compare_verifications": compare_verifications}
