#!/usr/bin/python
# Copyright (c) the CoinPilot operators
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: prometheus_targets
short_description: Tell whether Prometheus sees its targets, and has seen them all along
description:
  - Judges every job of the stack (the application's, Prometheus's own, and the host's where a node exporter is
    described) and every other job that Prometheus has, by all samples of C(up) within O(window).
  - A target that is down, has vanished, or is scraped under another name is a FAIL; one that was down within the
    window, or was not asked for two minutes or longer, is a WARN. That a target is watched for less than the window is
    said, and held against nobody.
  - Runs on the host and asks Prometheus on its loopback. When that does not answer, the outcome is UNKNOWN, never PASS.
  - Does not fail for what it finds.
version_added: 0.1.0
author: The CoinPilot operators (@coinpilot)
options:
  description:
    description: The stack's description, C(stack_description) of the role P(coinpilot.ops.stack#role).
    type: dict
    required: true
  window:
    description: How far to look back, from V(1m) to V(7d).
    type: str
    default: 1h
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
  - module: coinpilot.ops.grafana_alerts
"""

EXAMPLES = r"""
- name: Has Prometheus seen all targets today?
  coinpilot.ops.prometheus_targets:
    description: "{{ stack_description }}"
    window: 24h
    language: "{{ stack_language }}"
  register: targets
  failed_when: targets.status in ['FAIL', 'UNKNOWN']
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
from ansible_collections.coinpilot.ops.plugins.module_utils import findings, targets


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "description": {"type": "dict", "required": True},
            "window": {"type": "str", "default": "1h"},
            "language": {"type": "str", "choices": ["en", "ko"], "default": "en"},
        },
        supports_check_mode=True,
    )
    given = module.params
    try:
        window = targets.window_seconds(given["window"])
    except ValueError as problem:
        module.fail_json(msg=str(problem))
    found = targets.judge(targets.gather(given["description"], window), given["description"])
    module.exit_json(changed=False, **findings.result(found, given["language"]))


if __name__ == "__main__":
    main()
