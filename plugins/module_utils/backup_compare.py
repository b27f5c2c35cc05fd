# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""What was restored, held against what the manifest says. Pure."""

from __future__ import annotations

from typing import Any, Iterator, List, Mapping

from .backup_job import Restored

_ABSENT = "-"
# Another version of it keeps its data otherwise. Any other extension may be a newer one by now.
EXACT_VERSIONS = ("timescaledb",)


def differences(manifest: Mapping[str, Any], restored: Restored) -> List[str]:
    """What was restored otherwise than a manifest says, each with both values: there, then here."""
    versions = {name: version for name, version in manifest["versions"].items()
                if name in EXACT_VERSIONS or name not in restored.versions}
    pairs = (("", manifest["counts"], restored.counts), ("", manifest["details"], restored.details),
             ("version of ", versions, {name: restored.versions.get(name, _ABSENT) for name in versions}))
    return [difference for prefix, wanted, found in pairs for difference in _compare(prefix, wanted, found)]


def _compare(prefix: str, wanted: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(set(wanted) | set(found)):
        there, here = wanted.get(name, _ABSENT), found.get(name, _ABSENT)
        if isinstance(there, Mapping) and isinstance(here, Mapping):
            yield from _compare("%s%s " % (prefix, name), there, here)
        elif there != here:
            yield "%s%s %s → %s" % (prefix, name, there, here)
