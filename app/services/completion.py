"""Writes that end even when the caller has gone away."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from app.errors import StillRunning

if TYPE_CHECKING:
    from collections.abc import Coroutine

Result = TypeVar("Result")


class Completion:
    """Runs work in tasks of their own: a client that disconnects cancels its handler, never the work.

    Each piece of work has ``deadline`` seconds; after that it is cancelled and its caller is told that the outcome is
    unknown.
    """

    def __init__(self, *, deadline: float) -> None:
        self._deadline = deadline
        self._running: set[asyncio.Task[Any]] = set()

    async def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Do the work to its end; return its result or raise its error."""
        return await asyncio.shield(self.start(work))

    def start(self, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """Do the work to its end. Nobody need wait for it, nor will hear of its error then."""
        task = asyncio.get_running_loop().create_task(self._bounded(work))
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    async def drain(self, timeout: float) -> None:  # noqa: ASYNC109 - a bound on waiting, not on the work
        """Wait until all work has ended, at most so many seconds."""
        if self._running:
            await asyncio.wait(self._running, timeout=timeout)

    async def _bounded(self, work: Coroutine[Any, Any, Result]) -> Result:
        limit = asyncio.timeout(self._deadline)
        try:
            async with limit:
                return await work
        except TimeoutError:
            if limit.expired():
                raise StillRunning(
                    "this took longer than a write may and was given up; look at the state before trying again"
                ) from None
            raise

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # the caller may be gone; asking keeps asyncio from complaining that nobody did
