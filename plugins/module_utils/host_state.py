# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Has the host room, memory and the right time, and is it looked after? `gather` reads, `judge` is pure.

The limits are those of the alert rules; here it is what the host says now, also while nothing watches it.
"""

from __future__ import annotations

import contextlib
import ctypes
import glob
import json
import os
import re
import subprocess
import time
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional

from . import certificate, files, host_metrics, preflight_host_system, units
from .checklist_context import Context
from .container import one_line
from .findings import DEPLOY, FAIL, MEDIUM, PASS, UNKNOWN, WARN, Case, Finding, Rule, Text, size_text, table
from .host_metrics import FileSystem
from .moments import span
from .preflight_host_commands import run, there
from .preflight_host_rules import RULES as PREFLIGHT_RULES
from .preflight_host_system import Updates

# Percent free, the load of one processor, percent of the time in which nothing went on for want of memory, seconds,
# days.
DEFAULTS: Mapping[str, Any] = {
    "disk_least": 10, "disk_low": 20, "inodes_least": 10, "memory_least": 8, "swap_used": 50, "memory_stalls": 10,
    "load": 4, "clock_error": 10, "clock_offset": 1, "certificate_days": 14, "lists_days": 7,
}

_DAY = 86400.0
# What the kernel says of a clock that nothing keeps, and of an offset in nanoseconds.
_UNSYNCHRONISED, _NANOSECONDS = 0x40, 0x2000
# File systems that are memory or the kernel's own, where nothing of the host's is kept; and those of other machines,
# which may never answer.
_PASSED_OVER = ("proc", "sysfs", "cgroup", "cgroup2", "devtmpfs", "devpts", "mqueue", "hugetlbfs", "debugfs", "tracefs",
                "securityfs", "pstore", "bpf", "configfs", "fusectl", "nsfs", "autofs", "binfmt_misc", "rpc_pipefs",
                "efivarfs", "ramfs", "squashfs", "iso9660", "fuse.snapfuse", "fuse.lxcfs", "nfs", "nfs4", "cifs",
                "overlay")
_LISTS = "/var/lib/apt/lists"
# What changes whenever apt has looked for updates; the lists themselves bear the servers' dates.
_LOOKED = ("/var/lib/apt/periodic/update-success-stamp", _LISTS + "/partial", _LISTS)
# What waits depends on these two alone. apt takes a second or more to work it out: the answer is kept until one of them
# changes, where a reboot clears it.
_DEPENDS_ON = (_LISTS, "/var/lib/dpkg/status")
_KEPT = "/run/%s-updates.json"
# An archive of security updates: Ubuntu's, also those of ESM, Debian's of today, and Debian's of before.
_SECURITY = re.compile(r"\(.*(?:/[^\s,]+-security[\s,]|Debian-Security:)")
# A unit that runs a check ends with these when the check found something; that is no failure of its own.
_CHECKS, _FOUND = ("verify", "watch"), ("1", "3")

_LOOK = Text("run it again as root: sudo coinpilot-ops verify; if it stays so, look for errors of the host: sudo dmesg "
             "--level=err,warn | tail",
             "root로 다시 실행하세요: sudo coinpilot-ops verify. 계속되면 호스트의 오류를 확인하세요: sudo dmesg "
             "--level=err,warn | tail")
_MAKE_ROOM = Text("see what is large: docker system df; sudo du -xh --max-depth=2 {subject} | sort -h | tail; unused "
                  "images: docker image prune; never prune volumes: they hold the data",
                  "큰 것을 확인하세요: docker system df; sudo du -xh --max-depth=2 {subject} | sort -h | tail. 안 쓰는 "
                  "이미지: docker image prune. 볼륨에는 데이터가 있으니 지우지 마세요")
_FREE_MEMORY = Text("see who uses it: docker stats --no-stream; ps -eo rss,args --sort=-rss | head; then restart what "
                    "has grown: docker restart NAME",
                    "무엇이 쓰는지 확인하세요: docker stats --no-stream; ps -eo rss,args --sort=-rss | head. 그다음 "
                    "사용량이 늘어난 것을 재시작하세요: docker restart 이름")
_RENEW = Text("renew it as your reverse proxy does, e.g. sudo certbot renew",
              "사용 중인 리버스 프록시의 방법으로 갱신하세요. 예: sudo certbot renew")
# Without the option what needs a new package, as a kernel does, is kept back.
_UPDATE = Text("sudo apt-get update && sudo apt-get upgrade --with-new-pkgs; if it is so again, see why they do not "
               "come by themselves: systemctl status apt-daily.timer apt-daily-upgrade.timer --no-pager",
               "sudo apt-get update && sudo apt-get upgrade --with-new-pkgs. 반복되면 자동으로 설치되지 않는 원인을 "
               "확인하세요: systemctl status apt-daily.timer apt-daily-upgrade.timer --no-pager")

RULES = table(
    Rule("disk", Text("disk", "디스크"),
         Text("{low} % or more free; under {least} % fails", "여유 {low}% 이상, {least}% 미만이면 실패"), {
        "room": Case(PASS, Text("{percent} % free ({free})", "여유 {percent}%({free})")),
        "low": Case(WARN, Text("{percent} % free ({free})", "여유 {percent}%({free})"), _MAKE_ROOM),
        "full": Case(FAIL, Text("{percent} % free ({free})", "여유 {percent}%({free})"), _MAKE_ROOM),
        "read-only": Case(FAIL, Text("mounted read-only: nothing can be written", "읽기 전용이라 쓸 수 없음"),
                          Text("look for errors of the disk: sudo dmesg --level=err,warn | tail; without any: sudo "
                               "systemctl reboot, which checks and mounts it anew",
                               "디스크 오류를 확인하세요: sudo dmesg --level=err,warn | tail. 오류가 없으면 "
                               "재부팅하세요(검사한 뒤 다시 마운트됨): sudo systemctl reboot")),
    }, _LOOK),
    Rule("inodes", Text("inodes", "inode"), Text("{least} % or more free", "여유 {least}% 이상"), {
        "room": Case(PASS, Text("{percent} % free", "여유 {percent}%")),
        "few": Case(FAIL, Text("{percent} % free: hardly a file can be made", "여유 {percent}%: 새 파일 생성이 어려움"),
                    Text("find where the many files are, and delete those that nothing needs: sudo du -x --inodes "
                         "--max-depth=3 {subject} | sort -n | tail; unused images: docker image prune",
                         "파일이 많은 곳을 찾아 필요 없는 것을 지우세요: sudo du -x --inodes --max-depth=3 {subject} | "
                         "sort -n | tail. 안 쓰는 이미지: docker image prune")),
    }, _LOOK),
    Rule("memory", Text("memory", "메모리"), Text("{least} % or more available", "사용 가능 {least}% 이상"), {
        "enough": Case(PASS, Text("{percent} % available ({free} of {total})",
                                  "{percent}% 사용 가능({total} 중 {free})")),
        "short": Case(FAIL, Text("{percent} % available ({free} of {total})",
                                 "{percent}% 사용 가능({total} 중 {free})"), _FREE_MEMORY),
        "stalls": Case(FAIL, Text("everything waited for memory {stalls} % of the last minute",
                                  "최근 1분의 {stalls}% 동안 메모리가 모자라 모든 작업이 멈춤"), _FREE_MEMORY),
    }, _LOOK),
    Rule("swap", Text("swap", "스왑"), Text("at most {most} % in use", "사용 {most}% 이하"), {
        "none": Case(PASS, Text("there is none", "없음")),
        "quiet": Case(PASS, Text("{percent} % of {total} in use", "{total} 중 {percent}% 사용")),
        "used": Case(WARN, Text("{percent} % of {total} in use: memory has run short",
                                "{total} 중 {percent}% 사용: 메모리가 부족했음"),
                     Text("see who uses it: docker stats --no-stream; lower memory in stack_service_overrides, or use "
                          "a larger VM",
                          "무엇이 쓰는지 확인하세요: docker stats --no-stream. stack_service_overrides에서 memory를 "
                          "줄이거나 더 큰 VM을 쓰세요")),
    }, _LOOK),
    Rule("load", Text("load", "부하"), Text("at most {most} for each processor in 15 minutes",
                                          "15분 평균이 프로세서당 {most} 이하"), {
        "bearable": Case(PASS, Text("{load} on {cores} processors", "{load}(프로세서 {cores}개)")),
        "high": Case(WARN, Text("{load} on {cores} processors", "{load}(프로세서 {cores}개)"),
                     Text("see what is at work: top -b -n 1 | head -n 20; docker stats --no-stream; restart what runs "
                          "wild: docker restart NAME; if all of it is wanted, use a larger VM",
                          "무엇이 실행 중인지 확인하세요: top -b -n 1 | head -n 20; docker stats --no-stream. 비정상인 "
                          "서비스는 docker restart 이름으로 재시작하고, 모두 정상이면 더 큰 VM을 쓰세요")),
    }, _LOOK),
    Rule("clock", Text("clock", "시계"), Text("kept right, to {most} s", "동기화되어 오차 {most}초 이하"), {
        "kept": Case(PASS, Text("synchronised", "동기화됨")),
        "measured": Case(PASS, Text("synchronised, {offset} s off", "동기화됨, 오차 {offset}초")),
        "off": Case(FAIL, Text("{offset} s off: exchanges refuse requests with a wrong time",
                               "오차 {offset}초: 시간이 어긋나면 거래소가 요청을 거부함"),
                    Text("sudo chronyc makestep (without chrony: sudo systemctl restart systemd-timesyncd); then see: "
                         "timedatectl",
                         "sudo chronyc makestep(chrony가 없으면 sudo systemctl restart systemd-timesyncd) 후 "
                         "timedatectl로 확인하세요")),
        "unkept": Case(WARN, Text("nothing keeps it right: it may be {error} s off or more",
                                  "시계를 맞추는 것이 없음: {error}초 이상 어긋날 수 있음"),
                       Text("sudo systemctl enable --now chrony (without chrony: systemd-timesyncd); then see: "
                            "timedatectl",
                            "sudo systemctl enable --now chrony(chrony가 없으면 systemd-timesyncd) 후 timedatectl로 "
                            "확인하세요")),
    }, Text("sudo systemctl restart chrony; then see: chronyc tracking",
            "sudo systemctl restart chrony 후 chronyc tracking으로 확인하세요")),
    Rule("unit-of-stack", Text("systemd unit", "systemd 유닛"),
         Text("enabled, at work, and not failed", "enabled 상태로 동작하고 실패하지 않음"), {
        "all": Case(PASS, Text("{count} units at work", "유닛 {count}개 정상")),
        "failed": Case(FAIL, Text("failed ({result})", "실패({result})"),
                       Text("see why: sudo journalctl -u {subject} -n 50; then: sudo systemctl restart {subject}",
                            "원인 확인: sudo journalctl -u {subject} -n 50. 그다음: sudo systemctl restart {subject}")),
        "down": Case(FAIL, Text("{state}", "{state}"),
                     Text("sudo systemctl enable --now {subject}; if it fails: sudo journalctl -u {subject} -n 50",
                          "sudo systemctl enable --now {subject}. 실패하면: sudo journalctl -u {subject} -n 50")),
        "absent": Case(FAIL, Text("is not installed", "설치되지 않음"), DEPLOY),
    }, _LOOK),
    PREFLIGHT_RULES["host-reboot"],
    Rule("updates", Text("pending updates", "대기 중인 업데이트"),
         Text("no security update waits, and the lists are of the last {days} days",
              "대기 중인 보안 업데이트가 없고, 목록이 최근 {days}일 안에 갱신됨"), {
        "none": Case(PASS, Text("none; lists of {at}", "없음. 목록 갱신: {at}")),
        "security": Case(WARN, Text("{security} security updates wait", "보안 업데이트 {security}개 대기"), _UPDATE),
        "no-archive": Case(UNKNOWN, Text("apt knows no archive of security updates",
                                         "apt에 보안 업데이트 저장소가 없음"),
                           Text("add the one of the distribution (its name ends in -security) below "
                                "/etc/apt/sources.list.d, then: sudo apt-get update",
                                "배포판의 보안 저장소(이름이 -security로 끝남)를 /etc/apt/sources.list.d에 추가한 뒤: "
                                "sudo apt-get update")),
        "stale": Case(WARN, Text("not looked for since {at}", "{at} 이후 확인하지 않음"), _UPDATE),
    }, _UPDATE, MEDIUM),
    Rule("certificate", Text("certificate", "인증서"), Text("valid for {days} days or more", "{days}일 이상 유효"), {
        "none": Case(PASS, Text("no reverse proxy has one here", "리버스 프록시의 인증서 없음")),
        "valid": Case(PASS, Text("valid for {left}", "{left} 남음")),
        "ending": Case(WARN, Text("ends in {left}", "{left} 뒤 만료"), _RENEW),
        "ended": Case(FAIL, Text("has ended", "만료됨"), _RENEW),
    }, Text("see whether it is one: sudo openssl x509 -noout -enddate -in {subject}; if not, make it anew, e.g. sudo "
            "certbot renew --force-renewal",
            "인증서가 맞는지 확인하세요: sudo openssl x509 -noout -enddate -in {subject}. 아니면 새로 발급하세요. 예: "
            "sudo certbot renew --force-renewal")),
)


class Disk(NamedTuple):
    system: FileSystem
    read_only: bool = False


class Memory(NamedTuple):
    """Bytes; ``stalls`` is the percentage of the last minute, None where the kernel does not count it."""

    total: int
    available: int
    swap: int
    swap_free: int
    stalls: Optional[float]


class Clock(NamedTuple):
    """``error`` is by how many seconds it may be wrong; ``offset`` by how many it is, None where nobody says."""

    kept: bool
    error: float
    offset: Optional[float]


class Lists(NamedTuple):
    """When apt last looked (None: never), and how many updates of security wait (None: it has no archive of them)."""

    at: Optional[float]
    security: Optional[int]


class World(NamedTuple):
    """What could not be read is None, and ``errors`` says why. ``certificates``: path -> when it ends, or an error."""

    disks: Optional[List[Disk]]
    memory: Optional[Memory]
    load: Optional[float]
    cores: int
    clock: Optional[Clock]
    units: Optional[List[Dict[str, str]]]
    updates: Optional[Updates]
    lists: Optional[Lists]
    certificates: Mapping[str, Any]
    errors: Mapping[str, str]


def read(context: Context, options: Mapping[str, Any]) -> List[Finding]:
    """The reader of the checklist."""
    return judge(gather(context.description), context.description, context.now, {**DEFAULTS, **options})


# Reading -------------------------------------------------------------------------------------------------------------

def gather(description: Mapping[str, Any]) -> World:
    errors: Dict[str, str] = {}

    def reading(name: str, function: Callable[[], Any]) -> Any:
        try:
            return function()
        except (OSError, ValueError, LookupError, units.Unread, subprocess.SubprocessError) as problem:
            errors[name] = one_line(str(problem)) or type(problem).__name__
            return None

    return World(
        disks=reading("disks", lambda: _disks(description)),
        memory=reading("memory", _memory),
        load=reading("load", lambda: os.getloadavg()[2]),
        cores=len(os.sched_getaffinity(0)),
        clock=reading("clock", _clock),
        units=reading("units", lambda: _units(description)),
        updates=reading("updates", preflight_host_system.read_updates),
        lists=reading("lists", lambda: _lists(_KEPT % description["name"])),
        certificates={path: _certificate(path) for pattern in host_metrics.CERTIFICATES for path in glob.glob(pattern)},
        errors=errors)


def _disks(description: Mapping[str, Any]) -> List[Disk]:
    """The file systems of the host, each once: those that hold what the stack keeps, and all others in use."""
    paths = ["/", description["directory"], description["state_directory"], description["backup_directory"],
             description["log_directory"], host_metrics.DOCKER_ROOT]
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
        paths += mounts_of(file.read())
    found: Dict[int, Disk] = {}
    for system in host_metrics.file_systems(tuple(paths)):
        found.setdefault(os.stat(system.path).st_dev, Disk(system, bool(os.statvfs(system.path).f_flag & os.ST_RDONLY)))
    return list(found.values())


def mounts_of(text: str) -> Iterator[str]:
    """Where file systems are mounted in which the host keeps something; those of containers are Docker's."""
    for line in text.splitlines():
        before, _dash, after = line.partition(" - ")
        fields, kind = before.split(), after.split(None, 1)[:1]
        if len(fields) < 6 or not kind or kind[0] in _PASSED_OVER or kind[0].startswith("fuse.") \
                or "ro" in fields[5].split(","):
            continue
        # The kernel writes a blank as \040.
        path = fields[4].replace("\\040", " ")
        under = ("/proc/", "/sys/", "/dev", "/run/", host_metrics.DOCKER_ROOT + "/", "/snap/", "/var/lib/containerd/")
        if not path.startswith(under) and os.path.isdir(path):
            yield path


