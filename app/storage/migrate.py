"""Bring a database to the present schema, however many processes try at once."""

from __future__ import annotations

import asyncpg
from tortoise.context import TortoiseContext
from tortoise.exceptions import BaseORMException
from tortoise.migrations.exceptions import TortoiseMigrationError
from tortoise.migrations.executor import MigrationExecutor

from app.errors import MigrationFailed
from app.storage.schema import APPS, configuration, credentials

ADVISORY_LOCK = 0x6761746577617463
"""The key under which instances take turns: "gatewatc" in ASCII."""

CONNECT_SECONDS = 5.0


async def migrate(database_url: str) -> None:
    """Apply every migration that is missing, one process at a time.

    Tortoise notes a migration as applied outside the transaction that applies it, and two runs on a fresh database
    collide; an advisory lock on a connection of our own, which a dying process lets go, makes them take turns.
    """
    try:
        await _migrate_in_turn(database_url)
    except (OSError, TimeoutError, asyncpg.PostgresError, BaseORMException, TortoiseMigrationError) as error:
        raise MigrationFailed(f"the database cannot be brought to the present schema: {_reason(error)}") from error


async def _migrate_in_turn(database_url: str) -> None:
    guard = await asyncpg.connect(**credentials(database_url), timeout=CONNECT_SECONDS)
    try:
        await guard.execute("SELECT pg_advisory_lock($1)", ADVISORY_LOCK)
        async with TortoiseContext() as context:
            await context.init(config=configuration(database_url))
            await MigrationExecutor(context.connections.get("default"), APPS).migrate()
    finally:
        await guard.close(timeout=5)


def _reason(error: BaseException) -> str:
    """Say why in a line, and what to do about it where that is known."""
    if isinstance(error, TimeoutError):
        return f"PostgreSQL did not answer within {CONNECT_SECONDS:g} s"
    if isinstance(error, ConnectionRefusedError):
        return "PostgreSQL refuses the connection; is it running where DATABASE_URL says?"
    causes = (error, error.__cause__)
    if any(isinstance(cause, asyncpg.InsufficientPrivilegeError) for cause in causes):
        return f"{error}; the user of DATABASE_URL must own it or be allowed to create tables in it"
    return str(error) or type(error).__name__
