# Copyright (c) the CoinPilot operators
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: alert_rule_problems
short_description: What is wrong with the alert rules
version_added: 0.1.0
author: The CoinPilot operators
description:
  - Judges C(stack_alert_rules) and C(stack_alert_rule_overrides); reads nothing but them.
positional: _input, overrides, stack
options:
  _input:
    description: The rules, by name.
    type: dict
    required: true
  overrides:
    description: What this installation changes of them, by rule.
    type: dict
    required: true
  stack:
    description: Name of the stack; uids in Grafana begin with it.
    type: str
    required: true
  language:
    description: The language of the texts.
    type: str
    choices: [en, ko]
    default: en
seealso:
  - plugin: coinpilot.ops.merge_alert_rules
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Stop when the alert rules cannot be used
  ansible.builtin.assert:
    that: stack_alert_rules | coinpilot.ops.alert_rule_problems(stack_alert_rule_overrides, stack_name) | length == 0
"""

RETURN = r"""
_value:
  description: One line a problem; empty when there is none.
  type: list
  elements: str
  sample:
    - "stack_alert_rule_overrides: BotDown: for must be a duration such as 30s, 2m or 1h30m; it is '2 minutes'"
"""

from typing import Any, Callable, Dict, List

from ansible_collections.coinpilot.ops.plugins.module_utils import alert_rules, definitions


def alert_rule_problems(rules: Any, overrides: Any, stack: str, language: str = "en") -> List[str]:
    return [definitions.line(finding, language) for finding in alert_rules.problems(rules, overrides, stack)]


class FilterModule:
    def filters(self) -> Dict[str, Callable[..., Any]]:
        return {"alert_rule_problems": alert_rule_problems}
