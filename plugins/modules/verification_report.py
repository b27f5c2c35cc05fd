#!/usr/bin/python
# Copyright (c) the CoinPilot operators
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The documentation; the action plugin of the same name does it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: verification_report
short_description: Show and write what the verification of all hosts of a play comes to
description:
  - Runs on the control machine, once for all hosts of the play, after they were looked at. Shows one table, and writes
    a web page and JSON that appear whole or not at all.
  - Takes of each host what is registered as C(verify_identity) (M(coinpilot.ops.host_identity)), C(verify_checklist)
    (M(coinpilot.ops.checklist_24h)), C(verify_from_outside) (M(coinpilot.ops.preflight_outside)),
    C(security_preflight_oci_rules) (M(coinpilot.ops.preflight_oci)) and C(verify_stopped), the message of what ended
    the run there. A host of which nothing came back is UNKNOWN, never PASS.
  - Does not fail for what was found; RV(failing) tells.
version_added: 0.1.0
author: The CoinPilot operators (@coinpilot)
options:
  path:
    description: The reports, without C(.html) and C(.json). Their directory is made.
    type: path
    required: true
  title:
    description: What was verified; C(stack_title).
    type: str
    required: true
  checkpoint:
    description: What was looked at, such as V(daily), V(weekly) or V(t6h).
    type: str
    default: daily
  command:
    description: The command that makes the page anew, for its foot.
    type: str
    default: ''
  language:
    description: Language of the table and of the page.
    type: str
    choices: [en, ko]
    default: en
attributes:
  check_mode:
    description: Shows the table and writes nothing.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
  idempotent:
    description: Nothing of a host changes; the reports are of the moment.
    support: full
seealso:
  - plugin: coinpilot.ops.verification_summary
    plugin_type: filter
  - plugin: coinpilot.ops.verification_table
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Report
  coinpilot.ops.verification_report:
    path: /home/me/reports/verify
    title: CoinPilot
    language: "{{ stack_language }}"
  run_once: true
  register: report
"""

RETURN = r"""
status:
  description: The worst of all findings of all hosts; one of PASS, WARN, FAIL, UNKNOWN.
  returned: always
  type: str
  sample: PASS
failing:
  description: By the name of the host the verdict of each where something failed or could not be told.
  returned: always
  type: dict
  sample: {oci: "FAIL: FAIL 1, PASS 20"}
"""
