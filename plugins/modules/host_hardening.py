#!/usr/bin/python
# Copyright (c) the CoinPilot operators
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: host_hardening
short_description: Make a Docker host's firewall and SSH server safe without locking anybody out
version_added: 0.1.0
author: The CoinPilot operators (@coinpilot)
description:
  - Firewall - containers do not reach the cloud's metadata; nobody from outside reaches a container but through the
    public ports; these are open on the host, and 80 and 443 are shut unless they are among them. The rules stand in two
    chains of their own in front of all others, and a unit of the host puts them there before Docker starts. When the
    distribution's own final refusal was lost from the kernel, it is put back from C(/etc/iptables/rules.v4).
  - SSH server - no root, no passwords, no X11; forwarding stays. The settings are a file that is read before all
    others. They are proven before the server reads them, and the server is reloaded, so that sessions stay.
  - The change undoes itself after O(rollback_after) seconds, or at the next boot, unless the module is called again
    with O(state=confirmed). Do that over a new connection - it proves that one still gets in.
notes:
  - The scripts and units it relies on are put in place by the role P(coinpilot.ops.security_preflight#role).
options:
  name:
    description: The stack's name. The chains, the units and the file of the SSH server are called after it.
    type: str
    required: true
  public_ports:
    description: TCP ports of the host that the world may reach. SSH's is not among them - the rules leave it alone.
    type: list
    elements: int
    default: []
  container_interfaces:
    description: Network interfaces of containers. A C(+) at the end stands for any ending.
    type: list
    elements: str
    default: [docker0, br-+]
  rules_directory:
    description: Where the rules are kept.
    type: path
    default: /etc/coinpilot/firewall
  state_directory:
    description: Where what was there before is kept until the change is confirmed.
    type: path
    default: /var/lib/coinpilot/hardening
  rollback_after:
    description: Seconds that the confirmation may take.
    type: int
    default: 120
  state:
    description:
      - V(applied) changes what differs, and arms the timer when anything does.
      - V(confirmed) ends the matter after such a change.
    type: str
    choices: [applied, confirmed]
    default: applied
  language:
    description: Of the messages.
    type: str
    choices: [en, ko]
    default: en
attributes:
  check_mode:
    description: Says what would change and changes nothing. What would stop the run is a warning.
    support: full
  diff_mode:
    description: Shows the files, and the rules in the kernel.
    support: full
  idempotent:
    description: The second run changes nothing and arms nothing.
    support: full
"""

EXAMPLES = r"""
- name: Make firewall and SSH server safe
  coinpilot.ops.host_hardening:
    name: coinpilot
    public_ports: [80, 443]
  register: hardening

- name: Confirm over a new connection
  coinpilot.ops.host_hardening:
    name: coinpilot
    state: confirmed
  vars:
    ansible_control_path: none
  when: hardening.unconfirmed
"""

RETURN = r"""
unconfirmed:
  description: Whether something was changed that undoes itself unless confirmed.
  returned: success
  type: bool
  sample: true
"""

import re

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.coinpilot.ops.plugins.module_utils import hardening


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "public_ports": {"type": "list", "elements": "int", "default": []},
            "container_interfaces": {"type": "list", "elements": "str", "default": ["docker0", "br-+"]},
            "rules_directory": {"type": "path", "default": "/etc/coinpilot/firewall"},
            "state_directory": {"type": "path", "default": "/var/lib/coinpilot/hardening"},
            "rollback_after": {"type": "int", "default": 120},
            "state": {"type": "str", "choices": ["applied", "confirmed"], "default": "applied"},
            "language": {"type": "str", "choices": ["en", "ko"], "default": "en"},
        },
        supports_check_mode=True,
    )
    problem = unusable(module.params)
    if problem:
        module.fail_json(msg=problem)
    given = module.params
    wanted = hardening.Wanted(given["name"], given["public_ports"], given["container_interfaces"],
                              given["rules_directory"], given["state_directory"])
    try:
        if given["state"] == "confirmed":
            confirm(module, wanted)
        else:
            applied(module, wanted)
    except hardening.HardeningError as error:
        module.fail_json(msg=error.text.get(given["language"]))
    except OSError as error:
        module.fail_json(msg=str(error))


def unusable(given: dict) -> str:
    """What of the input would make rules that the kernel refuses, or other ones than meant."""
    if not re.match(r"[a-z][a-z0-9-]{0,19}\Z", given["name"]):
        return "name must be at most 20 small letters, digits and hyphens, as the chains are called after it"
    wrong = [interface for interface in given["container_interfaces"]
             if not re.match(r"[A-Za-z0-9_.-]{1,15}\Z|[A-Za-z0-9_.-]{1,14}\+\Z", interface)]
    if wrong or not given["container_interfaces"]:
        return f"container_interfaces must be names such as docker0 or br-+; got: {', '.join(wrong) or 'none'}"
    if any(not 1 <= port <= 65535 for port in given["public_ports"]):
        return "public_ports must be numbers from 1 to 65535"
    if given["rollback_after"] < 1:
        return "rollback_after must be at least one second"
    return ""


def confirm(module: AnsibleModule, wanted: hardening.Wanted) -> None:
    if not module.check_mode:
        hardening.confirm(wanted)
    module.exit_json(changed=False, unconfirmed=False)


def applied(module: AnsibleModule, wanted: hardening.Wanted) -> None:
    if not module.check_mode:
        hardening.settle(wanted)
    world = hardening.gather(wanted)
    planned = hardening.plan(world, wanted)
    diff = hardening.difference(world, planned, wanted)
    if planned.refusal and module.check_mode:
        module.warn(planned.refusal.get(module.params["language"]))
    elif planned.refusal:
        raise hardening.HardeningError(planned.refusal)
    elif planned.changed and not module.check_mode:
        hardening.apply(planned, wanted, module.params["rollback_after"])
    module.exit_json(changed=planned.changed, unconfirmed=planned.changed and not module.check_mode, diff=diff)


if __name__ == "__main__":
    main()
