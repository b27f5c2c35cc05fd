# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""The SSH server's settings as the hardening wants them, and whether the session in use could log in under them."""

from __future__ import annotations

import os
import pwd
import re
from typing import Dict, List, Mapping, NamedTuple, Optional

from .findings import Text

# Forwarding stays: the dashboards are reached through it.
SETTINGS = {
    "PermitRootLogin": "no",
    "PasswordAuthentication": "no",
    "KbdInteractiveAuthentication": "no",
    "PermitEmptyPasswords": "no",
    "HostbasedAuthentication": "no",
    "PermitUserEnvironment": "no",
    "PubkeyAuthentication": "yes",
    "GatewayPorts": "no",
    "X11Forwarding": "no",
    "AllowTcpForwarding": "yes",
    "DisableForwarding": "no",
}
MAIN = "/etc/ssh/sshd_config"
DIRECTORY = "/etc/ssh/sshd_config.d"

MESSAGES = {
    "root": Text(
        "The session in use is root's, and root's login would be shut. Nothing was changed. Log in as another user who "
        "may use sudo, with a key (ansible_user).",
        "지금 세션은 root로 로그인한 것이고, 적용하면 root 로그인이 막힙니다. 바뀐 것은 없습니다. sudo를 쓸 수 있는 "
        "다른 사용자로 키를 사용해 접속하세요(ansible_user)."),
    "password": Text(
        "{user} logged in with a password, and passwords would be switched off. Nothing was changed. Log in with a "
        "key: ssh-copy-id {user}@HOST, then set ansible_ssh_private_key_file.",
        "{user}는 비밀번호로 로그인했고, 적용하면 비밀번호 로그인이 막힙니다. 바뀐 것은 없습니다. 키로 로그인하세요: "
        "ssh-copy-id {user}@HOST 실행 후 ansible_ssh_private_key_file을 설정하세요."),
    "no_key": Text(
        "{user} has no key in {files}, and passwords would be switched off. Nothing was changed. Put a key there: "
        "ssh-copy-id {user}@HOST",
        "{user}의 키가 {files}에 없는데, 적용하면 비밀번호 로그인이 막힙니다. 바뀐 것은 없습니다. 먼저 키를 "
        "등록하세요: ssh-copy-id {user}@HOST"),
    "methods": Text(
        "AuthenticationMethods asks for more than a key ({methods}), and the rest would be switched off. Nothing was "
        "changed. Remove AuthenticationMethods from the SSH server's settings, or leave security_preflight_harden off.",
        "AuthenticationMethods가 키 이외의 인증도 요구하는데({methods}), 적용하면 그 방식이 막힙니다. 바뀐 것은 "
        "없습니다. SSH 서버 설정에서 AuthenticationMethods를 지우거나 security_preflight_harden을 끄세요."),
    "invalid": Text(
        "The SSH server would not take the new settings: {detail}. Nothing was changed. See: sudo sshd -t",
        "SSH 서버가 새 설정을 받아들이지 않습니다: {detail}. 바뀐 것은 없습니다. 확인: sudo sshd -t"),
    "overridden": Text(
        "Other settings of the SSH server stand before {path}, or in a Match block: {settings}. All was put back. "
        "Find them with: sudo grep -rniE '^ *(Match|{words})' /etc/ssh/sshd_config /etc/ssh/sshd_config.d",
        "SSH 서버의 다른 설정이 {path}보다 먼저 적용되거나 Match 블록에 있습니다: {settings}. 모두 되돌렸습니다. "
        "찾는 방법: sudo grep -rniE '^ *(Match|{words})' /etc/ssh/sshd_config /etc/ssh/sshd_config.d"),
}


class Login(NamedTuple):
    """The session in use: who, from where, and the kind of authentication if the journal tells. Without one: empty."""

    user: str = ""
    address: str = ""
    port: str = ""
    method: str = ""


def path(name: str) -> str:
    # The first value counts: this sorts before cloud-init's file, which may allow passwords.
    return os.path.join(DIRECTORY, f"00-{name}.conf")


