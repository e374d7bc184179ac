"""A TCP proxy that spoils what a server says."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Proxy:
    """Passes bytes on between its clients and a local port."""

    def __init__(self, target: int) -> None:
        self.piece = 65536
        """Most bytes of the server's that are passed on at a time."""
        self.allowance = float("inf")
        """Bytes of the server's that are still passed on; then every connection is cut."""
        self.slipped_in = b""
        """What is sent once, before the next bytes of the server."""
        self.port = 0
        self._target = target
        self._writers: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()

    @classmethod
    @contextlib.asynccontextmanager
    async def before(cls, target: int) -> AsyncIterator[Proxy]:
        """Run one before a port."""
        proxy = cls(target)
        server = await asyncio.start_server(proxy._serve, "127.0.0.1", 0)
        proxy.port = server.sockets[0].getsockname()[1]
        try:
            yield proxy
        finally:
            server.close()
            proxy.cut()
            if proxy._serving:
                await asyncio.wait(proxy._serving)

    def cut(self) -> None:
        """Cut every connection."""
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        there, away = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers |= {writer, away}
        with contextlib.suppress(OSError):
            await asyncio.gather(self._ask(reader, away), self._answer(there, writer))
        for each in (writer, away):
            self._writers.discard(each)
            each.transport.abort()

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        raise ConnectionError

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(self.piece):
            if self.slipped_in:
                writer.write(self.slipped_in)
                self.slipped_in = b""
            writer.write(data[: int(min(len(data), self.allowance))])
            await writer.drain()
            self.allowance -= len(data)
            if self.allowance < 0:
                self.cut()
            await asyncio.sleep(0)
        raise ConnectionError
