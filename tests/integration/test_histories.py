"""The promise of logout and of profile changes, put to random histories on two workers.

A history is one user's: readers, a writer and a logout run at the same time on two workers that share PostgreSQL and
Redis, while database reads are held up before their fill, values are evicted and everything is flushed. What each call
saw is then judged by an exact rule in one pass, whatever the interleaving was:

- no check succeeds that began after a logout was answered;
- nobody who asks after a profile change was answered gets an older profile.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from redis.asyncio import Redis

from app.errors import NotAuthenticated
from app.security.tokens import Token, issue
from app.server import Parts
from app.settings import Settings
from app.storage.cache import Cache, Fill, Lease
from app.values import ProfileChange
from observability.record.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from app.embedded import Server
    from app.storage.database import Statement

HISTORIES = int(os.environ.get("HISTORIES", "300"))
"""How many are run; HISTORIES=5000 makes a long afternoon of it."""

AT_ONCE = 10


@dataclass
class Seen:
    """What was asked of one session, when, and what came back."""

    logouts: list[float] = field(default_factory=list)
    """When each logout was answered."""
    successes: list[float] = field(default_factory=list)
    """When each check that succeeded had begun."""
    changes: list[tuple[float, int]] = field(default_factory=list)
    """When each profile change was answered, and the version it wrote."""
    reads: list[tuple[float, int]] = field(default_factory=list)
    """When each read had begun, and the version it got."""


def violations(seen: Seen) -> list[str]:
    """Judge one history."""
    over = min(seen.logouts, default=float("inf"))
    found = [
        f"a check that began {began - over:.6f} s after logout succeeded" for began in seen.successes if began > over
    ]
    for began, version in seen.reads:
        known = max((v for answered, v in seen.changes if answered < began), default=0)
        if version < known:
            found.append(f"a read got version {version} after {known} was answered")
    return found


class World:
    """Two workers on the same stores."""

    def __init__(self, workers: Sequence[Parts], redis: Redis) -> None:
        self.workers = workers
        self.redis = redis

    async def history(self, number: int) -> list[str]:
        """Run one history and judge it."""
        chance, seen = random.Random(number), Seen()  # noqa: S311 - not a secret
        first = self.workers[0].services.accounts
        user = await first._accounts.create(f"{number}.{time.monotonic_ns()}@example.org", "x", "0", first._clock())
        _, token = issue(user.id)
        now = first._clock()
        await first._sessions.open(user.id, token.digest, now, now.replace(year=now.year + 1))
        readers = [self._read(token, seen, random.Random(f"{number}.{n}")) for n in range(6)]  # noqa: S311 - the same
        await asyncio.gather(*readers, self._write(token, seen, chance), self._trouble(token, random.Random(-number)))  # noqa: S311 - the same
        return violations(seen)

    async def _read(self, token: Token, seen: Seen, chance: random.Random) -> None:
        for _ in range(chance.randrange(5, 15)):
            sessions = chance.choice(self.workers).services.sessions
            began = time.perf_counter()
            try:
                if chance.random() < 0.5:
                    await sessions.check(token)
                else:
                    seen.reads.append((began, int((await sessions.me(token)).profile.name or 0)))
            except NotAuthenticated:
                pass
            else:
                seen.successes.append(began)
            await asyncio.sleep(chance.random() * 0.004)

    async def _write(self, token: Token, seen: Seen, chance: random.Random) -> None:
        for version in range(1, chance.randrange(2, 6)):
            await asyncio.sleep(chance.random() * 0.01)
            profiles = chance.choice(self.workers).services.profiles
            await profiles.update(token, ProfileChange(name=str(version)))
            seen.changes.append((time.perf_counter(), version))
        await asyncio.sleep(chance.random() * 0.01)
        await chance.choice(self.workers).services.sessions.logout(token)
        seen.logouts.append(time.perf_counter())

    async def _trouble(self, token: Token, chance: random.Random) -> None:
        for _ in range(chance.randrange(4)):
            await asyncio.sleep(chance.random() * 0.02)
            if chance.random() < 0.3:
                await self.redis.flushall()
            else:
                await self.redis.delete(f"session:{token.digest.hex()}", f"user:profile:{token.user_id}")


def hold_up(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let half of the database reads come back late, between what they saw and the fill."""
    fetch, chance = parts.database.fetch, random.Random(1)  # noqa: S311 - the same

    async def late(statement: Statement, *values: Any) -> list[dict[str, Any]]:
        rows = await fetch(statement, *values)
        if statement.sql.lstrip().startswith("SELECT") and chance.random() < 0.5:
            await asyncio.sleep(chance.random() * 0.01)
        return list(rows)

    monkeypatch.setattr(parts.database, "fetch", late)


@pytest.fixture
async def world(
    database_url: str, redis: Server, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    """Open two workers and make their reads slow."""
    settings = Settings(
        database_url=database_url, redis_url=redis.url, data_dir=data_dir, redis_timeout=2, secret="s" * 43
    )
    async with AsyncExitStack() as stack:
        workers = [await Parts.open(settings, Recorder(instance="test")) for _ in range(2)]
        for parts in workers:
            stack.push_async_callback(parts.close)
            hold_up(parts, monkeypatch)
        client = await stack.enter_async_context(Redis.from_url(redis.url))
        yield World(workers, client)


async def test_no_history_breaks_the_promises(world: World) -> None:
    """Whatever is slow, evicted or flushed, a logout is the end and an acknowledged profile is the oldest served."""
    for start in range(0, HISTORIES, AT_ONCE):
        judged = await asyncio.gather(*(world.history(number) for number in range(start, start + AT_ONCE)))
        assert [found for found in judged if found] == []


async def test_plain_cache_aside_breaks_them(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same histories find a cache without leases out, so they are able to find anything."""
    monkeypatch.setattr(Cache, "lease", always_granted)
    monkeypatch.setattr(Cache, "fill", always_accepted)
    found: list[str] = []
    for start in range(0, 300, AT_ONCE):
        judged = await asyncio.gather(*(world.history(number) for number in range(start, start + AT_ONCE)))
        found += [each for history in judged for each in history]
        if any("logout" in each for each in found) and any("version" in each for each in found):
            return
    raise AssertionError(f"300 histories without leases broke only: {found}")


async def always_granted(cache: Cache, keys: Sequence[str]) -> list[Lease | None]:
    """Give everybody a lease."""
    server, _ = await cache._ask(lambda _: [("PING",)])
    return [Lease(key, server, b"plain") for key in keys]


async def always_accepted(cache: Cache, fills: Sequence[Fill]) -> list[bool]:
    """Put whatever comes, as plain cache-aside does."""
    await cache._ask(
        lambda server: [
            ("SET", fill.lease.key, server + fill.value, "PX", max(1, int(fill.ttl * 1000)))
            for fill in fills
            if fill.value
        ]
    )
    return [True] * len(fills)


def test_the_judge_sees_what_is_wrong() -> None:
    """The rule itself: a late success and an old profile are found, and nothing else is."""
    fine = Seen(logouts=[5.0], successes=[1.0, 4.9], changes=[(2.0, 1)], reads=[(1.9, 0), (2.1, 1)])
    assert violations(fine) == []
    assert len(violations(Seen(logouts=[5.0, 6.0], successes=[5.5]))) == 1
    assert len(violations(Seen(changes=[(2.0, 1), (3.0, 2)], reads=[(2.5, 0), (3.5, 1), (2.5, 1)]))) == 2
