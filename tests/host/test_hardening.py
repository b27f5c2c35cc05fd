"""The hardening on a real host: what it shuts and leaves open, what keeps it, and that nobody is locked out by it.

The outside, and OCI's metadata, are a second network namespace of the host: to the kernel that is another machine.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from stack_on_host import CHECKOUT, Play, Run, assert_all_healthy
from testinfra.host import Host

PLAYBOOK = "tests/host/harden.yml"
UNCONFIRMED = "tests/host/harden_unconfirmed.yml"
STATE = "/var/lib/coinpilot/hardening"
DROP_IN = "/etc/ssh/sshd_config.d/00-coinpilot.conf"
TEST_SSHD = "/etc/ssh/sshd_config.d/05-test.conf"
# The server starts itself anew, and closes what it has just accepted: a person does not log in as fast as a test.
RELOAD_SSH = "systemctl reload ssh.service; sleep 1"
# As README says.
TAKE_AWAY = ("rm -f /etc/ssh/sshd_config.d/00-coinpilot.conf /etc/coinpilot/firewall/*.rules; "
             f"systemctl restart coinpilot-firewall.service; {RELOAD_SSH}")
HERE, OUTSIDE, METADATA, STORAGE = "10.99.0.1", "10.99.0.2", "169.254.169.254", "169.254.2.2"
PUBLISHED, OTHER_BRIDGE = 18080, 18081

# What OCI's images have in /etc/iptables/rules.v4, shortened.
OCI_RULES = """*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT
-A INPUT -p icmp -j ACCEPT
-A INPUT -i lo -j ACCEPT
-A INPUT -p udp --sport 123 -j ACCEPT
-A INPUT -p tcp -m state --state NEW -m tcp --dport 22 -j ACCEPT
-A INPUT -j REJECT --reject-with icmp-host-prohibited
-A FORWARD -j REJECT --reject-with icmp-host-prohibited
COMMIT
"""
WITHOUT_SSH = "".join(line for line in OCI_RULES.splitlines(keepends=True) if "--dport 22" not in line)

Harden = Callable[..., Run]


def rules(host: Host) -> str:
    """All of the filter's rules but Docker's addresses of the day."""
    saved = host.check_output("iptables-save -t filter; ip6tables-save -t filter")
    return "\n".join(line for line in saved.splitlines() if not line.startswith(("#", ":", "-A DOCKER -d")))


def log_in(ssh_config: Path) -> None:
    """Over a new connection, as nobody has one yet."""
    subprocess.run(["ssh", "-F", str(ssh_config), "coinpilot", "true"], check=True, timeout=300)


def state(host: Host) -> dict[str, str]:
    """All that the hardening changes."""
    files = host.check_output("find /etc/ssh/sshd_config.d /etc/coinpilot/firewall -type f | sort | xargs sha256sum")
    return {"rules": rules(host), "files": files, "sshd": host.check_output("sshd -T | sort"),
            "pending": host.check_output(f"ls {STATE}")}


def opens(host: Host, address: str, port: int, where: str = "ip netns exec outside") -> bool:
    """Whether a TCP connection from there, the outside by default, is answered."""
    code = ("import socket,sys; s=socket.create_connection((sys.argv[1], int(sys.argv[2])), 2); "
            "s.sendall(b'GET / HTTP/1.0\\r\\n\\r\\n'); sys.exit(not s.recv(1))")
    return host.run(f'{where} python3 -c "{code}" {address} {port}').rc == 0


def serve(host: Host, unit: str, port: int, address: str = "0.0.0.0", namespace: str = "") -> None:
    inside = f"ip netns exec {namespace} " if namespace else ""
    host.check_output(f"systemd-run --quiet --collect --unit={unit} {inside}"
                      f"python3 -m http.server {port} --bind {address}")
    host.check_output(f"timeout 300 sh -c 'until {inside}ss -Hltn sport = :{port} | grep -q .; do sleep 0.1; done'")


def put(host: Host, path: str, text: str) -> None:
    host.check_output(f"mkdir -p $(dirname {path}) && printf '%s' \"{text}\" > {path}")


def wait_until_undone(host: Host, seconds: int) -> None:
    host.check_output(f"timeout {seconds} sh -c 'while [ -e {STATE}/pending ] || [ -e {STATE}/undoing ]; "
                      "do sleep 0.2; done'; sleep 1")


@pytest.fixture(scope="module")
def harden(play: Play) -> Iterator[Harden]:
    """``harden([80])``: a run with these public ports."""

    def run(public_ports: list[int] | None = None, playbook: str = PLAYBOOK, *arguments: str, **more: Any) -> Run:
        variables = {"stack_security": {"public_ports": public_ports or [], "waivers": []},
                     "security_preflight_rollback_after": 60}
        return play(playbook, {**variables, **more}, *arguments)

    run().expect_success()
    yield run
    play("site.yml").expect_success()


@pytest.fixture
def soft(harden: Harden, host: Host) -> Harden:
    """Nothing hardened, everything installed."""
    host.check_output(TAKE_AWAY)
    assert "COINPILOT" not in rules(host)
    return harden


@pytest.fixture
def outside(host: Host) -> Iterator[None]:
    """Another machine, which has OCI's link-local addresses too, and two published containers."""
    host.check_output(
        "ip netns add outside && ip link add outside0 type veth peer name eth0 netns outside && "
        f"ip addr add {HERE}/24 dev outside0 && ip addr add 169.254.0.1/16 dev outside0 && ip link set outside0 up && "
        f"ip -n outside addr add {OUTSIDE}/24 dev eth0 && ip -n outside link set eth0 up && "
        f"ip -n outside addr add {METADATA}/16 dev eth0 && ip -n outside addr add {STORAGE}/16 dev eth0 && "
        f"ip -n outside link set lo up && ip -n outside route add default via {HERE}")
    for port in (53, 80, 3260):
        serve(host, f"test-outside-{port}", port, namespace="outside")
    host.check_output("docker network create --opt com.docker.network.bridge.name=otherbridge test-other")
    for port, network in ((PUBLISHED, "bridge"), (OTHER_BRIDGE, "test-other")):
        host.check_output(f"docker run -d --name test-{port} --network {network} -p 0.0.0.0:{port}:8000 "
                          "python:3.12-slim python3 -m http.server 8000")
    host.check_output("timeout 300 sh -c 'until curl -sf -o /dev/null 127.0.0.1:18080 && "
                      "curl -sf -o /dev/null 127.0.0.1:18081; do sleep 0.2; done'")
    yield
    host.check_output(f"docker rm -f test-{PUBLISHED} test-{OTHER_BRIDGE}; docker network rm test-other; "
                      "systemctl stop 'test-outside-*'; ip netns del outside")


