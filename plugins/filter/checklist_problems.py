# Copyright (c) the CoinPilot operators
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: checklist_problems
short_description: What is wrong with the checklist
version_added: 0.1.0
author: The CoinPilot operators
description:
  - Judges C(stack_checklist) and C(stack_checklist_overrides); reads nothing but them.
positional: _input, overrides, services
options:
  _input:
    description: The items, by id.
    type: dict
    required: true
  overrides:
    description: What this installation changes of them, by item.
    type: dict
    required: true
  services:
    description: The services, by name.
    type: dict
    required: true
  language:
    description: The language of the texts.
    type: str
    choices: [en, ko]
    default: en
seealso:
  - plugin: coinpilot.ops.merge_checklist
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Stop when the checklist cannot be used
  ansible.builtin.assert:
    that: stack_checklist | coinpilot.ops.checklist_problems(stack_checklist_overrides, stack_services) | length == 0
"""

RETURN = r"""
_value:
  description: One line a problem; empty when there is none.
  type: list
  elements: str
  sample:
    - "stack_checklist_overrides: webhooks: at must be a list of some of daily, weekly, t0; it is 'dayly'"
"""

from typing import Any, Callable, Dict, List

from ansible_collections.coinpilot.ops.plugins.module_utils import checklist_items, definitions


def checklist_problems(items: Any, overrides: Any, services: Any, language: str = "en") -> List[str]:
    return [definitions.line(finding, language) for finding in checklist_items.problems(items, overrides, services)]


class FilterModule:
    def filters(self) -> Dict[str, Callable[..., Any]]:
        return {"checklist_problems": checklist_problems}
