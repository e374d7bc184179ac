"""What a worker does now and then besides answering: write who was seen, delete what is over."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from app.errors import GatewatchError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from app.services.ports import Clock, Sweeper
    from app.services.presence import Presence

WRITE_SECONDS = 2.0
"""Between two writings of who was seen."""

SWEEP_SECONDS = 60.0
"""Between two sweeps of one worker; the first comes at a random moment of it, so that workers take turns."""

MARGIN = timedelta(hours=2)
"""How long a row is over before it is swept: a clock that is an hour wrong must not delete what is still valid."""

BATCH = 1_000
MOST_BATCHES = 20
"""In one sweep of one kind; the next sweep goes on."""

_log = logging.getLogger("gatewatch")


class Housekeeping:
    """Keeps the tables of one service small and its sessions' last sight fresh."""

    def __init__(self, presence: Presence, sweeper: Sweeper, clock: Clock, *, idle: timedelta) -> None:
        self._presence = presence
        self._sweeper = sweeper
        self._clock = clock
        self._idle = idle

    async def run(self, first_sweep: float) -> None:
        """Do it until cancelled; the first sweep comes after so many seconds."""
        to_sweep = first_sweep
        while True:
            await asyncio.sleep(WRITE_SECONDS)
            await _attempt(self._presence.write)
            to_sweep -= WRITE_SECONDS
            if to_sweep <= 0:
                to_sweep = SWEEP_SECONDS
                await _attempt(self.sweep)

    async def sweep(self) -> int:
        """Delete what has been over for long, in bounded batches; return how many rows that were."""
        over = self._clock() - MARGIN
        expired = await _batches(self._sweeper.expired_sessions, over)
        tokens = await _batches(self._sweeper.expired_email_tokens, over)
        return expired + tokens + await self._sweep_idle(over - self._idle)

    async def _sweep_idle(self, over: datetime) -> int:
        # The walk has no end to reach: so many steps are one sweep's share of it.
        return sum([await self._sweeper.idle_sessions(over, BATCH) for _ in range(MOST_BATCHES)])


async def _batches(delete: Callable[[datetime, int], Awaitable[int]], over: datetime) -> int:
    swept = 0
    for _ in range(MOST_BATCHES):
        count = await delete(over, BATCH)
        swept += count
        if count < BATCH:
            break
    return swept


async def _attempt(work: Callable[[], Awaitable[object]]) -> None:
    try:
        await work()
    except GatewatchError:
        return  # a store is away; the next round tries again
    except Exception:  # noqa: BLE001 - one bad round must not end all the following ones
        _log.exception("housekeeping failed; it goes on")
