"""The sessions of a person: listed, revoked, idle, and seen, on a clock that the test moves."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from running import EMAIL, PASSWORD, Service, running

from app.errors import CacheUnavailable, InvalidationPending
from app.security.tokens import parse
from app.services.housekeeping import MARGIN
from app.services.presence import GRAIN
from app.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from app.embedded import Server

IDLE = timedelta(days=14)


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        """Tell the time."""
        return self.now

    def advance(self, by: timedelta) -> None:
        """Let time pass."""
        self.now += by


@pytest.fixture
def clock() -> Clock:
    """Make a clock."""
    return Clock()


@pytest.fixture
async def timed(database_url: str, redis: Server, data_dir: Path, clock: Clock) -> AsyncIterator[Service]:
    """Run a worker on that clock."""
    settings = Settings(database_url=database_url, redis_url=redis.url, data_dir=data_dir, workers=1, secret="s" * 43)
    async with running(settings, clock) as worker:
        yield worker


async def status(service: Service, bearer: dict[str, str], path: str = "/auth/check") -> int:
    """Ask with a token."""
    return (await service.client.get(path, headers=bearer)).status_code


async def listed(service: Service, bearer: dict[str, str], query: str = "") -> Any:
    """Get a page of sessions."""
    answer = await service.client.get(f"/auth/sessions{query}", headers=bearer)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return answer.json()


async def session_key(bearer: dict[str, str]) -> str:
    """Name the cached session behind a token."""
    token = parse(bearer["Authorization"].removeprefix("Bearer "))
    assert token is not None
    return f"session:{token.digest.hex()}"


async def test_the_list_says_when_where_and_with_what(service: Service) -> None:
    """Each session shows its times, address and client, and which one asks; nothing of the token is in it."""
    await service.register()
    login = {"email": EMAIL, "password": PASSWORD}
    first = await service.client.post("/auth/login", json=login, headers={"User-Agent": "Phone\tof Ann " + "x" * 300})
    second = await service.client.post("/auth/login", json=login, headers={"User-Agent": "Laptop"})
    bearer = {"Authorization": f"Bearer {second.json()['token']}"}
    page = await listed(service, bearer)
    assert page["next_cursor"] is None
    phone, laptop = page["items"]
    assert set(phone) == {"id", "created_at", "last_seen_at", "expires_at", "address", "client", "current"}
    assert [phone["id"], laptop["id"]] == [first.json()["session_id"], second.json()["session_id"]]
    assert [phone["current"], laptop["current"]] == [False, True]
    assert phone["client"] == ("Phoneof Ann " + "x" * 300)[:255]
    assert laptop["client"] == "Laptop"
    assert laptop["address"] == "127.0.0.1"


async def test_a_client_may_call_itself_anything(service: Service) -> None:
    """A User-Agent of control characters, of broken UTF-8 or none at all keeps nobody from logging in."""
    await service.register()
    for agent in (b"\xff\xfe\xed\xa0\x80", b"\x01\x7f", b"", b"\xe2\x80\xaeevil", "Zoë".encode()):
        answer = await service.client.post(
            "/auth/login", json={"email": EMAIL, "password": PASSWORD}, headers=[(b"User-Agent", agent)]
        )
        assert answer.status_code in {200, 400}, (agent, answer.text)
    for row in await service.sql.fetch("SELECT client FROM sessions"):
        assert row["client"] is None or row["client"].isprintable()


async def test_pages_follow_each_other_while_sessions_are_opened(service: Service) -> None:
    """Turning pages shows every session once, whatever is inserted meanwhile."""
    bearer = await service.person()
    user_id = await service.sql.fetchval("SELECT id FROM users")
    store, now = service.parts.sessions.store, datetime.now(UTC)
    made = [await store.open(user_id, bytes([n]) * 32, now, now + timedelta(days=1)) for n in range(7)]
    before = [UUID(item["id"]) for item in (await listed(service, bearer, "?limit=100"))["items"]]
    assert set(made) < set(before)
    seen: list[UUID] = []
    cursor = ""
    for turn in range(20):
        page = await listed(service, bearer, f"?limit=3{cursor}")
        assert len(page["items"]) <= 3
        seen += [UUID(item["id"]) for item in page["items"]]
        if turn < 3:
            await store.open(user_id, bytes([100 + turn]) * 32, now, now + timedelta(days=1))
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert len(seen) == len(set(seen)) == 11
    assert seen[:8] == before


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("limit=0", ["limit"]), ("limit=101", ["limit"]), ("limit=x", ["limit"]), ("limit=", ["limit"]), ("limit=-1", ["limit"]),
        ("limit=1&limit=2", ["limit"]), ("limit=%D9%A3", ["limit"]), ("cursor=x", ["cursor"]), ("cursor=", ["cursor"]),
        ("cursor={00000000-0000-7000-8000-000000000000}", ["cursor"]), ("cursor=1&limit=0", ["cursor", "limit"]),
    ],
)  # fmt: skip
async def test_a_bad_page_is_named(service: Service, query: str, fields: list[str]) -> None:
    """A cursor or limit that cannot be used is a 422 that names it."""
    bearer = await service.person()
    for path in ("/auth/sessions", "/users"):
        await service.sql.execute("UPDATE users SET role = 'admin'")
        answer = await service.client.get(f"{path}?{query}", headers=bearer)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid-fields")
        assert [error["field"] for error in answer.json()["errors"]] == fields


async def test_a_revoked_session_is_over_at_once(service: Service) -> None:
    """After the 204 the other device is logged out, though it was cached; this one is not."""
    phone, laptop = await service.person(), await service.login()
    for bearer in (phone, laptop):
        assert await status(service, bearer) == 204
    [lost] = [item["id"] for item in (await listed(service, laptop))["items"] if not item["current"]]
    assert (await service.client.delete(f"/auth/sessions/{lost}", headers=laptop)).status_code == 204
    assert await status(service, phone) == 401
    assert await status(service, laptop) == 204
    again = await service.client.delete(f"/auth/sessions/{lost}", headers=laptop)
    assert (again.status_code, again.json()["code"]) == (404, "not-found")


async def test_nobody_can_revoke_what_is_not_theirs(service: Service) -> None:
    """Another's session, an unknown one and no id at all are the same 404, and nothing ends."""
    ann, bob = await service.person("ann@example.org"), await service.person("bob@example.org")
    [theirs] = [item["id"] for item in (await listed(service, bob))["items"]]
    for wanted in (theirs, uuid4(), "nonsense", theirs.replace("-", ""), "{" + theirs + "}"):
        answer = await service.client.delete(f"/auth/sessions/{wanted}", headers=ann)
        assert (answer.status_code, answer.json()["code"]) == (404, "not-found")
    assert await status(service, bob) == 204
    assert (await service.rows())["pending_invalidations"] == 0