@pytest.fixture
def oci_rules(host: Host) -> Iterator[Callable[[str], None]]:
    """``oci_rules(text)`` is what the distribution has saved. The kernel's INPUT and FORWARD come back afterwards."""
    before = host.check_output("iptables-save -t filter | grep -E '^-A (INPUT|FORWARD) '; true")

    yield lambda text: put(host, "/etc/iptables/rules.v4", text)
    back = "*filter\n-F INPUT\n-F FORWARD\n" + before + "\nCOMMIT\n"
    host.check_output(f"printf '%s' \"{back}\" | iptables-restore -w --noflush; rm -r /etc/iptables")


@pytest.fixture
def sshd_settings(host: Host) -> Iterator[Callable[[str], None]]:
    """``sshd_settings(text)`` is what somebody else has set for the SSH server, and the server obeys it."""

    def set_to(text: str) -> None:
        put(host, TEST_SSHD, text)
        host.check_output(RELOAD_SSH)

    yield set_to
    host.check_output(f"rm -f {TEST_SSHD}; {RELOAD_SSH}")


@pytest.fixture
def password(host: Host) -> Iterator[dict[str, str]]:
    """Variables that make a run log in with a password."""
    host.check_output("echo ubuntu:for-this-test | chpasswd")
    # Without arguments of its own for connections that persist: those of earlier runs were let in by a key.
    yield {"ansible_password": "for-this-test", "ansible_ssh_args": "",
           "ansible_ssh_extra_args": "-o PubkeyAuthentication=no"}
    host.check_output("usermod --password '*' ubuntu")


# What it shuts, and what it leaves open -----------------------------------------------------------------------------

def test_only_public_ports_reach_containers_and_no_container_reaches_the_metadata(
        soft: Harden, host: Host, outside: None) -> None:
    container = f"docker exec test-{PUBLISHED}"
    assert opens(host, HERE, PUBLISHED) and opens(host, HERE, OTHER_BRIDGE)
    assert opens(host, METADATA, 80, container) and opens(host, STORAGE, 3260, container)

    soft().expect_success()
    assert not opens(host, HERE, PUBLISHED)
    assert not opens(host, HERE, OTHER_BRIDGE), "a network whose bridge has a name of its own"
    assert not opens(host, METADATA, 80, container) and not opens(host, STORAGE, 3260, container)
    assert opens(host, METADATA, 53, container), "the containers' DNS asks OCI's resolver"
    assert opens(host, METADATA, 80, ""), "the host itself needs its metadata"
    assert opens(host, OUTSIDE, 80, container), "containers reach the world"
    assert opens(host, HERE, PUBLISHED, f"docker exec test-{OTHER_BRIDGE}")
    assert opens(host, "127.0.0.1", PUBLISHED, "") and opens(host, HERE, 22)

    # Somebody's rule that comes before Docker's chain.
    host.check_output("iptables -I FORWARD -o docker0 -j ACCEPT")
    assert opens(host, HERE, PUBLISHED)
    soft().expect_success()
    host.check_output("iptables -S FORWARD | grep -qxF -e '-A FORWARD -o docker0 -j ACCEPT'")
    assert not opens(host, HERE, PUBLISHED)
    host.check_output("iptables -D FORWARD -o docker0 -j ACCEPT")

    soft([PUBLISHED]).expect_success()
    assert opens(host, HERE, PUBLISHED) and not opens(host, HERE, OTHER_BRIDGE)
    assert_all_healthy(host)


