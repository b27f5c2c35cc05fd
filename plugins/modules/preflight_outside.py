#!/usr/bin/python
# Copyright (c) the CoinPilot operators
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: preflight_outside
short_description: See from here which ports of a host answer the Internet
description:
  - Runs on the control machine (C(delegate_to=localhost)) and tries to open a connection to every port of the stack,
    to SSH, 80 and 443, at every address of the host, over IPv4 and IPv6. Nothing is sent.
  - An open port that the policy does not allow is a FAIL. A port counts as closed only when the way to the host is
    sound and this machine stands where anyone could stand. Where that is in doubt (loopback, a private address, the
    same network, no way out, something on the way that accepts everything) the outcome is UNKNOWN, never PASS.
  - A filter on the way that shuts some ports and not SSH's looks the same as a closed port.
  - Does not fail for what it finds. Hand RV(findings) to P(coinpilot.ops.preflight_verdict#filter), together with those
    of P(coinpilot.ops.preflight#module).
version_added: 0.1.0
author: The CoinPilot operators (@coinpilot)
options:
  host:
    description: Name or address that Ansible is connected to, C(ansible_host). All that it resolves to is tried.
    type: str
    required: true
  addresses:
    description: Further names or addresses of the host, such as its public IPv6 address.
    type: list
    elements: str
    default: []
  description:
    description:
      - The stack's description, C(stack_description) of the role P(coinpilot.ops.stack#role).
      - The C(public_ports) of its policy may be open. Its waivers are for P(coinpilot.ops.preflight_verdict#filter).
    type: dict
    required: true
  ssh_port:
    description: The port of SSH at these addresses.
    type: int
    default: 22
  source:
    description:
      - This machine's address as the host sees it, the first word of C(SSH_CONNECTION) there.
      - Leave it empty where a jump host stands between.
    type: str
    default: ''
  allowed_sources:
    description:
      - Networks that SSH is said to be limited to. From inside one of them, that SSH answers tells nothing of others,
        and the outcome is UNKNOWN; from elsewhere, an answer is a FAIL.
      - Leave it empty where OCI's own rules are judged, which tell for certain.
    type: list
    elements: str
    default: []
  timeout:
    description: Seconds to wait for an answer. A port that keeps silent is tried once more.
    type: float
    default: 3.0
  language:
    description: Language of RV(report).
    type: str
    choices: [en, ko]
    default: en
attributes:
  check_mode:
    description: The module only looks.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
  idempotent:
    description: The module only looks.
    support: full
seealso:
  - module: coinpilot.ops.preflight
  - plugin: coinpilot.ops.preflight_verdict
    plugin_type: filter
"""

EXAMPLES = r"""
- name: How does the host look from outside?
  coinpilot.ops.preflight_outside:
    host: "{{ ansible_host }}"
    description: "{{ stack_description }}"
    language: "{{ stack_language }}"
  delegate_to: localhost
  become: false
  register: outside
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

import ipaddress

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.coinpilot.ops.plugins.module_utils import (
    findings,
    preflight_outside,
    preflight_policy,
    preflight_rules,
)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "host": {"type": "str", "required": True},
            "addresses": {"type": "list", "elements": "str", "default": []},
            "description": {"type": "dict", "required": True},
            "ssh_port": {"type": "int", "default": 22},
            "source": {"type": "str", "default": ""},
            "allowed_sources": {"type": "list", "elements": "str", "default": []},
            "timeout": {"type": "float", "default": 3.0},
            "language": {"type": "str", "choices": ["en", "ko"], "default": "en"},
        },
        supports_check_mode=True,
    )
    given = module.params
    try:
        for network in [given["source"], *given["allowed_sources"]]:
            if network:
                ipaddress.ip_network(network)
    except ValueError as problem:
        module.fail_json(msg="source and allowed_sources must be addresses and networks: %s" % problem)
    policy = preflight_policy.checked(given["description"].get("security", preflight_policy.NONE),
                                      preflight_rules.RULES, preflight_policy.VARIABLE)[0]
    wanted = preflight_outside.ports(given["description"], policy, given["ssh_port"])
    world = preflight_outside.probe(given["host"], given["addresses"], wanted, given["timeout"])
    found = preflight_outside.judge(world, policy, wanted, given["ssh_port"], given["source"], given["allowed_sources"])
    module.exit_json(changed=False, **findings.result(found, given["language"]))


if __name__ == "__main__":
    main()
