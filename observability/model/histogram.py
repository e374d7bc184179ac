"""Exponential histograms in plain integers.

The bucket layout is that of OpenTelemetry's exponential histogram at scale 4: bucket *i* holds durations in
``(base**i, base**(i + 1)]`` seconds with ``base = 2 ** (1 / 16)``. A percentile read from one is therefore within 2.2 %
of the true order statistic, merging is addition, and the same counts go out as OTLP without conversion.

Where it must be known exactly how many durations met a bound that lies within a bucket, a histogram can be told to
split that bucket there (``split_at``).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from itertools import accumulate, compress
from math import ceil, log2
from operator import add, sub
from typing import TYPE_CHECKING, Self

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SCALE = 4
"""OpenTelemetry's scale: 2 ** SCALE buckets for each doubling."""

PER_DOUBLING = 1 << SCALE
LOWEST_INDEX = -17 * PER_DOUBLING
"""Index of the first bucket; it also takes everything at or below its upper bound (about 8 us)."""

SIZE = 23 * PER_DOUBLING
"""Number of buckets; the last one ends at 64 s and also takes everything above."""

HTTP_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Bounds that OpenTelemetry's conventions advise for durations of HTTP requests."""

_SHIFT = -LOWEST_INDEX - 1
_LAST = SIZE - 1
_POSITIONS = range(SIZE)


def bucket_bounds(index: int) -> tuple[float, float]:
    """Return the exclusive lower and inclusive upper bound, in seconds, of an OpenTelemetry bucket index."""
    return 2.0 ** (index / PER_DOUBLING), 2.0 ** ((index + 1) / PER_DOUBLING)


def position_of(seconds: float) -> int:
    """Return which bucket counts a duration, from 0."""
    if seconds <= 0.0:
        return 0
    index = math.ceil(math.log2(seconds) * PER_DOUBLING) + _SHIFT
    return 0 if index < 0 else min(index, _LAST)


class Distribution(msgspec.Struct, frozen=True, array_like=True):
    """A frozen histogram as it travels: only the occupied stretch of buckets.

    ``offset`` is the OpenTelemetry index of ``counts[0]``; ``total`` is the sum of the recorded seconds. ``parts`` says
    for each bound that the histogram was split at how much of the bound's own bucket is not above it.
    """

    offset: int = 0
    counts: tuple[int, ...] = ()
    total: float = 0.0
    parts: tuple[int, ...] = ()

    @property
    def count(self) -> int:
        """How many durations were recorded."""
        return sum(self.counts)

    @property
    def mean(self) -> float | None:
        """The mean in seconds, or None when nothing was recorded."""
        count = self.count
        return self.total / count if count else None

    def quantile(self, q: float) -> float | None:
        """Return the nearest-rank quantile in seconds (0 < q <= 1), or None when nothing was recorded."""
        return Histogram.of(self).quantile(q)

    def not_above(self, bounds: Sequence[float]) -> list[int]:
        """Return for each bound, in seconds, how many durations are not above it.

        Exact for the bounds that the histogram was split at, which must then be given, and otherwise for the upper
        bounds of buckets, powers of two among them.
        """
        whole = not self.parts
        first = self.offset - LOWEST_INDEX
        ends = (max(0, position_of(bound) - first + whole) for bound in bounds)
        parts = (0,) * len(bounds) if whole else self.parts
        return [sum(self.counts[:end]) + part for end, part in zip(ends, parts, strict=True)]


class Histogram:
    """A histogram to record into. Durations are seconds."""

    __slots__ = ("_within", "buckets", "parts", "total")

    def __init__(self) -> None:
        self.buckets: list[int] = [0] * SIZE
        self.total = 0.0
        self.parts: dict[float, int] = {}
        self._within: dict[int, tuple[float, ...]] = {}

    @classmethod
    def of(cls, *parts: Distribution) -> Self:
        """Merge distributions into one histogram."""
        merged = cls()
        for part in parts:
            merged.add(part)
        return merged

    @property
    def count(self) -> int:
        """How many durations are in it."""
        return sum(self.buckets)

    def split_at(self, bounds: Sequence[float]) -> None:
        """From now on count exactly what is not above each of these seconds; call it before the first record.

        It costs a look into a dictionary a record, and more only where a duration falls into a bucket with a bound.
        """
        self.parts = dict.fromkeys(bounds, 0)
        for bound in bounds:
            position = position_of(bound)
            self._within[position] = (*self._within.get(position, ()), bound)

    def record(self, seconds: float) -> int:
        """Count one duration and return by which bucket, from 0. Outside the covered range it is the nearest end bucket."""
        self.total += seconds
        position = 0
        if seconds > 0.0:  # position_of, written out: every request comes by here
            position = ceil(log2(seconds) * PER_DOUBLING) + _SHIFT
            if position < 0:
                position = 0
            elif position > _LAST:
                position = _LAST
        self.buckets[position] += 1
        if position in self._within:
            self.split(position, seconds)
        return position

    def put(self, position: int, count: int, seconds: float) -> None:
        """Count many durations of one bucket, from 0; ``seconds`` is their sum. Of a split bucket each must be told to ``split`` as well."""
        self.buckets[position] += count
        self.total += seconds

    def split(self, position: int, seconds: float) -> bool:
        """Count a duration against the bounds within its bucket; return whether there are any."""
        bounds = self._within.get(position, ())
        for bound in bounds:
            self.parts[bound] += seconds <= bound
        return bool(bounds)

    def add(self, other: Distribution) -> None:
        """Add another distribution's counts."""
        start = other.offset - LOWEST_INDEX
        end = start + len(other.counts)
        if start < 0 or end > SIZE:
            raise IndexError("buckets outside the layout")
        self.buckets[start:end] = map(add, self.buckets[start:end], other.counts)
        self.total += other.total

    def subtract(self, earlier: Distribution) -> None:
        """Take away an earlier, cumulative state of the same histogram."""
        start = earlier.offset - LOWEST_INDEX
        end = start + len(earlier.counts)
        if start < 0 or end > SIZE:
            raise IndexError("buckets outside the layout")
        self.buckets[start:end] = map(sub, self.buckets[start:end], earlier.counts)
        self.total -= earlier.total

    def freeze(self) -> Distribution:
        """Return the present state as a value."""
        buckets, parts = self.buckets, tuple(self.parts.values())
        first = next(compress(_POSITIONS, buckets), None)
        if first is None:
            return Distribution(total=self.total, parts=parts)
        last = _LAST - next(compress(_POSITIONS, reversed(buckets)))
        return Distribution(LOWEST_INDEX + first, tuple(buckets[first : last + 1]), self.total, parts)

    def quantile(self, q: float) -> float | None:
        """Return the nearest-rank quantile in seconds (0 < q <= 1), or None when nothing was recorded.

        The answer is the geometric middle of the bucket that holds the order statistic, which bounds the relative
        error at ``2 ** (1 / 32) - 1``, 2.2 %.
        """
        return self.quantiles((q,))[0]

    def quantiles(self, qs: Iterable[float]) -> list[float | None]:
        """Return several nearest-rank quantiles in one walk, in the order asked for."""
        not_above = list(accumulate(self.buckets))
        count = not_above[-1]
        if not count:
            return [None for _ in qs]
        return [_middle(bisect_left(not_above, max(1, math.ceil(q * count)))) for q in qs]


def _middle(position: int) -> float:
    return float(2.0 ** ((LOWEST_INDEX + position + 0.5) / PER_DOUBLING))
