"""The environment, read once at start. A value that cannot be used ends the program in one clear line."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit


def text(key: str, default: str = "") -> str:
    return os.environ.get(key) or default


def required(key: str) -> str:
    value = text(key)
    if not value:
        raise SystemExit(f"{key} is not set: give it a value in .env.")
    return value


def number(key: str, default: float) -> float:
    value = text(key, str(default))
    try:
        result = float(value)
    except ValueError:
        result = 0.0
    if not 0 < result < float("inf"):
        raise SystemExit(f"{key} must be a number above 0, not {value!r}.")
    return result


@dataclass(frozen=True)
class DatabaseAddress:
    host: str
    port: int
    user: str
    database: str
    password: str = field(repr=False)


def database_address() -> DatabaseAddress:
    return parse_database_url(required("DATABASE_URL"))


def parse_database_url(url: str) -> DatabaseAddress:
    """Take SQLAlchemy's form apart: `postgresql+asyncpg://user:percent-encoded@host:5432/database`."""
    complaint = "DATABASE_URL must look like postgresql+asyncpg://USER:PASSWORD@HOST:5432/DATABASE (percent-encoded)."
    try:
        parts = urlsplit(url)
        address = DatabaseAddress(
            host=parts.hostname or "",
            port=parts.port or 5432,
            user=unquote(parts.username or "", errors="strict"),
            password=unquote(parts.password or "", errors="strict"),
            database=unquote(parts.path.removeprefix("/"), errors="strict"),
        )
    except ValueError:
        # The error's own text may quote the password.
        raise SystemExit(complaint) from None
    known_driver = parts.scheme.split("+")[0] in ("postgresql", "postgres")
    if not (known_driver and address.host and address.user and address.database):
        raise SystemExit(complaint)
    return address


def redis_url() -> str:
    return text("REDIS_URL") or f"redis://{text('REDIS_HOST', 'redis')}:{text('REDIS_PORT', '6379')}/0"
