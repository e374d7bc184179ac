"""Two whole workers on the same stores and on one clock, driven from another thread."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
from collections import Counter
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
from mailing import read, token_of
from redis.asyncio import Redis
from running import Service, running

from app.errands import administration
from app.mailer.assembly import make_sender
from app.mailer.sender import Pace

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
    from pathlib import Path

    from app.services.administration import Administration
    from app.settings import Settings

PATIENCE = 60.0
"""Seconds to wait for an answer or a mail, on a machine that does much else."""

KINDS = {"Confirm": "verify", "Choose": "reset", "Your": "changed"}
"""What a mail is, by the first word of its subject."""

Result = TypeVar("Result")


class World:
    """The running service, driven from the machine's thread."""

    def __init__(self, workers: Sequence[Service], admin: Administration, redis: Redis, mails: Path) -> None:
        self.admin = admin
        self.answered: Counter[tuple[str, str, int]] = Counter()
        self.examples = self.steps = 0
        self.begun = self.now = datetime.now(UTC)
        self._workers = workers
        self._redis = redis
        self._mails = mails
        self._read: set[Path] = set()
        self._loop = asyncio.get_running_loop()
        self._clients = [httpx.Client(base_url=worker.client.base_url, timeout=PATIENCE) for worker in workers]
        self._turn = itertools.cycle(self._clients)

    def run(self, work: Awaitable[Result]) -> Result:
        """Run something on the loop of the service."""

        async def done() -> Result:
            return await work

        return asyncio.run_coroutine_threadsafe(done(), self._loop).result(PATIENCE)

    def call(
        self,
        method: str,
        path: str,
        token: str = "",
        body: Mapping[str, Any] | None = None,
        *,
        worker: int = 0,
        agent: str = "machine",
    ) -> httpx.Response:
        """Ask a worker, in turn unless one is wanted by its number from 1; no answer is ever a 5xx."""
        client = self._clients[worker - 1] if worker else next(self._turn)
        headers = {"User-Agent": agent} | ({"Authorization": f"Bearer {token}"} if token else {})
        answer = client.request(method, path, headers=headers, json=body)
        route = re.sub(r"^(/auth/sessions/).+", r"\1{session_id}", path.partition("?")[0])
        self.answered[method, route, answer.status_code] += 1
        assert answer.status_code < 500, answer.text
        return answer

    def begin(self) -> None:
        """Start an example with empty stores, at the same moment as every other."""
        self.examples += 1
        self.now = self.begun
        self.run(self._workers[0].sql.execute("TRUNCATE users, outbox CASCADE"))
        self.forget()

    def forget(self) -> None:
        """Let the cache lose everything."""
        self.run(self._redis.flushall())

    def keep_house(self) -> None:
        """Write who was seen, and sweep what is over."""
        for worker in self._workers:
            self.run(worker.parts.sessions.presence.write())
            self.run(worker.parts.sessions.housekeeping.sweep())

    def fetch(self, query: str) -> list[Any]:
        """Return the first column of a query."""
        return [row[0] for row in self.run(self._workers[0].sql.fetch(query))]

    def mails(self) -> list[tuple[str, str, str]]:
        """Wait until nothing is to be sent; return recipient, kind and token of each new mail."""

        async def sent() -> None:
            async with asyncio.timeout(PATIENCE):
                while await self._workers[0].sql.fetchval("SELECT count(*) FROM outbox"):  # noqa: ASYNC110 - a row sets no event
                    await asyncio.sleep(0.005)

        self.run(sent())
        new = sorted(set(self._mails.glob("*.eml")) - self._read)
        self._read.update(new)
        messages = [read(path.read_bytes()) for path in new]
        kinds = [KINDS[message["Subject"].split()[0]] for message in messages]
        return [
            (str(message["To"]), kind, "" if kind == "changed" else token_of(message))
            for message, kind in zip(messages, kinds, strict=True)
        ]

    def close(self) -> None:
        """Close the connections."""
        for client in self._clients:
            client.close()


@contextlib.asynccontextmanager
async def driven(*settings: Settings) -> AsyncIterator[World]:
    """Run a worker with each settings; what workers do by the hour is done when somebody says so."""
    worlds: list[World] = []

    def now() -> datetime:
        return worlds[0].now if worlds else datetime.now(UTC)

    async with AsyncExitStack() as stack:
        workers = [await stack.enter_async_context(running(each, now)) for each in settings]
        for worker in workers:
            worker.parts.housekeeping.cancel()
            await worker.parts.mail.sender.stop(PATIENCE)
        url, folder = settings[0].redis_url, settings[0].data_dir / "mail"
        redis = await stack.enter_async_context(Redis.from_url(url or ""))
        admin = await stack.enter_async_context(administration(settings[0]))
        worlds.append(World(workers, admin, redis, folder))
        stack.callback(worlds[0].close)
        sender = make_sender(settings[0], now, Pace(pause=0.01, candidacy=0.1))
        sender.start()
        stack.push_async_callback(sender.stop, PATIENCE)
        yield worlds[0]
