# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Where backups lie, and how one comes and goes.

A backup is a manifest, one or more data files, and a SHA-256 sidecar for each of these, side by side in
`<root>/<target>/<kind>/`. Its main data file takes its name last and loses it first: what bears that name is whole.
"""

from __future__ import annotations

import datetime
import json
import os
import re
import time
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

from . import files

KINDS = ("daily", "weekly", "safety")
STAMP = "%Y%m%dT%H%M%SZ"
SIDECAR, MANIFEST, PARTIAL = ".sha256", ".json", ".partial"
FORMAT = 1

_OWN = re.compile(r"(?P<name>(?P<stack>[a-z0-9-]+)_(?P<target>[a-z0-9-]+)_(?P<stamp>\d{8}T\d{6}Z))"
                  r"(?P<suffix>\.[a-z0-9.]+)\Z")
# What the shell scripts of before wrote: PostgreSQL's carry no target, and the time is the host's.
_OLD = re.compile(r"(?P<name>(?P<stack>[a-z0-9-]+)(?:_(?P<target>redis|n8n))?(?:_weekly)?_(?P<stamp>\d{8}_\d{6}))"
                  r"(?P<suffix>\.(?:sql|tar)\.gz(?:\.sha256)?)\Z")


class FileName(NamedTuple):
    """What a file's name says: whose it is, its backup, when that was taken (epoch seconds), and the rest of it."""

    stack: str
    target: str
    backup: str
    taken_at: float
    suffix: str
    own: bool

    @property
    def is_data(self) -> bool:
        return not self.suffix.endswith((SIDECAR, MANIFEST))


class Backup(NamedTuple):
    """One backup. ``manifest`` is None for those of the scripts of before, and for one whose manifest is damaged."""

    target: str
    name: str
    directory: str
    kind: str
    taken_at: float
    files: Tuple[str, ...]
    manifest: Optional[Dict[str, Any]]
    own: bool

    @property
    def path(self) -> str:
        """Its main data file."""
        return os.path.join(self.directory, self.files[0])


class DataFile(NamedTuple):
    """A data file that is written and proven: its final name, bytes, SHA-256, and bytes before compression."""

    name: str
    size: int
    sha256: str
    raw_size: int


def parse(filename: str) -> Optional[FileName]:
    """What a file's name says, or None for a file that is none of a backup."""
    own = _OWN.match(filename)
    match = own or _OLD.match(filename)
    if match is None:
        return None
    stamp = match["stamp"]
    try:
        # Not by strptime, which takes longer than to read and hash a small file.
        moment = datetime.datetime(int(stamp[:4]), int(stamp[4:6]), int(stamp[6:8]), int(stamp[9:11]),
                                   int(stamp[11:13]), int(stamp[13:15]), tzinfo=datetime.timezone.utc if own else None)
        taken_at = moment.timestamp()
    except (ValueError, OverflowError):
        return None
    return FileName(match["stack"], match["target"] or "postgres", match["name"], taken_at, match["suffix"], bool(own))


def name(stack: str, target: str, moment: float) -> str:
    return "%s_%s_%s" % (stack, target, time.strftime(STAMP, time.gmtime(moment)))


def directory(root: str, target: str, kind: str) -> str:
    return os.path.join(root, target, kind)


def partial(path: str) -> str:
    """Where a data file is written before it is whole."""
    parent, filename = os.path.split(path)
    return os.path.join(parent, "." + filename + PARTIAL)


def listing(root: str, target: str, stack: str) -> List[Backup]:
    """Every backup of a target, newest first. A target that has none yet has no directory either."""
    found = [backup for kind in KINDS for backup in _in_directory(directory(root, target, kind), target, stack, kind)]
    return sorted(found, key=lambda backup: (backup.taken_at, backup.name), reverse=True)


def is_good(backup: Backup) -> bool:
    """Made by this tool, not suspect, and all its files there in their size. Their bytes are not read."""
    if not backup.own or backup.manifest is None or backup.manifest["suspect"]:
        return False
    try:
        return all(os.path.getsize(os.path.join(backup.directory, file["name"])) == file["size"]
                   for file in backup.manifest["files"])
    except OSError:
        return False


def manifest_of(backup: Backup) -> Dict[str, Any]:
    """The manifest of a good or a suspect backup of this tool's own."""
    if backup.manifest is None:
        raise ValueError("%s has no manifest" % backup.name)
    return backup.manifest


