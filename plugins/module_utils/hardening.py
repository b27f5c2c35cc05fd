# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Firewall and SSH server made safe, by a change that undoes itself unless somebody confirms that he still gets in.

`gather` reads the host, `plan` tells what differs from what is wanted, `apply` changes it: it keeps what was there,
arms a timer, changes, looks again. `confirm`, called over a new connection, ends the matter. When nobody does, the
timer puts everything back; a boot in between does too. What puts it back is a script of the host that needs nothing of
this.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from . import files, hardening_firewall, hardening_ssh
from .findings import Text
from .hardening_firewall import FAMILIES
from .hardening_ssh import Login

MESSAGES = {
    "no_iptables": Text(
        "{command} is not on this host, and Docker's own rules are made with it. Nothing was changed. Install it: "
        "sudo apt-get install iptables",
        "이 호스트에 {command} 명령이 없습니다. Docker의 규칙도 이 명령으로 만듭니다. 바뀐 것은 없습니다. 설치하세요: "
        "sudo apt-get install iptables"),
    "unread": Text(
        "`{command}` failed: {detail}. Nothing was changed.",
        "`{command}` 명령이 실패했습니다: {detail}. 바뀐 것은 없습니다."),
    "step": Text(
        "`{command}` failed: {detail}. All was put back.",
        "`{command}` 명령이 실패했습니다: {detail}. 모두 되돌렸습니다."),
    "os": Text("{detail}. All was put back.", "{detail}. 모두 되돌렸습니다."),
    "not_as_wanted": Text(
        "After the change these are still not as wanted: {what}. All was put back. See: "
        "sudo journalctl -u {unit} -n 20",
        "적용한 뒤에도 다음이 기준과 다릅니다: {what}. 모두 되돌렸습니다. 확인: sudo journalctl -u {unit} -n 20"),
    "not_put_back": Text(
        "{problem} But putting back failed too, and is tried again every few seconds; see: "
        "sudo journalctl -u {unit} -n 20",
        "{problem} 그런데 되돌리기도 실패하여 몇 초마다 다시 시도합니다. 확인: sudo journalctl -u {unit} -n 20"),
    "gone": Text(
        "The change was confirmed too late: the host has put back what there was. Give it more time "
        "(security_preflight_rollback_after) and run this again.",
        "확인이 늦었습니다. 호스트가 이미 이전 상태로 되돌렸습니다. 시간을 늘리고"
        "(security_preflight_rollback_after) 다시 실행하세요."),
    "same_connection": Text(
        "The change can only be confirmed over a new connection, and this is the one that made it. The host puts back "
        "what there was. Take ControlPath out of ansible_ssh_args and run this again.",
        "새 접속에서만 확인할 수 있는데, 변경할 때 쓰던 접속입니다. 호스트가 이전 상태로 되돌립니다. "
        "ansible_ssh_args에서 ControlPath를 빼고 다시 실행하세요."),
    "busy": Text(
        "Another hardening is at work on this host. Nothing was changed. Run this again when it has ended.",
        "이 호스트에서 다른 강화 작업이 진행 중입니다. 바뀐 것은 없습니다. 끝난 뒤 다시 실행하세요."),
}


_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class HardeningError(Exception):
    """A hardening that did not happen, or was undone."""

    def __init__(self, text: Text):
        super().__init__(text.en)
        self.text = text


class Wanted(NamedTuple):
    """``name`` is the stack's: of the chains, the units and the drop-in. ``interfaces`` are those of containers."""

    name: str
    public_ports: Sequence[int]
    interfaces: Sequence[str]
    rules_directory: str
    state_directory: str

    @property
    def firewall_unit(self) -> str:
        return f"{self.name}-firewall.service"

    @property
    def rollback_unit(self) -> str:
        return f"{self.name}-hardening-rollback.service"

    @property
    def pending(self) -> str:
        return os.path.join(self.state_directory, "pending")

    @property
    def runtime_directory(self) -> str:
        return f"/run/{self.name}-hardening"

    def rules(self) -> Dict[str, List[str]]:
        return {family.tables: hardening_firewall.rules(family, self.name, self.public_ports, self.interfaces)
                for family in FAMILIES}

    def files(self) -> List[files.File]:
        lines = self.rules()
        return [files.File(hardening_ssh.path(self.name), hardening_ssh.text(), 0o644, "root")] + [
            files.File(hardening_firewall.rules_path(self.rules_directory, family),
                       hardening_firewall.rules_text(self.name, lines[family.tables]), 0o644, "root")
            for family in FAMILIES]


