"""The hardening's rules and settings, and what differs from them, on recorded hosts. tests/host has a real one."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils import (
    hardening,
    hardening_firewall,
    hardening_ssh,
    preflight_host_sshd,
)
from ansible_collections.coinpilot.ops.plugins.module_utils.hardening import HardeningError, Wanted, World
from ansible_collections.coinpilot.ops.plugins.module_utils.hardening_ssh import Login

IPV4, IPV6 = hardening_firewall.FAMILIES
WANTED = Wanted("coinpilot", [443], ["docker0", "br-+"], "/etc/coinpilot/firewall", "/var/lib/coinpilot/hardening")
DROP_IN = "/etc/ssh/sshd_config.d/00-coinpilot.conf"

# As iptables-save tells them on a host that runs Docker, and as OCI's images have saved them.
LIVE = """*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:DOCKER - [0:0]
:DOCKER-USER - [0:0]
-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT
-A INPUT -p icmp -j ACCEPT
-A INPUT -i lo -j ACCEPT
-A INPUT -p udp -m udp --sport 123 -j ACCEPT
-A INPUT -p tcp -m state --state NEW -m tcp --dport 22 -j ACCEPT
-A INPUT -j REJECT --reject-with icmp-host-prohibited
-A FORWARD -j DOCKER-USER
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -j REJECT --reject-with icmp-host-prohibited
-A DOCKER-USER -j RETURN
COMMIT
"""
SAVED = """# CLOUD_IMG: This file was created/modified by the Cloud Image build process
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [463:49013]
:InstanceServices - [0:0]
[12:3] -A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT
-A INPUT -p icmp -j ACCEPT
-A INPUT -i lo -j ACCEPT
-A INPUT -p udp --sport 123 -j ACCEPT
-A INPUT -p tcp -m state --state NEW -m tcp --dport 22 -j ACCEPT
-A INPUT -j REJECT --reject-with icmp-host-prohibited
-A FORWARD -j REJECT --reject-with icmp-host-prohibited
-A OUTPUT -d 169.254.0.0/16 -j InstanceServices
-A InstanceServices -d 169.254.0.2/32 -p tcp -m owner --uid-owner 0 -m tcp --dport 3260 -j ACCEPT
COMMIT
"""
SSHD = hardening_ssh.effective("""port 22
authorizedkeysfile .ssh/authorized_keys .ssh/authorized_keys2
authorizedkeyscommand none
trustedusercakeys none
authenticationmethods any
""")


def hardened(live: str, family: hardening_firewall.Family = IPV4) -> str:
    lines = live.splitlines()
    for jump in hardening_firewall.jumps("coinpilot")[1:]:
        chain = jump.split()[1]
        first = next(number for number, line in enumerate(lines) if line.startswith((f"-A {chain} ", "COMMIT")))
        lines.insert(first, jump)
    own = hardening_firewall.rules(family, "coinpilot", WANTED.public_ports, WANTED.interfaces)
    return "\n".join([*lines[:-1], *own, lines[-1], ""])


def world(hardened_already: bool = False, **changes: Any) -> World:
    live = hardened(LIVE) if hardened_already else LIVE
    unit = {"UnitFileState": "enabled", "ActiveState": "active", "NeedDaemonReload": "no"}
    paths = [file.path for file in WANTED.files()]
    plain = World(
        texts=dict.fromkeys(paths, ""), in_place=dict.fromkeys(paths, hardened_already),
        live={"iptables": live}, saved={"iptables": SAVED},
        units={WANTED.firewall_unit: dict(unit), WANTED.rollback_unit: dict(unit)},
        sshd=SSHD, login=Login("ubuntu", "198.51.100.7", "50000", "publickey"), keys=1)
    return plain._replace(**changes)


# The firewall -------------------------------------------------------------------------------------------------------

def test_the_resolver_comes_before_the_metadata_and_public_ports_before_the_end() -> None:
    rules = hardening_firewall.rules(IPV4, "coinpilot", [443, 80, 443], ["docker0"])
    forward = [line.partition(" ")[2] for line in rules if line.startswith("-A COINPILOT-FORWARD")]
    assert [line.replace("COINPILOT-FORWARD ", "") for line in forward] == [
        "-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN",
        "-d 169.254.169.254/32 -p udp -m udp --dport 53 -j RETURN",
        "-d 169.254.169.254/32 -p tcp -m tcp --dport 53 -j RETURN",
        "-d 169.254.0.0/16 -j REJECT --reject-with icmp-port-unreachable",
        "-i docker0 -j RETURN",
        "-p tcp -m conntrack --ctorigdstport 80 --ctdir ORIGINAL -j RETURN",
        "-p tcp -m conntrack --ctorigdstport 443 --ctdir ORIGINAL -j RETURN",
        "-o docker0 -j DROP",
        "-m conntrack --ctstate DNAT -j DROP"]


@pytest.mark.parametrize(("ports", "own"), [
    ([], ["! -i lo -p tcp -m tcp --dport 80 -j REJECT", "! -i lo -p tcp -m tcp --dport 443 -j REJECT"]),
    ([443], ["-p tcp -m tcp --dport 443 -j ACCEPT", "! -i lo -p tcp -m tcp --dport 80 -j REJECT"]),
    ([80, 443, 8443], [f"-p tcp -m tcp --dport {port} -j ACCEPT" for port in (80, 443, 8443)]),
])
def test_the_host_opens_public_ports_and_shuts_the_web_otherwise(ports: list[int], own: list[str]) -> None:
    lines = [line for line in hardening_firewall.rules(IPV6, "coinpilot", ports, ["docker0"])
             if line.startswith("-A COINPILOT-INPUT ")]
    assert [line.split("COINPILOT-INPUT ")[1].split(" --reject-with")[0] for line in lines] == own
    assert not any("--dport 22 " in line for line in lines)


def test_only_its_own_chains_are_emptied() -> None:
    text = hardening_firewall.rules_text("coinpilot", hardening_firewall.rules(IPV4, "coinpilot", [], ["docker0"]))
    assert [line for line in text.splitlines() if line.startswith(":")] == [
        ":COINPILOT-FORWARD - [0:0]", ":COINPILOT-INPUT - [0:0]"]


def test_in_force_means_all_rules_and_in_front() -> None:
    rules = hardening_firewall.rules(IPV4, "coinpilot", [443], WANTED.interfaces)
    live = hardened(LIVE)
    assert hardening_firewall.in_force(live, "coinpilot", rules)
    for changed in (LIVE, live.replace(rules[3] + "\n", ""), live.replace("-A FORWARD -j DOCKER-USER\n", ""),
                    live.replace("-A FORWARD -j DOCKER-USER\n", "-A FORWARD -j ACCEPT\n-A FORWARD -j DOCKER-USER\n"),
                    live.replace("-A DOCKER-USER -j COINPILOT-FORWARD", "-A DOCKER-USER -j RETURN\n"
                                 "-A DOCKER-USER -j COINPILOT-FORWARD"),
                    live.replace("-A INPUT -j COINPILOT-INPUT\n", "")):
        assert changed != live and not hardening_firewall.in_force(changed, "coinpilot", rules)


REJECT = " -j REJECT --reject-with icmp-host-prohibited"


@pytest.mark.parametrize(("saved", "live", "lost"), [
    (SAVED, LIVE, []),
    ("", "*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n", []),
    (SAVED, LIVE.replace("-A INPUT" + REJECT + "\n", ""), ["-A INPUT" + REJECT]),
    (SAVED, LIVE.replace("-A FORWARD" + REJECT + "\n", "").replace("FORWARD DROP", "FORWARD ACCEPT"),
     ["-A FORWARD" + REJECT]),
    # With a policy that drops nothing is open.
    (SAVED, LIVE.replace("-A INPUT" + REJECT + "\n", "").replace("INPUT ACCEPT", "INPUT DROP"), []),
    # All flushed: what lets SSH in comes before what refuses.
    (SAVED, "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\nCOMMIT\n",
     [line.replace("[12:3] ", "") for line in SAVED.splitlines() if "-A INPUT" in line]),
    # A file that somebody saved after the rule was lost.
    (SAVED.replace("-A INPUT" + REJECT + "\n", ""), LIVE.replace("-A INPUT" + REJECT + "\n", ""), []),
])
def test_a_lost_final_refusal_is_found(saved: str, live: str, lost: list[str]) -> None:
    assert hardening_firewall.lost_lines(saved, live) == lost


# The SSH server -----------------------------------------------------------------------------------------------------

def test_the_drop_in_sorts_before_the_cloud_images() -> None:
    assert sorted(["50-cloud-init.conf", os.path.basename(hardening_ssh.path("coinpilot"))])[0] == "00-coinpilot.conf"
    assert "PasswordAuthentication no\n" in hardening_ssh.text() and "AllowTcpForwarding yes\n" in hardening_ssh.text()


def test_what_the_server_says_is_compared_with_what_is_wanted() -> None:
    said = "".join(f"{key.lower()} {value}\n" for key, value in hardening_ssh.SETTINGS.items())
    assert hardening_ssh.differing(hardening_ssh.effective(said)) == {}
    other = said.replace("passwordauthentication no", "passwordauthentication yes")
    assert hardening_ssh.differing(hardening_ssh.effective(other)) == {"PasswordAuthentication": "yes"}


def test_the_settings_are_those_that_the_preflight_asks_for() -> None:
    wanted = {key.lower(): value for key, value in hardening_ssh.SETTINGS.items()}
    assert wanted.keys() == preflight_host_sshd._GOOD.keys()
    assert all(value in preflight_host_sshd._GOOD[key] for key, value in wanted.items())


def process(proc: Path, pid: int, parent: int, *environ: str) -> None:
    (proc / str(pid)).mkdir()
    (proc / str(pid) / "environ").write_bytes("\0".join(environ).encode())
    (proc / str(pid) / "stat").write_text(f"{pid} (a (strange) name) S {parent} 1 1")


def test_the_session_is_that_of_the_outermost_process_with_a_connection(tmp_path: Path) -> None:
    process(tmp_path, 30, 20, "SUDO_USER=ubuntu")
    process(tmp_path, 20, 10, "SSH_CONNECTION=198.51.100.7 50000 10.0.0.2 22")
    process(tmp_path, 10, 1, "PATH=/bin")
    me = pwd.getpwuid(os.getuid()).pw_name
    assert hardening_ssh.session(30, str(tmp_path)) == Login(me, "198.51.100.7", "50000")
    assert hardening_ssh.session(10, str(tmp_path)) == Login()
    assert hardening_ssh.session(99, str(tmp_path)) == Login()


def test_the_journal_tells_how_this_session_was_let_in() -> None:
    login = Login("ubuntu", "198.51.100.7", "50000")
    journal = ("Accepted publickey for ubuntu from 198.51.100.7 port 5000 ssh2: ED25519 SHA256:x\n"
               "Accepted password for ubuntu from 198.51.100.7 port 50000 ssh2\n"
               "Accepted publickey for other from 198.51.100.7 port 50000 ssh2\n")
    assert hardening_ssh.method(journal, login) == "password"
    assert hardening_ssh.method("", login) == ""


def test_keys_are_counted() -> None:
    texts = ["# ssh-ed25519 AAAAC3 off\n\nssh-ed25519 AAAAC3 a\n",
             'from="198.51.100.0/24",no-pty ssh-rsa AAAAB3 b\n', ""]
    assert hardening_ssh.count_keys(texts) == 2


@pytest.mark.parametrize(("login", "keys", "settings", "says"), [
    (Login("ubuntu", method="publickey"), 1, {}, ""),
    (Login("ubuntu"), 1, {}, ""),
    (Login(), 0, {}, ""),
    (Login("root", method="publickey"), 1, {}, "root's login would be shut"),
    (Login("ubuntu", method="password"), 1, {}, "logged in with a password"),
    (Login("ubuntu", method="keyboard-interactive/pam"), 1, {}, "logged in with a password"),
    (Login("ubuntu"), 0, {}, "has no key"),
    (Login("ubuntu"), 0, {"authorizedkeyscommand": "/usr/bin/keys"}, ""),
    (Login("ubuntu"), 1, {"authenticationmethods": "publickey,keyboard-interactive"}, "asks for more than a key"),
    (Login("ubuntu"), 1, {"authenticationmethods": "publickey,password publickey,publickey"}, ""),
])
def test_who_could_not_log_in_again_is_refused(login: Login, keys: int, settings: dict[str, str], says: str) -> None:
    refusal = hardening_ssh.refusal({**SSHD, **settings}, login, keys)
    if says:
        assert refusal and says in refusal.en
        assert "Nothing was changed" in refusal.en and "바뀐 것은 없습니다" in refusal.ko
    else:
        assert refusal is None


# What differs -------------------------------------------------------------------------------------------------------

def test_a_hardened_host_differs_in_nothing() -> None:
    planned = hardening.plan(world(hardened_already=True), WANTED)
    assert not planned.changed and planned.refusal is None


def test_a_bare_host_gets_everything() -> None:
    planned = hardening.plan(world(), WANTED)
    assert planned.what() == [file.path for file in WANTED.files()] + ["iptables"]
    shown = hardening.difference(world(), planned, WANTED)
    assert [entry["before_header"] for entry in shown] == [*(file.path for file in WANTED.files()), "iptables -S"]
    assert "-A DOCKER-USER -j COINPILOT-FORWARD\n" in shown[-1]["after"]


@pytest.mark.parametrize(("unit", "properties", "what"), [
    (WANTED.firewall_unit, {"ActiveState": "failed"}, [WANTED.firewall_unit]),
    (WANTED.firewall_unit, {"UnitFileState": "disabled"}, [WANTED.firewall_unit]),
    (WANTED.rollback_unit, {"NeedDaemonReload": "yes"}, [WANTED.rollback_unit]),
    # It only ever runs to put something back.
    (WANTED.rollback_unit, {"ActiveState": "inactive"}, []),
])
def test_units_that_are_not_as_wanted_differ(unit: str, properties: dict[str, str], what: list[str]) -> None:
    now = world(hardened_already=True)
    now.units[unit].update(properties)
    assert hardening.plan(now, WANTED).what() == what


def test_refusals_concern_only_what_would_change() -> None:
    password = Login("ubuntu", "198.51.100.7", "50000", "password")
    refused = hardening.plan(world(login=password), WANTED).refusal
    assert refused and "logged in with a password" in refused.en
    assert hardening.plan(world(hardened_already=True, login=password), WANTED).refusal is None


def test_a_host_without_iptables_is_refused() -> None:
    refused = hardening.plan(world(live={}, saved={}), WANTED).refusal
    assert refused and "apt-get install iptables" in refused.en


def test_a_confirmation_that_comes_too_late_says_so(tmp_path: Path) -> None:
    with pytest.raises(HardeningError, match="has put back what there was"):
        hardening.confirm(WANTED._replace(state_directory=str(tmp_path / "state")))


def test_two_at_a_time_are_refused(tmp_path: Path) -> None:
    wanted = WANTED._replace(state_directory=str(tmp_path / "state"))
    with hardening._lock(wanted), pytest.raises(HardeningError, match="Another hardening is at work"):
        hardening.confirm(wanted)
