from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils import identity
from hypothesis import given
from hypothesis import strategies as st

HERE, THERE = "3f2a90c1b7d84e5fa1c2d3e4f5a6b7c8", "91bc5a2e00000000000000000000abcd"
COMMAND = "ansible-playbook playbooks/first_contact.yml -l oci"
VM = {
    "etc/machine-id": HERE + "\n",
    "etc/os-release": 'ID=ubuntu\nVERSION_ID="22.04"\nPRETTY_NAME="Ubuntu 22.04.5 LTS"\n',
    "proc/sys/kernel/hostname": "coinpilot-ins\n",
    "proc/sys/kernel/osrelease": "6.8.0-1018-oracle\n",
    "proc/version": "Linux version 6.8.0-1018-oracle (buildd@bos03) #19~22.04.1-Ubuntu SMP\n",
    "sys/class/dmi/id/chassis_asset_tag": "OracleCloud.com\n",
    "sys/class/dmi/id/sys_vendor": "QEMU\n",
    "sys/class/dmi/id/product_name": "KVM Virtual Machine\n",
}
WSL = {
    "etc/machine-id": THERE + "\n",
    "etc/os-release": VM["etc/os-release"],
    "proc/sys/kernel/hostname": "DESKTOP-7\n",
    "proc/sys/kernel/osrelease": "5.15.167.4-microsoft-standard-WSL2\n",
    "proc/version": "Linux version 5.15.167.4-microsoft-standard-WSL2\n",
}


def machine(root: Path, files: dict, **replaced: str) -> dict:
    for path, content in {**files, **{key.replace("__", "/"): value for key, value in replaced.items()}}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content, encoding="utf-8")
    return {**identity.gather(str(root)), "architecture": "aarch64"}


def test_a_vm_is_described(tmp_path: Path) -> None:
    vm = machine(tmp_path, VM)
    assert vm == {"machine_id": HERE, "hostname": "coinpilot-ins", "os": "Ubuntu 22.04.5 LTS",
                  "architecture": "aarch64", "product": "OracleCloud.com, QEMU, KVM Virtual Machine",
                  "container": "", "wsl": False, "errors": {}}
    assert identity.describe(vm) == VM_WORDS


class Kernel(NamedTuple):
    marks: dict
    wsl: bool


@pytest.mark.parametrize("case", [
    Kernel({}, True),
    Kernel({"run/systemd/container": "wsl"}, True),
    Kernel({".dockerenv": "", "usr/bin/wslpath": ""}, True),
    Kernel({".dockerenv": ""}, False),
    Kernel({"run/systemd/container": "docker", ".dockerenv": ""}, False),
    Kernel({"run/.containerenv": ""}, False),
    Kernel({"proc/sys/kernel/osrelease": "6.8.0-azure", "proc/version": "Linux version 6.8.0-azure"}, False),
], ids=str)
def test_wsl_is_told_from_a_container_on_it(tmp_path: Path, case: Kernel) -> None:
    assert machine(tmp_path, {**WSL, **case.marks})["wsl"] is case.wsl


class Judged(NamedTuple):
    files: dict
    machine_id: str
    hostname: str
    status: str
    says: str


VM_WORDS = ("coinpilot-ins (OracleCloud.com, QEMU, KVM Virtual Machine, Ubuntu 22.04.5 LTS, aarch64, "
            "machine-id 3f2a90c1…)")
WSL_WORDS = "DESKTOP-7 (WSL, Ubuntu 22.04.5 LTS, aarch64, machine-id 91bc5a2e…)"


