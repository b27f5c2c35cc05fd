#!/usr/bin/python
# Copyright (c) the CoinPilot operators
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: prometheus_config
short_description: Put Prometheus's configuration in place, and in force
description:
  - Has the C(promtool) of the described image check the configuration before it replaces the old one. One that it
    refuses changes nothing.
  - Has the running Prometheus read it without a restart, and waits until Prometheus says that it has. A Prometheus that
    has not read the file since it was last written is told so by any run, also by one that writes nothing.
  - Where the file changes, the image is pulled when the host does not have it. In check mode, the configuration is
    checked when the image is on the host.
version_added: 0.1.0
author: The CoinPilot operators (@coinpilot)
options:
  description:
    description: The stack's description, C(stack_description) of the role P(coinpilot.ops.stack#role).
    type: dict
    required: true
  path:
    description: The file. Its directory is there, and is what Prometheus's container mounts.
    type: path
    required: true
  content:
    description: The whole configuration. Not for secrets - it is shown in the diff.
    type: str
    required: true
  language:
    description: Language of RV(report) and of the message of a failure.
    type: str
    choices: [en, ko]
    default: en
attributes:
  check_mode:
    description: Says what would change and changes nothing.
    support: full
  diff_mode:
    description: Shows the configuration before and after.
    support: full
  idempotent:
    description: The second run changes nothing.
    support: full
"""

EXAMPLES = r"""
- name: Configure Prometheus
  coinpilot.ops.prometheus_config:
    description: "{{ stack_description }}"
    path: "{{ stack_directory }}/monitoring/prometheus/prometheus.yml"
    content: "{{ lookup('ansible.builtin.template', 'prometheus.yml.j2') }}"
"""

RETURN = r"""
status:
  description: Whether the configuration is in force; one of PASS, WARN, FAIL.
  returned: always
  type: str
  sample: PASS
findings:
  description: The same with what was seen and what to do; id, status, subject and the texts title, seen, expected, fix.
  returned: always
  type: list
  elements: dict
report:
  description: The findings as a text for a person.
  returned: always
  type: str
reloaded:
  description: Whether Prometheus was told to read it.
  returned: success
  type: bool
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.coinpilot.ops.plugins.module_utils import files, findings, prometheus_config, watch
from ansible_collections.coinpilot.ops.plugins.module_utils.engine import Engine, EngineError
from ansible_collections.coinpilot.ops.plugins.module_utils.findings import Finding


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "description": {"type": "dict", "required": True},
            "path": {"type": "path", "required": True},
            "content": {"type": "str", "required": True},
            "language": {"type": "str", "choices": ["en", "ko"], "default": "en"},
        },
        supports_check_mode=True,
    )
    description, path = module.params["description"], module.params["path"]
    wanted = files.File(path, module.params["content"], 0o644, "root")
    engine = Engine()
    try:
        before = files.read_text(path) or ""
        written = not files.is_in_place(wanted)
        if before != wanted.text:
            image = prometheus_config.service(description)["image"]
            if not module.check_mode or prometheus_config.can_prove(image, engine):
                prometheus_config.prove(image, wanted.text)
        if written and not module.check_mode:
            files.write(wanted)
        world = prometheus_config.gather(description, path, engine)
        stale = prometheus_config.is_stale(world) or (written and world.process is not None)
        if stale and not module.check_mode:
            world = prometheus_config.have_read(world, description, path, engine)
    except prometheus_config.Unproven as problem:
        _end(module, prometheus_config.refusal(problem, description))
    except (OSError, EngineError, ValueError) as problem:
        module.fail_json(msg=str(problem))
    if stale and not module.check_mode:
        begun = watch.begin(description, watch.MONITORING, engine)
        if begun.status != findings.PASS:
            module.warn(begun.line(module.params["language"]))
    _end(module, prometheus_config.judge(world, description), changed=written or stale, reloaded=stale,
         diff={"before_header": path, "after_header": path, "before": before, "after": wanted.text})


def _end(module: AnsibleModule, found: Finding, **more: Any) -> None:
    language = module.params["language"]
    result = {"status": found.status, "findings": [found.as_dict()],
              "report": findings.render_text([found], language), **more}
    # What a check would put right is no failure.
    if found.status == findings.FAIL and not (module.check_mode and more.get("reloaded")):
        module.fail_json(msg=found.line(language), **result)
    if found.status == findings.WARN:
        module.warn(found.line(language))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
