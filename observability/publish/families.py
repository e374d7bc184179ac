"""A snapshot as families of metrics, by names, units and attributes of the conventions; OTLP and Prometheus encode them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from observability.model import (
        Distribution,
        Exemplar,
        ExportCounts,
        HashCounts,
        PoolCounts,
        RedisServer,
        RouteCounts,
        Snapshot,
    )

Attributes = dict[str, str | int]
_SERVER_ERROR = 500


class Numbers(NamedTuple):
    """A family of numbers. A count only grows; a level may be added up over workers; of a gauge, a sum would be wrong."""

    name: str
    unit: str
    says: str
    kind: Literal["count", "level", "gauge"]
    points: list[tuple[Attributes, float]]


class Durations(NamedTuple):
    """A family of distributions of seconds, and examples of what is in them by the position of the point."""

    name: str
    says: str
    points: list[tuple[Attributes, Distribution]]
    exemplars: Sequence[tuple[Exemplar, ...]] = ()


Family = Numbers | Durations


def families_of(snapshot: Snapshot) -> Iterator[Family]:
    """Yield everything in a snapshot; what a worker does not have is left out."""
    yield Durations(
        "http.server.request.duration",
        "Duration of HTTP server requests, from the first byte read to the last one written.",
        [(_route_attributes(r), r.duration) for r in snapshot.requests],
        [r.exemplars for r in snapshot.requests],
    )
    yield _level(
        "http.server.active_requests", "{request}", "Requests that are being answered.", [({}, snapshot.in_flight)]
    )
    if snapshot.pools:
        yield from _pools(snapshot.pools)
    if snapshot.caches:
        yield from _caches(snapshot)
    if snapshot.hashing:
        yield from _hashing(snapshot.hashing)
    if snapshot.redis:
        yield from _redis(snapshot.redis)
    if snapshot.database_cpu is not None:
        says = "Share of its machine's processors that the database uses."
        yield Numbers("gatewatch.database.cpu.utilization", "1", says, "gauge", [({}, snapshot.database_cpu)])
    if snapshot.export:
        yield from _export(snapshot.export)
    runtime = snapshot.runtime
    yield _count("process.cpu.time", "s", "CPU time of the worker process.", [({}, runtime.cpu)])
    yield _level("process.memory.usage", "By", "Resident memory of the worker process.", [({}, runtime.rss)])
    yield _level("process.unix.file_descriptor.count", "{file_descriptor}", "Open files.", [({}, runtime.open_files)])
    yield _level("gatewatch.eventloop.tasks", "{task}", "Tasks of the event loop.", [({}, runtime.tasks)])
    yield Durations("gatewatch.eventloop.lag", "How late the event loop runs.", [({}, runtime.loop_lag)])


def _pools(pools: tuple[PoolCounts, ...]) -> Iterator[Family]:
    named: list[tuple[Attributes, PoolCounts]] = [({"db.client.connection.pool.name": p.name}, p) for p in pools]
    states: list[tuple[Attributes, float]] = [
        ({**name, "db.client.connection.state": state}, value)
        for name, pool in named
        for state, value in (("used", pool.in_use), ("idle", max(0, pool.open - pool.in_use)))
    ]
    own = "db.client.connection"
    yield _level(f"{own}.count", "{connection}", "Open connections, by what they do.", states)
    yield _level(f"{own}.max", "{connection}", "Connections that the pool may open.", [(n, p.size) for n, p in named])
    yield _level(
        f"{own}.pending_requests", "{request}", "Who waits for a connection.", [(n, p.pending) for n, p in named]
    )
    yield _count(
        f"{own}.timeouts", "{timeout}", "Who waited for a connection in vain.", [(n, p.timeouts) for n, p in named]
    )
    yield Durations(f"{own}.wait_time", "How long it took to get a connection.", [(n, p.wait) for n, p in named])


def _caches(snapshot: Snapshot) -> Iterator[Family]:
    lookups: list[tuple[Attributes, float]] = [
        ({"family": cache.family, "result": result}, value)
        for cache in snapshot.caches
        for result, value in (
            ("hit", cache.hits),
            ("miss", cache.misses),
            ("coalesced", cache.coalesced),
            ("error", cache.errors),
        )
    ]
    yield _count("gatewatch.cache.lookups", "{lookup}", "Lookups in the cache, by what became of them.", lookups)
    refused: list[tuple[Attributes, float]] = [({"family": c.family}, c.refused) for c in snapshot.caches]
    yield _count("gatewatch.cache.refused_fills", "{fill}", "Fills that came too late to be trusted.", refused)


def _hashing(hashing: HashCounts) -> Iterator[Family]:
    own = "gatewatch.hash"
    yield _level(f"{own}.queue.length", "{password}", "Passwords that wait to be hashed.", [({}, hashing.queued)])
    yield _level(f"{own}.queue.limit", "{password}", "Passwords that may wait.", [({}, hashing.limit)])
    yield _count(f"{own}.queue.refused", "{password}", "Passwords that were turned away.", [({}, hashing.refused)])
    yield Durations(f"{own}.queue.wait_time", "How long passwords waited to be hashed.", [({}, hashing.wait)])
    yield Durations(f"{own}.duration", "How long hashing took.", [({}, hashing.duration)])


def _redis(redis: RedisServer) -> Iterator[Family]:
    # The run id tells servers apart, and a server from itself before a restart, which begins to count anew.
    server: Attributes = {"redis.run_id": redis.run_id}
    yield _count("redis.keyspace.hits", "{hit}", "Successful lookups of keys.", [(server, redis.hits)])
    yield _count("redis.keyspace.misses", "{miss}", "Lookups of absent keys.", [(server, redis.misses)])
    yield _count("redis.keys.evicted", "{key}", "Keys evicted for want of memory.", [(server, redis.evicted)])
    yield _count("redis.keys.expired", "{event}", "Keys that expired.", [(server, redis.expired)])
    yield Numbers("redis.memory.used", "By", "Memory that Redis has allocated.", "gauge", [(server, redis.memory_used)])


def _export(export: ExportCounts) -> Iterator[Family]:
    """Yield the convention's figures of an SDK about itself."""
    ended: list[tuple[Attributes, float]] = [({}, export.accepted), ({"error.type": "rejected"}, export.lost)]
    yield _count("otel.sdk.exporter.span.exported", "{span}", "Spans whose export ended, well or badly.", ended)
    refused: list[tuple[Attributes, float]] = [({"error.type": "queue_full"}, export.refused)]
    yield _count("otel.sdk.processor.span.processed", "{span}", "Spans that found the queue full.", refused)
    yield _count("gatewatch.export.failures", "{export}", "Exports that failed.", [({}, export.failures)])


def _count(name: str, unit: str, says: str, points: list[tuple[Attributes, float]]) -> Numbers:
    return Numbers(name, unit, says, "count", points)


def _level(name: str, unit: str, says: str, points: list[tuple[Attributes, float]]) -> Numbers:
    return Numbers(name, unit, says, "level", points)


def _route_attributes(counts: RouteCounts) -> Attributes:
    attributes: Attributes = {"http.request.method": counts.method}
    if counts.route:
        attributes["http.route"] = counts.route
    if counts.status:
        attributes["http.response.status_code"] = counts.status
    if counts.error or counts.status >= _SERVER_ERROR:
        attributes["error.type"] = counts.error or str(counts.status)
    return attributes
