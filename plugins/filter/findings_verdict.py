# Copyright (c) the CoinPilot operators
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: findings_verdict
short_description: Whether all is well, by what several modules found
version_added: 0.1.0
author: The CoinPilot operators (@coinpilot)
description:
  - Puts the findings of modules together, for one report and one decision.
positional: _input
options:
  _input:
    description: The findings.
    type: list
    elements: dict
    required: true
  language:
    description: The language of the report.
    type: str
    choices: [en, ko]
    default: en
"""

EXAMPLES = r"""
- name: Stop at what is wrong
  ansible.builtin.fail:
    msg: "{{ verdict.report }}"
  vars:
    verdict: "{{ (alerts.findings + targets.findings) | coinpilot.ops.findings_verdict }}"
  when: not verdict.passed
"""

RETURN = r"""
_value:
  description: >-
    C(passed), true when nothing failed and everything could be told; C(status), the worst of all; C(report), a text for
    a person, worst first.
  type: dict
"""

from typing import Any, Callable, Dict, List

from ansible.errors import AnsibleFilterError
from ansible_collections.coinpilot.ops.plugins.module_utils import findings


def findings_verdict(found: List[Any], language: str = "en") -> Dict[str, Any]:
    try:
        read = [findings.from_dict(finding) for finding in found]
    except (KeyError, TypeError) as problem:
        raise AnsibleFilterError("findings_verdict wants what modules return as findings") from problem
    return {"passed": not findings.problems(read) and bool(read), "status": findings.worst(read),
            "report": findings.render_text(read, language)}


class FilterModule:
    def filters(self) -> Dict[str, Callable[..., Any]]:
        return {"findings_verdict": findings_verdict}
