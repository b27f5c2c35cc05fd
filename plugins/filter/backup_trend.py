# Copyright (c) the CoinPilot operators
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: backup_trend
short_description: How many backups there are a week, how large, and how many of them failed
version_added: 0.1.0
author: The CoinPilot operators (@coinpilot)
description:
  - Takes the entries of M(coinpilot.ops.backup_checksum). Weeks are those of ISO 8601, in UTC.
  - A backup that lies in C(daily) and C(weekly) is one; those in C(safety) do not count.
positional: _input
options:
  _input:
    description: The entries, RV(coinpilot.ops.backup_checksum#module:entries).
    type: list
    elements: dict
    required: true
seealso:
  - plugin: coinpilot.ops.backup_checksum
    plugin_type: module
"""

EXAMPLES = r"""
- name: Show how the backups grow
  ansible.builtin.debug:
    msg: "{{ result.entries | coinpilot.ops.backup_trend }}"
"""

RETURN = r"""
_value:
  description:
    - Per C(target) and C(week) the number of C(backups), their C(total) and C(median) size in bytes, and C(failures).
    - C(growth) is that of the median against the week before in percent; null without a week before.
  type: list
  elements: dict
  sample:
    - target: redis
      week: 2026-W48
      backups: 7
      total: 7340032
      median: 1048576
      growth: 2.5
      failures: 0
"""

from typing import Any, Callable, Dict, List

from ansible.errors import AnsibleFilterError
from ansible_collections.coinpilot.ops.plugins.module_utils import backup_history


def backup_trend(entries: Any) -> List[Dict[str, Any]]:
    try:
        return backup_history.trend(entries)
    except ValueError as problem:
        raise AnsibleFilterError(f"backup_trend: {problem}") from problem


class FilterModule:
    def filters(self) -> Dict[str, Callable[..., Any]]:
        return {"backup_trend": backup_trend}
