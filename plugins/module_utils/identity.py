# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Which machine this is, and whether it is the one that the inventory means."""

from __future__ import annotations

import ipaddress
import os
import platform
import re
import shlex
from typing import Any, Dict, Mapping, Optional

from .findings import FAIL, PASS, Case, Finding, Rule, Text, table
from .inputs import is_placeholder

_UNCHANGED = Text("Nothing was changed. ", "바뀐 것은 없습니다. ")


def _fix(english: str, korean: str) -> Text:
    return Text(_UNCHANGED.en + english, _UNCHANGED.ko + korean)


RULES = table(
    Rule("host-address", Text("host", "호스트"), Text("a real address", "실제 주소"), {
        "placeholder": Case(FAIL, Text("its address is a placeholder: {address}", "주소가 예시 값입니다: {address}"),
                            Text("Nothing was contacted. Put the VM's public address in ansible_host of {subject}",
                                 "접속하지 않았습니다. {subject}의 ansible_host에 VM의 공인 IP를 넣으세요")),
    }),
    Rule("host-identity", Text("host", "호스트"), Text("the machine on record", "기록된 머신"), {
        "same": Case(PASS, Text("{machine}", "{machine}")),
        "wsl": Case(FAIL, Text("the machine that answered is WSL, not the VM: {machine}",
                               "응답한 머신은 VM이 아니라 WSL입니다: {machine}"),
                    _fix("Put the VM's public address in ansible_host of {subject}",
                         "{subject}의 ansible_host에 VM의 공인 IP를 넣으세요")),
        "not-recorded": Case(FAIL, Text("no identity is on record; the machine that answered is {machine}",
                                        "아직 기록된 머신이 없습니다. 응답한 머신: {machine}"),
                             _fix("Look at it and put it on record: {command}", "확인한 뒤 기록하세요: {command}")),
        "other": Case(FAIL, Text("recorded as {recorded}; the machine that answered is {machine}",
                                 "기록은 {recorded}인데, 응답한 머신은 {machine}입니다"),
                      _fix("Check ansible_host of {subject}. If the VM was rebuilt on purpose: {command}",
                           "{subject}의 ansible_host를 확인하세요. VM을 새로 만든 것이 맞다면: {command}")),
        "renamed": Case(FAIL, Text("recorded as {recorded}; the machine that answered is {machine}: "
                                   "the same machine-id under another name is a renamed machine, or a copy of it",
                                   "기록은 {recorded}인데, 응답한 머신은 {machine}입니다. machine-id가 "
                                   "같고 이름이 다르면 이름을 바꾼 머신이거나 복제본입니다"),
                        _fix("If it was renamed on purpose: {command}", "이름을 바꾼 것이 맞다면: {command}")),
    }, _fix("Log in to {subject} and run: cat /etc/machine-id", "{subject}에 접속해 확인하세요: cat /etc/machine-id")),
    Rule("first-contact", Text("host", "호스트"), Text("a machine that may be put on record", "기록해도 되는 머신"), {
        "new": Case(PASS, Text("{machine}", "{machine}")),
        "same": Case(PASS, Text("is on record already: {machine}", "이미 기록되어 있습니다: {machine}")),
        "other": Case(FAIL, Text("recorded as {recorded}; the machine that answered is {machine}",
                                 "기록은 {recorded}인데, 응답한 머신은 {machine}입니다"),
                      Text("The record was kept. If the VM was rebuilt on purpose: "
                           "{command} -e first_contact_replace=yes",
                           "기록은 그대로 두었습니다. VM을 새로 만든 것이 맞다면: "
                           "{command} -e first_contact_replace=yes")),
    }),
)

