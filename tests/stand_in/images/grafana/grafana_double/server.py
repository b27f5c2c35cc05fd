"""The part of Grafana's HTTP API that the double answers. Whatever is not here is 404."""

from __future__ import annotations

import base64
import binascii
import http.cookies
import http.server
import json
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any

from .provisioning import Provisioned
from .store import Store

NOTE = "This is a double of Grafana, not Grafana."
LOGIN_PAGE = f"""<!doctype html>
<html lang="en"><head><title>Grafana (double)</title></head>
<body><h1>Grafana (double)</h1><p>{NOTE} It serves the part of the HTTP API that tests and demonstrations need.</p>
</body></html>
"""

Answer = tuple[int, Any]


class Grafana:
    """What the double knows, and what it answers."""

    def __init__(self, version: str, provisioned: Provisioned, store: Store) -> None:
        self.version = version
        self.provisioned = provisioned
        self.store = store
        # Each gets the query string and what the pattern caught.
        self.routes: dict[str, Callable[..., Answer]] = {
            r"/api/org": lambda query: (200, {"id": 1, "name": "Main Org."}),
            r"/api/datasources": lambda query: (200, self._datasources()),
            r"/api/datasources/(uid|name)/([^/]+)": lambda query, key, value: self._datasource(key, value),
            r"/api/datasources/uid/([^/]+)/health": lambda query, uid: self._datasource_health(uid),
            r"/api/datasources/proxy/uid/([^/]+)/(.+)": self._datasource_proxy,
            r"/api/search": lambda query: (200, self._dashboards()),
            r"/api/dashboards/uid/([^/]+)": lambda query, uid: self._dashboard(uid),
        }

    def health(self) -> Answer:
        ok = self.store.is_ok()
        return (200 if ok else 503), {"database": "ok" if ok else "failing", "version": self.version, "double": NOTE}

    def answer(self, path: str, query: str) -> Answer:
        for pattern, answer in self.routes.items():
            match = re.fullmatch(pattern, path)
            if match:
                return answer(query, *map(urllib.parse.unquote, match.groups()))
        return 404, {"message": "Not found"}

    def _datasources(self) -> list[dict[str, Any]]:
        return [
            {
                "id": number,
                "uid": datasource.get("uid") or datasource["name"],
                "orgId": 1,
                "name": datasource["name"],
                "type": datasource["type"],
                "access": datasource.get("access", "proxy"),
                "url": datasource.get("url", ""),
                "isDefault": bool(datasource.get("isDefault")),
                "jsonData": datasource.get("jsonData", {}),
                "readOnly": not datasource.get("editable", False),
            }
            for number, datasource in enumerate(self.provisioned.datasources, start=1)
        ]

    def _datasource(self, key: str, value: str) -> Answer:
        for datasource in self._datasources():
            if datasource[key] == value:
                return 200, datasource
        return 404, {"message": "Data source not found"}

    def _datasource_health(self, uid: str) -> Answer:
        status, content = self._datasource_proxy("query=1%2B1", uid, "api/v1/query")
        if status == 404:
            return status, content
        if status == 200 and content.get("status") == "success":
            return 200, {"message": "Successfully queried the Prometheus API.", "status": "OK"}
        return 400, {"message": content.get("message", "The answer is not Prometheus's."), "status": "ERROR"}

    def _datasource_proxy(self, query: str, uid: str, path: str) -> Answer:
        status, datasource = self._datasource("uid", uid)
        if status != 200:
            return status, datasource
        url = f"{datasource['url'].rstrip('/')}/{urllib.parse.quote(path)}?{query}"
        try:
            with urllib.request.urlopen(url, timeout=10) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            return error.code, {"message": f"{url}: {error.reason}"}
        except (OSError, ValueError) as error:
            return 502, {"message": f"{url}: {error}"}

    def _dashboards(self) -> list[dict[str, Any]]:
        return [
            {
                "uid": entry["dashboard"]["uid"],
                "title": entry["dashboard"].get("title", ""),
                "type": "dash-db",
                "url": f"/d/{entry['dashboard']['uid']}",
                "tags": entry["dashboard"].get("tags", []),
                "folderTitle": entry["folder"],
            }
            for entry in self.provisioned.dashboards
        ]

    def _dashboard(self, uid: str) -> Answer:
        for entry in self.provisioned.dashboards:
            if entry["dashboard"]["uid"] == uid:
                return 200, {"dashboard": entry["dashboard"], "meta": {"provisioned": True}}
        return 404, {"message": "Dashboard not found"}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    grafana: Grafana

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if path == "/api/health":
            self._send(*self.grafana.health())
        elif path == "/":
            self._send(302, "", {"Location": "/login"})
        elif path == "/login":
            self._send(200, LOGIN_PAGE)
        elif not path.startswith("/api/"):
            self._send(404, {"message": "Not found"})
        elif self._login() is None:
            self._send(401, {"message": "Unauthorized"})
        else:
            self._send(*self.grafana.answer(path, query))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path != "/login":
            self._send(404, {"message": "Not found"})
            return
        try:
            given = json.loads(body)
            user, password = given["user"], given["password"]
        except (ValueError, KeyError, TypeError):
            self._send(400, {"message": "bad login data"})
            return
        if not self.grafana.store.password_is_right(user, password):
            self._send(401, {"message": "Invalid username or password"})
            return
        token = self.grafana.store.open_session(user)
        cookie = f"grafana_session={token}; Path=/; HttpOnly; SameSite=Lax"
        self._send(200, {"message": "Logged in"}, {"Set-Cookie": cookie})

    def _login(self) -> str | None:
        """Who asks, by Basic authentication or by a session; None is nobody we know."""
        scheme, _, credentials = (self.headers.get("Authorization") or "").partition(" ")
        if scheme.lower() == "basic":
            try:
                user, _, password = base64.b64decode(credentials, validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                return None
            return user if self.grafana.store.password_is_right(user, password) else None
        cookie = http.cookies.SimpleCookie(self.headers.get("Cookie", "")).get("grafana_session")
        return self.grafana.store.session_login(cookie.value) if cookie else None

    def _send(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
        page = isinstance(content, str)
        body = (content if page else json.dumps(content, indent=2)).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8" if page else "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        # Health checks come every few seconds and say nothing.
        if self.path != "/api/health":
            super().log_request(code, size)


def serve(grafana: Grafana, port: int) -> None:
    handler = type("BoundHandler", (Handler,), {"grafana": grafana})
    http.server.ThreadingHTTPServer(("", port), handler).serve_forever()
