"""A worker that is told to end under load answers every request that it was sent."""

from __future__ import annotations

import asyncio
import signal
import time
from functools import partial
from typing import TYPE_CHECKING

from app.worker import IDLE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from psutil import Process

    Serve = Any

REQUEST = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
PATIENCE = 120.0


class Client:
    """Asks on a kept connection, and makes a new one only when it was told that the old one ends."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.answered = 0
        self.told = 0
        self.unanswered: list[str] = []

    async def ask_until(self, over: asyncio.Event) -> None:
        """Ask every ten milliseconds; note every request that got no answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        used = time.monotonic()
        while not over.is_set():
            idle = time.monotonic() - used
            try:
                writer.write(REQUEST)
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(len(b'{"status":"ok"}'))
            except (OSError, asyncio.IncompleteReadError) as error:
                if (
                    idle < IDLE_SECONDS / 2
                ):  # else a busy machine kept us for so long that the connection was at its end
                    self.unanswered.append(repr(error))
                reader, writer = await self._come_back(writer)
                used = time.monotonic()
                continue
            used = time.monotonic()
            self.answered += 1
            if b"connection: close" in head.lower():
                self.told += 1
                reader, writer = await self._come_back(writer)
                used = time.monotonic()
            await asyncio.sleep(0.01)
        writer.close()

    async def _come_back(self, old: asyncio.StreamWriter) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        old.close()
        return await asyncio.open_connection("127.0.0.1", self._port)


async def test_no_request_is_dropped_while_a_worker_drains(serve: Serve) -> None:
    """Clients on kept connections are told that theirs ends, come back on new ones, and miss no answer."""
    serve.start()
    over = asyncio.Event()
    clients = [Client(serve.port) for _ in range(20)]
    asking = asyncio.gather(*(client.ask_until(over) for client in clients))
    await _until(lambda: all(client.answered > 10 for client in clients))
    workers = serve.workers()
    for worker in workers:
        worker.send_signal(signal.SIGTERM)
        await _until(partial(_replaced, serve, worker, len(workers)))
    await _until(lambda: sum(client.told for client in clients) > 0)
    over.set()
    await asking
    assert [client.unanswered for client in clients if client.unanswered] == []
    assert serve.stop() == 0


def _replaced(serve: Serve, worker: Process, count: int) -> bool:
    return not worker.is_running() and len(serve.workers()) == count


async def _until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not true():  # noqa: ASYNC110 - processes and counters have no events
            await asyncio.sleep(0.05)
