"""Cache deletes that cannot be lost.

A write that makes cached values stale leaves a ``pending_invalidations`` row in the same statement. Once the cache has
deleted the values the row is settled; if the cache is away, or the process dies in between, a sweep finishes the work.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from app.errors import CacheUnavailable, GatewatchError, InvalidationPending
from app.repositories.ids import earliest_id
from app.storage.database import Database, Statement

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from app.storage.cache import Cache

SETTLE = Statement("invalidations_settle", "DELETE FROM pending_invalidations WHERE id = ANY($1::uuid[])")
OVERDUE = Statement(
    "invalidations_overdue",
    "SELECT id, cache_keys FROM pending_invalidations WHERE id < $1 OR id > $2 ORDER BY id LIMIT 200",  # AT_ONCE
)
"""Ids begin with the time by their writer's clock: one that lies ahead was written before the clock was set back, or by another's."""
LEFT = Statement("invalidations_left", "SELECT id, cache_keys FROM pending_invalidations ORDER BY id LIMIT 200")
AT_ONCE = 200
"""Overdue writes that are finished at a time."""

TICK = 1.0
"""Seconds between two rounds of settling."""

TICKS_A_SWEEP = 5
RETRY = 0.1
"""Seconds to wait while a store is away; the cache's breaker decides how often it is really asked."""

GRACE = timedelta(seconds=2)
"""How long the writer itself has before a sweep takes over."""

MOST_SETTLED = 10_000
"""Settled rows to remember between two sweeps; past it the next sweep finds them and deletes them once more."""

_log = logging.getLogger("gatewatch")


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
        now = self._now()
        return await self._finish(OVERDUE, earliest_id(now - GRACE), earliest_id(now + GRACE))

    async def clear(self, keys: list[str]) -> None:
        """Make sure that values are gone from the cache; raise InvalidationPending when that cannot be said now."""
        try:
            await self._cache.delete(keys)
        except CacheUnavailable as error:
            raise InvalidationPending("caches cannot be told yet; it is over in the database") from error

    async def finish_all(self) -> None:
        """Do every delete that any writer has left; raise InvalidationPending when that cannot be said now.

        For whoever tries again after InvalidationPending and finds the rows gone, but must not be told so while a
        cache still knows them.
        """
        try:
            await self._finish_everything()
        except CacheUnavailable as error:
            raise InvalidationPending("caches cannot be told yet; it is over in the database") from error

    async def regain_trust(self) -> None:
        """After the cache has failed, do every delete that may have been missed, then believe what is left in it."""
        failures = self._cache.failures
        await self._cache.ping()
        await self._finish_everything()
        self._cache.trust(failures)

    async def keep(self) -> None:
        """Settle, finish and regain trust as it becomes needed, for as long as the worker lives."""
        quiet = 0
        while True:
            try:
                if await self._doubt_within(TICK):
                    await self.regain_trust()
                else:
                    quiet += 1
                    await self.settle()
                    if quiet % TICKS_A_SWEEP == 0:
                        await self.finish_overdue()
            except GatewatchError:
                await asyncio.sleep(RETRY)  # a store is away
            except Exception:  # noqa: BLE001 - one bad round must not end all the following ones
                _log.exception("the care for cache invalidations failed; it goes on")
                await asyncio.sleep(TICK)

    async def _doubt_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._cache.in_doubt.wait()
        return self._cache.in_doubt.is_set()

    async def _finish_everything(self) -> None:
        while await self._finish(LEFT) == AT_ONCE:
            pass

    async def _finish(self, statement: Statement, *bounds: UUID) -> int:
        rows = await self._database.fetch(statement, *bounds)
        if rows:
            await self._cache.delete([key for row in rows for key in row["cache_keys"]])
            await self._database.fetch(SETTLE, [row["id"] for row in rows])
        return len(rows)
