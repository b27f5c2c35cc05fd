"""The part of Grafana's HTTP API that the double answers. Whatever is not here is 404."""

from __future__ import annotations

import base64
import binascii
import http.cookies
import http.server
import json
import os
import re
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any, NamedTuple

from .alerting import Alerting, Refused, folder_uid
from .durations import moment
from .expressions import EvaluationError, Numbers, ask_prometheus
from .notification import REDACTED, Alert, Notifications, redacted
from .provisioning import Provisioned, ProvisioningError
from .silences import Silences
from .store import Store

NEW_API = "notifications.alerting.grafana.app/v1beta1"
NEW_RECEIVERS = rf"/apis/{NEW_API}/namespaces/default/receivers"
NOTE = "This is a double of Grafana, not Grafana."
LOGIN_PAGE = f"""<!doctype html>
<html lang="en"><head><title>Grafana (double)</title></head>
<body><h1>Grafana (double)</h1><p>{NOTE} It serves the part of the HTTP API that tests and demonstrations need.</p>
</body></html>
"""

Answer = tuple[int, Any]


class Asked(NamedTuple):
    """A request of somebody who is logged in; `provenance` is what a rule that it makes is marked with."""

    method: str
    path: str
    query: str
    body: bytes
    provenance: str

    def json(self) -> dict[str, Any]:
        try:
            return dict(json.loads(self.body))
        except (ValueError, TypeError) as error:
            raise Refused(400, "bad request data") from error


