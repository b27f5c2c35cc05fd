# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""restic 0.12 and later, as a process: what it is given, and what it says when it fails.

The secrets are in its environment and nowhere else.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from typing import Any, Dict, List, Mapping, NamedTuple, Sequence, Tuple

from .backup_errors import BackupError
from .offsite_s3 import Repository

PASSWORD, KEY_ID, SECRET_KEY = "OFFSITE_PASSWORD", "OFFSITE_ACCESS_KEY_ID", "OFFSITE_SECRET_ACCESS_KEY"
KEYS = (PASSWORD, KEY_ID, SECRET_KEY)
# Seconds after which a run is taken to hang: a first copy over a slow line may well take hours.
LIMIT = 8 * 60 * 60
# Seconds that restic has to take its lock away when it is told to end.
_FAREWELL = 20.0
_RETRY_LOCK, _RETRY_LOCK_SINCE = "--retry-lock=10m", (0, 16)

# What restic ends with since 0.17, and what it says in every version; the first that fits.
_EXIT_CODES = {11: "locked", 12: "password"}
_WORDS: Tuple[Tuple[str, str], ...] = (
    (r"wrong password|no key found", "password"),
    (r"already locked|unable to create lock", "locked"),
    (r"RequestTimeTooSkewed|difference between the request time", "clock"),
    (r"bucket does not exist|NoSuchBucket|BucketNotFound", "no-bucket"),
    (r"quota|InsufficientStorage|StorageLimit", "full"),
    (r"no space left on device", "disk-full"),
    (r"Access ?Denied|signature we calculated|Access Key Id|Forbidden|not authorized", "denied"),
    (r"dial tcp|connection re(?:fused|set)|no such host|i/o timeout|network is unreachable|Client\.Timeout|"
     r"TLS handshake|server misbehaving", "unreachable"),
    (r"Is there a repository at the following location", "no-repository"),
    (r"repository contains errors|does not match|ciphertext verification|invalid data returned|not found in the index",
     "damaged"),
)


class Snapshot(NamedTuple):
    """One copy of the backups, as restic lists it; ``time`` is RFC 3339."""

    id: str
    time: str
    host: str
    tags: List[str]
    paths: List[str]

    @property
    def short_id(self) -> str:
        return self.id[:8]