class World(NamedTuple):
    """The host as it was read. ``live`` and ``saved`` are rules by command (iptables, ip6tables): the kernel's, and
    those of the distribution's files. ``sshd`` is how the server would run with the settings wanted."""

    texts: Dict[str, str]
    in_place: Dict[str, bool]
    live: Dict[str, str]
    saved: Dict[str, str]
    units: Dict[str, Dict[str, str]]
    sshd: Dict[str, str]
    login: Login
    keys: int


class Plan(NamedTuple):
    """What differs. ``lost`` are rules of the distribution to put back, by command."""

    files: List[files.File]
    firewall: List[str]
    lost: Dict[str, List[str]]
    units: List[str]
    refusal: Optional[Text]

    @property
    def changed(self) -> bool:
        return bool(self.files or self.firewall or self.lost or self.units)

    def what(self) -> List[str]:
        return [file.path for file in self.files] + self.firewall + sorted(self.lost) + self.units


# Reading ----------------------------------------------------------------------------------------------------------

def gather(wanted: Wanted) -> World:
    login = hardening_ssh.session(os.getpid())
    # A host without a journal does not tell: then the new connection that confirms is the only proof.
    _code, journal, _error = _run(("journalctl", "--quiet", "--no-pager", "--output=cat", "--since=-1d",
                                   "--identifier=sshd", "--identifier=sshd-session"))
    login = login._replace(method=hardening_ssh.method(journal, login))
    code, output, error = _run(("sshd", "-T", "-f", "/dev/stdin", "-C", _asker(login)), hardening_ssh.candidate())
    if code:
        raise HardeningError(hardening_ssh.MESSAGES["invalid"].fill(detail=_one_line(error)))
    sshd = hardening_ssh.effective(output)
    live, saved = {}, {}
    for family in FAMILIES:
        if shutil.which(family.tables, path=_PATH) and (
                family.tables == "iptables" or os.path.exists("/proc/net/if_inet6")):
            live[family.tables] = _read(family.tables + "-save", "-t", "filter")
            saved[family.tables] = files.read_text(family.saved) or ""
    keys = [files.read_text(path) or "" for path in hardening_ssh.key_files(sshd, login.user)]
    return World(
        {file.path: files.read_text(file.path) or "" for file in wanted.files()},
        {file.path: files.is_in_place(file) for file in wanted.files()}, live, saved,
        {unit: _unit(unit) for unit in (wanted.firewall_unit, wanted.rollback_unit)},
        sshd, login, hardening_ssh.count_keys(keys))


def _asker(login: Login) -> str:
    """Who asks, for the Match blocks of the SSH server's settings."""
    return f"user={login.user or 'root'},host={login.address or 'localhost'},addr={login.address or '127.0.0.1'}"


def _unit(name: str) -> Dict[str, str]:
    properties = "--property=UnitFileState,ActiveState,NeedDaemonReload"
    return dict(line.split("=", 1) for line in _read("systemctl", "show", properties, name).splitlines() if "=" in line)


# Judging ----------------------------------------------------------------------------------------------------------

def plan(world: World, wanted: Wanted) -> Plan:
    """Pure: what would have to change, and why it may not."""
    differing = [file for file in wanted.files() if not world.in_place[file.path]]
    lines = wanted.rules()
    firewall = [tables for tables, live in world.live.items()
                if not hardening_firewall.in_force(live, wanted.name, lines[tables])]
    if not firewall and world.units[wanted.firewall_unit].get("ActiveState") != "active":
        firewall = [wanted.firewall_unit]
    lost = {tables: hardening_firewall.lost_lines(world.saved[tables], live) for tables, live in world.live.items()}
    units = [name for name, unit in world.units.items()
             if unit.get("UnitFileState") != "enabled" or unit.get("NeedDaemonReload") == "yes"]
    drop_in = hardening_ssh.path(wanted.name)
    refusal = None
    if "iptables" not in world.live:
        refusal = MESSAGES["no_iptables"].fill(command="iptables")
    elif any(file.path == drop_in for file in differing):
        refusal = hardening_ssh.refusal(world.sshd, world.login, world.keys)
    return Plan(differing, firewall, {tables: lines for tables, lines in lost.items() if lines}, units, refusal)


