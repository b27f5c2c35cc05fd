# Copyright (c) the CoinPilot operators
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: n8n_workflow_problems
short_description: What is wrong with files of n8n workflows
version_added: 0.1.0
author: The CoinPilot operators
description:
  - Lists why workflows cannot be imported as their files are - no JSON, no id, a Webhook node without a webhookId, two
    that have one id or answer one path.
positional: _input, container
options:
  _input:
    description: Of each file its C(name) and C(text), as P(coinpilot.ops.n8n_workflow_files#lookup) reads them.
    type: list
    elements: dict
    required: true
  container:
    description: The name of n8n's container, for the texts.
    type: str
    required: true
  language:
    description: The language of the texts.
    type: str
    choices: [en, ko]
    default: en
"""

EXAMPLES = r"""
- name: Stop when a workflow cannot be imported
  ansible.builtin.assert:
    that: >-
      query('coinpilot.ops.n8n_workflow_files', '~/my-workflows')
      | coinpilot.ops.n8n_workflow_problems('coinpilot-n8n') | length == 0
"""

RETURN = r"""
_value:
  description: One line a problem; empty when there is none.
  type: list
  elements: str
"""

from typing import Any, Callable, Dict, List, Mapping

from ansible_collections.coinpilot.ops.plugins.module_utils import n8n_workflow_files


def n8n_workflow_problems(given: List[Mapping[str, str]], container: str, language: str = "en") -> List[str]:
    return [finding.line(language) for finding in n8n_workflow_files.load(given, container)[1]]


class FilterModule:
    def filters(self) -> Dict[str, Callable[..., Any]]:
        return {"n8n_workflow_problems": n8n_workflow_problems}
