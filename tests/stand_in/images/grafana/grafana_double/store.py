"""What Grafana keeps in grafana.db, as far as the double needs it: the administrator and the open sessions, the alert
rules, and what is known of their alerts. Contact points and policies, which hold secrets, stay in their files alone."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import sqlite3
import threading
from pathlib import Path
from typing import Any

SCHEMA = """
CREATE TABLE IF NOT EXISTS user (login TEXT PRIMARY KEY, salt BLOB NOT NULL, hash BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS session (token TEXT PRIMARY KEY, login TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS alert_rule (id INTEGER PRIMARY KEY, uid TEXT NOT NULL UNIQUE, document TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS memory (name TEXT PRIMARY KEY, document TEXT NOT NULL);
"""


class Store:
    def __init__(self, path: Path, admin_user: str, admin_password: str) -> None:
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._database.executescript(SCHEMA)
        # As in Grafana: the settings make the first administrator, and change nothing once there is one.
        if not self._query("SELECT login FROM user"):
            salt = secrets.token_bytes(16)
            self._query("INSERT INTO user VALUES (?, ?, ?)", admin_user, salt, _hash(admin_password, salt))

    def is_ok(self) -> bool:
        try:
            return self._query("SELECT 1") == [(1,)]
        except sqlite3.Error:
            return False

    def password_is_right(self, login: str, password: str) -> bool:
        for salt, known in self._query("SELECT salt, hash FROM user WHERE login = ?", login):
            return hmac.compare_digest(_hash(password, salt), known)
        return False

    def open_session(self, login: str) -> str:
        token = secrets.token_hex(16)
        self._query("INSERT INTO session VALUES (?, ?)", token, login)
        return token

    def session_login(self, token: str) -> str | None:
        rows = self._query("SELECT login FROM session WHERE token = ?", token)
        return rows[0][0] if rows else None

    def rules(self) -> list[dict[str, Any]]:
        return [{"id": number, **json.loads(document)}
                for number, document in self._query("SELECT id, document FROM alert_rule ORDER BY id")]

    def rule(self, uid: str) -> dict[str, Any] | None:
        rows = self._query("SELECT id, document FROM alert_rule WHERE uid = ?", uid)
        return {"id": rows[0][0], **json.loads(rows[0][1])} if rows else None

    def put_rule(self, rule: dict[str, Any]) -> None:
        document = json.dumps({key: value for key, value in rule.items() if key != "id"})
        self._query("INSERT INTO alert_rule (uid, document) VALUES (?, ?) "
                    "ON CONFLICT (uid) DO UPDATE SET document = excluded.document", rule["uid"], document)

    def remove_rule(self, uid: str) -> None:
        self._query("DELETE FROM alert_rule WHERE uid = ?", uid)

    def keep(self, name: str, document: dict[str, Any]) -> None:
        self._query("INSERT OR REPLACE INTO memory VALUES (?, ?)", name, json.dumps(document))

    def recall(self, name: str) -> dict[str, Any]:
        rows = self._query("SELECT document FROM memory WHERE name = ?", name)
        return dict(json.loads(rows[0][0])) if rows else {}

    def _query(self, statement: str, *values: object) -> list[tuple]:
        with self._lock:
            return self._database.execute(statement, values).fetchall()


def _hash(password: str, salt: bytes) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", password.encode(), salt, 10_000)