def difference(world: World, planned: Plan, wanted: Wanted) -> List[Dict[str, str]]:
    """Before and after, for a person."""
    shown = [_shown(file.path, world.texts[file.path], file.text) for file in planned.files]
    lines = wanted.rules()
    for tables in world.live:
        if tables in planned.firewall or tables in planned.lost:
            own = hardening_firewall.own_lines(world.live[tables], wanted.name)
            after = hardening_firewall.jumps(wanted.name) + lines[tables] + planned.lost.get(tables, [])
            shown.append(_shown(f"{tables} -S", _text(own), _text(after)))
    return shown + [_shown(name, "", "enabled\n") for name in planned.units]


def _shown(name: str, before: str, after: str) -> Dict[str, str]:
    return {"before_header": name, "after_header": name, "before": before, "after": after}


def _text(lines: Sequence[str]) -> str:
    return "".join(line + "\n" for line in lines)


# Changing ---------------------------------------------------------------------------------------------------------

def settle(wanted: Wanted) -> None:
    """Puts back at once what an earlier run changed and nobody confirmed, so that a new one starts from firm ground."""
    if os.path.isdir(wanted.pending) or os.path.isdir(os.path.join(wanted.state_directory, "undoing")):
        _put_back(wanted)


def apply(planned: Plan, wanted: Wanted, rollback_after: int) -> None:
    """Makes the change. Whatever does not end as planned is put back at once; what does awaits `confirm`."""
    problem: Optional[Text] = None
    with _lock(wanted):
        _keep(planned, wanted)
        try:
            _arm(planned, wanted, rollback_after)
            _change(planned, wanted)
        except HardeningError as error:
            problem = error.text
        except OSError as error:
            problem = MESSAGES["os"].fill(detail=str(error))
    # After the lock is free, which putting back waits for.
    if problem:
        try:
            _put_back(wanted)
        except HardeningError:
            problem = MESSAGES["not_put_back"].fill(problem=problem, unit=wanted.rollback_unit)
        raise HardeningError(problem)


def _arm(planned: Plan, wanted: Wanted, rollback_after: int) -> None:
    """The ways back: with the next boot, and by a timer."""
    _do("systemctl", "daemon-reload")
    for unit in planned.units:
        _do("systemctl", "enable", unit)
    _do("systemd-run", "--quiet", f"--unit={wanted.rollback_unit}", f"--on-active={rollback_after}s",
        "--timer-property=AccuracySec=100ms")


def _keep(planned: Plan, wanted: Wanted) -> None:
    """What there was, on the disk before anything changes. Only under its final name does it count."""
    staging = wanted.pending + ".new"
    for left in (staging, wanted.runtime_directory):
        if os.path.isdir(left):
            shutil.rmtree(left)
    for file in planned.files:
        if os.path.exists(file.path):
            kept = staging + "/before" + file.path
            os.makedirs(os.path.dirname(kept), mode=0o700, exist_ok=True)
            shutil.copy2(file.path, kept)
    os.makedirs(staging, mode=0o700, exist_ok=True)
    files.write(files.File(os.path.join(staging, "paths"), _text([file.path for file in planned.files]), 0o600),
                files.File(os.path.join(staging, "connection"), _connection(), 0o600))
    os.makedirs(wanted.runtime_directory, mode=0o700)
    for tables, lines in planned.lost.items():
        undo = "*filter\n" + _text(["-D" + line[2:] for line in lines]) + "COMMIT\n"
        files.write(files.File(os.path.join(wanted.runtime_directory, tables + ".undo"), undo, 0o600))
    os.sync()
    os.rename(staging, wanted.pending)
    files.sync_directory(wanted.state_directory)


