"""The preflight of what really runs: each thing that is not safe turns its own rule red and no other, and its repair
turns it green again. Real Docker, packet filter and sshd."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

import pytest
from stack_on_host import DIRECTORY, Play, ops
from test_hardening import PLAYBOOK, TAKE_AWAY
from testinfra.host import Host

STRAY, NETWORK, VOLUME = "preflight-stray", "preflight-network", "preflight-volume"
IMAGE = "python:3.12-slim"
DROP_INS = "/etc/ssh/sshd_config.d"
UNIT = "preflight-listener"
Seen = set[tuple[str, str, str]]


def found(host: Host) -> Seen:
    """status, rule and subject of everything that the preflight says of the running host."""
    _code, report = ops(host, "preflight")
    return {(one["status"], one["id"], one["subject"]) for one in report["findings"]
            if one["id"].startswith("host-") and one["status"] != "PASS"}


class Watch:
    """What is found beside what a host that was provisioned and not hardened shows."""

    def __init__(self, host: Host):
        self.host = host
        self.before = found(host)

    def expect(self, *expected: tuple[str, str, str]) -> None:
        now = found(self.host)
        assert now - self.before == set(expected)

    def expect_gone(self, *gone: str) -> None:
        now = found(self.host)
        assert {(one[1], one[2]) for one in self.before - now} == {(rule.split()[0], rule.partition(" ")[2])
                                                                   for rule in gone}


@pytest.fixture(scope="module")
def watch(host: Host, play: Play) -> Iterator[Watch]:
    host.check_output(TAKE_AWAY)
    watch = Watch(host)
    assert {rule for _status, rule, _subject in watch.before} == {
        "host-docker-user", "host-metadata", "host-reject", "host-sshd"}, watch.before
    yield watch
    play("site.yml").expect_success()


@pytest.fixture(autouse=True)
def clean(host: Host, watch: Watch) -> Iterator[None]:
    """For every test: what it leaves is what there was."""
    yield
    host.run(f"docker rm --force --volumes $(docker ps -aqf name={STRAY}); docker network rm {NETWORK}; "
             f"docker volume rm {VOLUME}; systemctl stop {UNIT}")
    watch.expect()


def run_strays(host: Host, options: list[str]) -> list[str]:
    """A container for each of the options; their names."""
    names = [f"{STRAY}-{number}" for number in range(len(options))]
    host.check_output(" && ".join(f"docker run --detach --pull never --name {name} {option} {IMAGE} sleep 600"
                                  for name, option in zip(names, options, strict=True)))
    return names


def private_address(host: Host) -> str:
    return host.check_output("ip -4 -o route get 192.0.2.1").split("src ")[1].split()[0]


def test_stray_containers_that_are_published(host: Host, watch: Watch) -> None:
    mode = "com.docker.network.bridge.gateway_mode_ipv4=nat-unprotected"
    host.check_output(f"docker network create --opt {mode} {NETWORK}")
    names = run_strays(host, [
        "-p 7001:80", "-p 0.0.0.0:7002:80", "-p 7001:80/udp", "-p '[::]:7003:80'", "--expose 80 -P",
        "-p 7004-7005:80-81",
        f"-p {private_address(host)}:7006:80", "--network host", f"--network {NETWORK}"])
    watch.expect(*(("FAIL", "host-binding", name) for name in names))
    # As with `userland-proxy: false`: nothing listens, and DNAT alone leads to the container.
    host.check_output("kill $(pgrep --full 'docker-prox[y] .*-host-port 7002 ')")
    watch.expect(*(("FAIL", "host-binding", name) for name in names))


def test_stray_containers_that_are_harmless(host: Host, watch: Watch) -> None:
    run_strays(host, ["", "-p 127.0.0.1:7001:80", "-p 127.0.0.1:7001:80/udp", "--cap-drop ALL --read-only",
                      "--cap-add NET_BIND_SERVICE", "-v /srv:/srv", "-v /data", "-v /etc/localtime:/etc/localtime:ro"])
    watch.expect()


def test_stray_containers_with_privileges(host: Host, watch: Watch) -> None:
    names = run_strays(host, [
        "--cap-add SYS_ADMIN", "--cap-add cap_sys_ptrace", "--cap-add ALL", "--pid host", "--ipc host", "--uts host",
        "--pid container:coinpilot-redis", "--security-opt seccomp=unconfined", "--security-opt systempaths=unconfined",
        "--security-opt apparmor=unconfined", "--device /dev/tty", "--device-cgroup-rule 'c 1:3 r'"])
    watch.expect(*(("FAIL", "host-privilege", name) for name in names))


def test_a_privileged_container(host: Host, watch: Watch) -> None:
    # An outer container may not be able to start one; to the judge it is the setting that counts.
    host.run(f"docker run --detach --pull never --name {STRAY} --privileged {IMAGE} sleep 600")
    if host.check_output(f"docker inspect -f '{{{{.State.Running}}}}' {STRAY}") == "true":
        watch.expect(("FAIL", "host-privilege", STRAY))


def test_stray_containers_that_see_the_host(host: Host, watch: Watch) -> None:
    host.check_output(f"docker volume create --opt type=none --opt o=bind --opt device=/etc {VOLUME}")
    names = run_strays(host, [f"-v {mount}" for mount in (
        "/var/run/docker.sock:/var/run/docker.sock", "/run/docker.sock:/x:ro", "/run:/x", "/var/run:/x:ro",
        "/:/host:ro",
        "/etc:/x:ro", "/root:/x", f"{DIRECTORY}/.env:/x:ro", f"{DIRECTORY}:/x:ro", "/var/backups/coinpilot:/x:ro",
        f"{VOLUME}:/x")])
    watch.expect(*(("FAIL", "host-mount", name) for name in names))


def test_a_container_that_is_not_as_its_file_says(host: Host, watch: Watch) -> None:
    compose = f"cd {DIRECTORY} && docker compose --env-file .env -f docker-compose.prod.yml"
    override = {"services": {"prometheus": {
        "ports": ["0.0.0.0:7001:9090"], "cap_add": ["NET_ADMIN"], "volumes": ["/etc:/host-etc"]}}}
    host.check_output(f"printf '%s' '{json.dumps(override)}' > /run/preflight-override.json")
    try:
        host.check_output(f"{compose} -f /run/preflight-override.json up -d --no-deps prometheus")
        watch.expect(*(("FAIL", rule, "coinpilot-prometheus") for rule in (
            "host-binding", "host-privilege", "host-mount")))
    finally:
        host.check_output(f"rm /run/preflight-override.json; {compose} up -d --no-deps --wait prometheus")


def test_a_process_of_root_in_a_container(host: Host, watch: Watch) -> None:
    host.check_output("docker exec --detach --user 0 coinpilot-redis sleep 3131")
    try:
        watch.expect(("FAIL", "host-user", "coinpilot-redis"))
    finally:
        host.check_output("pkill --full --exact 'sleep 3131'")


def test_an_image_that_has_moved_on(host: Host, watch: Watch) -> None:
    tag = host.check_output("docker inspect -f '{{.Config.Image}}' coinpilot-redis")
    image = host.check_output("docker inspect -f '{{.Image}}' coinpilot-redis")
    host.check_output(f"docker tag {IMAGE} {tag}")
    try:
        watch.expect(("FAIL", "host-image", "coinpilot-redis"))
        host.check_output(f"docker rmi {tag}")
        watch.expect(("WARN", "host-image", "coinpilot-redis"))
    finally:
        host.check_output(f"docker tag {image} {tag}")


def test_a_container_that_was_stopped(host: Host, watch: Watch) -> None:
    host.check_output("docker stop coinpilot-grafana")
    try:
        watch.expect(("WARN", "host-container", "grafana"))
    finally:
        host.check_output("docker start coinpilot-grafana")


def test_settings_that_are_not_in_force(host: Host, watch: Watch) -> None:
    env = f"{DIRECTORY}/.env"
    edit = f"sed -i \"s/^GRAFANA_ADMIN_USER=.*/GRAFANA_ADMIN_USER='someone'/\" {env}"
    host.check_output(f"cp -a {env} /run/preflight.env; {edit}")
    try:
        watch.expect(("FAIL", "host-container", "coinpilot-grafana"))
    finally:
        host.check_output(f"cp -a /run/preflight.env {env}; rm /run/preflight.env")


def test_listeners(host: Host, watch: Watch) -> None:
    gateway = host.check_output("docker network inspect bridge -f '{{(index .IPAM.Config 0).Gateway}}'")
    code = ("import socket, time\nopened = []\nfor kind, address, port in (\n"
            "        (1, '0.0.0.0', 7101), (1, '%s', 7102), (2, '', 7103), (1, '127.0.0.1', 7104), (1, '%s', 7105),\n"
            "        (2, '127.0.0.1', 7106)):\n"
            "    opened.append(socket.socket(type=kind)); opened[-1].bind((address, port))\n"
            "    kind == 1 and opened[-1].listen()\ntime.sleep(600)\n") % (private_address(host), gateway)
    host.check_output(f"printf '%s' \"{code}\" > /run/preflight-listener.py")
    host.check_output(f"systemd-run --quiet --collect --unit={UNIT} python3 /run/preflight-listener.py")
    host.check_output("timeout 300 sh -c 'until ss -lun | grep -q :7106; do sleep 0.1; done'")
    watch.expect(*(("FAIL", "host-listener", port) for port in ("7101/tcp", "7102/tcp", "7103/udp")))
    host.check_output("rm /run/preflight-listener.py")


@pytest.mark.parametrize("program", ["iptables", "iptables-legacy"])
def test_rules_that_send_on_with_nobody_listening(host: Host, watch: Watch, program: str) -> None:
    rules = ["-p tcp --dport 7004 -j DNAT --to-destination 172.18.0.9:80",
             "-p tcp --dport 80 -j REDIRECT --to-ports 8501",
             "-p udp -m multiport --dports 53,54 -j DNAT --to-destination 172.18.0.9"]
    host.check_output(" && ".join(f"{program} -w -t nat -A PREROUTING {rule}" for rule in rules))
    try:
        more = [("WARN", "host-reject", "iptables")] * (program != "iptables")
        watch.expect(*(("FAIL", "host-dnat", ports) for ports in ("7004", "80", "53,54")), *more)
    finally:
        host.check_output("; ".join(f"{program} -w -t nat -D PREROUTING {rule}" for rule in rules))


BY_HAND = ("iptables -w -I DOCKER-USER -i {way} -m conntrack --ctstate NEW -j DROP",
           "iptables -w -I DOCKER-USER -d 169.254.0.0/16 -p tcp -j REJECT --reject-with tcp-reset")


def test_the_same_by_hand(host: Host, watch: Watch) -> None:
    way = host.check_output("ip -4 -o route get 192.0.2.1").split("dev ")[1].split()[0]
    rules = [rule.format(way=way) for rule in BY_HAND]
    for rule in rules:
        host.check_output(rule)
    try:
        # Another status now: in force, and not saved.
        watch.expect_gone("host-metadata 169.254.169.254", "host-metadata 169.254.0.2")
        host.check_output(rules[0].replace("-I", "-D"))
        host.check_output("iptables -w -I FORWARD -j ACCEPT")
        watch.expect(("FAIL", "host-docker-user", ""))
        host.check_output("iptables -w -D FORWARD -j ACCEPT; " + rules[0])
    finally:
        for rule in rules:
            host.check_output(rule.replace("-I", "-D"))


def test_a_bridge_of_another_name_is_not_forgotten(host: Host, watch: Watch) -> None:
    guards = [f"iptables -w -I DOCKER-USER -i {name} -d 169.254.0.0/16 -j REJECT" for name in ("docker0", "br-+")]
    for guard in guards:
        host.check_output(guard)
    try:
        watch.expect_gone("host-metadata 169.254.169.254", "host-metadata 169.254.0.2")
        host.check_output(f"docker network create --opt com.docker.network.bridge.name=odd0 {NETWORK}")
        watch.expect_gone()
    finally:
        for guard in guards:
            host.check_output(guard.replace("-I", "-D"))


@pytest.fixture
def filtered(host: Host) -> Iterator[None]:
    """The packet filter of OCI's images. What loads it at boot is a double of netfilter-persistent: it does nothing."""
    unit = "/etc/systemd/system/netfilter-persistent.service"
    ours = ["INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", "INPUT -i lo -j ACCEPT",
            "INPUT -p tcp -m tcp --dport 22 -j ACCEPT", "INPUT -j REJECT --reject-with icmp-host-prohibited",
            "FORWARD -j REJECT --reject-with icmp-host-prohibited"]
    lines = ["*filter", ":INPUT ACCEPT [0:0]", ":FORWARD ACCEPT [0:0]", *(f"-A {one}" for one in ours), "COMMIT", ""]
    saved = "\n".join(lines)
    host.check_output(f"mkdir -p /etc/iptables && printf '%s' '{saved}' > /etc/iptables/rules.v4")
    lines = ["[Service]", "Type=oneshot", "ExecStart=/bin/true", "[Install]", "WantedBy=multi-user.target"]
    host.check_output("printf '%s\\n' " + " ".join(map(repr, lines)) + f" > {unit}")
    host.check_output("systemctl --quiet enable netfilter-persistent")
    host.check_output(" && ".join(f"iptables -w -A {one}" for one in ours))
    yield
    # The last first: nothing is refused while its exceptions go.
    host.check_output("; ".join(f"iptables -w -D {one}" for one in reversed(ours)))
    host.check_output("systemctl --quiet disable netfilter-persistent; "
                      f"rm -r {unit} /etc/iptables; systemctl daemon-reload")


