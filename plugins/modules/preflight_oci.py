#!/usr/bin/python
# Copyright (c) the CoinPilot operators
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: preflight_oci
short_description: Tell what OCI's own rules let in, and whether budgets, quotas or limits have changed
description:
  - Runs on the control machine (C(delegate_to=localhost)) and only reads. Judges the ingress rules of all security
    lists and network security groups of all interfaces of an instance, taken together.
  - SSH from anything but single addresses (/32, for IPv6 /128) is a FAIL, and so is anything else that is open beside
    the policy's C(public_ports). 80 and 443 that the policy does not name are a WARN.
  - Security rules, budgets with their alert rules, quotas and the limits of Compute are compared with what they were a
    week ago, by a file on the control machine. A change is a WARN. Budgets, quotas and limits are those that the region
    of the credentials shows; let it be the home region.
  - Without the SDK, credentials, permission or network the outcome is UNKNOWN, never PASS, with the policy statement
    that is missing.
  - Does not fail for what it finds. Hand RV(findings) to P(coinpilot.ops.preflight_verdict#filter), together with those
    of P(coinpilot.ops.preflight#module).
version_added: 0.1.0
author: The CoinPilot operators (@coinpilot)
requirements:
  - oci (requirements-oci.txt)
options:
  instance_id:
    description: OCID of the instance.
    type: str
    required: true
  description:
    description:
      - The stack's description, C(stack_description) of the role P(coinpilot.ops.stack#role).
      - The C(public_ports) of its policy may be open. Its waivers are for P(coinpilot.ops.preflight_verdict#filter).
    type: dict
    required: true
  state_file:
    description:
      - File of the control machine with what was read on earlier days. Made when it is not there, with mode 0600.
      - Not written in check mode.
    type: path
    required: true
  config_file:
    description: Configuration file of the OCI SDK and CLI.
    type: path
    default: ~/.oci/config
  profile:
    description: The profile in O(config_file).
    type: str
    default: DEFAULT
  credentials:
    description: Credentials instead of a profile, e.g. out of Ansible Vault.
    type: dict
    default: {}
    suboptions:
      tenancy:
        description: OCID of the tenancy.
        type: str
      user:
        description: OCID of the user.
        type: str
      region:
        description: The region, such as V(ap-seoul-1).
        type: str
      fingerprint:
        description: Fingerprint of the API key.
        type: str
      key_file:
        description: File with the private key.
        type: path
      key_content:
        description: The private key itself.
        type: str
      pass_phrase:
        description: Passphrase of the private key.
        type: str
  ssh_port:
    description: The port of SSH.
    type: int
    default: 22
  timeout:
    description: Seconds to wait for an answer; what is not answered is asked for three times.
    type: float
    default: 20.0
  language:
    description: Language of RV(report).
    type: str
    choices: [en, ko]
    default: en
attributes:
  check_mode:
    description: Tells the same as in a run; what was read is not recorded.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
  idempotent:
    description: The module only reads; recording what it read is no change.
    support: full
seealso:
  - module: coinpilot.ops.preflight
  - plugin: coinpilot.ops.preflight_verdict
    plugin_type: filter
"""

EXAMPLES = r"""
- name: What do OCI's own rules let in?
  coinpilot.ops.preflight_oci:
    instance_id: "{{ security_preflight_oci_instance_id }}"
    description: "{{ stack_description }}"
    state_file: "{{ playbook_dir }}/../.cache/oci-state/{{ inventory_hostname }}.json"
    language: "{{ stack_language }}"
  delegate_to: localhost
  become: false
  register: oci
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
from ansible_collections.coinpilot.ops.plugins.module_utils import (
    findings,
    preflight_oci_run,
    preflight_policy,
    preflight_rules,
)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "instance_id": {"type": "str", "required": True},
            "description": {"type": "dict", "required": True},
            "state_file": {"type": "path", "required": True},
            "config_file": {"type": "path", "default": "~/.oci/config"},
            "profile": {"type": "str", "default": "DEFAULT"},
            "credentials": {
                "type": "dict",
                "default": {},
                "options": {
                    "tenancy": {"type": "str"},
                    "user": {"type": "str"},
                    "region": {"type": "str"},
                    "fingerprint": {"type": "str"},
                    "key_file": {"type": "path", "no_log": False},
                    "key_content": {"type": "str", "no_log": True},
                    "pass_phrase": {"type": "str", "no_log": True},
                },
            },
            "ssh_port": {"type": "int", "default": 22},
            "timeout": {"type": "float", "default": 20.0},
            "language": {"type": "str", "choices": ["en", "ko"], "default": "en"},
        },
        supports_check_mode=True,
    )
    policy = preflight_policy.checked(module.params["description"].get("security", preflight_policy.NONE),
                                      preflight_rules.RULES, preflight_policy.VARIABLE)[0]
    wish = preflight_oci_run.Wish(**{name: module.params[name] for name in preflight_oci_run.Wish._fields})
    found = preflight_oci_run.run(wish, policy, record=not module.check_mode)
    module.exit_json(changed=False, **findings.result(found, module.params["language"]))


if __name__ == "__main__":
    main()