class Grafana:
    """What the double knows, and what it answers."""

    def __init__(self, version: str, provisioned: Provisioned, store: Store, reread: Callable[[], Provisioned]) -> None:
        self.version = version
        self.provisioned = provisioned
        self.store = store
        self._reread = reread
        root_url = os.environ.get("GF_SERVER_ROOT_URL") or "http://localhost:3000/"
        self.alerting = Alerting(store, Notifications(version, root_url), self._ask)
        self.alerting.provision(provisioned)
        rule = r"/api/v1/provisioning/alert-rules/([^/]+)"
        manager = "/api/alertmanager/grafana"
        # Each gets the request, and what the pattern caught.
        self.routes: list[tuple[str, str, Callable[..., Answer]]] = [
            ("GET", r"/api/org", lambda asked: (200, {"id": 1, "name": "Main Org."})),
            ("GET", r"/api/datasources", lambda asked: (200, self._datasources())),
            ("GET", r"/api/datasources/(uid|name)/([^/]+)", lambda asked, key, value: self._datasource(key, value)),
            ("GET", r"/api/datasources/uid/([^/]+)/health", lambda asked, uid: self._datasource_health(uid)),
            ("GET", r"/api/datasources/proxy/uid/([^/]+)/(.+)",
             lambda asked, uid, path: self._datasource_proxy(asked.query, uid, path)),
            ("GET", r"/api/search", lambda asked: (200, self._dashboards())),
            ("GET", r"/api/dashboards/uid/([^/]+)", lambda asked, uid: self._dashboard(uid)),
            ("GET", r"/api/folders", lambda asked: (200, self._folders())),
            ("GET", r"/api/prometheus/grafana/api/v1/rules", lambda asked: (200, self._rule_states())),
            ("GET", r"/api/v1/provisioning/alert-rules",
             lambda asked: (200, [_rule(rule) for rule in self.alerting.rules()])),
            ("POST", r"/api/v1/provisioning/alert-rules",
             lambda asked: (201, _rule(self.alerting.save(asked.json(), asked.provenance)))),
            ("GET", rule, lambda asked, uid: (200, _rule(self.alerting.rule(uid)))),
            ("PUT", rule, lambda asked, uid: (200, _rule(self.alerting.save(asked.json(), asked.provenance, uid)))),
            ("DELETE", rule, self._delete_rule),
            ("GET", r"/api/v1/provisioning/contact-points", lambda asked: (200, self._contact_points())),
            ("GET", r"/api/v1/provisioning/policies", lambda asked: (200, self._policies())),
            ("GET", manager + r"/config/api/v1/receivers", lambda asked: (200, self._receivers())),
            ("POST", manager + r"/config/api/v1/receivers/test", lambda asked: self._test_receivers(asked.json())),
            ("GET", NEW_RECEIVERS, lambda asked: (200, self._new_receivers())),
            ("POST", NEW_RECEIVERS + r"/([^/]+)/test", lambda asked, name: self._test_new_receiver(name, asked.json())),
            ("GET", manager + r"/api/v2/silences", lambda asked: (200, self._silences.shown())),
            ("POST", manager + r"/api/v2/silences", lambda asked: self._silence(asked.json())),
            ("DELETE", manager + r"/api/v2/silence/([^/]+)", lambda asked, wanted: self._unsilence(wanted)),
            ("GET", manager + r"/api/v2/alerts", lambda asked: (200, self._alerts())),
            ("POST", r"/api/admin/provisioning/(alerting|dashboards|datasources)/reload", self._reload),
        ]

    def health(self) -> Answer:
        ok = self.store.is_ok()
        return (200 if ok else 503), {"database": "ok" if ok else "failing", "version": self.version, "double": NOTE}

    def answer(self, asked: Asked) -> Answer:
        for method, pattern, answer in self.routes:
            match = re.fullmatch(pattern, asked.path)
            if match and method == asked.method:
                try:
                    return answer(asked, *map(urllib.parse.unquote, match.groups()))
                except Refused as refused:
                    return refused.status, refused.body
        return 404, {"message": "Not found"}

    # -- alerting -----------------------------------------------------------------------------------------------

    def _ask(self, uid: str, expression: str) -> Numbers:
        status, datasource = self._datasource("uid", uid)
        if status != 200:
            raise EvaluationError(f"failed to build query 'A': data source not found: {uid}")
        return ask_prometheus(datasource["url"], expression)

    def _rule_states(self) -> dict[str, Any]:
        groups = self.alerting.groups()
        totals: dict[str, int] = {}
        for group in groups:
            for state, count in group["totals"].items():
                totals[state] = totals.get(state, 0) + count
        return {"status": "success", "data": {"groups": groups, "totals": totals}}

    def _delete_rule(self, asked: Asked, uid: str) -> Answer:
        self.alerting.delete(uid, asked.provenance)
        return 204, None

    def _folders(self) -> list[dict[str, Any]]:
        titles = dict.fromkeys(rule["folder"] for rule in self.alerting.rules())
        return [{"id": number, "uid": folder_uid(title), "title": title} for number, title in enumerate(titles, 1)]

    def _contact_points(self) -> list[dict[str, Any]]:
        return [
            {
                "uid": receiver["uid"],
                "name": point["name"],
                "type": receiver["type"],
                "settings": redacted(receiver),
                "disableResolveMessage": bool(receiver.get("disableResolveMessage")),
                "provenance": "file",
            }
            for point in self.provisioned.contact_points
            for receiver in point["receivers"]
        ]

    def _policies(self) -> dict[str, Any]:
        own = self.provisioned.policy
        return {**self.alerting.notifications.policy, **({"provenance": "file"} if own else {})}

    def _receivers(self) -> list[dict[str, Any]]:
        notifications = self.alerting.notifications
        return [
            {
                "active": name in json.dumps(notifications.policy),
                "integrations": [_integration(notifications, receiver) for receiver in receivers],
                "name": name,
            }
            for name, receivers in sorted(notifications.receivers.items())
        ]

    @property
    def _silences(self) -> Silences:
        return self.alerting.notifications.silences

    def _silence(self, body: dict[str, Any]) -> Answer:
        try:
            return 202, {"silenceID": self._silences.add(body)}
        except ValueError as error:
            return 400, {"message": str(error)}

    def _unsilence(self, wanted: str) -> Answer:
        if not self._silences.expire(wanted):
            raise Refused(404, "silence not found")
        return 200, {"message": "silence deleted"}

    def _is_new(self) -> bool:
        """Since version 13 a contact point is tested in another way."""
        return int(self.version.partition(".")[0]) >= 13

    def _new_receivers(self) -> dict[str, Any]:
        if not self._is_new():
            raise Refused(404, "Not found")
        items = []
        for point in self.provisioned.contact_points:
            name = base64.urlsafe_b64encode(point["name"].encode()).decode().rstrip("=")
            integrations = [
                {"uid": receiver["uid"], "type": receiver["type"], "version": "v1",
                 "settings": {key: value for key, value in redacted(receiver).items() if value != REDACTED},
                 "secureFields": {key: True for key, value in redacted(receiver).items() if value == REDACTED}}
                for receiver in point["receivers"]]
            items.append({"metadata": {"name": name, "namespace": "default"},
                          "spec": {"title": point["name"], "integrations": integrations}})
        return {"kind": "ReceiverList", "apiVersion": NEW_API, "metadata": {}, "items": items}

    def _test_new_receiver(self, name: str, body: dict[str, Any]) -> Answer:
        found = [item for item in self._new_receivers()["items"] if item["metadata"]["name"] == name]
        integration = body.get("integration") or {}
        points = self.provisioned.contact_points
        stored = {receiver["uid"]: receiver for point in points for receiver in point["receivers"]}
        if not found or integration.get("uid") not in stored or integration.get("version") != "v1":
            raise Refused(400, "unknown integration")
        known = stored[integration["uid"]]["settings"]
        kept = {key: known[key] for key in integration.get("secureFields") or {} if key in known}
        now = time.time()
        given = body.get("alert") or {}
        alert = Alert(given.get("labels") or {}, given.get("annotations") or {}, now)
        settings = {**(integration.get("settings") or {}), **kept}
        error = self.alerting.notifications.test({**integration, "settings": settings}, alert)
        return 200, {"apiVersion": NEW_API, "kind": "CreateReceiverIntegrationTest",
                     "duration": f"{(time.time() - now) * 1000:.0f}ms",
                     **({"status": "failure", "error": error} if error else {"status": "success"})}

    def _test_receivers(self, body: dict[str, Any]) -> Answer:
        if self._is_new():
            raise Refused(410, "This endpoint has been removed")
        given = body.get("alert") or {}
        now = time.time()
        alert = Alert(
            {"alertname": "TestAlert", "instance": "Grafana", **(given.get("labels") or {})},
            {"summary": "Notification test", **(given.get("annotations") or {})},
            now,
        )
        points = self.provisioned.contact_points
        stored = {receiver["uid"]: receiver for point in points for receiver in point["receivers"]}
        tested, failures = [], 0
        for point in body.get("receivers") or []:
            results = []
            for wanted in point.get("grafana_managed_receiver_configs") or []:
                known = stored.get(wanted.get("uid"), {}).get("settings", {})
                kept = {key: known[key] for key in wanted.get("secureFields") or {} if key in known}
                settings = {**(wanted.get("settings") or {}), **kept}
                if not settings.get("url"):
                    raise Refused(400, "could not find webhook url property in settings")
                error = self.alerting.notifications.test({**wanted, "settings": settings}, alert)
                failures += bool(error)
                results.append({
                    "name": wanted.get("name", ""), "uid": wanted.get("uid", ""),
                    **({"status": "failed", "error": error} if error else {"status": "ok"}),
                })
            tested.append({"name": point.get("name", ""), "grafana_managed_receiver_configs": results})
        shown = {"annotations": alert.annotations, "labels": alert.labels}
        return (207 if failures else 200), {"alert": shown, "receivers": tested, "notified_at": moment(now)}

    def _alerts(self) -> list[dict[str, Any]]:
        return [
            {
                "annotations": alert.annotations,
                "endsAt": moment(time.time() + 240),
                "fingerprint": alert.fingerprint,
                "receivers": [{"name": receiver}],
                "startsAt": moment(alert.starts),
                "status": {"inhibitedBy": [], "silencedBy": [], "state": "active"},
                "updatedAt": moment(time.time()),
                "generatorURL": "",
                "labels": alert.labels,
            }
            for receiver, alert in self.alerting.notifications.alerts()
        ]

    def _reload(self, asked: Asked, what: str) -> Answer:
        try:
            provisioned = self._reread()
            self.alerting.provision(provisioned)
        except ProvisioningError as error:
            print(f"logger=provisioning level=error Failed to provision {what}: {error}")
            return 500, {"message": f"Failed to reload {what}: {error}"}
        self.provisioned = provisioned
        return 200, {"message": f"{what.capitalize()} config reloaded"}

    # -- data sources and dashboards ----------------------------------------------------------------------------

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
            for entry in self.provisioned.dashboards()
        ]

    def _dashboard(self, uid: str) -> Answer:
        for entry in self.provisioned.dashboards():
            if entry["dashboard"]["uid"] == uid:
                return 200, {"dashboard": entry["dashboard"], "meta": {"provisioned": True}}
        return 404, {"message": "Dashboard not found"}