@pytest.mark.parametrize("case", [
    Judged(VM, HERE, "coinpilot-ins", "PASS", "host oci: " + VM_WORDS),
    Judged(VM, HERE, "", "PASS", "host oci: " + VM_WORDS),
    Judged(VM, THERE, "coinpilot-ins", "FAIL",
           "host oci: recorded as coinpilot-ins (machine-id 91bc5a2e…); the machine that answered is " + VM_WORDS
           + ". Nothing was changed. Check ansible_host of oci. If the VM was rebuilt on purpose: " + COMMAND),
    Judged(VM, HERE, "coinpilot-old", "FAIL",
           "host oci: recorded as coinpilot-old (machine-id 3f2a90c1…); the machine that answered is " + VM_WORDS
           + ": the same machine-id under another name is a renamed machine, or a copy of it"
           + ". Nothing was changed. If it was renamed on purpose: " + COMMAND),
    Judged(VM, "", "", "FAIL",
           "host oci: no identity is on record; the machine that answered is " + VM_WORDS
           + ". Nothing was changed. Look at it and put it on record: " + COMMAND),
    Judged(WSL, THERE, "DESKTOP-7", "FAIL",
           "host oci: the machine that answered is WSL, not the VM: " + WSL_WORDS
           + ". Nothing was changed. Put the VM's public address in ansible_host of oci"),
    Judged({**VM, "etc/machine-id": "uninitialized\n"}, HERE, "", "UNKNOWN",
           "host oci: could not be read: /etc/machine-id holds no id. "
           "Nothing was changed. Log in to oci and run: cat /etc/machine-id"),
    Judged({"etc/os-release": ""}, HERE, "", "UNKNOWN",
           "host oci: could not be read: No such file or directory: /etc/machine-id. "
           "Nothing was changed. Log in to oci and run: cat /etc/machine-id"),
], ids=lambda case: f"{case.status} {case.says[10:60]}")
def test_only_the_machine_on_record_passes(tmp_path: Path, case: Judged) -> None:
    finding = identity.judge(machine(tmp_path, case.files), "oci", case.machine_id, case.hostname, COMMAND)
    assert (finding.status, finding.line("en")) == (case.status, case.says)


def test_ids_that_begin_alike_are_shown_whole(tmp_path: Path) -> None:
    other = HERE[:8] + "0" * 24
    text = identity.judge(machine(tmp_path, VM), "oci", other, "", COMMAND).line("en")
    assert f"machine-id {other}" in text and f"machine-id {HERE}" in text


class FirstContact(NamedTuple):
    files: dict
    machine_id: str
    replace: bool
    status: str
    says: str


@pytest.mark.parametrize("case", [
    FirstContact(VM, "", False, "PASS", "host oci: " + VM_WORDS),
    FirstContact(VM, HERE, False, "PASS", "host oci: is on record already: " + VM_WORDS),
    FirstContact(VM, THERE, False, "FAIL",
                 "host oci: recorded as coinpilot-ins (machine-id 91bc5a2e…); the machine that answered is "
                 + VM_WORDS + ". The record was kept. If the VM was rebuilt on purpose: " + COMMAND
                 + " -e first_contact_replace=yes"),
    FirstContact(VM, THERE, True, "PASS", "host oci: " + VM_WORDS),
    FirstContact(WSL, "", True, "FAIL", "host oci: the machine that answered is WSL, not the VM: " + WSL_WORDS
                 + ". Nothing was changed. Put the VM's public address in ansible_host of oci"),
    FirstContact({}, "", True, "UNKNOWN", "host oci: could not be read: No such file or directory: /etc/machine-id. "
                 "Nothing was changed. Log in to oci and run: cat /etc/machine-id"),
], ids=lambda case: f"{case.status} {case.says[10:60]}")
def test_first_contact(tmp_path: Path, case: FirstContact) -> None:
    finding = identity.judge_first_contact(machine(tmp_path, case.files), "oci", case.machine_id, "coinpilot-ins",
                                           COMMAND, replace=case.replace)
    assert (finding.status, finding.line("en")) == (case.status, case.says)


@pytest.mark.parametrize("address", [
    "203.0.113.10", "192.0.2.1", "198.51.100.7", "2001:db8::1", "[2001:db8::1]", "<public-ip>", "<PUBLIC_IP>", "", " ",
    "your-vm-address", "CHANGE_ME", "0.0.0.0", "vm.example.com", "example", "{{ public_ip }}", "x.x.x.x", "TODO"])
def test_an_address_that_nobody_has(address: str) -> None:
    finding = identity.address_problem("oci", address)
    assert finding and finding.status == "FAIL" and "oci" in finding.line("ko")


@pytest.mark.parametrize("address", [
    "127.0.0.1", "10.0.0.4", "100.64.0.5", "oci", "coinpilot-ins", "vm.internal", "::1", "xenon"])
def test_an_address_that_somebody_may_have(address: str) -> None:
    assert identity.address_problem("oci", address) is None


@pytest.mark.parametrize(("line", "value"), [
    ('NAME="Debian GNU/Linux"', "Debian GNU/Linux"), ("NAME=arch", "arch"), ("NAME='a b'", "a b"),
    ('NAME="broken', '"broken'), ("# NAME=x", None), ("NAME", None)])
def test_os_release(line: str, value: Any) -> None:
    assert identity.os_release("ID=x\n" + line).get("NAME") == value


@given(st.text())
def test_any_os_release_is_read(text: str) -> None:
    identity.os_release(text)


@given(st.text())
def test_any_address_is_judged(text: str) -> None:
    identity.address_problem("oci", text)
