"""What may be believed of a Redis that was away, or is no longer the one it was."""

from __future__ import annotations

import asyncio
import os
import signal
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from mailing import until, until_found
from persistent import PersistentRedis
from redis.asyncio import Redis

from app.errors import CacheUnavailable
from app.repositories.ids import earliest_id
from app.storage.cache import Cache, Fill
from app.storage.identity import RECHECK_SECONDS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from running import Service

    from app.embedded import Server

KEY = "session:x"


async def test_a_retried_logout_hears_no_lie(hasty: Service, redis: Server) -> None:
    """While a cache may still know the session, trying again is answered 503; when Redis is back the token is refused."""
    bearer = await hasty.person()
    await hasty.client.get("/auth/check", headers=bearer)
    os.kill(redis.pid, signal.SIGSTOP)
    try:
        for _ in range(3):
            answer = await hasty.client.post("/auth/logout", headers=bearer)
            assert (answer.status_code, answer.json()["code"]) == (503, "invalidation-pending")
    finally:
        os.kill(redis.pid, signal.SIGCONT)
    for _ in range(30):
        assert (await hasty.client.get("/auth/check", headers=bearer)).status_code == 401
        await asyncio.sleep(0.1)
    assert (await hasty.client.post("/auth/logout", headers=bearer)).status_code == 401
    assert (await hasty.rows())["pending_invalidations"] == 0


async def test_a_redis_that_refuses_deletes_is_not_believed(service: Service, redis: Server) -> None:
    """It answers reads, as one without its replicas or its disk does; what it could not forget it must not vouch for."""
    bearer = await service.person()
    await service.client.get("/auth/check", headers=bearer)
    async with Redis.from_url(redis.url) as admin:
        await admin.config_set("min-replicas-to-write", 1)
        try:
            answer = await service.client.post("/auth/logout", headers=bearer)
            assert (answer.status_code, answer.json()["code"]) == (503, "invalidation-pending")
            for _ in range(10):
                assert (await service.client.get("/auth/check", headers=bearer)).status_code == 401
                await asyncio.sleep(0.05)
        finally:
            await admin.config_set("min-replicas-to-write", 0)
    await until(lambda: not service.parts.cache.in_doubt.is_set())
    assert (await service.client.get("/auth/check", headers=bearer)).status_code == 401
    assert (await service.rows())["pending_invalidations"] == 0


async def test_a_clock_set_back_hides_no_missed_delete(hasty: Service, redis: Server) -> None:
    """What is pending says by its id when it was written; an hour that happens twice must not make it wait."""
    bearer = await hasty.person()
    await hasty.client.get("/auth/check", headers=bearer)
    os.kill(redis.pid, signal.SIGSTOP)
    try:
        assert (await hasty.client.post("/auth/logout", headers=bearer)).status_code == 503
        ahead = earliest_id(datetime.now(UTC) + timedelta(hours=1))
        await hasty.sql.execute("UPDATE pending_invalidations SET id = $1", ahead)
    finally:
        os.kill(redis.pid, signal.SIGCONT)
    await until(lambda: not hasty.parts.cache.in_doubt.is_set())
    assert (await hasty.client.get("/auth/check", headers=bearer)).status_code == 401


async def test_a_row_of_a_clock_that_was_ahead_is_swept(service: Service) -> None:
    """Its writer may have died; nobody waits until that time has come."""
    await service.sql.execute(
        "INSERT INTO pending_invalidations (id, cache_keys) VALUES ($1, $2)",
        earliest_id(datetime.now(UTC) + timedelta(hours=1)),
        [KEY],
    )
    await service.parts.invalidations.finish_overdue()
    await until_found(lambda: service.sql.fetchval("SELECT count(*) = 0 FROM pending_invalidations"))


async def test_after_a_failure_nothing_is_believed_until_trust_is_regained(hasty: Service, redis: Server) -> None:
    """Reads go past the cache, the missed deletes are done by themselves, then the cache serves again."""
    cache = hasty.parts.cache
    os.kill(redis.pid, signal.SIGSTOP)
    with pytest.raises(CacheUnavailable):
        await cache.ping()
    os.kill(redis.pid, signal.SIGCONT)
    with pytest.raises(CacheUnavailable, match="has to be deleted first"):
        await cache.read([KEY])
    await until(lambda: not cache.in_doubt.is_set())
    assert await cache.read([KEY]) == [None]


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[tuple[PersistentRedis, PersistentRedis]]:
    """Run a primary and its replica."""
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    first, second = (PersistentRedis(folder) for folder in folders)
    yield first, second
    first.kill()
    second.kill()


@pytest.mark.parametrize("kept", [True, False], ids=["on a kept connection", "on a new connection"])
async def test_a_failover_and_back_brings_no_entry_back(
    pair: tuple[PersistentRedis, PersistentRedis], kept: bool
) -> None:
    """A primary that missed nothing itself is given back, as a replica, an entry that it had deleted: it stays unbelieved."""
    first, second = pair
    one, two = await first.ready(), await second.ready()
    await two.replicaof("127.0.0.1", first.port)
    cache = Cache.at(first.url, timeout=5)
    [lease] = await cache.lease([KEY])
    assert lease is not None
    assert await cache.fill([Fill(lease, b"in", 600)]) == [True]
    await one.wait(1, 60_000)
    await two.replicaof("NO", "ONE")  # the link breaks, and the copy misses the delete
    await cache.delete([KEY])
    await one.replicaof("127.0.0.1", second.port)
    await until_found(lambda: one.exists(KEY))
    if kept:
        await asyncio.sleep(RECHECK_SECONDS + 0.1)
    else:
        await cache.close()
    with pytest.raises(CacheUnavailable):
        await cache.read([KEY])
    await one.replicaof("NO", "ONE")
    cache.trust(cache.failures)
    assert await one.exists(KEY), "the entry must be there, or this proves nothing"
    assert await cache.read([KEY]) == [None]
    await cache.close()
    await one.aclose()
    await two.aclose()
