# Copyright (c) the CoinPilot operators
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: backups_too_old
short_description: The newest good backup of each target for which it is too old
version_added: 0.1.0
author: The CoinPilot operators (@coinpilot)
description:
  - Takes the entries of M(coinpilot.ops.backup_checksum). A backup is good when all its files are, and only those in
    C(daily) and C(weekly) count.
positional: _input, hours, now
options:
  _input:
    description: The entries, RV(coinpilot.ops.backup_checksum#module:entries).
    type: list
    elements: dict
    required: true
  hours:
    description: How old the newest may be.
    type: float
    required: true
  now:
    description: Seconds since 1970, RV(coinpilot.ops.backup_checksum#module:now).
    type: float
    required: true
seealso:
  - plugin: coinpilot.ops.backup_checksum
    plugin_type: module
"""

EXAMPLES = r"""
- name: Stop when a target's newest backup is more than 26 hours old
  ansible.builtin.assert:
    that: result.entries | coinpilot.ops.backups_too_old(26, result.now) | length == 0
"""

RETURN = r"""
_value:
  description:
    - Per target that backup's C(target), C(backup), C(taken_at) and C(age_hours).
    - For a target with no good backup, C(backup) is empty and C(taken_at) and C(age_hours) are null.
  type: list
  elements: dict
  sample:
    - target: redis
      backup: coinpilot_redis_20261121T181500Z
      taken_at: 1795284900.0
      age_hours: 41.5
"""

from typing import Any, Callable, Dict, List

from ansible.errors import AnsibleFilterError
from ansible_collections.coinpilot.ops.plugins.module_utils import backup_history


def backups_too_old(entries: Any, hours: Any, now: Any) -> List[Dict[str, Any]]:
    try:
        return backup_history.too_old(entries, hours, now)
    except ValueError as problem:
        raise AnsibleFilterError(f"backups_too_old: {problem}") from problem


class FilterModule:
    def filters(self) -> Dict[str, Callable[..., Any]]:
        return {"backups_too_old": backups_too_old}
