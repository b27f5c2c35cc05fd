#!/usr/bin/python
# Copyright (c) the CoinPilot operators
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: compose_deploy
short_description: Deploy a Docker Compose stack that ends healthy or ends where it began
description:
  - Stages a compose file and its C(.env), proves that Compose reads them as meant, makes the images ready, puts the
    files in place, lets Compose change what differs, and watches every service until all are healthy and stay so.
  - When they do not, the last compose file, C(.env) and images that passed come back, and the module fails, naming
    the service and showing its last lines. Data is never touched.
  - A run that is cut off is finished, or undone, by the next one. One deploy at a time works on a host.
  - The progress is appended to C(deploy.log) in the stack's log directory.
version_added: 0.1.0
author: The CoinPilot operators (@coinpilot)
options:
  description:
    description: The stack's description, C(stack_description) of the role P(coinpilot.ops.stack#role).
    type: dict
    required: true
  compose:
    description: The text of the compose file.
    type: str
    required: true
  secrets:
    description: Keys and values of C(.env) that are never shown.
    type: dict
    required: true
  settings:
    description: Further keys and values of C(.env).
    type: dict
    default: {}
  state:
    description:
      - V(prepared) validates the files, builds the images that are built on the host and pulls the others where the
        host lacks them. Nothing that runs is touched.
      - V(deployed) puts the files in place, starts what differs and waits for health. The images must be there.
    type: str
    choices: [prepared, deployed]
    default: deployed
  rebuild:
    description: With O(state=prepared), build again from a fresh base image although the source has not changed.
    type: bool
    default: false
  timeout:
    description: Seconds within which every service must be healthy.
    type: int
    default: 300
  settle:
    description: Seconds for which they must stay so without a restart.
    type: int
    default: 15
attributes:
  check_mode:
    description: Tells what would change and touches nothing; works on a host that has no Docker yet.
    support: full
  diff_mode:
    description: Shows the compose file as it was and will be, and the names of the keys of C(.env), never a value.
    support: full
  idempotent:
    description: A second run with the same options changes nothing and restarts nothing.
    support: full
notes:
  - Needs Docker Engine 25 and Docker Compose 2.20 or newer on the host, and nothing but Python's standard library.
seealso:
  - module: community.docker.docker_compose_v2
"""

EXAMPLES = r"""
- name: Make the images ready
  coinpilot.ops.compose_deploy:
    description: "{{ stack_description }}"
    compose: "{{ lookup('ansible.builtin.template', 'docker-compose.prod.yml.j2') }}"
    secrets: "{{ stack_secrets }}"
    settings: "{{ stack_settings }}"
    state: prepared

- name: Deploy, and come back if it does not end healthy
  coinpilot.ops.compose_deploy:
    description: "{{ stack_description }}"
    compose: "{{ lookup('ansible.builtin.template', 'docker-compose.prod.yml.j2') }}"
    secrets: "{{ stack_secrets }}"
    settings: "{{ stack_settings }}"
    timeout: 300
"""

RETURN = r"""
release:
  description: What the images built on the host are tagged with; 12 digits that stand for the source's content.
  returned: always
  type: str
  sample: 3f2a90c1d27e
restarted:
  description: The services whose containers were created or restarted.
  returned: with O(state=deployed)
  type: list
  elements: str
  sample: [bot]
"""

from typing import Any, Dict, List, Mapping

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.coinpilot.ops.plugins.module_utils.compose import ComposeError
from ansible_collections.coinpilot.ops.plugins.module_utils.deploy import (
    DeployError,
    Deployment,
    Limits,
    Plan,
    Result,
)
from ansible_collections.coinpilot.ops.plugins.module_utils.engine import EngineError
from ansible_collections.coinpilot.ops.plugins.module_utils.files import tree_digest


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "description": {"type": "dict", "required": True},
            "compose": {"type": "str", "required": True},
            "secrets": {"type": "dict", "required": True, "no_log": True},
            "settings": {"type": "dict", "default": {}},
            "state": {"type": "str", "choices": ["prepared", "deployed"], "default": "deployed"},
            "rebuild": {"type": "bool", "default": False},
            "timeout": {"type": "int", "default": 300},
            "settle": {"type": "int", "default": 15},
        },
        supports_check_mode=True,
    )
    given = module.params
    release = ""
    try:
        release = tree_digest(given["description"]["source_directory"])
        plan = Plan(given["description"], given["compose"], texts(given["secrets"]), texts(given["settings"]), release)
        deployment = Deployment(plan, Limits(healthy=given["timeout"], settle=given["settle"]))
        if module.check_mode:
            result = would_change(deployment, given["state"])
        elif given["state"] == "prepared":
            result = {"changed": deployment.prepare(given["rebuild"])}
        else:
            result = deployed(deployment)
    except DeployError as problem:
        module.fail_json(msg=str(problem), changed=problem.changed, release=release)
    except (ComposeError, EngineError, OSError, ValueError) as problem:
        module.fail_json(msg=str(problem), release=release)
    module.exit_json(release=release, **result)


def texts(values: Mapping[str, Any]) -> Dict[str, str]:
    """The values as text: YAML makes numbers and booleans of what `.env` holds as characters."""
    return {key: value if isinstance(value, str) else str(value) for key, value in values.items()}


def would_change(deployment: Deployment, state: str) -> Dict[str, Any]:
    if state == "prepared":
        return {"changed": False}
    result = deployment.would_change()
    return {"changed": result.changed, "restarted": [], "diff": diff(result)}


def deployed(deployment: Deployment) -> Dict[str, Any]:
    result = deployment.deploy()
    return {"changed": result.changed, "restarted": result.restarted, "diff": diff(result)}


def diff(result: Result) -> List[Dict[str, str]]:
    return [{"before_header": path, "after_header": path, "before": before, "after": result.after[path]}
            for path, before in result.before.items()]


if __name__ == "__main__":
    main()
