# Copyright (c) the CoinPilot operators
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: activity_problems
short_description: What is wrong with what shows that the application is at work
version_added: 0.1.0
author: The CoinPilot operators
description:
  - Judges C(stack_activity) and C(stack_activity_overrides); reads nothing but them.
positional: _input, overrides
options:
  _input:
    description: The activities, by name.
    type: dict
    required: true
  overrides:
    description: What this installation changes of them, by name.
    type: dict
    required: true
  language:
    description: The language of the texts.
    type: str
    choices: [en, ko]
    default: en
seealso:
  - plugin: coinpilot.ops.merge_activity
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Stop when the activities cannot be used
  ansible.builtin.assert:
    that: stack_activity | coinpilot.ops.activity_problems(stack_activity_overrides) | length == 0
"""

RETURN = r"""
_value:
  description: One line a problem; empty when there is none.
  type: list
  elements: str
  sample:
    - "stack_activity_overrides: market_data: max_age must be a time such as 10m, 3h or 1d"
"""

from typing import Any, Callable, Dict, List

from ansible_collections.coinpilot.ops.plugins.module_utils import activity
from ansible_collections.coinpilot.ops.plugins.module_utils.definitions import line


def activity_problems(activities: Any, overrides: Any, language: str = "en") -> List[str]:
    return [line(finding, language) for finding in activity.problems(activities, overrides)]


class FilterModule:
    def filters(self) -> Dict[str, Callable[..., Any]]:
        return {"activity_problems": activity_problems}
