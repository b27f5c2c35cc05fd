# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Copies of the backups in a bucket elsewhere, by restic: made, thinned out, checked, and fetched back.

A snapshot bears the stack's name and the machine's id: a host that was built anew copies beside the snapshots of the
one before it, and never thins those out.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import socket
import time
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple, cast

from . import backup_checksum, backup_store, files, offsite_s3
from .backup_errors import BackupError
from .backup_store import Backup
from .findings import FAIL, Finding, Rule, Text, pad, size_text
from .findings import problems as standing_in_the_way
from .offsite_messages import RULES
from .offsite_restic import KEY_ID, KEYS, SECRET_KEY, Restic, Snapshot

VARIABLE = "stack_backup_offsite"
SETTINGS = ("repository", "schedule", "check_schedule", "keep")
KEEP = ("daily", "weekly")
# A check reads back one part in so many, another one each time.
PARTS = 4
# Bytes that stay free on the disk that a snapshot is fetched to.
RESERVE = 256 << 20
_FETCHED = "fetched-"
_STACK, _MACHINE = "stack-", "machine-"
_ID = re.compile(r"[0-9a-f]{8,64}\Z")

Description = Mapping[str, Any]
Values = Mapping[str, str]
Tell = Callable[[Text], None]


class World(NamedTuple):
    """What is here, and what is there: per target all backups of this host, and the size of each file off-site."""

    local: Mapping[str, Sequence[Backup]]
    snapshot: Optional[Snapshot]
    files: Mapping[str, int]


# What a person can ask for -------------------------------------------------------------------------------------------

def problems(offsite: Any, keys_present: Iterable[str]) -> List[Finding]:
    """What is wrong with the settings. ``keys_present``: keys of `.env` that have a value."""
    rule = RULES["offsite-settings"]
    if not isinstance(offsite, Mapping):
        return [rule.finding("not-a-mapping", name=VARIABLE)]
    if not offsite:
        return []
    found = _key_problems(rule, VARIABLE, offsite, SETTINGS)
    if "repository" in offsite:
        address = offsite["repository"]
        if not isinstance(address, str) or offsite_s3.parse(address) is None:
            found.append(rule.finding("repository"))
    if "keep" in offsite:
        found += _keep_problems(rule, VARIABLE + ".keep", offsite["keep"])
    present = set(keys_present)
    return found + [rule.finding("no-key", key=key) for key in KEYS if key not in present]


def copy(description: Description, env_values: Values, tell: Tell = lambda text: None) -> List[Finding]:
    """Copies the backups, and thins out older copies when the newest backups are there."""
    return _Run("copy", description, env_values).do(lambda run: _copy(run, tell))


def check(description: Description, env_values: Values, everything: bool = False) -> List[Finding]:
    """Whether the copy is complete, has the newest backups, and reads back as it was written."""
    return _Run("check", description, env_values).do(lambda run: _check(run, everything))


def fetch(description: Description, env_values: Values, snapshot: str = "latest",
          directory: Optional[str] = None) -> List[Finding]:
    """Brings a snapshot's backups back into a directory that is not there yet, and verifies them."""
    return _Run("fetch", description, env_values).do(lambda run: _fetch(run, snapshot, directory))


def snapshots(description: Description, env_values: Values) -> Tuple[List[Snapshot], List[Finding]]:
    """The stack's snapshots, those of earlier machines too, newest first."""
    listed: List[Snapshot] = []

    def work(run: _Run) -> List[Finding]:
        if run.is_new:
            return [run.finding("none")]
        listed.extend(reversed(run.restic.snapshots([run.stack_tag])))
        if not listed:
            return [run.finding("none")]
        return [run.finding("some", count=len(listed), newest=shown_time(listed[0].time))]

    found = _Run("list", description, env_values).do(work)
    return listed, found


# Settings ------------------------------------------------------------------------------------------------------------

