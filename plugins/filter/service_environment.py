# Copyright (c) the CoinPilot operators
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: service_environment
short_description: Tell which service is given which key of .env
version_added: 0.1.0
author: The CoinPilot operators (@coinpilot)
description:
  - Resolves the description's C(environment) and C(keys) of each service against the keys that C(.env) has.
  - A key that the description does not know is passed through to every service that is built on the host.
positional: _input, required, keys
options:
  _input:
    description: The services of the stack's description.
    type: dict
    required: true
  required:
    description: The keys that C(.env) must have, which are not passed through.
    type: list
    elements: str
    required: true
  keys:
    description: The names of all keys of C(.env).
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
# {'bot': {'LLM_MODE': '${LLM_MODE}'}}
environment: "{{ stack_services | coinpilot.ops.service_environment(stack_required_keys, ['LLM_MODE']) }}"
"""

RETURN = r"""
_value:
  description: Service, then variable, then its value as it stands in a compose file.
  type: dict
"""

from typing import Any, Callable, Dict

from ansible_collections.coinpilot.ops.plugins.module_utils.compose import service_environment


class FilterModule:
    def filters(self) -> Dict[str, Callable[..., Any]]:
        return {"service_environment": service_environment}
