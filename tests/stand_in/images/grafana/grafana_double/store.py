"""What Grafana keeps in grafana.db, as far as the double needs it: the administrator and the open sessions."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import sqlite3
import threading
from pathlib import Path

SCHEMA = """
CREATE TABLE IF NOT EXISTS user (login TEXT PRIMARY KEY, salt BLOB NOT NULL, hash BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS session (token TEXT PRIMARY KEY, login TEXT NOT NULL);
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

    def _query(self, statement: str, *values: object) -> list[tuple]:
        with self._lock:
            return self._database.execute(statement, values).fetchall()


def _hash(password: str, salt: bytes) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", password.encode(), salt, 10_000)
