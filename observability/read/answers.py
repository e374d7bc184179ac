"""What many ask alike is computed once for all of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

    from observability.read.turns import Turns

T = TypeVar("T")

MOST_ANSWERS = 128
"""Answers kept at most; past it the one longest known is forgotten."""

MOST_TABLES = 24
"""Tables of columns kept at most, of up to 360 columns each; past it the one longest not asked for is forgotten."""


class Answers:
    """Answers by what was asked. Whoever asks while one is being computed waits for it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._known: dict[Hashable, tuple[float, asyncio.Task[Any]]] = {}

    async def get(self, asked: Hashable, seconds: float, compute: Callable[[], Awaitable[T]]) -> T:
        """Return the answer, which is computed anew when it is older than so many seconds, or failed."""
        now = self._clock()
        since, task = self._known.get(asked, (now, None))
        if task is None or not 0 <= now - since < seconds or (task.done() and (task.cancelled() or task.exception())):
            self._known.pop(asked, None)
            task = asyncio.ensure_future(_awaited(compute))
            self._known[asked] = now, task
            while len(self._known) > MOST_ANSWERS:
                del self._known[next(iter(self._known))]
        answer: T = await asyncio.shield(task)
        return answer

    def forget(self, asked: Hashable) -> None:
        """Compute this anew when it is asked next."""
        self._known.pop(asked, None)

    def clear(self) -> None:
        """Compute everything anew."""
        self._known.clear()


async def _awaited(compute: Callable[[], Awaitable[T]]) -> T:
    return await compute()


class Tables:
    """Columns of charts by table, length and end, each computed once: what is over does not change."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._tables: dict[tuple[Hashable, int], dict[int, Any]] = {}

    async def get(self, name: Hashable, wanted: range, make: Callable[[int], T]) -> list[T]:
        """Return the columns that end at the seconds of ``wanted``; the loop gets its turn between many."""
        key = (name, wanted.step)
        table: dict[int, T] = self._tables.pop(key, {})
        self._tables[key] = table
        while len(self._tables) > MOST_TABLES:
            del self._tables[next(iter(self._tables))]
        if missing := [end for end in wanted if end not in table]:
            async with self._turns.work() as work:
                for end in missing:
                    table[end] = make(end)
                    await work.pause()
        # News that came meanwhile may have dropped some.
        return [table[end] if end in table else make(end) for end in wanted]

    def invalidate(self, touched: float, oldest: Callable[[int], float]) -> None:
        """Drop columns that end at or after the second ``touched``, or before what is the ``oldest`` of their length."""
        for (_, step), table in self._tables.items():
            for end in [end for end in table if not oldest(step) <= end < touched]:
                del table[end]
