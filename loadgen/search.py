"""Looking for the highest rate that a service bears: which rate to try next. Pure."""

from __future__ import annotations

import math
from typing import Literal

Outcome = Literal["met", "missed", "unknown"]
"""``unknown``: the generator itself could not keep up, so that the service is not judged."""

GROWTH = 1.6
"""How much faster each step is than the one before, until one is missed."""

CLOSE = 1.05
"""The search ends when the highest rate that was met and the lowest that was missed differ by less than this factor."""

_SMALLEST = 16
"""The lowest rate tried is this much below the first."""


class Search:
    """Rises until a rate is missed twice, then halves the gap in between, geometrically. Rates are requests a minute.

    A rate counts as missed when it was missed twice in a row: one hiccup of the machine is no limit of the service. So does
    one that could not be judged twice, which is then the generator's limit; ``by_generator`` says so of ``missed``.
    """

    def __init__(self, first: float, most: float) -> None:
        self._first = min(first, most)
        self._most = most
        self._doubted = False
        self._rate: float | None = self._first
        self.met: float | None = None
        self.missed: float | None = None
        self.by_generator = False

    @property
    def rate(self) -> float | None:
        """The rate to try now, or None when there is nothing left to find out."""
        return self._rate

    def tell(self, outcome: Outcome) -> None:
        """Say what became of the rate that was tried."""
        if outcome != "met" and not self._doubted:
            self._doubted = True
            return
        self._doubted = False
        if outcome == "met":
            self.met = self._rate
        else:
            self.missed, self.by_generator = self._rate, outcome == "unknown"
        self._rate = self._next()

    def _next(self) -> float | None:
        if self.missed is None:
            met = self.met or self._first
            return min(met * GROWTH, self._most) if met < self._most else None
        if self.met is None:
            lower = self.missed / 2
            return lower if lower >= self._first / _SMALLEST else None
        return math.sqrt(self.met * self.missed) if self.missed / self.met > CLOSE else None
