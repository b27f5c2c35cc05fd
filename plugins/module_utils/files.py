# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Files that appear whole or not at all."""

from __future__ import annotations

import glob
import hashlib
import os
import pwd
import stat
import tempfile
from typing import List, NamedTuple, Optional

_PREFIX, SUFFIX = ".%s-", ".new"


class File(NamedTuple):
    """A file as it shall be. ``owner`` is a user's name; None leaves it to the user who runs this."""

    path: str
    text: str
    mode: int
    owner: Optional[str] = None


def read_text(path: str, errors: str = "replace") -> Optional[str]:
    """The text of a file, or None when there is none. Bytes that are no UTF-8 are replaced: this is for comparing.

    What is to be kept is read with ``errors="surrogateescape"``: `write` then puts back every byte.
    """
    try:
        with open(path, encoding="utf-8", errors=errors, newline="") as stream:
            return stream.read()
    except (FileNotFoundError, NotADirectoryError):
        return None


def make_directory(path: str, mode: int) -> None:
    os.makedirs(path, mode=mode, exist_ok=True)
    os.chmod(path, mode)


def write(*wanted: File) -> None:
    """Puts files in place: all are written out and on the disk before the first takes its name."""
    ready: List[str] = []
    try:
        for file in wanted:
            ready.append(_write_beside(file))
        for file, temporary in zip(wanted, ready):
            os.replace(temporary, file.path)
    finally:
        for temporary in ready:
            if os.path.exists(temporary):
                os.unlink(temporary)
    for directory in {os.path.dirname(file.path) for file in wanted}:
        sync_directory(directory)


def sync_directory(directory: str) -> None:
    """Puts the names in a directory on the disk."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_leftovers(path: str) -> None:
    """Removes what a `write` of this file that was killed left beside it. For who knows that no other is at work."""
    directory, name = os.path.split(path)
    for left in glob.glob(os.path.join(glob.escape(directory), glob.escape(_PREFIX % name) + "*" + SUFFIX)):
        os.unlink(left)


def is_in_place(file: File) -> bool:
    """Whether a file is there with this text, mode and owner."""
    if read_text(file.path) != file.text:
        return False
    status = os.stat(file.path)
    return (stat.S_IMODE(status.st_mode) == file.mode
            and (file.owner is None or status.st_uid == pwd.getpwnam(file.owner).pw_uid))


def _write_beside(file: File) -> str:
    descriptor, temporary = tempfile.mkstemp(prefix=_PREFIX % os.path.basename(file.path), suffix=SUFFIX,
                                             dir=os.path.dirname(file.path))
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape", newline="") as stream:
        os.fchmod(stream.fileno(), file.mode)
        if file.owner is not None:
            entry = pwd.getpwnam(file.owner)
            os.fchown(stream.fileno(), entry.pw_uid, entry.pw_gid)
        stream.write(file.text)
        stream.flush()
        os.fsync(stream.fileno())
    return temporary


def tree_digest(directory: str) -> str:
    """12 hexadecimal digits that stand for a tree's names, contents, links and executable bits; not for its times."""
    digest = hashlib.sha256()
    for parent, directories, names in os.walk(directory):
        directories.sort()
        for name in sorted(names + [entry for entry in directories if os.path.islink(os.path.join(parent, entry))]):
            path = os.path.join(parent, name)
            digest.update(os.path.relpath(path, directory).encode("utf-8", "surrogateescape") + b"\0")
            if os.path.islink(path):
                digest.update(b"l" + os.readlink(path).encode("utf-8", "surrogateescape"))
            elif os.path.isfile(path):
                digest.update(b"x" if os.stat(path).st_mode & 0o100 else b"f")
                with open(path, "rb") as stream:
                    for block in iter(lambda: stream.read(1 << 20), b""):
                        digest.update(block)
            digest.update(b"\0")
    return digest.hexdigest()[:12]