@pytest.mark.usefixtures("filtered")
def test_the_final_reject(host: Host, watch: Watch) -> None:
    watch.expect_gone("host-reject INPUT")
    last = "INPUT -j REJECT --reject-with icmp-host-prohibited"
    host.check_output(f"iptables -w -D {last}")
    watch.expect(("FAIL", "host-reject", "INPUT"))
    host.check_output(f"iptables -w -A {last}; iptables -w -I INPUT -j ACCEPT")
    watch.expect(("FAIL", "host-reject", "INPUT"))
    host.check_output("iptables -w -D INPUT -j ACCEPT")
    host.check_output("iptables -w -D FORWARD -j REJECT --reject-with icmp-host-prohibited")
    watch.expect(("FAIL", "host-reject", "FORWARD"))
    host.check_output("iptables -w -A FORWARD -j REJECT --reject-with icmp-host-prohibited")
    host.check_output("sed -i '/^-A INPUT -j REJECT/d' /etc/iptables/rules.v4")
    watch.expect(("FAIL", "host-reject", "INPUT"))


@pytest.mark.usefixtures("filtered")
def test_a_port_that_was_opened_and_a_listener_behind_the_filter(host: Host, watch: Watch) -> None:
    host.check_output("iptables -w -I INPUT -p tcp -m multiport --dports 80,443 -j ACCEPT")
    watch.expect(("FAIL", "host-web-ports", "80"), ("FAIL", "host-web-ports", "443"))
    host.check_output("iptables -w -D INPUT -p tcp -m multiport --dports 80,443 -j ACCEPT")
    host.check_output(f"systemd-run --quiet --collect --unit={UNIT} python3 -m http.server 7003")
    host.check_output("timeout 300 sh -c 'until ss -ltn | grep -q :7003; do sleep 0.1; done'")
    watch.expect(("WARN", "host-listener", "7003/tcp"))


