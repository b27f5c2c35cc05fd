#!/usr/bin/python
# Copyright (c) the CoinPilot operators
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: grafana_provisioning
short_description: Have Grafana read its provisioning when that has changed
description:
  - Restarts the running Grafana when something in the directory of its provisioning is newer than its start, which is
    when it reads that. Whatever changed it, and whenever, so that a run that was cut off is made good by the next.
  - Does not wait until Grafana is healthy again; the deploy that follows does.
version_added: 0.1.0
author: The CoinPilot operators (@coinpilot)
options:
  description:
    description: The stack's description, C(stack_description) of the role P(coinpilot.ops.stack#role).
    type: dict
    required: true
  directory:
    description: The directory that Grafana's container mounts.
    type: path
    required: true
  language:
    description: Language of RV(report).
    type: str
    choices: [en, ko]
    default: en
attributes:
  check_mode:
    description: Says whether Grafana would be restarted.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
  idempotent:
    description: The second run changes nothing.
    support: full
"""

EXAMPLES = r"""
- name: Have Grafana read its provisioning
  coinpilot.ops.grafana_provisioning:
    description: "{{ stack_description }}"
    directory: "{{ stack_directory }}/monitoring/grafana/provisioning"
"""

RETURN = r"""
status:
  description: PASS; in check mode FAIL, when Grafana would be restarted.
  returned: success
  type: str
  sample: PASS
findings:
  description: The same with what was seen; id, status, subject and the texts title, seen, expected, fix.
  returned: success
  type: list
  elements: dict
report:
  description: The findings as a text for a person.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.coinpilot.ops.plugins.module_utils import findings, grafana_provisioning, watch
from ansible_collections.coinpilot.ops.plugins.module_utils.engine import Engine, EngineError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "description": {"type": "dict", "required": True},
            "directory": {"type": "path", "required": True},
            "language": {"type": "str", "choices": ["en", "ko"], "default": "en"},
        },
        supports_check_mode=True,
    )
    description, directory, engine = module.params["description"], module.params["directory"], Engine()
    try:
        world = grafana_provisioning.gather(description, directory, engine)
        stale = grafana_provisioning.is_stale(world)
        if stale and not module.check_mode:
            grafana_provisioning.restart(world, engine)
            world = grafana_provisioning.gather(description, directory, engine)
    except (OSError, EngineError, ValueError) as problem:
        module.fail_json(msg=str(problem))
    found = [grafana_provisioning.judge(world, description)]
    if stale and not module.check_mode:
        begun = watch.begin(description, watch.MONITORING, engine)
        found += [] if begun.status == findings.PASS else [begun]
    module.exit_json(changed=stale, **findings.result(found, module.params["language"]))


if __name__ == "__main__":
    main()
