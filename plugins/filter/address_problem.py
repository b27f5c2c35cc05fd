# Copyright (c) the CoinPilot operators
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: address_problem
short_description: What is wrong with the address of a host, before connecting to it
version_added: 0.1.0
author: The CoinPilot operators
description:
  - Sees an address that documentation uses (such as V(203.0.113.10)) or a placeholder (such as V(<public-ip>)).
  - Any other address or name passes; no name is looked up.
positional: _input, name
options:
  _input:
    description: The address.
    type: str
    required: true
  name:
    description: What the inventory calls the host.
    type: str
    required: true
  language:
    description: The language of the text.
    type: str
    choices: [en, ko]
    default: en
"""

EXAMPLES = r"""
- name: Stop when the inventory still holds the example's address
  ansible.builtin.assert:
    that: ansible_host | coinpilot.ops.address_problem(inventory_hostname) == ''
"""

RETURN = r"""
_value:
  description: One line; empty when nothing is wrong.
  type: str
"""

from typing import Callable, Dict

from ansible_collections.coinpilot.ops.plugins.module_utils import identity


def address_problem(address: str, name: str, language: str = "en") -> str:
    finding = identity.address_problem(name, address)
    return finding.line(language) if finding else ""


class FilterModule:
    def filters(self) -> Dict[str, Callable[..., str]]:
        return {"address_problem": address_problem}
