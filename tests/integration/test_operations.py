"""Queries and Redis commands as the service counts them, and as the request that waits for them is told."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from app.storage.database import Statement
from observability.record.current import HASH, POOL_WAIT, REDIS, SQL, Current, current

if TYPE_CHECKING:
    from collections.abc import Iterator

    from running import Serve, Service

    from observability.model import Operation

SLEEP = Statement("sleep", "SELECT pg_sleep(0.2)::text, 1 AS one FROM generate_series(1, $1)")
DIVIDE = Statement("divide", "SELECT 1 / $1::int")


def operations(service: Service) -> dict[str, Operation]:
    """Return what was counted by name."""
    return {operation.name: operation for operation in service.telemetry.recorder.snapshot().operations}


@contextlib.contextmanager
def request(service: Service) -> Iterator[Current]:
    """Be the one who waits, as a request is."""
    now = Current(time.perf_counter(), None, service.telemetry.recorder.sampling)
    token = current.set(now)
    yield now
    current.reset(token)


def children(now: Current) -> dict[str, tuple[int, float, dict[str, Any]]]:
    """Return part, seconds and attributes of what a request waited for, by name."""
    return {
        name: (part, end - begin, dict(attributes)) for part, name, begin, end, _, attributes in now.children if name
    }


async def test_a_query_is_counted_by_its_name_with_its_rows(service: Service) -> None:
    """Once, whatever it took to send it; its duration is that of the span."""
    with request(service) as now:
        await service.parts.database.fetch(SLEEP, 3)
    counted = operations(service)["sleep"]
    assert (counted.system, counted.duration.count, counted.items, counted.errors) == ("postgresql", 1, 3, 0)
    part, seconds, attributes = children(now)["sleep"]
    assert part == SQL
    assert seconds == pytest.approx(counted.duration.total)
    assert 0.6 <= now.parts[SQL] == seconds
    assert attributes["db.response.returned_rows"] == 3
    assert attributes["db.query.text"] == SLEEP.sql
    assert attributes["db.namespace"] == service.parts.database._client.database


async def test_a_query_that_fails_has_its_sqlstate(service: Service) -> None:
    """It counts as an error of that kind, and its span says so."""
    with request(service) as now, pytest.raises(asyncpg.DivisionByZeroError):
        await service.parts.database.fetch(DIVIDE, 0)
    counted = operations(service)["divide"]
    assert (counted.errors, [error for error, _ in counted.failed]) == (1, ["22012"])
    _, name, _, _, error, attributes = now.children[-1]
    assert (name, error, dict(attributes)["db.response.status_code"]) == ("divide", "22012", "22012")


async def test_the_wait_for_a_connection_is_a_part_of_its_own(serve: Serve) -> None:
    """It is in no query's duration; the pool has measured how long its connections were kept and took to make."""
    async with serve(pool_size=1) as service:
        busy = asyncio.create_task(service.parts.database.fetch(SLEEP, 5))
        await asyncio.sleep(0.05)
        with request(service) as now:
            await service.parts.database.fetch(SLEEP, 1)
        await busy
        waited = children(now)["pool wait"]
        assert waited[0] == POOL_WAIT
        assert now.parts[POOL_WAIT] == pytest.approx(waited[1])
        [pool] = service.telemetry.recorder.snapshot().pools
        assert pool.use.count == 2
        assert pool.use.total >= operations(service)["sleep"].duration.total
        assert pool.create.count == 1


async def test_commands_are_counted_by_round_trip(service: Service) -> None:
    """Reads that go out together are one MGET of all their keys, for which each reader waits; several commands are a pipeline."""
    cache = service.parts.cache
    await asyncio.gather(*(cache.read(["a", "b"]) for _ in range(5)))
    before = operations(service)["MGET"]

    async def read() -> Current:
        with request(service) as now:
            await cache.read(["a", "b"])
        return now

    readers = await asyncio.gather(*(asyncio.create_task(read()) for _ in range(5)))
    after = operations(service)["MGET"]
    assert (after.duration.count - before.duration.count, after.items - before.items) == (1, 10)
    assert all(len(reader.children) == 1 and reader.parts[REDIS] > 0 for reader in readers)
    with request(service) as now:
        await cache.delete(["a", "b"])
    [(_, name, *_, attributes)] = now.children
    assert name.startswith("PIPELINE DEL 127.0.0.1:")
    assert dict(attributes)["db.operation.batch.size"] == 2


async def test_a_hash_is_a_part_of_its_own(service: Service) -> None:
    """Its time in the thread is told to whoever waits, and is what the meter counted."""
    with request(service) as now:
        await service.parts.passwords.hash("correct horse battery")
    hashing = service.telemetry.recorder.snapshot().hashing
    assert hashing is not None
    assert children(now)["hash"][0] == HASH
    assert 0 < now.parts[HASH] <= hashing.duration.total + 1e-6
