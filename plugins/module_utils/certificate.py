# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Until when a certificate is valid. Python's standard library can ask a server that, but not a file."""

from __future__ import annotations

import binascii
import calendar
import re
import time
from typing import List, NamedTuple

_PEM = re.compile("-----BEGIN CERTIFICATE-----\\s*([A-Za-z0-9+/=\\s]+?)-----END CERTIFICATE-----")
_SEQUENCE, _VERSION, _UTC_TIME, _TIME = 0x30, 0xA0, 0x17, 0x18


class _Element(NamedTuple):
    tag: int
    content: bytes


def expires_at(pem: str) -> float:
    """When the first certificate of a PEM file ends, in epoch seconds. ValueError when that cannot be told."""
    block = _PEM.search(pem)
    if block is None:
        raise ValueError("no certificate")
    certificate = _sequence(_elements(binascii.a2b_base64(block.group(1))), 0)
    signed = _sequence(certificate, 0)
    # version (may be left out), serial number, algorithm, issuer, validity
    validity = _sequence(signed, 4 if signed[0].tag == _VERSION else 3)
    return _moment(validity[1])


def _sequence(elements: List[_Element], index: int) -> List[_Element]:
    if len(elements) <= index or elements[index].tag != _SEQUENCE:
        raise ValueError("not the structure of a certificate")
    inside = _elements(elements[index].content)
    if len(inside) < 2:
        raise ValueError("not the structure of a certificate")
    return inside


def _elements(data: bytes) -> List[_Element]:
    """The elements of DER that stand one after another."""
    found, at = [], 0
    while at + 2 <= len(data):
        tag, size, at = data[at], data[at + 1], at + 2
        if size & 0x80:
            digits = size & 0x7F
            size, at = int.from_bytes(data[at:at + digits], "big"), at + digits
        if at + size > len(data):
            raise ValueError("cut short")
        found.append(_Element(tag, data[at:at + size]))
        at += size
    return found


def _moment(element: _Element) -> float:
    text = element.content.decode("ascii")
    if element.tag == _UTC_TIME:
        # Two digits of the year; RFC 5280 says which century.
        text = ("20" if text[:2] < "50" else "19") + text
    elif element.tag != _TIME:
        raise ValueError("no time")
    return float(calendar.timegm(time.strptime(text, "%Y%m%d%H%M%SZ")))
