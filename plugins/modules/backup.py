#!/usr/bin/python
# Copyright (c) the CoinPilot operators
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: backup
short_description: Take backups that are read back before they count
description:
  - Takes a backup of each target, reads it back, gives it its name, and deletes what is due to go. The same as
    C(coinpilot-ops backup) on the host, with the same logs.
  - A backup that does not fit the last good one (emptied, much smaller) is kept as a suspect one and is a failure;
    other data than the last time's is not backed up at all. Nothing is deleted for either.
  - A target that fails does not keep the others from being backed up; the module fails at the end.
version_added: 0.1.0
author: The CoinPilot operators (@coinpilot)
options:
  description:
    description: The stack's description, C(stack_description) of the role P(coinpilot.ops.stack#role).
    type: dict
    required: true
  targets:
    description: What to back up; all targets when the list is empty.
    type: list
    elements: str
    default: []
  accept_change:
    description: Another database, or a much smaller one, is right. Later backups are compared with this one.
    type: bool
    default: false
  language:
    description: Language of RV(report), of the log and of the message of a failure.
    type: str
    choices: [en, ko]
    default: en
attributes:
  check_mode:
    description: Says what would be taken and deleted.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
  idempotent:
    description: Every run takes a backup.
    support: none
"""

EXAMPLES = r"""
- name: Back up everything
  coinpilot.ops.backup:
    description: "{{ stack_description }}"
    language: "{{ stack_language }}"
  register: result

- name: The database was replaced on purpose
  coinpilot.ops.backup:
    description: "{{ stack_description }}"
    targets: [postgres]
    accept_change: true
"""

RETURN = r"""
status:
  description: The worst of all findings; one of PASS, WARN, FAIL, UNKNOWN.
  returned: always
  type: str
  sample: PASS
findings:
  description: What came of it, each with id, status, subject and the texts title, seen, expected, fix (en, ko).
  returned: always
  type: list
  elements: dict
report:
  description: The findings as a text for a person, worst first.
  returned: always
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.coinpilot.ops.plugins.module_utils import backup, backup_each, findings


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "description": {"type": "dict", "required": True},
            "targets": {"type": "list", "elements": "str", "default": []},
            "accept_change": {"type": "bool", "default": False},
            "language": {"type": "str", "choices": ["en", "ko"], "default": "en"},
        },
        supports_check_mode=True,
    )
    description, language = module.params["description"], module.params["language"]
    found = backup_each.each(
        description, module.params["targets"], "ansible: backup", language,
        lambda target, tell: backup.run(description, target, module.check_mode, module.params["accept_change"], tell))
    result = backup_each.result(found, language)
    if findings.problems(found):
        module.fail_json(msg=result["report"], **result)
    module.exit_json(changed=True, **result)


if __name__ == "__main__":
    main()
