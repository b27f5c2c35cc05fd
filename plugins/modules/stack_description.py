#!/usr/bin/python
# Copyright (c) the CoinPilot operators
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The documentation; the action plugin of the same name does it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stack_description
short_description: Judge the description of the stack, and put it together
description:
  - Runs on the control machine. Merges what an installation changes of the description into it, table by table, key by
    key. What is named there only is added, what has C(enabled) V(false) there is left out; so is what needs a service
    that the stack does not have.
  - Fails when something in it cannot be used, with one line for each mistake that names the variable to mend.
  - The role C(coinpilot.ops.stack) calls it; other roles depend on that role and read C(stack_description).
version_added: 0.1.0
author: The CoinPilot operators (@coinpilot)
options:
  tables:
    description: The description as the collection has it, C(services) and the other tables by their names in it.
    type: dict
    required: true
  overrides:
    description:
      - What the installation changes of C(services), C(alert_rules), C(checklist), C(logs) and C(activity), by these
        names. What is left out stays as the collection has it.
    type: dict
    required: true
  language:
    description: Language of the message.
    type: str
    choices: [en, ko]
    default: en
attributes:
  check_mode:
    description: It never changes anything.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
  idempotent:
    description: The same tables and overrides make the same description.
    support: full
seealso:
  - module: coinpilot.ops.checklist_24h
"""

EXAMPLES = r"""
- name: Put the description of the stack together
  coinpilot.ops.stack_description:
    tables: "{{ tables }}"
    overrides:
      services: {bot: {memory: 1g}}
      alert_rules: {ApiLatencyP95High: {above: 2}}
      checklist: {security: {enabled: false}}
    language: ko
  register: described
"""

RETURN = r"""
description:
  description: The tables as they will be, under the same names; the argument of the modules of this collection.
  returned: success
  type: dict
  sample: {name: coinpilot, project: oci, services: {bot: {container: coinpilot-bot, memory: 1g}}}
"""
