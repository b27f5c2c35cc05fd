#!/usr/bin/python
# Copyright (c) the CoinPilot operators
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: n8n_webhooks
short_description: Tell whether n8n answers the stack's webhooks, and whether what they are sent arrives
description:
  - Tells whether each webhook of the description is registered by an active workflow that checks the secret. Where a
    call would be answered with 404, says which of the reasons it is (the workflow is missing, inactive, archived, or
    was imported without a webhook id; its node is disabled; another n8n has the port; another or an empty volume is
    mounted, and which other volumes hold workflows).
  - Tells what became of the calls of the last day, as n8n recorded it. It answers 200 whether or not a message arrives.
  - Tells whether n8n has an owner; without one its set-up page is open to whoever comes first.
  - With O(probe) it calls each webhook without the secret, with a wrong one and with the right one, and judges by n8n's
    own record of the execution, not by the answer. A call of O(probe) is a message in Discord that says it is a test.
  - n8n's database is read from its volume and never written to. What cannot be read is UNKNOWN, never PASS.
version_added: 0.1.0
author: The CoinPilot operators (@coinpilot)
options:
  description:
    description: The stack's description, C(stack_description) of the role P(coinpilot.ops.stack#role).
    type: dict
    required: true
  probe:
    description:
      - Call the webhooks. The secret is read from C(N8N_WEBHOOK_SECRET) in the stack's C(.env), and goes to nothing but
        the n8n of the stack.
      - Two probes at a time are not made; the later one is UNKNOWN.
    type: bool
    default: false
  patience:
    description: Seconds to wait with O(probe) until what was started has ended. What still runs then is UNKNOWN.
    type: int
    default: 45
  language:
    description: Language of RV(report) and of the message of a failure.
    type: str
    choices: [en, ko]
    default: en
attributes:
  check_mode:
    description: Changes nothing on the host. In check mode nothing is called, whatever O(probe) says.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
  idempotent:
    description: The module only reads; every O(probe) sends its messages anew.
    support: full
"""

EXAMPLES = r"""
- name: Are the webhooks registered?
  coinpilot.ops.n8n_webhooks:
    description: "{{ stack_description }}"
    language: "{{ stack_language }}"

- name: Does what the bot reports arrive in Discord?
  coinpilot.ops.n8n_webhooks:
    description: "{{ stack_description }}"
    language: "{{ stack_language }}"
    probe: true
  register: result
"""

RETURN = r"""
status:
  description: The worst of all findings; one of PASS, WARN, FAIL, UNKNOWN.
  returned: always
  type: str
  sample: PASS
findings:
  description: What was looked at, each with id, status, subject and the texts title, seen, expected, fix (en, ko).
  returned: always
  type: list
  elements: dict
report:
  description: The findings as a text for a person, worst first.
  returned: always
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.coinpilot.ops.plugins.module_utils import findings, n8n_probe, n8n_webhooks


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "description": {"type": "dict", "required": True},
            "probe": {"type": "bool", "default": False},
            "patience": {"type": "int", "default": 45},
            "language": {"type": "str", "choices": ["en", "ko"], "default": "en"},
        },
        supports_check_mode=True,
    )
    description = module.params["description"]
    world = n8n_webhooks.gather(description)
    probed = []
    if module.params["probe"] and not module.check_mode:
        probed = n8n_probe.run(description, world, module.params["patience"])
        # With the calls just made among them: what failed before and does no more is mended.
        world = n8n_webhooks.gather(description)
    found = n8n_webhooks.judge(world, description) + probed
    module.exit_json(changed=False, **findings.result(found, module.params["language"]))


if __name__ == "__main__":
    main()
