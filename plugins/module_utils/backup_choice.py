# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Which backup is meant, whether it may be used here, and whether it is as it was written."""

from __future__ import annotations

import os
from typing import Any, Dict, List, Mapping, Tuple

from . import backup_checksum, backup_store
from .backup_errors import BackupError
from .backup_store import Backup
from .findings import FAIL, Case, Text, problems, size_text

# What is unpacked takes this much more room than it says; and what an old file, which does not say, may unpack to.
MARGIN, GUESSED_RATIO = 1.2, 8
# Bytes that stay free on every disk, for the log of a database among others.
RESERVE = 1 << 30
_OF_THE_BYTES = ("backup-file", "backup-sidecar", "backup-manifest")

_LIST = Text("see what there is: sudo {command} restore {subject}", "목록 확인: sudo {command} restore {subject}")

CASES: Dict[str, Case] = {
    "none-good": Case(FAIL, Text("there is no good backup in {directory}", "{directory}에 정상 백업이 없음"),
                      Text("take one now: sudo {command} backup {subject}; by itself it is due at '{schedule}' (cron)",
                           "지금 백업하세요: sudo {command} backup {subject}. 자동 백업 시각(cron): '{schedule}'")),
    "bad-name": Case(FAIL, Text("'{name}' is no name of a backup", "'{name}'은(는) 백업 이름이 아님"), _LIST),
    "of-another": Case(FAIL, Text("{name} is a backup of {owner}, not of {subject}",
                                  "{name}은(는) {subject}이(가) 아니라 {owner}의 백업임"), _LIST),
    "unknown": Case(FAIL, Text("there is no backup {name} in {directory}", "{directory}에 {name} 백업이 없음"), _LIST),
    "no-manifest": Case(FAIL, Text("the manifest of {name} is missing or damaged",
                                   "{name}의 manifest가 없거나 손상됨"),
                        Text("use another backup: sudo {command} restore {subject}",
                             "다른 백업을 사용하세요: sudo {command} restore {subject}")),
    "other-project": Case(FAIL, Text("{name} is of the project {theirs}, this one is {ours}",
                                     "{name}은(는) {theirs} 프로젝트의 백업이고, 여기는 {ours} 프로젝트임"), _LIST),
    "other-host": Case(FAIL, Text("{name} was taken on another host: {host} (machine-id {machine_id})",
                                  "{name}은(는) 다른 호스트에서 만든 백업임: {host}(machine-id {machine_id})"),
                       Text("is that what you want? add: --from-host {host}",
                            "의도한 것이 맞다면 다음을 붙이세요: --from-host {host}")),
    "suspect-backup": Case(FAIL, Text("{name} is suspect: {reasons}", "{name}은(는) 의심 백업임: {reasons}"),
                           Text("use an earlier one, or, if you know that it is right, add: --accept-suspect",
                                "더 이전 백업을 사용하거나, 맞는 것이 확실하면 다음을 붙이세요: --accept-suspect")),
    "altered-backup": Case(FAIL, Text("{problem}", "{problem}"),
                           Text("take a new one: sudo {command} backup {subject}; the others there are: sudo {command} "
                                "restore {subject}",
                                "새로 백업하세요: sudo {command} backup {subject}. 다른 백업 목록: sudo {command} "
                                "restore {subject}")),
}


def newest_good(description: Mapping[str, Any], target: str, root: str) -> Backup:
    for backup in backup_store.listing(root, target, description["name"]):
        if backup.kind != "safety" and backup_store.is_good(backup):
            return backup
    raise BackupError("none-good", directory=os.path.join(root, target),
                      schedule=description["backup"]["targets"][target]["schedule"])


def named(description: Mapping[str, Any], target: str, root: str, name: str) -> Backup:
    """The backup of a name, which may be that of one of its files. Not of a path: what lies elsewhere is no backup."""
    # The name alone is none of a file; any ending makes it one.
    parsed = backup_store.parse(name) or backup_store.parse(name + ".tar.gz")
    if parsed is None:
        raise BackupError("bad-name", name=name)
    if (parsed.stack, parsed.target) != (description["name"], target):
        raise BackupError("of-another", name=parsed.backup, owner="%s %s" % (parsed.stack, parsed.target))
    for backup in backup_store.listing(root, target, description["name"]):
        if backup.name == parsed.backup:
            _require_manifest(backup, description)
            return backup
    raise BackupError("unknown", name=parsed.backup, directory=os.path.join(root, target))


