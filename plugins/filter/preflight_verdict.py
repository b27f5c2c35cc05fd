# Copyright (c) the CoinPilot operators
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: preflight_verdict
short_description: Whether a stack is safe, by all that was found
version_added: 0.1.0
author: The CoinPilot operators (@coinpilot)
description:
  - Puts together what M(coinpilot.ops.preflight), M(coinpilot.ops.preflight_outside) and M(coinpilot.ops.preflight_oci)
    found, makes warnings of what the policy waives, and says which waivers have expired or are needed no more.
positional: _input, policy
options:
  _input:
    description: The findings.
    type: list
    elements: dict
    required: true
  policy:
    description: What may be reached and what is waived; C(stack_security).
    type: dict
    required: true
  language:
    description: The language of the report.
    type: str
    choices: [en, ko]
    default: en
"""

EXAMPLES = r"""
- name: Stop when something is not safe
  ansible.builtin.fail:
    msg: "{{ verdict.report }}"
  vars:
    verdict: "{{ (inside.findings + outside.findings) | coinpilot.ops.preflight_verdict(stack_security) }}"
  when: not verdict.passed
"""

RETURN = r"""
_value:
  description: >-
    C(passed), true when nothing failed and everything could be told; C(status), the worst of all; C(report), a text for
    a person, which ends in C([RESULT] PASSED) or C([RESULT] FAILED (n issues)).
  type: dict
"""

from typing import Any, Callable, Dict, List

from ansible.errors import AnsibleFilterError
from ansible_collections.coinpilot.ops.plugins.module_utils import findings, preflight_policy
from ansible_collections.coinpilot.ops.plugins.module_utils import preflight_verdict as verdict


def preflight_verdict(found: List[Any], policy: Any, language: str = "en") -> Dict[str, Any]:
    try:
        read = [findings.from_dict(finding) for finding in found]
    except (KeyError, TypeError) as problem:
        raise AnsibleFilterError("preflight_verdict wants the findings of the preflight modules") from problem
    judged = verdict.with_policy(read, policy, preflight_policy.VARIABLE)
    return {"passed": not findings.problems(judged) and bool(read), "status": findings.worst(judged),
            "report": verdict.render_text(judged, language) + verdict.conclusion(judged)}


class FilterModule:
    def filters(self) -> Dict[str, Callable[..., Any]]:
        return {"preflight_verdict": preflight_verdict}
