"""What was done in a stretch of time that moves on: what comes is added to the sum, what falls out is taken from it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from observability.read.slot import Sum

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

    from observability.read.history import Mark, Tier
    from observability.read.stretch import Stretch, Where
    from observability.read.turns import Turns, Work

    Place = tuple[Tier, int]

T = TypeVar("T")

MOST_WINDOWS = 40
"""Sums kept at most, of some hundred kB each; past it the one longest not asked for is forgotten."""

UNASKED = 60.0
"""Seconds after which a sum that nobody asks for is forgotten."""


class Window:
    """One sum. It costs what has changed since it was asked for last, however long it is."""

    def __init__(self) -> None:
        self._total = Sum()
        self._held: dict[Place, tuple[Mark, float]] = {}
        """What is in the sum, and since when that was measured."""
        self._moving = asyncio.Lock()

    async def sum(self, places: Iterable[Place], turns: Turns, make: Callable[[Sum], T]) -> T:
        """Return what is made of the sum over these places; it must not keep the sum, which moves on."""
        async with self._moving, turns.work() as work:
            await self._move(places, work)
            return make(self._total)

    async def _move(self, places: Iterable[Place], work: Work) -> None:
        wanted = {(tier, end): mark for tier, end in places if (mark := tier.mark(end)) is not None}
        gone = [place for place, (mark, _) in self._held.items() if wanted.get(place) is not mark]
        if self._total.folded or 2 * len(gone) > len(self._held):
            self._total, self._held, gone = Sum(), {}, []
        for place in gone:
            mark, _ = self._held.pop(place)
            self._total.remove(place[0].read(mark))
            await work.pause()
        for place, mark in wanted.items():
            if place not in self._held:
                slot = place[0].read(mark)
                self._held[place] = mark, slot.begin
                self._total.add(slot)
                await work.pause()
        self._total.begin = min((begin for _, begin in self._held.values()), default=float("inf"))


class Windows:
    """Sums by what is asked of them; ``clock`` gives seconds."""

    def __init__(self, turns: Turns, clock: Callable[[], float]) -> None:
        self._turns = turns
        self._clock = clock
        self._known: dict[Hashable, tuple[float, Window]] = {}

    async def over(self, asked: Hashable, there: Where, make: Callable[[Stretch], T]) -> T:
        """Return what is made of a stretch; it must not keep the stretch, whose sum moves on."""
        now = self._clock()
        _, window = self._known.pop(asked, (now, None))
        window = window or Window()
        self._known[asked] = now, window
        for other in [other for other, (last, _) in self._known.items() if not 0 <= now - last < UNASKED]:
            del self._known[other]
        while len(self._known) > MOST_WINDOWS:
            del self._known[next(iter(self._known))]
        return await window.sum(there.slots, self._turns, lambda total: make(there.of(total)))

    def clear(self) -> None:
        """Forget all."""
        self._known.clear()
