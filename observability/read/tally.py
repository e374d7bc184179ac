"""What figures, columns and alerts count alike: requests by route, waits, and the growth of the Redis server's counters."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from observability.model import Distribution, Histogram
from observability.read.words import is_answered, is_error, is_internal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from observability.model import RedisServer, RouteCounts
    from observability.read.slot import SlotHead


class Tally:
    """Requests of one route, or of all: how many, how many failed by our fault, and how long those answered took."""

    def __init__(self) -> None:
        self.count = 0
        self.errors = 0
        self.answered = Histogram()

    def add(self, counts: RouteCounts) -> None:
        """Count one series of a slot."""
        count = counts.duration.count
        self.count += count
        self.errors += count if is_error(counts) else 0
        if is_answered(counts):
            self.answered.add(counts.duration)


def tallies(requests: Iterable[RouteCounts], internal: Sequence[str]) -> dict[tuple[str, str], Tally]:
    """Return the tally of each (method, route) that is not internal and was asked for."""
    found: dict[tuple[str, str], Tally] = {}
    for counts in requests:
        if counts.duration.counts and not is_internal(counts.route, internal):
            found.setdefault((counts.method, counts.route), Tally()).add(counts)
    return found


def total_in(slots: Iterable[SlotHead], internal: Sequence[str]) -> Tally:
    """Return the tally of all that slots have, but for internal routes."""
    total = Tally()
    for slot in slots:
        for counts in slot.requests:
            if not is_internal(counts.route, internal):
                total.add(counts)
    return total


def total_of(parts: Iterable[Tally]) -> Tally:
    """Return the tally of several routes together."""
    total = Tally()
    for tally in parts:
        total.count += tally.count
        total.errors += tally.errors
        total.answered.add(tally.answered.freeze())
    return total


def merged(parts: Iterable[Distribution]) -> Histogram:
    """Return the sum of distributions."""
    return Histogram.of(*parts)


def difference(later: Distribution, earlier: Distribution) -> Histogram:
    """Return what a cumulative distribution grew by."""
    grown = Histogram.of(later)
    grown.subtract(earlier)
    return grown


def server_growth(samples: Iterable[tuple[int, RedisServer]], begin: float, end: float) -> tuple[int, int] | None:
    """Return keys evicted and expired in (begin, end], or None with fewer than two samples.

    Where the run id changes another server answers, whose earlier counts are not ours to count: it starts anew.
    """
    within = [sample for second, sample in samples if begin <= second <= end]
    if len(within) <= 1:
        return None
    pairs = [(a, b) for a, b in pairwise(within) if a.run_id == b.run_id]
    evicted = sum(max(0, b.evicted - a.evicted) for a, b in pairs)
    return evicted, sum(max(0, b.expired - a.expired) for a, b in pairs)
