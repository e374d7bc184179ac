"""What a fleet did in one stretch of time: differences of its workers' cumulative counts, and their sums.

Never negative, never doubled: a difference is taken between two states of the same life of the same process.
"""

from __future__ import annotations

from operator import sub
from typing import TYPE_CHECKING

import msgspec

from observability.model import CacheCounts, Distribution, HashCounts, Histogram, PoolCounts, RouteCounts, Snapshot

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_NOTHING = Distribution()
_IDLE = HashCounts(0, 0)

Key = tuple[str, str, int, str]
"""What tells series apart: method, route, status, error."""


class CountsFell(ValueError):
    """A cumulative count of one life of a process is smaller than it was: one of the two snapshots is not true."""


class PoolSlot(msgspec.Struct, frozen=True, array_like=True):
    """Pools of one name: ``busy`` of ``offered`` connection-seconds were lent out."""

    name: str
    timeouts: int
    busy: float
    offered: float
    wait: Distribution


class Slot(msgspec.Struct, frozen=True, array_like=True):
    """What was done, measured from ``begin`` (Unix seconds) on, as told by this many snapshots."""

    begin: float
    snapshots: int
    requests: tuple[RouteCounts, ...] = ()
    caches: tuple[CacheCounts, ...] = ()
    pools: tuple[PoolSlot, ...] = ()
    hashing: HashCounts | None = None


class Sum:
    """Slots added up; past ``most`` series the rest are one, so that no errors of one worker make a slot large."""

    def __init__(self, most: int = 500) -> None:
        self.begin = float("inf")
        self.snapshots = 0
        self.requests: dict[Key, Histogram] = {}
        self.caches: dict[str, CacheCounts] = {}
        self.pools: dict[str, PoolSlot] = {}
        self.hashing: HashCounts | None = None
        self._most = most

    @classmethod
    def of(cls, slots: Iterable[Slot]) -> Sum:
        """Add slots up."""
        total = cls()
        for slot in slots:
            total.add(slot)
        return total

    def add(self, slot: Slot) -> None:
        """Add a slot."""
        self.begin = min(self.begin, slot.begin)
        self.snapshots += slot.snapshots
        for counts in slot.requests:
            key: Key = (counts.method, counts.route, counts.status, counts.error)
            if key not in self.requests and len(self.requests) >= self._most:
                key = ("_OTHER", "(other)", counts.status // 100 * 100, "")
            if (series := self.requests.get(key)) is None:
                series = self.requests[key] = Histogram()
            series.add(counts.duration)
        for cache in slot.caches:
            known = self.caches.get(cache.family)
            self.caches[cache.family] = _caches(cache, known, 1) if known else cache
        for pool in slot.pools:
            held = self.pools.get(pool.name)
            self.pools[pool.name] = _pools(pool, held) if held else pool
        if slot.hashing:
            self.hashing = _hashing(slot.hashing, self.hashing, 1) if self.hashing else slot.hashing

    def series(self) -> Iterator[RouteCounts]:
        """Yield the requests."""
        return (RouteCounts(*key, duration.freeze()) for key, duration in self.requests.items())

    def freeze(self) -> Slot:
        """Return the sum as a value."""
        return Slot(
            self.begin,
            self.snapshots,
            tuple(self.series()),
            tuple(self.caches.values()),
            tuple(self.pools.values()),
            self.hashing,
        )


def between(later: Snapshot, earlier: Snapshot | None, begin: float) -> Slot:
    """Return what one worker did since ``earlier`` (None: since it started), measured from ``begin``.

    Raises CountsFell for what cannot be.
    """
    before = {(c.method, c.route, c.status, c.error): c.duration for c in earlier.requests} if earlier else {}
    requests = []
    for counts in later.requests:
        known = before.pop((counts.method, counts.route, counts.status, counts.error), _NOTHING)
        if counts.duration.counts != known.counts or counts.duration.offset != known.offset:
            grown = minus(counts.duration, known)
            requests.append(RouteCounts(counts.method, counts.route, counts.status, counts.error, grown))
    if any(duration.counts for duration in before.values()):
        raise CountsFell("a series is gone")
    families = {c.family: c for c in earlier.caches} if earlier else {}
    pools = {p.name: p for p in earlier.pools} if earlier else {}
    seconds = max(0.0, later.taken - begin)
    queue = earlier.hashing if earlier else None
    return Slot(
        begin,
        1,
        tuple(requests),
        tuple(_caches(c, families[c.family], -1) if c.family in families else c for c in later.caches),
        tuple(_lent(p, pools.get(p.name), seconds) for p in later.pools),
        _hashing(later.hashing, queue or _IDLE, -1) if later.hashing else None,
    )


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
    first, last = 0, len(counts)
    while first < last and not counts[first]:
        first += 1
    while first < last and not counts[last - 1]:
        last -= 1
    grown = tuple(counts[first:last])
    if grown and min(grown) < 0:
        raise CountsFell("a histogram has lost counts")
    return Distribution(later.offset + first if grown else 0, grown, max(0.0, later.total - earlier.total))


def _grown(later: int, earlier: int, sign: int) -> int:
    value = later + sign * earlier
    if value < 0:
        raise CountsFell("a counter has fallen")
    return value


def _caches(one: CacheCounts, other: CacheCounts, sign: int) -> CacheCounts:
    return CacheCounts(
        family=one.family,
        hits=_grown(one.hits, other.hits, sign),
        misses=_grown(one.misses, other.misses, sign),
        coalesced=_grown(one.coalesced, other.coalesced, sign),
        refused=_grown(one.refused, other.refused, sign),
        errors=_grown(one.errors, other.errors, sign),
    )


def _lent(pool: PoolCounts, earlier: PoolCounts | None, seconds: float) -> PoolSlot:
    before = earlier or PoolCounts(pool.name, pool.size)
    return PoolSlot(
        pool.name,
        _grown(pool.timeouts, before.timeouts, -1),
        max(0.0, pool.busy - before.busy),
        pool.size * seconds,
        minus(pool.wait, before.wait),
    )


def _pools(one: PoolSlot, other: PoolSlot) -> PoolSlot:
    return PoolSlot(
        one.name,
        one.timeouts + other.timeouts,
        one.busy + other.busy,
        one.offered + other.offered,
        plus(one.wait, other.wait),
    )


def _hashing(one: HashCounts, other: HashCounts, sign: int) -> HashCounts:
    combined = plus if sign > 0 else minus
    return HashCounts(
        threads=one.threads,
        limit=one.limit,
        refused=_grown(one.refused, other.refused, sign),
        wait=combined(one.wait, other.wait),
        duration=combined(one.duration, other.duration),
    )
