"""Families of what a worker asks of its stores: operations, pools, caches, and the Redis server's own figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from observability.model import Histogram
from observability.publish.family import Attributes, Distributions, count, difference, gauge, level

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from observability.model import CacheCounts, Distribution, Operation, PoolCounts, RedisServer
    from observability.publish.family import Family

_NAMED_BY = {"postgresql": "db.query.summary", "redis": "db.operation.name"}
_UNKNOWN = "_OTHER"


def operations(operations: Sequence[Operation], namespaces: Mapping[str, str]) -> Iterator[Family]:
    """Yield the durations of queries and commands, those that failed apart, and how much they were about."""
    points: list[tuple[Attributes, Distribution]] = []
    items: list[tuple[Attributes, float]] = []
    for operation in operations:
        what = _operation_attributes(operation, namespaces)
        well = Histogram.of(operation.duration)
        for error, failed in operation.failed:
            well.subtract(failed)
            points.append(({**what, **_error_attributes(error)}, failed))
        well.total = difference(well.total, 0.0) if operation.failed else well.total
        points.append((what, well.freeze()))
        items.append((what, operation.items))
    yield Distributions("db.client.operation.duration", "Duration of database client operations.", points)
    says = "Rows that queries returned, and keys or commands that batches had."
    yield count("gatewatch.db.client.operation.items", "{item}", says, items)


def pools(pools: Sequence[PoolCounts]) -> Iterator[Family]:
    """Yield the convention's figures of connection pools."""
    named: list[tuple[Attributes, PoolCounts]] = [({"db.client.connection.pool.name": p.name}, p) for p in pools]
    states: list[tuple[Attributes, float]] = [
        ({**name, "db.client.connection.state": state}, value)
        for name, pool in named
        for state, value in (("used", pool.in_use), ("idle", max(0, pool.open - pool.in_use)))
    ]
    sizes: list[tuple[Attributes, float]] = [(name, pool.size) for name, pool in named]
    own = "db.client.connection"
    yield level(f"{own}.count", "{connection}", "Open connections, by what they do.", states)
    yield level(f"{own}.max", "{connection}", "Connections that the pool may open.", sizes)
    yield level(f"{own}.idle.max", "{connection}", "Connections that may lie idle: as many as may be open.", sizes)
    yield level(
        f"{own}.pending_requests", "{request}", "Who waits for a connection.", [(n, p.pending) for n, p in named]
    )
    yield count(
        f"{own}.timeouts", "{timeout}", "Who waited for a connection in vain.", [(n, p.timeouts) for n, p in named]
    )
    yield Distributions(f"{own}.wait_time", "How long it took to get a connection.", [(n, p.wait) for n, p in named])
    yield Distributions(f"{own}.use_time", "How long connections were kept.", [(n, p.use) for n, p in named])
    yield Distributions(f"{own}.create_time", "How long new connections took.", [(n, p.create) for n, p in named])


def caches(caches: Sequence[CacheCounts]) -> Iterator[Family]:
    """Yield lookups of cache families by what became of them."""
    lookups: list[tuple[Attributes, float]] = [
        ({"family": cache.family, "result": result}, value)
        for cache in caches
        for result, value in (
            ("hit", cache.hits),
            ("miss", cache.misses),
            ("coalesced", cache.coalesced),
            ("error", cache.errors),
        )
    ]
    yield count("gatewatch.cache.lookups", "{lookup}", "Lookups in the cache, by what became of them.", lookups)
    refused: list[tuple[Attributes, float]] = [({"family": c.family}, c.refused) for c in caches]
    yield count("gatewatch.cache.refused_fills", "{fill}", "Fills that came too late to be trusted.", refused)


def redis_server(redis: RedisServer) -> Iterator[Family]:
    """Yield the figures of the Redis server by the names of the OpenTelemetry Collector's receiver."""
    # The run id tells servers apart, and a server from itself before a restart, which begins to count anew.
    server: Attributes = {"redis.run_id": redis.run_id}
    yield count("redis.keyspace.hits", "{hit}", "Successful lookups of keys.", [(server, redis.hits)])
    yield count("redis.keyspace.misses", "{miss}", "Lookups of absent keys.", [(server, redis.misses)])
    yield count("redis.keys.evicted", "{key}", "Keys evicted for want of memory.", [(server, redis.evicted)])
    yield count("redis.keys.expired", "{event}", "Keys that expired.", [(server, redis.expired)])
    yield gauge("redis.memory.used", "By", "Memory that Redis has allocated.", [(server, redis.memory_used)])
    yield gauge("redis.maxmemory", "By", "Memory that Redis may use, 0 for all.", [(server, redis.memory_max)])


def _operation_attributes(operation: Operation, namespaces: Mapping[str, str]) -> Attributes:
    attributes: Attributes = {"db.system.name": operation.system, _NAMED_BY[operation.system]: operation.name}
    if namespace := namespaces.get(operation.system):
        attributes["db.namespace"] = namespace
    return attributes


def _error_attributes(error: str) -> Attributes:
    """Return the kind of an error, and the server's own code for it: names of exceptions have small letters, codes have none."""
    attributes: Attributes = {"error.type": error}
    if error.upper() == error != _UNKNOWN:
        attributes["db.response.status_code"] = error
    return attributes
