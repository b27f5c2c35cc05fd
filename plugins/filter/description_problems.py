# Copyright (c) the CoinPilot operators
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: description_problems
short_description: What is wrong with the description of the stack
version_added: 0.1.0
author: The CoinPilot operators
description:
  - Judges C(stack_services), C(stack_service_overrides), C(stack_backup_targets) and C(stack_security); reads nothing
    but them.
positional: _input, overrides, backup_targets, security
options:
  _input:
    description: The services, by name.
    type: dict
    required: true
  overrides:
    description: What this installation changes of them, by service.
    type: dict
    required: true
  backup_targets:
    description: What is backed up, by target.
    type: dict
    required: true
  security:
    description: The policy of the security preflight.
    type: dict
    required: true
  language:
    description: The language of the texts.
    type: str
    choices: [en, ko]
    default: en
seealso:
  - plugin: coinpilot.ops.merge_services
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Stop when the description of the stack cannot be used
  ansible.builtin.assert:
    that: problems | length == 0
  vars:
    problems: >-
      {{ stack_services
         | coinpilot.ops.description_problems(stack_service_overrides, stack_backup_targets, stack_security) }}
"""

RETURN = r"""
_value:
  description: One line a problem; empty when there is none.
  type: list
  elements: str
"""

from typing import Any, Callable, Dict, List

from ansible_collections.coinpilot.ops.plugins.module_utils import backup_targets as targets
from ansible_collections.coinpilot.ops.plugins.module_utils import description, preflight_policy, preflight_rules


def description_problems(services: Any, overrides: Any, backup_targets: Any, security: Any,
                         language: str = "en") -> List[str]:
    found = description.problems(services, overrides) or targets.problems(backup_targets, services)
    found += preflight_policy.checked(security, preflight_rules.RULES, preflight_policy.VARIABLE)[1]
    return [description.line(finding, language) for finding in found]


class FilterModule:
    def filters(self) -> Dict[str, Callable[..., Any]]:
        return {"description_problems": description_problems}
