"""The host's room, memory, clock, units, updates and certificates: over recorded worlds, good and bad."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils import host_metrics, host_state, units
from ansible_collections.coinpilot.ops.plugins.module_utils.checklist_context import Context
from ansible_collections.coinpilot.ops.plugins.module_utils.engine import Engine
from ansible_collections.coinpilot.ops.plugins.module_utils.host_metrics import FileSystem
from ansible_collections.coinpilot.ops.plugins.module_utils.host_state import (
    DEFAULTS,
    Clock,
    Disk,
    Lists,
    Memory,
    World,
)
from ansible_collections.coinpilot.ops.plugins.module_utils.preflight_host_system import Updates

NOW = 1795395600.0
DAY = 86400
GIB = 1 << 30
DESCRIPTION: dict[str, Any] = {
    "name": "coinpilot", "unit": "coinpilot-compose.service", "directory": "/opt/coin-pilot/deploy/cloud/oci",
    "state_directory": "/var/lib/coinpilot", "backup_directory": "/var/backups/coinpilot",
    "log_directory": "/var/log/coinpilot",
}
ROOT = FileSystem("/", 50 * GIB, 30 * GIB, 1000000, 800000)
ENOUGH = Memory(12 * GIB, 6 * GIB, 4 * GIB, 4 * GIB, 0.0)
KEPT = Clock(True, 0.2, 0.0004)
FRESH = Updates(None, NOW, "6.8.0-1013-oracle", "6.8.0-1013-oracle", True, NOW)
CERTIFICATE = "/etc/letsencrypt/live/coinpilot/cert.pem"


def unit(name: str, **change: str) -> dict[str, str]:
    return {"Id": "coinpilot-" + name, "LoadState": "loaded", "UnitFileState": "enabled", "ActiveState": "active",
            "SubState": "running", "Result": "success", "ExecMainStatus": "0", "ConditionResult": "yes", **change}


METRICS, TIMER = unit("metrics.service"), unit("verify.timer", SubState="waiting")
GOOD = World([Disk(ROOT)], ENOUGH, 0.4, 2, KEPT, [METRICS, TIMER], FRESH, Lists(NOW - DAY, 0), {}, {})


def disk(**change: Any) -> World:
    return GOOD._replace(disks=[Disk(ROOT._replace(**change))])


def memory(**change: Any) -> World:
    return GOOD._replace(memory=ENOUGH._replace(**change))


def with_unit(*others: dict[str, str]) -> World:
    return GOOD._replace(units=[METRICS, TIMER, *others])


def unread(name: str, error: str = "Input/output error") -> World:
    change: dict[str, Any] = {name: None, "errors": {name: error}}
    return GOOD._replace(**change)


GOOD_WORLDS = [
    GOOD,
    disk(files=0, files_free=0),
    memory(swap=0, swap_free=0, stalls=None),
    memory(swap_free=3 * GIB),
    GOOD._replace(clock=Clock(True, 0.2, None)),
    # What keeps the clock was restarted a minute ago.
    GOOD._replace(clock=Clock(False, 0.5, None)),
    # A check that found something is not itself what failed.
    with_unit(unit("verify.service", UnitFileState="static", ActiveState="failed", Result="exit-code",
                   ExecMainStatus="1")),
    with_unit(unit("watch.service", UnitFileState="static", ActiveState="failed", Result="exit-code",
                   ExecMainStatus="3")),
    with_unit(unit("hardening-rollback.service", ActiveState="inactive", ConditionResult="no")),
    with_unit(unit("verify.service", UnitFileState="static", ActiveState="activating")),
    GOOD._replace(certificates={CERTIFICATE: NOW + 60 * DAY}),
]


@pytest.mark.parametrize("world", GOOD_WORLDS)
def test_a_good_world(world: World) -> None:
    found = host_state.judge(world, DESCRIPTION, NOW, DEFAULTS)
    assert [finding for finding in found if finding.status != "PASS"] == []
    assert {finding.id for finding in found} >= set(host_state.RULES) - {"inodes"}


@pytest.mark.parametrize(("world", "rule", "status", "words"), [
    (disk(available=9 * GIB), "disk", "WARN", "18 % free"),
    (disk(available=4 * GIB), "disk", "FAIL", "8 % free"),
    (disk(available=0), "disk", "FAIL", "0 % free"),
    (GOOD._replace(disks=[Disk(ROOT, read_only=True)]), "disk", "FAIL", "read-only"),
    (unread("disks"), "disk", "UNKNOWN", "Input/output error"),
    (disk(files_free=0), "inodes", "FAIL", "0 % free"),
    (disk(files_free=99999), "inodes", "FAIL", "9 % free"),
    (memory(available=GIB // 2), "memory", "FAIL", "4 % available"),
    (memory(stalls=35.5), "memory", "FAIL", "waited for memory 35.5 %"),
    (memory(swap_free=GIB), "swap", "WARN", "75 % of 4.0 GiB"),
    (GOOD._replace(load=12.3), "load", "WARN", "12.3 on 2 processors"),
    (unread("load"), "load", "UNKNOWN", "Input/output error"),
    (GOOD._replace(clock=Clock(True, 0.2, -2.5)), "clock", "FAIL", "-2.5 s off"),
    (GOOD._replace(clock=Clock(False, 16.0, None)), "clock", "WARN", "nothing keeps it right"),
    (unread("clock", "chronyc: 506 Cannot talk to daemon"), "clock", "UNKNOWN", "506"),
    (with_unit(unit("firewall.service", ActiveState="failed", Result="exit-code", ExecMainStatus="1")),
     "unit-of-stack", "FAIL", "failed (exit-code)"),
    (with_unit(unit("verify.service", UnitFileState="static", ActiveState="failed", Result="timeout")),
     "unit-of-stack", "FAIL", "failed (timeout)"),
    (with_unit(unit("verify.service", UnitFileState="static", ActiveState="failed", Result="exit-code",
                    ExecMainStatus="2")), "unit-of-stack", "FAIL", "failed (exit-code)"),
    (with_unit(unit("firewall.service", UnitFileState="disabled")), "unit-of-stack", "FAIL", "disabled, active"),
    (GOOD._replace(units=[METRICS, {**TIMER, "ActiveState": "inactive", "SubState": "dead"}]), "unit-of-stack", "FAIL",
     "enabled, inactive (dead)"),
    (GOOD._replace(units=[METRICS, {**TIMER, "UnitFileState": "masked", "ActiveState": "inactive"}]), "unit-of-stack",
     "FAIL", "masked"),
    (GOOD._replace(units=[METRICS, {"Id": "coinpilot-verify.timer", "LoadState": "not-found"}]), "unit-of-stack",
     "FAIL", "not installed"),
    (unread("units"), "unit-of-stack", "UNKNOWN", "Input/output error"),
    (GOOD._replace(updates=FRESH._replace(packages=("libc6",), since=NOW - DAY)), "host-reboot", "WARN", "libc6"),
    (GOOD._replace(updates=FRESH._replace(packages=("libc6",), since=NOW - 20 * DAY)), "host-reboot", "FAIL", "libc6"),
    (GOOD._replace(updates=FRESH._replace(automatic=False)), "host-reboot", "WARN", "by themselves"),
    (unread("updates"), "host-reboot", "UNKNOWN", "Input/output error"),
    (GOOD._replace(lists=Lists(NOW - DAY, 3)), "updates", "WARN", "3 security updates"),
    (GOOD._replace(lists=Lists(NOW - 9 * DAY, 0)), "updates", "WARN", "not looked for since"),
    # What was not counted is not none.
    (GOOD._replace(lists=Lists(NOW - DAY, None)), "updates", "UNKNOWN", "no archive of security updates"),
    (GOOD._replace(lists=Lists(None, None)), "updates", "UNKNOWN", "no lists"),
    (unread("lists", "apt-get: E: dpkg was interrupted"), "updates", "UNKNOWN", "dpkg was interrupted"),
    (GOOD._replace(certificates={CERTIFICATE: NOW + 3 * DAY}), "certificate", "WARN", "ends in 3 days"),
    (GOOD._replace(certificates={CERTIFICATE: NOW - DAY}), "certificate", "FAIL", "has ended"),
    (GOOD._replace(certificates={CERTIFICATE: "cut short"}), "certificate", "UNKNOWN", "cut short"),
])
def test_a_bad_world(world: World, rule: str, status: str, words: str) -> None:
    """Its own line, and no other."""
    bad = [finding for finding in host_state.judge(world, DESCRIPTION, NOW, DEFAULTS) if finding.status != "PASS"]
    assert [(finding.id, finding.status) for finding in bad] == [(rule, status)]
    assert words in bad[0].seen.en
    assert bad[0].fix.en and bad[0].fix.ko and bad[0].seen.ko


def test_memory_that_cannot_be_read_tells_nothing_of_swap() -> None:
    found = host_state.judge(unread("memory"), DESCRIPTION, NOW, DEFAULTS)
    assert {finding.id for finding in found if finding.status == "UNKNOWN"} == {"memory", "swap"}


def test_mounts(monkeypatch: pytest.MonkeyPatch) -> None:
    """From an Ubuntu host with containers, and a disk of its own for them."""
    monkeypatch.setattr(os.path, "isdir", lambda path: path != "/etc/hosts")
    text = "\n".join((
        "29 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,discard",
        "30 29 8:15 / /boot/efi rw,relatime shared:2 - vfat /dev/sda15 rw",
        "31 29 8:16 / /boot rw,relatime - ext4 /dev/sda16 rw",
        "32 29 8:32 / /var/lib/docker rw,relatime - ext4 /dev/sdb rw",
        "33 29 8:33 / /mnt/with\\040blank rw,relatime - xfs /dev/sdc rw",
        "34 29 0:25 / /run rw,nosuid - tmpfs tmpfs rw", "35 34 0:26 / /run/user/1000 rw - tmpfs tmpfs rw",
        "36 29 0:27 / /dev/shm rw - tmpfs tmpfs rw", "37 29 7:1 / /snap/core20/1 ro - squashfs /dev/loop1 ro",
        "38 32 0:50 / /var/lib/docker/overlay2/abc/merged rw - overlay overlay rw",
        "39 32 0:51 / /var/lib/docker/containers/abc/mounts/shm rw - tmpfs shm rw",
        "40 29 0:60 / /mnt/nas rw - nfs4 nas:/ rw", "41 29 8:1 /x /etc/hosts rw - ext4 /dev/sda1 rw",
        "42 29 9:9 / /media/cdrom ro - iso9660 /dev/sr0 ro", "43 29 0:3 net:[4026532354] /run/docker/netns/1 rw - nsfs "
        "nsfs rw", "nonsense", "1 2 3:4 / /x rw -", ""))
    assert list(host_state.mounts_of(text)) == ["/", "/boot/efi", "/boot", "/var/lib/docker", "/mnt/with blank", "/run"]


@pytest.mark.parametrize(("text", "expected"), [
    ("some avg10=1.07 avg60=1.51 avg300=2.14 total=1\nfull avg10=0.00 avg60=12.50 avg300=0.44 total=5\n", 12.5),
    ("", None), ("some avg10=1.07 avg60=1.51 avg300=2.14 total=1\n", None),
])
def test_stalls(text: str, expected: float | None) -> None:
    assert host_state.stalls_of(text) == expected


def test_the_offset_that_chrony_tells() -> None:
    line = ("A9FEA9FE,169.254.169.254,3,1795395500.123456789,-0.000012345,0.000003,0.00001,-5.2,0.001,0.02,0.0004,"
            "0.0002,64.5,Normal\n")
    assert host_state.offset_of(line) == -0.000012345
    assert host_state.offset_of("00000000,,0,0.000000000,0.000000000,0,0,0,0,0,1,1,0,Not synchronised\n") is None
    with pytest.raises(ValueError):
        host_state.offset_of("506 Cannot talk to daemon\n")


def test_the_disk_says_both_of_its_limits() -> None:
    found = host_state.judge(disk(available=9 * GIB), DESCRIPTION, NOW, DEFAULTS)
    assert found[0].expected == ("20 % or more free; under 10 % fails", "여유 20% 이상, 10% 미만이면 실패")


def test_the_units_that_there_must_be() -> None:
    """Those that roles/daily_verify and roles/monitoring switch on."""
    names = ["docker.service", *("coinpilot-" + name for name in ("metrics.service", "verify.timer", "watch.timer"))]
    assert host_state.required(DESCRIPTION) == names


# What apt said of an Ubuntu 24.04 (with ESM), a Debian 12 and a Debian 10.
UBUNTU = """\
NOTE: This is only a simulation!
Reading package lists...
The following packages will be upgraded:
  libssl3t64 libapache2-mod-security2 linux-image-oracle
