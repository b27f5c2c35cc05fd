# Copyright (c) the CoinPilot operators
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: merge_alert_rules
short_description: The alert rules of the stack with what this installation changes of them
version_added: 0.1.0
author: The CoinPilot operators
description:
  - Merges C(stack_alert_rule_overrides) into C(stack_alert_rules), key by key. A rule that is named there only is
    added, one with C(enabled) V(false) is left out.
  - Leaves out a rule that needs an engine which no service has.
  - Fails when either holds something that cannot be used.
positional: _input, overrides, services, stack
options:
  _input:
    description: The rules, by name.
    type: dict
    required: true
  overrides:
    description: Per rule, the keys to change, or a whole rule.
    type: dict
    required: true
  services:
    description: The services, by name, as they will run.
    type: dict
    required: true
  stack:
    description: Name of the stack; uids in Grafana begin with it.
    type: str
    required: true
seealso:
  - plugin: coinpilot.ops.alert_rule_problems
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Tell sooner that the bot is down
  ansible.builtin.set_fact:
    rules: >-
      {{ stack_alert_rules
         | coinpilot.ops.merge_alert_rules({'BotDown': {'for': '1m'}}, stack_description.services, stack_name) }}
"""

RETURN = r"""
_value:
  description: The rules, by name, as they will be.
  type: dict
"""

from typing import Any, Callable, Dict

from ansible.errors import AnsibleFilterError
from ansible_collections.coinpilot.ops.plugins.module_utils import alert_rules


def merge_alert_rules(rules: Any, overrides: Any, services: Any, stack: str) -> Dict[str, Any]:
    try:
        return alert_rules.merge(rules, overrides, services, stack)
    except ValueError as problem:
        raise AnsibleFilterError(str(problem)) from problem


class FilterModule:
    def filters(self) -> Dict[str, Callable[..., Any]]:
        return {"merge_alert_rules": merge_alert_rules}
