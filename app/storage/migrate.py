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


async def migrate(database_url: str) -> None:
    """Apply every migration that is missing, one process at a time.

    Tortoise notes a migration as applied outside the transaction that applies it, and two runs on a fresh database
    collide; an advisory lock on a connection of our own, which a dying process lets go, makes them take turns.
    """
    try:
        await _migrate_in_turn(database_url)
    except (OSError, TimeoutError, asyncpg.PostgresError, BaseORMException, TortoiseMigrationError) as error:
        raise MigrationFailed(
            f"the database cannot be brought to the present schema: {error}; "
            "the user of DATABASE_URL must own it or be allowed to create tables in it"
        ) from error


async def _migrate_in_turn(database_url: str) -> None:
    guard = await asyncpg.connect(**credentials(database_url), timeout=5)
    try:
        await guard.execute("SELECT pg_advisory_lock($1)", ADVISORY_LOCK)
        async with TortoiseContext() as context:
            await context.init(config=configuration(database_url))
            await MigrationExecutor(context.connections.get("default"), APPS).migrate()
    finally:
        await guard.close(timeout=5)
