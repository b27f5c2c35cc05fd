# Copyright (c) the CoinPilot operators
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: merge_log_patterns
short_description: What lines of the services' logs mean, with what this installation changes of it
version_added: 0.1.0
author: The CoinPilot operators
description:
  - Merges C(stack_log_pattern_overrides) into C(stack_log_patterns), key by key. A kind of line that is named there
    only is added before the others, one with C(enabled) V(false) is left out.
  - Fails when either holds something that cannot be used.
positional: _input, overrides
options:
  _input:
    description: The kinds of lines, by name.
    type: dict
    required: true
  overrides:
    description: Per kind of line, the keys to change, or a whole one.
    type: dict
    required: true
seealso:
  - plugin: coinpilot.ops.log_pattern_problems
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Do not be told of news feeds that stay away
  ansible.builtin.set_fact:
    logs: "{{ stack_log_patterns | coinpilot.ops.merge_log_patterns({'rss-feeds': {'enabled': false}}) }}"
"""

RETURN = r"""
_value:
  description: The kinds of lines, by name, as they will be.
  type: dict
"""

from typing import Any, Callable, Dict

from ansible.errors import AnsibleFilterError
from ansible_collections.coinpilot.ops.plugins.module_utils import log_definition


def merge_log_patterns(patterns: Any, overrides: Any) -> Dict[str, Any]:
    try:
        return log_definition.merge(patterns, overrides)
    except ValueError as problem:
        raise AnsibleFilterError(str(problem)) from problem


class FilterModule:
    def filters(self) -> Dict[str, Callable[..., Any]]:
        return {"merge_log_patterns": merge_log_patterns}
