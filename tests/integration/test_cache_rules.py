"""The six rules of the cache, each against a real Redis; take a rule out and its test fails."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from mailing import until
from persistent import PersistentRedis
from redis.asyncio import Redis

from app.errors import CacheUnavailable, DatabaseUnavailable
from app.repositories.aside import CacheAside, Family, Wanted
from app.repositories.invalidations import Invalidations
from app.repositories.keys import profile_key
from app.storage.cache import LEASE_SECONDS, Cache, Fill, Lease, eviction_warning, telemetry_client
from app.values import Profile
from observability.record.meters import CacheMeter

if TYPE_CHECKING:
    from pathlib import Path

    from running import Serve, Service

    from app.embedded import Server

KEY = "user:profile:1"
OLD, NEW = Profile(name="old"), Profile(name="new")


@pytest.fixture
async def cache(redis: Server) -> AsyncIterator[Cache]:
    """Connect to the Redis of the test."""
    opened = Cache.at(redis.url, timeout=5)
    yield opened
    await opened.close()


@pytest.fixture
def meter() -> CacheMeter:
    """Count lookups."""
    return CacheMeter("profile")


Fetch = Callable[[Callable[[], Awaitable[Profile]]], Coroutine[Any, Any, Any]]


@pytest.fixture
def fetch(cache: Cache, meter: CacheMeter) -> Fetch:
    """Return a cache-aside lookup of one key, given how it is loaded."""
    aside, wanted = CacheAside(cache), [Wanted(Family(Profile, lambda _: 60.0, meter), KEY)]

    async def run(load: Callable[[], Awaitable[Profile]]) -> Any:
        async def loaded(_: tuple[int, ...]) -> Sequence[Profile]:
            return [await load()]

        return (await aside.fetch(wanted, loaded))[0]

    return run


async def new() -> Profile:
    """Load what a writer has just written."""
    return NEW


class SlowLoad:
    """A load that has read the old value and does not come back before it is let go."""

    def __init__(self) -> None:
        self.began, self.go, self.calls = asyncio.Event(), asyncio.Event(), 0

    async def __call__(self) -> Profile:
        """Return the old value, late, to the first caller and the new one to all others."""
        self.calls += 1
        if self.calls > 1:
            return NEW
        self.began.set()
        await self.go.wait()
        return OLD


# Rule 1: write PostgreSQL, then delete from the cache, then answer; an undone delete is remembered and done later.


async def test_the_database_is_written_before_the_cache_is_cleared(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the cached session is deleted, its row is gone already; the other order would let a reader put it back."""
    bearer = await service.person()
    left: list[int] = []
    delete = service.parts.cache.delete

    async def watched(keys: Sequence[str]) -> None:
        left.append(await service.sql.fetchval("SELECT count(*) FROM sessions"))
        await delete(keys)

    monkeypatch.setattr(service.parts.cache, "delete", watched)
    assert (await service.client.post("/auth/logout", headers=bearer)).status_code == 204
    assert left == [0]


@pytest.mark.parametrize(("method", "path"), [("POST", "/auth/logout"), ("PUT", "/users/profile")])
async def test_a_delete_that_cannot_be_done_is_admitted_and_done_later(
    hasty: Service, redis: Server, method: str, path: str
) -> None:
    """With Redis frozen the write stands and the answer is 503; once Redis is back, the sweep clears the stale value."""
    bearer = await hasty.person()
    await hasty.client.get("/auth/me", headers=bearer)
    os.kill(redis.pid, signal.SIGSTOP)
    try:
        answer = await hasty.client.request(
            method, path, headers=bearer, json={"bio": "new"} if method == "PUT" else None
        )
        assert (answer.status_code, answer.json()["code"]) == (503, "invalidation-pending")
        assert answer.headers["retry-after"] == "1"
        assert (await hasty.rows())["pending_invalidations"] == 1
    finally:
        os.kill(redis.pid, signal.SIGCONT)
    later = Invalidations(hasty.parts.database, hasty.parts.cache, lambda: datetime.now(UTC) + timedelta(minutes=1))
    await until_available(later.finish_overdue)
    assert (await hasty.rows())["pending_invalidations"] == 0
    answer = await hasty.client.get("/auth/me", headers=bearer)
    assert answer.status_code == 401 if method == "POST" else answer.json()["profile"]["bio"] == "new"


