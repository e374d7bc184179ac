"""How sure a percentile is: confidence intervals that neighbouring requests, which share their fate, do not make too narrow.

A run is cut into at most 20 successive batches (Schmeiser 1982, "Batch size effects in the analysis of simulation output": 10
to 30 suffice), long enough that one knows little of the next. How differently the batches fall on the two sides of a value
gives the number of independent samples that would say as much (the effective sample size of Korn and Graubard 1998,
"Confidence intervals for proportions with small expected number of positive counts"), and of that many the interval is that
of order statistics, which assumes no shape of distribution (Woodruff 1952, "Confidence intervals for medians and other
position measures"). Nothing is drawn at random: the same result gives the same interval.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from itertools import accumulate, pairwise
from statistics import NormalDist
from typing import TYPE_CHECKING, Literal

import msgspec

from observability.model import Histogram
from observability.model.histogram import LOWEST_INDEX, SCALE, SIZE, bucket_bounds

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from loadgen.results import Block
    from observability.model import Distribution

BATCHES = 20
CONFIDENCE = 0.95

_NORMAL = NormalDist()
_EXACT_BELOW = 20.0
"""Variance of a binomial below which its tail is added up; above, a normal curve corrected for skewness is as good."""

_LEAST = 1e-9
"""Below this a count is nothing but what floating point left."""


class Interval(msgspec.Struct, frozen=True, array_like=True):
    """What holds the true value with some confidence. ``high`` is None where too few samples set no upper bound."""

    low: float
    high: float | None


class Sample:
    """Durations in successive batches, each a histogram.

    ``trend`` says that the load was meant to change: the batches are then compared each with the next and not with all others
    (the mean square successive difference of von Neumann 1941), so that what was planned is not taken for chance.
    """

    def __init__(self, batches: Iterable[Iterable[Distribution]], *, trend: bool = False) -> None:
        self._batches = [list(accumulate(Histogram.of(*parts).buckets)) for parts in batches]
        self._whole = [sum(column) for column in zip(*self._batches, strict=True)] or [0] * SIZE
        self._trend = trend
        self.count = self._whole[-1]

    def interval(self, q: float, confidence: float = CONFIDENCE, *, within: bool = False) -> Interval | None:
        """Return the interval of a quantile in seconds; None when nothing can be said.

        Its ends are those of buckets, outwards; or, where ``within`` says so and they are in different ones, places within
        buckets whose durations are taken to lie evenly: finer, and right unless many of them are equal.
        """
        if not self.count:
            return None
        bucket = self._bucket(q * self.count)
        beyond = (1 - confidence) / 2
        size = self._size(bucket, self._part(bucket, q * self.count), beyond)
        if size < 1:
            return None
        highest = upper_rank(size, q, beyond)
        lowest = size + 1 - upper_rank(size, 1 - q, beyond)
        low, high = lowest / size * self.count, highest / size * self.count
        if within and lowest and highest <= size and self._bucket(low) != self._bucket(high):
            return Interval(self._at(low), self._at(high))
        return Interval(self._edges(low)[0] if lowest else 0.0, self._edges(high)[1] if highest <= size else None)

    def side(self, q: float, value: float, confidence: float = CONFIDENCE) -> Literal["below", "above"] | None:
        """Say on which side of a value in seconds the quantile is with this confidence; None when that is not clear."""
        if not self.count:
            return None
        bucket, part = _place(value)
        beyond = 1 - confidence
        size = self._size(bucket, part, beyond)
        if size < 1:
            return None
        share = self._below(self._whole, bucket, part) / self.count
        if share * size + _LEAST >= upper_rank(size, q, beyond):
            return "below"
        return "above" if (1 - share) * size + _LEAST >= upper_rank(size, 1 - q, beyond) else None

    def _size(self, bucket: int, part: float, beyond: float) -> int:
        below = [self._below(batch, bucket, part) for batch in self._batches]
        return effective_size(below, [batch[-1] for batch in self._batches], beyond, trend=self._trend)

    def _bucket(self, rank: float) -> int:
        return bisect_left(self._whole, max(rank, _LEAST))

    def _part(self, bucket: int, rank: float) -> float:
        """Return how far into a bucket a rank lies, 0 to 1."""
        before = self._whole[bucket - 1] if bucket else 0
        return float((rank - before) / (self._whole[bucket] - before))

    def _edges(self, rank: float) -> tuple[float, float]:
        return bucket_bounds(LOWEST_INDEX + self._bucket(math.ceil(rank - _LEAST)))

    def _at(self, rank: float) -> float:
        """Return the duration at a rank, of those in a bucket taken to lie evenly."""
        bucket = self._bucket(rank)
        low, high = bucket_bounds(LOWEST_INDEX + bucket)
        return float(low * (high / low) ** self._part(bucket, rank))

    @staticmethod
    def _below(counts: Sequence[int], bucket: int, part: float) -> float:
        """Return how many are below a place within a bucket, whose own are taken to lie evenly."""
        before = counts[bucket - 1] if bucket else 0
        return before + part * (counts[bucket] - before)


def sample_of(blocks: Sequence[Block], seconds: int, figure: Literal["response", "service"], *, trend: bool) -> Sample:
    """Return the response or service times of blocks of so many seconds in batches of as equal length as can be."""
    length = max((block.at // seconds for block in blocks), default=-1) + 1
    batches: list[list[Distribution]] = [[] for _ in range(batches_in(length))]
    for block in blocks:
        batches[batch_of(block.at // seconds, length)].append(getattr(block, figure))
    return Sample(batches, trend=trend)


def batches_in(length: int) -> int:
    """Return how many batches so many blocks make."""
    return min(BATCHES, length)


def batch_of(position: int, length: int) -> int:
    """Return in which batch a block is, given its position among so many."""
    return position * batches_in(length) // length


def effective_size(hits: Sequence[float], counts: Sequence[int], beyond: float, *, trend: bool = False) -> int:
    """Return how many independent samples say as much of a proportion as batches with so many hits each.

    ``beyond`` is the probability that may be left outside on one side. Never more than there are. Where all or none are hits
    nothing is seen to cluster, and all count; otherwise fewer count, too, the fewer batches there are to tell the clustering from.
    """
    count, batches = sum(counts), len(counts)
    share = sum(hits) / count if count else 0.0
    even = count * share * (1 - share)
    if even <= _LEAST * count:
        return count
    if batches < 2:  # noqa: PLR2004 - a single one does not vary
        return 0
    off = [hit - share * size for hit, size in zip(hits, counts, strict=True)]
    variance, freedom = _variance(off, trend=trend)
    z = _NORMAL.inv_cdf(1 - beyond)
    return int(count / max(1.0, variance * batches / even) * (z / student(z, freedom)) ** 2)


def student(z: float, freedom: float) -> float:
    """Return the quantile of Student's t that is as rare as the normal one (Abramowitz and Stegun 26.7.5)."""
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + sum(term / freedom**power for power, term in enumerate(terms, 1))


