# Copyright (c) the CoinPilot operators
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: merge_services
short_description: The services of the stack with what this installation changes of them
version_added: 0.1.0
author: The CoinPilot operators
description:
  - Merges C(stack_service_overrides) into C(stack_services), key by key.
  - Fails when either holds something that the stack's compose file could not honour.
positional: _input, overrides
options:
  _input:
    description: The services, by name.
    type: dict
    required: true
  overrides:
    description:
      - Per service, the keys to change.
      - Those that can be changed are V(image), V(memory), V(environment) and V(read_only).
    type: dict
    required: true
seealso:
  - plugin: coinpilot.ops.description_problems
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Give the bot more memory
  ansible.builtin.set_fact:
    services: "{{ stack_services | coinpilot.ops.merge_services({'bot': {'memory': '3g'}}) }}"
"""

RETURN = r"""
_value:
  description: The services, by name, as they will run.
  type: dict
"""

from typing import Any, Callable, Dict

from ansible.errors import AnsibleFilterError
from ansible_collections.coinpilot.ops.plugins.module_utils import description


def merge_services(services: Any, overrides: Any) -> Dict[str, Dict[str, Any]]:
    try:
        return description.merge_services(services, overrides)
    except ValueError as problem:
        raise AnsibleFilterError(str(problem)) from problem


class FilterModule:
    def filters(self) -> Dict[str, Callable[..., Any]]:
        return {"merge_services": merge_services}
