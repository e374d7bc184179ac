"""Long work in slices, so that the requests of the same event loop wait for one slice at most."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SLICE = 0.003
"""Seconds after which the loop gets its turn; what was begun is done first."""


class Turns:
    """Lets one of several long works go on at a time, so that their slices do not add up to a long one."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def work(self) -> AsyncIterator[Work]:
        """Wait for the first turn. Between any two pieces of the work ``pause`` is called, and nothing else is awaited."""
        work = Work(self._lock)
        try:
            await work.go_on()
            yield work
        finally:
            work.rest()


class Work:
    """One long work, which holds the lock while it has its turn."""

    def __init__(self, lock: asyncio.Lock) -> None:
        self._lock = lock
        self._working = False
        self._ends = 0.0

    async def pause(self) -> None:
        """Give the loop its turn, and whoever else works, when the slice is used up."""
        if time.perf_counter() >= self._ends:
            self.rest()
            await asyncio.sleep(0)
            await self.go_on()

    async def go_on(self) -> None:
        """Wait for a turn."""
        await self._lock.acquire()
        self._working = True
        self._ends = time.perf_counter() + SLICE

    def rest(self) -> None:
        """Let others work; nothing when that has been done."""
        if self._working:
            self._working = False
            self._lock.release()
