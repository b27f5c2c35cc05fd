# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""What a restore has begun, on the disk, so that one which is cut off is known and can be finished.

It is written before the first service is stopped and goes when all run again. In between the host may have been
started anew, and with it every service: a run that finishes the restore stops them again.
"""

from __future__ import annotations

import json
import os
import shlex
from typing import Any, Dict, List, Mapping, NamedTuple, Optional

from . import files
from .backup_errors import BackupError
from .findings import FAIL, Case, Text

# The data is being replaced; the data is the backup's, and the services are being started.
RESTORE, START = "restore", "start"

CASES: Dict[str, Case] = {
    "cut-off": Case(FAIL, Text("a restore of {name} was begun at {begun} and has not been finished",
                               "{begun}에 시작한 {name} 복구가 끝나지 않았음"),
                    Text("finish it: {again}{or_back}", "먼저 마무리하세요: {again}{or_back}")),
    "journal-damaged": Case(FAIL, Text("{path} is damaged: a restore was begun and may not have been finished",
                                       "{path}이(가) 손상됨: 끝나지 않은 복구가 있을 수 있음"),
                            Text("see in {log_directory} what was restored last, look at the data, delete the file",
                                 "{log_directory}에서 마지막 복구를 확인하고 데이터를 점검한 뒤 파일을 지우세요")),
}
_OR_BACK = Text("; or go back: {back}", "; 또는 이전 데이터로 되돌리세요: {back}")


class Journal(NamedTuple):
    """``root`` is where the backup lies, ``again`` the command that restores it; ``safety`` is the name of the backup
    that was taken before it, if any; ``stopped`` are services."""

    target: str
    name: str
    root: str
    again: str
    stage: str
    safety: str
    stopped: List[str]
    begun: str


def path(description: Mapping[str, Any], target: str) -> str:
    return os.path.join(description["state_directory"], "backup", "restore", target + ".json")


def read(description: Mapping[str, Any], target: str) -> Optional[Journal]:
    file = path(description, target)
    text = files.read_text(file)
    if text is None:
        return None
    try:
        return Journal(**json.loads(text))
    except (ValueError, TypeError):
        raise BackupError("journal-damaged", path=file, log_directory=description["log_directory"]) from None


def write(description: Mapping[str, Any], journal: Journal) -> None:
    file = path(description, journal.target)
    files.make_directory(os.path.dirname(file), 0o700)
    files.write(files.File(file, json.dumps(journal._asdict(), ensure_ascii=False, indent=2) + "\n", 0o600))


def remove(description: Mapping[str, Any], target: str) -> None:
    file = path(description, target)
    os.unlink(file)
    files.sync_directory(os.path.dirname(file))


def refuse_unfinished(description: Mapping[str, Any], target: str) -> None:
    """For backups and rehearsals: what a restore that was cut off left is nothing to save or to build on."""
    journal = read(description, target)
    if journal is not None:
        raise BackupError("cut-off", name=journal.name, begun=journal.begun, **ways_on(journal))


def ways_on(journal: Journal) -> Dict[str, Any]:
    """The command that finishes a restore, and the one that goes back, where there is something to go back to."""
    back = _OR_BACK.fill(back=command_line(journal.target, journal.safety))
    return {"again": journal.again, "or_back": back if journal.safety not in ("", journal.name) else ""}


def command_line(target: str, name: str, *options: str) -> str:
    return " ".join(["sudo coinpilot-ops restore", target, name, *(shlex.quote(option) for option in options)])