async def test_a_done_delete_leaves_no_row_behind(service: Service) -> None:
    """The row that would have reminded us of a delete is settled once the delete is done."""
    bearer = await service.person()
    await service.client.post("/auth/logout", headers=bearer)
    await service.parts.invalidations.settle()
    assert (await service.rows())["pending_invalidations"] == 0


# Rule 2: fills go under a lease, and a delete removes value and lease together.


async def test_a_slow_reader_cannot_put_back_what_a_writer_made_stale(cache: Cache, fetch: Fetch) -> None:
    """A fill whose lease was deleted in the meantime is refused."""
    slow = SlowLoad()
    reading = asyncio.create_task(fetch(slow))
    await slow.began.wait()
    await cache.delete([KEY])
    slow.go.set()
    await reading
    assert await cache.read([KEY]) == [None]
    assert await fetch(new) == NEW


async def test_only_one_reader_holds_the_lease(cache: Cache) -> None:
    """The second to ask gets none, and without one it cannot fill."""
    [first] = await cache.lease([KEY])
    [second] = await cache.lease([KEY])
    assert first is not None
    assert second is None
    assert await cache.fill([Fill(Lease(KEY, first.server, b"made up"), b"x", 60)]) == [False]
    assert await cache.fill([Fill(first, b"y", 60)]) == [True]
    assert await cache.read([KEY]) == [b"y"]


@pytest.mark.parametrize("outcome", ["nothing", "an error"])
async def test_a_reader_that_finds_nothing_gives_its_lease_back(cache: Cache, fetch: Fetch, outcome: str) -> None:
    """Else a stranger with a made-up token could keep somebody's profile out of the cache."""

    async def fruitless() -> Any:
        if outcome == "an error":
            raise DatabaseUnavailable("away")

    with contextlib.suppress(DatabaseUnavailable):
        assert await fetch(fruitless) is None
    async with asyncio.timeout(LEASE_SECONDS - 1):  # and not because it has run out
        while await cache.read([KEY]) == [None]:
            assert await fetch(new) == NEW


async def test_a_lease_is_given_back_by_its_holder_only(cache: Cache) -> None:
    """One that has run out and been taken by another reader stays with that reader."""
    [lease] = await cache.lease([KEY])
    assert lease is not None
    assert await cache.fill([Fill(Lease(KEY, lease.server, b"another"), None)]) == [False]
    assert await cache.fill([Fill(lease, b"x", 60)]) == [True]


# Rule 3: concurrent misses share a load, but only one whose fill was accepted.


async def test_concurrent_misses_share_one_load(fetch: Fetch, meter: CacheMeter) -> None:
    """Twenty readers of one missing key cost one load."""
    slow = SlowLoad()
    readers = [asyncio.create_task(fetch(slow)) for _ in range(20)]
    await slow.began.wait()
    await asyncio.sleep(0.05)
    slow.go.set()
    assert await asyncio.gather(*readers) == [OLD] * 20
    assert (slow.calls, meter.misses, meter.coalesced) == (1, 1, 19)


