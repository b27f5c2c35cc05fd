# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""`.env` files as Docker Compose reads them: written so that every value arrives byte for byte, and read back."""

from __future__ import annotations

import re
from typing import Dict, Mapping

KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=-]+\Z")
_ASSIGNMENT = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.-]*)\s*[=:]\s*(.*)\Z", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", '"': '"', "$": "$", "'": "'"}


def quote(value: str) -> str:
    """One value in the form that Compose takes literally.

    A plain one stands as it is, so that `grep ^KEY= .env | cut -d= -f2-` finds it as it always did. Single
    quotes keep everything but a backslash or a single quote (Compose reads ``\\'`` inside them as a quote,
    and stumbles over a backslash that ends the value); those values go into double quotes.
    """
    if "\n" in value or "\r" in value or "\0" in value:
        raise ValueError("a value of .env is one line; this one has a line break")
    if _PLAIN.match(value):
        return value
    if "'" not in value and "\\" not in value:
        return "'" + value + "'"
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$") + '"'


def render(values: Mapping[str, str], header: str = "") -> str:
    """The text of a `.env` file: sorted by key, so that two runs write the same bytes."""
    lines = ["# " + line if line else "#" for line in header.splitlines()]
    for key in sorted(values):
        if not KEY.match(key):
            raise ValueError("not a name for a key of .env: %r" % key)
        lines.append("%s=%s" % (key, quote(values[key])))
    return "\n".join(lines) + "\n"


def parse(text: str) -> Dict[str, str]:
    """Keys and values of a `.env` file; the last of two equal keys wins, as in Compose.

    A variable inside a value (``$OTHER``) is left as it stands: what it becomes depends on the shell
    that runs Compose. Lines that are no assignment are passed over.
    """
    values: Dict[str, str] = {}
    lines = iter(text.lstrip("\ufeff").replace("\r\n", "\n").split("\n"))
    for line in lines:
        match = None if line.lstrip().startswith("#") else _ASSIGNMENT.match(line)
        if not match:
            continue
        raw = match.group(2)
        mark = raw[:1]
        if mark in ("'", '"') and mark:
            while _closing(raw, mark) < 0:
                following = next(lines, None)
                if following is None:
                    break
                raw += "\n" + following
            values[match.group(1)] = _unquote(raw, mark)
        else:
            values[match.group(1)] = re.split(r"\s#", raw, maxsplit=1)[0].strip()
    return values


def _closing(raw: str, mark: str) -> int:
    """Index of the quote that ends the value, or -1."""
    at = 1
    while at < len(raw):
        if raw[at] == "\\" and raw[at + 1:at + 2] in (mark, "\\") and (mark == '"' or raw[at + 1:at + 2] == mark):
            at += 2
            continue
        if raw[at] == mark:
            return at
        at += 1
    return -1


def _unquote(raw: str, mark: str) -> str:
    end = _closing(raw, mark)
    inner = raw[1:end] if end > 0 else raw[1:]
    if mark == "'":
        return inner.replace("\\'", "'")
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found.group(1), found.group(0)), inner, flags=re.DOTALL)