Inst libssl3t64 [3.0.13-0ubuntu3.4] (3.0.13-0ubuntu3.6 Ubuntu:24.04/noble-updates, Ubuntu:24.04/noble-security [amd64])
Inst libapache2-mod-security2 [2.9.7-1build3] (2.9.7-1build4 Ubuntu:24.04/noble-updates [amd64])
Inst docker-ce [5:27.3.0-1] (5:27.3.1-1 Docker CE:noble [amd64])
Inst linux-image-6.8.0-1015-oracle (6.8.0-1015.15 Ubuntu:24.04/noble-security [amd64])
Inst linux-image-oracle [6.8.0-1013.13] (6.8.0-1015.15 Ubuntu:24.04/noble-security [amd64]) []
Inst ffmpeg [7:6.1.1-3ubuntu5] (7:6.1.1-3ubuntu5+esm1 UbuntuESMApps:24.04/noble-apps-security [amd64])
Conf libssl3t64 (3.0.13-0ubuntu3.6 Ubuntu:24.04/noble-updates, Ubuntu:24.04/noble-security [amd64])
"""
DEBIAN = """\
Inst libgcrypt20 [1.10.1-3] (1.10.1-3+deb12u1 Debian:12.15/oldstable, Debian-Security:12/oldstable-security [amd64])
Inst liblzma-dev [5.4.1-1] (5.4.1-1+deb12u2 Debian-Security:12/oldstable-security [amd64]) []
Inst base-files [12.4+deb12u11] (12.4+deb12u15 Debian:12.15/oldstable [amd64])
Inst bash [5.0-4] (5.0-4+deb10u1 Debian-Security:10/oldoldstable [amd64])
"""


@pytest.mark.parametrize(("said", "count"), [(UBUNTU, 4), (DEBIAN, 3), ("", 0), ("Reading package lists...\n", 0)])
def test_what_apt_says_of_updates(said: str, count: int) -> None:
    assert host_state.security_of(said) == count


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directories of apt and dpkg; how often it was asked is in ``asked``."""
    lists, status = tmp_path / "lists", tmp_path / "status"
    lists.mkdir()
    (lists / "archive_dists_noble-security_InRelease").write_text("", encoding="utf-8")
    status.write_text("", encoding="utf-8")

    def run(*_arguments: str) -> str:
        with open(tmp_path / "asked", "a", encoding="utf-8") as asked:
            asked.write("x")
        return UBUNTU

    monkeypatch.setattr(host_state, "_LISTS", str(lists))
    monkeypatch.setattr(host_state, "_LOOKED", (str(lists),))
    monkeypatch.setattr(host_state, "_DEPENDS_ON", (str(lists), str(status)))
    monkeypatch.setattr(host_state, "run", run)
    return tmp_path