async def test_a_joiner_of_a_load_that_failed_fails_with_it(cache: Cache, meter: CacheMeter) -> None:
    """One that begins to wait for a silent server again, when the first has waited in vain, waits twice as long as anybody may."""
    aside, wanted = CacheAside(cache), [Wanted(Family(Profile, lambda _: 60.0, meter), KEY)]
    go, calls = asyncio.Event(), 0

    async def fail(_: tuple[int, ...]) -> Sequence[Profile]:
        nonlocal calls
        calls += 1
        await go.wait()
        raise DatabaseUnavailable("away")

    asking = [asyncio.create_task(aside.fetch(wanted, fail)) for _ in range(5)]
    await until(lambda: sum(len(flight._callbacks or ()) for flight in aside._flights.values()) == 4)  # who waits
    go.set()
    answers = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(answer) for answer in answers] == [DatabaseUnavailable] * 5
    assert calls == 1
    await until(lambda: not aside._giving)


async def test_a_joiner_of_a_refused_fill_loads_for_itself(cache: Cache, fetch: Fetch, meter: CacheMeter) -> None:
    """What the leader read may be older than a write that the joiner must see."""
    slow = SlowLoad()
    leader = asyncio.create_task(fetch(slow))
    await slow.began.wait()
    await cache.delete([KEY])
    joiner = asyncio.create_task(fetch(slow))
    await asyncio.sleep(0.05)
    slow.go.set()
    await leader
    assert await joiner == NEW
    assert meter.refused == 1


