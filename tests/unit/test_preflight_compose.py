"""Compose projects, resolved by a real `docker compose`: one service a case, one defect (or none) a service."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Sequence

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils import preflight_compose
from ansible_collections.coinpilot.ops.plugins.module_utils.findings import FAIL, PASS, UNKNOWN, WARN, Finding

SAFE: Dict[str, Any] = {"image": "example.com/app:1.2.3", "cap_drop": ["ALL"],
                        "security_opt": ["no-new-privileges:true"]}
ENV = "DB_PASSWORD=kq8Zx2vB9nM4\nHOST_IP=127.0.0.1\nTAG=7.4.2\nRED=x\n"


class Case(NamedTuple):
    """What a service has beyond SAFE (None takes away), and the rules that must refuse it; ? before one: a warning."""

    service: Dict[str, Any]
    rules: Sequence[str] = ()
    # Other parts of the file: networks, volumes, secrets, configs.
    top: Mapping[str, Any] = {}


def port(*entries: Any, bad: bool = True) -> Case:
    return Case({"ports": list(entries)}, ["compose-port-public"] if bad else [])


def env(rule: str = "", /, image: str = "example.com/app:1.2.3", **values: Any) -> Case:
    return Case({"environment": values, "image": image}, [rule] if rule else [])


def bind(source: str, *rules: str, target: str = "/mnt", mode: str = "ro") -> Case:
    return Case({"volumes": ["%s:%s:%s" % (source, target, mode)]}, rules)


def volume(name: str, options: Dict[str, str], *rules: str, mode: str = "rw") -> Case:
    return Case({"volumes": ["%s:/mnt:%s" % (name, mode)]}, rules, {"volumes": {name: {"driver_opts": options}}})


def image(reference: str, *rules: str, **more: Any) -> Case:
    return Case({"image": reference, **more}, rules)


def network(name: str, definition: Dict[str, Any], *rules: str) -> Case:
    return Case({"networks": [name]}, rules, {"networks": {name: definition}})


def option(name: str, value: str) -> Dict[str, Any]:
    return {"driver_opts": {"com.docker.network.bridge." + name: value}}


SOCKET, SENSITIVE, WRITABLE = "compose-docker-socket", "compose-mount-sensitive", "compose-mount-writable"
UNPINNED, SECRET, TRUST = "compose-image-unpinned", "compose-secret-literal", "compose-database-trust"
DASHBOARD, N8N, PORT = "compose-dashboard-anonymous", "compose-n8n-setting", "compose-port-public"
POSTGRES, MYSQL, GRAFANA = "postgres:16.4", "mysql:8.4.2", "grafana/grafana:10.0.0"
N8N1, N8N2 = "n8nio/n8n:1.123.17", "docker.n8n.io/n8nio/n8n:2.1.0"

CASES: Dict[str, Case] = {
    "plain": Case({}),
    # Ports
    "port-short": port("8080:80"),
    "port-only": port("80"),
    "port-any": port("0.0.0.0:8081:80"),
    "port-any6": port("[::]:8082:80"),
    "port-private": port("10.0.0.5:8083:80"),
    "port-public": port("203.0.113.10:8084:80"),
    "port-mapped": port("[::ffff:10.0.0.5]:8085:80"),
    "port-range": port("8100-8110:80-90"),
    "port-pool": port("8120-8130:80"),
    "port-udp": port("53:53/udp"),
    "port-long": port({"target": 80, "published": "8086"}),
    "port-long-any": port({"target": 80, "published": "8087", "host_ip": "0.0.0.0"}),
    "port-long-unpublished": port({"target": 80}),
    "port-host-mode": port({"target": 80, "published": "8088", "mode": "host"}),
    "port-unset": port("${NO_SUCH_VARIABLE}:8089:80"),
    "port-default-any": port("${NO_SUCH_VARIABLE:-0.0.0.0}:8090:80"),
    "port-one-of-two": port("127.0.0.1:8091:80", "8092:81"),
    "port-loopback": port("127.0.0.1:8000:80", bad=False),
    "port-loopback-net": port("127.8.9.10:8001:80", bad=False),
    "port-loopback6": port("[::1]:8002:80", bad=False),
    "port-loopback-range": port("127.0.0.1:8010-8020:80-90", bad=False),
    "port-loopback-any": port("127.0.0.1::80", bad=False),
    "port-loopback-long": port({"target": 80, "published": "8003", "host_ip": "127.0.0.1"}, bad=False),
    "port-variable": port("${HOST_IP}:8004:80", bad=False),
    "port-default": port("${NO_SUCH_VARIABLE:-127.0.0.1}:8005:80", bad=False),
    "port-policy": port("80:80", "443:443", "443:443/udp", bad=False),
    "port-expose": Case({"expose": ["8000"]}),
    "port-bound-network": Case({"ports": ["8006:80"], "networks": ["bound"]}, [],
                               {"networks": {"bound": option("host_binding_ipv4", "127.0.0.1")}}),
    "port-bound-one-of-two": Case({"ports": ["8007:80"], "networks": ["bound", "default"]}, [PORT]),
    "port-bound-any": Case({"ports": ["0.0.0.0:8008:80"], "networks": ["bound"]}, [PORT]),
    # Networks
    "net-host": Case({"network_mode": "host"}, ["compose-network-host"]),
    "net-external-host": network("hostnet", {"external": True, "name": "host"}, "compose-network-host"),
    "net-macvlan": network("lan", {"driver": "macvlan"}, "compose-network-host"),
    "net-ipvlan": network("lan2", {"driver": "ipvlan"}, "compose-network-host"),
    "net-build": Case({"build": {"context": ".", "network": "host"}}, ["compose-network-host"]),
    "net-build-entitled": Case({"build": {"context": ".", "entitlements": ["network.host"]}}, ["compose-network-host"]),
    "net-foreign": Case({"network_mode": "container:vpn"}, ["?compose-network-host"]),
    "net-routed": network("routed", option("gateway_mode_ipv4", "routed"), "compose-gateway-mode"),
    "net-unprotected": network("unprotected", option("gateway_mode_ipv6", "nat-unprotected"), "compose-gateway-mode"),
    "net-trusted": network("trusted", option("trusted_host_interfaces", "eth0"), "compose-gateway-mode"),
    "net-nat": network("nat", option("gateway_mode_ipv4", "nat")),
    "net-isolated": network("isolated", {**option("gateway_mode_ipv4", "isolated"), "internal": True}),
    "net-service": Case({"network_mode": "service:plain"}),
    "net-none": Case({"network_mode": "none"}),
    "net-external": network("proxy", {"external": True}),
    # Namespaces
    **{"ns-%s" % key: Case({key: "host"}, ["compose-%s-host" % rule]) for key, rule in (
        ("pid", "pid"), ("ipc", "ipc"), ("userns_mode", "userns"), ("uts", "uts"), ("cgroup", "cgroup"))},
    "ns-pid-foreign": Case({"pid": "container:other"}, ["compose-pid-host"]),
    "ns-ipc-foreign": Case({"ipc": "container:other"}, ["compose-ipc-host"]),
    "ns-ipc-shareable": Case({"ipc": "shareable"}),
    "ns-ipc-service": Case({"ipc": "service:ns-ipc-shareable"}),
    "ns-pid-own": Case({"pid": "container:named-one"}),
    "named": Case({"container_name": "named-one"}),
    "ns-cgroup-private": Case({"cgroup": "private"}),
    # Privileges
    "privileged": Case({"privileged": True}, ["compose-privileged"]),
    "privileged-variable": Case({"privileged": "${NO_SUCH_VARIABLE:-true}"}, ["compose-privileged"]),
    "privileged-start": Case({"post_start": [{"command": ["a"], "privileged": True}]}, ["compose-privileged"]),
    "privileged-stop": Case({"pre_stop": [{"command": ["a"], "privileged": True}]}, ["compose-privileged"]),
    "privileged-before": Case({"pre_start": [{"command": ["a"], "privileged": True}]}, ["compose-privileged"]),
    "privileged-provider": Case({"image": None, "provider": {"type": "sh"}, "cap_drop": None, "security_opt": None},
                                ["compose-privileged"]),
    "privileged-build": Case({"build": {"context": ".", "privileged": True}}, ["compose-privileged"]),
    "privileged-insecure": Case({"build": {"context": ".", "entitlements": ["security.insecure"]}},
                                ["compose-privileged"]),
    "privileged-not": Case({"privileged": False, "post_start": [{"command": ["a"]}]}),
    # The Engine's API
    "socket": bind("/var/run/docker.sock", SOCKET),
    "socket-run": bind("/run/docker.sock", SOCKET),
    "socket-dots": bind("/opt/../var/run/./docker.sock", SOCKET),
    "socket-slashes": bind("/var//run///docker.sock", SOCKET),
    "socket-directory": bind("/var/run", SOCKET),
    "socket-directory2": bind("/run/", SOCKET),
    "socket-rootless": bind("/run/user/1000/docker.sock", SOCKET),
    "socket-rootless-directory": bind("/run/user/1000", SOCKET),
    "socket-containerd": bind("/run/containerd/containerd.sock", SOCKET),
    "socket-podman": bind("/run/podman/podman.sock", SOCKET),
    "socket-crio": bind("/var/run/crio", SOCKET),
    "socket-desktop": bind("/home/someone/.docker/run/docker.sock", SOCKET),
    "socket-elsewhere": bind("/srv/docker.sock", SOCKET),
    "socket-volume": volume("sock", {"type": "none", "o": "bind", "device": "/var/run"}, SOCKET),
    "socket-secret": Case({"secrets": ["sock"]}, [SOCKET], {"secrets": {"sock": {"file": "/var/run/docker.sock"}}}),
    "socket-config": Case({"configs": ["sock"]}, [SOCKET], {"configs": {"sock": {"file": "/run/docker.sock"}}}),
    "socket-api": Case({"use_api_socket": True}, [SOCKET]),
    "socket-env": env(SOCKET, DOCKER_HOST="tcp://proxy:2375"),
    "socket-env-unix": env(SOCKET, DOCKER_HOST="unix:///tmp/x.sock"),
    "socket-env-other": env(SOCKET, TRAEFIK_PROVIDERS_DOCKER_ENDPOINT="tcp://proxy:2375"),
    "socket-command": Case({"command": ["dockerd", "-H", "tcp://0.0.0.0:2375"]}, [SOCKET]),
    "socket-command-text": Case({"command": "dockerd --host=tcp://0.0.0.0:2376"}, [SOCKET]),
    "socket-endpoint": Case({"command": ["--providers.docker.endpoint=tcp://proxy:2375"]}, [SOCKET]),
    "socket-before": Case({"pre_start": [{"command": ["a"], "volumes": ["/run/docker.sock:/s:ro"]}]}, [SOCKET]),
    "socket-pipe": Case({"volumes": [{"type": "npipe", "source": "\\\\.\\pipe\\docker_engine", "target": "/p"}]},
                        [SOCKET]),
    "socket-not": bind("/srv/app/docker", ),
    # Mounts
    "mount-root": bind("/", SENSITIVE, SOCKET),
    "mount-etc": bind("/etc", SENSITIVE),
    "mount-shadow": bind("/etc/shadow", SENSITIVE),
    "mount-etc-dots": bind("/srv/x/../../etc", SENSITIVE),
    "mount-root-home": bind("/root", SENSITIVE),
    "mount-home": bind("/home", SENSITIVE),
    "mount-someone": bind("/home/someone", SENSITIVE),
    "mount-ssh": bind("/home/someone/.ssh", SENSITIVE),
    "mount-tilde": bind("~/.ssh", SENSITIVE),
    "mount-aws": bind("/srv/x/.aws/credentials", SENSITIVE),
    "mount-key": bind("/srv/keys/id_ed25519", SENSITIVE),
    "mount-proc": bind("/proc", SENSITIVE),
    "mount-sys": bind("/sys/fs/cgroup", SENSITIVE),
    "mount-dev": bind("/dev", SENSITIVE),
    "mount-boot": bind("/boot", SENSITIVE),
    "mount-docker": bind("/var/lib/docker/volumes", SENSITIVE),
    "mount-lib": bind("/var/lib", SENSITIVE),
    "mount-modules": bind("/lib/modules", SENSITIVE),
    "mount-cron": bind("/etc/cron.d", SENSITIVE, mode="rw"),
    "mount-dbus": bind("/run/dbus/system_bus_socket", SENSITIVE),
    "mount-settings": bind("./.env", SENSITIVE),
    "mount-settings-all": bind("./", SENSITIVE, mode="rw"),
    "mount-settings-other": bind("./prod/.env.production", SENSITIVE),
    "mount-variable": bind("${NO_SUCH_VARIABLE:-/etc}", SENSITIVE),
    "mount-link": bind("./leads-to-etc", SENSITIVE),
    "mount-log": bind("/var/log", "?" + SENSITIVE),
    "mount-volume": volume("etc", {"type": "none", "o": "bind", "device": "/etc"}, SENSITIVE),
    "mount-volume-ro": volume("etc2", {"type": "none", "o": "bind,ro", "device": "/root/x"}, SENSITIVE),
    "mount-overlay": volume("lay", {"type": "overlay", "device": "overlay",
                                    "o": "lowerdir=/srv/a,upperdir=/etc,workdir=/srv/w"}, SENSITIVE),
    "mount-disk": volume("disk", {"type": "ext4", "device": "/dev/sda1"}, SENSITIVE),
    "mount-secret": Case({"secrets": ["shadow"]}, [SENSITIVE], {"secrets": {"shadow": {"file": "/etc/shadow"}}}),
    "mount-secret-env": Case({"secrets": ["all"]}, [SENSITIVE], {"secrets": {"all": {"file": ".env"}}}),
    "mount-secret-own": Case({"secrets": ["own"]}, [], {"secrets": {"own": {"file": "./secrets/db"}}}),
    "mount-secret-etc": Case({"secrets": ["etc"]}, [], {"secrets": {"etc": {"file": "/etc/shop/db_password"}}}),
    "mount-config-own": Case({"configs": ["own"]}, [], {"configs": {"own": {"file": "./nginx.conf"}}}),
    "mount-written": bind("./data", WRITABLE, mode="rw"),
    "mount-written-srv": bind("/srv/data", WRITABLE, mode="rw"),
    "mount-written-selinux": bind("/srv/data", WRITABLE, mode="z"),
    "mount-written-long": Case({"volumes": [{"type": "bind", "source": "/srv/d", "target": "/d"}]}, [WRITABLE]),
    "mount-written-volume": volume("data", {"type": "none", "o": "bind", "device": "/srv/data"}, WRITABLE),
    "mount-written-time": bind("/etc/localtime", WRITABLE, mode="rw"),
    "mount-propagated": Case({"volumes": [{"type": "bind", "source": "/srv/d", "target": "/d", "read_only": True,
                                           "bind": {"propagation": "rshared"}}]}, [WRITABLE]),
    "mount-from-foreign": Case({"volumes_from": ["container:other:ro"]}, [WRITABLE]),
    "mount-from-service": Case({"volumes_from": ["plain"]}),
    "mount-time": bind("/etc/localtime"),
    "mount-certificates": bind("/etc/ssl/certs"),
    "mount-letsencrypt": bind("/etc/letsencrypt"),
    "mount-own": bind("./monitoring/prometheus"),
    "mount-srv": bind("/srv/static"),
    "mount-sql": Case({"volumes": [{"type": "bind", "source": "/opt/app/init.sql", "target": "/i.sql",
                                    "read_only": True,
                                    "bind": {"create_host_path": False}}]}),
    "mount-named": Case({"volumes": ["named:/data"]}, [], {"volumes": {"named": {}}}),
    "mount-anonymous": Case({"volumes": ["/data"]}),
    "mount-tmpfs": Case({"tmpfs": ["/tmp"], "volumes": [{"type": "tmpfs", "target": "/run/x"}]}),
    "mount-tmpfs-volume": volume("tm", {"type": "tmpfs", "device": "tmpfs", "o": "size=1m"}),
    "mount-nfs": volume("nfs", {"type": "nfs", "o": "addr=10.0.0.2,rw", "device": ":/export"}),
    "mount-volume-read": volume("conf", {"type": "none", "o": "bind", "device": "/srv/conf"}, mode="ro"),
    "mount-example": bind("./.env.example"),
    # Devices
    "device": Case({"devices": ["/dev/sda:/dev/sda"]}, ["compose-device"]),
    "device-mem": Case({"devices": ["/dev/mem"]}, ["compose-device"]),
    "device-rule": Case({"device_cgroup_rules": ["c 1:1 rwm"]}, ["compose-device"]),
    "device-null": Case({"devices": ["/dev/null:/dev/x"]}),
    "device-gpu": Case({"gpus": "all"}, ["?compose-device"]),
    # Capabilities
    **{"cap-" + name.lower().replace("_", "-") + str(number): Case({"cap_add": [name]}, ["compose-capability"])
       for number, name in enumerate(("ALL", "all", "SYS_ADMIN", "CAP_SYS_ADMIN", "cap_sys_admin", "sys_admin",
                                      "NET_ADMIN",
                                      "SYS_PTRACE", "SYS_MODULE", "DAC_READ_SEARCH", "SYS_RAWIO", "BPF", "PERFMON",
                                      "SYS_BOOT", "SYS_TIME", "SYSLOG", "NET_RAW", "MKNOD", "MAC_ADMIN"))},
    "cap-harmless": Case({"cap_add": ["CHOWN", "CAP_SETUID", "setgid", "DAC_OVERRIDE", "FOWNER", "NET_BIND_SERVICE",
                                      "KILL"]}),
    "drop-none": Case({"cap_drop": None}, ["compose-cap-drop"]),
    "drop-some": Case({"cap_drop": ["NET_RAW", "MKNOD"]}, ["compose-cap-drop"]),
    "drop-lower": Case({"cap_drop": ["all"]}),
    # security_opt
    "nnp-none": Case({"security_opt": None}, ["compose-no-new-privileges"]),
    "nnp-off": Case({"security_opt": ["no-new-privileges:false"]}, ["compose-no-new-privileges"]),
    "nnp-last": Case({"security_opt": ["no-new-privileges:true", "no-new-privileges:false"]},
                     ["compose-no-new-privileges"]),
    "nnp-yes": Case({"security_opt": ["no-new-privileges:yes"]}, ["compose-no-new-privileges"]),
    "nnp-bare": Case({"security_opt": ["no-new-privileges"]}),
    "nnp-equals": Case({"security_opt": ["no-new-privileges=true"]}),
    **{"unconfined-%d" % number: Case({"security_opt": ["no-new-privileges:true", text]}, ["compose-unconfined"])
       for number, text in enumerate(("seccomp:unconfined", "seccomp=unconfined", "apparmor:unconfined",
                                      "apparmor=unconfined", "systempaths=unconfined", "label:disable",
                                      "label=disable", "writable-cgroups=true", "label=type:spc_t"))},
    "confined": Case({"security_opt": ["no-new-privileges:true", "apparmor=docker-default", "label=level:s0:c1"]}),
    # sysctls
    "sysctl-host": Case({"sysctls": {"kernel.panic": "1"}}, ["compose-sysctl"]),
    "sysctl-list": Case({"sysctls": ["vm.max_map_count=262144"]}, ["compose-sysctl"]),
    "sysctl-own": Case({"sysctls": {"net.core.somaxconn": 1024, "kernel.shmmax": "1", "fs.mqueue.msg_max": 10}}),
    # Users
    **{"user-%d" % number: Case({"user": text}, ["compose-user-root"])
       for number, text in enumerate(("root", "0", "0:0", "0:1000", "root:root", "00", ":1000"))},
    "user-hook": Case({"post_start": [{"command": ["a"], "user": "root"}]}, ["compose-user-root"]),
    "user-named": Case({"user": "postgres"}),
    "user-number": Case({"user": "1000:0"}),
    # Images
    "image-untagged": image("redis", UNPINNED),
    "image-registry-port": image("registry.example.com:5000/team/app", UNPINNED),
    "image-latest": image("redis:latest", UNPINNED),
    "image-latest-variant": image("example.com/db:latest-pg15", UNPINNED),
    "image-stable": image("nginx:stable", UNPINNED),
    "image-stable-base": image("nginx:stable-alpine3.19", UNPINNED),
    "image-base": image("nginx:alpine", UNPINNED),
    "image-empty": image("redis:${NO_SUCH_VARIABLE}", UNPINNED),
    "image-default": image("redis:${NO_SUCH_VARIABLE:-latest}", UNPINNED),
    "image-built-pulled": image("app:dev", UNPINNED, build=".", pull_policy="always"),
    "image-built-daily": image("app2:dev", UNPINNED, build=".", pull_policy="daily"),
    "image-mounted": Case({"volumes": [{"type": "image", "source": "data:latest", "target": "/d"}]}, [UNPINNED]),
    "image-major": image("redis:7", "?" + UNPINNED),
    "image-major-variant": image("redis:7-alpine", "?" + UNPINNED),
    "image-version": image("example.com/db:2.24.0-pg15"),
    "image-variable": image("redis:${TAG}"),
    "image-digest": image("redis@sha256:" + "a" * 64),
    "image-latest-digest": image("redis:latest@sha256:" + "b" * 64),
    "image-port-version": image("localhost:5000/app:1.2"),
    "image-release": image("minio/minio:RELEASE.2024-01-01T00-00-00Z",
                           environment={"MINIO_ROOT_PASSWORD": "${DB_PASSWORD}"}),
    "image-built": image("app3:latest", build="."),
    "image-built-elsewhere": image("app3:latest"),
    "image-built-only": Case({"image": None, "build": "."}),
    "image-never-pulled": image("app4:dev", pull_policy="never"),
    # Secrets
    "secret": env(SECRET, DB_PASSWORD="hunter2"),
    "secret-default": env(SECRET, DB_PASSWORD="${NO_SUCH_VARIABLE:-hunter2}"),
    "secret-default-set": env(SECRET, DB_PASSWORD="${DB_PASSWORD:-hunter2}"),
    "secret-default-dash": env(SECRET, API_TOKEN="${DB_PASSWORD-a1b2c3d4e5}"),
    "secret-nested": env(SECRET, API_TOKEN="${DB_PASSWORD:-${RED:-a1b2c3d4e5}}"),
    "secret-url": env(SECRET, DATABASE_URL="postgres://user:hunter2@db:5432/x"),
    "secret-url-default": env(SECRET, DATABASE_URL="postgres://user:${NO_SUCH_VARIABLE:-hunter2}@db/x"),
    "secret-go": env(SECRET, MYSQL_DSN="app:hunter2@tcp(db:3306)/app"),
    "secret-told": env(IS_SET="${DB_PASSWORD:+set}", GO="app:${DB_PASSWORD}@tcp(db:3306)/app"),
    "secret-dollar": env(SECRET, DB_PASSWORD="$$ecret1234"),
    "secret-key": env(SECRET, APP_KEY="base64:3f9aK2mX8qLz7Rt5Vw1Yb6Nc4Pd0"),
    "secret-github": env(SECRET, SOMETHING="ghp_" + "a1B2" * 9),
    "secret-discord": env(SECRET, HOOK="https://discord.com/api/webhooks/123456789012345678/abcDEF-ghiJKL_mno"),
    "secret-list": Case({"environment": ["SECRET_KEY=abcdef123456"]}, [SECRET]),
    "secret-command": Case({"command": ["redis-server", "--requirepass", "hunter2"]}, [SECRET]),
    "secret-command-text": Case({"command": "app --db-password=hunter2"}, [SECRET]),
    "secret-entrypoint": Case({"entrypoint": ["sh", "-c", "PGPASSWORD=hunter2 psql"]}, [SECRET]),
    "secret-health": Case({"healthcheck": {"test": ["CMD", "redis-cli", "-a", "hunter2", "ping"]}}, [SECRET]),
    "secret-health-mysql": Case({"healthcheck": {"test": "mysqladmin ping -phunter2"}}, [SECRET]),
    "secret-label": Case({"labels": {"com.example.password": "hunter2"}}, [SECRET]),
    "secret-arg": Case({"build": {"context": ".", "args": {"NPM_TOKEN": "a1b2c3d4e5f6"}}}, [SECRET]),
    "secret-hook": Case({"post_start": [{"command": ["a"], "environment": ["X_SECRET=abc123def"]}]}, [SECRET]),
    "secret-logging": Case({"logging": {"driver": "splunk", "options": {"splunk-token": "abc-123-def"}}}, [SECRET]),
    "secret-config": Case({"configs": ["lit"]}, [SECRET],
                          {"configs": {"lit": {"content": "user: x\npassword: hunter2\n"}}}),
    "secret-config-name": Case({"configs": ["db_password"]}, [SECRET],
                               {"configs": {"db_password": {"content": "hunter2"}}}),
    "secret-cifs": volume("cifs", {"type": "cifs", "o": "addr=10.0.0.2,username=u,password=hunter2",
                                   "device": "//10.0.0.2/share"}, SECRET),
    "secret-java": env(SECRET, JAVA_OPTS="-Xmx1g -Ddb.password=hunter2"),
    "secret-ado": env(SECRET, ConnectionStrings__Default="Server=db;User Id=sa;Password=hunter2;"),
    "secret-camel": env(SECRET, clientSecret="abc123def456"),
    "secret-from-env": env(DB_PASSWORD="${DB_PASSWORD}", API_KEY="$DB_PASSWORD",
                           S_SECRET="${DB_PASSWORD:?set it in .env}"),
    "secret-url-from-env": env(DATABASE_URL="postgresql+asyncpg://postgres:${DB_PASSWORD}@db:5432/x",
                               REDIS_URL="redis://redis:6379/0", N8N_URL="${N8N_URL:-http://n8n:5678}"),
    "secret-empty-default": env(OPTIONAL_TOKEN="${NO_SUCH_VARIABLE:-}"),
    "secret-passed": Case({"environment": ["DB_PASSWORD"]}),
    "secret-file": env(DB_PASSWORD_FILE="/run/secrets/db", API_TOKEN="/run/secrets/token", SSL_KEY="/certs/key.pem"),
    "secret-about": env(TOKEN_LIMIT=4096, PASSWORD_MIN_LENGTH="12", SECRET_NAME="db", MAX_TOKENS="8192",
                        TOKEN_URL="https://auth.example.com/token", API_KEY_HEADER="x-api-key", TOKEN_TTL="3600",
                        JWT_TOKEN_EXPIRY="1h", AWS_ACCESS_KEY_ID="none-of-yours", PASSWORD_RESET_ENABLED="true",
                        RANDOM_ROOT_PASSWORD="yes", STRIPE_PUBLISHABLE_KEY="pk_live_abcdefghijklmnop1234",
                        VAPID_PUBLIC_KEY="BNcRdreALRFXTkOOUHK1EtK2wtaz5Ry4", PRIMARY_KEY="id", TOKEN_SYMBOL="BTC",
                        CORS_ALLOW_CREDENTIALS="true", PWD="/app", TOKENIZERS_PARALLELISM="false", COMPASS="north"),
    "secret-shell": Case({"command": ["sh", "-c", "redis-server --requirepass $$REDIS_PASSWORD"],
                          "healthcheck": {"test": "mysqladmin ping -p$$MYSQL_ROOT_PASSWORD"}}),
    "secret-command-env": Case({"command": ["redis-server", "--requirepass", "${DB_PASSWORD}"]}),
    "secret-command-file": Case({"command": ["app", "--token-file=/run/secrets/t", "--password-file",
                                             "/run/secrets/p"]}),
    "secret-code": Case({"healthcheck": {"test": ["CMD", "python", "-c",
                                                  "token = os.environ['TOKEN']; go(token=token())"]}}),
    "secret-hash": Case({"labels": {"traefik.http.middlewares.a.basicauth.users": "u:$$2y$$05$$abcdefghijklmn"}}),
    "secret-environment": Case({"secrets": ["from_env"]}, [],
                               {"secrets": {"from_env": {"environment": "DB_PASSWORD"}}}),
    # Databases
    "db-trust": env(TRUST, image=POSTGRES, POSTGRES_HOST_AUTH_METHOD="trust"),
    "db-initdb": env(TRUST, image=POSTGRES, POSTGRES_PASSWORD="${DB_PASSWORD}", POSTGRES_INITDB_ARGS="--auth=trust"),
    "db-none": env("?" + TRUST, image=POSTGRES),
    "db-empty": env(TRUST, image="timescale/timescaledb:2.24.0-pg15", POSTGRES_PASSWORD=""),
    "db-unset": env(TRUST, image=POSTGRES, POSTGRES_PASSWORD="${NO_SUCH_VARIABLE}"),
    "db-mysql-empty": env(TRUST, image=MYSQL, MYSQL_ALLOW_EMPTY_PASSWORD="yes"),
    "db-mysql-empty-no": env(TRUST, image=MYSQL, MYSQL_ALLOW_EMPTY_PASSWORD="no"),
    "db-mariadb-empty": env(TRUST, image="mariadb:11.4.2", MARIADB_ALLOW_EMPTY_ROOT_PASSWORD="1"),
    "db-mysql-none": env("?" + TRUST, image=MYSQL),
    "db-mysql-blank": env(TRUST, image=MYSQL, MYSQL_ROOT_PASSWORD="${NO_SUCH_VARIABLE}"),
    "db-redis": Case({"image": "redis:7.4.0", "command": "redis-server --protected-mode no"}, [TRUST]),
    "db-mongo": env(TRUST, image="mongo:7.0.12"),
    "db-elastic": Case({"environment": {"xpack.security.enabled": "false"}}, [TRUST]),
    "db-rabbit": Case({"image": "rabbitmq:3.13.1", "environment": {
        "RABBITMQ_DEFAULT_PASS": "${NO_SUCH_VARIABLE:-guest}"}}, [TRUST, SECRET]),
    "db-neo4j": env(TRUST, image="neo4j:5.20.0", NEO4J_AUTH="none"),
    "db-bitnami": env(TRUST, image="bitnami/redis:7.2.4", ALLOW_EMPTY_PASSWORD="yes"),
    "db-cockroach": Case({"image": "cockroachdb/cockroach:v24.1.0", "command": "start --insecure"}, [TRUST]),
    "db-hba": Case({"image": "example.com/pg:1.2.3", "configs": ["hba"]}, [TRUST],
                   {"configs": {"hba": {"content": "# all\nhost all all 0.0.0.0/0 trust\n"}}}),
    "db-hba-command": Case({"command": ["sh", "-c", "echo 'host all all all trust' >> pg_hba.conf"]}, [TRUST]),
    "db-redis-config": Case({"configs": ["redis"]}, [TRUST],
                            {"configs": {"redis": {"content": "protected-mode no\n"}}}),
    "db-elastic-old": env(TRUST, image="elasticsearch:7.17.10"),
    "db-elastic-new": env(image="elasticsearch:8.14.1"),
    "db-influx-old": env(TRUST, image="influxdb:1.8.10"),
    "db-ok": env(image=POSTGRES, POSTGRES_PASSWORD="${DB_PASSWORD}", POSTGRES_HOST_AUTH_METHOD="scram-sha-256"),
    "db-file": env(image=POSTGRES, POSTGRES_PASSWORD_FILE="/run/secrets/db"),
    "db-client": Case({"image": POSTGRES, "command": ["pg_dump", "-h", "db"]}),
    "db-redis-ok": Case({"image": "redis:8.4.0-alpine", "command": ["redis-server", "--appendonly", "yes"]}),
    "db-mysql-ok": env(image=MYSQL, MYSQL_ROOT_PASSWORD="${DB_PASSWORD}"),
    "db-mysql-random": env(image=MYSQL, MYSQL_RANDOM_ROOT_PASSWORD="yes"),
    "db-mongo-ok": env(image="mongo:7.0.12", MONGO_INITDB_ROOT_USERNAME="root",
                       MONGO_INITDB_ROOT_PASSWORD="${DB_PASSWORD}"),
    "db-exporter": env(image="prometheuscommunity/postgres-exporter:v0.15.0"),
    # Dashboards
    "dash-anonymous": env(DASHBOARD, image=GRAFANA, GF_SECURITY_ADMIN_PASSWORD="${DB_PASSWORD}",
                          GF_AUTH_ANONYMOUS_ENABLED="True"),
    "dash-sign-up": env(DASHBOARD, image=GRAFANA, GF_SECURITY_ADMIN_PASSWORD="${DB_PASSWORD}",
                        GF_USERS_ALLOW_SIGN_UP="true"),
    "dash-none": env(DASHBOARD, image=GRAFANA),
    "dash-unset": env(DASHBOARD, image=GRAFANA, GF_SECURITY_ADMIN_PASSWORD="${NO_SUCH_VARIABLE}"),
    "dash-mongo": env(DASHBOARD, image="mongo-express:1.0.2"),
    "dash-pgadmin": env(DASHBOARD, image="dpage/pgadmin4:8.9", PGADMIN_CONFIG_SERVER_MODE="False"),
    "dash-traefik": Case({"image": "traefik:v3.1.0", "command": ["--api.insecure=true"]}, [DASHBOARD]),
    "dash-jupyter": Case({"command": ["start-notebook.sh", "--NotebookApp.token=''"]}, [DASHBOARD]),
    "dash-prometheus-admin": Case({"image": "prom/prometheus:v2.45.0", "command": ["--web.enable-admin-api"]},
                                  [DASHBOARD]),
    "dash-prometheus-reload": Case({"image": "prom/prometheus:v2.45.0", "command": ["--web.enable-lifecycle"]},
                                   ["?" + DASHBOARD]),
    "dash-own-file": Case({"image": GRAFANA, "volumes": ["./grafana.ini:/etc/grafana/grafana.ini:ro"]},
                          ["?" + DASHBOARD]),
    "dash-argument": Case({"image": GRAFANA, "command": ["cfg:auth.anonymous.enabled=true"], "environment": {
        "GF_SECURITY_ADMIN_PASSWORD": "${DB_PASSWORD}"}}, [DASHBOARD]),
    "dash-config": Case({"configs": ["ini"]}, [DASHBOARD],
                        {"configs": {"ini": {"content": "[auth.anonymous]\n; open\nenabled = true\n"}}}),
    "dash-pgweb": env(DASHBOARD, image="sosedoff/pgweb:0.15.0"),
    "dash-ok": env(image=GRAFANA, GF_SECURITY_ADMIN_PASSWORD="${DB_PASSWORD}", GF_AUTH_ANONYMOUS_ENABLED="false",
                   GF_USERS_ALLOW_SIGN_UP="false"),
    "dash-file": env(image=GRAFANA, GF_SECURITY_ADMIN_PASSWORD__FILE="/run/secrets/grafana"),
    "dash-renderer": env(image="grafana/grafana-image-renderer:3.10.0"),
    # n8n
    "n8n-none": env(N8N, image=N8N1),
    "n8n-upper": env(N8N, image=N8N1, N8N_BLOCK_ENV_ACCESS_IN_NODE="True"),
    "n8n-one": env(N8N, image=N8N1, N8N_BLOCK_ENV_ACCESS_IN_NODE="1"),
    "n8n-false": env(N8N, image=N8N1, N8N_BLOCK_ENV_ACCESS_IN_NODE="false"),
    "n8n-variable": env(N8N, image=N8N1, N8N_BLOCK_ENV_ACCESS_IN_NODE="${NO_SUCH_VARIABLE}"),
    "n8n2-false": env(N8N, image=N8N2, N8N_BLOCK_ENV_ACCESS_IN_NODE="false"),
    "n8n-digest": env(N8N, image="n8nio/n8n@sha256:" + "c" * 64),
    "n8n-users": env(N8N, image=N8N1, N8N_BLOCK_ENV_ACCESS_IN_NODE="true", N8N_USER_MANAGEMENT_DISABLED="true"),
    "n8n-builtin": env(N8N, image=N8N1, N8N_BLOCK_ENV_ACCESS_IN_NODE="true", NODE_FUNCTION_ALLOW_BUILTIN="*"),
    "n8n-built": Case({"build": ".", "command": ["n8n", "worker"]}, [N8N]),
    "n8n-basic": env("?" + N8N, image=N8N1, N8N_BLOCK_ENV_ACCESS_IN_NODE="true", N8N_BASIC_AUTH_ACTIVE="true"),
    "n8n-elsewhere": env("?" + N8N, N8N_BLOCK_ENV_ACCESS_IN_NODE="true"),
    "n8n-ok": env(image=N8N1, N8N_BLOCK_ENV_ACCESS_IN_NODE="true"),
    "n8n-boolean": Case({"image": N8N1, "environment": {"N8N_BLOCK_ENV_ACCESS_IN_NODE": True}}),
    "n8n2-ok": env(image=N8N2),
    "n8n2-upper": env(image=N8N2, N8N_BLOCK_ENV_ACCESS_IN_NODE="False"),
    "n8n-caller": env(N8N_URL="http://n8n:5678", N8N_WEBHOOK_SECRET="${DB_PASSWORD}", N8N_HOST="n8n"),
}


def project() -> Dict[str, Any]:
    """All cases in one file, so that Compose is asked once."""
    whole: Dict[str, Any] = {"name": "cases", "services": {}}
    for name, case in CASES.items():
        service = {**SAFE, **case.service}
        whole["services"][name] = {key: value for key, value in service.items() if value is not None}
        for section, entries in case.top.items():
            # Two cases may speak of the same name; the service says which it means.
            renamed = {"%s-%s" % (name, key) if section in ("secrets", "configs") else key: value
                       for key, value in entries.items()}
            whole.setdefault(section, {}).update(renamed)
            if section in ("secrets", "configs"):
                whole["services"][name][section] = list(renamed)
    return whole


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("project")
    (path / "compose.json").write_text(json.dumps(project(), indent=1))
    (path / ".env").write_text(ENV)
    (path / "leads-to-etc").symlink_to("/etc")
    return path


@pytest.fixture(scope="module")
def found(directory: Path, compose_home: Path) -> Dict[str, List[Finding]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(compose_home))
        world = preflight_compose.gather([str(directory / "compose.json")], str(directory / ".env"))
    assert world.resolved is not None, world.error
    assert world.raw is not None
    by_service: Dict[str, List[Finding]] = {}
    for finding in preflight_compose.judge(world, {"public_ports": [80, 443]}):
        by_service.setdefault(finding.place.service, []).append(finding)
    return by_service


@pytest.mark.parametrize("name", sorted(CASES))
def test_each_service_is_refused_for_what_is_wrong_with_it(name: str, found: Mapping[str, List[Finding]]) -> None:
    wanted = CASES[name].rules
    judged = found.get(name, [])
    failed = {finding.id for finding in judged if finding.status == FAIL}
    warned = {finding.id for finding in judged if finding.status == WARN}
    assert failed == {rule for rule in wanted if not rule.startswith("?")}
    assert warned == {rule[1:] for rule in wanted if rule.startswith("?")}
    assert not [finding for finding in judged if finding.status == UNKNOWN]


def test_a_job_is_judged_as_a_service_is(compose_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(compose_home))
    job = {**SAFE, "image": "job", "privileged": True, "triggers": {"manual": True},
           "environment": {"DB_PASSWORD": "hunter2"}}
    (tmp_path / "c.json").write_text(json.dumps({"jobs": {"nightly": job}}, indent=1))
    world = preflight_compose.gather([str(tmp_path / "c.json")], str(tmp_path / ".env"))
    failed = [each for each in preflight_compose.judge(world, {}) if each.status == FAIL]
    assert {each.id for each in failed} == {"compose-privileged", UNPINNED, SECRET}
    assert {each.place.service for each in failed} == {"nightly"}
    assert all(each.place.line for each in failed)


def test_every_finding_of_a_service_has_a_line_within_it(found: Mapping[str, List[Finding]], directory: Path) -> None:
    lines = (directory / "compose.json").read_text().splitlines()
    for name, findings in found.items():
        for finding in findings if name else []:
            assert finding.place.file == str(directory / "compose.json")
            assert finding.place.line
            above = [line for line in lines[:finding.place.line] if line.startswith("  \"")]
            in_service = above[-1].strip().startswith('"%s"' % name)
            # What stands in another part of the file has its line there.
            assert in_service or CASES[name].top


def test_no_value_of_env_or_of_the_file_is_shown(found: Mapping[str, List[Finding]]) -> None:
    shown = json.dumps([finding.as_dict() for findings in found.values() for finding in findings])
    for secret in ("kq8Zx2vB9nM4", "hunter2", "ecret1234", "a1b2c3d4e5", "abc-123-def"):
        assert secret not in shown


def test_what_finds_nothing_has_passed(compose_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(compose_home))
    (tmp_path / "c.json").write_text(json.dumps({"services": {"app": SAFE}}))
    found = preflight_compose.judge(preflight_compose.gather([str(tmp_path / "c.json")], str(tmp_path / ".env")), {})
    assert {finding.status for finding in found} == {PASS}
    assert {finding.id for finding in found} == set(preflight_compose.RULES)