def asked(apt: Path) -> int:
    return len((apt / "asked").read_text(encoding="utf-8"))


def test_apt_is_asked_again_when_its_answer_may_be_another(apt: Path) -> None:
    """And when what was kept of it is damaged."""
    kept = apt / "kept.json"
    os.utime(apt / "lists", (NOW, NOW))
    for _ in range(2):
        assert host_state._lists(str(kept)) == Lists(NOW, 4)
    assert (asked(apt), stat.S_IMODE(kept.stat().st_mode)) == (1, 0o600)
    for number, path in enumerate((apt / "lists", apt / "status"), 2):
        os.utime(path, (NOW + number, NOW + number))
        assert host_state._lists(str(kept)).security == 4
        assert asked(apt) == number
    for number, damage in enumerate(("{", "[]", '{"state": 5}', "5"), 4):
        kept.write_text(damage, encoding="utf-8")
        assert host_state._lists(str(kept)).security == 4
        assert asked(apt) == number


def test_who_cannot_keep_what_apt_said_asks_each_time(apt: Path) -> None:
    for number in (1, 2):
        assert host_state._lists(str(apt / "none/kept.json")).security == 4
        assert asked(apt) == number


def test_without_an_archive_of_security_nothing_was_counted(apt: Path) -> None:
    (apt / "lists/archive_dists_noble-security_InRelease").rename(apt / "lists/archive_dists_noble_InRelease")
    assert host_state._lists(str(apt / "kept.json")).security is None
    (apt / "lists/archive_dists_noble_InRelease").unlink()
    assert host_state._lists(str(apt / "kept.json")) == Lists(None, None)


