# Copyright (c) the CoinPilot operators
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: schedule_problems
short_description: What is wrong with times that cron is to know
version_added: 0.1.0
author: The CoinPilot operators
description:
  - Lists every time that cron would not understand, or that never comes. Cron itself passes over such a line
    in silence.
positional: _input, prefix
options:
  _input:
    description: Dictionaries in any depth; the values of C(schedule) and of keys that end in C(_schedule) are judged.
    type: dict
    required: true
  prefix:
    description: What comes before the names of the keys, to make them the ones that a person knows.
    type: str
    default: ""
  language:
    description: The language of the texts.
    type: str
    choices: [en, ko]
    default: en
"""

EXAMPLES = r"""
- name: Stop when a time cannot be used
  ansible.builtin.assert:
    that: "{'backup': {'schedule': '5 3 * * *'}} | coinpilot.ops.schedule_problems | length == 0"
"""

RETURN = r"""
_value:
  description: One line a problem; empty when there is none.
  type: list
  elements: str
  sample:
    - "schedule backup.schedule: '5 3 * *' has 4 fields. Write five: minute, hour, day, month, day of the week"
"""

from typing import Any, Callable, Dict, List, Mapping

from ansible_collections.coinpilot.ops.plugins.module_utils import cron


def schedule_problems(tree: Mapping[str, Any], prefix: str = "", language: str = "en") -> List[str]:
    return [finding.line(language) for finding in cron.problems(tree, prefix)]


class FilterModule:
    def filters(self) -> Dict[str, Callable[..., Any]]:
        return {"schedule_problems": schedule_problems}
