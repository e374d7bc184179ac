"""Requests counted by method, route, status and error, with a bound on how many such series there can be."""

from __future__ import annotations

import math
from collections import deque
from math import ceil, log2
from random import random
from typing import TYPE_CHECKING, Any

from observability.model import Distribution, Exemplar, Histogram, RouteCounts
from observability.model.histogram import PER_DOUBLING, position_of
from observability.model.snapshot import MOST_EXEMPLARS
from observability.record.anatomy import RouteMeter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from observability.model import Anatomy, BodySizes

MOST_SERIES = 500
"""Past this many series a new combination is counted in the overflow series, by the class of its status alone."""

OVERFLOW_ROUTE = "(other)"
OTHER_METHOD = "_OTHER"
"""OpenTelemetry's word for a method that is none of the known ones."""

KNOWN_METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})

TIMED_EVERY = 64
"""One request in so many is timed inside the recorder itself."""

_SERVER_ERROR = 500
_NO_TIME = 1e-9
_Key = tuple[str, str, int, str]
_Cell = list[Any]
"""A number of requests and the sums of their seconds, of those in Redis, and of those in which the loop was blocked."""


class Series:
    """Requests that ended alike.

    Of most of them nothing is known but how long they took, what part of it Redis took, and how long the response is.
    They are summed up in ``cells``, one for each bucket of the histogram, which ``fold`` counts and empties: four numbers
    at one place cost a request a third of what its histogram, band and sizes do one by one. Whoever counts a request so
    takes one off ``left``; when none is left it is that one's ``turn``.
    """

    __slots__ = (
        "_cells",
        "_frozen",
        "_lucky_in",
        "_open",
        "_planned",
        "_ratio",
        "_sizes",
        "_timed_in",
        "exemplars",
        "failed",
        "histogram",
        "key",
        "left",
        "route",
    )

    def __init__(self, key: _Key, route: RouteMeter, bounds: tuple[float, ...]) -> None:
        self.key = key
        self.failed = key[2] >= _SERVER_ERROR or not key[2] or key[3] == "truncated"
        """Whether its requests are to be kept because they failed."""
        self.route = route
        self.histogram = Histogram()
        self.histogram.split_at(bounds)
        self.exemplars: deque[Exemplar] = deque(maxlen=MOST_EXEMPLARS)
        """The newest whose traces were kept."""
        self.left = self._planned = 1
        """Requests until there is more to do than to count."""
        self._lucky_in: float = math.inf
        self._ratio = 0.0
        self._timed_in = TIMED_EVERY
        self._open: dict[int, _Cell] = {}
        """The cells, by the positions of their buckets."""
        self._cells: dict[int, _Cell] = {}
        """Those whose buckets are not split, by what is quicker to tell of a duration: its logarithm, rounded up."""
        self._sizes: dict[int, int] = {}
        self._frozen: tuple[float, Distribution] | None = None

    def record(self, seconds: float, parts: Sequence[float] = ()) -> None:
        """Count one request that waited for ``parts``. One that got no answer has no place in its route's anatomy."""
        position = self.histogram.record(seconds)
        if self.key[2]:
            self.route.add(position, 1, seconds, parts)

    def count(self, seconds: float, redis: float, size: int, stalled: float = 0.0) -> None:
        """Count one request without a body that waited for nothing but ``redis``, and for the loop if that ``stalled``.

        ``size`` is the response's body in bytes.
        """
        cell = self._cells.get(ceil(log2(seconds or _NO_TIME) * PER_DOUBLING)) or self._cell(seconds)
        cell[0] += 1
        cell[1] += seconds
        cell[2] += redis
        if stalled:
            cell[3] += stalled
        if size:
            self._sizes[size] = self._sizes.get(size, 0) + 1

    def turn(self, ratio: float) -> tuple[bool, bool]:
        """Say of the request at which none was left whether it is to be kept by chance, one in ``1 / ratio``, and to be timed."""
        if ratio != self._ratio:
            self._ratio = ratio
            self._lucky_in = self._planned - 1 + self._gap()
        self._lucky_in -= self._planned
        self._timed_in -= self._planned
        lucky, timed = self._lucky_in <= 0, self._timed_in <= 0
        if lucky:
            self._lucky_in = self._gap()
        if timed:
            self._timed_in = TIMED_EVERY
        self.left = self._planned = int(min(self._lucky_in, self._timed_in))
        return lucky, timed

    def fold(self) -> None:
        """Count what the cells hold."""
        whole = 0
        for position, (count, seconds, redis, stalled) in self._open.items():
            whole += count
            self.histogram.put(position, count, seconds)
            self.route.add(position, count, seconds, (stalled, 0, 0, 0, 0, redis))
        sizes = {0: whole - sum(self._sizes.values()), **self._sizes}
        self.route.add_sizes(sizes)
        self._cells, self._open, self._sizes = {}, {}, {}

    def _cell(self, seconds: float) -> _Cell:
        """Return a cell that is not known by its logarithm: a new one, or one of a bucket that is split, to be counted exactly."""
        position = position_of(seconds)
        cell = self._open.setdefault(position, [0, 0.0, 0.0, 0.0])
        if not self.histogram.split(position, seconds):
            self._cells[ceil(log2(seconds or _NO_TIME) * PER_DOUBLING)] = cell
        return cell

    def _gap(self) -> float:
        """Return after how many requests the next is to be kept by chance."""
        if self._ratio <= 0:
            return math.inf
        return 1 + (math.log(1 - random()) // math.log(1 - self._ratio) if self._ratio < 1 else 0)  # noqa: S311 - no secret

    def freeze(self) -> RouteCounts:
        """Return its counts as a value; when it did not move since the last call that costs nothing."""
        if self._open:
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
    ) -> None:
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

    def known(self, method: str, route: str, status: int) -> Series | None:
        """Return the series of requests that ended so without an error, None if there is none of their own."""
        return self._series.get((method, route, status, ""))

    def record(self, method: str, route: str, status: int, error: str, seconds: float) -> None:
        """Count one request of which nothing else is known."""
        self.of(method, route, status, error).record(seconds)

    def settle(self, now: float) -> None:
        """Once a second: find out what is slow now; ``now`` is monotonic."""
        for series in self._series.values():
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
            known = self._series[key] = Series(key, self._route(key[0], key[1]), self._bounds)
        return known

    def _route(self, method: str, route: str) -> RouteMeter:
        known = self._routes.get((method, route))
        if known is None:
            known = self._routes[method, route] = RouteMeter(method, route, self._targets.get((method, route)))
        return known
