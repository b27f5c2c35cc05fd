# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""`.env` files as Docker Compose reads them: written so that every value arrives byte for byte, and read back."""

from __future__ import annotations

import re
from typing import Dict, Mapping

from . import dotenv_reading

KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=-]+\Z")


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
    """Keys and values of a `.env` file as Compose reads them; the last of two equal keys wins.

    A variable inside a value (``$OTHER``) is left as it stands: what it becomes depends on the shell that runs Compose.
    Lines that Compose would refuse are passed over.
    """
    return dotenv_reading.parse(text, interpolate=False).values()
