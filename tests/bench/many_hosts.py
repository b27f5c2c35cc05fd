"""verify.yml for one host and for twenty. The hosts are light: containers that answer SSH and have no Docker running;
what is measured is the way there and back, and the judging, rather than twenty engines on one machine."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import ansible_runner
import docker
from table import Row, say

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(CHECKOUT / "tests" / "stand_in"))
HOSTS = 20
REPEATS = 3


def measure(_ssh_config: Path) -> list[Row]:
    say(f"verify.yml for one light host, and for {HOSTS} …")
    with tempfile.TemporaryDirectory() as place, light_hosts(Path(place)) as inventory:
        one = statistics.median(verify(inventory, "light-01", 1) for _ in range(REPEATS))
        all_of_them = statistics.median(verify(inventory, "all", HOSTS) for _ in range(REPEATS))
    return [Row("verify, one light host", one),
            Row(f"verify, {HOSTS} light hosts", all_of_them, f"{all_of_them / one:.1f} times one", "<= 6 times one")]


@contextlib.contextmanager
def light_hosts(place: Path) -> Iterator[Path]:
    """An inventory of hosts that are removed afterwards."""
    from images import host_image

    client = docker.from_env()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(place / "key")], check=True)
    containers = []
    try:
        for number in range(1, HOSTS + 1):
            container = client.containers.create(
                host_image(), name=f"coinpilot-bench-light-{number:02d}", hostname=f"light-{number:02d}",
                entrypoint=["sh", "-c", "tr -d - </proc/sys/kernel/random/uuid >/etc/machine-id && ssh-keygen -A && "
                            "mkdir -p /run/sshd && exec /usr/sbin/sshd -D"])
            containers.append(container)
            container.put_archive("/home/ubuntu", authorized_keys((place / "key.pub").read_bytes()))
            container.start()
            container.reload()
        addresses = {container.name.removeprefix("coinpilot-bench-"):
                     next(iter(container.attrs["NetworkSettings"]["Networks"].values()))["IPAddress"]
                     for container in containers}
        yield write_inventory(place, addresses)
    finally:
        for container in containers:
            container.remove(force=True, v=True)


def authorized_keys(public_key: bytes) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as archive:
        for name, kind, mode, data in ((".ssh", tarfile.DIRTYPE, 0o700, b""),
                                       (".ssh/authorized_keys", tarfile.REGTYPE, 0o600, public_key)):
            member = tarfile.TarInfo(name)
            member.type, member.mode, member.size, member.uid, member.gid = kind, mode, len(data), 1000, 1000
            archive.addfile(member, io.BytesIO(data))
    return held.getvalue()


def write_inventory(place: Path, addresses: dict[str, str]) -> Path:
    inventory = place / "inventory"
    shutil.copytree(CHECKOUT / "molecule" / "default" / "inventory" / "group_vars", inventory / "group_vars")
    options = f"-o UserKnownHostsFile={place}/known_hosts -o StrictHostKeyChecking=accept-new"
    common = {"ansible_user": "ubuntu", "ansible_ssh_private_key_file": str(place / "key"),
              "ansible_ssh_common_args": options, "test_checkout": str(CHECKOUT), "test_stand_in_name": "none"}
    hosts = {name: {**common, "ansible_host": address} for name, address in addresses.items()}
    (inventory / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts}}))
    return inventory


def verify(inventory: Path, limit: str, hosts: int) -> float:
    with tempfile.TemporaryDirectory() as artifacts:
        begun = time.monotonic()
        result = ansible_runner.run(
            private_data_dir=artifacts, project_dir=str(CHECKOUT), playbook=str(CHECKOUT / "playbooks" / "verify.yml"),
            inventory=str(inventory), extravars={"verify_report_directory": artifacts}, limit=limit, quiet=True,
            envvars={"ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
                     "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"})
        seconds = time.monotonic() - begun
        # With no Docker nothing passes there; what counts is that every host was looked at.
        stats = result.stats or {}
        judged = sum(name.startswith("light-") for name in stats.get("ok", {}))
        if judged != hosts or stats.get("dark"):
            raise SystemExit(f"{judged} of {hosts} light hosts were looked at:\n{result.stdout.read()[-4000:]}")
        return seconds
