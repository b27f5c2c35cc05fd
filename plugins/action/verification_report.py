# Copyright (c) the CoinPilot operators
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""In ansible-playbook itself, rather than by filters and modules: each task loads those anew, which takes long."""

from __future__ import annotations

import json
import os
import time
from typing import Any, Dict, Mapping, Optional

from ansible import constants
from ansible.plugins.action import ActionBase
from ansible_collections.coinpilot.ops.plugins.module_utils import (
    files,
    findings,
    preflight_policy,
    report_html,
    verification,
)

ARGUMENTS = {
    "path": {"type": "path", "required": True},
    "title": {"type": "str", "required": True},
    "checkpoint": {"type": "str", "default": "daily"},
    "command": {"type": "str", "default": ""},
    "language": {"type": "str", "choices": list(findings.LANGUAGES), "default": "en"},
}
# What the hosts have registered, by what it is.
REGISTERED = {"identity": "verify_identity", "checklist": "verify_checklist", "outside": "verify_from_outside",
              "oci": "security_preflight_oci_rules", "stopped": "verify_stopped"}
COLOURS = {findings.PASS: constants.COLOR_OK, findings.WARN: constants.COLOR_WARN}


class ActionModule(ActionBase):
    _requires_connection = False

    def run(self, tmp: Optional[str] = None, task_vars: Optional[Mapping[str, Any]] = None) -> Dict[str, Any]:
        result: Dict[str, Any] = super().run(tmp, task_vars)
        _checked, given = self.validate_argument_spec(argument_spec=ARGUMENTS)
        known = task_vars or {}
        answers = {host: self._answers(known["hostvars"], host) for host in known["ansible_play_hosts_all"]}
        summary = verification.summarize(answers, time.time(), given["checkpoint"])
        self._show(summary, given["language"])
        failing = {host["name"]: host["verdict"][given["language"]] for host in summary["hosts"]
                   if host["status"] in (findings.FAIL, findings.UNKNOWN)}
        result.update(changed=False, status=summary["status"], failing=failing)
        if not self._task.check_mode:
            try:
                self._write(summary, given)
            except OSError as problem:
                result.update(failed=True, msg="The reports could not be written: %s" % problem)
        return result

    @staticmethod
    def _answers(hostvars: Any, host: str) -> Dict[str, Any]:
        # What is registered holds no templates, and would be looked through for them, word by word.
        registered = hostvars.raw_get(host)
        found = {part: registered[name] for part, name in REGISTERED.items() if name in registered}
        if "outside" in found or "oci" in found:
            # Only the inventory waives anything.
            found["policy"] = hostvars[host].get("stack_security", preflight_policy.NONE)
        return found

    def _show(self, summary: Mapping[str, Any], language: str) -> None:
        verdict, _line, details = verification.render_table(summary, language).partition("\n")
        self._display.display("\n" + verdict, color=COLOURS.get(summary["status"], constants.COLOR_ERROR))
        self._display.display(details)

    def _write(self, summary: Mapping[str, Any], given: Mapping[str, Any]) -> None:
        page = report_html.render(summary, given["title"], given["language"], given["command"])
        os.makedirs(os.path.dirname(given["path"]), mode=0o700, exist_ok=True)
        files.write(files.File(given["path"] + ".html", page, 0o600),
                    files.File(given["path"] + ".json", json.dumps(summary, ensure_ascii=False) + "\n", 0o600))
        self._display.display(given["path"] + ".html\n")
