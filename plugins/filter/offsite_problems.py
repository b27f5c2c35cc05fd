# Copyright (c) the CoinPilot operators
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: offsite_problems
short_description: What is wrong with the settings of the off-site copy
version_added: 0.1.0
author: The CoinPilot operators
description:
  - Lists unknown and missing keys, an address that is none, numbers that are none, and keys of C(.env) that the copy
    needs and that have no value. Nothing is wrong with a copy that is turned off.
  - Values are never shown. Times are judged by P(coinpilot.ops.schedule_problems#filter).
positional: _input, keys
options:
  _input:
    description: The settings, V({}) when the copy is off.
    type: dict
    required: true
  keys:
    description: The keys of C(.env), with their values.
    type: dict
    required: true
  language:
    description: The language of the texts.
    type: str
    choices: [en, ko]
    default: en
"""

EXAMPLES = r"""
- name: Stop when the off-site copy cannot work
  ansible.builtin.assert:
    that: stack_backup_offsite | coinpilot.ops.offsite_problems(stack_settings | combine(stack_secrets)) | length == 0
"""

RETURN = r"""
_value:
  description: One line a problem; empty when there is none.
  type: list
  elements: str
  sample:
    - "off-site copy: it is on, and OFFSITE_PASSWORD has no value. Add it to stack_secrets, or turn the
      copy off: stack_backup_offsite: {}"
"""

from typing import Any, Callable, Dict, List, Mapping

from ansible_collections.coinpilot.ops.plugins.module_utils import offsite


def offsite_problems(settings: Any, keys: Mapping[str, Any], language: str = "en") -> List[str]:
    present = [key for key, value in keys.items() if value]
    return [finding.line(language) for finding in offsite.problems(settings, present)]


class FilterModule:
    def filters(self) -> Dict[str, Callable[..., Any]]:
        return {"offsite_problems": offsite_problems}