def _change(planned: Plan, wanted: Wanted) -> None:
    for file in planned.files:
        os.makedirs(os.path.dirname(file.path), mode=0o755, exist_ok=True)
    files.write(*planned.files)
    if any(file.path == hardening_ssh.path(wanted.name) for file in planned.files):
        _prove_sshd(wanted)
        # A reload: sessions stay.
        if _unit("ssh.service").get("ActiveState") == "active":
            _do("systemctl", "reload", "ssh.service")
    _do("systemctl", "restart", wanted.firewall_unit)
    for tables, lines in planned.lost.items():
        _do(tables + "-restore", "-w", "--noflush", stdin="*filter\n" + _text(lines) + "COMMIT\n")
    left = plan(gather(wanted), wanted)
    if left.changed:
        raise HardeningError(MESSAGES["not_as_wanted"].fill(what=", ".join(left.what()), unit=wanted.firewall_unit))


def _prove_sshd(wanted: Wanted) -> None:
    """With the file in place, and before the server reads it: valid, and not overruled by what others have set."""
    settings = hardening_ssh.effective(_do("sshd", "-T", "-C", _asker(hardening_ssh.session(os.getpid()))))
    wrong = hardening_ssh.differing(settings)
    if wrong:
        raise HardeningError(hardening_ssh.MESSAGES["overridden"].fill(
            path=hardening_ssh.path(wanted.name), words="|".join(wrong),
            settings=", ".join(f"{key} {value}" for key, value in wrong.items())))


def confirm(wanted: Wanted) -> None:
    """Somebody got in over another connection than the one that made the change: it stays."""
    with _lock(wanted):
        confirmed = os.path.join(wanted.state_directory, "confirmed")
        if not os.path.isdir(wanted.pending):
            raise HardeningError(MESSAGES["gone"])
        if _connection() and _connection() == files.read_text(os.path.join(wanted.pending, "connection")):
            raise HardeningError(MESSAGES["same_connection"])
        if os.path.isdir(confirmed):
            shutil.rmtree(confirmed)
        os.rename(wanted.pending, confirmed)
        files.sync_directory(wanted.state_directory)
        shutil.rmtree(confirmed)
        if os.path.isdir(wanted.runtime_directory):
            shutil.rmtree(wanted.runtime_directory)
    _stop_timer(wanted)


def _connection() -> str:
    """The SSH connection in use; empty without one, such as on the host itself."""
    login = hardening_ssh.session(os.getpid())
    return f"{login.address} {login.port}\n" if login.user else ""


def _put_back(wanted: Wanted) -> None:
    _stop_timer(wanted)
    _do("systemctl", "start", wanted.rollback_unit)


def _stop_timer(wanted: Wanted) -> None:
    timer = wanted.rollback_unit.replace(".service", ".timer")
    if _unit(timer).get("ActiveState") == "active":
        _do("systemctl", "stop", timer)


@contextlib.contextmanager
def _lock(wanted: Wanted) -> Iterator[None]:
    files.make_directory(wanted.state_directory, 0o700)
    with open(os.path.join(wanted.state_directory, "lock"), "a", encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HardeningError(MESSAGES["busy"]) from None
        yield


# Commands ---------------------------------------------------------------------------------------------------------

def _run(command: Sequence[str], stdin: str = "") -> Tuple[int, str, str]:
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, encoding="utf-8", errors="replace",
                              env={"PATH": _PATH, "LC_ALL": "C.UTF-8"}, timeout=90, check=False)
    except (OSError, subprocess.TimeoutExpired) as problem:
        return 127, "", str(problem)
    return done.returncode, done.stdout, done.stderr


def _read(*command: str) -> str:
    code, output, error = _run(command)
    if code:
        raise HardeningError(MESSAGES["unread"].fill(command=" ".join(command), detail=_one_line(error)))
    return output


def _do(*command: str, stdin: str = "") -> str:
    code, output, error = _run(command, stdin)
    if code:
        raise HardeningError(MESSAGES["step"].fill(command=" ".join(command), detail=_one_line(error)))
    return output


def _one_line(error: str) -> str:
    return " / ".join(line.strip() for line in error.splitlines() if line.strip()).rstrip(".") or "no message"
