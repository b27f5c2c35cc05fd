#!/usr/bin/python
# Copyright (c) the CoinPilot operators
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: n8n_workflows
short_description: Import workflows into n8n and keep them active
version_added: 0.1.0
author: The CoinPilot operators (@coinpilot)
description:
  - Imports what n8n does not have or has from an older file, makes it active and keeps it so, without duplicates.
    n8n is restarted once when, and only when, it has to register webhooks.
  - What a person changed in n8n is kept, and the difference is a warning. Another active workflow that answers the same
    path is kept too, and named.
  - Writes the credentials that the workflows use from C(N8N_WEBHOOK_SECRET) and C(DISCORD_WEBHOOK_URL) of the stack's
    C(.env), and creates n8n's owner account from C(N8N_OWNER_EMAIL) and C(N8N_OWNER_PASSWORD) if there is none.
  - n8n's commands end well whether or not they worked; what counts is what its database has afterwards.
options:
  description:
    description: The stack's description, C(stack_description) of the role P(coinpilot.ops.stack#role).
    type: dict
    required: true
  files:
    description:
      - The workflows as exported by n8n, one a file. Each has an id, and each of its Webhook nodes a C(webhookId).
      - One that says C("active") is V(false) itself is imported and not made active.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The file's name, for messages.
        type: str
        required: true
      text:
        description: Its content.
        type: str
        required: true
  overwrite:
    description:
      - Replace what was changed in n8n, bring back what was archived, and deactivate (never delete) other workflows
        that answer the same path.
    type: bool
    default: false
  timeout:
    description: Seconds to wait for n8n to become ready, and then for its webhooks.
    type: int
    default: 180
  language:
    description: Language of RV(report), of the diff and of the message of a failure.
    type: str
    choices: [en, ko]
    default: en
attributes:
  check_mode:
    description: Says what would change, also where n8n is not there yet. What would stop the run is a warning.
    support: full
  diff_mode:
    description: Tells what is imported and in which nodes and parameters it differs; never a credential's value.
    support: full
  idempotent:
    description: The second run changes nothing.
    support: full
"""

EXAMPLES = r"""
- name: Import the workflows
  coinpilot.ops.n8n_workflows:
    description: "{{ stack_description }}"
    files:
      - name: trade.json
        text: "{{ lookup('ansible.builtin.file', 'trade.json') }}"
"""

RETURN = r"""
status:
  description: The worst of all findings; one of PASS, WARN, FAIL, UNKNOWN.
  returned: always
  type: str
  sample: PASS
findings:
  description: What was looked at, each with id, status, subject and the texts title, seen, expected, fix (en, ko).
  returned: always
  type: list
  elements: dict
report:
  description: The findings as a text for a person, worst first.
  returned: always
  type: str
"""

from typing import Dict, List

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.coinpilot.ops.plugins.module_utils import findings, n8n_workflow_files, n8n_workflows
from ansible_collections.coinpilot.ops.plugins.module_utils.engine import Engine


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "description": {"type": "dict", "required": True},
            "files": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {"name": {"type": "str", "required": True}, "text": {"type": "str", "required": True}},
            },
            "overwrite": {"type": "bool", "default": False},
            "timeout": {"type": "int", "default": 180},
            "language": {"type": "str", "choices": ["en", "ko"], "default": "en"},
        },
        supports_check_mode=True,
    )
    given = module.params
    description = given["description"]
    service = description["services"][n8n_workflows.service_name(description)]
    wanted, problems = n8n_workflow_files.load(given["files"], service["container"])
    if problems:
        finish(module, problems, [])
    engine = Engine()
    world = n8n_workflows.gather(description, engine, running=not module.check_mode)
    if world.problem and not module.check_mode:
        finish(module, [world.problem], [])
    plan = n8n_workflows.plan(world, wanted, given["overwrite"])
    changes = [line.get(given["language"]) for line in plan.changes()]
    if module.check_mode:
        foresee(module, world, plan, changes)
    work = n8n_workflows.Work(description, engine, world, given["timeout"])
    finish(module, work.do(plan), changes)


def foresee(module: AnsibleModule, world: n8n_workflows.World, plan: n8n_workflows.Plan, changes: List[str]) -> None:
    found = n8n_workflows.foreseen(plan)
    if world.problem:
        # On a host that is still bare neither n8n nor .env is there, and nothing is wrong with that.
        found = [n8n_workflows.RULES["n8n-ready"].finding("not-yet") if world.is_bare() else world.problem]
    language = module.params["language"]
    for finding in findings.problems(found):
        module.warn(finding.line(language))
    module.exit_json(changed=bool(changes), diff=difference(changes), **findings.result(found, language))


def finish(module: AnsibleModule, found: List[findings.Finding], changes: List[str]) -> None:
    shown = findings.result(found, module.params["language"])
    if findings.problems(found):
        module.fail_json(msg=shown["report"], changed=bool(changes), **shown)
    module.exit_json(changed=bool(changes), diff=difference(changes), **shown)


def difference(changes: List[str]) -> Dict[str, str]:
    return {"prepared": "".join("+ %s\n" % line for line in changes)}


if __name__ == "__main__":
    main()