@pytest.fixture
def drop_in(host: Host) -> Iterator[Callable[..., None]]:
    """``drop_in("50-cloud-init.conf", "PasswordAuthentication yes")`` puts it there, and sshd reads it."""
    added = []

    def put(name: str, text: str, reload: bool = True) -> None:
        added.append(f"{DROP_INS}/{name}")
        host.check_output(f"printf '%s\\n' '{text}' > {added[-1]} && sshd -t")
        if reload:
            reload_sshd(host)

    yield put
    host.check_output(f"rm -f {' '.join(added)}")
    reload_sshd(host)


def reload_sshd(host: Host) -> None:
    """The mark of its reading its files is a new pid file, a moment after the signal."""
    host.check_output("before=$(stat -c %y /run/sshd.pid); systemctl reload ssh; "
                      'until now=$(stat -c %y /run/sshd.pid) && [ "$now" != "$before" ]; do sleep 0.1; done')


@pytest.mark.parametrize(("text", "status"), [
    ("PasswordAuthentication yes", "FAIL"), ("KbdInteractiveAuthentication yes", "FAIL"),
    ("PermitRootLogin yes\nPermitEmptyPasswords yes", "FAIL"), ("AllowTcpForwarding no\nGatewayPorts yes", "WARN"),
    ("Match User root Address 192.0.2.0/24\n  PasswordAuthentication yes", "FAIL"),
])
def test_sshd_obeys_what_it_should_not(host: Host, watch: Watch, drop_in: Callable[..., None], text: str,
                                       status: str) -> None:
    drop_in("05-preflight.conf", text)
    _code, report = ops(host, "preflight")
    new = [one for one in report["findings"] if one["id"] == "host-sshd" and one["file"].endswith("05-preflight.conf")]
    assert {one["status"] for one in new} == {status}
    wrong = {number for number, line in enumerate(text.splitlines(), 1) if not line.startswith("Match")}
    assert {one["line"] for one in new} == wrong
    others = {(one["status"], one["id"], one["subject"]) for one in report["findings"] if one["id"] != "host-sshd"}
    assert {one for one in watch.before if one[1] != "host-sshd"} <= others


