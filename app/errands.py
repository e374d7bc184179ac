"""What commands do to the stores of a service without serving: administration and seeding."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from app.errors import GatewatchError
from app.passwords import hasher_of_command, password_rule
from app.repositories.importing import Importing
from app.repositories.invalidations import Invalidations
from app.repositories.seeding import Recipe, Seeding
from app.repositories.users import Users
from app.services.administration import Administration
from app.services.completion import Completion
from app.services.importing import Importer
from app.services.seeding import Seeder
from app.storage.bulk import Bulk
from app.storage.cache import Cache
from app.storage.database import Database, PoolOptions
from observability.record.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from app.settings import Settings

DEADLINE = 30.0
_PATIENT_REDIS = 5.0
"""Nobody waits for an answer here, so a cache delete of a thousand keys may take its time."""


@dataclass(frozen=True, slots=True)
class Stores:
    """The stores of a service, for a command."""

    database: Database
    cache: Cache
    invalidations: Invalidations
    recorder: Recorder

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, settings: Settings) -> AsyncIterator[Stores]:
        """Open them; at the end, remove the rows of cache deletes that are done."""
        if settings.database_url is None or settings.redis_url is None:
            raise ValueError("a command is always given the URLs of both stores")
        recorder = Recorder(instance="command", worker="command")
        options = PoolOptions(
            size=1,
            max_wait=settings.pool_max_wait,
            idle_timeout=settings.pool_idle_timeout,
            validate_after=settings.pool_validate_after,
            query_timeout=DEADLINE,
        )
        database = await Database.open(settings.database_url, options, recorder.pool("postgresql", 1))
        cache = Cache.at(settings.redis_url, timeout=max(settings.redis_timeout, _PATIENT_REDIS))
        invalidations = Invalidations(database, cache, _now)
        try:
            yield cls(database, cache, invalidations, recorder)
        finally:
            with contextlib.suppress(GatewatchError):  # the sweep of any worker does it
                await invalidations.settle()
            await cache.close()
            await database.close()


@contextlib.asynccontextmanager
async def administration(settings: Settings) -> AsyncIterator[Administration]:
    """Open what an administrator needs."""
    async with Stores.open(settings) as stores:
        passwords = hasher_of_command(settings, stores.recorder)
        try:
            yield Administration(
                Users(stores.database, stores.invalidations),
                passwords,
                Completion(deadline=DEADLINE),
                _now,
                rule=password_rule(settings),
            )
        finally:
            passwords.close()


@contextlib.asynccontextmanager
async def seeder(settings: Settings, seed: int) -> AsyncIterator[Seeder[Recipe]]:
    """Open what makes up users."""
    recipe = Recipe(
        seed, _now(), timedelta(seconds=settings.session_lifetime), timedelta(seconds=settings.session_idle)
    )
    async with Stores.open(settings) as stores, Bulk.open(settings.database_url or "") as bulk:
        yield Seeder(Seeding(stores.database, bulk, stores.invalidations), recipe)


@contextlib.asynccontextmanager
async def importer(settings: Settings) -> AsyncIterator[Importer]:
    """Open what takes over users of another system."""
    async with Stores.open(settings) as stores:
        yield Importer(Importing(stores.database), _now)


def _now() -> datetime:
    return datetime.now(UTC)
