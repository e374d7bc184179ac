"""Tortoise's configuration: where the models and migrations are, and how a database URL becomes a connection."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

APPS = {
    "gatewatch": {
        "models": ["app.storage.models"],
        "default_connection": "default",
        "migrations": "migrations",
    }
}


def credentials(url: str) -> dict[str, Any]:
    """Turn a PostgreSQL URL into the arguments of a connection; query parameters become arguments of asyncpg."""
    parts = urlsplit(url)
    extra = {"ssl" if name == "sslmode" else name: value for name, value in parse_qsl(parts.query)}
    if "statement_cache_size" in extra:  # 0 behind pgbouncer in transaction mode
        extra["statement_cache_size"] = int(extra["statement_cache_size"])  # type: ignore[assignment] # asyncpg wants a number
    return {
        "host": parts.hostname,
        "port": parts.port or 5432,
        "user": unquote(parts.username) if parts.username else None,
        "password": unquote(parts.password) if parts.password else None,
        "database": unquote(parts.path.lstrip("/")) or None,
        **extra,
    }


def configuration(url: str, engine: str = "tortoise.backends.asyncpg", **options: Any) -> dict[str, Any]:
    """Return a whole Tortoise configuration for one database."""
    return {
        "connections": {"default": {"engine": engine, "credentials": {**credentials(url), **options}}},
        "apps": APPS,
        "use_tz": True,
        "timezone": "UTC",
    }


def __getattr__(name: str) -> Any:
    """Answer Tortoise's own command line (`tortoise makemigrations`), which asks for TORTOISE by name."""
    if name == "TORTOISE":
        return configuration(os.environ.get("DATABASE_URL", "postgresql://localhost/gatewatch"))
    raise AttributeError(name)
