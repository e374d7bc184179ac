"""Caches that are turned off and on, and shortened, while requests go on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from redis.asyncio import Redis
from running import EMAIL, Service

if TYPE_CHECKING:
    import pytest

    from app.embedded import Server
    from app.storage.database import Statement


async def _loads(
    service: Service, bearer: dict[str, str], path: str, monkeypatch: pytest.MonkeyPatch, times: int = 3
) -> int:
    """Return how many statements so many requests at once cost."""
    fetch = service.parts.database.fetch
    asked: list[str] = []

    async def counted(statement: Statement, *values: Any) -> list[dict[str, Any]]:
        if not statement.name.startswith("invalidations_"):
            asked.append(statement.name)
        return await fetch(statement, *values)

    with monkeypatch.context() as patch:
        patch.setattr(service.parts.database, "fetch", counted)
        answers = await asyncio.gather(*(service.client.get(path, headers=bearer) for _ in range(times)))
    assert all(answer.is_success for answer in answers)
    return len(asked)


async def test_a_family_that_is_off_is_neither_read_nor_filled(
    service: Service, redis: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each request asks PostgreSQL, also for what is still cached, and leaves nothing; on again, nothing is asked any more."""
    bearer = await service.person()
    family = service.parts.sessions.session
    await service.client.get("/auth/check", headers=bearer)
    family.on = False
    assert await _loads(service, bearer, "/auth/check", monkeypatch) == 3
    async with Redis.from_url(redis.url) as client:
        for key in await client.keys("session:*"):
            await client.delete(key)
        assert await _loads(service, bearer, "/auth/me", monkeypatch) == 3
        assert await client.keys("session:*") == []
    family.on = True
    await service.client.get("/auth/check", headers=bearer)
    assert await _loads(service, bearer, "/auth/check", monkeypatch) == 0


async def test_a_family_that_was_off_never_shows_what_was_changed_meanwhile(service: Service) -> None:
    """Invalidation goes on while a family is off: turned on again it shows the new profile, and refuses the ended session."""
    bearer, other = await service.person(), await service.login()
    for each in (bearer, other):
        assert (await service.client.get("/auth/me", headers=each)).status_code == 200
    families = (service.parts.sessions.session, service.parts.sessions.profile)
    for family in families:
        family.on = False
    assert (await service.client.put("/users/profile", headers=bearer, json={"bio": "new"})).is_success
    assert (await service.client.post("/auth/logout", headers=other)).is_success
    for family in families:
        family.on = True
    assert (await service.client.get("/auth/me", headers=bearer)).json()["profile"]["bio"] == "new"
    assert (await service.client.get("/auth/me", headers=other)).status_code == 401


async def test_one_family_may_be_off_beside_another(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """With profiles off, a session is still found in the cache, and the user behind it is loaded each time."""
    bearer = await service.person()
    await service.client.get("/auth/me", headers=bearer)
    service.parts.sessions.profile.on = False
    hits = service.telemetry.recorder.cache("session").hits
    assert await _loads(service, bearer, "/auth/me", monkeypatch) == 3
    assert service.telemetry.recorder.cache("session").hits == hits + 3
    assert await _loads(service, bearer, "/auth/check", monkeypatch) == 0


async def test_without_coalescing_each_miss_loads_for_itself(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Concurrent misses are not joined, one of them fills, and nothing is counted as coalesced."""
    bearer = await service.person()
    service.parts.aside.coalescing = False
    meter = service.telemetry.recorder.cache("session")
    assert await _loads(service, bearer, "/auth/check", monkeypatch, times=20) > 0
    assert meter.coalesced == 0
    assert await _loads(service, bearer, "/auth/check", monkeypatch) == 0


async def test_a_shorter_time_to_live_holds_for_what_is_cached_from_then_on(service: Service, redis: Server) -> None:
    """A session that may be cached for a minute is, and no longer."""
    bearer = await service.person(EMAIL)
    service.parts.sessions.session.most_seconds = 60.0
    await service.client.get("/auth/check", headers=bearer)
    async with Redis.from_url(redis.url) as client:
        [key] = await client.keys("session:*")
        assert 0 < await client.pttl(key) <= 60_000
