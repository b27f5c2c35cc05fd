# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Is every backup file still the one that was written? `gather` reads the files, `judge` is pure.

A file is compared with its sidecar (`sha256sum`'s format) and, where it has one, with its manifest; the two together
tell which of the three has changed. Each file is read once, whatever the number of its names.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import statistics
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from . import backup_store
from .backup_checksum_messages import BY_MANIFEST, BY_SIDECAR, CASES, RULE_OF, RULES, UNPROVEN, WRITE_SIDECAR
from .backup_errors import BackupError
from .backup_reading import (
    DIRECTORY,
    FILE,
    SPECIAL,
    SYMLINK,
    Directory,
    Seen,
    World,
    gather,
    is_data,
    is_manifest,
    is_temporary,
    parse_partial,
    shown,
)
from .findings import FAIL, PASS, UNKNOWN, WORST_FIRST, Finding, Text, size_text

__all__ = ["CASES", "RULES", "Result", "World", "gather", "judge", "refusal"]

# A stamp this far ahead is no matter of two clocks that differ a little.
FUTURE_SECONDS = 600
# How a file's size is judged: against the median of so many before it, and of so many at least.
HISTORY, HISTORY_LEAST, SMALL = 7, 3, 0.5

_LINE = re.compile(r"(\\?)([0-9A-Fa-f]{64}) [ *](.+)\Z", re.DOTALL)
_ESCAPED = re.compile(r"\\([\\nr])")


class Result(NamedTuple):
    """``entries``: one for each data file that is or should be there, and one for anything else with a problem."""

    entries: List[Dict[str, Any]]
    findings: List[Finding]
    totals: Dict[str, Any]


def refusal(error: BackupError) -> Finding:
    """What to say of a BackupError that `gather` raised."""
    return RULES["backup-root"].finding(error.case, **error.values)


class _Entry:
    """A data file, there or not, or another file with a problem; and what is wrong with it."""

    def __init__(self, directory: Directory, name: str, seen: Optional[Seen] = None, is_data: bool = False,
                 checked: bool = True):
        self.directory = directory
        self.name = name
        self.seen = seen
        self.parsed = backup_store.parse(name) or parse_partial(name)
        self.is_data = is_data
        self.checked = checked if seen is None else seen.checked
        # (case, status, values); what could not be read has a rule and an error instead of a case of its own.
        self.found: List[Tuple[str, str, Dict[str, Any]]] = []
        self.suspect = self.accepted = False

    @property
    def path(self) -> str:
        return "/".join(part for part in (self.directory.target, self.directory.kind, self.name) if part)

    @property
    def status(self) -> str:
        if not self.found:
            return PASS
        statuses = {status for _case, status, _values in self.found}
        return next(status for status in WORST_FIRST if status in statuses)

    @property
    def taken_at(self) -> float:
        return self.parsed.taken_at if self.parsed else 0.0

    def add(self, case: str, **values: Any) -> None:
        self.found.append((case, RULE_OF[case].cases[case].status, values))

    def add_unread(self, rule: str, error: str) -> None:
        self.found.append(("unreadable", UNKNOWN, {"rule": rule, "error": error}))

    def findings(self, root: str) -> List[Finding]:
        if not self.found:
            return []
        subject = shown(self.path)
        path = os.path.join(root, self.path)
        common = {"target": self.directory.target, "directory": shlex.quote(shown(os.path.dirname(path))),
                  "path": shlex.quote(shown(path)), "name": shlex.quote(shown(self.name))}
        made = []
        for case, status, values in self.found:
            if status == UNKNOWN:
                made.append(RULES[values["rule"]].unread(values["error"], subject))
            else:
                filled = {name: value.fill(**common) if isinstance(value, Text) else value
                          for name, value in values.items()}
                made.append(RULE_OF[case].finding(case, subject, **common, **filled))
        return made

    def as_dict(self, root: str) -> Dict[str, Any]:
        worst_case = next((case for case, status, _values in self.found if status == self.status), "")
        return {
            "path": shown(os.path.join(root, self.path)), "target": self.directory.target,
            "kind": self.directory.kind, "backup": self.parsed.backup if self.parsed else "",
            "taken_at": self.parsed.taken_at if self.parsed else None,
            "size": self.seen.size if self.seen else None, "sha256": self.seen.sha256 if self.seen else "",
            "status": self.status, "problem": worst_case,
        }


class _Contents(NamedTuple):
    """A directory's files by what they are; those of a backup that is not finished are left out of all but others."""

    names: Set[str]
    data: List[Seen]
    sidecars: Dict[str, Seen]
    manifests: Dict[str, Seen]
    others: List[Seen]


def judge(world: World) -> Result:
    totals = {"files": world.read_files, "bytes": world.read_bytes, "seconds": round(world.seconds, 3)}
    if world.error:
        return Result([], [RULES["backup-root"].unread(world.error, shown(world.root))], totals)
    by_target: Dict[str, List[_Entry]] = {}
    for directory in world.directories:
        by_target.setdefault(directory.target, []).extend(_judge_directory(directory, world))
    entries: List[_Entry] = []
    findings: List[Finding] = []
    for target, found in by_target.items():
        _judge_sizes(found)
        checked = [entry for entry in found if entry.checked]
        entries += checked
        findings += [finding for entry in checked for finding in entry.findings(world.root)]
        good = [entry for entry in checked if entry.is_data and not entry.found]
        if good:
            findings.append(_good(target, good, checked))
        elif not found:
            findings.append(RULES["backup-target"].finding("none", target))
    return Result([entry.as_dict(world.root) for entry in entries], findings, totals)


def _good(target: str, good: Sequence[_Entry], checked: Sequence[_Entry]) -> Finding:
    sizes = {entry.seen.inode: entry.seen.size for entry in good if entry.seen}
    return RULES["backup-target"].finding("good", target, good=len(good), size=size_text(sum(sizes.values())),
                                          files=sum(entry.is_data for entry in checked))


def _judge_directory(directory: Directory, world: World) -> List[_Entry]:
    entries: List[_Entry] = []
    if directory.error or directory.form != DIRECTORY:
        entry = _Entry(directory, "")
        if directory.error:
            entry.add_unread("backup-target", directory.error)
        else:
            entry.add("symlink")
        return [entry]
    contents = _sort_out(directory)
    entries += [_judge_other(directory, seen) for seen in contents.others]
    entries += [_judge_data(directory, seen, contents, world) for seen in contents.data]
    entries += _judge_manifests(directory, contents, world)
    named = {entry.name for entry in entries}
    for name, sidecar in contents.sidecars.items():
        if name not in contents.names and name not in named:
            orphan = _Entry(directory, name, is_data=True, checked=sidecar.checked)
            orphan.add("orphaned-sidecar")
            entries.append(orphan)
    return sorted(entries, key=lambda entry: entry.name)


def _sort_out(directory: Directory) -> _Contents:
    names = {seen.name for seen in directory.seen}
    if not directory.kind:
        return _Contents(names, [], {}, {}, list(directory.seen))
    unfinished = {parsed.backup for parsed in map(parse_partial, names) if parsed}
    contents = _Contents(names, [], {}, {}, [])
    for seen in directory.seen:
        parsed = backup_store.parse(seen.name)
        if parsed and parsed.backup in unfinished:
            continue
        if seen.form != FILE:
            contents.others.append(seen)
        elif seen.name.endswith(backup_store.SIDECAR):
            contents.sidecars[seen.name[:-len(backup_store.SIDECAR)]] = seen
        elif parsed and is_manifest(seen.name):
            contents.manifests[parsed.backup] = seen
        elif is_data(seen.name, names):
            contents.data.append(seen)
        else:
            contents.others.append(seen)
    return contents


def _judge_other(directory: Directory, seen: Seen) -> _Entry:
    """What is no data file, sidecar or manifest."""
    entry = _Entry(directory, seen.name, seen)
    if seen.form == SYMLINK:
        entry.add("symlink")
    elif seen.form == SPECIAL or (seen.form == DIRECTORY and entry.parsed):
        entry.add("special")
    elif seen.form == FILE and is_temporary(seen.name):
        entry.add("unfinished")
    else:
        entry.add("unknown")
    return entry


def _judge_data(directory: Directory, seen: Seen, contents: _Contents, world: World) -> _Entry:
    entry = _Entry(directory, seen.name, seen, is_data=True)
    record = None
    if entry.parsed and entry.parsed.backup in contents.manifests:
        manifest = _usable(contents.manifests[entry.parsed.backup], entry.parsed.backup, directory, world)
        if manifest is not None:
            entry.suspect, entry.accepted = bool(manifest["suspect"]), bool(manifest.get("accepted"))
            record = next((file for file in manifest["files"] if file["name"] == seen.name), None)
            if record is None:
                entry.add("unlisted")
    if not _belongs(entry, world):
        entry.add("foreign", owner=_owner(entry))
    if seen.error:
        entry.add_unread("backup-file", seen.error)
    elif seen.checked:
        _compare(entry, seen, contents.sidecars.get(seen.name), record)
    ahead = max(entry.taken_at, seen.mtime) - world.now
    if ahead > FUTURE_SECONDS:
        entry.add("future", ahead=_duration(ahead))
    # The scripts of before left their files as the mask had it; a directory that is closed to others closes them too.
    if seen.mode & 0o077 and (directory.passable or (entry.parsed and entry.parsed.own)):
        entry.add("open", mode="%04o" % seen.mode)
    return entry


def _belongs(entry: _Entry, world: World) -> bool:
    """Whether it is of this stack and target, as far as its name says."""
    return (entry.parsed is None
            or (entry.parsed.stack, entry.parsed.target) == (world.stack, entry.directory.target))


def _owner(entry: _Entry) -> str:
    return "%s %s" % (entry.parsed.stack, entry.parsed.target) if entry.parsed else ""


def _compare(entry: _Entry, seen: Seen, sidecar: Optional[Seen], record: Optional[Mapping[str, Any]]) -> None:
    as_manifest = record is not None and (record["size"], record["sha256"].lower()) == (seen.size, seen.sha256)
    says = ""
    if sidecar is not None and sidecar.error:
        entry.add_unread("backup-sidecar", sidecar.error)
    else:
        says, problem, other = _read_sidecar(sidecar, seen.name)
        if problem:
            entry.add(problem, other=shown(other), remedy=WRITE_SIDECAR if as_manifest else UNPROVEN)
    if seen.size == 0:
        entry.add("empty")
    elif record is None or as_manifest:
        if says and says != seen.sha256:
            entry.add("altered-sidecar" if as_manifest else "altered", actual=seen.sha256[:12], wanted=says[:12],
                      by=BY_SIDECAR)
    elif says == seen.sha256:
        entry.add("altered-manifest")
    elif seen.size != record["size"]:
        entry.add("truncated" if seen.size < record["size"] else "longer", size=seen.size, wanted=record["size"])
    else:
        entry.add("altered", actual=seen.sha256[:12], wanted=record["sha256"][:12], by=BY_MANIFEST)


def _read_sidecar(sidecar: Optional[Seen], name: str) -> Tuple[str, str, str]:
    """The SHA-256 that a sidecar gives for a file; or which problem it has, and the other file that it names."""
    if sidecar is None:
        return "", "no-sidecar", ""
    if sidecar.size == 0:
        return "", "empty-sidecar", ""
    said: Dict[str, Set[str]] = {}
    for line in sidecar.text.split("\n"):
        match = _LINE.match(line)
        if match:
            path = _unescaped(match[3]) if match[1] else match[3]
            # By its last part alone: those of the scripts of before hold the absolute path of the day.
            said.setdefault(os.path.basename(path), set()).add(match[2].lower())
    if len(said.get(name, ())) == 1:
        return said[name].pop(), "", ""
    if said and name not in said:
        return "", "other-sidecar", sorted(said)[0]
    return "", "malformed-sidecar", ""


def _unescaped(name: str) -> str:
    return _ESCAPED.sub(lambda match: {"n": "\n", "r": "\r"}.get(match[1], match[1]), name)


def _judge_manifests(directory: Directory, contents: _Contents, world: World) -> List[_Entry]:
    """The manifests that have a problem, the files that they name in vain, and the manifests that are missing."""
    entries = []
    # Whether each of our backups has a data file that was asked for; its manifest was then, too.
    backups: Dict[str, bool] = {}
    for seen in contents.data:
        entry = _Entry(directory, seen.name, seen)
        if entry.parsed and entry.parsed.own and entry.parsed.is_data and _belongs(entry, world):
            backups[entry.parsed.backup] = backups.get(entry.parsed.backup, False) or seen.checked
    for backup, seen in contents.manifests.items():
        entry = _Entry(directory, seen.name, seen)
        entry.checked = seen.checked or backups.get(backup, False)
        manifest = _usable(seen, backup, directory, world)
        if not _belongs(entry, world):
            entry.add("foreign", owner=_owner(entry))
        elif seen.error:
            entry.add_unread("backup-manifest", seen.error)
        elif manifest is None:
            entry.add("foreign-manifest" if _is_json(seen.text) else "broken-manifest")
        else:
            if manifest["suspect"]:
                entry.add("suspect", reasons=", ".join(map(str, manifest["suspect"])))
            for file in manifest["files"]:
                if file["name"] not in contents.names:
                    missing = _Entry(directory, file["name"], is_data=True, checked=entry.checked)
                    missing.add("missing")
                    entries.append(missing)
        if entry.found:
            entries.append(entry)
    for backup, checked in backups.items():
        if backup + backup_store.MANIFEST not in contents.names:
            entry = _Entry(directory, backup + backup_store.MANIFEST, checked=checked)
            entry.add("no-manifest")
            entries.append(entry)
    return entries


def _usable(seen: Seen, backup: str, directory: Directory, world: World) -> Optional[Dict[str, Any]]:
    """The manifest when it is that of this backup."""
    manifest = seen.manifest
    if manifest is None or (manifest.get("name"), manifest.get("stack"), manifest.get("target")) != (
            backup, world.stack, directory.target):
        return None
    return manifest


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _judge_sizes(entries: Iterable[_Entry]) -> None:
    """Each file against those of the same sort before it, back to the last change that was accepted."""
    series: Dict[Tuple[bool, str], Dict[Tuple[int, int], _Entry]] = {}
    for entry in entries:
        if (entry.is_data and entry.seen and entry.parsed and not entry.suspect
                and entry.status not in (FAIL, UNKNOWN)):
            series.setdefault((entry.parsed.own, entry.parsed.suffix), {}).setdefault(entry.seen.inode, entry)
    for members in series.values():
        before: List[int] = []
        small: List[Tuple[_Entry, str, str]] = []
        for entry in sorted(members.values(), key=lambda entry: entry.taken_at):
            size = entry.seen.size if entry.seen else 0
            if entry.accepted:
                before, small = [], []
            if len(before) >= HISTORY_LEAST:
                median = statistics.median(before[-HISTORY:])
                if size < SMALL * median:
                    small.append((entry, size_text(size), size_text(median)))
                    continue
            before.append(size)
        for entry, actual, usual in small:
            entry.add("too-small", size=actual, median=usual)


def _duration(seconds: float) -> Text:
    for length, english, korean in ((86400, "days", "일"), (3600, "hours", "시간")):
        if seconds >= 2 * length:
            return Text("%d %s" % (seconds // length, english), "%d%s" % (seconds // length, korean))
    return Text("%d minutes" % (seconds // 60), "%d분" % (seconds // 60))