def test_the_first_drop_in_wins(host: Host, watch: Watch, drop_in: Callable[..., None]) -> None:
    # The stand-in's own 10-stand-in.conf comes before it, and says no.
    drop_in("50-cloud-init.conf", "PasswordAuthentication yes")
    watch.expect()
    drop_in("01-cloud-init.conf", "PasswordAuthentication yes")
    watch.expect(("FAIL", "host-sshd", ""))


def test_an_sshd_that_has_not_read_its_files_is_unknown(host: Host, watch: Watch, drop_in: Callable[..., None]) -> None:
    # Within a second of its last reading a file counts as read.
    time.sleep(1.5)
    drop_in("05-preflight.conf", "PermitTunnel no", reload=False)
    watch.expect(("UNKNOWN", "host-sshd", ""))
    reload_sshd(host)
    watch.expect()


def test_keys_that_others_may_write(host: Host, watch: Watch) -> None:
    keys = "/root/.ssh/authorized_keys2"
    host.check_output(f"mkdir -p -m 700 /root/.ssh && touch {keys} && chmod 666 {keys}")
    try:
        watch.expect(("FAIL", "host-sshd", keys))
    finally:
        host.check_output(f"rm {keys}")


def test_dockers_api_on_tcp(host: Host, watch: Watch) -> None:
    listen = "--socket-property=ListenStream=0.0.0.0:2375"
    host.check_output(f"systemd-run --quiet --collect --unit={UNIT} {listen} /bin/true")
    try:
        watch.expect(("FAIL", "host-docker-tcp", "2375"))
    finally:
        host.check_output(f"systemctl stop {UNIT}.socket")
    # What the next start of Docker would bring.
    hosts = {"hosts": ["unix:///run/docker.sock", "tcp://127.0.0.1:2376"]}
    host.check_output(f"printf '%s' '{json.dumps(hosts)}' > /etc/docker/daemon.json")
    try:
        watch.expect(("FAIL", "host-docker-tcp", "2376"))
    finally:
        host.check_output("rm /etc/docker/daemon.json")


