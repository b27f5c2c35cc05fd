#!/usr/bin/python
# Copyright (c) the CoinPilot operators
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: grafana_contact_point
short_description: Tell whether Grafana's alerts would reach a person
description:
  - Looks at the contact point (there, of the type discord, with an address), at the notification policy (does every
    rule's alert go to it, is any muted at times), at the last delivery and at silences that hide alerts now.
  - With O(test_message=true) it also has Grafana send one message that says of itself that it is a test, and gives
    Grafana's own verdict. Up to version 12 that is Grafana's call C(receivers/test), since version 13 the one of
    C(notifications.alerting.grafana.app). Where a Grafana knows neither, the message is posted to the webhook from the
    host, and the finding says that this proves the webhook only.
  - Runs on the host, asks Grafana on its loopback and takes what is secret from C(.env). The webhook's address is in no
    result. When Grafana does not answer, the outcome is UNKNOWN, never PASS.
  - Without C(DISCORD_WEBHOOK_URL) in C(.env) the finding is a WARN that alerts go nowhere.
  - Does not fail for what it finds.
version_added: 0.1.0
author: The CoinPilot operators (@coinpilot)
options:
  description:
    description: The stack's description, C(stack_description) of the role P(coinpilot.ops.stack#role).
    type: dict
    required: true
  test_message:
    description: Send a test message. Nothing is sent in check mode.
    type: bool
    default: false
  language:
    description: Language of RV(report).
    type: str
    choices: [en, ko]
    default: en
attributes:
  check_mode:
    description: No test message is sent then.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
  idempotent:
    description: With O(test_message=true) every run sends a message; otherwise the module only reads.
    support: partial
seealso:
  - module: coinpilot.ops.grafana_alerts
"""

EXAMPLES = r"""
- name: Would an alert arrive?
  coinpilot.ops.grafana_contact_point:
    description: "{{ stack_description }}"
    language: "{{ stack_language }}"
  register: notifications

- name: Send a test message
  coinpilot.ops.grafana_contact_point:
    description: "{{ stack_description }}"
    test_message: true
  register: notifications
  failed_when: notifications.status in ['FAIL', 'UNKNOWN']
"""

RETURN = r"""
status:
  description: The worst of all findings; one of PASS, WARN, FAIL, UNKNOWN.
  returned: success
  type: str
  sample: PASS
findings:
  description: What was looked at, each with id, status, subject and the texts title, seen, expected, fix (en, ko).
  returned: success
  type: list
  elements: dict
report:
  description: The findings as a text for a person, worst first.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.coinpilot.ops.plugins.module_utils import findings, notification, notification_test


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "description": {"type": "dict", "required": True},
            "test_message": {"type": "bool", "default": False},
            "language": {"type": "str", "choices": ["en", "ko"], "default": "en"},
        },
        supports_check_mode=True,
    )
    given = module.params
    world = notification.gather(given["description"])
    found = notification.judge(world, given["description"])
    if given["test_message"] and not module.check_mode:
        found.append(notification_test.send(world, given["description"]))
    module.exit_json(changed=given["test_message"], **findings.result(found, given["language"]))


if __name__ == "__main__":
    main()
