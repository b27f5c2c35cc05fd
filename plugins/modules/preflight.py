#!/usr/bin/python
# Copyright (c) the CoinPilot operators
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: preflight
short_description: Tell whether a deployed stack and its host are safe
description:
  - Judges the compose file as Compose resolves it, C(.env), n8n workflows, and what really runs on the host -
    containers, listeners, firewall and SSH server. Changes nothing.
  - What could not be told is UNKNOWN, never PASS. The module does not fail over what it finds. Hand RV(findings) to
    P(coinpilot.ops.preflight_verdict#filter), together with those of P(coinpilot.ops.preflight_outside#module) and
    P(coinpilot.ops.preflight_oci#module).
  - The rules are told in C(docs/preflight-rules.md).
version_added: 0.1.0
author: The CoinPilot operators (@coinpilot)
options:
  description:
    description:
      - The stack's description, C(stack_description) of the role P(coinpilot.ops.stack#role).
      - The C(public_ports) of its policy may be open. Its waivers are for P(coinpilot.ops.preflight_verdict#filter).
    type: dict
    required: true
  workflows:
    description: A directory of the host with exported n8n workflows. Without one, none are judged.
    type: path
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
  - module: coinpilot.ops.preflight_outside
  - module: coinpilot.ops.preflight_oci
  - plugin: coinpilot.ops.preflight_verdict
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Is what runs safe?
  coinpilot.ops.preflight:
    description: "{{ stack_description }}"
  register: inside

- name: Stop when it is not
  ansible.builtin.fail:
    msg: "{{ verdict.report }}"
  vars:
    verdict: "{{ inside.findings | coinpilot.ops.preflight_verdict(stack_security) }}"
  when: not verdict.passed
"""

RETURN = r"""
status:
  description: The worst of all findings; one of PASS, WARN, FAIL, UNKNOWN.
  returned: always
  type: str
  sample: PASS
findings:
  description:
    - What was judged, worst first, each with id, status, severity, subject, service, file, line and the texts title,
      seen, expected, fix (en, ko).
  returned: always
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.coinpilot.ops.plugins.module_utils import findings, preflight


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "description": {"type": "dict", "required": True},
            "workflows": {"type": "path"},
        },
        supports_check_mode=True,
    )
    found = preflight.judge(preflight.of_host(module.params["description"], workflows=module.params["workflows"] or ""))
    module.exit_json(changed=False, status=findings.worst(found),
                     findings=[finding.as_dict() for finding in findings.sort(found)])


if __name__ == "__main__":
    main()