async def test_revoking_the_others_leaves_this_one(service: Service) -> None:
    """All other devices of this person are logged out, and nobody else's."""
    bob = await service.person("bob@example.org")
    mine = [await service.person(), *[await service.login() for _ in range(3)]]
    for bearer in (bob, *mine):
        assert await status(service, bearer) == 204
    assert (await service.client.delete("/auth/sessions", headers=mine[0])).status_code == 204
    assert [await status(service, bearer) for bearer in mine] == [204, 401, 401, 401]
    assert await status(service, bob) == 204
    assert (await service.client.delete("/auth/sessions", headers=mine[0])).status_code == 204


async def test_a_revocation_that_caches_cannot_hear_of_is_kept(service: Service, redis: Server) -> None:
    """With Redis away the answer is 503, the session is over all the same, and the keys are kept for the sweep."""
    phone, laptop = await service.person(), await service.login()
    await status(service, phone)
    redis.stop()
    answer = await service.client.delete("/auth/sessions", headers=laptop)
    assert (answer.status_code, answer.json()["code"]) == (503, "invalidation-pending")
    assert await status(service, phone) == 401
    keys = await service.sql.fetchval("SELECT cache_keys FROM pending_invalidations")
    assert keys == [await session_key(phone)]


@pytest.mark.parametrize(("all_others", "answer"), [(False, 404), (True, 204)])
async def test_who_tries_again_is_told_that_it_is_over_when_it_is(
    service: Service, monkeypatch: pytest.MonkeyPatch, all_others: bool, answer: int
) -> None:
    """After a revocation that caches could not hear of, the next try does not say it is over while one still knows it."""
    phone, laptop = await service.person(), await service.login()
    assert await status(service, phone) == 204
    lost = "" if all_others else f"/{(await service.client.get('/auth/check', headers=phone)).headers['x-session-id']}"

    async def fails(_: Any) -> None:
        raise CacheUnavailable("this once")

    with monkeypatch.context() as patch:
        patch.setattr(service.parts.cache, "delete", fails)
        for _ in range(2):
            assert (await service.client.delete(f"/auth/sessions{lost}", headers=laptop)).status_code == 503
    assert (await service.client.delete(f"/auth/sessions{lost}", headers=laptop)).status_code == answer
    assert await status(service, phone) == 401


