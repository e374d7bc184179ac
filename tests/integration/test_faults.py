"""The service while a store is away, slow or full."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from typing import TYPE_CHECKING

import asyncpg
from mailing import until, until_found
from running import EMAIL, PASSWORD, Serve, Service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from app.embedded import Server
    from observability.model import PoolCounts


def pool_of(service: Service) -> PoolCounts:
    """Return what is counted of the pool."""
    return service.telemetry.recorder.snapshot().pools[0]


async def test_without_redis_the_service_goes_on_from_postgresql(service: Service, redis: Server) -> None:
    """After Redis is killed sessions stay valid, logins and registrations go on, and readiness says what is down."""
    bearer = await service.person()
    await service.client.get("/auth/me", headers=bearer)
    os.kill(redis.pid, signal.SIGKILL)
    for _ in range(5):
        assert (await service.client.get("/auth/check", headers=bearer)).status_code == 204
        assert (await service.client.get("/auth/me", headers=bearer)).json()["email"] == EMAIL
    await service.person("bob@example.org")
    answer = await service.client.get("/health/ready")
    assert answer.status_code == 200
    assert answer.json() == {"status": "degraded", "parts": {"postgresql": "ok", "redis": "down"}}


async def test_a_logged_out_session_stays_out_without_redis(service: Service, redis: Server) -> None:
    """With Redis gone a logout is answered 503, and the token is refused from that moment on."""
    bearer = await service.person()
    os.kill(redis.pid, signal.SIGKILL)
    assert (await service.client.post("/auth/logout", headers=bearer)).status_code == 503
    assert (await service.client.get("/auth/check", headers=bearer)).status_code == 401


async def test_nobody_waits_longer_for_a_connection_than_the_pool_allows(serve: Serve) -> None:
    """With the only connection stuck behind a lock, the next request is told to come back, and all is well afterwards."""
    async with serve(pool_size=1, pool_max_wait=2.0) as service:
        bearer = await service.person()
        async with service.sql.transaction():
            await service.sql.execute("LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE")
            stuck = asyncio.create_task(service.client.get("/auth/check", headers=bearer))
            await until(lambda: pool_of(service).in_use == 1)
            answer = await service.client.post("/auth/login", json={"email": EMAIL, "password": PASSWORD})
            assert (answer.status_code, answer.json()["code"]) == (503, "pool-exhausted")
            assert answer.headers["retry-after"] == "1"
        assert (await stuck).status_code == 204
        assert (
            await service.client.post("/auth/login", json={"email": EMAIL, "password": PASSWORD})
        ).status_code == 200
        await until(lambda: (pool_of(service).in_use, pool_of(service).pending) == (0, 0))
        assert pool_of(service).timeouts >= 1  # a sweep may have waited, too
        assert pool_of(service).high_water == 1


async def test_a_query_that_takes_too_long_is_given_up(serve: Serve) -> None:
    """A statement that cannot finish within the query timeout is cancelled and answered 503."""
    async with serve(query_timeout=2.0) as service:
        bearer = await service.person()
        async with service.sql.transaction():
            await service.sql.execute("LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE")
            answer = await service.client.get("/auth/check", headers=bearer)
            assert (answer.status_code, answer.json()["code"]) == (503, "database-unavailable")
        assert (await service.client.get("/auth/check", headers=bearer)).status_code == 204


async def test_cached_sessions_are_served_while_postgresql_is_gone(service: Service, postgres: Server) -> None:
    """Every connection to the database is cut and new ones are refused: what is cached is served, the rest is 503."""
    bearer = await service.person()
    await service.client.get("/auth/me", headers=bearer)
    async with closed(postgres, await service.sql.fetchval("SELECT current_database()")):
        assert (await service.client.get("/auth/check", headers=bearer)).status_code == 204
        assert (await service.client.get("/auth/me", headers=bearer)).status_code == 200
        answer = await service.client.put("/users/profile", headers=bearer, json={"bio": "x"})
        assert (answer.status_code, answer.json()["code"]) == (503, "database-unavailable")
        assert (await service.client.get("/health/live")).status_code == 200
        ready = await service.client.get("/health/ready")
        assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
    assert (await service.client.put("/users/profile", headers=bearer, json={"bio": "x"})).status_code == 200


@contextlib.asynccontextmanager
async def closed(postgres: Server, database: str) -> AsyncIterator[None]:
    """Cut every connection to a database and refuse new ones for a while."""
    sql = await asyncpg.connect(postgres.url)
    await sql.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS false")
    await sql.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", database)
    yield
    await sql.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS true")
    await sql.close()


async def test_more_passwords_than_can_be_hashed_are_turned_away_early(serve: Serve) -> None:
    """Past the queue the answer is 503 with Retry-After, others are answered right, and the queue empties."""
    async with serve(hash_threads=1, hash_queue=2) as service:
        await service.register()
        login = {"email": EMAIL, "password": PASSWORD}
        answers = await asyncio.gather(*(service.client.post("/auth/login", json=login) for _ in range(20)))
        refused = [answer for answer in answers if answer.status_code == 503]
        assert {answer.status_code for answer in answers} == {200, 503}
        assert len(answers) - len(refused) >= 3
        assert {answer.json()["code"] for answer in refused} == {"hashing-busy"}
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
        hashing = service.telemetry.recorder.snapshot().hashing
        assert hashing is not None
        assert (hashing.queued, hashing.refused) == (0, len(refused))
        assert (await service.client.post("/auth/login", json=login)).status_code == 200


async def test_a_write_ends_even_when_its_client_has_gone(service: Service) -> None:
    """A client that disconnects in the middle of a logout cancels nothing: the session is over."""
    bearer = await service.person()
    await service.client.get("/auth/check", headers=bearer)
    async with service.sql.transaction():
        await service.sql.execute("LOCK TABLE pending_invalidations IN ACCESS EXCLUSIVE MODE")
        _, writer = await asyncio.open_connection("127.0.0.1", service.port)
        token = bearer["Authorization"]
        writer.write(
            f"POST /auth/logout HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\nContent-Length: 0\r\n\r\n".encode()
        )
        await until_found(lambda: service.sql.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))
        writer.transport.abort()
        await asyncio.sleep(0.1)
    await service.parts.completion.drain(timeout=60)
    assert (await service.client.get("/auth/check", headers=bearer)).status_code == 401
