#!/usr/bin/python
# Copyright (c) the CoinPilot operators
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_checksum
short_description: Tell whether every backup file is still the one that was written
description:
  - Reads each backup file below a backup directory once and compares it with its SHA-256 sidecar and with its backup's
    manifest. Changes nothing.
  - Tells apart files that are altered, truncated, longer, empty, missing, unreadable, open to others, dated in the
    future or too small against those before them; sidecars and manifests that are missing, damaged or of another file;
    and what is no backup at all.
  - Backups that the shell scripts of before made are verified as well.
  - What cannot be read is UNKNOWN, never PASS.
version_added: 0.1.0
author: The CoinPilot operators (@coinpilot)
options:
  path:
    description: The backup directory, which holds C(<target>/daily), C(<target>/weekly) and C(<target>/safety).
    type: path
    required: true
  stack:
    description: The name of the stack, with which the names of its backups begin.
    type: str
    required: true
  targets:
    description: Verify the backups of these targets only. By default those of every target that has a directory.
    type: list
    elements: str
  language:
    description: Language of RV(report) and of the message of a failure.
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
  - plugin: coinpilot.ops.backups_due
    plugin_type: filter
  - plugin: coinpilot.ops.backups_too_old
    plugin_type: filter
  - plugin: coinpilot.ops.backup_trend
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Are all backups as they were written?
  coinpilot.ops.backup_checksum:
    path: /var/backups/coinpilot
    stack: coinpilot
    language: "{{ stack_language }}"
  register: result

- name: Only those of the database
  coinpilot.ops.backup_checksum:
    path: /var/backups/coinpilot
    stack: coinpilot
    targets: [postgres]
"""

RETURN = r"""
status:
  description: The worst of all findings; one of PASS, WARN, FAIL, UNKNOWN.
  returned: always
  type: str
  sample: PASS
findings:
  description: What was found, each with id, status, subject and the texts title, seen, expected, fix (en, ko).
  returned: always
  type: list
  elements: dict
entries:
  description: Each data file that is or should be there, and anything else that has a problem.
  returned: always
  type: list
  elements: dict
  contains:
    path:
      description: The file; characters that cannot be printed stand as escapes.
      type: str
    target:
      description: Whose backup it is.
      type: str
    kind:
      description: One of V(daily), V(weekly), V(safety); empty for what lies beside these.
      type: str
    backup:
      description: The name of the backup; empty for a file that is not named as one.
      type: str
    taken_at:
      description: When the backup was taken, in seconds since 1970; null for a file that is not named as a backup.
      type: float
    size:
      description: Bytes; null for a file that is missing.
      type: int
    sha256:
      description: What was counted; empty for what was not read.
      type: str
    status:
      description: PASS, WARN, FAIL or UNKNOWN.
      type: str
    problem:
      description: What is worst about it, such as V(altered), V(truncated), V(too-small); empty when it is good.
      type: str
totals:
  description: C(files) and C(bytes) that were read and compared, each file once, and the C(seconds) that it took.
  returned: always
  type: dict
now:
  description: The time of the host's clock, in seconds since 1970. The filters compare with it.
  returned: always
  type: float
utc_offset:
  description: What the host's time of the day is ahead of UTC, in seconds. Cron's schedules mean the former.
  returned: always
  type: int
  sample: 32400
report:
  description: The findings as a text for a person, worst first.
  returned: always
  type: str
"""

import time
from typing import Any, Dict

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.coinpilot.ops.plugins.module_utils import backup_checksum, findings
from ansible_collections.coinpilot.ops.plugins.module_utils.backup_errors import BackupError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "stack": {"type": "str", "required": True},
            "targets": {"type": "list", "elements": "str"},
            "language": {"type": "str", "choices": ["en", "ko"], "default": "en"},
        },
        supports_check_mode=True,
    )
    now = time.time()
    try:
        world = backup_checksum.gather(module.params["path"], module.params["stack"], module.params["targets"],
                                       now=now)
        outcome = backup_checksum.judge(world)
    except BackupError as error:
        outcome = backup_checksum.Result([], [backup_checksum.refusal(error)], {"files": 0, "bytes": 0, "seconds": 0.0})
    result: Dict[str, Any] = {
        "status": findings.worst(outcome.findings),
        "findings": [finding.as_dict() for finding in findings.sort(outcome.findings)],
        "entries": outcome.entries,
        "totals": outcome.totals,
        "now": now,
        "utc_offset": time.localtime(now).tm_gmtoff,
        "report": findings.render_text(outcome.findings, module.params["language"]),
    }
    if findings.problems(outcome.findings):
        module.fail_json(msg=result["report"], **result)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
