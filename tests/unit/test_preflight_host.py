"""The running host, judged over recorded worlds: one that is safe, and one change of it for each thing that is not."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils import findings, preflight_host
from ansible_collections.coinpilot.ops.plugins.module_utils import preflight_host_containers as containers
from ansible_collections.coinpilot.ops.plugins.module_utils import preflight_host_firewall as firewall
from ansible_collections.coinpilot.ops.plugins.module_utils import preflight_host_network as network
from ansible_collections.coinpilot.ops.plugins.module_utils import preflight_host_sshd as sshd
from ansible_collections.coinpilot.ops.plugins.module_utils import preflight_host_system as system
from ansible_collections.coinpilot.ops.plugins.module_utils.engine import Engine, EngineError
from ansible_collections.coinpilot.ops.plugins.module_utils.findings import FAIL, PASS, UNKNOWN, WARN

DESCRIPTION = {"name": "coinpilot", "project": "oci", "owner": "ubuntu",
               "directory": "/opt/coin-pilot/deploy/cloud/oci", "backup_directory": "/var/backups/coinpilot",
               "state_directory": "/var/lib/coinpilot"}
RESOLVED: dict[str, Any] = {
    "name": "oci",
    "services": {
        "n8n": {
            "image": "n8nio/n8n:1.123.81", "cap_drop": ["ALL"], "security_opt": ["no-new-privileges:true"],
            "read_only": True, "environment": {"N8N_BLOCK_ENV_ACCESS_IN_NODE": "true", "PRICE": "$$5"},
            "ports": [{"mode": "ingress", "host_ip": "127.0.0.1", "target": 5678, "published": "5678",
                       "protocol": "tcp"}],
            "volumes": [{"type": "volume", "source": "data", "target": "/home/node/.n8n"},
                        {"type": "bind", "source": "/opt/coin-pilot/deploy/cloud/oci/x", "target": "/x",
                         "read_only": True}],
        },
        "db": {"image": "db:1", "user": "postgres"},
    },
    "volumes": {"data": {"name": "oci_data"}},
}
INSPECTED: dict[str, Any] = {
    "Id": "a" * 64, "Name": "/coinpilot-n8n", "Image": "sha256:1",
    "Config": {"Image": "n8nio/n8n:1.123.81", "User": "node", "Env": ["N8N_BLOCK_ENV_ACCESS_IN_NODE=true", "PRICE=$5"],
               "Labels": {"com.docker.compose.project": "oci", "com.docker.compose.service": "n8n"}},
    "HostConfig": {"NetworkMode": "oci_default", "CapDrop": ["ALL"], "SecurityOpt": ["no-new-privileges:true"],
                   "ReadonlyRootfs": True, "IpcMode": "private", "MaskedPaths": ["/proc/kcore"], "Privileged": False},
    "NetworkSettings": {"Ports": {"5678/tcp": [{"HostIp": "127.0.0.1", "HostPort": "5678"}], "9/tcp": None},
                        "Networks": {"oci_default": {}}},
    "Mounts": [
        {"Type": "volume", "Name": "oci_data", "Source": "/var/lib/docker/volumes/oci_data/_data", "RW": True,
         "Destination": "/home/node/.n8n"},
        {"Type": "bind", "Source": "/opt/coin-pilot/deploy/cloud/oci/x", "Destination": "/x", "RW": False}],
}
STRAY: dict[str, Any] = {
    "Id": "c" * 64, "Name": "/stray", "Image": "sha256:9", "Config": {"Image": "debian", "User": "", "Labels": {}},
    "HostConfig": {"NetworkMode": "bridge", "MaskedPaths": ["/proc/kcore"]}, "NetworkSettings": {}, "Mounts": [],
}
DB = containers.Container("b" * 64, "coinpilot-db", "oci", "db", "db:1", "sha256:2", "postgres")
# What the role puts there, before what the image of OCI brings and what Docker adds.
RULES = """
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:DOCKER - [0:0]
:DOCKER-USER - [0:0]
:COINPILOT-FORWARD - [0:0]
:COINPILOT-INPUT - [0:0]
-A INPUT -j COINPILOT-INPUT
-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT
-A INPUT -p icmp -j ACCEPT
-A INPUT -i lo -j ACCEPT
-A INPUT -p tcp -m state --state NEW -m tcp --dport 22 -j ACCEPT
-A INPUT -j REJECT --reject-with icmp-host-prohibited
-A FORWARD -j DOCKER-USER
-A FORWARD -o br-1 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o br-1 -j DOCKER
-A FORWARD -i br-1 ! -o br-1 -j ACCEPT
-A FORWARD -i br-1 -o br-1 -j ACCEPT
-A FORWARD -j REJECT --reject-with icmp-host-prohibited
-A DOCKER -d 172.19.0.4/32 ! -i br-1 -o br-1 -p tcp -m tcp --dport 5678 -j ACCEPT
-A DOCKER-USER -j COINPILOT-FORWARD
-A DOCKER-USER -j RETURN
-A COINPILOT-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN
-A COINPILOT-FORWARD -d 169.254.169.254/32 -p udp -m udp --dport 53 -j RETURN
-A COINPILOT-FORWARD -d 169.254.169.254/32 -p tcp -m tcp --dport 53 -j RETURN
-A COINPILOT-FORWARD -d 169.254.0.0/16 -j REJECT --reject-with icmp-port-unreachable
-A COINPILOT-FORWARD -i docker0 -j RETURN
-A COINPILOT-FORWARD -i br-+ -j RETURN
-A COINPILOT-FORWARD -o docker0 -j DROP
-A COINPILOT-FORWARD -o br-+ -j DROP
-A COINPILOT-FORWARD -m conntrack --ctstate DNAT -j DROP
-A COINPILOT-INPUT ! -i lo -p tcp -m tcp --dport 80 -j REJECT --reject-with icmp-host-prohibited
-A COINPILOT-INPUT ! -i lo -p tcp -m tcp --dport 443 -j REJECT --reject-with icmp-host-prohibited
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A DOCKER -d 127.0.0.1/32 ! -i br-1 -p tcp -m tcp --dport 5678 -j DNAT --to-destination 172.19.0.4:5678
COMMIT
"""
SAVED = "*filter\n:INPUT ACCEPT\n:FORWARD ACCEPT\n-A INPUT -p tcp --dport 22 -j ACCEPT\n-A INPUT -j REJECT\n" \
        "-A FORWARD -j REJECT\nCOMMIT\n"
SSHD = ("port 22\npermitrootlogin without-password\npasswordauthentication no\nkbdinteractiveauthentication no\n"
        "usepam yes\npermitemptypasswords no\nx11forwarding no\nallowtcpforwarding yes\ndisableforwarding no\n"
        "gatewayports no\n"
        "authenticationmethods any\npubkeyauthentication yes\npermitopen any\nhostbasedauthentication no\n")
OWN = sshd.Caller("ubuntu", firewall.NEUTRAL[4])
BRIDGE = containers.Network("oci_default", "br-1", ("172.19.0.0/16",), ("172.19.0.1",), ())


def merged(base: Any, changes: Any) -> Any:
    """A mapping with some of its values, at any depth, replaced."""
    if not isinstance(base, dict) or not isinstance(changes, dict):
        return changes
    return {**base, **{key: merged(base.get(key), value) for key, value in changes.items()}}


def inspected(changes: dict[str, Any] | None = None, volumes: dict[str, Any] | None = None,
              base: dict[str, Any] = INSPECTED) -> containers.Container:
    return containers.container(merged(base, changes or {}), volumes or {})


def filters(rules: str = RULES, saved: str | None = SAVED, **changes: Any) -> network.Filters:
    return network.Filters({4: [firewall.parse(rules, 4)]}, {4: None if saved is None else firewall.parse(saved, 4)},
                           [4], False, {}, ())._replace(**changes)


def sshd_says(text: str = "", lines: str = "", **changes: Any) -> sshd.Sshd:
    read = [sshd.Line("/etc/ssh/sshd_config", number, line.split()[0].lower(), tuple(line.split()[1:]))
            for number, line in enumerate(lines.splitlines(), 1)]
    # The first value counts, as `sshd -T` would show one alone.
    settings = {OWN: sshd.parse(text + SSHD)}
    return sshd.Sshd(settings, read, (), 1000.0, 900.0, "/etc/ssh/sshd_config")._replace(**changes)


@dataclasses.dataclass
class Safe:
    """What `gather` reads of a host on which nothing is wrong."""

    containers: Any = dataclasses.field(default_factory=lambda: [inspected(), DB])
    networks: Any = dataclasses.field(default_factory=lambda: [BRIDGE])
    images: Any = dataclasses.field(default_factory=lambda: {"n8nio/n8n:1.123.81": "sha256:1", "db:1": "sha256:2"})
    processes: Any = dataclasses.field(default_factory=lambda: {
        1: network.Process("systemd", True, ""), 10: network.Process("sshd", True, ""),
        11: network.Process("dockerd", True, ""), 12: network.Process("docker-proxy", True, ""),
        13: network.Process("systemd-network", False, ""), 20: network.Process("node", False, "a" * 64),
        21: network.Process("python3", False, ""), 22: network.Process("postgres", False, "b" * 64)})
    sockets: Any = dataclasses.field(default_factory=lambda: [
        network.Socket("tcp", "0.0.0.0", 22, 10), network.Socket("tcp", "::", 22, 1),
        network.Socket("tcp", "127.0.0.53", 53), network.Socket("tcp", "::ffff:127.0.0.1", 9000, 21),
        network.Socket("tcp", "127.0.0.1", 5678, 12), network.Socket("tcp", "172.19.0.1", 8080, 21),
        network.Socket("udp", "10.0.0.5", 68, 13), network.Socket("udp", "::1", 323)])
    addresses: Any = dataclasses.field(default_factory=lambda: {
        "lo": ["127.0.0.1", "::1"], "ens3": ["10.0.0.5", "fe80::1"], "br-1": ["172.19.0.1"]})
    ways_out: Any = dataclasses.field(default_factory=lambda: ["ens3"])
    filters: Any = dataclasses.field(default_factory=filters)
    sshd: Any = dataclasses.field(default_factory=sshd_says)
    daemon: Any = system.Daemon(("fd://", "unix:///var/run/docker.sock"), False)
    access: Any = system.Access(0o660, "docker", ("ubuntu",))
    updates: Any = system.Updates(None, 0, "6.8.0-1013-oracle", "6.8.0-1013-oracle", True, 0)


def judged(world: Safe, resolved: dict[str, Any] | None = RESOLVED,
           public_ports: tuple[int, ...] = ()) -> list[findings.Finding]:
    read = {field.name: getattr(world, field.name) for field in dataclasses.fields(world)}
    return preflight_host.judge(preflight_host.World(read, {}), DESCRIPTION, resolved,
                                {"public_ports": list(public_ports), "waivers": []})


def said(found: list[findings.Finding]) -> set[tuple[str, str, str]]:
    return {(one.status, one.id, one.subject) for one in found if one.status != PASS}


def add(**changes: Any) -> Callable[[Safe], None]:
    """Appends to lists of the world, or updates its mappings."""
    def change(world: Safe) -> None:
        for name, value in changes.items():
            old = getattr(world, name)
            setattr(world, name, {**old, **value} if isinstance(old, dict) else [*old, value])
    return change


def put(**changes: Any) -> Callable[[Safe], None]:
    def change(world: Safe) -> None:
        for name, value in changes.items():
            setattr(world, name, value)
    return change


def both(*changes: Callable[[Safe], None]) -> Callable[[Safe], None]:
    def change(world: Safe) -> None:
        for one in changes:
            one(world)
    return change


def n8n(changes: dict[str, Any], volumes: dict[str, Any] | None = None) -> Callable[[Safe], None]:
    return put(containers=[inspected(changes, volumes), DB])


def stray(changes: dict[str, Any], volumes: dict[str, Any] | None = None) -> Callable[[Safe], None]:
    return add(containers=inspected(changes, volumes, STRAY))


def published(address: str, port: int = 9443) -> dict[str, Any]:
    return {"NetworkSettings": {"Ports": {"80/tcp": [{"HostIp": address, "HostPort": str(port)}]}}}


def bind(source: str, target: str = "/y", writable: bool = True) -> dict[str, Any]:
    return {"Mounts": [{"Type": "bind", "Source": source, "Destination": target, "RW": writable}]}


def without(line: str, instead: str = "") -> network.Filters:
    assert line in RULES
    return filters(RULES.replace(line, instead))


def listening(address: str, port: int = 8080, protocol: str = "tcp", pid: int = 21) -> Callable[[Safe], None]:
    return add(sockets=network.Socket(protocol, address, port, pid))


def test_a_safe_host_passes_every_rule() -> None:
    found = judged(Safe())
    assert said(found) == set()
    assert {one.id for one in found} == set(preflight_host.RULES)


def test_a_fresh_host_with_nothing_deployed_passes() -> None:
    assert said(judged(Safe(containers=[], images={}))) == set()


N8N, FORWARD_END = "coinpilot-n8n", "-A FORWARD -j REJECT --reject-with icmp-host-prohibited\n"
INPUT_END = "-A INPUT -j REJECT --reject-with icmp-host-prohibited\n"
UNSAFE: list[tuple[str, Callable[[Safe], None], tuple[str, str, str]]] = [
    ("another value", n8n({"Config": {"Env": ["N8N_BLOCK_ENV_ACCESS_IN_NODE=false", "PRICE=$5"]}}),
     (FAIL, "host-container", N8N)),
    ("a value that is not there", n8n({"Config": {"Env": ["PRICE=$5"]}}), (FAIL, "host-container", N8N)),
    ("a service that does not run", put(containers=[DB]), (WARN, "host-container", "n8n")),
    ("one too many", add(containers=DB._replace(id="d" * 64, name="old", service="worker")),
     (WARN, "host-container", "old")),
    ("published to all", n8n(published("0.0.0.0")), (FAIL, "host-binding", N8N)),
    ("published to all, IPv6", n8n(published("::")), (FAIL, "host-binding", N8N)),
    ("published on the private address", n8n(published("10.0.0.5")), (FAIL, "host-binding", N8N)),
    ("published to all, address left out", stray(published("")), (FAIL, "host-binding", "stray")),
    ("published on loopback, not in the file", n8n(published("127.0.0.2")), (WARN, "host-binding", N8N)),
    ("the host's network", stray({"HostConfig": {"NetworkMode": "host"}}), (FAIL, "host-binding", "stray")),
    ("a network that shows all", both(
        add(networks=containers.Network("flat", "br-1", ("172.19.0.0/16",), (), ("nat-unprotected",))),
        stray({"NetworkSettings": {"Networks": {"flat": {}}}})), (FAIL, "host-binding", "stray")),
    ("privileged", stray({"HostConfig": {"Privileged": True, "MaskedPaths": None}}), (FAIL, "host-privilege", "stray")),
    ("a dangerous capability", stray({"HostConfig": {"CapAdd": ["CAP_SYS_ADMIN"]}}), (FAIL, "host-privilege", "stray")),
    ("every capability", stray({"HostConfig": {"CapAdd": ["all"]}}), (FAIL, "host-privilege", "stray")),
    ("the host's processes", stray({"HostConfig": {"PidMode": "host"}}), (FAIL, "host-privilege", "stray")),
    ("another container's processes", stray({"HostConfig": {"PidMode": "container:x"}}),
     (FAIL, "host-privilege", "stray")),
    ("no seccomp", stray({"HostConfig": {"SecurityOpt": ["seccomp=unconfined"]}}), (FAIL, "host-privilege", "stray")),
    ("no SELinux, in the old form", stray({"HostConfig": {"SecurityOpt": ["label:type:spc_t"]}}),
     (FAIL, "host-privilege", "stray")),
    ("open /proc", stray({"HostConfig": {"MaskedPaths": []}}), (FAIL, "host-privilege", "stray")),
    ("a disk", stray({"HostConfig": {"Devices": [{"PathOnHost": "/dev/sda"}]}}), (FAIL, "host-privilege", "stray")),
    ("a capability that the file does not give", n8n({"HostConfig": {"CapAdd": ["NET_BIND_SERVICE"]}}),
     (FAIL, "host-privilege", N8N)),
    ("new privileges", n8n({"HostConfig": {"SecurityOpt": None}}), (FAIL, "host-privilege", N8N)),
    ("capabilities kept", n8n({"HostConfig": {"CapDrop": None}}), (FAIL, "host-privilege", N8N)),
    ("writable root", n8n({"HostConfig": {"ReadonlyRootfs": False}}), (FAIL, "host-privilege", N8N)),
    ("Docker's socket", stray(bind("/var/run/docker.sock", writable=False)), (FAIL, "host-mount", "stray")),
    ("the directory of Docker's socket", stray(bind("/run")), (FAIL, "host-mount", "stray")),
    ("the root directory", stray(bind("/", writable=False)), (FAIL, "host-mount", "stray")),
    ("the stack's .env", stray(bind("/opt/coin-pilot/deploy/cloud/oci/.env")), (FAIL, "host-mount", "stray")),
    ("the backups", stray(bind("/var/backups/coinpilot/postgres")), (FAIL, "host-mount", "stray")),
    ("/etc as a volume", stray(
        {"Mounts": [{"Type": "volume", "Name": "v", "Source": "/x", "Destination": "/y", "RW": True}]},
        {"v": {"type": "none", "o": "bind", "device": "/etc"}}), (FAIL, "host-mount", "stray")),
    ("a mount that the file does not have", n8n({"Mounts": [*INSPECTED["Mounts"], *bind("/srv/y")["Mounts"]]}),
     (FAIL, "host-mount", N8N)),
    ("another source", n8n(bind("/srv/x", "/x", False)), (FAIL, "host-mount", N8N)),
    ("another volume", n8n({"Mounts": [{"Type": "volume", "Name": "x", "Destination": "/home/node/.n8n", "RW": True}]}),
     (FAIL, "host-mount", N8N)),
    ("writable", n8n(bind("/opt/coin-pilot/deploy/cloud/oci/x", "/x")), (FAIL, "host-mount", N8N)),
    ("another user", put(containers=[inspected(), DB._replace(user="")]), (FAIL, "host-user", "coinpilot-db")),
    ("a process of root", add(processes={30: network.Process("sh", True, "b" * 64)}),
     (FAIL, "host-user", "coinpilot-db")),
    ("root because nobody said otherwise", both(
        n8n({"Config": {"User": ""}}), add(processes={30: network.Process("sh", True, "a" * 64)})),
     (WARN, "host-user", N8N)),
    ("another image", n8n({"Config": {"Image": "n8nio/n8n:1.0.0"}, "Image": "sha256:3"}), (FAIL, "host-image", N8N)),
    ("an image that has moved on", add(images={"db:1": "sha256:4"}), (FAIL, "host-image", "coinpilot-db")),
    ("an image that is gone", add(images={"db:1": None}), (WARN, "host-image", "coinpilot-db")),
    ("a listener behind the filter", listening("0.0.0.0"), (WARN, "host-listener", "8080/tcp")),
    ("a listener on the private address", listening("10.0.0.5", 9100), (WARN, "host-listener", "9100/tcp")),
    ("a UDP server", listening("0.0.0.0", 5353, "udp"), (WARN, "host-listener", "5353/udp")),
    ("another program at sshd's port", listening("10.0.0.5", 22), (FAIL, "host-listener", "22/tcp")),
    ("a proxy that Docker left behind", listening("0.0.0.0", 7000, pid=12), (WARN, "host-listener", "7000/tcp")),
    ("DNAT by hand", put(filters=without(
        "-A DOCKER -d 127.0.0.1/32",
        "-A PREROUTING -p tcp -m tcp --dport 8443 -j DNAT --to-destination 172.19.0.4:5678\n"
        "-A DOCKER -d 127.0.0.1/32")), (FAIL, "host-dnat", "8443")),
    ("DNAT of everything", put(filters=without(
        "-A DOCKER -d 127.0.0.1/32", "-A PREROUTING -i ens3 -j DNAT --to-destination 172.19.0.4\n"
        "-A DOCKER -d 127.0.0.1/32")), (FAIL, "host-dnat", "")),
    ("DOCKER-USER lets all through", put(filters=without(
        "-A COINPILOT-FORWARD -o br-+ -j DROP\n-A COINPILOT-FORWARD -m conntrack --ctstate DNAT -j DROP\n")),
     (WARN, "host-docker-user", "")),
    ("DOCKER-USER comes too late", put(filters=without("-A FORWARD -j DOCKER-USER\n", (
        "-A FORWARD -i ens3 -o br-1 -j ACCEPT\n-A FORWARD -j DOCKER-USER\n"))), (FAIL, "host-docker-user", "")),
    ("DOCKER-USER is not saved", put(filters=filters(own_saved=())), (WARN, "host-docker-user", "")),
    ("the final REJECT is gone", put(filters=without(INPUT_END)), (FAIL, "host-reject", "INPUT")),
    ("something lets all in before it", put(filters=without(INPUT_END, "-A INPUT -j ACCEPT\n" + INPUT_END)),
     (FAIL, "host-reject", "INPUT")),
    ("FORWARD's final REJECT is gone", put(filters=without(FORWARD_END)), (FAIL, "host-reject", "FORWARD")),
    ("a host without any filter", put(filters=filters(RULES.replace(INPUT_END, ""), None)),
     (WARN, "host-reject", "INPUT")),
    ("saved without it", put(filters=filters(saved=SAVED.replace("-A INPUT -j REJECT\n", ""))),
     (FAIL, "host-reject", "INPUT")),
    ("not saved", put(filters=filters(saved=None)), (WARN, "host-reject", "INPUT")),
    ("rules in two places", put(filters=filters(doubled=(4,))), (WARN, "host-reject", "iptables")),
    ("443 opened", put(filters=filters(RULES.replace("! -i lo -p tcp -m tcp --dport 443 -j REJECT",
                                                     "-p tcp -m tcp --dport 443 -j ACCEPT"))),
     (FAIL, "host-web-ports", "443")),
    ("5432 opened", put(filters=without(INPUT_END, (
        "-A INPUT -p tcp -m multiport --dports 5432,5433 -j ACCEPT\n" + INPUT_END))), (FAIL, "host-web-ports", "5432")),
    ("80 opened at the next boot", put(filters=filters(
        saved=SAVED.replace("22", "22:80").replace("COMMIT", "-A DOCKER-USER -j DROP\nCOMMIT"), own_saved=())),
     (FAIL, "host-web-ports", "80")),
    ("the way to the metadata", put(filters=without("-d 169.254.0.0/16 -j REJECT", "-d 169.254.0.2/32 -j REJECT")),
     (FAIL, "host-metadata", "169.254.169.254")),
    ("the way to the disk", put(filters=without("-d 169.254.0.0/16 -j REJECT", "-d 169.254.169.254/32 -j REJECT")),
     (WARN, "host-metadata", "169.254.0.2")),
    ("root by SSH", put(sshd=sshd_says("permitrootlogin yes\n")), (FAIL, "host-sshd", "")),
    ("passwords", put(sshd=sshd_says("passwordauthentication yes\n")), (FAIL, "host-sshd", "")),
    ("passwords through PAM", put(sshd=sshd_says("kbdinteractiveauthentication yes\n")), (FAIL, "host-sshd", "")),
    ("the old name of it", put(sshd=sshd_says("challengeresponseauthentication yes\n")), (FAIL, "host-sshd", "")),
    ("empty passwords", put(sshd=sshd_says("permitemptypasswords yes\n")), (FAIL, "host-sshd", "")),
    ("a key or a password", put(sshd=sshd_says(
        "passwordauthentication yes\nauthenticationmethods publickey password\n")), (FAIL, "host-sshd", "")),
    ("hosts' word", put(sshd=sshd_says("hostbasedauthentication yes\n")), (FAIL, "host-sshd", "")),
    ("no keys", put(sshd=sshd_says("pubkeyauthentication no\n")), (WARN, "host-sshd", "")),
    ("the session's variables", put(sshd=sshd_says("permituserenvironment yes\n")), (WARN, "host-sshd", "")),
    ("no tunnel", put(sshd=sshd_says("allowtcpforwarding no\n")), (WARN, "host-sshd", "")),
    ("no forwarding at all", put(sshd=sshd_says("disableforwarding yes\n")), (WARN, "host-sshd", "")),
    ("X11", put(sshd=sshd_says("x11forwarding yes\n")), (WARN, "host-sshd", "")),
    ("forwarded to the world", put(sshd=sshd_says("gatewayports clientspecified\n")), (WARN, "host-sshd", "")),
    ("changed since it started", put(sshd=sshd_says(changed=2000.0)), (UNKNOWN, "host-sshd", "")),
    ("keys that others may write", put(sshd=sshd_says(open_keys=[sshd.KeyFile("ubuntu", "/k")])),
     (FAIL, "host-sshd", "/k")),
    ("Docker on TCP", put(daemon=system.Daemon(("tcp://127.0.0.1:2375",), False)), (FAIL, "host-docker-tcp", "2375")),
    ("Docker on TCP, port left out", put(daemon=system.Daemon(("tcp://0.0.0.0",), False)),
     (FAIL, "host-docker-tcp", "2375")),
    ("Docker on TCP by socket activation", listening("0.0.0.0", 2375, pid=1), (FAIL, "host-docker-tcp", "2375")),
    ("Docker on TCP with certificates", put(daemon=system.Daemon(("tcp://0.0.0.0:2376",), True)),
     (WARN, "host-docker-tcp", "2376")),
    ("another member", put(access=system.Access(0o660, "docker", ("deploy", "ubuntu"))),
     (FAIL, "host-docker-group", "deploy")),
    ("a socket for all", put(access=system.Access(0o666, "docker", ("ubuntu",))),
     (FAIL, "host-docker-group", "/var/run/docker.sock")),
    ("a pending reboot", put(updates=system.Updates(("libc6",), 0, "6", "6", True, 86400)), (WARN, "host-reboot", "")),
    ("a new kernel", put(updates=system.Updates(None, 0, "6.1", "6.2", True, 86400)), (WARN, "host-reboot", "")),
    ("a reboot long overdue", put(updates=system.Updates((), 0, "6", "6", True, 86400 * 14)),
     (FAIL, "host-reboot", "")),
    ("updates by hand", put(updates=system.Updates(None, 0, "6", "6", False, 0)), (WARN, "host-reboot", "")),
]


@pytest.mark.parametrize(("change", "expected"), [case[1:] for case in UNSAFE], ids=[case[0] for case in UNSAFE])
def test_each_unsafe_thing_is_found_by_its_own_rule_alone(
        change: Callable[[Safe], None], expected: tuple[str, str, str]) -> None:
    world = Safe()
    change(world)
    assert said(judged(world)) == {expected}


# As the role makes it when the policy allows 443.
ALLOWED = put(filters=filters(RULES.replace("-A COINPILOT-FORWARD -o docker0 -j DROP\n", (
    "-A COINPILOT-FORWARD -p tcp -m conntrack --ctorigdstport 443 --ctdir ORIGINAL -j RETURN\n"
    "-A COINPILOT-FORWARD -o docker0 -j DROP\n")).replace("! -i lo -p tcp -m tcp --dport 443 -j REJECT", (
        "-p tcp -m tcp --dport 443 -j ACCEPT"))))
PORTS = (443,)
SAFE: list[tuple[str, Callable[[Safe], None], tuple[int, ...]]] = [
    ("a public port", ALLOWED, PORTS),
    ("a container at a public port", both(ALLOWED, stray(published("0.0.0.0", 443)),
                                          listening("0.0.0.0", 443, pid=12)), PORTS),
    ("a listener at a public port", both(ALLOWED, listening("0.0.0.0", 443)), PORTS),
    ("a stray container with nothing dangerous", stray(published("127.0.0.1")), ()),
    ("a harmless capability of a stray one", stray({"HostConfig": {"CapAdd": ["NET_BIND_SERVICE"]}}), ()),
    ("harmless mounts of a stray one", stray(bind("/srv/data")), ()),
    ("the clock of the host", stray(bind("/etc/localtime", writable=False)), ()),
    ("root in a stray one", both(stray({}), add(processes={30: network.Process("sh", True, "c" * 64)})), ()),
    ("another way to write a capability", n8n({"HostConfig": {"CapDrop": ["CAP_ALL"]}}), ()),
    ("what the Engine added of itself", n8n({"Config": {"Env": [
        "PATH=/bin", "N8N_BLOCK_ENV_ACCESS_IN_NODE=true", "PRICE=$5"]}}), ()),
    ("a volume that the image asks for", n8n({"Mounts": [
        *INSPECTED["Mounts"], {"Type": "volume", "Name": "f" * 64, "Destination": "/z", "RW": True}]}), ()),
    ("an answer that is waited for", listening("0.0.0.0", 40000, "udp", 13), ()),
    ("DROP instead of REJECT", put(filters=filters(RULES.replace(INPUT_END, "-A INPUT -j DROP\n"))), ()),
    ("a policy of DROP", put(filters=filters(
        RULES.replace(INPUT_END, "").replace(":INPUT ACCEPT", ":INPUT DROP"))), ()),
    ("ufw keeps them", put(filters=filters(saved=None, own_saved=(), ufw=True)), ()),
    ("DOCKER-USER by hand", put(filters=filters(RULES.replace("-A DOCKER-USER -j COINPILOT-FORWARD\n", (
        "-A DOCKER-USER -d 169.254.0.0/16 -j DROP\n"
        "-A DOCKER-USER -i ens3 -m conntrack --ctstate NEW -j DROP\n")))), ()),
    ("a key and a password", put(sshd=sshd_says(
        "passwordauthentication yes\nauthenticationmethods publickey,password\n")), ()),
    ("keyboard-interactive without PAM", put(sshd=sshd_says("kbdinteractiveauthentication yes\nusepam no\n")), ()),
    ("forwarding for the tunnel alone", put(sshd=sshd_says("allowtcpforwarding local\n")), ()),
    ("sshd at another port", both(
        put(sshd=sshd_says("port 2222\n"), filters=without("--dport 22 -j ACCEPT", "--dport 22:2222 -j ACCEPT")),
        listening("0.0.0.0", 2222, pid=10)), ()),
    ("no socket of Docker", put(access=None), ()),
    ("a system without apt", put(updates=system.Updates(None, 0, "6", "6", None, 0)), ()),
]


@pytest.mark.parametrize(("change", "ports"), [case[1:] for case in SAFE], ids=[case[0] for case in SAFE])
def test_nothing_safe_is_found(change: Callable[[Safe], None], ports: tuple[int, ...]) -> None:
    world = Safe()
    change(world)
    assert said(judged(world, public_ports=ports)) == set()


def test_a_public_port_that_is_refused_is_told() -> None:
    world = Safe()
    both(stray(published("0.0.0.0", 443)), listening("0.0.0.0", 80))(world)
    assert said(judged(world, public_ports=(80, 443))) == {
        (WARN, "host-docker-user", ""), (WARN, "host-web-ports", "80")}


def test_without_a_filter_a_listener_is_open() -> None:
    world = Safe(filters=filters(RULES.replace(INPUT_END, ""), None))
    both(listening("10.0.0.5"), listening("0.0.0.0", 53, "udp"))(world)
    assert said(judged(world)) == {(WARN, "host-reject", "INPUT"), (FAIL, "host-listener", "8080/tcp"),
                                   (FAIL, "host-listener", "53/udp")}


def test_ipv6_is_judged_where_the_world_reaches_it() -> None:
    rules = RULES.replace("169.254.0.0/16 -j REJECT", "fd00:c1::a9fe:a9fe/128 -j REJECT").replace(
        "169.254.169.254/32", "fd00:c1::a9fe:a9fe/128")
    public = {"ens3": ["10.0.0.5", "2603:c020::5"]}
    six = BRIDGE._replace(subnets=("172.19.0.0/16", "fd00:1::/64"))
    both_families = filters()._replace(rulesets={4: [firewall.parse(RULES, 4)], 6: [firewall.parse(rules, 6)]},
                                       saved={4: firewall.parse(SAVED, 4), 6: firewall.parse(SAVED, 6)},
                                       own_saved=[4, 6])
    assert said(judged(Safe(addresses=public, networks=[six], filters=both_families))) == set()
    open_six = both_families._replace(rulesets={**both_families.rulesets, 6: [firewall.parse("", 6)]})
    assert said(judged(Safe(addresses=public, networks=[six], filters=open_six))) == {
        (FAIL, "host-docker-user", "IPv6"), (FAIL, "host-reject", "INPUT (IPv6)"),
        (FAIL, "host-reject", "FORWARD (IPv6)"), (FAIL, "host-metadata", "fd00:c1::a9fe:a9fe")}


def test_without_a_file_the_projects_containers_are_judged_as_strays() -> None:
    world = Safe(containers=[inspected({"HostConfig": {"Privileged": True}}), DB])
    assert said(judged(world, None)) == {
        (FAIL, "host-privilege", N8N), (UNKNOWN, "host-container", ""), (UNKNOWN, "host-user", ""),
        (UNKNOWN, "host-image", "")}


def test_findings_name_the_service_for_waivers() -> None:
    world = Safe()
    both(n8n(published("0.0.0.0")), stray({"HostConfig": {"PidMode": "host"}}), listening("0.0.0.0"),
         put(access=system.Access(0o660, "docker", ("deploy",))))(world)
    assert {(one.id, one.place.service) for one in judged(world) if one.status != PASS} == {
        ("host-binding", "n8n"), ("host-privilege", "stray"), ("host-listener", "python3"),
        ("host-docker-group", "deploy")}


def test_the_line_that_decides_is_named() -> None:
    lines = "PasswordAuthentication yes\nPasswordAuthentication no\n"
    found = [one for one in judged(Safe(sshd=sshd_says("passwordauthentication yes\n", lines))) if one.status != PASS]
    assert [(one.place.file, one.place.line) for one in found] == [("/etc/ssh/sshd_config", 1)]
    assert "passwordauthentication yes" in found[0].seen.en


UNREAD = {
    "containers": {"host-container", "host-binding", "host-privilege", "host-mount", "host-user", "host-image"},
    "networks": {"host-binding", "host-docker-user", "host-metadata"},
    "images": {"host-image"},
    "processes": {"host-user", "host-listener"},
    "sockets": {"host-listener", "host-web-ports", "host-docker-tcp"},
    "addresses": {"host-docker-user", "host-reject", "host-web-ports", "host-metadata"},
    "ways_out": {"host-docker-user", "host-reject", "host-web-ports", "host-metadata"},
    "filters": {"host-dnat", "host-docker-user", "host-reject", "host-web-ports", "host-metadata"},
    "sshd": {"host-sshd"},
    "daemon": {"host-docker-tcp"},
    "access": {"host-docker-group"},
    "updates": {"host-reboot"},
}


@pytest.mark.parametrize("name", UNREAD)
def test_what_cannot_be_read_is_unknown_and_stops_no_other(name: str) -> None:
    read = {field.name: getattr(Safe(), field.name) for field in dataclasses.fields(Safe) if field.name != name}
    found = preflight_host.judge(preflight_host.World(read, {name: "no"}), DESCRIPTION, RESOLVED, {})
    assert {one.id for one in found if one.status == UNKNOWN} == UNREAD[name]
    assert {one.id for one in found} == set(preflight_host.RULES)


@pytest.mark.parametrize("resolved", [
    {"services": {"n8n": None}}, {"services": {"n8n": {"ports": [{"host_ip": "x"}], "volumes": [{}]}}}, {"services": 7},
    {"services": {"n8n": {"environment": ["A=b"], "volumes_from": ["n8n"]}}},
])
def test_a_file_of_another_shape_raises_nothing(resolved: dict[str, Any]) -> None:
    assert {one.id for one in judged(Safe(), resolved)} == set(preflight_host.RULES)


class Silent(Engine):
    def get(self, path: str, **query: Any) -> Any:
        raise EngineError("the Docker Engine does not answer")


def test_gathering_without_docker_or_root_raises_nothing() -> None:
    world = preflight_host.gather(DESCRIPTION, RESOLVED, Silent())
    assert {"containers", "networks"} <= set(world.errors)
    found = preflight_host.judge(world, DESCRIPTION, RESOLVED, {"public_ports": []})
    assert {one.id for one in found if one.status == UNKNOWN} >= UNREAD["containers"]


def test_what_docker_is_about_to_start_is_not_root_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    starting = network.Process("runc:[2:INIT]", True, "a" * 64)
    seen = iter([starting, starting, starting._replace(name="node", root=False)])
    monkeypatch.setattr(network.os, "listdir", lambda _path: ["7"])
    monkeypatch.setattr(network, "_process", lambda _pid: next(seen))
    assert network.roots(network.read_processes()) == {}
    # One that only calls itself so is found out.
    monkeypatch.setattr(network, "_process", lambda _pid: starting)
    assert network.roots(network.read_processes(0.1)) == {"a" * 64: {"runc:[2:INIT]"}}


def test_no_value_of_an_environment_is_kept() -> None:
    kept = inspected({"Config": {"Env": ["DB_PASSWORD=hunter2"]}})
    assert "hunter2" not in repr(kept)
    assert "hunter2" not in repr(judged(Safe(containers=[kept]), {
        **RESOLVED, "services": {"n8n": {"environment": {"DB_PASSWORD": "hunter3"}}}}))


def test_networks_as_the_engine_shows_them() -> None:
    shown = {"Name": "flat", "Id": "0123456789abcdef", "Driver": "bridge",
             "Options": {"com.docker.network.bridge.gateway_mode_ipv4": "routed"},
             "IPAM": {"Config": [{"Subnet": "172.20.0.0/16", "Gateway": "172.20.0.1"}, {"Subnet": "fd00::/64"}]}}
    assert containers.network(shown) == containers.Network(
        "flat", "br-0123456789ab", ("172.20.0.0/16", "fd00::/64"), ("172.20.0.1",), ("routed",))
    host = containers.network({"Name": "host", "Id": "1", "Driver": "host", "Options": None, "IPAM": {"Config": None}})
    assert (host.interface, host.subnets) == ("", ())


@pytest.mark.parametrize(("command", "expected"), [
    ("dockerd -H fd:// --containerd=x", ["fd://"]),
    ("dockerd --host tcp://0.0.0.0:2375", ["tcp://0.0.0.0:2375"]),
    ("dockerd --host=tcp://1 -H=tcp://2 -Htcp://3", ["tcp://1", "tcp://2", "tcp://3"]),
])
def test_where_dockerd_was_told_to_listen(command: str, expected: list[str]) -> None:
    assert list(system.hosts_of(command.split())) == expected


@pytest.mark.parametrize(("running", "installed", "expected"), [
    ("6.8.0-1013-oracle", ["6.8.0-1013-oracle", "6.8.0-1014-oracle"], "6.8.0-1014-oracle"),
    ("6.8.0-1013-oracle", ["6.8.0-1009-oracle", "6.9.0-1-generic"], "6.8.0-1013-oracle"),
    ("6.8.0-9-oracle", ["6.8.0-10-oracle"], "6.8.0-10-oracle"),
    ("6.12.48+deb13-amd64", ["6.12.57+deb13-amd64"], "6.12.57+deb13-amd64"),
    ("6.1", [], "6.1"),
])
def test_the_newest_kernel(running: str, installed: list[str], expected: str) -> None:
    assert system.newest_kernel(running, installed) == expected


def test_sshds_files_are_read_as_sshd_reads_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    main, drop_ins = tmp_path / "sshd_config", tmp_path / "sshd_config.d"
    drop_ins.mkdir()
    main.write_text(f"# no\nInclude {drop_ins}/*.conf\nPasswordAuthentication no\n"
                    "Match User deploy,!x Address 10.0.0.0/8\n  PasswordAuthentication yes\n")
    (drop_ins / "60-own.conf").write_text("passwordauthentication=no\n")
    (drop_ins / "50-cloud-init.conf").write_text("PasswordAuthentication yes\n")
    monkeypatch.setattr(sshd, "MAIN", str(main))
    lines = list(sshd.read_lines(str(main)))
    assert [(Path(line.file).name, line.number) for line in lines if line.keyword == "passwordauthentication"] == [
        ("50-cloud-init.conf", 1), ("60-own.conf", 1), ("sshd_config", 3), ("sshd_config", 5)]
    assert sshd.callers("ubuntu", lines) == [OWN, sshd.Caller("root", firewall.NEUTRAL[4]),
                                             sshd.Caller("deploy", "10.0.0.1")]
    assert sshd.callers("ubuntu", lines[:2]) == [OWN]
