# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Lines of logs that can be shown: without secrets, without what steers a terminal, and short.

Secrets are known by value (those of `.env`, in the spellings in which programs write them) or by their shape.
"""

from __future__ import annotations

import base64
import json
import re
from typing import Iterable, List
from urllib.parse import quote, quote_plus

from .preflight_workflows_secrets import SHAPES

HIDDEN = "***"
# Shorter values are words and numbers, such as 8501 or paper.
SHORTEST = 6
LONGEST = 200
# What is farther from the place that is shown is not looked at: a line may be long, and made to take time.
_NEAR = 2048

_TERMINAL = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
# In a log a value stands under its name without quotes, too.
_NAMED = re.compile(
    r"(?i)([\w-]{0,40}(?:secret|token|passw(?:or)?d|api[-_]?key|access[-_]?key|credential)[\w-]{0,20}"
    r"[\"']{0,2}\s{0,3}[=:]\s{0,3}[\"']{0,2})((?:bearer |basic )?[^\s\"',;&}]{4,})")
_HEADER = re.compile(r"(?i)(authorization[\"']?\s{0,3}[=:]\s{0,3}[\"']?)([^\s\"',;]+(?:\s[^\s\"',;]{6,})?)")
_LONG_WORD = re.compile(r"(?<![\w+-])[\w+-]{32,}={0,2}")


class Mask:
    """Hides these values, and what looks like a secret."""

    def __init__(self, secrets: Iterable[str]):
        spellings = {spelling for secret in secrets if len(secret) >= SHORTEST for spelling in _spellings(secret)}
        self._spellings: List[str] = sorted(spellings, key=len, reverse=True)

    def __call__(self, text: str, around: int = 0) -> str:
        """One line that can be shown, of what stands at a place of the text."""
        # What stands before the place is counted anew where something of it is replaced.
        before = self._clean(text[max(0, around - _NEAR):around])
        after = self._clean(text[around:around + _NEAR])
        return _short(self._hide(before + after), len(self._hide(before)))

    def _clean(self, text: str) -> str:
        plain = _TERMINAL.sub("", text)
        return "".join(character if character.isprintable() else " " for character in plain)

    def _hide(self, text: str) -> str:
        for spelling in self._spellings:
            text = text.replace(spelling, HIDDEN)
        for _kind, shape in SHAPES:
            text = shape.sub(HIDDEN, text)
        text = _HEADER.sub(r"\1" + HIDDEN, text)
        text = _NAMED.sub(r"\1" + HIDDEN, text)
        return _LONG_WORD.sub(_unless_plain, text)


def _unless_plain(match: re.Match) -> str:
    """Digits with letters of both cases, and long: a key. The ids of containers have small letters alone."""
    word = match.group(0)
    mixed = all(any(is_one(character) for character in word) for is_one in (str.isdigit, str.islower, str.isupper))
    return HIDDEN if mixed else word


def _spellings(secret: str) -> Iterable[str]:
    """A value as programs write it: as it is, in JSON, in an address, in Python, in base64."""
    yield secret
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield quote(secret, safe="")
    yield quote(secret)
    yield quote_plus(secret)
    yield repr(secret)[1:-1]
    yield base64.b64encode(secret.encode("utf-8")).decode("ascii").rstrip("=")


def _short(text: str, around: int) -> str:
    start = max(0, min(around - LONGEST // 4, len(text) - LONGEST))
    shown = " ".join(text[start:start + LONGEST].split())
    return ("\u2026" if start else "") + shown + ("\u2026" if start + LONGEST < len(text) else "")