async def test_nobody_joins_once_the_fill_is_on_its_way(
    cache: Cache, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fill may be accepted and then deleted before its leader hears of the acceptance."""
    accepted, heard = asyncio.Event(), asyncio.Event()
    fill = cache.fill

    async def slow_to_hear(fills: Sequence[Fill]) -> list[bool]:
        answers = await fill(fills)
        accepted.set()
        await heard.wait()
        return answers

    async def old() -> Profile:
        return OLD

    with monkeypatch.context() as patch:
        patch.setattr(cache, "fill", slow_to_hear)
        leader = asyncio.create_task(fetch(old))
        await accepted.wait()
    await cache.delete([KEY])
    late = asyncio.create_task(fetch(new))
    await asyncio.sleep(0.05)
    heard.set()
    assert await late == NEW
    assert await leader == OLD


# Rule 4: fills read the primary.


async def test_a_fill_sees_the_write_before_it(service: Service) -> None:
    """Straight after an acknowledged change a cold read has it, time after time: it comes from where writes go."""
    bearer = await service.person()
    for number in range(20):
        await service.client.put("/users/profile", headers=bearer, json={"bio": str(number)})
        assert (await service.client.get("/auth/me", headers=bearer)).json()["profile"]["bio"] == str(number)


# Rule 5: an entry belongs to the server that took it.


async def test_a_restarted_redis_brings_no_session_back(serve: Serve, tmp_path: Path) -> None:
    """A session that was cached, saved, logged out and brought back by a restart from the older copy stays refused."""
    redis = PersistentRedis(tmp_path)
    try:
        client = await redis.ready()
        async with serve(redis_url=redis.url) as service:
            bearer = await service.person()
            assert (await service.client.get("/auth/check", headers=bearer)).status_code == 204
            await client.save()
            assert (await service.client.post("/auth/logout", headers=bearer)).status_code == 204
            await client.aclose()
            redis.kill()
            redis.start()
            client = await redis.ready()
            assert await client.keys("session:*"), "the restart must bring the entry back, or this proves nothing"
            await until_available(service.parts.cache.ping)
            for _ in range(3):
                assert (await service.client.get("/auth/check", headers=bearer)).status_code == 401
        await client.aclose()
    finally:
        redis.kill()


async def test_a_lease_of_another_server_fills_nothing(cache: Cache) -> None:
    """A lease taken before a failover says nothing about deletes that the new server never saw."""
    [lease] = await cache.lease([KEY])
    assert lease is not None
    elsewhere = Lease(KEY, b"0" * 16, lease.token)
    assert await cache.fill([Fill(elsewhere, b"x", 60), Fill(lease, b"y", 60)]) == [False, True]


# Rule 6: every key has a TTL, and our own Redis evicts only what has one.


async def test_every_key_runs_out(service: Service, redis: Server) -> None:
    """Sessions, profiles and leases all carry a TTL: the profile five minutes, the session until it expires."""
    bearer = await service.person()
    await service.client.get("/auth/me", headers=bearer)
    await service.parts.cache.lease(["session:x"])
    async with Redis.from_url(redis.url, decode_responses=True) as client:
        ttls = {str(key).partition(":")[0]: await client.ttl(key) for key in await client.keys()}
        assert set(ttls) == {"session", "user", "lease", "rate_limit"}
        assert all(ttl > 0 for ttl in ttls.values())
        assert 290 <= ttls["user"] <= 300
        assert 13 * 86400 < ttls["session"] <= 14 * 86400 + 300  # until it would have been idle for too long
        assert (await client.config_get("maxmemory-policy"))["maxmemory-policy"] == "volatile-lru"
        assert (await client.config_get("save"))["save"] == ""
        assert (await client.config_get("appendonly"))["appendonly"] == "no"


async def test_a_stale_profile_lasts_five_minutes_at_most(
    service: Service, redis: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were an invalidation lost for ever, the stale profile would be served, for at most 300,000 ms more."""
    bearer = await service.person()
    key = await lose_an_invalidation(service, bearer, monkeypatch)
    async with Redis.from_url(redis.url) as client:
        assert await bio(service, bearer) is None
        assert 0 < await client.pttl(key) <= 300_000


async def test_its_time_to_live_ends_a_stale_profile(
    service: Service, redis: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing but that ends it, reading it does not prolong it, and then the new one is served."""
    service.parts.sessions.profile.most_seconds = 2.0
    bearer = await service.person()
    key = await lose_an_invalidation(service, bearer, monkeypatch)
    async with Redis.from_url(redis.url) as client:
        left = 2000
        async with asyncio.timeout(60):
            while await bio(service, bearer) is None:
                before, left = left, await client.pttl(key)
                assert left <= before
                await asyncio.sleep(0.1)
    assert await bio(service, bearer) == "new"


async def lose_an_invalidation(service: Service, bearer: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """Cache a profile, then change it with the delete left out and its row removed; return the key of what is stale."""

    async def lost(_: Sequence[str]) -> None:
        """Delete nothing."""

    assert await bio(service, bearer) is None
    with monkeypatch.context() as patch:
        patch.setattr(service.parts.cache, "delete", lost)
        answer = await service.client.put("/users/profile", headers=bearer, json={"bio": "new"})
        assert answer.status_code == 200
        await service.parts.invalidations.settle()
    assert (await service.rows())["pending_invalidations"] == 0
    return profile_key(await service.sql.fetchval("SELECT id FROM users"))


async def bio(service: Service, bearer: dict[str, str]) -> Any:
    """Read the profile."""
    return (await service.client.get("/auth/me", headers=bearer)).json()["profile"]["bio"]


async def until_available(action: Callable[[], Awaitable[object]]) -> None:
    """Try until the breaker lets it through."""
    for _ in range(1000):
        try:
            await action()
        except CacheUnavailable:
            await asyncio.sleep(0.05)
        else:
            return
    raise AssertionError("Redis did not come back")


@pytest.mark.parametrize(("policy", "warned"), [("volatile-lru", False), ("volatile-ttl", False), ("noeviction", True), ("allkeys-lru", True)])  # fmt: skip
async def test_another_eviction_policy_is_warned_of(redis: Server, policy: str, warned: bool) -> None:
    """A Redis that may evict leases, or refuse new values, is named with what to set; one that is away is not."""
    async with Redis.from_url(redis.url) as client:
        await client.config_set("maxmemory-policy", policy)
        warning = await eviction_warning(client)
    assert (warning is not None and policy in warning) == warned
    assert await eviction_warning(telemetry_client("redis://127.0.0.1:1", timeout=5)) is None