def _memory() -> Memory:
    with open("/proc/meminfo", encoding="ascii") as file:
        sizes = {name: int(value.split()[0]) * 1024 for name, value in (line.split(":", 1) for line in file)}
    return Memory(sizes["MemTotal"], sizes["MemAvailable"], sizes["SwapTotal"], sizes["SwapFree"],
                  stalls_of(files.read_text("/proc/pressure/memory") or ""))


def stalls_of(text: str) -> Optional[float]:
    """The percentage of the last minute in which nothing at all went on for want of memory."""
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["full"]:
            return float(dict(word.split("=", 1) for word in words[1:])["avg60"])
    return None


class _Timex(ctypes.Structure):
    """The begin of the kernel's `struct timex`; what follows is of no interest, but must have its room."""

    _fields_ = [("modes", ctypes.c_uint), ("offset", ctypes.c_long), ("frequency", ctypes.c_long),
                ("greatest_error", ctypes.c_long), ("estimated_error", ctypes.c_long), ("status", ctypes.c_int),
                ("rest", ctypes.c_long * 32)]


def _clock() -> Clock:
    # Whatever keeps the clock tells the kernel so.
    timex = _Timex()
    if ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex)) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    kept = not timex.status & _UNSYNCHRONISED
    if there("chronyc"):
        return Clock(kept, timex.greatest_error / 1e6, offset_of(run("chronyc", "-c", "tracking", timeout=3)))
    # What systemd-timesyncd has yet to make up for. While nothing keeps the clock it is a rest of before.
    unit = 1e9 if timex.status & _NANOSECONDS else 1e6
    return Clock(kept, timex.greatest_error / 1e6, timex.offset / unit if kept else None)