def test_reading_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it lacks is UNKNOWN, and nothing is raised."""
    (tmp_path / "cert.pem").write_text("no certificate", encoding="utf-8")
    monkeypatch.setattr(host_metrics, "CERTIFICATES", (str(tmp_path / "*.pem"),))
    monkeypatch.setattr(host_state, "_KEPT", str(tmp_path / "%s-updates.json"))

    def silent(*_names: str) -> Any:
        raise units.Unread("systemctl: TimeoutExpired")

    monkeypatch.setattr(units, "installed", silent)
    found = host_state.read(Context(DESCRIPTION, Engine("/nonexistent"), NOW, "daily", NOW - DAY, None), {"load": 500})
    by_rule = {finding.id: finding for finding in found}
    assert set(by_rule) >= set(host_state.RULES) - {"inodes"}
    assert by_rule["disk"].status in ("PASS", "WARN", "FAIL")
    assert by_rule["load"].status == "PASS"
    assert by_rule["unit-of-stack"].seen.en == "could not be read: systemctl: TimeoutExpired"
    assert by_rule["certificate"].status == "UNKNOWN"


def test_nothing_to_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_arguments: Any, **_options: Any) -> Any:
        raise OSError(5, "Input/output error")

    for name in ("_disks", "_memory", "_clock", "_units", "_lists"):
        monkeypatch.setattr(host_state, name, broken)
    monkeypatch.setattr(host_state.preflight_host_system, "read_updates", broken)
    monkeypatch.setattr(os, "getloadavg", broken)
    found = host_state.judge(host_state.gather(DESCRIPTION), DESCRIPTION, NOW, DEFAULTS)
    assert {finding.status for finding in found if finding.id != "certificate"} == {"UNKNOWN"}
