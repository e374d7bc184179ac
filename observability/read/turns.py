"""Long work in slices, so that the requests of the same event loop wait for one slice at most."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

SLICE = 0.003
"""Seconds after which the loop gets its turn; what was begun is done first."""


class Turns:
    """Lets one of several long works go on at a time, so that their slices do not add up to a long one.

    It is held as a context while working, ``pause`` is called between any two pieces of work, and nothing else is awaited.
    """

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._ends = 0.0

    async def __aenter__(self) -> Self:
        await self._lock.acquire()
        self._ends = time.perf_counter() + SLICE
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()

    async def pause(self) -> None:
        """Give the loop its turn, and whoever else works, when the slice is used up."""
        if time.perf_counter() < self._ends:
            return
        self._lock.release()
        try:
            await asyncio.sleep(0)
        finally:
            await self._lock.acquire()
            self._ends = time.perf_counter() + SLICE