def offset_of(tracking: str) -> Optional[float]:
    """The offset that `chronyc -c tracking` tells, in seconds; None while it has no source."""
    fields = tracking.strip().split(",")
    # Reference, its name, stratum, its time, offset of the system's clock, ...
    if len(fields) < 5:
        raise ValueError("chronyc says nothing that could be used")
    return None if fields[0] in ("00000000", "7F7F0101") else float(fields[4])


def _units(description: Mapping[str, Any]) -> List[Dict[str, str]]:
    """Docker and the stack's own units; that which starts the services is told of by the health of the stack."""
    needed = required(description)
    others = set(units.installed(description["name"] + "-*")) - {description["unit"], *needed}
    return units.show(*needed, *sorted(others))


def required(description: Mapping[str, Any]) -> List[str]:
    """The units that there must be."""
    own = ("%s-%s" % (description["name"], name) for name in ("metrics.service", "verify.timer", "watch.timer"))
    return ["docker.service", *own]


def _lists(kept: str) -> Lists:
    times = [os.stat(path).st_mtime for path in _LOOKED if os.path.exists(path)]
    if not times or not glob.glob(_LISTS + "/*Release"):
        return Lists(None, None)
    return Lists(max(times), _security(kept) if glob.glob(_LISTS + "/*-security_*Release") else None)


