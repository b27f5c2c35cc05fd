# Copyright (c) the CoinPilot operators
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: verification_table
short_description: A verification as a text for one screen
version_added: 0.1.0
author: The CoinPilot operators (@coinpilot)
description:
  - The verdict, one line a host where there are many, then host by host what is not well with what to do, and what
    passed in one line.
positional: _input
options:
  _input:
    description: The summary, of P(coinpilot.ops.verification_summary#filter).
    type: dict
    required: true
  language:
    description: Language of the texts.
    type: str
    choices: [en, ko]
    default: en
seealso:
  - plugin: coinpilot.ops.verification_summary
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Report
  ansible.builtin.debug:
    msg: "{{ summary | coinpilot.ops.verification_table(stack_language) }}"
"""

RETURN = r"""
_value:
  description: The text.
  type: str
"""

from typing import Any, Callable, Dict

from ansible.errors import AnsibleFilterError
from ansible_collections.coinpilot.ops.plugins.module_utils import verification


def verification_table(summary: Any, language: str = "en") -> str:
    try:
        return verification.render_table(summary, language)
    except (KeyError, TypeError) as problem:
        raise AnsibleFilterError("verification_table wants what verification_summary makes") from problem


class FilterModule:
    def filters(self) -> Dict[str, Callable[..., Any]]:
        return {"verification_table": verification_table}
