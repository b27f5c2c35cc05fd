# Copyright (c) the CoinPilot operators
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: merge_activity
short_description: What shows that the application is at work, with what this installation changes of it
version_added: 0.1.0
author: The CoinPilot operators
description:
  - Merges C(stack_activity_overrides) into C(stack_activity), key by key. An activity that is named there only is
    added, one with C(enabled) V(false) is left out.
  - Leaves out an activity of a service that the stack does not have.
  - Fails when either holds something that cannot be used.
positional: _input, overrides, services
options:
  _input:
    description: The activities, by name.
    type: dict
    required: true
  overrides:
    description: Per activity, the keys to change, or a whole activity.
    type: dict
    required: true
  services:
    description: The services, by name, as they will run.
    type: dict
    required: true
seealso:
  - plugin: coinpilot.ops.activity_problems
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Tell sooner that no candles come in
  ansible.builtin.set_fact:
    activity: >-
      {{ stack_activity
         | coinpilot.ops.merge_activity({'market_data': {'max_age': '3m'}}, stack_description.services) }}
"""

RETURN = r"""
_value:
  description: The activities, by name, as they will be.
  type: dict
"""

from typing import Any, Callable, Dict

from ansible.errors import AnsibleFilterError
from ansible_collections.coinpilot.ops.plugins.module_utils import activity


def merge_activity(activities: Any, overrides: Any, services: Any) -> Dict[str, Any]:
    try:
        return activity.merge(activities, overrides, services)
    except ValueError as problem:
        raise AnsibleFilterError(str(problem)) from problem


class FilterModule:
    def filters(self) -> Dict[str, Callable[..., Any]]:
        return {"merge_activity": merge_activity}