def _security(kept: str) -> int:
    """How many updates of security wait, as apt says; from what was kept of its answer, where that still holds."""
    state = [os.stat(path).st_mtime_ns for path in _DEPENDS_ON]
    with contextlib.suppress(ValueError, LookupError, TypeError):
        known = json.loads(files.read_text(kept) or "{}")
        if known["state"] == state:
            return int(known["security"])
    # What these archives have is preferred, or a newer version from another one would hide it.
    waiting = security_of(run("apt-get", "--simulate", "--option", "Debug::NoLocking=1", "--target-release",
                              "/-security$/", "dist-upgrade"))
    # Who may not write there asks apt each time.
    with contextlib.suppress(OSError):
        files.write(files.File(kept, json.dumps({"state": state, "security": waiting}) + "\n", 0o600))
    return waiting


def security_of(simulated: str) -> int:
    """How many of the packages that apt would install come from an archive of security updates."""
    return sum(line.startswith("Inst ") and bool(_SECURITY.search(line)) for line in simulated.splitlines())


def _certificate(path: str) -> Any:
    try:
        return certificate.expires_at(files.read_text(path) or "")
    except (OSError, ValueError) as problem:
        return one_line(str(problem)) or type(problem).__name__


# Judging -------------------------------------------------------------------------------------------------------------

