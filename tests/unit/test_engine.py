"""What the Engine is told, as far as that can be judged without one."""

from __future__ import annotations

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils import engine


@pytest.mark.parametrize(("reference", "parts"), [
    ("redis:8.4.0-alpine", ("redis", "8.4.0-alpine")),
    ("coinpilot/bot:3f2a90c1d27e", ("coinpilot/bot", "3f2a90c1d27e")),
    # What Compose calls an image that a hand-made file builds and does not name.
    ("oci-bot", ("oci-bot", "latest")),
    ("registry.example.com:5000/bot", ("registry.example.com:5000/bot", "latest")),
    ("registry.example.com:5000/bot:1.2", ("registry.example.com:5000/bot", "1.2")),
    ("redis@sha256:" + "0" * 64, ("redis", "latest")),
    ("registry.example.com:5000/redis:8@sha256:" + "0" * 64, ("registry.example.com:5000/redis", "8")),
])
def test_a_reference_is_taken_apart(reference: str, parts: tuple[str, str]) -> None:
    assert engine.split_reference(reference) == parts


def test_a_log_that_broke_off_is_no_log() -> None:
    frames = b"\x01\0\0\0\0\0\0\x04one\n" + b"\x02\0\0\0\0\0\0\x04two\n"
    assert engine._demultiplex(frames) == b"one\ntwo\n"
    assert engine._demultiplex(b"of a terminal\n") == b"of a terminal\n"
    with pytest.raises(engine.EngineError, match="the log broke off: error from daemon in stream: EOF"):
        engine._demultiplex(frames + b"\x03\0\0\0\0\0\0\x20error from daemon in stream: EOF\n")
