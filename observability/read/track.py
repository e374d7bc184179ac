"""What is remembered of one worker: its last state, and what its own row needs of its last minute."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import msgspec

from observability.model import Anatomy, BodySizes, Distribution, Operation, Snapshot
from observability.read.words import is_internal

if TYPE_CHECKING:
    from collections.abc import Sequence

POINT_SECONDS = 75
"""How long a worker's points are kept: a minute, and slack for one that is missing."""


class Point(msgspec.Struct, frozen=True, array_like=True):
    """Cumulative counts of one worker: its service's requests, CPU, lag, garbage collection and telemetry's own cost."""

    taken: float
    requests: int = 0
    cpu: float = 0.0
    loop_lag: Distribution = Distribution()
    gc_pauses: Distribution = Distribution()
    collections: int = 0
    telemetry: float = 0.0
    timed: int = 0
    published: int = 0
    kept: int = 0


def point_of(snapshot: Snapshot, internal: Sequence[str]) -> Point:
    """Return what a worker's own row needs of a snapshot; ``internal`` are route prefixes that it leaves out."""
    own = (counts for counts in snapshot.requests if not is_internal(counts.route, internal))
    runtime, cost, kept = snapshot.runtime, snapshot.cost, snapshot.kept
    return Point(
        snapshot.taken,
        sum(counts.duration.count for counts in own),
        runtime.cpu,
        runtime.loop_lag,
        runtime.gc_pauses,
        sum(runtime.gc_collections),
        cost.seconds,
        cost.requests,
        cost.published,
        kept.slow + kept.failed + kept.sampled + kept.asked,
    )


class _Inside(msgspec.Struct, frozen=True, array_like=True):
    """What of a snapshot only its successor is compared with."""

    operations: tuple[Operation, ...]
    anatomy: tuple[Anatomy, ...]
    bodies: tuple[BodySizes, ...]


_points = msgspec.msgpack.Decoder(Point)
_insides = msgspec.msgpack.Decoder(_Inside)
_encoder = msgspec.msgpack.Encoder()


class Track:
    """What is remembered of one worker."""

    def __init__(self) -> None:
        self.newest: Snapshot
        """The last state, without what is large and only asked for by ``whole``."""
        self.blocked = 0
        """How many ticks of its event loop took too long since it started."""
        self.fine = True
        """Whether the newest is one of every second."""
        self._inside = b""
        self._points: deque[tuple[float, bytes]] = deque(maxlen=POINT_SECONDS)

    def add(self, snapshot: Snapshot, point: Point) -> None:
        """Take a snapshot that is newer than all before."""
        self._inside = _encoder.encode(_Inside(snapshot.operations, snapshot.anatomy, snapshot.bodies))
        self.blocked = max((blocked.number for blocked in snapshot.blocked), default=self.blocked)
        self.newest = msgspec.structs.replace(snapshot, operations=(), anatomy=(), bodies=(), blocked=())
        while self._points and self._points[0][0] < point.taken - POINT_SECONDS:
            self._points.popleft()
        self._points.append((point.taken, _encoder.encode(point)))

    def whole(self) -> Snapshot:
        """Return the last state with all that its successor is compared with."""
        inside = _insides.decode(self._inside)
        return msgspec.structs.replace(
            self.newest, operations=inside.operations, anatomy=inside.anatomy, bodies=inside.bodies
        )

    def since(self, begin: float, end: float) -> tuple[Point, Point] | None:
        """Return its state at ``begin`` and its last at or before ``end``, or None when it said nothing in between.

        Without a state at ``begin``: zero when it started later, else the first state known.
        """
        within = [item for item in self._points if item[0] <= end]
        if not within or within[-1][0] <= begin:
            return None
        last = _points.decode(within[-1][1])
        before = [item for item in within if item[0] <= begin]
        if not before and self.newest.started > begin:
            return Point(self.newest.started), last
        return _points.decode((before[-1] if before else within[0])[1]), last
