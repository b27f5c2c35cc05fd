#!/usr/bin/python
# Copyright (c) the CoinPilot operators
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: grafana_alerts
short_description: Tell whether Grafana's alert rules would notice
description:
  - Compares every alert rule of the description with what Grafana has, and looks at how Grafana evaluates it. A rule is
    a FAIL when it is missing, other than described, paused, never or no longer evaluated, cannot be evaluated, or when
    a critical one sees no data or fires; it is a WARN when it is about to fire, or when one of less weight sees no data
    or fires. A rule of this stack that is described no more is a WARN.
  - Grafana's own list calls a rule that sees no data, or was never evaluated, inactive and ok. Therefore the last
    evaluation and the state of each alert are looked at too.
  - Runs on the host, asks Grafana on its loopback and takes the administrator's name and password from C(.env). When
    Grafana does not answer, the outcome is UNKNOWN, never PASS.
  - Understands versions 10 to 13 of Grafana. After a start of Grafana it waits until each rule was evaluated once, for
    O(patience) at most.
  - Does not fail for what it finds.
version_added: 0.1.0
author: The CoinPilot operators (@coinpilot)
options:
  description:
    description: The stack's description, C(stack_description) of the role P(coinpilot.ops.stack#role).
    type: dict
    required: true
  patience:
    description: Seconds to wait for rules that were not evaluated yet.
    type: int
    default: 75
  language:
    description: Language of RV(report).
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
seealso:
  - module: coinpilot.ops.grafana_contact_point
  - module: coinpilot.ops.prometheus_targets
"""

EXAMPLES = r"""
- name: Would Grafana notice?
  coinpilot.ops.grafana_alerts:
    description: "{{ stack_description }}"
    language: "{{ stack_language }}"
  register: alerts
  failed_when: alerts.status in ['FAIL', 'UNKNOWN']
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
from ansible_collections.coinpilot.ops.plugins.module_utils import alert_state, engine, findings


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "description": {"type": "dict", "required": True},
            "patience": {"type": "int", "default": 75},
            "language": {"type": "str", "choices": ["en", "ko"], "default": "en"},
        },
        supports_check_mode=True,
    )
    given = module.params
    world = alert_state.gather(given["description"], engine.Engine(), given["patience"])
    found = alert_state.judge(world, given["description"])
    module.exit_json(changed=False, **findings.result(found, given["language"]))


if __name__ == "__main__":
    main()
