"""A bounded memory of snapshots: whole ones for a little over a minute, a compact point of each for five.

Everything in it is cumulative, so a snapshot that is missing, late or doubled changes no count.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import deque
from typing import TYPE_CHECKING

import msgspec

from observability.model import Distribution, Histogram, RedisServer, Snapshot
from observability.model.histogram import LOWEST_INDEX, SIZE
from observability.read.words import is_answered, is_error, is_internal, lookups

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WHOLE_SECONDS = 70
"""How long whole snapshots are kept: the window of the figures, and slack for one that is missing."""

POINT_SECONDS = 315
"""How long points are kept: five minutes of columns, and what their trailing windows reach back to."""

MOST_WORKERS = 256
"""Workers remembered at most, dead ones included; past it the one longest silent is forgotten."""

_EARLY = 0.25


class Point(msgspec.Struct, frozen=True):
    """What columns need of one snapshot: cumulative counts of the service's own routes, and the pools' levels."""

    second: int
    requests: int
    errors: int
    answered: Distribution
    hits: int
    lookups: int
    pool_in_use: int
    pool_wait: Distribution


class Track:
    """What is remembered of one worker."""

    def __init__(self, started: float) -> None:
        self.started = started
        self.whole: deque[Snapshot] = deque(maxlen=WHOLE_SECONDS + 10)
        self.seconds: list[int] = []
        self.points: list[Point] = []

    @property
    def newest(self) -> Snapshot:
        """The worker's last snapshot."""
        return self.whole[-1]

    def point_at(self, second: int) -> Point | None:
        """Return the worker's state at a second: its last point then or before."""
        position = bisect_right(self.seconds, second)
        return self.points[position - 1] if position else None

    def add(self, snapshot: Snapshot, point: Point) -> None:
        """Append a snapshot that is newer than all before."""
        self.whole.append(snapshot)
        if self.seconds and self.seconds[-1] == point.second:
            self.points[-1] = point
            return
        self.seconds.append(point.second)
        self.points.append(point)
        if len(self.points) > 2 * POINT_SECONDS:
            del self.seconds[:-POINT_SECONDS], self.points[:-POINT_SECONDS]


class Ledger:
    """Snapshots of many workers, in bounded memory. ``internal`` are route prefixes that points leave out."""

    def __init__(self, internal: Sequence[str] = ()) -> None:
        self.tracks: dict[str, Track] = {}
        self.redis: deque[tuple[int, RedisServer]] = deque(maxlen=POINT_SECONDS + 60)
        self.refused = 0
        """Snapshots that could not be true."""
        self._internal = tuple(internal)
        self._touched: int | None = None

    @property
    def newest(self) -> float | None:
        """When the newest snapshot was taken (Unix seconds), or None when there is none."""
        return max((track.newest.taken for track in self.tracks.values()), default=None)

    def ingest(self, snapshot: Snapshot) -> bool:
        """Remember a snapshot; return False for one that is not newer than what is known, or cannot be true."""
        track = self.tracks.get(snapshot.worker)
        if track is not None and snapshot.taken <= track.newest.taken:
            return False
        if not _sound(snapshot):
            self.refused += 1
            return False
        point = _point_of(snapshot, self._internal)
        if track is None:
            self._make_room()
            track = self.tracks[snapshot.worker] = Track(snapshot.started)
        elif point.requests < track.points[-1].requests:
            self.refused += 1
            return False
        track.add(snapshot, point)
        self._touched = point.second if self._touched is None else min(self._touched, point.second)
        if snapshot.redis is not None:
            self._note_redis(point.second, snapshot.redis)
        return True

    def forget(self, now: float) -> None:
        """Drop what is too old to be asked for."""
        for worker in [w for w, track in self.tracks.items() if track.newest.taken < now - POINT_SECONDS]:
            del self.tracks[worker]
        for track in self.tracks.values():
            while len(track.whole) > 1 and track.whole[0].taken < now - WHOLE_SECONDS:
                track.whole.popleft()

    def take_touched(self) -> int | None:
        """Return the earliest second that has changed since the last call, or None when none has."""
        touched, self._touched = self._touched, None
        return touched

    def clear(self) -> None:
        """Forget everything."""
        self.tracks.clear()
        self.redis.clear()
        self._touched = 0

    def _make_room(self) -> None:
        if len(self.tracks) >= MOST_WORKERS:
            del self.tracks[min(self.tracks, key=lambda worker: self.tracks[worker].newest.taken)]

    def _note_redis(self, second: int, sample: RedisServer) -> None:
        """Keep one sample a second. Workers see one server: the newest sample counts, never the sum."""
        if self.redis and second <= self.redis[-1][0]:
            return
        if self.redis and self.redis[-1][1].run_id == sample.run_id:
            # Two workers' samples may arrive out of order by a moment; a counter of one server never falls.
            last = self.redis[-1][1]
            evicted, expired = max(last.evicted, sample.evicted), max(last.expired, sample.expired)
            sample = msgspec.structs.replace(sample, evicted=evicted, expired=expired)
        self.redis.append((second, sample))


def second_of(taken: float) -> int:
    """Return the second whose end a snapshot marks; timers may fire a little early."""
    return math.floor(taken + _EARLY)


def _distributions(snapshot: Snapshot) -> Iterator[Distribution]:
    for counts in snapshot.requests:
        yield counts.duration
    for pool in snapshot.pools:
        yield pool.wait
    if snapshot.hashing:
        yield snapshot.hashing.wait
        yield snapshot.hashing.duration
    yield snapshot.runtime.loop_lag


def _sound(snapshot: Snapshot) -> bool:
    """Return whether every histogram lies in the known layout and no count is negative."""
    numbers = (snapshot.taken, snapshot.started)
    return all(map(math.isfinite, numbers)) and all(
        not d.counts
        or (d.offset >= LOWEST_INDEX and d.offset + len(d.counts) <= LOWEST_INDEX + SIZE and min(d.counts) >= 0)
        for d in _distributions(snapshot)
    )


def _point_of(snapshot: Snapshot, internal: Sequence[str]) -> Point:
    answered = Histogram()
    requests = errors = 0
    for counts in snapshot.requests:
        if is_internal(counts.route, internal):
            continue
        count = counts.duration.count
        requests += count
        errors += count if is_error(counts) else 0
        if is_answered(counts):
            answered.add(counts.duration)
    return Point(
        second=second_of(snapshot.taken),
        requests=requests,
        errors=errors,
        answered=answered.freeze(),
        hits=sum(cache.hits for cache in snapshot.caches),
        lookups=sum(lookups(cache) for cache in snapshot.caches),
        pool_in_use=sum(pool.in_use for pool in snapshot.pools),
        pool_wait=Histogram.of(*(pool.wait for pool in snapshot.pools)).freeze(),
    )
