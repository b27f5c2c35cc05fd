"""What is shown of other programs' texts, and moments and lengths of time as Go writes them."""

from __future__ import annotations

import socket
import threading

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils import http_json, moments
from ansible_collections.coinpilot.ops.plugins.module_utils.http_json import HttpError, masked

SECRET = "hunter2-of-the-webhook"


@pytest.mark.parametrize("text", [
    f"https://discord.com/api/webhooks/1/{SECRET}", f'Post "https://discord.com/api/webhooks/1/{SECRET}": EOF',
    f"https:\\/\\/discord.com\\/api\\/webhooks\\/1\\/{SECRET}", f"http://{SECRET}:{SECRET}@host:1/",
    f"/webhooks/1/{SECRET}",
    f"webhooks%2F1%2F{SECRET}", f"HTTPS://DISCORD.COM/{SECRET}", f"http://h?{SECRET}", f"http://h#{SECRET}",
    f"https://x@{SECRET}@discord.com/",
])
def test_an_address_shows_its_host_at_most(text: str) -> None:
    assert SECRET not in masked(text)


def test_known_secrets_are_not_shown() -> None:
    assert masked(f"password {SECRET}!", [SECRET, "", "abc"]) == "password ***!"


def test_a_text_is_one_line() -> None:
    assert masked("a\nb\x1b[31m\u202e  c\td") == "a b [31m c d"
    assert len(masked("x" * 9999)) == http_json.LONGEST


@pytest.mark.parametrize(("answer", "case"), [
    (b"", "answer"), (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}", "answer"), (b"SSH-2.0-x\r\n", "answer"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz", "answer"),
    (b"HTTP/1.1 999999999999 X\r\n\r\n", "answer"),
])
def test_what_is_no_http(answer: bytes, case: str) -> None:
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(9999)
            connection.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    with server, pytest.raises(HttpError) as problem:
        http_json.ask("http://127.0.0.1:%d/" % server.getsockname()[1], timeout=5)
    assert problem.value.case == case


def test_one_that_never_ends_and_one_that_never_begins() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = "http://127.0.0.1:%d/" % server.getsockname()[1]
        with pytest.raises(HttpError, match="timeout"):
            http_json.ask(address, timeout=0.2)
    with pytest.raises(HttpError, match="down"):
        http_json.ask(address, timeout=0.2)


@pytest.mark.parametrize(("text", "expected"), [
    ("1970-01-01T00:01:00Z", 60), ("1970-01-01T09:01:00.5+09:00", 60.5),
    ("1970-01-01T00:00:00.123456789Z", 0.123456789),
    ("0001-01-01T00:00:00Z", None), ("0001-01-01T00:00:00.000Z", None), ("2026-13-01T00:00:00Z", None),
    ("2026-01-01", None), ("", None), (None, None), (7, None), ("2026-01-01T00:00:00Z\n", None),
    ("\u0661970-01-01T00:01:00Z", None),
])
def test_moments(text: object, expected: float | None) -> None:
    assert moments.moment(text) == expected


@pytest.mark.parametrize(("text", "expected"), [
    ("2m", 120), ("1m30s", 90), ("90s", 90), ("0s", 0), ("0", 0), ("1h0m", 3600), ("1.5h", 5400), ("100ms", 0.1),
    ("1d", 86400),
    ("", None), ("2", None), ("m", None), ("2m ", None), (None, None), (5, None), ("-1m", None), ("1m" * 99, None),
])
def test_durations(text: object, expected: float | None) -> None:
    assert moments.seconds(text) == expected


def test_spans() -> None:
    assert [moments.span(length).en for length in (-5, 0, 119, 120, 7199, 7200, 172799, 172800)] == [
        "0 seconds", "0 seconds", "119 seconds", "2 minutes", "119 minutes", "2 hours", "47 hours", "2 days"]
