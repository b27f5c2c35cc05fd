# Copyright (c) the CoinPilot operators
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: input_problems
short_description: What is wrong with the secrets and settings of the stack
version_added: 0.1.0
author: The CoinPilot operators
description:
  - Lists every key of C(.env) that is missing, empty, still a placeholder, no text, more than a line, or given twice.
  - Values are never shown.
positional: _input, settings, required
options:
  _input:
    description: The secrets, by key.
    type: dict
    required: true
  settings:
    description: The settings that are no secret, by key.
    type: dict
    required: true
  required:
    description: The keys that must hold a real value.
    type: list
    elements: str
    required: true
  language:
    description: The language of the texts.
    type: str
    choices: [en, ko]
    default: en
"""

EXAMPLES = r"""
- name: Stop when a secret is missing
  ansible.builtin.assert:
    that: stack_secrets | coinpilot.ops.input_problems(stack_settings, ['DB_PASSWORD']) | length == 0
"""

RETURN = r"""
_value:
  description: One line a problem; empty when there is none.
  type: list
  elements: str
  sample:
    - "key DB_PASSWORD: is still a placeholder (stack_secrets). Give it its real value"
"""

from typing import Any, Callable, Dict, Iterable, List

from ansible_collections.coinpilot.ops.plugins.module_utils import inputs


def input_problems(secrets: Any, settings: Any, required: Iterable[str], language: str = "en") -> List[str]:
    return [finding.line(language) for finding in inputs.problems(secrets, settings, required)]


class FilterModule:
    def filters(self) -> Dict[str, Callable[..., Any]]:
        return {"input_problems": input_problems}
