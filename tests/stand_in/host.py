"""The life of one stand-in host: a container that boots systemd, sshd and a Docker engine of its own."""

from __future__ import annotations

import contextlib
import io
import shutil
import socket
import subprocess
import tarfile
import time
from collections.abc import Callable

import docker
import images
from common import CHECKOUT, Elapsed, StandInError, say
from docker.errors import NotFound
from docker.models.containers import Container

USER = "ubuntu"
PREPARATION = "coinpilot-stand-in-preparation"
BOOT_LIMIT = 120  # seconds
STOP_LIMIT = 60

# What systemd and an engine need beyond Docker's default set. Not `--privileged`: that asks for everything, which
# an engine that itself lacks something (in a VM sandbox, say) cannot give.
CAPABILITIES = [
    "AUDIT_CONTROL",
    "DAC_READ_SEARCH",
    "IPC_LOCK",
    "LEASE",
    "NET_ADMIN",
    "NET_BROADCAST",
    "SYS_ADMIN",
    "SYS_NICE",
    "SYS_PTRACE",
]


class Host:
    """One stand-in host, known by the name of its container."""

    def __init__(self, client: docker.DockerClient, name: str) -> None:
        self.client = client
        self.name = name
        self.volume = f"{name}-docker"
        self.state = CHECKOUT / ".cache" / "stand_in" / name
        self.key = self.state / "id_ed25519"
        self.known_hosts = self.state / "known_hosts"
        self.ssh_config = self.state / "ssh_config"

    # -- commands ----------------------------------------------------------------------------------------------

    def up(self, ssh_port: int, hostname: str) -> None:
        elapsed = Elapsed()
        container = self._find()
        if container is None:
            _require_free(ssh_port)
            say(f"{self.name}: creating the host (SSH on 127.0.0.1:{ssh_port})")
            self._remove_volume()  # one whose host is gone belongs to nothing
            self._copy_engine(images.engine_volume())
            container = self._create(ssh_port, hostname)
        elif _published_port(container) != ssh_port:
            raise StandInError(
                f"{self.name} exists with SSH on port {_published_port(container)}, not {ssh_port}: "
                f"use that port, or remove the host with 'stand_in.py down --name {self.name}'."
            )
        elif container.attrs["Image"] != self.client.images.get(images.host_image()).id:
            say(f"{self.name}: was made from an older host image; 'down' and 'up' renew it")
        if container.status != "running":
            container.start()
        self._wait_until_booted(container)
        self._load_images(container)
        self._give_access(container, ssh_port)
        say(f"{self.name}: ready after {elapsed}; log in with: ssh -F {self.ssh_config} coinpilot")

    def reboot(self) -> None:
        elapsed = Elapsed()
        container = self._existing()
        say(f"{self.name}: rebooting")
        container.restart(timeout=STOP_LIMIT)
        self._wait_until_booted(container)
        self._check_login()
        say(f"{self.name}: back after {elapsed}")

    def down(self) -> None:
        container = self._find()
        if container is not None:
            say(f"{self.name}: removing the host and all its data")
            self._remove_container(container)
        self._remove_volume()
        shutil.rmtree(self.state, ignore_errors=True)

    def prepare_engine(self) -> None:
        """Boot once, let the engine load the images, and keep its volume for new hosts to start from."""
        self.volume = images.engine_volume()
        with images.one_at_a_time():
            if self._find() is not None:  # a run was cut short: its volume is incomplete
                self.down()
            if _exists(self.client, self.volume):
                return
            elapsed = Elapsed()
            say("engine: preparing one with all images, for new hosts to start from (up to 2 min) ...")
            earlier = images.engine_volumes(self.client)
            # Made first and removed last: as long as it is there, the volume is not complete.
            container = self._create(ssh_port=None, hostname=self.name)
            if earlier:  # most of its images are still right
                self._copy_engine(earlier[0])
            container.start()
            self._wait_until_booted(container)
            self._load_images(container)
            self._drop_superseded_images(container)
            container.stop(timeout=STOP_LIMIT)
            self._remove_container(container)
            images.remove_engine_volumes(self.client, keep=self.volume)
            say(f"engine: prepared in {elapsed}")

    # -- steps -------------------------------------------------------------------------------------------------

    def _find(self) -> Container | None:
        try:
            return self.client.containers.get(self.name)
        except NotFound:
            return None

    def _existing(self) -> Container:
        container = self._find()
        if container is None:
            raise StandInError(f"There is no stand-in host {self.name}: make it with 'stand_in.py up'.")
        return container

    def _copy_engine(self, source: str) -> None:
        """Start from what another engine has: a few seconds, where loading the images takes up to a minute."""
        self.client.containers.run(
            images.host_image(),
            entrypoint=["sh", "-e", "-c"],
            # Two engines are not to have one identity.
            command=["cp --archive --reflink=auto /source/. /engine/; rm --force /engine/engine-id"],
            volumes={source: {"bind": "/source", "mode": "ro"}, self.volume: {"bind": "/engine", "mode": "rw"}},
            # What overlayfs notes on directories is for its administrator only.
            cap_add=["SYS_ADMIN"],
            network_mode="none",
            remove=True,
        )

    def _remove_volume(self) -> None:
        with contextlib.suppress(NotFound):
            self.client.volumes.get(self.volume).remove()

    def _create(self, ssh_port: int | None, hostname: str) -> Container:
        api = self.client.api
        host_config = api.create_host_config(
            cap_add=CAPABILITIES,
            cgroupns="private",
            security_opt=["seccomp=unconfined", "apparmor=unconfined"],
            tmpfs={"/run": "mode=755", "/run/lock": "", "/tmp": "mode=1777"},
            binds={self.volume: {"bind": "/var/lib/docker", "mode": "rw"}},
            port_bindings={"22/tcp": ("127.0.0.1", ssh_port)} if ssh_port else {},
        )
        # The inner engine mounts /proc for its containers, which the kernel allows only where no part of ours is
        # covered. The library has no argument for it.
        host_config |= {"MaskedPaths": [], "ReadonlyPaths": []}
        created = api.create_container(
            images.host_image(),
            name=self.name,
            hostname=hostname,
            # systemd reads "container"; the first process names its control group after the host.
            environment={"container": "docker", "STAND_IN_NAME": self.name},
            ports=[22],
            host_config=host_config,
        )
        return self.client.containers.get(created["Id"])

    def _wait_until_booted(self, container: Container) -> None:
        def booted() -> bool:
            container.reload()
            if container.status != "running":
                raise StandInError(f"{self.name} stopped while booting: see 'docker logs {self.name}'.")
            return all(
                container.exec_run(command).exit_code == 0
                for command in (
                    ["sh", "-c", "systemctl is-system-running | grep --extended-regexp --quiet 'running|degraded'"],
                    ["systemctl", "is-active", "--quiet", "ssh.service"],
                    ["docker", "info"],
                )
            )

        if not _poll(booted, BOOT_LIMIT):
            raise StandInError(
                f"{self.name} did not boot within {BOOT_LIMIT} s: "
                f"see 'docker exec {self.name} systemctl --failed' and 'docker exec {self.name} journalctl -b'."
            )

    def _load_images(self, container: Container) -> None:
        """Put the workloads' images into the host's own engine, under the names the compose file uses."""
        present = self._tags(container)
        missing = [image for image in images.workloads() if image.tag not in present]
        if missing:
            elapsed = Elapsed()
            say(f"{self.name}: loading {len(missing)} images into its engine (up to a minute) ...")
            tags = [image.tag for image in missing]
            with subprocess.Popen(["docker", "save", *tags], stdout=subprocess.PIPE) as save:
                load = subprocess.run(
                    ["docker", "exec", "--interactive", self.name, "docker", "load", "--quiet"],
                    stdin=save.stdout,
                    capture_output=True,
                    text=True,
                    check=False,
                )
            if save.returncode or load.returncode:
                raise StandInError(f"Loading the images into {self.name} failed: {load.stderr.strip()}")
            say(f"{self.name}: images loaded in {elapsed}")
        for image in images.workloads():
            if image in missing or image.official not in present:
                _run_inside(container, ["docker", "tag", image.tag, image.official])

    def _drop_superseded_images(self, container: Container) -> None:
        wanted = {image.tag for image in images.workloads()}
        for tag in self._tags(container) - wanted:
            if tag.startswith(f"{images.REPOSITORY}/"):
                _run_inside(container, ["docker", "image", "rm", tag])

    def _tags(self, container: Container) -> set[str]:
        return set(_run_inside(container, ["docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}"]).split())

    def _give_access(self, container: Container, ssh_port: int) -> None:
        self.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self.key.exists():
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"stand-in {self.name}", "-f", str(self.key)],
                check=True,
            )
        _put_file(container, f"/home/{USER}/.ssh", "authorized_keys", self.key.with_suffix(".pub").read_bytes())

        # Read through the engine, so that the key is known and not trusted on first use.
        host_key = _run_inside(container, ["cat", "/etc/ssh/ssh_host_ed25519_key.pub"]).split()[:2]
        self.known_hosts.write_text(f"[127.0.0.1]:{ssh_port} {' '.join(host_key)}\n")
        self.ssh_config.write_text(
            "Host coinpilot\n"
            "    HostName 127.0.0.1\n"
            f"    Port {ssh_port}\n"
            f"    User {USER}\n"
            f'    IdentityFile "{self.key}"\n'
            "    IdentitiesOnly yes\n"
            f'    UserKnownHostsFile "{self.known_hosts}"\n'
            "    StrictHostKeyChecking yes\n"
        )
        self._check_login()

    def _check_login(self) -> None:
        # -n: never wait for input; BatchMode: never ask.
        options = ["-n", "-F", str(self.ssh_config), "-o", "BatchMode=yes", "-o", "ConnectTimeout=5"]
        command = ["ssh", *options, "coinpilot", "sudo", "-n", "true"]
        last = ""

        def logged_in() -> bool:
            nonlocal last
            result = subprocess.run(command, capture_output=True, text=True, check=False)
            last = result.stderr.strip()
            return result.returncode == 0

        if not _poll(logged_in, 20):
            raise StandInError(f"{self.name} is up but does not let {USER} in over SSH: {last}")

    def _remove_container(self, container: Container) -> None:
        image = container.attrs["Image"]
        container.remove(force=True)
        self._remove_cgroups(image)

    def _remove_cgroups(self, image: str) -> None:
        """With cgroup v1 the host made a control group of its own outside; only a look from outside can remove it."""
        script = f"""
            test -e /sys/fs/cgroup/cgroup.controllers && exit
            mkdir /tmp/cgroup
            mount -t cgroup2 cgroup2 /tmp/cgroup
            test -d /tmp/cgroup/{self.name} || exit 0
            find /tmp/cgroup/{self.name} -depth -type d -exec rmdir {{}} +
        """
        self.client.containers.run(
            image,
            entrypoint=["sh", "-e", "-c"],
            command=[script],
            cap_add=["SYS_ADMIN"],
            cgroupns="private",
            security_opt=["seccomp=unconfined", "apparmor=unconfined"],
            network_mode="none",
            remove=True,
        )


