#!/usr/bin/python
# Copyright (c) the CoinPilot operators
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: stack_health
short_description: Tell whether the stack is as described, and healthy
description:
  - Reads the containers, the systemd unit, the compose file and C(.env) of a stack in one go and judges them against
    its description. Changes nothing, and works with a stack that is half down or with Docker stopped.
  - What cannot be read is UNKNOWN, never PASS.
version_added: 0.1.0
author: The CoinPilot operators (@coinpilot)
options:
  description:
    description: The stack's description, C(stack_description) of the role P(coinpilot.ops.stack#role).
    type: dict
    required: true
  language:
    description: Language of RV(report) and of the message of a failure.
    type: str
    choices: [en, ko]
    default: en
attributes:
  check_mode:
    description: The module only reads.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
  idempotent:
    description: The module only reads.
    support: full
"""

EXAMPLES = r"""
- name: Is all well?
  coinpilot.ops.stack_health:
    description: "{{ stack_description }}"
    language: "{{ stack_language }}"
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
from ansible_collections.coinpilot.ops.plugins.module_utils import findings, stack_health


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "description": {"type": "dict", "required": True},
            "language": {"type": "str", "choices": ["en", "ko"], "default": "en"},
        },
        supports_check_mode=True,
    )
    description = module.params["description"]
    found = stack_health.judge(stack_health.gather(description), description)
    result = findings.result(found, module.params["language"])
    if findings.problems(found):
        module.fail_json(msg=result["report"], **result)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
