"""Window arithmetic, pure: what each worker did between two instants, from cumulative snapshots.

Never negative, never doubled: a worker's difference is taken between two states of the same life of the same process.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec

from observability.model import (
    CacheCounts,
    Distribution,
    HashCounts,
    Histogram,
    PoolCounts,
    RedisServer,
    RouteCounts,
    Snapshot,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_NOTHING = Distribution()


class Stretch(msgspec.Struct, frozen=True):
    """One worker over a window: its last state in it and the state it is measured from (None: zero)."""

    later: Snapshot
    earlier: Snapshot | None
    begin: float

    @property
    def seconds(self) -> float:
        """How many seconds it covers."""
        return max(0.0, self.later.taken - self.begin)


def stretch(snapshots: Sequence[Snapshot], begin: float, end: float) -> Stretch | None:
    """Return what is known of one worker in (begin, end], from its snapshots in order, or None for nothing.

    Measured from its last snapshot at or before ``begin``. Without one: from zero when the worker started inside the
    window, else from the first snapshot known, since what came before it may lie outside.
    """
    within = [s for s in snapshots if s.taken <= end]
    if not within or within[-1].taken <= begin:
        return None
    later = within[-1]
    before = [s for s in within if s.taken <= begin]
    if before:
        return Stretch(later, before[-1], before[-1].taken)
    if later.started > begin:
        return Stretch(later, None, later.started)
    return Stretch(later, within[0], within[0].taken)


def covered(stretches: Iterable[Stretch], begin: float, end: float) -> float:
    """Return how many seconds of the window anything is known of, a second at least."""
    first = min((s.begin for s in stretches), default=end)
    return max(1.0, end - max(begin, first))


def request_differences(stretches: Iterable[Stretch]) -> Iterator[tuple[RouteCounts, Distribution]]:
    """Yield each worker's series with what it was at the window's beginning."""
    for s in stretches:
        before = {_key(c): c.duration for c in s.earlier.requests} if s.earlier else {}
        for counts in s.later.requests:
            yield counts, before.get(_key(counts), _NOTHING)


def cache_differences(stretches: Iterable[Stretch]) -> dict[str, CacheCounts]:
    """Return each cache family's counts over the window, summed over workers."""
    total: dict[str, CacheCounts] = {}
    for s in stretches:
        before = {c.family: c for c in s.earlier.caches} if s.earlier else {}
        for c in s.later.caches:
            b = before.get(c.family, CacheCounts(c.family))
            t = total.get(c.family, CacheCounts(c.family))
            total[c.family] = CacheCounts(
                family=c.family,
                hits=t.hits + c.hits - b.hits,
                misses=t.misses + c.misses - b.misses,
                coalesced=t.coalesced + c.coalesced - b.coalesced,
                refused=t.refused + c.refused - b.refused,
                errors=t.errors + c.errors - b.errors,
            )
    return total


def pool_differences(stretches: Iterable[Stretch]) -> Iterator[tuple[Stretch, PoolCounts, PoolCounts]]:
    """Yield each worker's pools with what they were at the window's beginning."""
    for s in stretches:
        before = {p.name: p for p in s.earlier.pools} if s.earlier else {}
        for pool in s.later.pools:
            yield s, pool, before.get(pool.name, PoolCounts(pool.name, pool.size))


def hash_differences(stretches: Iterable[Stretch]) -> Iterator[tuple[HashCounts, HashCounts]]:
    """Yield each worker's hashing queue with what it was at the window's beginning."""
    for s in stretches:
        if s.later.hashing is not None:
            before = s.earlier.hashing if s.earlier else None
            yield s.later.hashing, before or HashCounts(s.later.hashing.threads, s.later.hashing.limit)


def difference(pairs: Iterable[tuple[Distribution, Distribution]]) -> Histogram:
    """Return the sum of (later, earlier) differences of cumulative distributions."""
    total = Histogram()
    for later, earlier in pairs:
        total.add(later)
        total.subtract(earlier)
    return total


def server_growth(samples: Sequence[tuple[int, RedisServer]], begin: float, end: float) -> tuple[int, int] | None:
    """Return keys evicted and expired in (begin, end], or None with fewer than two samples.

    Where the run id changes another server answers, whose earlier counts are not ours to count: it starts anew.
    """
    within = [sample for second, sample in samples if begin <= second <= end]
    if len(within) <= 1:
        return None
    pairs = [(a, b) for a, b in pairwise(within) if a.run_id == b.run_id]
    evicted = sum(max(0, b.evicted - a.evicted) for a, b in pairs)
    return evicted, sum(max(0, b.expired - a.expired) for a, b in pairs)


def _key(counts: RouteCounts) -> tuple[str, str, int, str]:
    return counts.method, counts.route, counts.status, counts.error
