"""The cache with one of its rules taken out: what the histories must be able to find."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import asyncpg
from histories.calls import seconds
from histories.plan import Plan, plan, rush

from app.errors import CacheUnavailable, InvalidationPending
from app.repositories.aside import CacheAside
from app.repositories.ids import new_id
from app.repositories.invalidations import SETTLE, Invalidations
from app.repositories.keys import session_key
from app.repositories.sessions import BY_TOKEN, END, USER, WITH_USER, Sessions
from app.storage.cache import Cache, Fill, Lease, lease_key
from app.storage.script import Script

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from uuid import UUID

    import pytest
    from histories.world import World

    from app.repositories.aside import Family
    from app.storage.database import Statement

IDENTITY_BYTES = 16
"""How many bytes before a cached value say which server took it."""


@dataclass(frozen=True)
class Weakness:
    """A rule that is taken out, how, and what histories find then; some are found in storms only."""

    name: str
    weaken: Callable[[pytest.MonkeyPatch], None]
    found: str
    storm: str | None = None
    plans: Callable[[int, float], Plan] = plan


def answers_before_the_delete(patch: pytest.MonkeyPatch) -> None:
    """Rule 1: tell the cache when the writer has been answered already."""
    enforce, later = Invalidations.enforce, set[asyncio.Task[None]]()

    async def soon(self: Invalidations, row: UUID, keys: list[str]) -> None:
        async def tell() -> None:
            await asyncio.sleep(0.01)
            with contextlib.suppress(InvalidationPending):
                await enforce(self, row, keys)

        later.add(asyncio.get_running_loop().create_task(tell()))

    patch.setattr(Invalidations, "enforce", soon)


def deletes_before_the_write(patch: pytest.MonkeyPatch) -> None:
    """Rule 1: tell the cache of a logout first, then write it."""

    async def end(self: Sessions, digest: bytes, user_id: UUID) -> None:
        keys = [session_key(digest)]
        await self._invalidations.clear(keys)
        await self._database.fetch(END, digest, new_id(), keys, user_id)

    patch.setattr(Sessions, "end", end)


def forgets_what_it_could_not_delete(patch: pytest.MonkeyPatch) -> None:
    """Rule 1: when Redis is away, say that all is well and remember nothing."""
    enforce = Invalidations.enforce

    async def careless(self: Invalidations, row: UUID, keys: list[str]) -> None:
        try:
            await enforce(self, row, keys)
        except InvalidationPending:
            await self._database.fetch(SETTLE, [row])

    patch.setattr(Invalidations, "enforce", careless)


def fills_without_leases(patch: pytest.MonkeyPatch) -> None:
    """Rule 2: plain cache-aside. Everybody gets a lease, and whatever comes is put."""
    lease, fill = Cache.lease, Cache.fill

    async def granted(self: Cache, keys: Sequence[str]) -> list[Lease | None]:
        for key in keys:
            await _delete(self, lease_key(key))
        return await lease(self, keys)

    async def accepted(self: Cache, fills: Sequence[Fill]) -> list[bool]:
        leases = await granted(self, [each.lease.key for each in fills])
        await fill(self, [replace(each, lease=lease) for each, lease in zip(fills, leases, strict=True) if lease])
        return [True] * len(fills)

    patch.setattr(Cache, "lease", granted)
    patch.setattr(Cache, "fill", accepted)


def deletes_no_leases(patch: pytest.MonkeyPatch) -> None:
    """Rule 2: a delete takes the value and leaves the lease of a reader who has seen the old one."""

    async def delete(self: Cache, keys: Sequence[str]) -> None:
        for key in keys:
            await _delete(self, key)

    patch.setattr(Cache, "delete", delete)


def shares_what_was_refused(patch: pytest.MonkeyPatch) -> None:
    """Rule 3: who joined a load gets its value, whether Redis took it or not."""
    fill = Cache.fill

    async def fine(self: Cache, fills: Sequence[Fill]) -> list[bool]:
        await fill(self, fills)
        return [True] * len(fills)

    patch.setattr(Cache, "fill", fine)


def joins_until_the_fill_is_heard_of(patch: pytest.MonkeyPatch) -> None:
    """Rule 3: a load can be joined while its fill is on its way."""

    class Lingering(dict[Any, asyncio.Future[Any]]):
        def __delitem__(self, keys: Any) -> None:
            flight = self[keys]
            flight.add_done_callback(lambda _: self.get(keys) is flight and self.pop(keys))

    begin = CacheAside.__init__

    def init(self: CacheAside, *arguments: Any, **options: Any) -> None:
        begin(self, *arguments, **options)
        self._flights = Lingering()

    patch.setattr(CacheAside, "__init__", init)


def believes_any_server(patch: pytest.MonkeyPatch) -> None:
    """Rule 5: a value is believed whichever server took it."""

    async def read(self: Cache, keys: Sequence[str]) -> list[bytes | None]:
        if self.in_doubt.is_set():
            raise CacheUnavailable("what was missed while Redis was away has to be deleted first")
        values = await self.run(Script("return redis.call('MGET', unpack(KEYS))"), keys, [], count=len(keys))
        return [value and value[IDENTITY_BYTES:] for value in values]

    def want(_: Cache, *__: object) -> None:
        raise CacheUnavailable("nobody glances here")

    patch.setattr(Cache, "read", read)
    patch.setattr(Cache, "want", want)


def believes_at_once(patch: pytest.MonkeyPatch) -> None:
    """After a failure, believe the cache as soon as it answers."""

    class Sure(asyncio.Event):
        def set(self) -> None:
            """Have no doubt."""

    begin = Cache.__init__

    def init(self: Cache, *arguments: Any, **named: Any) -> None:
        begin(self, *arguments, **named)
        self.in_doubt = Sure()

    patch.setattr(Cache, "__init__", init)


WEAKNESSES = (
    Weakness("rule 1: answer, then delete", answers_before_the_delete, "after"),
    Weakness("rule 1: delete, then write", deletes_before_the_write, "after logout"),
    Weakness("rule 1: forget a delete", forgets_what_it_could_not_delete, "after", storm="frozen"),
    Weakness("rule 2: no leases", fills_without_leases, "after"),
    Weakness("rule 2: leases outlive a delete", deletes_no_leases, "after"),
    Weakness("rule 3: share what was refused", shares_what_was_refused, "version", plans=rush),
    Weakness("rule 3: join a fill on its way", joins_until_the_fill_is_heard_of, "version", plans=rush),
    Weakness("rule 5: believe any server", believes_any_server, "after", storm="older"),
    Weakness("doubt: believe at once", believes_at_once, "after", storm="frozen"),
)
WHILE_OFF = Weakness("switches: delete only what is on", lambda _: None, "after|version")
FROM_A_COPY = Weakness("rule 4: fill from a copy", lambda _: None, "after", plans=rush)


class Copy:
    """PostgreSQL as a replica shows it that is up to ``lag`` seconds behind: a snapshot, taken anew after that time."""

    def __init__(self, sql: asyncpg.Connection[Any], lag: float) -> None:
        self._sql = sql
        self._lag = lag
        self._taken = 0.0
        self._one_at_a_time = asyncio.Lock()

    async def fetch(self, statement: Statement, *values: Any) -> list[dict[str, Any]]:
        """Answer as things were."""
        async with self._one_at_a_time:
            if seconds() - self._taken > self._lag:
                await self._sql.execute("ROLLBACK; BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM users LIMIT 1")
                self._taken = seconds()
            return [dict(row) for row in await self._sql.fetch(statement.sql, *values)]


def deletes_only_what_is_on(world: World) -> None:
    """Let workers whose caches are off leave what is in them as it is."""
    for parts in world.workers:
        cache: Any = parts.cache
        cache.delete = _while_on((parts.sessions.session, parts.sessions.profile), cache.delete)


def _while_on(families: Sequence[Family], delete: Callable[[Sequence[str]], Awaitable[None]]) -> Any:
    async def careless(keys: Sequence[str]) -> None:
        if all(family.on for family in families):
            await delete(keys)

    return careless


@contextlib.asynccontextmanager
async def filled_from_a_copy(world: World, database_url: str) -> AsyncIterator[None]:
    """Rule 4: let the workers fill from a copy that lags."""
    sql = await asyncpg.connect(database_url)
    copy = Copy(sql, 0.05)
    try:
        for parts in world.workers:
            _fill_from(copy, parts.database)
        yield
    finally:
        await sql.close()


def _fill_from(copy: Copy, database: Any) -> None:
    fetch = database.fetch

    async def read(statement: Statement, *values: Any) -> list[dict[str, Any]]:
        # What the copy does not have yet is asked of the primary, so that only what is old is wrong.
        old = await copy.fetch(statement, *values) if statement in {BY_TOKEN, WITH_USER, USER} else []
        return old or list(await fetch(statement, *values))

    database.fetch = read


async def _delete(cache: Cache, key: str) -> None:
    await cache.run(Script("return {redis.call('DEL', KEYS[1])}"), [key], [], count=1)
