"""The embedded PostgreSQL and Redis of an instance: started together, brought back when they die."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from app.embedded import EmbeddedError, start_postgres, start_redis
from app.launcher.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from app.embedded import Server


class Servers:
    """What of the two is ours. Whoever enters starts them; whoever leaves stops them."""

    def __init__(self, folder: Path, *, postgres: bool, redis: bool, say: Callable[[str], None]) -> None:
        self._starts: dict[str, Callable[[], Server]] = {}
        if postgres:
            self._starts["postgres"] = lambda: start_postgres(folder / "postgres")
        if redis:
            self._starts["redis"] = lambda: start_redis(folder / "redis.log")
        self._say = say
        self._running: dict[str, Server] = {}
        self._watches: list[asyncio.Task[None]] = []

    @property
    def postgres(self) -> Server | None:
        """The embedded PostgreSQL, if there is one."""
        return self._running.get("postgres")

    @property
    def redis(self) -> Server | None:
        """The embedded Redis, if there is one."""
        return self._running.get("redis")

    async def start(self) -> None:
        """Start them at the same time; raise the first EmbeddedError after both have come to an end with it."""
        results = await asyncio.gather(
            *(asyncio.to_thread(start) for start in self._starts.values()), return_exceptions=True
        )
        for name, result in zip(self._starts, results, strict=True):
            if not isinstance(result, BaseException):
                self._running[name] = result
        for result in results:
            if isinstance(result, BaseException):
                raise result
        self._watches = [asyncio.create_task(self._keep(server)) for server in self._running.values()]

    async def stop(self, patience: float) -> None:
        """Stop them at the same time, by force past `patience` seconds."""
        for watch in self._watches:
            watch.cancel()
        await asyncio.gather(*self._watches, return_exceptions=True)
        await asyncio.gather(*(asyncio.to_thread(server.stop, patience) for server in self._running.values()))

    async def _keep(self, server: Server) -> None:
        """Bring a server back whenever it dies, on its port and with its password: clients just connect again."""
        backoff = Backoff()
        while True:
            started = time.monotonic()
            await asyncio.to_thread(server.wait)
            wait = backoff.after(time.monotonic() - started)
            self._say(f"{server.name} ended {server.ending}; it is started again" + (f" in {wait:g} s" if wait else ""))
            await asyncio.sleep(wait)
            try:
                # A restart that has begun is finished even when we are told to stop, or nobody would know of it.
                await _to_the_end(server.restart)
            except EmbeddedError as error:
                self._say(str(error))
            else:
                self._say(f"{server.name} is back")


async def _to_the_end(work: Callable[[], None]) -> None:
    """Run `work` in a thread; when cancelled meanwhile, wait for it and be cancelled then."""
    running = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait({running})
        raise
