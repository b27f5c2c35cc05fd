# Copyright (c) the CoinPilot operators
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: n8n_workflow_files
short_description: The workflow files of directories
version_added: 0.1.0
author: The CoinPilot operators (@coinpilot)
description:
  - Reads every C(*.json) of the directories, as the module M(coinpilot.ops.n8n_workflows) takes them.
options:
  _terms:
    description: Directories of the control machine. An empty name is passed over.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Import my workflows
  coinpilot.ops.n8n_workflows:
    description: "{{ stack_description }}"
    files: "{{ query('coinpilot.ops.n8n_workflow_files', '~/n8n-workflows') }}"
"""

RETURN = r"""
_raw:
  description: Of each file its C(name) and C(text).
  type: list
  elements: dict
"""

import os
from typing import Any, Dict, List

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase


class LookupModule(LookupBase):
    """``query('coinpilot.ops.n8n_workflow_files', directory, ...)``."""

    def run(self, terms: List[str], variables: Any = None, **kwargs: Any) -> List[Dict[str, str]]:
        self.set_options(var_options=variables, direct=kwargs)
        return [file for term in terms if term for file in _of(os.path.expanduser(term))]


def _of(directory: str) -> List[Dict[str, str]]:
    try:
        names = sorted(name for name in os.listdir(directory) if name.endswith(".json") and not name.startswith("."))
        return [{"name": name, "text": _text(os.path.join(directory, name))} for name in names]
    except UnicodeDecodeError:
        raise AnsibleError("a file of %s is no UTF-8: export the workflow from n8n again" % directory) from None
    except OSError as problem:
        raise AnsibleError("the workflows of %s cannot be read: %s" % (directory, problem.strerror)) from None


def _text(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()
