"""The recorder: everything that one worker counts, and the snapshot made of it."""

from __future__ import annotations

import functools
import logging
import os
import platform
import time
from collections import Counter
from importlib import metadata
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from observability.model import SNAPSHOT_VERSION, Kept, RedisServer, Snapshot, TelemetryCost
from observability.record.chosen import Chosen
from observability.record.meters import CacheMeter, HashMeter, PoolMeter
from observability.record.operations import Operations
from observability.record.propagation import Propagation
from observability.record.requests import MOST_SERIES, TIMED_EVERY, RequestSeries
from observability.record.runtime import RuntimeMeter
from observability.record.stalls import Stalls
from observability.record.trace import HeadSampling

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from observability.model import RouteCounts
    from observability.record.keeping import Keeper


_logger = logging.getLogger(__name__)

_MOST_LATER = 32
"""Requests that wait to be kept: those take a millisecond or two."""


class Recorder:
    """Counts for one life of one process. Everything in it belongs to the event loop's thread."""

    def __init__(
        self,
        *,
        instance: str,
        worker: str | None = None,
        clock: Callable[[], float] = time.time,
        most_series: int = MOST_SERIES,
        bounds: tuple[float, ...] = (),
        targets: Mapping[tuple[str, str], float] | None = None,
        release: str = "",
    ) -> None:
        """``bounds`` are seconds; how many requests of each series took no longer is counted exactly.

        ``targets`` are seconds by method and route: what is slow while too few requests say so themselves. ``release``
        is the service's version.
        """
        self.bounds = bounds
        self.instance = instance
        self.worker = worker or uuid4().hex[:12]
        self.started = clock()
        self.stalls = Stalls(busy=lambda: self.in_flight > 0)
        self.requests = RequestSeries(most_series, bounds, targets)
        self.connections: set[Any] = set()
        """The protocols of all connections, as the server holds them."""
        self.runtime = RuntimeMeter(self.stalls, clock)
        self.operations = Operations()
        """What is asked of the stores."""
        self.in_flight = 0
        """Requests whose first byte has come and whose last has not gone."""
        self.redis: RedisServer | None = None
        """The newest figures of the Redis server, when somebody samples them."""
        self.database_cpu: float | None = None
        """The newest share of its machine's processors that the database uses, when somebody samples it."""
        self.sampling = HeadSampling()
        self.propagation = Propagation()
        """How callers say whose trace a request belongs to."""
        self.keeper: Keeper | None = None
        """What keeps requests whole, while somebody wants them."""
        self.chosen = Chosen(self)
        self.release = release
        self.recorded = 0
        """Requests that were recorded singly, for the clock that looks at one in many."""
        self.published = 0
        """Bytes of snapshots and kept traces that were published."""
        self._later: list[Callable[[], None]] = []
        self._cost = (0.0, 0)
        self._tls = False
        self._clock = clock
        self._caches: dict[str, CacheMeter] = {}
        self._pools: dict[str, PoolMeter] = {}
        self._hashing: HashMeter | None = None

    def cache(self, family: str) -> CacheMeter:
        """Return the meter of a cache family, the same one for the same family."""
        return self._caches.setdefault(family, CacheMeter(family))

    def pool(self, name: str, size: int) -> PoolMeter:
        """Return the meter of a connection pool, the same one for the same name."""
        return self._pools.setdefault(name, PoolMeter(name, size))

    def hashing(self, threads: int, limit: int) -> HashMeter:
        """Return the meter of the hashing queue; a worker has one."""
        if self._hashing is None:
            self._hashing = HashMeter(threads, limit)
        return self._hashing

    def note_cost(self, seconds: float, requests: int = 1) -> None:
        """Count what the recording of one request in so many took."""
        self._cost = self._cost[0] + seconds, self._cost[1] + requests

    def do_later(self, keep: Callable[[], None]) -> None:
        """Have a request kept with others, within a second: done many at once that takes a third, since the first brings the code."""
        self._later.append(keep)
        if len(self._later) >= _MOST_LATER:
            self._catch_up()

    def _catch_up(self) -> None:
        began, later, self._later = time.perf_counter(), self._later, []
        for keep in later:
            try:
                keep()
            except Exception:
                # A trace that cannot be made must not cost a client its connection.
                _logger.exception("a request could not be kept")
        self.note_cost((time.perf_counter() - began) / TIMED_EVERY, 0)

    def settle(self) -> None:
        """Once a second: find out what is slow now, and let requests be kept again."""
        began = time.perf_counter()
        self.requests.settle(time.monotonic())
        self.note_cost((time.perf_counter() - began) / TIMED_EVERY, 0)
        self.chosen.keep()
        self._catch_up()
        if self.keeper is not None:
            self.keeper.settle()

    def snapshot(self) -> Snapshot:
        """Return everything counted since the start."""
        self.chosen.keep()
        self._catch_up()
        requests = self.requests.freeze()
        anatomy, bodies = self.requests.freeze_routes()
        return Snapshot(
            version=SNAPSHOT_VERSION,
            instance=self.instance,
            worker=self.worker,
            pid=os.getpid(),
            started=self.started,
            taken=self._clock(),
            requests=requests,
            caches=tuple(meter.freeze() for meter in self._caches.values()),
            pools=tuple(meter.freeze() for meter in self._pools.values()),
            hashing=self._hashing.freeze() if self._hashing else None,
            redis=self.redis,
            runtime=self.runtime.freeze(),
            blocked=self.runtime.watchdog.blocked,
            in_flight=self.in_flight,
            bounds=self.bounds,
            database_cpu=self.database_cpu,
            anatomy=anatomy,
            bodies=bodies,
            kept=self.keeper.counts if self.keeper is not None else Kept(),
            cost=TelemetryCost(
                *self._cost, self.published, len(self.requests), self.requests.most, self.requests.overflowed
            ),
            active=self._active(requests),
            scheme=self._scheme(),
            release=self.release,
            about=_about(),
            operations=self.operations.freeze(),
            namespaces=tuple(self.operations.namespaces.items()),
        )

    def _active(self, requests: Sequence[RouteCounts]) -> tuple[tuple[str, int], ...]:
        """Return how many requests are on the way by method, none too of a method that there has been."""
        active = dict.fromkeys((counts.method for counts in requests), 0)
        if self.in_flight:
            found = (
                connection.on_the_way() for connection in tuple(self.connections) if hasattr(connection, "on_the_way")
            )
            active |= Counter(named[0] for named in found if named is not None)
        return tuple(sorted(active.items()))

    def _scheme(self) -> str:
        """Return how requests come; a server has connections of one kind."""
        known = next((connection.conn_info for connection in self.connections if connection.conn_info), None)
        if known is not None:
            self._tls = bool(known.ssl)
        return "https" if self._tls else "http"


@functools.cache
def _about() -> tuple[tuple[str, str], ...]:
    return ("python", platform.python_version()), ("sanic", metadata.version("sanic"))