def _poll(condition: Callable[[], bool], limit: float) -> bool:
    end = time.monotonic() + limit
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.5)
    return False


def prepare_engine(client: docker.DockerClient) -> None:
    """Make the volume that new hosts start from, if the one for the present images is not there."""
    host = Host(client, PREPARATION)
    if host._find() is not None or not _exists(client, images.engine_volume()):
        host.prepare_engine()


def _exists(client: docker.DockerClient, volume: str) -> bool:
    try:
        client.volumes.get(volume)
    except NotFound:
        return False
    return True


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise StandInError(
                f"Port {port} of this machine is taken: free it (see 'ss -ltnp'), or choose another one."
            ) from error


def _published_port(container: Container) -> int | None:
    bindings = container.attrs["HostConfig"]["PortBindings"].get("22/tcp")
    return int(bindings[0]["HostPort"]) if bindings else None


def _run_inside(container: Container, command: list[str]) -> str:
    result = container.exec_run(command)
    text: str = result.output.decode()
    if result.exit_code != 0:
        raise StandInError(f"'{' '.join(command)}' failed in {container.name}: {text.strip()}")
    return text


def _put_file(container: Container, directory: str, name: str, content: bytes) -> None:
    _run_inside(container, ["install", "--directory", "--owner", USER, "--group", USER, "--mode", "0700", directory])
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode, entry.uid, entry.gid = len(content), 0o600, 1000, 1000
        tar.addfile(entry, io.BytesIO(content))
    container.put_archive(directory, archive.getvalue())
