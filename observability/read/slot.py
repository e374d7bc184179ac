"""What a fleet did in one stretch of time: differences of its workers' cumulative counts, and their sums.

Never negative, never doubled: a difference is taken between two states of the same life of the same process.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from observability.model import (
    Anatomy,
    CacheCounts,
    Distribution,
    HashCounts,
    Histogram,
    Kept,
    Operation,
    RouteCounts,
    Snapshot,
)
from observability.read.growth import (
    BodySlot,
    CountsFell,
    PoolSlot,
    anatomy_of,
    bodies_of,
    cache_of,
    hashing_of,
    kept_of,
    less_of,
    minus,
    operations_of,
    plus,
    pool_of,
    requests_of,
)
from observability.read.inside import InsideSum

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["CountsFell", "Slot", "SlotHead", "Sum", "between"]

Key = tuple[str, str, int, str]
"""What tells series apart: method, route, status, error."""


class SlotHead(msgspec.Struct, frozen=True, array_like=True):
    """What was done, measured from ``begin`` (Unix seconds) on, as told by this many snapshots.

    It is the part of a slot that most readers need, and that can be decoded without the rest.
    """

    begin: float
    snapshots: int
    requests: tuple[RouteCounts, ...] = ()
    caches: tuple[CacheCounts, ...] = ()
    pools: tuple[PoolSlot, ...] = ()
    hashing: HashCounts | None = None
    loop_lag: Distribution = Distribution()


class Slot(SlotHead, frozen=True, array_like=True):
    """All that was done."""

    operations: tuple[Operation, ...] = ()
    anatomy: tuple[Anatomy, ...] = ()
    bodies: tuple[BodySlot, ...] = ()
    kept: Kept = Kept()


class Sum:
    """Slots added up; past ``most`` series the rest are one, so that no errors of one worker make a slot large."""

    def __init__(self, most: int = 500) -> None:
        self.begin = float("inf")
        self.snapshots = 0
        self.requests: dict[Key, Histogram] = {}
        self.caches: dict[str, CacheCounts] = {}
        self.pools: dict[str, PoolSlot] = {}
        self.hashing: HashCounts | None = None
        self.loop_lag = Histogram()
        self.inside = InsideSum(most)
        self.folded = False
        """Whether there were more series than it holds: then nothing can be taken out of it again."""
        self._most = most
        self._tellers: Counter[str] = Counter()
        self._frozen: Slot | None = None

    @classmethod
    def of(cls, slots: Iterable[Slot]) -> Sum:
        """Add slots up."""
        total = cls()
        for slot in slots:
            total.add(slot)
        return total

    @classmethod
    def of_heads(cls, slots: Iterable[SlotHead]) -> Sum:
        """Add up what most readers need of slots."""
        total = cls()
        for slot in slots:
            total.add_head(slot)
        return total

    def add(self, slot: Slot) -> None:
        """Add a slot."""
        self.add_head(slot)
        self.inside.add(slot)
        self.folded = self.folded or self.inside.folded

    def remove(self, slot: Slot) -> None:
        """Take a slot out that was added; since when the rest is measured is for the caller to say."""
        self._frozen = None
        self.snapshots -= slot.snapshots
        for counts in slot.requests:
            key: Key = (counts.method, counts.route, counts.status, counts.error)
            if (series := self.requests.get(key)) is not None:
                series.subtract(counts.duration)
                if not any(series.buckets):
                    del self.requests[key]
        for cache in slot.caches:
            self._tellers[cache.family] -= 1
            if self._tellers[cache.family]:
                self.caches[cache.family] = cache_of(self.caches[cache.family], cache)
            else:
                del self.caches[cache.family]
        for pool in slot.pools:
            self.pools[pool.name] = less_of(self.pools[pool.name], pool)
        if slot.hashing and self.hashing:
            self.hashing = hashing_of(self.hashing, slot.hashing)
        self.loop_lag.subtract(slot.loop_lag)
        self.inside.remove(slot)

    def add_head(self, slot: SlotHead) -> None:
        """Add what most readers need of a slot."""
        self._frozen = None
        self.begin = min(self.begin, slot.begin)
        self.snapshots += slot.snapshots
        for counts in slot.requests:
            key: Key = (counts.method, counts.route, counts.status, counts.error)
            if key not in self.requests and len(self.requests) >= self._most:
                key = ("_OTHER", "(other)", counts.status // 100 * 100, "")
                self.folded = True
            if (series := self.requests.get(key)) is None:
                series = self.requests[key] = Histogram()
            series.add(counts.duration)
        for cache in slot.caches:
            known = self.caches.get(cache.family)
            self.caches[cache.family] = _caches(cache, known) if known else cache
            self._tellers[cache.family] += 1
        for pool in slot.pools:
            held = self.pools.get(pool.name)
            self.pools[pool.name] = _pools(pool, held) if held else pool
        if slot.hashing:
            self.hashing = _hashing(slot.hashing, self.hashing) if self.hashing else slot.hashing
        self.loop_lag.add(slot.loop_lag)

    def series(self) -> Iterator[RouteCounts]:
        """Yield the requests."""
        return (RouteCounts(*key, duration.freeze()) for key, duration in self.requests.items())

    def freeze(self) -> Slot:
        """Return the sum as a value, the same one until something is added."""
        if self._frozen is None:
            self._frozen = self._freeze()
        return self._frozen

    def _freeze(self) -> Slot:
        return Slot(
            self.begin,
            self.snapshots,
            tuple(self.series()),
            tuple(self.caches.values()),
            tuple(self.pools.values()),
            self.hashing,
            self.loop_lag.freeze(),
            *self.inside.freeze(),
        )


def between(later: Snapshot, earlier: Snapshot | None, begin: float) -> Slot:
    """Return what one worker did since ``earlier`` (None: since it started), measured from ``begin``.

    Raises CountsFell for what cannot be.
    """
    known = earlier or Snapshot(later.version, later.instance, later.worker, later.pid, later.started, begin)
    families = {c.family: c for c in known.caches}
    pools = {p.name: p for p in known.pools}
    seconds = max(0.0, later.taken - begin)
    return Slot(
        begin,
        1,
        tuple(requests_of(later.requests, known.requests)),
        tuple(cache_of(c, families.get(c.family) or CacheCounts(c.family)) for c in later.caches),
        tuple(pool_of(p, pools.get(p.name), seconds) for p in later.pools),
        hashing_of(later.hashing, known.hashing) if later.hashing else None,
        minus(later.runtime.loop_lag, known.runtime.loop_lag),
        tuple(operations_of(later.operations, known.operations)),
        tuple(anatomy_of(later.anatomy, known.anatomy)),
        tuple(bodies_of(later.bodies, known.bodies)),
        kept_of(later.kept, known.kept),
    )


def _caches(one: CacheCounts, other: CacheCounts) -> CacheCounts:
    return CacheCounts(
        one.family,
        one.hits + other.hits,
        one.misses + other.misses,
        one.coalesced + other.coalesced,
        one.refused + other.refused,
        one.errors + other.errors,
    )


def _pools(one: PoolSlot, other: PoolSlot) -> PoolSlot:
    return PoolSlot(
        one.name,
        one.timeouts + other.timeouts,
        one.busy + other.busy,
        one.offered + other.offered,
        plus(one.wait, other.wait),
    )


def _hashing(one: HashCounts, other: HashCounts) -> HashCounts:
    return HashCounts(
        threads=one.threads,
        limit=one.limit,
        refused=one.refused + other.refused,
        wait=plus(one.wait, other.wait),
        duration=plus(one.duration, other.duration),
    )
