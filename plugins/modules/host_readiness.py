#!/usr/bin/python
# Copyright (c) the CoinPilot operators
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: host_readiness
short_description: Make sure that a host can take the stack, before anything on it changes
version_added: 0.1.0
author: The CoinPilot operators (@coinpilot)
description:
  - Reads the system, the room on its disks, its memory, Docker, and who holds the stack's ports, container names and
    volumes, all in one go, and fails with every problem at once.
  - What cannot be read fails as well; it is never taken for good.
  - Works on a bare host, where Docker is not installed yet.
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
  description:
    description: The description of the stack, the variable C(stack_description) of the role coinpilot.ops.stack.
    type: dict
    required: true
  package_source:
    description: Where Docker is going to be installed from when it is not there.
    type: str
    choices: [distribution, docker]
    default: distribution
  allow_new_volumes:
    description: Whether new, empty volumes may be attached although the host has others that look like the stack's.
    type: bool
    default: false
  docker_space:
    description: Room that must be free for images and containers, such as V(5g).
    type: str
    default: 5g
  stack_space:
    description: Room that must be free for the stack's own files, such as V(512m).
    type: str
    default: 512m
  language:
    description: The language of the message.
    type: str
    choices: [en, ko]
    default: en
"""

EXAMPLES = r"""
- name: Change nothing on a host that cannot take the stack
  coinpilot.ops.host_readiness:
    description: "{{ stack_description }}"
  become: true
"""

RETURN = r"""
msg:
  description: The verdict; when the module fails, every problem with what to do about it.
  type: str
  returned: always
findings:
  description: Everything that was looked at, good and bad, with texts in every language.
  type: list
  elements: dict
  returned: success
facts:
  description: What the host is.
  type: dict
  returned: success
  contains:
    distribution: {description: The system, type: str, returned: success, sample: ubuntu}
    version: {description: Its version, type: str, returned: success, sample: "22.04"}
    codename: {description: The name of that version, type: str, returned: success, sample: jammy}
    architecture: {description: The architecture as dpkg says it, type: str, returned: success, sample: arm64}
    docker: {description: "One of absent, interrupted and installed", type: str, returned: success}
    engine: {description: Version of the Docker Engine; empty when there is none, type: str, returned: success}
    compose: {description: Version of Compose's plugin; empty when there is none, type: str, returned: success}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.coinpilot.ops.plugins.module_utils import findings, readiness, survey


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "description": {"type": "dict", "required": True},
            "package_source": {"type": "str", "choices": ["distribution", "docker"], "default": "distribution"},
            "allow_new_volumes": {"type": "bool", "default": False},
            "docker_space": {"type": "str", "default": "5g"},
            "stack_space": {"type": "str", "default": "512m"},
            "language": {"type": "str", "choices": ["en", "ko"], "default": "en"},
        },
        supports_check_mode=True,
    )
    wanted, language = module.params, module.params["language"]
    demands = readiness.Demands(**{name: wanted[name] for name in readiness.Demands._fields})
    world = survey.gather(wanted["description"])
    try:
        found = readiness.judge(world, wanted["description"], demands)
    except ValueError as problem:  # a size in the options that is none
        module.fail_json(msg=str(problem))
    if findings.problems(found):
        module.fail_json(msg="\n".join((readiness.REFUSAL.get(language), findings.render_problems(found, language))))
    for finding in found:
        if finding.status == findings.WARN:
            module.warn(finding.line(language))
    module.exit_json(changed=False, msg=findings.summary(found, language), facts=readiness.facts(world),
                     findings=[finding.as_dict() for finding in found])


if __name__ == "__main__":
    main()
