"""Two workers on one PostgreSQL and one Redis, which play histories while everything goes wrong around them."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
from collections import Counter
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from histories.calls import Call, Outcome, now, seconds
from histories.history import IDLE_SECONDS, History
from histories.plan import WORKERS, Plan, Step, plan, rush
from persistent import PersistentRedis
from redis.exceptions import RedisError

from app.errors import InvalidationPending
from app.repositories.keys import profile_key, session_key
from app.repositories.users import Users
from app.server import Parts
from app.settings import Settings
from observability.record.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from redis.asyncio import Redis

    from app.storage.cache import Fill
    from app.storage.database import Statement

REDIS_TIMEOUT = 0.3
"""Seconds; short, so that a frozen Redis is soon noticed."""

STORMS = ("frozen", "older", "older", "emptied")
STORMY_PACE = 12.0
"""How much slower a history goes that has to last through a storm."""

AT_ONCE = 10


def mixed(seed: int, pace: float) -> Plan:
    """Make up a history; every fifth is a rush."""
    return plan(seed, pace) if seed % 5 else rush(seed, pace)


class World:
    """Plays histories, some at a time, and keeps what was asked and answered."""

    def __init__(self, workers: list[Parts], redis: PersistentRedis, client: Redis) -> None:
        self.workers = workers
        self._redis = redis
        self._client = client
        self.operations = Counter[str]()
        """How often each thing has been done so far."""
        self._done: list[Call] = []
        """What was done to the stores, and by the workers on their own."""
        self._touching = asyncio.Lock()
        self.switching = False
        """Whether caches and coalescing are turned off and on while histories are played."""
        self._admins = [Users(parts.database, parts.invalidations) for parts in workers]

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, database_url: str, folder: Path) -> AsyncIterator[World]:
        """Start a Redis and open the workers."""
        redis = PersistentRedis(folder)
        settings = Settings(
            database_url=database_url,
            redis_url=redis.url,
            data_dir=folder,
            redis_timeout=REDIS_TIMEOUT,
            session_idle=IDLE_SECONDS,
            secret="s" * 43,
        )
        async with AsyncExitStack() as stack:
            stack.callback(redis.kill)
            client = await stack.enter_async_context(await redis.ready())
            workers = []
            for number in range(WORKERS):
                parts = await Parts.open(settings, Recorder(instance="test"), now)
                stack.push_async_callback(parts.close)
                parts.housekeeping.cancel()  # what it does at moments of its own would be in nobody's history
                _slow_down(parts, random.Random(number))  # noqa: S311 - not a secret
                workers.append(parts)
            yield cls(workers, redis, client)

    async def batch(
        self, seeds: Sequence[int], storm: str | None = None, make: Callable[[int, float], Plan] = mixed
    ) -> list[tuple[Plan, list[Call]]]:
        """Play the histories of some seeds at once, through a storm or without one."""
        pace = STORMY_PACE if storm else 1.0
        return await self.play([make(seed, pace) for seed in seeds], storm)

    async def play(self, plans: Sequence[Plan], storm: str | None = None) -> list[tuple[Plan, list[Call]]]:
        """Play histories at once; return each with all that bears on it."""
        self._done = []
        calm = asyncio.Event()
        histories = [History(each, self.workers, self._admins) for each in plans]
        switching = asyncio.create_task(self._switch(random.Random(plans[0].seed)))  # noqa: S311 - not a secret
        await asyncio.gather(self._weather(storm, calm, plans[0].seed), *(self._run(each, calm) for each in histories))
        switching.cancel()
        for calls in (self._done, *(each.calls for each in histories)):
            self.operations.update(call.what for call in calls)
        return [(each.plan, [*each.calls, *self._done]) for each in histories]

    async def _run(self, history: History, calm: asyncio.Event) -> None:
        await history.begin()
        await asyncio.gather(*(history.act(actor, self._trouble) for actor in history.plan.actors))
        await calm.wait()
        await history.look()

    async def _weather(self, storm: str | None, calm: asyncio.Event, seed: int) -> None:
        if storm:
            began = seconds()
            await self._storm(storm, random.Random(seed))  # noqa: S311 - not a secret
            self._done.append(Call(f"Redis was {storm}", -1, began, seconds()))
        calm.set()

    async def _switch(self, chance: random.Random) -> None:
        """Turn a cache family or the coalescing of one worker off or on, again and again; how long it stays so differs widely."""
        while self.switching:
            parts = chance.choice(self.workers)
            match chance.randrange(3):
                case 0:
                    parts.sessions.session.on ^= True
                case 1:
                    parts.sessions.profile.on ^= True
                case _:
                    parts.aside.coalescing ^= True
            self.operations["switch"] += 1
            await asyncio.sleep(chance.random() ** 3 * 0.03)

    async def _storm(self, storm: str, chance: random.Random) -> None:
        """Save what Redis has; later freeze it, or kill it and start it from what was saved, or from nothing."""
        await asyncio.sleep(chance.uniform(0.02, 0.15))
        await self._client.save()
        await asyncio.sleep(chance.uniform(0.02, 0.3))
        if storm == "frozen":
            self._redis.process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(REDIS_TIMEOUT * 1.5)
            self._redis.process.send_signal(signal.SIGCONT)
        else:
            self._redis.kill()
            if storm == "emptied":
                (self._redis.folder / "dump.rdb").unlink()
            await asyncio.sleep(chance.choice((0.0, 0.2)))
            self._redis.start()
        await (await self._redis.ready()).aclose()

    async def _trouble(self, history: History, step: Step) -> None:
        began, outcome = seconds(), Outcome.DONE
        try:
            match step.what:
                case "touch":
                    async with self._touching:
                        began = seconds()
                        await self.workers[step.worker].sessions.presence.write()
                case "evict":
                    await self._client.delete(profile_key(history.user_id), *map(session_key, history.digests))
                case "flush":
                    await self._client.flushall()
                case "starve":
                    await self._client.config_set("maxmemory", 1)
                    await asyncio.sleep(0.002)
                    await self._client.config_set("maxmemory", 0)
        except (RedisError, OSError):
            return  # it is away
        except InvalidationPending:
            outcome = Outcome.PENDING
        self._done.append(Call(step.what, step.worker if step.what == "touch" else -1, began, seconds(), outcome))


def _slow_down(parts: Parts, chance: random.Random) -> None:
    """Let things take their time where the rules of the cache are about the order of things.

    What is read comes late from the database, fills and deletes come late to the cache, and their answers from it.
    """
    database, cache, passwords = parts.database, parts.cache, parts.passwords
    fetch, fill, delete = database.fetch, cache.fill, cache.delete

    async def lag(share: float, most: float) -> None:
        if chance.random() < share:
            await asyncio.sleep(chance.random() ** 2 * most)

    async def late_fetch(statement: Statement, *values: Any) -> list[dict[str, Any]]:
        rows = await fetch(statement, *values)
        if statement.sql.lstrip().startswith("SELECT"):
            await lag(0.5, 0.03)
        return rows

    async def late_fill(fills: Sequence[Fill]) -> list[bool]:
        answers = await fill(fills)
        await lag(0.4, 0.04)
        return answers

    async def late_delete(keys: Sequence[str]) -> None:
        await lag(0.2, 0.01)
        await delete(keys)
        await lag(0.2, 0.01)

    async def hashed(password: str) -> str:
        await asyncio.sleep(chance.random() * 0.003)
        return f"not hashed: {password}"

    async def verified(encoded: str | None, password: str) -> bool:
        return encoded == await hashed(password)

    for owner, name, late in (
        (database, "fetch", late_fetch),
        (cache, "fill", late_fill),
        (cache, "delete", late_delete),
        (passwords, "hash", hashed),  # argon2id takes the time of fifty histories, and no part in what they show
        (passwords, "verify", verified),
    ):
        setattr(owner, name, late)