def _rule(rule: dict[str, Any]) -> dict[str, Any]:
    """As the provisioning API shows it."""
    same = ("id", "uid", "ruleGroup", "title", "condition", "data", "updated", "noDataState", "execErrState", "for",
            "annotations", "labels", "isPaused")
    return {
        "orgID": 1,
        "folderUID": folder_uid(rule["folder"]),
        **{key: rule.get(key) for key in same},
        **({"provenance": rule["provenance"]} if rule["provenance"] else {}),
        "keep_firing_for": "0s",
        "notification_settings": None,
        "record": None,
    }


def _integration(notifications: Notifications, receiver: dict[str, Any]) -> dict[str, Any]:
    attempt = notifications.attempts[receiver["uid"]]
    return {
        "lastNotifyAttempt": moment(attempt.when),
        "lastNotifyAttemptDuration": f"{attempt.seconds * 1000:.0f}ms" if attempt.when else "0s",
        **({"lastNotifyAttemptError": attempt.error} if attempt.error else {}),
        "name": receiver["type"],
        "sendResolved": not receiver.get("disableResolveMessage"),
    }


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
        else:
            self._answer(path, query)

    def do_POST(self) -> None:
        if self.path == "/login":
            self._log_in()
        else:
            self._answer(*self.path.partition("?")[::2])

    def do_PUT(self) -> None:
        self._answer(*self.path.partition("?")[::2])

    def do_DELETE(self) -> None:
        self._answer(*self.path.partition("?")[::2])

    def _answer(self, path: str, query: str) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if not path.startswith(("/api/", "/apis/")):
            self._send(404, {"message": "Not found"})
        elif self._login() is None:
            self._send(401, {"message": "Unauthorized"})
        else:
            # Any value will do, as for Grafana.
            provenance = "" if self.headers.get("X-Disable-Provenance") else "api"
            self._send(*self.grafana.answer(Asked(self.command, path, query, body, provenance)))

    def _log_in(self) -> None:
        try:
            given = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
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
        body = b"" if content is None else (content if page else json.dumps(content, indent=2)).encode()
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
    threading.Thread(target=grafana.alerting.run, name="scheduler", daemon=True).start()
    handler = type("BoundHandler", (Handler,), {"grafana": grafana})
    http.server.ThreadingHTTPServer(("", port), handler).serve_forever()
