"""PostgreSQL and Redis, each as little as the three services need."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pg8000.exceptions
import pg8000.native
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from app import settings

TIMEOUT_SECONDS = 3
SQLSTATE_NAMES = {"42P01": "UndefinedTable", "42703": "UndefinedColumn"}


class Database:
    """One connection, opened when first needed and again after an error. For one thread at a time."""

    def __init__(self) -> None:
        self._address = settings.database_address()
        self._connection: pg8000.native.Connection | None = None

    def query(self, sql: str, **parameters: Any) -> list[list[Any]]:
        try:
            return self._open().run(sql, **parameters) or []
        except Exception:
            self.close()
            raise

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.query("BEGIN")
        try:
            yield
        except BaseException:
            # Closing is the rollback: it works on a broken connection, too.
            self.close()
            raise
        self.query("COMMIT")

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        with suppress(OSError, pg8000.exceptions.Error):  # it may be broken already
            connection.close()

    def _open(self) -> pg8000.native.Connection:
        if self._connection is None:
            address = self._address
            self._connection = pg8000.native.Connection(
                address.user,
                host=address.host,
                port=address.port,
                database=address.database,
                password=address.password,
                timeout=TIMEOUT_SECONDS,
            )
        return self._connection


class Cache:
    """Redis. Safe to share between threads."""

    def __init__(self) -> None:
        try:
            self._client: Any = redis.Redis.from_url(
                settings.redis_url(),
                decode_responses=True,
                socket_timeout=TIMEOUT_SECONDS,
                socket_connect_timeout=TIMEOUT_SECONDS,
                retry=Retry(NoBackoff(), 0),
            )
        except ValueError:
            raise SystemExit("REDIS_URL must look like redis://HOST:6379/0.") from None

    def get(self, key: str) -> str | None:
        value: str | None = self._client.get(key)
        return value

    def set(self, key: str, value: str) -> None:
        self._client.set(key, value)

    def ping(self) -> None:
        self._client.ping()


# What a caller sees when a store cannot be used.
ERRORS = (OSError, pg8000.exceptions.Error, redis.RedisError)


def explain(error: Exception) -> str:
    """One line for the log; PostgreSQL's errors by the names that people look for."""
    details = error.args[0] if error.args else None
    if isinstance(error, pg8000.exceptions.DatabaseError) and isinstance(details, dict):
        code = details.get("C", "")
        return f"{SQLSTATE_NAMES.get(code, code)}: {details.get('M', '')}"
    return " ".join(f"{type(error).__name__}: {error}".split())
