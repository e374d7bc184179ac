"""Requests counted by method, route, status and error, with a bound on how many such series there can be."""

from __future__ import annotations

import math
from collections import deque
from random import random
from typing import TYPE_CHECKING

from observability.model import Distribution, Exemplar, Histogram, RouteCounts
from observability.model.snapshot import MOST_EXEMPLARS
from observability.record.anatomy import RouteMeter
from observability.record.stalls import Stalls

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from observability.model import Anatomy, BodySizes

MOST_SERIES = 500
"""Past this many series a new combination is counted in the overflow series, by the class of its status alone."""

OVERFLOW_ROUTE = "(other)"
OTHER_METHOD = "_OTHER"
"""OpenTelemetry's word for a method that is none of the known ones."""

KNOWN_METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})

MOST_WAITING = 512
"""Requests of a series that wait to be counted: together that costs a fifth, and this many take 0.2 ms."""

TIMED_EVERY = 64
"""One request in so many is timed inside the recorder itself."""

_SERVER_ERROR = 500
_Key = tuple[str, str, int, str]


class Series:
    """Requests that ended alike.

    Those of which nothing else is known wait in ``waiting`` until ``fold`` counts them all at once. Each is four numbers: seconds, seconds that
    Redis took, bytes of the response's body, begin. They lie there flat, since a tuple each would keep the garbage
    collector busy. When ``waiting`` is as long as ``due``, something else is to be done than to wait.
    """

    __slots__ = ("_frozen", "_stalls", "due", "exemplars", "failed", "histogram", "key", "lucky_at", "route", "waiting")

    def __init__(self, key: _Key, route: RouteMeter, bounds: tuple[float, ...], stalls: Stalls) -> None:
        self.key = key
        self.failed = key[2] >= _SERVER_ERROR or not key[2] or key[3] == "truncated"
        """Whether its requests are to be kept because they failed."""
        self.route = route
        self.histogram = Histogram()
        self.histogram.split_at(bounds)
        self.waiting: list[float] = []
        self.due = 0.0
        self.lucky_at = 0.0
        """Which of those that wait is to be kept by chance; 0 before that was drawn."""
        self.exemplars: deque[Exemplar] = deque(maxlen=MOST_EXEMPLARS)
        """The newest whose traces were kept."""
        self._stalls = stalls
        self._frozen: tuple[float, Distribution] | None = None

    def record(self, seconds: float, parts: Sequence[float] = ()) -> None:
        """Count one request that waited for ``parts``. One that got no answer has no place in its route's anatomy."""
        position = self.histogram.record(seconds)
        if self.key[2]:
            self.route.add(position, 1, seconds, parts)

    def is_lucky(self, ratio: float) -> bool:
        """Say whether the last one that waits is to be kept by chance; then the next has to be drawn."""
        count = len(self.waiting) // 4
        if not self.lucky_at:
            self.draw(ratio, count - 1)
        return count == self.lucky_at

    def draw(self, ratio: float, after: int) -> None:
        """Draw which request after so many that wait is the next to be kept by chance: one in ``1 / ratio``."""
        gap = math.inf
        if ratio > 0:
            gap = 1 + (math.log(1 - random()) // math.log(1 - ratio) if ratio < 1 else 0)  # noqa: S311 - no secret
        self.lucky_at = after + gap

    def wait(self) -> None:
        """Find out how many may wait until something is to be done."""
        timed = len(self.waiting) // 4 // TIMED_EVERY * TIMED_EVERY + TIMED_EVERY
        self.due = 4 * min(timed, self.lucky_at, MOST_WAITING)

    def fold(self) -> None:
        """Count what waits."""
        waiting, self.waiting = self.waiting, []
        self.lucky_at -= len(waiting) // 4
        self.wait()
        unsorted = waiting[::4]
        stalled: list[float] = []
        order = sorted(range(len(unsorted)), key=unsorted.__getitem__)
        seconds = [*map(unsorted.__getitem__, order)]
        redis = [*map(waiting[1::4].__getitem__, order)]
        latest, overlap = self._stalls.latest, self._stalls.overlap
        if latest > min(waiting[3::4]):
            begins = map(waiting[3::4].__getitem__, order)
            stalled = [
                overlap(begin, begin + took) if begin < latest else 0.0
                for begin, took in zip(begins, seconds, strict=True)
            ]
            redis = [max(0.0, took - late) for took, late in zip(redis, stalled, strict=True)]
        self.route.add_sorted(self.histogram.record_sorted(seconds), seconds, stalled, redis)
        self.route.add_sizes(sorted(waiting[2::4]))

    def freeze(self) -> RouteCounts:
        """Return its counts as a value; when it did not move since the last call that costs nothing."""
        if self.waiting:
            self.fold()
        if self._frozen is None or self._frozen[0] != self.histogram.total:
            self._frozen = self.histogram.total, self.histogram.freeze()
        return RouteCounts(*self.key, self._frozen[1], tuple(self.exemplars))


class RequestSeries:
    """One series for each (method, route, status, error), split at ``bounds`` (seconds); ``targets`` are seconds by method and route."""

    def __init__(
        self,
        most: int = MOST_SERIES,
        bounds: tuple[float, ...] = (),
        targets: Mapping[tuple[str, str], float] | None = None,
        stalls: Stalls | None = None,
    ) -> None:
        self._stalls = stalls or Stalls()
        self.most = most
        self.overflowed = 0
        """Requests that had no series of their own any more."""
        self._bounds = bounds
        self._targets = targets or {}
        self._series: dict[_Key, Series] = {}
        self._routes: dict[tuple[str, str], RouteMeter] = {}

    def __len__(self) -> int:
        """Return how many series there are."""
        return len(self._series)

    def of(self, method: str, route: str, status: int, error: str) -> Series:
        """Return a series; ``route`` is a template and ``error`` a short code, both from a small set."""
        return self._series.get((method, route, status, error)) or self._open((method, route, status, error))

    def record(self, method: str, route: str, status: int, error: str, seconds: float) -> None:
        """Count one request of which nothing else is known."""
        self.of(method, route, status, error).record(seconds)

    def settle(self, now: float) -> None:
        """Once a second: find out what is slow now; ``now`` is monotonic."""
        for series in self._series.values():
            if series.waiting:
                series.fold()
        for route in self._routes.values():
            route.settle(now)

    def freeze(self) -> tuple[RouteCounts, ...]:
        """Return every series as a value."""
        return tuple(series.freeze() for series in self._series.values())

    def freeze_routes(self) -> tuple[tuple[Anatomy, ...], tuple[BodySizes, ...]]:
        """Return the anatomy and the sizes of bodies of every route, as of the last ``freeze``."""
        frozen = [route.freeze() for route in self._routes.values()]
        return tuple(a for a, _ in frozen if a.bands), tuple(sizes for _, sizes in frozen if sizes is not None)

    def _open(self, key: _Key) -> Series:
        if len(self._series) >= self.most:
            # The class of the status is kept, so that errors stay errors: five series at most.
            key = (OTHER_METHOD, OVERFLOW_ROUTE, key[2] // 100 * 100, "")
            self.overflowed += 1
        known = self._series.get(key)
        if known is None:
            known = self._series[key] = Series(key, self._route(key[0], key[1]), self._bounds, self._stalls)
        return known

    def _route(self, method: str, route: str) -> RouteMeter:
        known = self._routes.get((method, route))
        if known is None:
            known = self._routes[method, route] = RouteMeter(method, route, self._targets.get((method, route)))
        return known
