# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""What the code for one engine (PostgreSQL, Redis, n8n, Grafana) is given, and what it gives back.

Each of these modules has the same functions:

``identify(job) -> Source``                     what is there, before anything is written
``take(job, base, way, source) -> Taken``       the data files, written as partial ones, read back and accepted
``rehearse(job, backup) -> Restored``           what a restore into a scratch place gave, which is gone again
``restore(job, backup, note) -> Restored``      the service's data replaced by the backup's
"""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple

from . import archive, backup_store, container, files
from .engine import Engine


class Job(NamedTuple):
    """One target of the description on this host."""

    description: Mapping[str, Any]
    target: str
    engine: Engine

    @property
    def service_name(self) -> str:
        return self.description["backup"]["targets"][self.target]["service"]

    @property
    def service(self) -> Mapping[str, Any]:
        return self.description["services"][self.service_name]

    def container(self, running: bool = True) -> container.Container:
        return container.find(self.engine, self.description, self.service_name, running)

    @property
    def scratch_name(self) -> str:
        """The name of this job's scratch containers, and of its working directory."""
        return "%s-scratch-%s" % (self.description["name"], self.target)

    @contextlib.contextmanager
    def working_directory(self) -> Iterator[str]:
        """An empty directory, 0700. What a run that was killed left in it goes first."""
        path = os.path.join(self.description["backup_directory"], ".work", self.scratch_name)
        shutil.rmtree(path, ignore_errors=True)
        files.make_directory(os.path.dirname(path), 0o700)
        files.make_directory(path, 0o700)
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)


class Source(NamedTuple):
    """What is there: which data it is, versions of the programs, and about how many bytes (uncompressed).

    ``staged`` is how many bytes lie beside the backup, uncompressed, while it is being taken.
    """

    identity: Dict[str, str]
    versions: Dict[str, str]
    estimate: int
    staged: int = 0


class Taken(NamedTuple):
    """A backup's data files, main one first, and what is in them, told by the very data that was written."""

    files: List[backup_store.DataFile]
    counts: Dict[str, int]
    details: Dict[str, Any]


class Restored(NamedTuple):
    """What was found after a restore; to be compared with a manifest's counts, details and versions."""

    counts: Dict[str, int]
    details: Dict[str, Any]
    versions: Dict[str, str]


def take_directory(directory: str, base: str, way: archive.Compression) -> backup_store.DataFile:
    """The data file that holds a directory: packed, read back and compared with it."""
    path = base + ".tar" + way.suffix
    raw_size = archive.write_directory(directory, backup_store.partial(path), way)
    copy = archive.compare_directory(backup_store.partial(path), directory)
    return backup_store.DataFile(os.path.basename(path), copy.size, copy.sha256, raw_size)


def take_output(command: List[str], reader: List[str], path: str, way: archive.Compression) -> backup_store.DataFile:
    """The data file that holds what a program writes; the reader is a program that must accept all of it."""
    path += way.suffix
    raw_size = archive.write_output(command, backup_store.partial(path), way)
    copy = archive.read_back(backup_store.partial(path), reader)
    return backup_store.DataFile(os.path.basename(path), copy.size, copy.sha256, raw_size)
