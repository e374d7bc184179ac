"""Where the time of one route's requests goes, by bands of latency, and how long its slowest of the last minute took."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from observability.model import PARTS, Anatomy, Band, BodySizes, Histogram
from observability.model.anatomy import BANDS_PER_DOUBLING
from observability.model.histogram import LOWEST_INDEX, SCALE, SIZE, bucket_bounds, position_of
from observability.record.current import LOOP

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from observability.record.current import Current
    from observability.record.stalls import Stalls

_BUCKETS = (1 << SCALE) // BANDS_PER_DOUBLING
_LOWEST_BAND = LOWEST_INDEX // _BUCKETS

FEWEST = 100
"""Requests of about the last minute below which nobody can say which of them are slow."""

_SLOW_SHARE = 0.01
_DECAY = 1 - 1 / 60
_FORGOTTEN = 0.01
_MIB = 1 << 20


class RouteMeter:
    """The requests of one method and route that were answered. ``target`` is its target in seconds, if it has one."""

    __slots__ = ("_fresh", "_recent", "_since", "_slots", "bodies", "frozen", "method", "route", "slow", "target")

    def __init__(self, method: str, route: str, target: float | None = None) -> None:
        self.method = method
        self.route = route
        self.target = target
        self.slow = 2 * target if target else math.inf
        """Seconds past which a request is one of the slowest hundredth of about the last minute."""
        self.bodies: tuple[Histogram, Histogram] | None = None
        self.frozen: tuple[Anatomy, BodySizes | None] | None = None
        self._slots: list[_Band | None] = [None] * (SIZE // _BUCKETS)
        self._fresh: dict[int, int] = {}
        self._recent: dict[int, float] = {}
        self._since = time.monotonic()

    def add(self, position: int, count: int, seconds: float, parts: Sequence[float]) -> None:
        """Count requests whose durations are in one bucket; ``seconds`` and ``parts`` are their sums."""
        self._fresh[position] = self._fresh.get(position, 0) + count
        band = self._band(position)
        band.count += count
        band.total += seconds
        sums = band.parts
        for part, spent in enumerate(parts):
            if spent:
                sums[part] += spent

    def _band(self, position: int) -> _Band:
        self.frozen = None
        band = self._slots[position // _BUCKETS]
        if band is None:
            band = self._slots[position // _BUCKETS] = _Band()
        return band

    def add_bodies(self, request: int, response: int) -> None:
        """Count the sizes of one request's bodies, in bytes."""
        if self.bodies is None:
            self.bodies = Histogram(), Histogram()
        self.bodies[0].record(request / _MIB)
        self.bodies[1].record(response / _MIB)

    def add_sizes(self, responses: Mapping[int, int]) -> None:
        """Count requests without bodies: how many had a response's body of each size, in bytes."""
        if self.bodies is None:
            self.bodies = Histogram(), Histogram()
        for size, count in responses.items():
            self.bodies[0].put(0, count, 0.0)
            self.bodies[1].put(position_of(size / _MIB), count, size * count / _MIB)

    def settle(self, now: float) -> None:
        """Once a second: take the latest requests into account for what is slow; ``now`` is monotonic."""
        if not self._fresh:
            return
        decay = _DECAY ** max(1.0, now - self._since)
        recent = {position: weight * decay for position, weight in self._recent.items() if weight > _FORGOTTEN}
        for position, count in self._fresh.items():
            recent[position] = recent.get(position, 0.0) + count
        self._recent, self._fresh, self._since = recent, {}, now
        total = sum(recent.values())
        if total < FEWEST:
            self.slow = 2 * self.target if self.target else math.inf
            return
        left = total * _SLOW_SHARE
        for position in sorted(recent, reverse=True):
            left -= recent[position]
            if left <= 0:
                self.slow = bucket_bounds(LOWEST_INDEX + position)[1]
                return

    def freeze(self) -> tuple[Anatomy, BodySizes | None]:
        """Return its bands, and the sizes of its bodies; a route that did not move since the last call costs nothing."""
        if self.frozen is None:
            bands = tuple(
                Band(_LOWEST_BAND + place, band.count, band.total, tuple(band.parts))
                for place, band in enumerate(self._slots)
                if band is not None
            )
            sizes = None
            if self.bodies is not None:
                sizes = BodySizes(self.method, self.route, self.bodies[0].freeze(), self.bodies[1].freeze())
            self.frozen = Anatomy(self.method, self.route, bands), sizes
        return self.frozen


class _Band:
    __slots__ = ("count", "parts", "total")

    def __init__(self) -> None:
        self.count = 0
        self.total = 0.0
        self.parts: list[float] = [0] * len(PARTS)  # an integer zero is one byte in a snapshot, not nine


def parts_of(request: Current, ended: float, stalls: Stalls) -> list[float]:
    """Return what a request waited for until it ended, in seconds by part: together never more than it took.

    What overlaps is counted once and shared in proportion. Time in which the event loop was blocked is the loop's, not
    that of what the request waited for meanwhile.
    """
    parts = request.parts
    if request.overlapping or request.busy > ended:
        parts = _apart(request, ended)
    if stalls.latest > request.begin or ended > stalls.late_from:
        parts = _without_stalls(request, ended, stalls, parts)
    whole, spent = ended - request.begin, sum(parts)
    if spent > whole:
        parts = [part * whole / spent for part in parts]
    return parts


def _apart(request: Current, ended: float) -> list[float]:
    parts, union, until = [0.0] * len(PARTS), 0.0, request.begin
    for part, _, begin, end, _, _ in sorted(request.children, key=lambda child: child[2]):
        begin, end = max(begin, request.begin), min(end, ended)  # noqa: PLW2901 - clipped
        if end > begin:
            parts[part] += end - begin
            union += max(0.0, end - max(begin, until))
            until = max(until, end)
    spent = sum(parts)
    return [part * union / spent for part in parts] if spent else parts


def _without_stalls(request: Current, ended: float, stalls: Stalls, parts: list[float]) -> list[float]:
    stalled = stalls.overlap(request.begin, ended)
    if not stalled:
        return parts
    parts = parts.copy()
    for part, _, begin, end, _, _ in request.children:
        parts[part] -= stalls.overlap(max(begin, request.begin), min(end, ended))
    parts = [max(0.0, part) for part in parts]
    parts[LOOP] += stalled
    return parts
