# Copyright (c) the CoinPilot operators
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: merge_checklist
short_description: The checklist of the stack with what this installation changes of it
version_added: 0.1.0
author: The CoinPilot operators
description:
  - Merges C(stack_checklist_overrides) into C(stack_checklist), key by key, options one by one. An item that is named
    there only is added, one with C(enabled) V(false) is left out.
  - Leaves out an item that needs a service which the stack does not have.
  - Fails when either holds something that cannot be used.
positional: _input, overrides, services
options:
  _input:
    description: The items, by id.
    type: dict
    required: true
  overrides:
    description: Per item, the keys to change, or a whole item.
    type: dict
    required: true
  services:
    description: The services, by name, as they will run.
    type: dict
    required: true
seealso:
  - plugin: coinpilot.ops.checklist_problems
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Look at the webhooks each week only
  ansible.builtin.set_fact:
    checklist: >-
      {{ stack_checklist
         | coinpilot.ops.merge_checklist({'webhooks': {'at': ['weekly']}}, stack_description.services) }}
"""

RETURN = r"""
_value:
  description: The items, by id, as they will be.
  type: dict
"""

from typing import Any, Callable, Dict

from ansible.errors import AnsibleFilterError
from ansible_collections.coinpilot.ops.plugins.module_utils import checklist_items


def merge_checklist(items: Any, overrides: Any, services: Any) -> Dict[str, Any]:
    try:
        return checklist_items.merge(items, overrides, services)
    except ValueError as problem:
        raise AnsibleFilterError(str(problem)) from problem


class FilterModule:
    def filters(self) -> Dict[str, Callable[..., Any]]:
        return {"merge_checklist": merge_checklist}