def text() -> str:
    return "".join(["# Written by coinpilot.ops; what is changed here is overwritten.\n",
                    "# Of several values the SSH server takes the first, so this file sorts before all others.\n",
                    *(f"{key} {value}\n" for key, value in SETTINGS.items())])


def candidate() -> str:
    """Settings under which the server would run: a file that is read first does what the drop-in will do."""
    return text() + f"Include {MAIN}\n"


def effective(output: str) -> Dict[str, str]:
    """What `sshd -T` says. A setting it tells in several lines has their values in one."""
    settings: Dict[str, str] = {}
    for line in output.splitlines():
        key, _blank, value = line.partition(" ")
        settings[key] = f"{settings[key]} {value}" if key in settings else value
    return settings


def differing(settings: Mapping[str, str]) -> Dict[str, str]:
    """The settings that are not as wanted, with what they are."""
    now = {key: settings.get(key.lower(), "") for key in SETTINGS}
    return {key: now[key] for key, value in SETTINGS.items() if now[key] != value}


def session(pid: int, proc: str = "/proc") -> Login:
    """Whose SSH session a process belongs to: the outermost of its ancestors that sshd told its connection."""
    login = Login()
    while pid > 1:
        try:
            with open(f"{proc}/{pid}/environ", "rb") as stream:
                environ = stream.read().decode("utf-8", "replace").split("\0")
            with open(f"{proc}/{pid}/stat", encoding="utf-8", errors="replace") as stream:
                parent = int(stream.read().rpartition(")")[2].split()[1])
            owner = os.stat(f"{proc}/{pid}").st_uid
        except (OSError, ValueError, IndexError):
            return login
        connection = next((entry for entry in environ if entry.startswith("SSH_CONNECTION=")), "")
        parts = connection.partition("=")[2].split()
        if len(parts) == 4:
            login = Login(_user_name(owner), parts[0], parts[1])
        pid = parent
    return login


def method(journal: str, login: Login) -> str:
    """How a session was let in, e.g. publickey, as the server's log says; empty when it does not."""
    said = re.findall(rf"Accepted (\S+) for {re.escape(login.user)} from {re.escape(login.address)} "
                      rf"port {re.escape(login.port)}\b", journal)
    return str(said[-1]) if said else ""


def key_files(settings: Mapping[str, str], user: str) -> List[str]:
    """Where the server looks for the keys of a user."""
    try:
        home = pwd.getpwnam(user).pw_dir
    except KeyError:
        return []
    patterns = settings.get("authorizedkeysfile", ".ssh/authorized_keys").split()
    names = [pattern.replace("%h", home).replace("%u", user).replace("%%", "%") for pattern in patterns
             if pattern != "none"]
    return [os.path.join(home, name) for name in names]


def count_keys(texts: List[str]) -> int:
    """Lines that are keys."""
    return sum(1 for content in texts for line in content.splitlines()
               if re.search(r"(^|\s)(ssh-|ecdsa-|sk-)\S+ AAAA", line) and not line.lstrip().startswith("#"))


def refusal(settings: Mapping[str, str], login: Login, keys: int) -> Optional[Text]:
    """Why the settings may not be changed: the session in use could not log in again."""
    if not login.user:
        return None
    if login.user == "root":
        return MESSAGES["root"]
    if login.method.startswith(("password", "keyboard-interactive")):
        return MESSAGES["password"].fill(user=login.user)
    elsewhere = {settings.get("authorizedkeyscommand", "none"), settings.get("trustedusercakeys", "none")} != {"none"}
    if not keys and not elsewhere:
        return MESSAGES["no_key"].fill(user=login.user, files=", ".join(key_files(settings, login.user)))
    methods = settings.get("authenticationmethods", "any")
    if methods != "any" and not any(set(way.split(",")) == {"publickey"} for way in methods.split()):
        return MESSAGES["methods"].fill(methods=methods)
    return None


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