def proportion(hits: Sequence[float], counts: Sequence[int], beyond: float, *, trend: bool) -> Interval | None:
    """Return the interval of a share, given the hits of each batch (Wilson 1927); None when nothing can be said."""
    size = effective_size(hits, counts, beyond, trend=trend)
    if size < 1:
        return None
    share, z = sum(hits) / sum(counts), _NORMAL.inv_cdf(1 - beyond)
    middle = (share + z * z / (2 * size)) / (1 + z * z / size)
    half = z * math.sqrt(share * (1 - share) / size + (z / (2 * size)) ** 2) / (1 + z * z / size)
    return Interval(max(0.0, middle - half), min(1.0, middle + half))


def average(values: Sequence[float], beyond: float, *, trend: bool) -> Interval | None:
    """Return the interval of the mean of what batches gave; None for fewer than two."""
    if len(values) < 2:  # noqa: PLR2004 - a single one does not vary
        return None
    mean = sum(values) / len(values)
    variance, freedom = _variance([value - mean for value in values], trend=trend)
    half = student(_NORMAL.inv_cdf(1 - beyond), freedom) * math.sqrt(variance / len(values))
    return Interval(mean - half, mean + half)


def upper_rank(size: int, q: float, beyond: float) -> int:
    """Return the lowest rank whose value is below the quantile with a probability of ``beyond`` at most; size + 1 if none is."""
    variance = size * q * (1 - q)
    if variance >= _EXACT_BELOW:
        z = _NORMAL.inv_cdf(1 - beyond)
        return min(size + 1, math.ceil(size * q + z * math.sqrt(variance) + (1 - 2 * q) * (z * z - 1) / 6 + 0.5))
    above = 0.0
    for rank in range(size, -1, -1):
        above += math.exp(
            math.lgamma(size + 1)
            - math.lgamma(rank + 1)
            - math.lgamma(size - rank + 1)
            + rank * math.log(q)
            + (size - rank) * math.log1p(-q)
        )
        if above > beyond:
            return rank + 1
    raise AssertionError("all ranks together have a probability of 1")  # pragma: no cover - beyond is below it


def _variance(off: Sequence[float], *, trend: bool) -> tuple[float, float]:
    """Return the variance of deviations from their mean, and its degrees of freedom."""
    freedom = len(off) - 1
    if trend:
        return sum((after - before) ** 2 for before, after in pairwise(off)) / 2 / freedom, freedom * 2 / 3
    return sum(value**2 for value in off) / freedom, freedom


def _place(seconds: float) -> tuple[int, float]:
    """Return the bucket of a value and how far into it, 0 to 1, the value lies."""
    exact = math.log2(seconds) * 2**SCALE - LOWEST_INDEX if seconds > 0 else 0.0
    bucket = min(max(math.ceil(exact) - 1, 0), SIZE - 1)
    return bucket, min(max(exact - bucket, 0.0), 1.0)