def test_who_may_use_docker(host: Host, watch: Watch) -> None:
    host.check_output("useradd --groups docker preflight-user; chmod 666 /run/docker.sock")
    try:
        watch.expect(("FAIL", "host-docker-group", "preflight-user"),
                     ("FAIL", "host-docker-group", "/var/run/docker.sock"))
    finally:
        host.check_output("userdel preflight-user; chmod 660 /run/docker.sock")


def test_updates(host: Host, watch: Watch) -> None:
    host.check_output("touch /run/reboot-required; echo libc6 > /run/reboot-required.pkgs")
    try:
        watch.expect(("WARN", "host-reboot", ""))
        host.check_output("touch -d '-15 days' /run/reboot-required")
        watch.expect(("FAIL", "host-reboot", ""))
    finally:
        host.check_output("rm /run/reboot-required /run/reboot-required.pkgs")
    host.check_output("echo 'APT::Periodic::Unattended-Upgrade \"0\";' > /etc/apt/apt.conf.d/99preflight")
    try:
        watch.expect(("WARN", "host-reboot", ""))
    finally:
        host.check_output("rm /etc/apt/apt.conf.d/99preflight")


def test_without_docker_its_rules_are_unknown_and_the_others_judged(host: Host, watch: Watch) -> None:
    host.check_output("mv /run/docker.sock /run/docker.sock.away")
    try:
        now = found(host)
    finally:
        host.check_output("mv /run/docker.sock.away /run/docker.sock")
    assert {rule for status, rule, _subject in now if status == "UNKNOWN"} == {
        "host-container", "host-binding", "host-privilege", "host-mount", "host-user", "host-image", "host-docker-user",
        "host-metadata"}
    assert ("FAIL", "host-listener") not in {one[:2] for one in now}


@pytest.fixture
def hardened(host: Host, play: Play) -> Iterator[None]:
    play(PLAYBOOK).expect_success()
    yield
    host.check_output(TAKE_AWAY)
    host.check_output("systemctl disable coinpilot-firewall.service coinpilot-hardening-rollback.service; "
                      "rm -rf /usr/local/lib/coinpilot /etc/systemd/system/coinpilot-firewall.service "
                      "/etc/systemd/system/coinpilot-hardening-rollback.service /etc/coinpilot/firewall "
                      "/var/lib/coinpilot/hardening; systemctl daemon-reload")


@pytest.mark.usefixtures("hardened")
def test_what_the_role_hardens_passes(host: Host, watch: Watch) -> None:
    # That the stand-in filters nothing else is as true as before.
    assert found(host) == {("WARN", "host-reject", "INPUT")}
    host.check_output("iptables -w -F COINPILOT-FORWARD")
    assert found(host) >= {("FAIL", "host-metadata", "169.254.169.254"), ("WARN", "host-docker-user", "")}


def test_nothing_of_the_secrets_is_said(host: Host, secrets: dict[str, str]) -> None:
    _code, report = ops(host, "preflight")
    assert [key for key, value in secrets.items() if value and value in json.dumps(report)] == []
