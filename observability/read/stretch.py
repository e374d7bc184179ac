"""Everything that was done in a stretch of time, added up, and how long it was."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from observability.read.history import TEN
from observability.read.ledger import second_of
from observability.read.slot import Sum

if TYPE_CHECKING:
    from observability.read.ledger import Ledger

FINE_STRETCH = 60
"""Up to so many seconds single seconds are added up, above it tens of seconds."""

_TURN = 4


@dataclass(frozen=True)
class Stretch:
    """``total`` was done between ``begin`` and ``end`` (Unix seconds)."""

    total: Sum
    begin: float
    end: float

    @property
    def seconds(self) -> float:
        """Its length; one at least, so that rates can be taken of it."""
        return max(1.0, self.end - self.begin) if self.total.snapshots else 1.0


async def add_up(ledger: Ledger, seconds: int, end: float, *, past: bool) -> Stretch:
    """Return the last ``seconds`` before ``end``; of the ``past``, which single seconds may not reach, by tens of seconds.

    Of tens of seconds, those that the stretch begins and ends in belong to it. The loop gets its turn between many slots.
    """
    history, last = ledger.history, second_of(end)
    if seconds <= FINE_STRETCH and not past:
        begin = last - seconds
        places = tuple(history.mixed(begin, last))
    else:
        begin, last = (last - seconds) // TEN * TEN, history.coarse.end_of(last)
        places = tuple((history.coarse, label) for label in history.coarse.ends(begin, last))
    total = Sum()
    for turn, (tier, label) in enumerate(places):
        if (slot := tier.at(label)) is not None:
            total.add(slot)
        if turn % _TURN == _TURN - 1:
            await asyncio.sleep(0)
    return Stretch(total, max(float(begin), total.begin), float(last) if past else min(float(last), end))