def _require_manifest(backup: Backup, description: Mapping[str, Any]) -> None:
    if not backup.own:
        return
    if backup.manifest is None:
        raise BackupError("no-manifest", name=backup.name)
    service = description["services"][description["backup"]["targets"][backup.target]["service"]]
    said = [backup.manifest.get(key) for key in ("name", "stack", "target", "engine")]
    if said != [backup.name, description["name"], backup.target, service["engine"]]:
        raise BackupError("of-another", name=backup.name, owner=" ".join(str(part) for part in said))


def refuse_foreign(backup: Backup, description: Mapping[str, Any], machine_id: str, from_host: str) -> None:
    """Refuses one of another project or host, unless that host is the one that is asked for. Old ones do not say."""
    if backup.manifest is None:
        return
    host = backup.manifest.get("host") or {}
    if backup.manifest.get("project") != description["project"]:
        raise BackupError("other-project", name=backup.name, theirs=backup.manifest.get("project"),
                          ours=description["project"])
    if host.get("machine_id") != machine_id and (not from_host or host.get("name") != from_host):
        raise BackupError("other-host", name=backup.name, host=host.get("name"), machine_id=host.get("machine_id"))


def refuse_suspect(backup: Backup) -> None:
    if backup.manifest is not None and backup.manifest["suspect"]:
        raise BackupError("suspect-backup", name=backup.name, reasons=", ".join(backup.manifest["suspect"]))


def require_bytes(backup: Backup, description: Mapping[str, Any], root: str) -> None:
    """Reads every file of a backup and refuses it unless its bytes are those that were written."""
    try:
        read = backup_checksum.gather(root, description["name"], [backup.target], backup.name)
    except BackupError as problem:
        raise BackupError("altered-backup", problem=backup_checksum.refusal(problem).seen) from problem
    where = "%s/%s/" % (backup.target, backup.kind)
    # The scripts of before did not always leave a checksum; what they packed holds one of its own.
    ids = [rule for rule in _OF_THE_BYTES
           if rule != "backup-sidecar" or backup.own or os.path.exists(backup.path + backup_store.SIDECAR)]
    wrong = [finding for finding in problems(backup_checksum.judge(read).findings)
             if finding.id in ids and finding.subject.startswith(where)]
    if wrong:
        raise BackupError("altered-backup", problem=Text(*(
            "%s: %s" % (wrong[0].heading(lang), wrong[0].seen.get(lang)) for lang in Text._fields)))


def unpacked_size(backup: Backup) -> int:
    """Bytes that a backup takes when it is unpacked, with a margin; a database has indexes beside its rows."""
    if backup.manifest is None:
        return sum(os.path.getsize(os.path.join(backup.directory, name)) for name in backup.files) * GUESSED_RATIO
    raw_size = sum(file["raw_size"] for file in backup.manifest["files"])
    return int(max(raw_size, backup.manifest.get("live_size", 0)) * MARGIN)


def require_room(needs: List[Tuple[str, int]]) -> None:
    """Refuses where bytes are lacking, or would then lack for who works there.

    ``needs`` are directories, which need not exist yet; some may share a disk.
    """
    by_disk: Dict[int, Tuple[str, int]] = {}
    for directory, size in needs:
        while not os.path.isdir(directory):
            directory = os.path.dirname(directory)
        device = os.stat(directory).st_dev
        first, before = by_disk.get(device, (directory, 0))
        by_disk[device] = first, max(before, RESERVE) + size
    for directory, size in by_disk.values():
        status = os.statvfs(directory)
        free = status.f_bavail * status.f_frsize
        if free < size:
            raise BackupError("no-room", needed=size_text(size), free=size_text(free), directory=directory)
