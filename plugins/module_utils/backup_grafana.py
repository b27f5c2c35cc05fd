# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Backups of Grafana: its SQLite database, which holds the dashboards, alert rules and users that were made by hand.

Nothing else of its volume is data: plugins are programs, which Grafana fetches again, and the rest is its cache.
"""

from __future__ import annotations

import os
from typing import Callable, Dict

from . import archive, backup_sqlite, backup_store, backup_volume
from .backup_job import Job, Restored, Source, Taken, take_directory
from .findings import Case

DATABASE = "grafana.db"
# When this database was made: the moment of its first migration.
_BIRTH = "SELECT min(timestamp) FROM migration_log"
# Dashboards and rules may come from files when it starts; users do not.
_STABLE = ["user"]

# Those of backup_sqlite and backup_volume, which every engine over SQLite may raise.
CASES: Dict[str, Case] = {**backup_sqlite.CASES, **backup_volume.CASES}


def identify(job: Job) -> Source:
    source = backup_sqlite.identify(job, DATABASE, _BIRTH)
    return source._replace(versions=backup_sqlite.versions(job, job.container(), "grafana"))


def take(job: Job, base: str, way: archive.Compression, source: Source) -> Taken:
    service = job.container()
    with backup_sqlite.working_directory(job) as work:
        data = backup_sqlite.new_directory(work, backup_sqlite.DATA, service)
        path = os.path.join(data, DATABASE)
        backup_sqlite.copy(os.path.join(service.directory, DATABASE), path)
        counts = backup_sqlite.prove(path)
        return Taken([take_directory(work, base, way)], counts, {})


def rehearse(job: Job, backup: backup_store.Backup) -> Restored:
    """Unpacked, and read from end to end; which program will open it is said, but none is started."""
    with backup_sqlite.working_directory(job) as work:
        _where, counts = backup_sqlite.unpack(backup, work, DATABASE)
    return Restored(counts, {}, backup_sqlite.versions(job, job.container(running=False), "grafana"))


def restore(job: Job, backup: backup_store.Backup, note: Callable[[str], None]) -> Restored:
    with backup_sqlite.working_directory(job) as work:
        where, counts = backup_sqlite.unpack(backup, work, DATABASE)
        note("%s is sound" % backup.name)
        backup_sqlite.restore(job, work, where, DATABASE, backup_sqlite.names_of(DATABASE), _STABLE, note)
    return Restored(counts, {}, backup_sqlite.versions(job, job.container(), "grafana"))