def judge(world: World, description: Mapping[str, Any], now: float, options: Mapping[str, Any]) -> List[Finding]:
    return [*_judge_disks(world, options), *_judge_memory(world, options), *_judge_load(world, options),
            _judge_clock(world, options), *_judge_units(world, description), *_judge_updates(world, now, options),
            *_judge_certificates(world, now, options)]


def _judge_disks(world: World, options: Mapping[str, Any]) -> Iterator[Finding]:
    limits = {"least": options["disk_least"], "low": options["disk_low"]}
    if world.disks is None:
        yield RULES["disk"].unread(world.errors["disks"], **limits)
        return
    for disk in world.disks:
        system = disk.system
        if disk.read_only:
            yield RULES["disk"].finding("read-only", system.path, **limits)
        elif system.size:
            percent = 100 * system.available / system.size
            case = "full" if percent < options["disk_least"] else "low" if percent < options["disk_low"] else "room"
            yield RULES["disk"].finding(case, system.path, percent=int(percent), free=size_text(system.available),
                                        **limits)
        # Some file systems count none.
        if system.files:
            percent = 100 * system.files_free / system.files
            yield RULES["inodes"].finding("few" if percent < options["inodes_least"] else "room", system.path,
                                          percent=int(percent), least=options["inodes_least"])


