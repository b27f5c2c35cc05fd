#!/usr/bin/python
# Copyright (c) the CoinPilot operators
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_rehearsal
short_description: Prove backups by restoring them in a scratch place
description:
  - Restores the newest good backup of each target, or a named one, into a scratch database or container, and compares
    rows or keys, hypertables and the versions of extensions with the backup's manifest. What runs is left alone.
  - The same as C(coinpilot-ops restore-rehearsal) on the host, with the same logs. A backup that passes is recorded as
    proven, and retention keeps the newest of those.
  - A target that fails does not keep the others from being tried; the module fails at the end.
version_added: 0.1.0
author: The CoinPilot operators (@coinpilot)
options:
  description:
    description: The stack's description, C(stack_description) of the role P(coinpilot.ops.stack#role).
    type: dict
    required: true
  targets:
    description: Whose backups to try; all targets when the list is empty.
    type: list
    elements: str
    default: []
  name:
    description: A backup's name, instead of the newest good one. Goes with one target.
    type: str
    default: ""
  from_directory:
    description: Another directory that holds backups, such as one fetched from off-site. Nothing is recorded of it.
    type: path
  language:
    description: Language of RV(report), of the log and of the message of a failure.
    type: str
    choices: [en, ko]
    default: en
attributes:
  check_mode:
    description: Skipped. A rehearsal needs room and time, and records what it finds.
    support: none
  diff_mode:
    description: There is nothing to show.
    support: none
  idempotent:
    description: Every run is a rehearsal of its own; the data of the services is not touched.
    support: none
"""

EXAMPLES = r"""
- name: Do all the newest backups restore?
  coinpilot.ops.backup_rehearsal:
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
from ansible_collections.coinpilot.ops.plugins.module_utils import backup_each, backup_rehearsal, findings


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "description": {"type": "dict", "required": True},
            "targets": {"type": "list", "elements": "str", "default": []},
            "name": {"type": "str", "default": ""},
            "from_directory": {"type": "path"},
            "language": {"type": "str", "choices": ["en", "ko"], "default": "en"},
        },
        supports_check_mode=False,
    )
    description, language = module.params["description"], module.params["language"]
    targets, name = module.params["targets"], module.params["name"]
    if name and len(targets) != 1:
        module.fail_json(msg="name goes with one target: put it in targets")
    found = backup_each.each(
        description, targets, "ansible: backup_rehearsal", language,
        lambda target, tell: backup_rehearsal.run(description, target, name, module.params["from_directory"] or "",
                                                  tell))
    result = backup_each.result(found, language)
    if findings.problems(found):
        module.fail_json(msg=result["report"], **result)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