async def test_a_session_in_use_lives_on_and_an_idle_one_does_not(timed: Service, clock: Clock) -> None:
    """Use within the idle time moves its end, cached or not; without use it ends after it, never before."""
    used, unused = await timed.person(), await timed.login()
    for _ in range(2):
        clock.advance(IDLE - timedelta(hours=1))
        assert await status(timed, used) == 204
        await timed.parts.sessions.presence.write()
    assert await status(timed, unused) == 401
    assert await status(timed, used) == 204
    clock.advance(IDLE - timedelta(seconds=1))
    assert await status(timed, used) == 401, "28 days and 14 more are past the absolute end"


async def test_a_clock_that_steps_an_hour_ends_nothing(timed: Service, clock: Clock) -> None:
    """Ahead and back again, a valid session is valid, cached or not, and nothing is swept that the true time would keep."""
    bearer = await timed.person()
    true, hour = clock.now, timedelta(hours=1)
    await timed.sql.execute("UPDATE sessions SET expires_at = $1", true + timedelta(days=1))
    await timed.sql.execute(
        """
        INSERT INTO sessions (id, user_id, token_hash, created_at, last_seen_at, expires_at)
        SELECT $1, user_id, 'ends soon', created_at, last_seen_at, $2 FROM sessions
        """,
        uuid4(),
        true + timedelta(minutes=1),
    )
    for step in (hour, -2 * hour, hour):
        clock.advance(step)
        for _ in range(2):
            assert await status(timed, bearer) == 204
            assert await status(timed, bearer, "/auth/me") == 200
        await timed.parts.sessions.presence.write()
        assert await timed.parts.sessions.housekeeping.sweep() == 0
    assert clock.now == true
    assert (await timed.rows())["sessions"] == 2


async def test_idle_time_counts_from_the_last_request(timed: Service, clock: Clock) -> None:
    """A request that was too soon after another to be written still has its whole idle time."""
    bearer = await timed.person()
    clock.advance(GRAIN - timedelta(seconds=1))
    assert await status(timed, bearer) == 204
    await timed.parts.sessions.presence.write()
    clock.advance(IDLE)
    assert await status(timed, bearer) == 204
    clock.advance(IDLE + GRAIN)
    assert await status(timed, bearer) == 401


async def test_a_session_is_written_once_in_five_minutes(timed: Service, clock: Clock) -> None:
    """Many sessions are one statement; the next sight of one is written five minutes later at the earliest."""
    bearers = [await timed.person(), *[await timed.login() for _ in range(4)]]
    statements: list[str] = []
    fetch = timed.parts.database.fetch

    async def counted(statement: Any, *values: Any) -> Any:
        statements.append(statement.name)
        return await fetch(statement, *values)

    timed.parts.sessions.presence._store._database = type("Counted", (), {"fetch": staticmethod(counted)})()  # type: ignore[attr-defined] # the test looks inside
    for seconds, written in ((299, 0), (2, 1), (100, 1), (200, 2)):
        clock.advance(timedelta(seconds=seconds))
        for bearer in bearers:
            assert await status(timed, bearer) == 204
        await timed.parts.sessions.presence.write()
        assert statements == ["sessions_touch"] * written
    seen = {row["last_seen_at"] for row in await timed.sql.fetch("SELECT last_seen_at FROM sessions")}
    assert seen == {clock.now}


