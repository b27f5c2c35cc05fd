# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Whether the images of a Compose project are pinned to a version."""

from __future__ import annotations

import re
from typing import Any, Iterator, List, Mapping, NamedTuple, Set

from .preflight_compose_common import Found, containers, listed, mapping, services
from .preflight_compose_rules import RULES

_DIGEST = re.compile(r"[A-Za-z0-9+._-]+:[0-9a-fA-F]{32,}\Z")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z")
_REPOSITORY = re.compile(r"([A-Za-z0-9.-]+(:[0-9]+)?/|\[[0-9a-fA-F:]+\](:[0-9]+)?/)?[a-z0-9]+([._/-]+[a-z0-9]+)*\Z")
# Words that say which of several images, and not which version; and those for whatever is newest.
_MOVING = ("latest", "stable", "mainline", "edge", "nightly", "rolling", "lts", "current", "main", "master", "dev",
           "develop", "beta", "alpha", "rc", "snapshot", "unstable", "testing", "release")
_BASE = re.compile(r"(alpine|debian|ubuntu|buster|bullseye|bookworm|trixie|focal|jammy|noble|slim|ubi|distroless|"
                   r"perl|windowsservercore|nanoserver)[0-9.]*\Z|(linux|amd64|arm64(v8)?|arm(32)?(v[5-8])?|armhf|aarch64|"
                   r"x86|64|i386|ppc64le|s390x|riscv64)\Z")
_MAJOR = re.compile(r"[a-z]*[0-9]{1,3}\Z")
# A version in parts, a commit, or a date.
_EXACT = re.compile(r"v?[0-9]+\.[0-9]|(?=[a-f]*[0-9])[0-9a-f]{7,64}\Z")
# With these a service that is built here is pulled nevertheless.
_PULLS = ("always", "missing", "if_not_present", "daily", "weekly", "refresh")


class Image(NamedTuple):
    """A reference in its parts. ``repository`` has the registry in it."""

    repository: str
    tag: str = ""
    digest: str = ""

    @property
    def name(self) -> str:
        """The last part, e.g. postgres."""
        return self.repository.rpartition("/")[2].lower()


def image(reference: Any) -> Image:
    rest, _at, digest = str(reference or "").strip().partition("@")
    start, colon, tag = rest.rpartition(":")
    # A colon before a slash belongs to the registry's port.
    return Image(start, tag, digest) if colon and "/" not in tag else Image(rest, "", digest)


def judge_images(project: Mapping[str, Any]) -> Iterator[Found]:
    rule, built = RULES["compose-image-unpinned"], built_images(project)
    for name, service in containers(project):
        reference = service.get("image")
        if reference and not (str(reference) in built or service.get("pull_policy") == "never"):
            case = pinning(str(reference))
            if case:
                yield Found(rule.finding(case, name, image=reference), name, ("services", name, "image"))
        for entry in map(mapping, listed(service.get("volumes"))):
            mounted = str(entry.get("source") or "")
            case = pinning(mounted) if entry.get("type") == "image" and mounted not in built else ""
            if case:
                yield Found(rule.finding(case, "%s %s" % (name, mounted), image=mounted), name,
                            ("services", name, "volumes", str(entry.get("target") or "")))


def built_images(project: Mapping[str, Any]) -> Set[str]:
    """Images that are built here and never pulled, also where another service takes what this one builds."""
    return {str(service["image"]) for _name, service in services(project)
            if service.get("image") and service.get("build") and not pulls(service)}


def pulls(service: Mapping[str, Any]) -> bool:
    policy = str(service.get("pull_policy") or "")
    return policy in _PULLS or policy.startswith("every_")


def pinning(reference: str) -> str:
    """The case of compose-image-unpinned, or "" where a version or a digest is named."""
    parts = image(reference)
    broken = reference.rstrip().endswith((":", "@")) or not _REPOSITORY.match(parts.repository)
    if re.match(r"sha256:[0-9a-f]{64}\Z", reference):
        return ""
    if broken or (parts.tag and not _TAG.match(parts.tag)):
        return "broken"
    if parts.digest:
        return "" if _DIGEST.match(parts.digest) else "broken"
    if not parts.tag:
        return "untagged"
    return tag_pinning(parts.tag.lower())


def tag_pinning(tag: str) -> str:
    """moving, major (a number, and nothing finer), or "" for a version, a date or a commit."""
    words = [word for word in re.split(r"[-_+]", tag) if word]
    if not re.search(r"[0-9]", tag) or "latest" in words:
        return "moving"
    # What is left without the base system and the variant says which version it is.
    own = [word for word in words if not _BASE.match(word)]
    first = own[0] if own else ""
    if first in _MOVING:
        return "" if any(_EXACT.match(word) for word in own[1:]) else "moving"
    numbered = [word for word in own if re.search(r"[0-9]", word)]
    if not numbered:
        return "moving"
    return "major" if all(_MAJOR.match(word) for word in numbered) and not _dated(numbered) else ""


def _dated(words: List[str]) -> bool:
    """A date in parts, as 2024-01-31 is."""
    return len(words) >= 3 and words[0].isdigit() and len(words[0]) == 4
