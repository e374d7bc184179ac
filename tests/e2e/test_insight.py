"""Five things that go wrong, each planted under load in a service that did well: the first page says in words what it is.

How long it took until the words were there is written out: ``pytest -rP tests/e2e/test_insight.py``.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
import sys
import time
from typing import TYPE_CHECKING

import pytest
from redis.asyncio import Redis
from running import EMAIL, PASSWORD
from watching import looking, watched

from app.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from playwright.async_api import Browser
    from running import Service
    from visiting import Visit

    from app.embedded import Server

CLIENTS = 16
SESSIONS = 20
LOCKED = 0.1
"""Seconds for which somebody has the table of sessions, again and again."""

PATIENCE = 120.0
"""Seconds until a cause must be named, on a machine that does much else; a quiet one takes two or three."""

CAUSES = """[...document.querySelectorAll("[data-cause]")].map((cause) => [cause.dataset.cause, cause.innerText])"""


class Watched:
    """A service under load, and a page that is looked at."""

    def __init__(self, service: Service, visit: Visit, people: list[dict[str, str]]) -> None:
        self.service = service
        self.visit = visit
        self._turn = itertools.cycle(people)
        self._well_until = 0.0

    async def get(self, path: str) -> None:
        """Ask for something, as everybody in turn."""
        await self.service.client.get(path, headers=next(self._turn))

    async def log_in(self) -> None:
        """Log in."""
        await self.service.client.post("/auth/login", json={"email": EMAIL, "password": PASSWORD})

    async def lock(self) -> None:
        """Have the table of sessions to oneself for a moment."""
        async with self.service.sql.transaction():
            await self.service.sql.execute("LOCK TABLE sessions")
            await asyncio.sleep(LOCKED)

    @contextlib.asynccontextmanager
    async def used(self, path: str, clients: int = CLIENTS) -> AsyncIterator[None]:
        """Let many ask for something all the time, and begin when the page shows it."""
        async with going_on(lambda: self.get(path), clients):
            await self.visit.until(f"document.body.innerText.includes('{path}')")
            self._well_until = time.monotonic()
            yield

    async def says(self, rule: str, pattern: str) -> None:
        """Wait until the page names a cause in such words, and write out how long that took."""
        causes: dict[str, str] = {}
        deadline = time.monotonic() + PATIENCE
        while not re.fullmatch(pattern, causes.get(rule, "")):
            assert time.monotonic() < deadline, f"never said {pattern}, but {causes}"
            await asyncio.sleep(0.1)
            causes = dict(await self.visit.page.evaluate(CAUSES))
        sys.stdout.write(f"{time.monotonic() - self._well_until:.1f} s: {causes[rule]}\n")

    async def more(self, rule: str) -> str:
        """Follow a cause to where more is told, and return what is written there."""
        await self.visit.page.click(f"[data-cause={rule}] a")
        await self.visit.page.wait_for_url(re.compile(r"/console/\w"))
        return await self.visit.page.inner_text("main")

    async def tune(self, name: str, value: str) -> None:
        """Change a setting while it serves."""
        assert self.service.tuning
        await self.service.tuning.live.change(name, value)


@contextlib.asynccontextmanager
async def going_on(step: Callable[[], Awaitable[None]], times: int = 1) -> AsyncIterator[None]:
    """Do something over and over, so many times at once, until the block ends."""
    over = asyncio.Event()

    async def again() -> None:
        while not over.is_set():
            await step()

    tasks = [asyncio.create_task(again()) for _ in range(times)]
    try:
        yield
    finally:
        over.set()
        await asyncio.gather(*tasks)


@pytest.fixture
async def watch(browser: Browser, database_url: str, redis: Server, data_dir: Path) -> AsyncIterator[Watched]:
    """Run a worker, with sessions, before a browser."""
    settings = Settings(
        database_url=database_url,
        redis_url=redis.url,
        data_dir=data_dir,
        workers=1,
        secret="s" * 43,
        console_token="c" * 43,
        rate_limits=False,
        redis_timeout=5.0,
        hash_max_time=60.0,
        hash_threads=1,
    )
    async with watched(settings) as service:
        await service.register()
        people = [await service.login() for _ in range(SESSIONS)]
        async with looking(browser, service, settings) as visit:
            yield Watched(service, visit, people)


def print_out() -> None:
    """Hold the event loop up, as work that is no loop's does."""
    time.sleep(0.3)


async def test_a_slow_query_is_named(watch: Watched) -> None:
    """With a table locked by somebody again and again, the query that waits for it is named with its target."""
    async with watch.used("/auth/sessions"), going_on(watch.lock):
        await watch.says("query", r"The query user_sessions is slow: p95 [\d.]+ m?s of its 15 ms.*")
        assert "user_sessions" in await watch.more("query")


async def test_a_blocked_loop_is_named(watch: Watched) -> None:
    """The function that holds the loop up is named, where it stands, and how many requests waited for it."""
    loop = asyncio.get_running_loop()

    async def block() -> None:
        loop.call_soon(print_out)
        await asyncio.sleep(0.8)

    where = r"print_out \(.*test_insight.py:\d+\)"
    async with watch.used("/auth/me"), going_on(block):
        await watch.says("blocked", rf"{where} blocked the event loop .* requests? waited for it\.")
        assert "print_out" in await watch.more("blocked")


async def test_a_starved_pool_is_named(watch: Watched) -> None:
    """With one connection, and a table that is locked now and then, it is said that requests wait for it, and what was changed."""
    async with watch.used("/auth/sessions"), going_on(watch.lock):
        await watch.tune("pool_size", "1")
        await watch.says("pool", r"Requests wait for a database connection: p95 .*; the pool has 1 connection\.")
        await watch.says("setting", r"Changed while it serves: Pool size is 1 instead of 20\.")
        assert "Pool" in await watch.more("pool")


async def test_an_emptied_cache_is_named(watch: Watched, redis: Server) -> None:
    """With sessions that vanish from the cache again and again, it is said which family is cold, and of how many lookups."""
    async with Redis.from_url(redis.url) as client:

        async def empty() -> None:
            if keys := await client.keys("session:*"):
                await client.delete(*keys)
            await asyncio.sleep(0.01)

        async with watch.used("/auth/me"), going_on(empty):
            await watch.says("cold", r"The session cache is cold: [\d.]+ % of [\d,]+ lookups hit\.")
            assert "session" in await watch.more("cold")


async def test_a_cache_that_is_off_is_named(watch: Watched) -> None:
    """With sessions no longer cached it is said that they are not, and a click leads to where that is undone."""
    async with watch.used("/auth/me"):
        await watch.tune("cache_session", "off")
        await watch.says("cold", r"The session cache is cold: .*")
        await watch.says("setting", r"Changed while it serves: Sessions cached is off instead of on\.")
        assert "Sessions cached" in await watch.more("setting")


async def test_an_overloaded_hash_queue_is_named(watch: Watched) -> None:
    """In a storm of logins it is said that passwords wait, and how many threads there are for them."""
    async with watch.used("/auth/me", 1), going_on(watch.log_in, 3 * CLIENTS):
        await watch.says("hashing", r"The password hash queue is overloaded: passwords wait .* at p95.* each\.")
        assert "hash" in (await watch.more("hashing")).lower()
