"""A worker that is told to end under load answers every request that it was sent."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    Serve = Any

REQUEST = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"


class Client:
    """Asks on a kept connection, and makes a new one only when it was told that the old one ends."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.answered = 0
        self.told = 0
        self.unanswered: list[str] = []

    async def ask_until(self, end: float) -> None:
        """Ask every ten milliseconds; note every request that got no answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        while time.monotonic() < end:
            try:
                writer.write(REQUEST)
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(len(b'{"status":"ok"}'))
            except (OSError, asyncio.IncompleteReadError) as error:
                self.unanswered.append(repr(error))
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                continue
            self.answered += 1
            if b"connection: close" in head.lower():
                self.told += 1
                writer.close()
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            await asyncio.sleep(0.01)
        writer.close()


async def test_no_request_is_dropped_while_a_worker_drains(serve: Serve) -> None:
    """Clients on kept connections are told that theirs ends, come back on new ones, and miss no answer."""
    serve.start()
    clients = [Client(serve.port) for _ in range(20)]
    asking = asyncio.gather(*(client.ask_until(time.monotonic() + 4) for client in clients))
    await asyncio.sleep(1)
    workers = serve.workers()
    workers[0].send_signal(signal.SIGTERM)
    await asyncio.sleep(1.5)
    workers[1].send_signal(signal.SIGTERM)
    await asking
    assert [client.unanswered for client in clients if client.unanswered] == []
    assert sum(client.told for client in clients) > 0
    assert serve.stop() == 0
