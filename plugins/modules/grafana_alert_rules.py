#!/usr/bin/python
# Copyright (c) the CoinPilot operators
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: grafana_alert_rules
short_description: The file of alert rules that Grafana reads when it starts
description:
  - Writes the rules of the description as Grafana provisions them. The file appears whole or not at all.
  - Before that, C(promtool) of Prometheus's image has accepted their queries - Grafana takes any, and evaluates it in
    vain. Docker pulls the image when the host does not have it. In check mode, they are checked when it does.
  - Grafana never deletes a rule by itself, so a rule that an earlier file brought and the description has no more is
    named under C(deleteRules), and stays named there.
version_added: 0.1.0
author: The CoinPilot operators (@coinpilot)
options:
  description:
    description: The stack's description, C(stack_description) of the role P(coinpilot.ops.stack#role).
    type: dict
    required: true
  language:
    description: Language of the message of a failure.
    type: str
    choices: [en, ko]
    default: en
attributes:
  check_mode:
    description: Says what would change and changes nothing.
    support: full
  diff_mode:
    description: Shows the rules before and after.
    support: full
  idempotent:
    description: The second run changes nothing.
    support: full
"""

EXAMPLES = r"""
- name: The alert rules
  coinpilot.ops.grafana_alert_rules:
    description: "{{ stack_description }}"
    language: "{{ stack_language }}"
  notify: Restart Grafana
"""

RETURN = r"""
path:
  description: The file.
  returned: always
  type: str
  sample: /opt/coin-pilot/deploy/cloud/oci/monitoring/grafana/provisioning/alerting/rules.yml
removed:
  description: Uids of the rules that Grafana is told to delete.
  returned: success
  type: list
  elements: str
"""

import json
import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.coinpilot.ops.plugins.module_utils import alert_rules, files, prometheus_config
from ansible_collections.coinpilot.ops.plugins.module_utils.engine import Engine
from ansible_collections.coinpilot.ops.plugins.module_utils.findings import Text

# The user of the container is none of the host's: everyone may read.
MODE = 0o644
OWNER = "root"
DAMAGED = Text(
    "{path} is not a file of alert rules as coinpilot.ops writes it, so which rules Grafana is to delete is not known: "
    "move it aside (sudo mv {path} ~/) and run this again; rules that were removed since are to be deleted in Grafana",
    "{path}이(가) coinpilot.ops가 쓴 알림 규칙 파일이 아니어서 Grafana에서 지울 규칙을 알 수 없습니다. "
    "파일을 옮기고(sudo mv {path} ~/) 다시 실행하세요. 그동안 없앤 규칙은 Grafana에서 직접 지우세요")
REFUSED = {
    "wrong": Text("promtool refuses {said}. The rules stay as they were; mend the query in stack_alert_rule_overrides "
                  "and run this again",
                  "promtool이 거부함: {said}. 규칙은 바뀌지 않았습니다. stack_alert_rule_overrides의 query를 고치고 "
                  "다시 실행하세요"),
    "unproven": Text("the queries of the alert rules could not be checked: {said}. The rules stay as they were; try on "
                     "the host: sudo docker pull {image}",
                     "알림 규칙의 쿼리를 검사하지 못함: {said}. 규칙은 바뀌지 않았습니다. 호스트에서 실행해 보세요: "
                     "sudo docker pull {image}"),
}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "description": {"type": "dict", "required": True},
            "language": {"type": "str", "choices": ["en", "ko"], "default": "en"},
        },
        supports_check_mode=True,
    )
    description, language = module.params["description"], module.params["language"]
    image = prometheus_config.service(description)["image"]
    path = os.path.join(description["directory"], alert_rules.RULES_FILE)
    try:
        earlier = files.read_text(path)
        text = alert_rules.file_text(description["alert_rules"], description["name"], description["title"], earlier)
        file = files.File(path, text, MODE, OWNER)
        changed = not files.is_in_place(file)
        if text != earlier and (not module.check_mode or prometheus_config.can_prove(image, Engine())):
            prometheus_config.prove(image, json.dumps(alert_rules.prometheus(description["alert_rules"])), "rules")
        if changed and not module.check_mode:
            files.write(file)
    except prometheus_config.Unproven as problem:
        module.fail_json(msg=REFUSED[problem.case].fill(said=problem.said, image=image).get(language), path=path)
    except ValueError:
        module.fail_json(msg=DAMAGED.fill(path=path).get(language), path=path)
    except OSError as problem:
        module.fail_json(msg=str(problem), path=path)
    rules = {alert_rules.uid(description["name"], name) for name in description["alert_rules"]}
    module.exit_json(changed=changed, path=path, removed=[uid for uid in alert_rules.uids(text) if uid not in rules],
                     diff={"before_header": path, "after_header": path, "before": earlier or "", "after": text})


if __name__ == "__main__":
    main()