class Restic:
    """restic and one repository. Its calls raise BackupError (offsite_messages.TROUBLE)."""

    def __init__(self, address: str, repository: Repository, secrets: Mapping[str, str], cache: str, lock: int):
        """``lock`` is a file descriptor that restic inherits: what it locks stays locked if only we are killed."""
        program = shutil.which("restic")
        if program is None:
            raise BackupError("no-restic")
        self._program = program
        self._address = address
        self._server = repository.host
        self._bucket = repository.bucket
        self._cache = cache
        self._lock = lock
        self._secrets = [secrets[key] for key in KEYS]
        self._environment = environment(address, repository, secrets, cache)
        self._retry: List[str] = []
        if version(self.run("version")) >= _RETRY_LOCK_SINCE:
            self._retry = [_RETRY_LOCK]

    def init(self) -> None:
        self.run("init")

    def unlock(self) -> None:
        """Removes locks of runs that are dead: of this host's that are gone, and of others' silent for 30 minutes."""
        self.run("unlock")

    def backup(self, paths: Sequence[str], host: str, tags: Sequence[str]) -> str:
        """Makes a snapshot, and tells its id."""
        output = self.run("backup", "--quiet", "--json", "--host", host,
                          *(part for tag in tags for part in ("--tag", tag)),
                          "--exclude", ".*.partial", "--exclude", ".*.new", *paths, locks=True)
        for message in messages(output):
            if message.get("message_type") == "summary":
                return str(message["snapshot_id"])[:8]
        raise BackupError("restic", said="no summary")

    def forget(self, host: str, tags: Sequence[str], daily: int, weekly: int) -> None:
        self.run("forget", "--host", host, "--tag", ",".join(tags), "--group-by", "host,tags",
                 "--keep-daily", str(daily), "--keep-weekly", str(weekly), "--prune", locks=True)

    def snapshots(self, tags: Sequence[str]) -> List[Snapshot]:
        """Those that bear all of the tags, oldest first."""
        found = json.loads(self.run("snapshots", "--json", "--tag", ",".join(tags)) or "null") or []
        return sorted((Snapshot(entry["id"], entry["time"], entry.get("hostname", ""), entry.get("tags") or [],
                                entry["paths"]) for entry in found), key=lambda snapshot: snapshot.time)

    def files(self, snapshot: str) -> Dict[str, int]:
        """Size by path of every file in a snapshot."""
        return {message["path"]: message.get("size", 0) for message in messages(self.run("ls", "--json", snapshot))
                if message.get("struct_type") == "node" and message["type"] == "file"}

    def restore(self, snapshot: str, directory: str) -> None:
        self.run("restore", snapshot, "--target", directory)

    def check(self, subset: str) -> None:
        """``subset``: which part of the data is read back, n/m."""
        self.run("check", "--read-data-subset=" + subset, locks=True)

    def run(self, *arguments: str, locks: bool = False) -> str:
        """What it writes to its standard output. ``locks``: it needs the repository's lock, and may wait for it."""
        command = ["nice", "-n", "10", self._program, *arguments[:1], *(self._retry if locks else []), *arguments[1:]]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, errors="replace", env=self._environment, pass_fds=[self._lock]) as process:
            try:
                output, errors = process.communicate(timeout=LIMIT)
            except subprocess.TimeoutExpired as problem:
                _end(process)
                raise BackupError("hangs", hours=LIMIT // 3600) from problem
            except BaseException:
                _end(process)
                raise
        if process.returncode != 0:
            raise self._error(arguments[0], process.returncode, errors or output)
        return output

    def _error(self, job: str, code: int, text: str) -> BackupError:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return BackupError(case_of(code, text), said=last_line(text), server=self._server, bucket=self._bucket,
                           command=job, signal=-code, cache=self._cache, holder=lock_holder(text))


def _end(process: subprocess.Popen) -> None:
    """Lets restic take its lock away, and ends it."""
    process.send_signal(signal.SIGINT)
    try:
        process.communicate(timeout=_FAREWELL)
    except subprocess.TimeoutExpired:
        process.kill()


def environment(address: str, repository: Repository, secrets: Mapping[str, str], cache: str) -> Dict[str, str]:
    """That of the caller, without what a person may have set for a restic of their own."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith(("RESTIC_", "AWS_"))}
    mine.update(LC_ALL="C", RESTIC_REPOSITORY=address, RESTIC_CACHE_DIR=cache, RESTIC_PROGRESS_FPS="0.02",
                RESTIC_PASSWORD=secrets[PASSWORD], AWS_ACCESS_KEY_ID=secrets[KEY_ID],
                AWS_SECRET_ACCESS_KEY=secrets[SECRET_KEY])
    if repository.region:
        # Asked for it, OCI refuses who has not named the region already.
        mine["AWS_DEFAULT_REGION"] = repository.region
    return mine


def version(output: str) -> Tuple[int, ...]:
    match = re.match(r"restic (\d+)\.(\d+)", output)
    return tuple(int(part) for part in match.groups()) if match else (0, 0)


def messages(output: str) -> List[Dict[str, Any]]:
    """The JSON objects of an output that has one a line, among other lines perhaps."""
    found = []
    for line in output.splitlines():
        if line.startswith("{"):
            found.append(json.loads(line))
    return found


def case_of(code: int, text: str) -> str:
    """Why restic failed, as a case of offsite_messages.TROUBLE."""
    if code < 0:
        return "killed"
    if code == 3:
        return "unread"
    if code in _EXIT_CODES:
        return _EXIT_CODES[code]
    return next((case for words, case in _WORDS if re.search(words, text, re.IGNORECASE)), "restic")


def last_line(text: str) -> str:
    """The line that says most: the last fatal one, or the last."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    fatal = [line for line in lines if line.startswith("Fatal: ")]
    return (fatal or lines or ["?"])[-1][:300]


def lock_holder(text: str) -> str:
    match = re.search(r"locked (?:exclusively )?by (PID \d+ on \S+)", text)
    return match.group(1) if match else "?"
