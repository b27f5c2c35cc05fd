"""As much of a web server as a health check, a page of metrics and one form need."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

FORM_LIMIT = 4096


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    cookies: dict[str, str]
    form: dict[str, str]


@dataclass(frozen=True)
class Response:
    status: int
    body: str = ""
    content_type: str = "text/plain; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)


def serve(port: int, answer: Callable[[Request], Response]) -> None:
    """Answer requests in the background."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 10  # a client that sends nothing

        def do_GET(self) -> None:
            self._reply(answer(Request("GET", urlsplit(self.path).path, self._cookies(), {})))

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            if not length.isdecimal() or int(length) > FORM_LIMIT:
                self._reply(Response(413, "The form is too large.\n"))
                return
            text = self.rfile.read(int(length)).decode("utf-8", errors="replace")
            form = {key: values[-1] for key, values in parse_qs(text).items()}
            self._reply(answer(Request("POST", urlsplit(self.path).path, self._cookies(), form)))

        def _cookies(self) -> dict[str, str]:
            try:
                jar: SimpleCookie = SimpleCookie(self.headers.get("Cookie", ""))
            except CookieError:
                return {}
            return {name: morsel.value for name, morsel in jar.items()}

        def _reply(self, response: Response) -> None:
            body = response.body.encode()
            self.send_response(response.status)
            self.send_header("Content-Type", response.content_type)
            self.send_header("Content-Length", str(len(body)))
            for name, value in response.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Health checks and scrapes would fill the log."""

    server = ThreadingHTTPServer(("", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
