#!/usr/bin/python
# Copyright (c) the CoinPilot operators
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: host_identity
short_description: Make sure that the machine that answers is the one the inventory means
version_added: 0.1.0
author: The CoinPilot operators (@coinpilot)
description:
  - Compares the machine-id and the host name of the machine that answered with those on record; fails when they differ.
  - A machine with nothing on record is refused too, and so is WSL, whatever is on record.
  - A container is not taken for WSL, although it has WSL's kernel when it runs there.
attributes:
  check_mode:
    support: full
    description: Can run in check mode and tells the same as in a run.
  diff_mode:
    support: none
    description: Shows what would change or has changed; this module changes nothing.
  idempotent:
    support: full
    description: A second run with the same arguments indicates no change.
options:
  name:
    description: What the inventory calls this machine.
    type: str
    required: true
  machine_id:
    description: The machine-id on record; empty when there is none.
    type: str
    default: ""
  hostname:
    description: The host name on record; empty when it does not matter.
    type: str
    default: ""
  purpose:
    description:
      - V(check) fails unless the machine is the one on record.
      - V(first_contact) fails when the machine may not be put on record, and returns what is to be recorded.
    type: str
    choices: [check, first_contact]
    default: check
  replace:
    description: On first contact, whether another machine than the one on record may take its place.
    type: bool
    default: false
  command:
    description: The command that puts a machine on record, named in the message.
    type: str
    default: ansible-playbook playbooks/first_contact.yml
  language:
    description: The language of the message.
    type: str
    choices: [en, ko]
    default: en
"""

EXAMPLES = r"""
- name: Change nothing on the wrong machine
  coinpilot.ops.host_identity:
    name: "{{ inventory_hostname }}"
    machine_id: 3f2a90c1b7d84e5fa1c2d3e4f5a6b7c8
    hostname: coinpilot-ins

- name: See which machine answers
  coinpilot.ops.host_identity:
    name: "{{ inventory_hostname }}"
    purpose: first_contact
  register: answered
"""

RETURN = r"""
msg:
  description: Which machine answered; when the module fails also what was expected and what to do.
  type: str
  returned: always
  sample: "host oci: coinpilot-ins (OracleCloud.com, Ubuntu 22.04.5 LTS, aarch64, machine-id 3f2a90c1…)"
recorded:
  description: Whether this very machine is on record.
  type: bool
  returned: success
identity:
  description: What tells this machine from another.
  type: dict
  returned: always
  contains:
    machine_id: {description: The content of C(/etc/machine-id)., type: str, returned: success}
    hostname: {description: Its name., type: str, returned: success}
    os: {description: The name and version of its system., type: str, returned: success}
    architecture: {description: Its architecture as C(uname -m) says it., type: str, returned: success}
    product: {description: What its firmware says of maker and cloud; often empty., type: str, returned: success}
    container: {description: The kind of container it is; empty when it is none., type: str, returned: success}
    wsl: {description: Whether it is WSL., type: bool, returned: success}
client:
  description: The address from which it sees this login come. Empty with privilege escalation, and without SSH.
  type: str
  returned: success
  sample: 203.0.113.7
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.coinpilot.ops.plugins.module_utils import findings, identity


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "machine_id": {"type": "str", "default": ""},
            "hostname": {"type": "str", "default": ""},
            "purpose": {"type": "str", "choices": ["check", "first_contact"], "default": "check"},
            "replace": {"type": "bool", "default": False},
            "command": {"type": "str", "default": "ansible-playbook playbooks/first_contact.yml"},
            "language": {"type": "str", "choices": ["en", "ko"], "default": "en"},
        },
        supports_check_mode=True,
    )
    wanted = module.params
    machine = identity.gather()
    recorded = (wanted["name"], wanted["machine_id"], wanted["hostname"], wanted["command"])
    known = identity.judge(machine, *recorded)
    finding = known
    if wanted["purpose"] == "first_contact":
        finding = identity.judge_first_contact(machine, *recorded, replace=wanted["replace"])
    message = finding.line(wanted["language"])
    seen = {key: value for key, value in machine.items() if key != "errors"}
    if finding.status != findings.PASS:
        module.fail_json(msg=message, identity=seen)
    module.exit_json(changed=False, msg=message, recorded=known.status == findings.PASS, identity=seen,
                     client=(os.environ.get("SSH_CONNECTION", "").split() or [""])[0].partition("%")[0])


if __name__ == "__main__":
    main()