# Addresses that documentation may use and that no machine has.
_DOCUMENTATION = [ipaddress.ip_network(network) for network in (
    "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "0.0.0.0/32", "::/128")]
_DOCUMENTATION_NAME = re.compile(r"(.*\.)?(example(\.(com|net|org))?|invalid)\.?\Z|x+(\.x+)+\Z", re.IGNORECASE)


def address_problem(name: str, address: str) -> Optional[Finding]:
    """What is wrong with the address of an inventory's host, as far as can be told without connecting."""
    text = address.strip().strip("[]")
    try:
        wrong = any(ipaddress.ip_address(text) in network for network in _DOCUMENTATION)
    except ValueError:
        wrong = not text or bool(_DOCUMENTATION_NAME.match(text)) or is_placeholder("ansible_host", text)
    return RULES["host-address"].finding("placeholder", name, address=address) if wrong else None


def gather(root: str = "/") -> Dict[str, Any]:
    """What tells one machine from another. What could not be read is empty, and `errors` says why."""
    errors: Dict[str, str] = {}

    def text(path: str, required: bool = False) -> str:
        try:
            with open(os.path.join(root, path), encoding="utf-8", errors="replace") as file:
                return file.read().strip()
        except OSError as problem:
            if required:
                errors[path] = "%s: /%s" % (problem.strerror, path)
            return ""

    machine_id = text("etc/machine-id", required=True)
    if "etc/machine-id" not in errors and not re.match(r"[0-9a-f]{32}\Z", machine_id):
        errors["etc/machine-id"] = "/etc/machine-id holds no id"
        machine_id = ""
    product = [text("sys/class/dmi/id/" + name) for name in ("chassis_asset_tag", "sys_vendor", "product_name")]
    system = os_release(text("etc/os-release"))
    return {
        "machine_id": machine_id,
        "hostname": text("proc/sys/kernel/hostname"),
        "os": system.get("PRETTY_NAME") or system.get("ID", ""),
        "architecture": platform.machine(),
        "product": ", ".join(dict.fromkeys(part for part in product if part and "not specified" not in part.lower())),
        "container": _container(root, text("run/systemd/container")),
        "wsl": _is_wsl(root, text("proc/sys/kernel/osrelease") + text("proc/version"), text("run/systemd/container")),
        "errors": errors,
    }


def _container(root: str, systemd_says: str) -> str:
    marks = {".dockerenv": "docker", "run/.containerenv": "podman"}
    return systemd_says or next((kind for mark, kind in marks.items() if os.path.exists(os.path.join(root, mark))), "")


def _is_wsl(root: str, kernel: str, systemd_says: str) -> bool:
    if not re.search("microsoft|wsl", kernel, re.IGNORECASE):
        return False
    # A container on a WSL machine has WSL's kernel too, and is another machine: the demo's stand-in is one. A WSL
    # distribution made from a container's image keeps that image's marks, but has WSL's own tools as well.
    tools = any(os.path.exists(os.path.join(root, path)) for path in ("usr/bin/wslpath", "bin/wslpath"))
    return tools or systemd_says == "wsl" or not _container(root, systemd_says)


def os_release(text: str) -> Dict[str, str]:
    """The assignments of /etc/os-release."""
    values = {}
    for line in text.splitlines():
        key, equals, value = line.strip().partition("=")
        if equals and not key.startswith("#"):
            try:
                values[key] = "".join(shlex.split(value))
            except ValueError:
                values[key] = value
    return values


def judge(machine: Mapping[str, Any], name: str, machine_id: str, hostname: str, command: str) -> Finding:
    """Whether the machine that answered is the one on record under this name of the inventory."""
    rule, values = RULES["host-identity"], _values(machine, machine_id, hostname, command)
    if machine["wsl"]:
        return rule.finding("wsl", name, **values)
    if not machine["machine_id"]:
        return rule.unread(machine["errors"].get("etc/machine-id", "/etc/machine-id"), name)
    if not machine_id:
        return rule.finding("not-recorded", name, **values)
    if machine["machine_id"] != machine_id:
        return rule.finding("other", name, **values)
    if hostname and machine["hostname"] != hostname:
        return rule.finding("renamed", name, **values)
    return rule.finding("same", name, **values)


def judge_first_contact(machine: Mapping[str, Any], name: str, machine_id: str, hostname: str, command: str,
                        replace: bool) -> Finding:
    """Whether the machine that answered may be put on record under this name of the inventory."""
    rule, values = RULES["first-contact"], _values(machine, machine_id, hostname, command)
    known = judge(machine, name, machine_id, hostname, command)
    if known.status == PASS:
        return rule.finding("same", name, **values)
    if machine["wsl"] or not machine["machine_id"]:
        return known
    return rule.finding("other" if machine_id and not replace else "new", name, **values)


def _values(machine: Mapping[str, Any], machine_id: str, hostname: str, command: str) -> Dict[str, str]:
    # Two ids that begin alike are shown whole.
    shown = 32 if machine["machine_id"] != machine_id and machine["machine_id"][:8] == machine_id[:8] else 8
    return {"machine": describe(machine, shown), "command": command,
            "recorded": "%s (%s)" % (hostname or "?", _short(machine_id, shown))}


def describe(machine: Mapping[str, Any], shown: int = 8) -> str:
    """The machine in a few words: coinpilot-ins (OracleCloud.com, Ubuntu 22.04.5 LTS, aarch64, machine-id 3f2a…)."""
    kind = "WSL" if machine["wsl"] else machine["product"] or machine["container"]
    facts = [kind, machine["os"], machine["architecture"], _short(machine["machine_id"], shown)]
    return "%s (%s)" % (machine["hostname"] or "?", ", ".join(fact for fact in facts if fact))


def _short(machine_id: str, shown: int) -> str:
    return "machine-id %s%s" % (machine_id[:shown], "…" * (shown < len(machine_id))) if machine_id else ""
