#!/usr/bin/python
# Copyright (c) the CoinPilot operators
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_restore
short_description: Restore a backup for real, or list what could be restored
description:
  - Replaces the data of a target's service by a backup's. The backup's bytes are verified first, a safety backup of the
    present data is taken, the services that write to it are stopped, and started again when the data is what the
    backup's manifest says. The same as C(coinpilot-ops restore) on the host, with the same log.
  - A run that was cut off is finished by running the same again.
  - Without O(name), and without the right O(confirm), nothing is changed.
version_added: 0.1.0
author: The CoinPilot operators (@coinpilot)
options:
  description:
    description: The stack's description, C(stack_description) of the role P(coinpilot.ops.stack#role).
    type: dict
    required: true
  target:
    description: What to restore.
    type: str
    required: true
  name:
    description: The backup's name. Without it, RV(report) lists those there are.
    type: str
    default: ""
  confirm:
    description: The host's own name, as C(hostname) tells it. Anything else changes nothing and fails.
    type: str
    default: ""
  from_directory:
    description: Another directory that holds backups, such as one fetched from off-site.
    type: path
  from_host:
    description: The name of the host, now lost, that made the backup. Backups of another host are refused otherwise.
    type: str
    default: ""
  accept_suspect:
    description: Restore even a backup that did not fit those before it when it was taken.
    type: bool
    default: false
  without_safety_backup:
    description: Do not back up the present data, because it cannot be, or is of no use.
    type: bool
    default: false
  language:
    description: Language of RV(report), of the log and of the message of a failure.
    type: str
    choices: [en, ko]
    default: en
attributes:
  check_mode:
    description: Runs in check mode.
    support: partial
    details: A restore is skipped, for it cannot be tried without doing it. A list is shown.
  diff_mode:
    description: There is nothing to show.
    support: none
  idempotent:
    description: Every run restores.
    support: none
"""

EXAMPLES = r"""
- name: What is there?
  coinpilot.ops.backup_restore:
    description: "{{ stack_description }}"
    target: postgres
  register: result

- name: Restore it
  coinpilot.ops.backup_restore:
    description: "{{ stack_description }}"
    target: postgres
    name: coinpilot_postgres_20261123T180500Z
    confirm: coinpilot-ins
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
backups:
  description: Those there are, newest first.
  returned: without O(name)
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.coinpilot.ops.plugins.module_utils import (
    backup_each,
    backup_list,
    backup_restore,
    findings,
)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "description": {"type": "dict", "required": True},
            "target": {"type": "str", "required": True},
            "name": {"type": "str", "default": ""},
            "confirm": {"type": "str", "default": ""},
            "from_directory": {"type": "path"},
            "from_host": {"type": "str", "default": ""},
            "accept_suspect": {"type": "bool", "default": False},
            "without_safety_backup": {"type": "bool", "default": False},
            "language": {"type": "str", "choices": ["en", "ko"], "default": "en"},
        },
        supports_check_mode=True,
    )
    params = module.params
    description, language = params["description"], params["language"]
    wish = backup_restore.Wish(params["target"], params["name"], params["from_directory"] or "", params["from_host"],
                               params["accept_suspect"], params["without_safety_backup"])
    text, backups = "", {}
    found = backup_each.unknown(description, [wish.target])
    if not found and not wish.name:
        found, _text, rows = backup_restore.listing(description, wish.target, wish.root)
        text, backups = backup_list.render(rows).get(language), {"backups": [row._asdict() for row in rows]}
    elif not found and module.check_mode:
        module.exit_json(skipped=True, changed=False, msg="a restore cannot be tried without doing it")
    elif not found:
        found = backup_each.each(
            description, [wish.target], "ansible: backup_restore " + wish.name, language,
            lambda target, tell: backup_restore.run(description, wish, lambda text: params["confirm"], tell))
    result = backup_each.result(found, language)
    result["report"] += text
    if findings.problems(found):
        module.fail_json(msg=result["report"], **result)
    module.exit_json(changed=bool(wish.name), **result, **backups)


if __name__ == "__main__":
    main()
