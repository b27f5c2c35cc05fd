# Copyright (c) the CoinPilot operators
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: verification_html
short_description: A verification as a web page for a phone
version_added: 0.1.0
author: The CoinPilot operators (@coinpilot)
description:
  - One page that stands alone, without network and script - the verdict, what to do first, every item, and the last
    30 days, host by host. Light or dark as the browser wants it.
positional: _input
options:
  _input:
    description: The summary, of P(coinpilot.ops.verification_summary#filter).
    type: dict
    required: true
  title:
    description: What was verified; C(stack_title).
    type: str
    required: true
  command:
    description: The command that makes the page anew, for its foot.
    type: str
    default: ''
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
- name: Write the page
  ansible.builtin.copy:
    content: "{{ summary | coinpilot.ops.verification_html('CoinPilot', stack_language) }}"
    dest: report.html
    mode: "0600"
  delegate_to: localhost
"""

RETURN = r"""
_value:
  description: The page.
  type: str
"""

from typing import Any, Callable, Dict

from ansible.errors import AnsibleFilterError
from ansible_collections.coinpilot.ops.plugins.module_utils import report_html


def verification_html(summary: Any, title: str, language: str = "en", command: str = "") -> str:
    try:
        return report_html.render(summary, title, language, command)
    except (KeyError, TypeError) as problem:
        raise AnsibleFilterError("verification_html wants what verification_summary makes") from problem


class FilterModule:
    def filters(self) -> Dict[str, Callable[..., Any]]:
        return {"verification_html": verification_html}
