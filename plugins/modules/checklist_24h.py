#!/usr/bin/python
# Copyright (c) the CoinPilot operators
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: checklist_24h
short_description: Go through the checklist of a moment
description:
  - Looks at the items of the checklist that are due each day, each week, or at a checkpoint after a deploy, and judges
    them. Changes nothing, and works with a stack that is half down, with Docker stopped or with the disk full.
  - What cannot be read is UNKNOWN, never PASS. What fails only because a service it needs is down is UNKNOWN as well.
  - Does not fail for what it finds; RV(status) tells.
version_added: 0.1.0
author: The CoinPilot operators (@coinpilot)
options:
  description:
    description: The stack's description, C(stack_description) of the role P(coinpilot.ops.stack#role).
    type: dict
    required: true
  checkpoint:
    description:
      - V(daily), V(weekly), V(t0), V(t1h), V(t6h), V(t12h) or V(t24h), which are hours after a deploy; or V(all), which
        is everything that is due each day or after a deploy.
    type: str
    default: daily
  items:
    description: Ids of items; only these are looked at, whatever they are due at.
    type: list
    elements: str
    default: []
  history_days:
    description: How many days of the host's history RV(history) goes back.
    type: int
    default: 30
  language:
    description: Language of RV(report), RV(verdict) and of the message of a failure.
    type: str
    choices: [en, ko]
    default: en
attributes:
  check_mode:
    description: The module only reads.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
  idempotent:
    description: The module only reads.
    support: full
seealso:
  - module: coinpilot.ops.stack_health
"""

EXAMPLES = r"""
- name: Go through the daily checklist
  coinpilot.ops.checklist_24h:
    description: "{{ stack_description }}"
    language: "{{ stack_language }}"
  register: result

- name: Look at two items, as they are an hour after a deploy
  coinpilot.ops.checklist_24h:
    description: "{{ stack_description }}"
    checkpoint: t1h
    items: [metrics, notification]
"""

RETURN = r"""
status:
  description: The worst of all findings; one of PASS, WARN, FAIL, UNKNOWN.
  returned: always
  type: str
  sample: PASS
verdict:
  description: The status of all items in one line.
  returned: success
  type: str
  sample: "FAIL: FAIL 1, PASS 16"
checked:
  description:
    - The items, worst first, each with C(id), C(title) and C(advice) (en, ko), C(status), C(findings) and the
      C(seconds) it took.
  returned: success
  type: list
  elements: dict
findings:
  description: What was looked at, each with id, status, subject and the texts title, seen, expected, fix (en, ko).
  returned: always
  type: list
  elements: dict
report:
  description: The items as a text for a person, worst first.
  returned: always
  type: str
history:
  description:
    - The runs that the host itself recorded, oldest first, each with C(at), C(checkpoint), C(verdict), C(items) and
      C(problems). What is wrong with the history is among RV(findings).
  returned: success
  type: list
  elements: dict
armed:
  description:
    - What began the 24-hour watch last, with C(armed_at) in seconds since 1970, C(release) and C(reason) (en, ko).
    - Null where nothing did.
  returned: success
  type: dict
"""

from typing import Any, Dict, Mapping, Optional

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.coinpilot.ops.plugins.module_utils import checklist, findings, watch


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "description": {"type": "dict", "required": True},
            "checkpoint": {"type": "str", "default": "daily"},
            "items": {"type": "list", "elements": "str", "default": []},
            "history_days": {"type": "int", "default": 30},
            "language": {"type": "str", "choices": ["en", "ko"], "default": "en"},
        },
        supports_check_mode=True,
    )
    description, language = module.params["description"], module.params["language"]
    try:
        results = checklist.run(description, module.params["checkpoint"], module.params["items"])
    except checklist.UnknownName as problem:
        module.fail_json(msg=problem.text.get(language))
    history, found = watch.history(description, module.params["history_days"])
    found = checklist.found(results) + found
    module.exit_json(changed=False, **{
        **findings.result(found, language), "report": checklist.render(results, language),
        "verdict": findings.summary(results, language), "checked": checklist.as_dict(results), "history": history,
        "armed": _armed(description)})


def _armed(description: Mapping[str, Any]) -> Optional[Dict[str, Any]]:
    """Without what the watch compares with: that is large."""
    armed = watch.armed(description)
    return None if armed is None else {key: armed[key] for key in ("armed_at", "release", "reason")}


if __name__ == "__main__":
    main()
