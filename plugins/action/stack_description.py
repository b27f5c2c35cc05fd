# Copyright (c) the CoinPilot operators
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One action rather than a filter a table: ansible-playbook loads it once, and a filter anew in each task and host."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Optional

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.coinpilot.ops.plugins.module_utils import checklist_readers, findings, stack_description

REFUSED = findings.Text("The description of the stack cannot be used; nothing on {host} was changed:",
                        "스택 설명에 오류가 있습니다. {host}에서 바뀐 것은 없습니다.")
# The checklist is judged by what its readers know: loaded here, before the processes of the hosts begin.
for source in checklist_readers.READERS.values():
    source()


class ActionModule(ActionBase):
    _requires_connection = False

    def run(self, tmp: Optional[str] = None, task_vars: Optional[Mapping[str, Any]] = None) -> Dict[str, Any]:
        result: Dict[str, Any] = super().run(tmp, task_vars)
        # Ansible's own check of arguments copies them, which takes as long as all the rest.
        given = self._task.args
        tables, overrides, language = given.get("tables"), given.get("overrides"), given.get("language", "en")
        if not isinstance(tables, Mapping) or not isinstance(overrides, Mapping):
            raise AnsibleActionFail("stack_description: tables and overrides must be given, with keys and values")
        problems = stack_description.problems(tables, overrides, language)
        if problems:
            said = REFUSED.fill(host=(task_vars or {})["inventory_hostname"]).get(language)
            result.update(failed=True, msg="\n- ".join([said, *problems]))
        else:
            # With -v it would fill the screen.
            result.update(changed=False, description=stack_description.merged(tables, overrides),
                          _ansible_verbose_override=True)
        return result
