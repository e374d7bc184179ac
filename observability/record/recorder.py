"""The recorder: everything that one worker counts, and the snapshot made of it."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from observability.model import SNAPSHOT_VERSION, RedisServer, Snapshot
from observability.record.meters import CacheMeter, HashMeter, PoolMeter
from observability.record.operations import Operations
from observability.record.requests import MOST_SERIES, RequestSeries
from observability.record.runtime import RuntimeMeter
from observability.record.stalls import Stalls

if TYPE_CHECKING:
    from collections.abc import Callable

    from observability.record.spans import RequestSpans


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
    ) -> None:
        """``bounds`` are seconds; how many requests of each series took no longer is counted exactly."""
        self.bounds = bounds
        self.instance = instance
        self.worker = worker or uuid4().hex[:12]
        self.started = clock()
        self.requests = RequestSeries(most_series, bounds)
        self.stalls = Stalls(busy=lambda: self.in_flight > 0)
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
        self.spans: RequestSpans | None = None
        """Where finished requests become spans, while spans are exported."""
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

    def snapshot(self) -> Snapshot:
        """Return everything counted since the start."""
        return Snapshot(
            version=SNAPSHOT_VERSION,
            instance=self.instance,
            worker=self.worker,
            pid=os.getpid(),
            started=self.started,
            taken=self._clock(),
            requests=self.requests.freeze(),
            caches=tuple(meter.freeze() for meter in self._caches.values()),
            pools=tuple(meter.freeze() for meter in self._pools.values()),
            hashing=self._hashing.freeze() if self._hashing else None,
            redis=self.redis,
            runtime=self.runtime.freeze(),
            blocked=self.runtime.watchdog.blocked,
            in_flight=self.in_flight,
            bounds=self.bounds,
            database_cpu=self.database_cpu,
            operations=self.operations.freeze(),
            namespaces=tuple(self.operations.namespaces.items()),
        )
