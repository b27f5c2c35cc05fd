# Copyright (c) the CoinPilot operators
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: due_checkpoints
short_description: Which checkpoints of the 24-hour watch are done, due, or waiting
version_added: 0.1.0
author: The CoinPilot operators (@coinpilot)
description:
  - Takes the history of M(coinpilot.ops.checklist_24h) and what armed the watch.
positional: _input, armed
options:
  _input:
    description: The earlier runs, RV(coinpilot.ops.checklist_24h#module:history).
    type: list
    elements: dict
    required: true
  armed:
    description: What armed the watch, RV(coinpilot.ops.checklist_24h#module:armed), or its C(armed_at) alone.
    type: raw
    required: true
  now:
    description: Seconds since 1970. Without it now.
    type: float
seealso:
  - module: coinpilot.ops.checklist_24h
"""

EXAMPLES = r"""
- name: Which checkpoints should have run and have not?
  ansible.builtin.debug:
    msg: "{{ result.history | coinpilot.ops.due_checkpoints(result.armed) | selectattr('state', 'eq', 'due') }}"
"""

RETURN = r"""
_value:
  description: >-
    Of each checkpoint C(checkpoint), C(due_at), C(state) (V(done), V(due) or V(waiting)), and of one that is done
    C(status), C(at) and C(late_seconds). Empty where nothing armed the watch.
  type: list
  elements: dict
"""

import time
from typing import Any, Callable, Dict, List

from ansible.errors import AnsibleFilterError
from ansible_collections.coinpilot.ops.plugins.module_utils import verification


def due_checkpoints(history: Any, armed: Any, now: Any = None) -> List[Dict[str, Any]]:
    if not isinstance(history, list):
        raise AnsibleFilterError("due_checkpoints wants the history that checklist_24h returns")
    return verification.due(armed, history, time.time() if now is None else float(now))


class FilterModule:
    def filters(self) -> Dict[str, Callable[..., Any]]:
        return {"due_checkpoints": due_checkpoints}
