"""What cumulative counts grew by between two states of one life of a process, and such growths added up.

Never negative: a growth that would be raises CountsFell, because one of the two states is not true.
"""

from __future__ import annotations

from itertools import compress
from operator import sub
from typing import TYPE_CHECKING

import msgspec

from observability.model import (
    Anatomy,
    Band,
    BodySizes,
    CacheCounts,
    Distribution,
    HashCounts,
    Histogram,
    Kept,
    Operation,
    PoolCounts,
    RouteCounts,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_NOTHING = Distribution()


class CountsFell(ValueError):
    """A cumulative count of one life of a process is smaller than it was: one of the two snapshots is not true."""


class PoolSlot(msgspec.Struct, frozen=True, array_like=True):
    """Pools of one name: ``busy`` of ``offered`` connection-seconds were lent out."""

    name: str
    timeouts: int
    busy: float
    offered: float
    wait: Distribution


class BodySlot(msgspec.Struct, frozen=True, array_like=True):
    """MiB of the bodies of one route's requests and responses."""

    method: str
    route: str
    request: float
    response: float


def plus(one: Distribution, other: Distribution) -> Distribution:
    """Return the sum of two distributions."""
    if not other.counts:
        return Distribution(one.offset, one.counts, one.total + other.total)
    return Histogram.of(one, other).freeze()


def minus(later: Distribution, earlier: Distribution) -> Distribution:
    """Return what a cumulative distribution grew by. Raises CountsFell when a bucket did not grow."""
    before, after = earlier.counts, later.counts
    shift = earlier.offset - later.offset if before else 0
    if shift < 0 or shift + len(before) > len(after):
        raise CountsFell("a histogram has lost counts")
    counts = [*after[:shift], *map(sub, after[shift:], before), *after[shift + len(before) :]]
    total, size = max(0.0, later.total - earlier.total), len(counts)
    first = next(compress(range(size), counts), None)
    if first is None:
        return Distribution(total=total)
    if min(counts) < 0:
        raise CountsFell("a histogram has lost counts")
    last = size - next(compress(range(size), reversed(counts)))
    return Distribution(later.offset + first, tuple(counts[first:last]), total)


def grown(later: int, earlier: int) -> int:
    """Return what a counter grew by. Raises CountsFell when it fell."""
    if later < earlier:
        raise CountsFell("a counter has fallen")
    return later - earlier


def requests_of(later: Iterable[RouteCounts], earlier: Iterable[RouteCounts]) -> Iterator[RouteCounts]:
    """Yield the series that grew. Raises CountsFell."""
    before = {(c.method, c.route, c.status, c.error): c.duration for c in earlier}
    for counts in later:
        known = before.pop((counts.method, counts.route, counts.status, counts.error), _NOTHING)
        if counts.duration.counts != known.counts or counts.duration.offset != known.offset:
            duration = minus(counts.duration, known)
            yield RouteCounts(counts.method, counts.route, counts.status, counts.error, duration)
    if any(duration.counts for duration in before.values()):
        raise CountsFell("a series is gone")


def cache_of(later: CacheCounts, earlier: CacheCounts) -> CacheCounts:
    """Return what a cache family's counts grew by. Raises CountsFell."""
    return CacheCounts(
        later.family,
        grown(later.hits, earlier.hits),
        grown(later.misses, earlier.misses),
        grown(later.coalesced, earlier.coalesced),
        grown(later.refused, earlier.refused),
        grown(later.errors, earlier.errors),
    )


def pool_of(later: PoolCounts, earlier: PoolCounts | None, seconds: float) -> PoolSlot:
    """Return what became of a pool in ``seconds``. Raises CountsFell."""
    before = earlier or PoolCounts(later.name, later.size)
    return PoolSlot(
        later.name,
        grown(later.timeouts, before.timeouts),
        max(0.0, later.busy - before.busy),
        later.size * seconds,
        minus(later.wait, before.wait),
    )


def less_of(whole: PoolSlot, part: PoolSlot) -> PoolSlot:
    """Return what the rest of a pool's slots say. Raises CountsFell."""
    return PoolSlot(
        whole.name,
        grown(whole.timeouts, part.timeouts),
        max(0.0, whole.busy - part.busy),
        max(0.0, whole.offered - part.offered),
        minus(whole.wait, part.wait),
    )


def hashing_of(later: HashCounts, earlier: HashCounts | None) -> HashCounts:
    """Return what the hashing queue's counts grew by. Raises CountsFell."""
    before = earlier or HashCounts(later.threads, later.limit)
    return HashCounts(
        threads=later.threads,
        limit=later.limit,
        refused=grown(later.refused, before.refused),
        wait=minus(later.wait, before.wait),
        duration=minus(later.duration, before.duration),
    )


def operations_of(later: Iterable[Operation], earlier: Iterable[Operation]) -> Iterator[Operation]:
    """Yield the operations that grew. Raises CountsFell."""
    before = {(o.system, o.name): o for o in earlier}
    for one in later:
        known = before.pop((one.system, one.name), Operation(one.system, one.name, _NOTHING))
        if one != known:
            yield Operation(
                one.system,
                one.name,
                minus(one.duration, known.duration),
                grown(one.errors, known.errors),
                grown(one.items, known.items),
            )
    if any(operation.duration.counts for operation in before.values()):
        raise CountsFell("an operation is gone")


def anatomy_of(later: Iterable[Anatomy], earlier: Iterable[Anatomy]) -> Iterator[Anatomy]:
    """Yield the routes whose bands grew, and of each only those bands. Raises CountsFell."""
    before = {(a.method, a.route): a.bands for a in earlier}
    for anatomy in later:
        known = before.pop((anatomy.method, anatomy.route), ())
        if anatomy.bands != known and (bands := tuple(_bands_of(anatomy.bands, known))):
            yield Anatomy(anatomy.method, anatomy.route, bands)
    if any(before.values()):
        raise CountsFell("a route's anatomy is gone")


def _bands_of(later: Sequence[Band], earlier: Sequence[Band]) -> Iterator[Band]:
    before = {band.index: band for band in earlier}
    for band in later:
        was = before.pop(band.index, None) or Band(band.index, 0, 0.0, (0.0,) * len(band.parts))
        if count := grown(band.count, was.count):
            # A zero that is an integer is encoded in one byte instead of nine, and most are zero.
            parts = [now - then if now > then else 0 for now, then in zip(band.parts, was.parts, strict=True)]
            yield Band(band.index, count, max(0.0, band.total - was.total), tuple(parts))
    if any(band.count for band in before.values()):
        raise CountsFell("a band is gone")


def bodies_of(later: Iterable[BodySizes], earlier: Iterable[BodySizes]) -> Iterator[BodySlot]:
    """Yield how many MiB went in and out by the routes that had any."""
    before = {(sizes.method, sizes.route): sizes for sizes in earlier}
    for sizes in later:
        known = before.get((sizes.method, sizes.route))
        request = sizes.request.total - (known.request.total if known else 0.0)
        response = sizes.response.total - (known.response.total if known else 0.0)
        if request > 0 or response > 0:
            yield BodySlot(sizes.method, sizes.route, max(0.0, request), max(0.0, response))


def kept_of(later: Kept, earlier: Kept) -> Kept:
    """Return how many more requests were kept. Raises CountsFell."""
    return Kept(
        grown(later.slow, earlier.slow),
        grown(later.failed, earlier.failed),
        grown(later.sampled, earlier.sampled),
        grown(later.asked, earlier.asked),
        grown(later.refused, earlier.refused),
    )