def test_the_web_is_open_on_the_host_only_when_wanted(
        soft: Harden, host: Host, outside: None, oci_rules: Callable[[str], None]) -> None:
    oci_rules(OCI_RULES)
    host.check_output("iptables-restore -w --noflush < /etc/iptables/rules.v4")
    # As a tutorial has it.
    host.check_output("iptables -I INPUT 5 -p tcp --dport 443 -j ACCEPT")
    for port in (80, 443, 8443):
        serve(host, f"test-outside-here-{port}", port)
    assert [opens(host, HERE, port) for port in (22, 80, 443, 8443)] == [True, False, True, False]
    before = rules(host)

    soft([80]).expect_success()
    assert [opens(host, HERE, port) for port in (22, 80, 443, 8443)] == [True, True, False, False]
    soft([80, 443]).expect_success()
    assert [opens(host, HERE, port) for port in (22, 80, 443, 8443)] == [True, True, True, False]
    soft().expect_success()
    assert [opens(host, HERE, port) for port in (22, 80, 443, 8443)] == [True, False, False, False]
    assert [line for line in before.splitlines() if line not in rules(host).splitlines()] == []
    assert host.file("/etc/iptables/rules.v4").content_string == OCI_RULES


def test_a_final_reject_that_was_lost_is_put_back(
        soft: Harden, host: Host, outside: None, oci_rules: Callable[[str], None]) -> None:
    oci_rules(OCI_RULES)
    serve(host, "test-outside-here-8443", 8443)
    assert opens(host, HERE, 8443)
    soft().expect_success()
    assert not opens(host, HERE, 8443) and opens(host, HERE, 22)
    chain = host.check_output("iptables -S INPUT").splitlines()
    assert chain[1] == "-A INPUT -j COINPILOT-INPUT"
    assert chain[-1] == "-A INPUT -j REJECT --reject-with icmp-host-prohibited"
    assert soft().expect_success().changed == 0


def test_a_check_shows_all_and_the_second_run_changes_nothing(soft: Harden, host: Host) -> None:
    before = state(host)
    shown = soft([443], PLAYBOOK, "--check", "--diff").expect_success()
    assert shown.changed == 1
    for line in ("PasswordAuthentication no", "-A DOCKER-USER -j COINPILOT-FORWARD",
                 "-A COINPILOT-FORWARD -p tcp -m conntrack --ctorigdstport 443 --ctdir ORIGINAL -j RETURN"):
        assert "+" + line in shown.output
    assert state(host) == before
    assert soft([443]).expect_success().changed == 1
    after = state(host)
    assert soft([443]).expect_success().changed == 0
    assert state(host) == after
    assert host.run("systemctl list-timers --all | grep hardening").rc == 1


def test_sshd_shuts_root_and_passwords_and_keeps_the_tunnel(soft: Harden, host: Host) -> None:
    # Cloud images allow passwords in a file that is read after ours.
    put(host, "/etc/ssh/sshd_config.d/50-cloud-init.conf", "PasswordAuthentication yes\n")
    soft().expect_success()
    said = host.check_output("sshd -T").splitlines()
    host.check_output("rm /etc/ssh/sshd_config.d/50-cloud-init.conf")
    for line in ("permitrootlogin no", "passwordauthentication no", "kbdinteractiveauthentication no",
                 "permitemptypasswords no", "x11forwarding no", "allowtcpforwarding yes", "disableforwarding no"):
        assert line in said


# What keeps it ------------------------------------------------------------------------------------------------------