def _judge_memory(world: World, options: Mapping[str, Any]) -> Iterator[Finding]:
    memory, least, most = world.memory, options["memory_least"], options["swap_used"]
    if memory is None or not memory.total:
        for rule in ("memory", "swap"):
            yield RULES[rule].unread(world.errors.get("memory", "-"), least=least, most=most)
        return
    percent = 100 * memory.available / memory.total
    stalled = memory.stalls is not None and memory.stalls >= options["memory_stalls"]
    yield RULES["memory"].finding("short" if percent < least else "stalls" if stalled else "enough",
                                  percent=int(percent), free=size_text(memory.available),
                                  total=size_text(memory.total), stalls=memory.stalls, least=least)
    if not memory.swap:
        yield RULES["swap"].finding("none", most=most)
        return
    used = 100 * (memory.swap - memory.swap_free) / memory.swap
    yield RULES["swap"].finding("used" if used > most else "quiet", percent=int(used), total=size_text(memory.swap),
                                most=most)


def _judge_load(world: World, options: Mapping[str, Any]) -> Iterator[Finding]:
    most = options["load"]
    if world.load is None:
        yield RULES["load"].unread(world.errors["load"], most=most)
    else:
        yield RULES["load"].finding("high" if world.load > most * world.cores else "bearable", most=most,
                                    load="%.1f" % world.load, cores=world.cores)


