"""A snapshot as OpenTelemetry metrics: the SDK's public point classes, cumulative, named by the conventions."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Buckets,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from observability.model.histogram import SCALE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from opentelemetry.sdk.resources import Resource

    from observability.model import Distribution, HashCounts, PoolCounts, RedisServer, RouteCounts, Snapshot

SCOPE = InstrumentationScope("observability")
_CUMULATIVE = AggregationTemporality.CUMULATIVE
_SERVER_ERROR = 500

Attributes = dict[str, str | int]


def metrics_of(snapshot: Snapshot, resource: Resource) -> MetricsData:
    """Return everything in a snapshot as metrics of one resource."""
    metrics = tuple(_Points(snapshot).all())
    return MetricsData((ResourceMetrics(resource, (ScopeMetrics(SCOPE, metrics, ""),), ""),))


class _Points:
    """Makes data points that share a snapshot's start and time."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._start = int(snapshot.started * 1e9)
        self._time = int(snapshot.taken * 1e9)

    def all(self) -> Iterator[Metric]:
        snapshot = self._snapshot
        yield self._histogram(
            "http.server.request.duration", ((_route_attributes(r), r.duration) for r in snapshot.requests)
        )
        yield self._level("http.server.active_requests", "{request}", [({}, snapshot.in_flight)])
        if snapshot.pools:
            yield from self._pools(snapshot.pools)
        if snapshot.caches:
            yield self._count("gatewatch.cache.lookups", "{lookup}", self._lookups())
            yield self._count(
                "gatewatch.cache.refused_fills", "{fill}", [({"family": c.family}, c.refused) for c in snapshot.caches]
            )
        if snapshot.hashing:
            yield from self._hashing(snapshot.hashing)
        if snapshot.redis:
            yield from self._redis(snapshot.redis)
        yield self._count("process.cpu.time", "s", [({}, snapshot.runtime.cpu)])
        yield self._level("process.memory.usage", "By", [({}, snapshot.runtime.rss)])
        yield self._histogram("gatewatch.eventloop.lag", [({}, snapshot.runtime.loop_lag)])

    def _pools(self, pools: tuple[PoolCounts, ...]) -> Iterator[Metric]:
        named: list[tuple[Attributes, PoolCounts]] = [({"db.client.connection.pool.name": p.name}, p) for p in pools]
        states = [
            ({**name, "db.client.connection.state": state}, value)
            for name, pool in named
            for state, value in (("used", pool.in_use), ("idle", max(0, pool.open - pool.in_use)))
        ]
        yield self._level("db.client.connection.count", "{connection}", states)
        yield self._level("db.client.connection.max", "{connection}", [(n, p.size) for n, p in named])
        yield self._level("db.client.connection.pending_requests", "{request}", [(n, p.pending) for n, p in named])
        yield self._count("db.client.connection.timeouts", "{timeout}", [(n, p.timeouts) for n, p in named])
        yield self._histogram("db.client.connection.wait_time", [(n, p.wait) for n, p in named])

    def _lookups(self) -> Iterator[tuple[Attributes, int]]:
        for cache in self._snapshot.caches:
            results = {"hit": cache.hits, "miss": cache.misses, "coalesced": cache.coalesced, "error": cache.errors}
            for result, value in results.items():
                yield {"family": cache.family, "result": result}, value

    def _hashing(self, hashing: HashCounts) -> Iterator[Metric]:
        yield self._level("gatewatch.hash.queue.length", "{password}", [({}, hashing.queued)])
        yield self._level("gatewatch.hash.queue.limit", "{password}", [({}, hashing.limit)])
        yield self._count("gatewatch.hash.queue.refused", "{password}", [({}, hashing.refused)])
        yield self._histogram("gatewatch.hash.queue.wait_time", [({}, hashing.wait)])
        yield self._histogram("gatewatch.hash.duration", [({}, hashing.duration)])

    def _redis(self, redis: RedisServer) -> Iterator[Metric]:
        # The run id tells servers apart, and a server from itself before a restart, which begins to count anew.
        server: Attributes = {"redis.run_id": redis.run_id}
        yield self._count("redis.keyspace.hits", "{hit}", [(server, redis.hits)])
        yield self._count("redis.keyspace.misses", "{miss}", [(server, redis.misses)])
        yield self._count("redis.keys.evicted", "{key}", [(server, redis.evicted)])
        yield self._count("redis.keys.expired", "{event}", [(server, redis.expired)])
        yield self._gauge("redis.memory.used", "By", [(server, redis.memory_used)])

    def _count(self, name: str, unit: str, values: Iterable[tuple[Attributes, float]]) -> Metric:
        """Return a counter: a sum that only grows."""
        return Metric(name, "", unit, Sum(self._numbers(values), _CUMULATIVE, is_monotonic=True))

    def _level(self, name: str, unit: str, values: Iterable[tuple[Attributes, float]]) -> Metric:
        """Return an up-down counter: a sum over workers makes sense."""
        return Metric(name, "", unit, Sum(self._numbers(values), _CUMULATIVE, is_monotonic=False))

    def _gauge(self, name: str, unit: str, values: Iterable[tuple[Attributes, float]]) -> Metric:
        """Return a gauge: every worker reports the same thing, and a sum would be wrong."""
        return Metric(name, "", unit, Gauge(self._numbers(values)))

    def _numbers(self, values: Iterable[tuple[Attributes, float]]) -> tuple[NumberDataPoint, ...]:
        return tuple(NumberDataPoint(attributes, self._start, self._time, value) for attributes, value in values)

    def _histogram(self, name: str, values: Iterable[tuple[Attributes, Distribution]]) -> Metric:
        points = tuple(self._distribution(attributes, value) for attributes, value in values)
        return Metric(name, "", "s", ExponentialHistogram(points, _CUMULATIVE))

    def _distribution(self, attributes: Attributes, value: Distribution) -> ExponentialHistogramDataPoint:
        # The exact least and greatest are not kept. Protobuf leaves both out for None, which the SDK's types do not say.
        unknown = cast("float", None)
        return ExponentialHistogramDataPoint(
            attributes=attributes,
            start_time_unix_nano=self._start,
            time_unix_nano=self._time,
            count=value.count,
            sum=value.total,
            scale=SCALE,
            zero_count=0,
            positive=Buckets(value.offset, value.counts),
            negative=Buckets(0, ()),
            flags=0,
            min=unknown,
            max=unknown,
        )


def _route_attributes(counts: RouteCounts) -> Attributes:
    attributes: Attributes = {"http.request.method": counts.method}
    if counts.route:
        attributes["http.route"] = counts.route
    if counts.status:
        attributes["http.response.status_code"] = counts.status
    if counts.error or counts.status >= _SERVER_ERROR:
        attributes["error.type"] = counts.error or str(counts.status)
    return attributes