def test_docker_restarts_flushes_and_reboots_keep_the_rules(soft: Harden, host: Host, stand_in: str) -> None:
    soft([443]).expect_success()
    wanted = [line for line in rules(host).splitlines() if "COINPILOT" in line]
    for what_happens in ("true", "iptables -F DOCKER-USER; iptables -F INPUT; iptables -F FORWARD"):
        host.check_output(f"{what_happens}; systemctl restart docker.service")
        assert [line for line in rules(host).splitlines() if "COINPILOT" in line] == wanted
        assert host.check_output("iptables -S FORWARD").splitlines()[1] == "-A FORWARD -j DOCKER-USER"
        assert host.check_output("iptables -S DOCKER-USER").splitlines()[1] == "-A DOCKER-USER -j COINPILOT-FORWARD"
    subprocess.run([sys.executable, str(CHECKOUT / "tests" / "stand_in" / "stand_in.py"), "reboot", "--name", stand_in],
                   check=True)
    host.check_output("timeout 300 sh -c 'while systemctl is-active coinpilot-compose.service | grep -q activating; "
                      "do sleep 1; done'")
    assert [line for line in rules(host).splitlines() if "COINPILOT" in line] == wanted
    times = host.check_output("systemctl show --property=ActiveEnterTimestampMonotonic --value "
                              "coinpilot-firewall.service docker.service").split()
    assert int(times[0]) < int(times[1]), "the rules are there before any container is"
    assert soft([443]).expect_success().changed == 0
    assert_all_healthy(host)


# Nobody is locked out -----------------------------------------------------------------------------------------------

def test_a_firewall_that_shuts_ssh_undoes_itself(
        soft: Harden, host: Host, ssh_config: Path, oci_rules: Callable[[str], None]) -> None:
    oci_rules(WITHOUT_SSH)
    before = state(host)
    run = soft(security_preflight_rollback_after=8).expect_failure()
    assert "let no new connection in" in run.output and "put back" in run.output
    assert state(host) == before
    log_in(ssh_config)
    assert "passwordauthentication no" in before["sshd"]


def test_an_ssh_server_that_no_longer_takes_the_login_undoes_itself(
        soft: Harden, host: Host, ssh_config: Path, sshd_settings: Callable[[str], None],
        password: dict[str, str]) -> None:
    # Its log does not tell how the session was let in, so nothing can be refused beforehand.
    sshd_settings("PasswordAuthentication yes\nLogLevel QUIET\n")
    before = state(host)
    run = soft(security_preflight_rollback_after=8, **password).expect_failure()
    assert "Permission denied" in run.output and "let no new connection in" in run.output
    assert state(host) == before
    log_in(ssh_config)
    assert "passwordauthentication yes" in before["sshd"]


def test_a_session_with_a_password_is_refused_beforehand(
        soft: Harden, host: Host, sshd_settings: Callable[[str], None], password: dict[str, str]) -> None:
    sshd_settings("PasswordAuthentication yes\n")
    before = state(host)
    run = soft(**password).expect_failure()
    assert "logged in with a password" in run.output and "Nothing was changed" in run.output
    assert state(host) == before


@pytest.mark.parametrize(("settings", "said"), [
    ("Match User ubuntu\nPasswordAuthentication yes\n", "PasswordAuthentication yes"),
    ("NoSuchSetting yes\n", "Bad configuration option"),
])
def test_settings_that_would_not_take_effect_change_nothing(
        soft: Harden, host: Host, settings: str, said: str) -> None:
    put(host, TEST_SSHD, settings)
    before = rules(host)
    run = soft().expect_failure()
    host.check_output(f"rm {TEST_SSHD}")
    assert said in run.output
    assert rules(host) == before and not host.file(DROP_IN).exists
    assert host.check_output(f"ls {STATE}") == "lock"


def test_what_is_not_confirmed_in_time_is_undone(soft: Harden, host: Host) -> None:
    before = state(host)
    run = soft([443], UNCONFIRMED, security_preflight_rollback_after=10).expect_failure()
    assert "only be confirmed over a new connection" in run.output
    assert "COINPILOT" in rules(host) and host.file(DROP_IN).exists
    wait_until_undone(host, 30)
    assert state(host) == before


def test_a_boot_before_the_confirmation_undoes_it(soft: Harden, host: Host, stand_in: str) -> None:
    soft([443]).expect_success()
    before = state(host)
    soft([80], UNCONFIRMED, security_preflight_rollback_after=3600).expect_failure()
    assert "--ctorigdstport 80 " in rules(host)
    subprocess.run([sys.executable, str(CHECKOUT / "tests" / "stand_in" / "stand_in.py"), "reboot", "--name", stand_in],
                   check=True)
    host.check_output("timeout 300 sh -c 'while systemctl is-active coinpilot-compose.service | grep -q activating; "
                      "do sleep 1; done'")
    assert state(host) == before
    assert_all_healthy(host)


def test_the_next_run_undoes_what_an_earlier_one_left(soft: Harden, host: Host) -> None:
    soft([80], UNCONFIRMED, security_preflight_rollback_after=3600).expect_failure()
    started = time.monotonic()
    soft([443]).expect_success()
    assert time.monotonic() - started < 60
    assert "--ctorigdstport 443 " in rules(host) and "--ctorigdstport 80 " not in rules(host)
    host.check_output(TAKE_AWAY)
    assert not host.file(DROP_IN).exists
