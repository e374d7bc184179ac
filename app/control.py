"""The worker's end of the socket pair that ties it to its launcher: JSON lines, and a lifeline.

The pair is inherited, so whoever holds an end was made by the launcher; there is no file to find, guess or leave
behind. When the other end closes, the launcher is gone.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import socket


class LauncherGone(Exception):
    """The launcher has gone away, or does not answer."""


class Control:
    """Asks the launcher for things. ``gone`` is set once the launcher has ended."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.gone = asyncio.Event()
        self._reader = reader
        self._writer = writer
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._listening = asyncio.get_running_loop().create_task(self._listen())

    @classmethod
    async def open(cls, end: socket.socket) -> Control:
        """Take over one end of the pair."""
        return cls(*await asyncio.open_unix_connection(sock=end))

    def say(self, op: str, **values: Any) -> None:
        """Tell the launcher something that needs no answer."""
        self._writer.write(json.dumps({"op": op, **values}).encode() + b"\n")

    async def ask(self, op: str, patience: float = 5.0, **values: Any) -> dict[str, Any]:
        """Ask for something and return the answer; raise LauncherGone when none comes within ``patience`` seconds."""
        number = next(self._numbers)
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            self.say(op, id=number, **values)
            async with asyncio.timeout(patience):
                return await answer
        except TimeoutError:
            raise LauncherGone("the launcher does not answer") from None
        finally:
            del self._waiting[number]

    async def close(self) -> None:
        """Let go of the pair."""
        self._listening.cancel()
        self._writer.close()

    async def _listen(self) -> None:
        try:
            while line := await self._reader.readline():
                message = json.loads(line)
                answer = self._waiting.get(message.get("id"))
                if answer and not answer.done():
                    answer.set_result(message)
        except (OSError, ValueError):
            pass
        finally:
            self.gone.set()
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(LauncherGone("the launcher has ended"))
