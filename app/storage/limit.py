"""A pool whose size can be changed while it lends: places beyond the limit are set aside, and stay empty."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncpg import Connection
    from asyncpg.pool import Pool, PoolConnectionHolder

CLOSING_TIMEOUT = 1.0


class PoolLimit:
    """How many of an asyncpg pool's places, its ``max_size``, are in use. It takes the others out of the queue that the pool lends from.

    A lower limit takes nothing from those who have a connection: theirs are closed as they come back.
    """

    def __init__(self, pool: Pool, limit: int) -> None:
        self._pool: Any = pool
        self._places = self._most = pool.get_max_size()
        self._aside: list[PoolConnectionHolder] = []
        self._closing: set[asyncio.Task[None]] = set()
        self.limit = self._within(limit)

    def move(self, limit: int) -> None:
        """Set another limit, from 1 to the pool's ``max_size``."""
        self.limit = self._within(limit)
        self.settle()

    def settle(self) -> None:
        """Bring the places in use to the limit, as far as they are free. To be called once the pool is open, and when one came back."""
        if self._places == self.limit:
            return
        place: Any  # of which we need what is not public
        queue = self._pool._queue  # noqa: SLF001 - asyncpg has no limit that moves
        while self._places < self.limit:
            place = self._aside.pop()
            place.terminate()  # it may be closing still, and whoever takes it needs a connection that does not
            queue.put_nowait(place)
            self._places += 1
        while self._places > self.limit and queue.qsize():
            place = _least_used(queue._queue)  # noqa: SLF001 - the same
            self._aside.append(place)
            self._places -= 1
            if place.is_connected():
                self._close(place._con)  # noqa: SLF001 - its place may have another by the time that it is closed

    def _within(self, limit: int) -> int:
        return max(1, min(limit, self._most))

    def _close(self, connection: Connection[Any]) -> None:
        closing = asyncio.get_running_loop().create_task(_closed(connection))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)


def _least_used(free: list[PoolConnectionHolder]) -> PoolConnectionHolder:
    """Take out a place without a connection, else the one whose connection was returned first."""
    return free.pop(next((n for n, place in enumerate(free) if not place.is_connected()), 0))


async def _closed(connection: Connection[Any]) -> None:
    try:
        await connection.close(timeout=CLOSING_TIMEOUT)
    except Exception:  # noqa: BLE001 - whatever keeps it from closing in order, it has to close
        connection.terminate()