def sidecar_text(file: DataFile) -> str:
    return "%s  %s\n" % (file.sha256, file.name)


def publish(where: str, manifest: Dict[str, Any], written: Sequence[DataFile]) -> None:
    """Gives a backup its names. Its data files lie there as partial ones, on the disk; the first is the main one."""
    backup_name = manifest["name"]
    text = json.dumps(manifest, ensure_ascii=False, indent=2, sort_keys=True) + "\n"
    files.write(*(files.File(os.path.join(where, file.name + SIDECAR), sidecar_text(file), 0o600) for file in written),
                files.File(os.path.join(where, backup_name + MANIFEST), text, 0o600))
    for file in reversed(written):
        path = os.path.join(where, file.name)
        os.rename(partial(path), path)
    files.sync_directory(where)


def link(backup: Backup, where: str) -> None:
    """The same backup in another directory: hard links, which take no room."""
    main = os.path.join(where, backup.files[0])
    waiting = partial(main)
    if os.path.lexists(main):
        return
    os.link(backup.path, waiting)
    for filename in _files_of(backup.directory, backup.name):
        if filename != backup.files[0]:
            os.link(os.path.join(backup.directory, filename), os.path.join(where, filename))
    os.rename(waiting, main)
    files.sync_directory(where)


def remove(backup: Backup) -> None:
    """Deletes a backup; cut off in the middle, it is a leftover that the next run clears."""
    os.rename(backup.path, partial(backup.path))
    clear_leftovers(backup.directory)


def clear_leftovers(where: str) -> List[str]:
    """Removes what a run that was cut off left in a directory, and tells the names of those backups."""
    cleared = []
    for filename in sorted(os.listdir(where)):
        if not (filename.startswith(".") and filename.endswith(PARTIAL)):
            continue
        parsed = parse(filename[1:-len(PARTIAL)])
        if parsed is None:
            continue
        # The main file is renamed last, so with a partial one of the same name left nothing of it is a backup.
        for other in _files_of(where, parsed.backup):
            os.unlink(os.path.join(where, other))
        os.unlink(os.path.join(where, filename))
        cleared.append(parsed.backup)
    for filename in os.listdir(where):
        if filename.startswith(".") and filename.endswith(files.SUFFIX):
            os.unlink(os.path.join(where, filename))
    return sorted(set(cleared))


def _in_directory(where: str, target: str, stack: str, kind: str) -> Iterable[Backup]:
    grouped: Dict[str, List[FileName]] = {}
    try:
        names = os.listdir(where)
    except FileNotFoundError:
        return
    for filename in names:
        parsed = parse(filename)
        if parsed and parsed.is_data and (parsed.stack, parsed.target) == (stack, target):
            grouped.setdefault(parsed.backup, []).append(parsed)
    for backup_name, parts in grouped.items():
        manifest = read_manifest(os.path.join(where, backup_name + MANIFEST)) if parts[0].own else None
        present = sorted(backup_name + part.suffix for part in parts)
        if manifest is not None:
            declared = [file["name"] for file in manifest["files"]]
            if declared[0] not in present:
                continue
            present = declared
        yield Backup(target, backup_name, where, kind, parts[0].taken_at, tuple(present), manifest, parts[0].own)


def read_manifest(path: str) -> Optional[Dict[str, Any]]:
    """A manifest, or None where there is none that could be used."""
    try:
        manifest = json.loads(files.read_text(path) or "")
        usable = (manifest["format"] == FORMAT and isinstance(manifest["counts"], dict)
                  and isinstance(manifest["suspect"], list) and isinstance(manifest["identity"], dict)
                  and isinstance(manifest["versions"], dict) and isinstance(manifest["details"], dict)
                  and manifest["files"] and all(
                      parse(file["name"]) and isinstance(file["size"], int) and isinstance(file["sha256"], str)
                      and isinstance(file["raw_size"], int)
                      for file in manifest["files"]))
    except (ValueError, KeyError, TypeError, OSError):
        return None
    return manifest if usable else None


def _files_of(where: str, backup_name: str) -> List[str]:
    return [filename for filename in os.listdir(where)
            if filename.startswith(backup_name + ".") and parse(filename)]