def _judge_clock(world: World, options: Mapping[str, Any]) -> Finding:
    clock, most = world.clock, options["clock_offset"]
    if clock is None:
        return RULES["clock"].unread(world.errors["clock"], most=most)
    if clock.offset is not None and abs(clock.offset) > most:
        return RULES["clock"].finding("off", offset="%.1f" % clock.offset, most=most)
    # What keeps it may just have been restarted; the kernel counts up what may be wrong meanwhile.
    if not clock.kept and clock.error > options["clock_error"]:
        return RULES["clock"].finding("unkept", error=int(clock.error), most=most)
    if clock.offset is None:
        return RULES["clock"].finding("kept", most=most)
    return RULES["clock"].finding("measured", offset="%.3f" % clock.offset, most=most)


def _judge_units(world: World, description: Mapping[str, Any]) -> Iterator[Finding]:
    rule = RULES["unit-of-stack"]
    if world.units is None:
        yield rule.unread(world.errors["units"])
        return
    found = []
    for unit in world.units:
        case = _case_of(unit, description)
        if case:
            found.append(rule.finding(case, unit.get("Id", "-"), result=unit.get("Result"), state=units.state(unit)))
    yield from found or [rule.finding("all", count=len(world.units))]


def _case_of(unit: Mapping[str, str], description: Mapping[str, Any]) -> str:
    name = unit.get("Id", "")
    if unit.get("LoadState") == "not-found":
        return "absent"
    if unit.get("ActiveState") == "failed":
        check = name.startswith(tuple("%s-%s" % (description["name"], word) for word in _CHECKS))
        found_something = unit.get("Result") == "exit-code" and unit.get("ExecMainStatus") in _FOUND
        return "" if check and found_something else "failed"
    if unit.get("UnitFileState") == "disabled":
        return "down"
    # One that has a condition that is not met, or was not started since it was installed, has nothing to do.
    idle = unit.get("UnitFileState") != "enabled" or unit.get("ConditionResult") == "no"
    working = unit.get("ActiveState") in ("active", "activating", "reloading")
    return "" if working or (idle and name not in required(description)) else "down"


def _judge_updates(world: World, now: float, options: Mapping[str, Any]) -> Iterator[Finding]:
    rule = RULES["host-reboot"]
    if world.updates is None:
        yield rule.unread(world.errors["updates"])
    else:
        found = list(preflight_host_system.judge_updates(world.updates))
        yield from found or [Finding(rule.id, PASS, rule.title, "", rule.expected, rule.expected, Text("", ""),
                                     rule.severity)]
    yield _judge_lists(world, now, options)


def _judge_lists(world: World, now: float, options: Mapping[str, Any]) -> Finding:
    rule, lists, days = RULES["updates"], world.lists, options["lists_days"]
    if lists is None or lists.at is None:
        return rule.unread(world.errors.get("lists", "apt has no lists of packages"), days=days)
    at = time.strftime("%Y-%m-%d", time.localtime(lists.at))
    case = ("no-archive" if lists.security is None else "security" if lists.security else
            "stale" if now - lists.at > days * _DAY else "none")
    return rule.finding(case, at=at, days=days, security=lists.security)


def _judge_certificates(world: World, now: float, options: Mapping[str, Any]) -> Iterator[Finding]:
    rule, days = RULES["certificate"], options["certificate_days"]
    if not world.certificates:
        yield rule.finding("none", days=days)
    for path, ends in sorted(world.certificates.items()):
        if isinstance(ends, str):
            yield rule.unread(ends, path, days=days)
        else:
            left = ends - now
            yield rule.finding("ended" if left <= 0 else "ending" if left < days * _DAY else "valid", path,
                               left=span(left), days=days)