async def test_a_touch_brings_no_session_back(timed: Service, clock: Clock) -> None:
    """A session that was seen, then revoked or run out, stays over when its sight is written, in rows and in the cache."""
    ended, idle = await timed.person(), await timed.login()
    clock.advance(GRAIN)
    assert await status(timed, ended) == 204
    await timed.client.post("/auth/logout", headers=ended)
    clock.advance(IDLE - timedelta(seconds=1))
    assert await status(timed, idle) == 204
    clock.advance(timedelta(seconds=2))
    assert await status(timed, idle) == 401
    await timed.parts.sessions.presence.write()
    assert [await status(timed, bearer) for bearer in (ended, idle)] == [401, 401]
    assert (await timed.rows())["sessions"] == 1


async def test_a_slow_reader_cannot_put_back_what_a_touch_made_stale(timed: Service, clock: Clock) -> None:
    """A cached session is deleted by its touch with the lease on it, so the next reader finds the new time."""
    bearer = await timed.person()
    clock.advance(GRAIN)
    assert await status(timed, bearer) == 204
    assert (await timed.parts.cache.read([await session_key(bearer)])) != [None]
    await timed.parts.sessions.presence.write()
    assert (await timed.parts.cache.read([await session_key(bearer)])) == [None]
    token = parse(bearer["Authorization"].removeprefix("Bearer "))
    assert token is not None
    session = await timed.parts.services.sessions.check(token)
    assert session.last_seen_at == clock.now


async def test_a_touch_that_caches_cannot_hear_of_leaves_nothing_behind(
    timed: Service, clock: Clock, redis: Server
) -> None:
    """With Redis away the sight is written all the same, and no delete piles up for later."""
    bearer = await timed.person()
    clock.advance(GRAIN)
    redis.stop()
    assert await status(timed, bearer) == 204
    with pytest.raises(InvalidationPending):
        await timed.parts.sessions.presence.write()
    assert await timed.sql.fetchval("SELECT last_seen_at FROM sessions") == clock.now
    assert (await timed.rows())["pending_invalidations"] == 0


async def test_what_is_over_for_long_is_swept_and_nothing_else(timed: Service, clock: Clock) -> None:
    """Expired and idle sessions and mailed secrets go, in batches, some hours late; what is valid stays."""
    bearer = await timed.person()
    user_id = await timed.sql.fetchval("SELECT id FROM users")
    [mine] = [item["id"] for item in (await listed(timed, bearer))["items"]]
    old, now = clock.now - timedelta(days=20), clock.now
    insert = """
        INSERT INTO sessions (id, user_id, token_hash, created_at, last_seen_at, expires_at)
        SELECT overlay(gen_random_uuid()::text PLACING '01900000-0000-7' FROM 1 FOR 15)::uuid, $1,
               sha256((n || $5)::bytea), $2, $3, $4 FROM generate_series(1, 2500) n
    """
    await timed.sql.execute(insert, user_id, old, now, now - MARGIN - timedelta(seconds=1), "expired")
    await timed.sql.execute(
        insert, user_id, old, now - IDLE - GRAIN - MARGIN - timedelta(seconds=1), now + IDLE, "idle"
    )
    await timed.sql.execute(insert, user_id, old, now - IDLE, now - MARGIN + timedelta(seconds=1), "late")
    for name, seconds in (("gone", -1), ("kept", 1)):
        await timed.sql.execute(
            "INSERT INTO email_tokens (id, user_id, purpose, token_hash, expires_at) VALUES ($1, $2, 'x', $3, $4)",
            uuid4(), user_id, name.encode(), now - MARGIN + timedelta(seconds=seconds),
        )  # fmt: skip
    swept = await asyncio.gather(*(timed.parts.sessions.housekeeping.sweep() for _ in range(2)))
    swept.append(await timed.parts.sessions.housekeeping.sweep())
    assert sum(swept) == 5001
    kept = await timed.sql.fetch("SELECT id, last_seen_at FROM sessions")
    assert len(kept) == 2501
    assert UUID(mine) in {row["id"] for row in kept}
    assert [row["token_hash"] for row in await timed.sql.fetch("SELECT token_hash FROM email_tokens")] == [b"kept"]
    assert await status(timed, bearer) == 204
