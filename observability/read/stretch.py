"""A stretch of time: where it is to be found, everything that was done in it, and how long it was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from observability.read.history import TEN
from observability.read.ledger import second_of

if TYPE_CHECKING:
    from observability.read.history import Tier
    from observability.read.ledger import Ledger
    from observability.read.slot import Sum

FINE_STRETCH = 60
"""Up to so many seconds single seconds are added up, above it tens of seconds."""


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


@dataclass(frozen=True)
class Where:
    """The slots of a stretch, which lie between ``begin`` and ``end`` (Unix seconds)."""

    slots: tuple[tuple[Tier, int], ...]
    begin: float
    end: float

    def of(self, total: Sum) -> Stretch:
        """Return the stretch when the slots have been added up."""
        return Stretch(total, max(self.begin, total.begin), self.end)


def where(ledger: Ledger, seconds: int, end: float, *, past: bool = False) -> Where:
    """Return where the last ``seconds`` before ``end`` are; those of the ``past``, which single seconds may not reach, in tens.

    Of tens of seconds, those that the stretch begins and ends in belong to it.
    """
    history, last = ledger.history, second_of(end)
    if seconds <= FINE_STRETCH and not past:
        begin = last - seconds
        return Where(tuple(history.mixed(begin, last)), end - seconds, end)
    begin, last = (last - seconds) // TEN * TEN, history.coarse.end_of(last)
    labels = history.coarse.ends(begin, last)
    ended = float(last) if past else min(float(last), end)
    return Where(tuple((history.coarse, label) for label in labels), float(begin), ended)
