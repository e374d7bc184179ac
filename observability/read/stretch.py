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

_TURN = 8


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
    fine = seconds <= FINE_STRETCH and not past
    tier = ledger.history.fine if fine else ledger.history.coarse
    step = 1 if fine else TEN
    last = tier.end_of(second_of(end))
    begin = (second_of(end) - seconds) // step * step
    total = Sum()
    for turn, label in enumerate(tier.ends(begin, last)):
        if (slot := tier.at(label)) is not None:
            total.add(slot)
        if turn % _TURN == _TURN - 1:
            await asyncio.sleep(0)
    return Stretch(total, max(float(begin), total.begin), float(last) if past else min(float(last), end))