def _key_problems(rule: Rule, name: str, given: Mapping[str, Any], known: Sequence[str]) -> List[Finding]:
    found = [rule.finding("unknown", key=key, name=name, known=", ".join(known)) for key in given if key not in known]
    return found + [rule.finding("missing", key=key, name=name) for key in known if key not in given]


def _keep_problems(rule: Rule, name: str, keep: Any) -> List[Finding]:
    if not isinstance(keep, Mapping):
        return [rule.finding("not-a-mapping", name=name)]
    return _key_problems(rule, name, keep, KEEP) + [
        rule.finding("number", key=key, name=name) for key in KEEP if key in keep
        and not (isinstance(keep[key], int) and not isinstance(keep[key], bool) and keep[key] >= 1)]


# One run -------------------------------------------------------------------------------------------------------------

class _Run:
    """A copy, check, fetch or list, from its lock to what is recorded of it."""

    restic: Restic
    is_new: bool

    def __init__(self, job: str, description: Description, env_values: Values):
        self.job = job
        self.description = description
        self.settings: Mapping[str, Any] = description["backup"].get("offsite") or {}
        self.secrets = env_values
        self.rule = RULES["offsite-" + job]
        self.root = os.path.realpath(description["backup_directory"])
        self.stack_tag = _STACK + description["name"]
        self.machine_tag = _MACHINE + (files.read_text("/etc/machine-id") or "").strip()[:12]
        self.host = socket.gethostname()
        self.state = State(description)
        self.started = time.monotonic()

    @property
    def tags(self) -> List[str]:
        """Of this stack on this machine."""
        return [self.stack_tag, self.machine_tag]

    @property
    def seconds(self) -> int:
        return round(time.monotonic() - self.started)

    def finding(self, case: str, **values: Any) -> Finding:
        return self.rule.finding(case, **{"job": self.job, **values})

    def failed(self, problem: BackupError, rule: Optional[Rule] = None) -> Finding:
        return (rule or self.rule).finding(problem.case, **{
            "job": self.job, **self.settings.get("keep", {}), **problem.values})

    def do(self, work: Callable[[_Run], List[Finding]]) -> List[Finding]:
        """Does the work under the lock. Never raises for what it can meet."""
        if not self.settings:
            return [self.finding("off")]
        try:
            found = problems(self.settings, [key for key, value in self.secrets.items() if value])
            if not found:
                with self._lock() as lock:
                    self._open(lock)
                    found = work(self)
        except BackupError as problem:
            found = [self.failed(problem)]
            if problem.case == "already-running":
                return found
        except OSError as problem:
            path = problem.filename or self.root
            found = [self.finding("unwritable", path=path, said=offsite_s3.said(problem))]
        return found + (self.state.record(self.job, found, self.seconds) if self.job in State.JOBS else [])

    @contextlib.contextmanager
    def _lock(self) -> Iterator[int]:
        """One at a time. restic inherits the lock, so that one whose parent was killed still holds it."""
        os.makedirs(self.state.directory, mode=0o700, exist_ok=True)
        descriptor = os.open(os.path.join(self.state.directory, "offsite.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.pread(descriptor, 100, 0).decode("ascii", "replace") or "?"
                raise BackupError("already-running", holder=holder,
                                  log_directory=self.description["log_directory"]) from None
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, b"offsite %s, PID %d" % (self.job.encode(), os.getpid()), 0)
            yield descriptor
        finally:
            os.close(descriptor)

    def _open(self, lock: int) -> None:
        address = self.settings["repository"]
        # `problems` has found nothing wrong with it.
        repository = cast(offsite_s3.Repository, offsite_s3.parse(address))
        self.restic = Restic(address, repository, self.secrets,
                             os.path.join(self.description["state_directory"], "offsite-cache"), lock)
        self.is_new = offsite_s3.is_empty(repository, self.secrets[KEY_ID], self.secrets[SECRET_KEY])
        if not self.is_new:
            self.restic.unlock()

    # What is here, what is there ----------------------------------------------------------------------------------

    def local(self) -> Dict[str, List[Backup]]:
        return {target: backup_store.listing(self.root, target, self.description["name"])
                for target in self.description["backup"]["targets"]}

    def world(self, local: Mapping[str, Sequence[Backup]]) -> World:
        taken = self.restic.snapshots(self.tags)
        return World(local, taken[-1], self.restic.files(taken[-1].id)) if taken else World(local, None, {})


# A copy --------------------------------------------------------------------------------------------------------------

def _copy(run: _Run, tell: Tell) -> List[Finding]:
    local = run.local()
    if not any(newest_good(backups) for backups in local.values()):
        return [run.finding("nothing", directory=run.root)]
    if run.is_new:
        tell(Text("making a new repository", "새 저장소를 만드는 중"))
        run.restic.init()
    lost = judge_lost(run.world(local), run.description["name"])
    tell(Text("copying", "복사하는 중"))
    directories = [os.path.join(run.root, target) for target in local]
    snapshot = run.restic.backup([path for path in directories if os.path.isdir(path)], run.host, run.tags)
    there = run.restic.files(snapshot)
    newest = judge_newest(World(local, Snapshot(snapshot, "", run.host, run.tags, []), there))
    done = [run.finding("copied", snapshot=snapshot, count=len(there), size=size_text(sum(there.values())),
                        seconds=run.seconds)]
    return done + newest + lost + [_thin_out(run, standing_in_the_way(newest + lost), tell)]


def _thin_out(run: _Run, wrong: Sequence[Finding], tell: Tell) -> Finding:
    rule, keep = RULES["offsite-retention"], run.settings["keep"]
    if wrong:
        return rule.finding("blocked", **keep)
    tell(Text("deleting what is not to be kept", "보관하지 않을 것을 지우는 중"))
    try:
        run.restic.forget(run.host, run.tags, keep["daily"], keep["weekly"])
        return rule.finding("kept", count=len(run.restic.snapshots(run.tags)), **keep)
    except BackupError as problem:
        return run.failed(problem, rule)


def newest_good(backups: Iterable[Backup]) -> Optional[Backup]:
    return next((backup for backup in backups if backup.kind != "safety" and backup_store.is_good(backup)), None)


def judge_newest(world: World) -> List[Finding]:
    """Whether the newest good backup of every target is in the snapshot."""
    rule, found = RULES["offsite-newest"], []
    for target, backups in world.local.items():
        newest = newest_good(backups)
        if newest is None:
            found.append(rule.finding("none", target))
        elif world.snapshot is None:
            found.append(rule.finding("no-snapshot", target))
        else:
            found.append(_judge_backup(rule, newest, world.snapshot.short_id, world.files))
    return found


def _judge_backup(rule: Rule, backup: Backup, snapshot: str, there: Mapping[str, int]) -> Finding:
    values = {"name": backup.name, "snapshot": snapshot}
    sizes = {file["name"]: file["size"] for file in backup_store.manifest_of(backup)["files"]}
    for name in [*sizes, *(name + backup_store.SIDECAR for name in sizes), backup.name + backup_store.MANIFEST]:
        path = os.path.join(backup.directory, name)
        if path not in there:
            return rule.finding("missing", backup.target, **values)
        if there[path] != sizes.get(name, there[path]):
            return rule.finding("other-size", backup.target, file=name, **values)
    return rule.finding("there", backup.target, **values)


def judge_lost(world: World, stack: str) -> List[Finding]:
    """Whether the last snapshot has backups newer than all that are here: then what is here is not to be relied on."""
    found = []
    for target, backups in world.local.items():
        here = max((backup.taken_at for backup in backups), default=float("-inf"))
        parsed = [backup_store.parse(os.path.basename(path)) for path in world.files]
        newer = [file for file in parsed if file and file.own and file.is_data and file.taken_at > here
                 and (file.stack, file.target) == (stack, target)]
        if newer and backups and world.snapshot:
            found.append(RULES["offsite-newest"].finding(
                "lost", target, snapshot=world.snapshot.short_id,
                name=max(newer, key=lambda file: file.taken_at).backup))
    return found


# A check -------------------------------------------------------------------------------------------------------------

def _check(run: _Run, everything: bool) -> List[Finding]:
    if run.is_new:
        return [run.finding("nothing")]
    world = run.world(run.local())
    part = run.state.next_part()
    try:
        run.restic.check("1/1" if everything else "%d/%d" % (part, PARTS))
        read = run.finding("all-good" if everything else "good", part=part, parts=PARTS, seconds=run.seconds)
    except BackupError as problem:
        read = run.failed(problem)
    if not everything and read.status != FAIL:
        run.state.part = part
    return [read, *judge_newest(world)]


# A fetch -------------------------------------------------------------------------------------------------------------

def _fetch(run: _Run, asked: str, directory: Optional[str]) -> List[Finding]:
    chosen = choose([] if run.is_new else run.restic.snapshots([run.stack_tag]), asked)
    if chosen is None:
        return [run.finding("no-snapshot", asked=asked)]
    _clear_leftovers(run.root)
    directory = directory or os.path.join(run.root, _FETCHED + chosen.short_id)
    wrong = place_problem(directory, [os.path.join(run.root, target) for target in os.listdir(run.root)
                                      if not target.startswith(_FETCHED)])
    if wrong:
        return [run.finding(wrong, directory=directory)]
    sizes = run.restic.files(chosen.id)
    needed, free = sum(sizes.values()) + RESERVE, shutil.disk_usage(os.path.dirname(directory)).free
    if needed > free:
        return [run.finding("no-room", directory=os.path.dirname(directory), needed=size_text(needed),
                            free=size_text(free))]
    _restore(run.restic, chosen, directory)
    world = backup_checksum.gather(directory, run.description["name"])
    return [run.finding("fetched", snapshot=chosen.short_id, taken=shown_time(chosen.time), directory=directory,
                        count=len(sizes), size=size_text(sum(sizes.values()))),
            *backup_checksum.judge(world).findings]


def choose(listed: Sequence[Snapshot], asked: str) -> Optional[Snapshot]:
    """The snapshot that is meant: the newest, or the one whose id begins so."""
    if asked == "latest":
        return listed[-1] if listed else None
    matching = [snapshot for snapshot in listed if _ID.match(asked) and snapshot.id.startswith(asked)]
    return matching[0] if len(matching) == 1 else None


def place_problem(directory: str, taken: Iterable[str]) -> Optional[str]:
    """Why a directory cannot be fetched into. ``taken``: directories that it must not be in."""
    parent = os.path.realpath(os.path.dirname(directory))
    if not os.path.isabs(directory) or os.path.normpath(directory) != directory or not os.path.isdir(parent):
        return "bad-directory"
    if any(os.path.commonpath([parent, other]) == other for other in taken):
        return "bad-directory"
    return "in-the-way" if os.path.lexists(directory) else None


def _restore(restic: Restic, snapshot: Snapshot, directory: str) -> None:
    """The snapshot's backup root becomes the directory; it takes its name when all of it is there."""
    waiting = backup_store.partial(directory)
    os.mkdir(waiting, 0o700)
    try:
        restic.restore(snapshot.id, waiting)
        # restic restores whole paths; what is copied are the targets' directories, side by side in their root.
        restored = waiting + os.path.dirname(snapshot.paths[0])
        os.chmod(restored, 0o700)
        os.rename(restored, directory)
    finally:
        shutil.rmtree(waiting)


def _clear_leftovers(root: str) -> None:
    """Removes what a fetch that was killed left in the backup root. No other one is at work."""
    for name in os.listdir(root):
        if name.startswith("." + _FETCHED) and name.endswith(backup_store.PARTIAL):
            shutil.rmtree(os.path.join(root, name))


def render(listed: Sequence[Snapshot]) -> Text:
    """The snapshots for a person: id, time, host and machine."""
    columns = max((len(snapshot.host) for snapshot in listed), default=0)
    lines = "".join("%s  %s  %s  %s\n" % (
        snapshot.short_id, shown_time(snapshot.time), pad(snapshot.host, columns),
        ", ".join(tag for tag in snapshot.tags if tag.startswith(_MACHINE))) for snapshot in listed)
    return Text(lines, lines)


def shown_time(moment: str) -> str:
    """restic's time without its fraction: 2026-11-23T03:45:00Z."""
    match = re.match(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:\d\d)?", moment)
    return match.group(1) + (match.group(2) or "") if match else moment


# What is recorded ----------------------------------------------------------------------------------------------------

class State:
    """`backup/offsite.json` in the state directory, and the metrics: when each job was last done, and how it ended."""

    JOBS = ("copy", "check")

    def __init__(self, description: Description):
        self.directory = os.path.join(description["state_directory"], "backup")
        self.path = os.path.join(self.directory, "offsite.json")
        self.stack = re.sub(r"[^a-zA-Z0-9_]", "_", description["name"])
        self.metrics = os.path.join(description["state_directory"], "metrics", self.stack + "_offsite.prom")
        self.part: Optional[int] = None

    def load(self) -> Dict[str, Any]:
        """What was recorded. A file that is damaged holds nothing that the next run does not write anew."""
        try:
            state = json.loads(files.read_text(self.path) or "{}")
        except ValueError:
            return {}
        if not isinstance(state, dict):
            return {}
        return {job: state[job] for job in self.JOBS if isinstance(state.get(job), dict)}

    def next_part(self) -> int:
        part = self.load().get("check", {}).get("part", 0)
        return part % PARTS + 1 if isinstance(part, int) else 1

    def record(self, job: str, found: Sequence[Finding], seconds: int) -> List[Finding]:
        """Writes down how a job ended, in both places."""
        try:
            state = self.load()
            state[job] = entry(state.get(job, {}), found, seconds, time.time(), self.part)
            files.make_directory(os.path.dirname(self.metrics), 0o755)
            for path, text, mode in ((self.path, json.dumps(state, ensure_ascii=False, indent=2) + "\n", 0o600),
                                     (self.metrics, render_metrics(self.stack, state), 0o644)):
                files.remove_leftovers(path)
                files.write(files.File(path, text, mode))
        except OSError as problem:
            return [RULES["offsite-state"].finding("unwritten", path=problem.filename or self.path,
                                                   said=offsite_s3.said(problem))]
        return []


def entry(before: Mapping[str, Any], found: Sequence[Finding], seconds: int, now: float,
          part: Optional[int]) -> Dict[str, Any]:
    """What is recorded of a job that ended with these findings."""
    wrong = standing_in_the_way(found)
    after = {"at": int(now), "ok": not wrong, "seconds": seconds,
             "text": {lang: "\n".join(finding.line(lang) for finding in wrong) for lang in Text._fields}}
    success = int(now) if not wrong else before.get("last_success")
    if isinstance(success, int):
        after["last_success"] = success
    kept = part or before.get("part")
    return {**after, "part": kept} if isinstance(kept, int) else after


def render_metrics(stack: str, state: Mapping[str, Mapping[str, Any]]) -> str:
    """The state for Prometheus. What never was has no series."""
    lines: List[str] = []
    for name, help_text, key in (
            ("last_attempt_timestamp_seconds", "When the job last ended.", "at"),
            ("last_success_timestamp_seconds", "When the job last ended well.", "last_success"),
            ("last_duration_seconds", "How long the last one took.", "seconds"),
            ("last_result", "Whether the last one ended well.", "ok")):
        series = ['%s_offsite_%s{job="%s"} %d' % (stack, name, job, state[job][key])
                  for job in sorted(state) if isinstance(state[job].get(key), int)]
        if series:
            metric = "%s_offsite_%s" % (stack, name)
            lines += ["# HELP %s %s" % (metric, help_text), "# TYPE %s gauge" % metric, *series]
    return "\n".join(lines) + "\n"
