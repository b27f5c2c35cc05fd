# Copyright (c) the CoinPilot operators
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: backups_due
short_description: Which targets have no good backup since they should have
version_added: 0.1.0
author: The CoinPilot operators (@coinpilot)
description:
  - Takes the entries of M(coinpilot.ops.backup_checksum). A backup is good when all its files are, and only those in
    C(daily) and C(weekly) count.
  - A target is due when it has no good backup, or its newest one was taken before its schedule's last time.
positional: _input, targets, now, utc_offset
options:
  _input:
    description: The entries, RV(coinpilot.ops.backup_checksum#module:entries).
    type: list
    elements: dict
    required: true
  targets:
    description: The targets by name, each with its C(schedule) as in cron; C(stack_backup_targets).
    type: dict
    required: true
  now:
    description: Seconds since 1970, RV(coinpilot.ops.backup_checksum#module:now).
    type: float
    required: true
  utc_offset:
    description:
      - Seconds that the host's time is ahead of UTC, RV(coinpilot.ops.backup_checksum#module:utc_offset).
      - Not needed with O(hours).
    type: int
  hours:
    description: Do not look at the schedules; a target is due without a good backup of the last so many hours.
    type: float
  grace_hours:
    description: A schedule's time counts when so many hours have passed since; a backup takes its time.
    type: float
    default: 2
seealso:
  - plugin: coinpilot.ops.backup_checksum
    plugin_type: module
"""

EXAMPLES = r"""
- name: Back up what is due
  ansible.builtin.debug:
    msg: "{{ result.entries | coinpilot.ops.backups_due(stack_backup_targets, result.now, result.utc_offset) }}"
"""

RETURN = r"""
_value:
  description: The names of the targets, in the order given.
  type: list
  elements: str
  sample: [redis]
"""

from typing import Any, Callable, Dict, List

from ansible.errors import AnsibleFilterError
from ansible_collections.coinpilot.ops.plugins.module_utils import backup_history


def backups_due(entries: Any, targets: Any, now: Any, utc_offset: Any = None, hours: Any = None,
                grace_hours: Any = backup_history.GRACE_HOURS) -> List[str]:
    try:
        return backup_history.due(entries, targets, now, utc_offset, hours, grace_hours)
    except ValueError as problem:
        raise AnsibleFilterError(f"backups_due: {problem}") from problem


class FilterModule:
    def filters(self) -> Dict[str, Callable[..., Any]]:
        return {"backups_due": backups_due}
