# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""What a path on the host is: system, secret, engine socket, log, or an ordinary file. By its name alone."""

from __future__ import annotations

import posixpath
import re
from typing import Optional

# With all that is in them, and with all that holds them.
_SYSTEM = ("/boot", "/dev", "/etc", "/proc", "/root", "/sys", "/lib/modules", "/usr/lib/modules", "/lib/systemd",
           "/usr/lib/systemd", "/run/dbus", "/run/systemd", "/run/snapd.socket", "/run/libvirt", "/run/lxd",
           "/var/lib/docker", "/var/lib/containerd", "/var/lib/containers", "/var/lib/kubelet", "/var/lib/rancher",
           "/var/lib/cloud", "/var/lib/lxd", "/var/lib/snapd", "/var/lib/sss", "/var/snap", "/var/spool/cron",
           "/var/spool/at", "/var/backups")
# The directories themselves: what is in them may well be harmless.
_SYSTEM_TOP = ("/", "/bin", "/home", "/lib", "/lib32", "/lib64", "/opt", "/run", "/sbin", "/usr", "/usr/bin",
               "/usr/sbin", "/usr/local", "/var", "/var/lib", "/var/spool")
# Parts of the system that containers are commonly given, and that tell nothing (read-only, that is).
_HARMLESS = ("/etc/ca-certificates", "/etc/hostname", "/etc/hosts", "/etc/letsencrypt", "/etc/localtime",
             "/etc/machine-id", "/etc/os-release", "/etc/pki/ca-trust", "/etc/pki/tls/certs", "/etc/resolv.conf",
             "/etc/ssl/certs", "/etc/timezone")
HARMLESS_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
# Below /etc, what is nobody's application.
_ETC_SYSTEM = re.compile(r"/etc/(passwd|group|g?shadow|sudoers|ssh|ssl|pam|cron|systemd|security|docker|containerd|"
                         r"kubernetes|init|profile|ld\.so|rancher|apt|netplan|iptables)")
_CREDENTIALS = {".ssh", ".aws", ".azure", ".oci", ".kube", ".docker", ".gnupg", ".netrc", ".git-credentials",
                ".pgpass", ".my.cnf", ".vault-token", ".npmrc", ".pypirc", ".bash_history", ".zsh_history",
                ".password-store"}
_SSH_KEY = re.compile(r"id_(rsa|dsa|ecdsa|ed25519)(_sk)?\Z")
_HOME = re.compile(r"/(home/[^/]+|root)\Z")
_IN_HOME = re.compile(r"/(home/[^/]+|root)(/\.[^/]+|\Z)")
_SETTINGS = re.compile(r"\.env(\.(?!example|sample|template|dist|schema)[^/]*)?\Z")
_LOGS = ("/var/log", "/run/log")
_ENGINE_SOCKET = re.compile(r"(docker|docker\.raw|podman|containerd|crio|cri-dockerd|dockershim|buildkitd)"
                            r"\.sock(\.ttrpc)?\Z")
_ENGINE_DIRECTORY = re.compile(r"/run(/(containerd|docker|k3s|buildkit|podman|crio)(/.*)?|"
                               r"/user(/[0-9]+(/(containerd|docker|podman)[^/]*)?)?)?\Z")


def normal(path: str) -> str:
    """Without dots, double slashes, and the old name of /run."""
    path = posixpath.normpath("/" + path.lstrip("/"))
    return path[len("/var"):] if path == "/var/run" or path.startswith("/var/run/") else path


def covers(path: str, other: str) -> bool:
    """Whether ``other`` is the path or lies in it."""
    return other == path or other.startswith(path.rstrip("/") + "/")


def holds_engine_socket(path: str) -> bool:
    """Whether this is, or holds, the socket of a container engine."""
    return path == "/" or bool(_ENGINE_SOCKET.match(posixpath.basename(path)) or _ENGINE_DIRECTORY.match(path))


def is_settings(path: str) -> bool:
    """A .env file of whatever project."""
    return _SETTINGS.match(posixpath.basename(path)) is not None


def is_log(path: str) -> bool:
    return any(covers(tree, path) for tree in _LOGS)


def is_sensitive(path: str, project: Optional[str], handed_over: bool) -> bool:
    """Whether a normal path is part of the system or holds credentials.

    What is inside ``project``, the project's own directory, is its own. What is ``handed_over`` by `secrets:` or
    `configs:` is one file that was chosen, and may come from an application's directory in /etc.
    """
    within = posixpath.relpath(path, project).split("/") if project else path.split("/")
    credentials = _CREDENTIALS - {".docker"} if project else _CREDENTIALS
    if credentials & set(within) or _SSH_KEY.match(within[-1]):
        return True
    if project:
        # A home may be a project's directory, and still holds what homes hold.
        return _HOME.match(project) is not None and _IN_HOME.match(path) is not None
    if path in HARMLESS_DEVICES or any(covers(tree, path) for tree in _HARMLESS):
        return False
    if handed_over and covers("/etc", path):
        return _ETC_SYSTEM.match(path) is not None
    if path in _SYSTEM_TOP or _IN_HOME.match(path):
        return True
    return any(covers(tree, path) or covers(path, tree) for tree in _SYSTEM)


def may_hold_a_project(directory: str) -> bool:
    """Whether a directory can be a project's own. A compose file in /etc does not make /etc its own."""
    if _HOME.match(directory):
        return True
    if directory in _SYSTEM_TOP or any(covers(directory, tree) for tree in _SYSTEM):
        return False
    if covers("/etc", directory):
        return _ETC_SYSTEM.match(directory) is None
    return covers("/root", directory) or not any(covers(tree, directory) for tree in _SYSTEM)
