"""Cache deletes that cannot be lost.

A write that makes cached values stale leaves a ``pending_invalidations`` row in the same statement. Once the cache has
deleted the values the row is settled; if the cache is away, or the process dies in between, a sweep finishes the work.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from app.errors import CacheUnavailable, InvalidationPending
from app.repositories.ids import earliest_id
from app.storage.database import Database, Statement

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from app.storage.cache import Cache

SETTLE = Statement("invalidations_settle", "DELETE FROM pending_invalidations WHERE id = ANY($1::uuid[])")
OVERDUE = Statement(
    "invalidations_overdue",
    "SELECT id, cache_keys FROM pending_invalidations WHERE id < $1 ORDER BY id LIMIT 200",
)
GRACE = timedelta(seconds=2)
"""How long the writer itself has before a sweep takes over."""

MOST_SETTLED = 10_000
"""Settled rows to remember between two sweeps; past it the next sweep finds them and deletes them once more."""


class Invalidations:
    """Deletes stale values from the cache, at once when it can and later when it must."""

    def __init__(self, database: Database, cache: Cache, now: Callable[[], datetime]) -> None:
        self._database = database
        self._cache = cache
        self._now = now
        self._settled: list[UUID] = []

    async def enforce(self, row: UUID, keys: list[str]) -> None:
        """Delete values from the cache; raise InvalidationPending when that has to wait for a sweep."""
        try:
            await self._cache.delete(keys)
        except CacheUnavailable as error:
            raise InvalidationPending("the change is stored, but caches could not be told yet") from error
        if len(self._settled) < MOST_SETTLED:
            self._settled.append(row)

    async def settle(self) -> None:
        """Remove the rows of deletes that are done."""
        if self._settled:
            settled, self._settled = self._settled, []
            await self._database.fetch(SETTLE, settled)

    async def finish_overdue(self) -> int:
        """Do the deletes that their writers could not; return how many writes they came from."""
        overdue = await self._database.fetch(OVERDUE, earliest_id(self._now() - GRACE))
        if overdue:
            await self._cache.delete([key for row in overdue for key in row["cache_keys"]])
            await self._database.fetch(SETTLE, [row["id"] for row in overdue])
        return len(overdue)
