# Copyright (c) the CoinPilot operators
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: log_pattern_problems
short_description: What is wrong with what is said of the services' logs
version_added: 0.1.0
author: The CoinPilot operators
description:
  - Judges C(stack_log_patterns) and C(stack_log_pattern_overrides); reads nothing but them.
positional: _input, overrides
options:
  _input:
    description: The kinds of lines, by name.
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
  - plugin: coinpilot.ops.merge_log_patterns
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Stop when what is said of the logs cannot be used
  ansible.builtin.assert:
    that: stack_log_patterns | coinpilot.ops.log_pattern_problems(stack_log_pattern_overrides) | length == 0
"""

RETURN = r"""
_value:
  description: One line a problem; empty when there is none.
  type: list
  elements: str
  sample:
    - "stack_log_pattern_overrides: rss-feeds: status must be FAIL or WARN"
"""

from typing import Any, Callable, Dict, List

from ansible_collections.coinpilot.ops.plugins.module_utils import log_definition
from ansible_collections.coinpilot.ops.plugins.module_utils.definitions import line


def log_pattern_problems(patterns: Any, overrides: Any, language: str = "en") -> List[str]:
    return [line(finding, language) for finding in log_definition.problems(patterns, overrides)]


class FilterModule:
    def filters(self) -> Dict[str, Callable[..., Any]]:
        return {"log_pattern_problems": log_pattern_problems}
