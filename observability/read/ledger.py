"""What is remembered of the fleet, in bounded memory: each worker's last state, and what all of them did, by the second.

Everything that comes in is cumulative, so a snapshot that is missing, late or doubled changes no count.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

import msgspec

from observability.model import PARTS, Distribution, RedisServer, Snapshot
from observability.model.anatomy import BANDS_PER_DOUBLING
from observability.model.histogram import LOWEST_INDEX, SCALE, SIZE
from observability.read.brief import Briefs
from observability.read.chronicle import Chronicle
from observability.read.history import FINE_SECONDS, HOUR, TEN, History
from observability.read.slot import CountsFell, Slot, between
from observability.read.track import Track, point_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from observability.model import Band

FRESH_SECONDS = 60
"""A worker that is first heard of at this age or younger is counted from its start, an older one from then on."""

MOST_WORKERS = 256
"""Workers remembered at most, dead ones included; past it the one longest silent is forgotten."""

MEMORY_BYTES = 80 * 1024 * 1024
"""What a ledger takes at most with all these workers of up to 64 series each; a busy fleet of 20 workers takes about 17 MiB."""

SILENT = 10.0
"""Seconds without a snapshot after which a worker is no longer shown; what it did in the window still counts."""

_EARLY = 0.25
_PER_BAND = 2**SCALE // BANDS_PER_DOUBLING
_LOWEST_BAND = LOWEST_INDEX // _PER_BAND
_BANDS = SIZE // _PER_BAND
_MINUTE = 60


class Ledger:
    """Snapshots of many workers, in bounded memory. ``internal`` are route prefixes that workers' own rows leave out."""

    def __init__(self, internal: Sequence[str] = ()) -> None:
        self.tracks: dict[str, Track] = {}
        self.history = History()
        self.briefs = Briefs(self.history.fine, internal)
        self.chronicle = Chronicle()
        self.redis: deque[tuple[int, RedisServer]] = deque(maxlen=FINE_SECONDS + _MINUTE)
        """The Redis server each second, and for the hour below every ten seconds."""
        self.redis_hour: deque[tuple[int, RedisServer]] = deque(maxlen=HOUR // TEN + _MINUTE // TEN)
        self.refused = 0
        """Snapshots that could not be true."""
        self._internal = tuple(internal)
        self._touched: int | None = None
        self._forgotten = -math.inf
        """The latest start of a worker that was forgotten: who started before it may have been counted already."""
        self._gone = -math.inf
        """The latest that was heard of a worker that was forgotten: what is older may have been counted already."""

    @property
    def newest(self) -> float | None:
        """When the newest snapshot was taken (Unix seconds), or None when there is none."""
        return max((track.newest.taken for track in self.tracks.values()), default=None)

    def silent(self, now: float) -> bool:
        """Return whether nobody was heard for ten seconds."""
        newest = self.newest
        return newest is None or now - newest > SILENT

    def ingest(self, snapshot: Snapshot, *, fine: bool = True) -> bool:
        """Remember a snapshot; return False for one that is not newer than what is known, or cannot be true.

        What a worker that missed snapshots did meanwhile counts in the second in which it is heard again. ``fine`` is
        false for one of those that are kept every ten seconds only.
        """
        track = self.tracks.get(snapshot.worker)
        if snapshot.taken <= (track.newest.taken if track else self._gone):
            return False
        try:
            slot = self._done(snapshot, track)
        except CountsFell:
            self.refused += 1
            return False
        if track is None:
            self._make_room()
            siblings = (t.newest for t in self.tracks.values() if t.newest.instance == snapshot.instance)
            self.chronicle.meet(snapshot, siblings)
            track = self.tracks[snapshot.worker] = Track()
            track.fine = fine
        # What was done since a snapshot that is ten seconds old belongs to no single second.
        single, track.fine = fine and track.fine, fine
        track.add(snapshot, point_of(snapshot, self._internal))
        self.chronicle.hear(snapshot)
        second = second_of(snapshot.taken)
        self.history.add(second, slot, fine=single)
        self._touched = second if self._touched is None else min(self._touched, second)
        if snapshot.redis is not None:
            self._note_redis(second, snapshot.redis)
        return True

    def forget(self, now: float) -> None:
        """Drop workers that are long silent."""
        for worker in [w for w, track in self.tracks.items() if track.newest.taken < now - FINE_SECONDS]:
            self._forget(worker)

    def take_touched(self) -> int | None:
        """Return the earliest second that has changed since the last call, or None when none has."""
        touched, self._touched = self._touched, None
        return touched

    def _done(self, snapshot: Snapshot, track: Track | None) -> Slot:
        """Return what a worker did since it was last heard of. Raises CountsFell."""
        if not _sound(snapshot):
            raise CountsFell("counts are negative or outside the layout")
        if track is not None:
            return between(snapshot, track.whole(), track.newest.taken)
        if snapshot.taken - snapshot.started <= FRESH_SECONDS and snapshot.started > self._forgotten:
            return between(snapshot, None, snapshot.started)
        return Slot(snapshot.taken, 1)

    def _make_room(self) -> None:
        if len(self.tracks) >= MOST_WORKERS:
            self._forget(min(self.tracks, key=lambda worker: self.tracks[worker].newest.taken))

    def _forget(self, worker: str) -> None:
        last = self.tracks.pop(worker).newest
        self._forgotten = max(self._forgotten, last.started)
        self._gone = max(self._gone, last.taken)

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
        if not self.redis_hour or second // TEN > self.redis_hour[-1][0] // TEN:
            self.redis_hour.append((second, sample))


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
    yield snapshot.runtime.gc_pauses
    for operation in snapshot.operations:
        yield operation.duration


def _sound(snapshot: Snapshot) -> bool:
    """Return whether every histogram and band lies in the known layout, and no count is negative."""
    numbers = (snapshot.taken, snapshot.started)
    return (
        all(map(math.isfinite, numbers))
        and all(
            not d.counts
            or (d.offset >= LOWEST_INDEX and d.offset + len(d.counts) <= LOWEST_INDEX + SIZE and min(d.counts) >= 0)
            for d in _distributions(snapshot)
        )
        and all(map(_sound_band, (band for anatomy in snapshot.anatomy for band in anatomy.bands)))
    )


def _sound_band(band: Band) -> bool:
    return (
        _LOWEST_BAND <= band.index < _LOWEST_BAND + _BANDS
        and band.count >= 0
        and len(band.parts) == len(PARTS)
        and math.isfinite(sum(band.parts, band.total))
    )
