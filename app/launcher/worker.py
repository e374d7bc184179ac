"""One serving process: its control channel, its signals, its end.

The channel is a socket pair. It is the worker's lifeline as well: its end tells the worker that the launcher is gone, so
the launcher's end of it is never handed to anybody else. The worker's end stays open as long as the process lives, so its
end tells the launcher that the worker is gone, also when nobody is left who could wait for the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable

    Answer = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]

LAST_ANSWER = 1.0
CODE_WITHIN = 5.0


class Worker:
    """A worker process. `ready` is set when it has said that it serves, `code` will be its exit code if anybody learns it."""

    def __init__(
        self, number: int, pid: int, channel: socket.socket, code: asyncio.Future[int | None], answer: Answer
    ) -> None:
        self.number = number
        self.pid = pid
        self.ready = asyncio.Event()
        self.started = time.monotonic()
        self._channel = channel
        self._code = code
        self._answer = answer
        self._answers: set[asyncio.Task[None]] = set()
        self._conversation = asyncio.create_task(self._converse())

    async def wait(self) -> int | None:
        """Wait until the process has ended; return its exit code, negative for a signal, None when nobody knows it."""
        await self._ended()
        if self._answers:
            await asyncio.wait(self._answers, timeout=LAST_ANSWER)
        for answer in self._answers:
            answer.cancel()
        await asyncio.wait({self._code}, timeout=CODE_WITHIN)
        return self._code.result() if self._code.done() else None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, unless the process has ended."""
        if not self._conversation.done():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def is_frozen(self) -> bool:
        """Say whether something has stopped the process (SIGSTOP); under a debugger it is not stopped but traced."""
        try:
            return not self._conversation.done() and psutil.Process(self.pid).status() == psutil.STATUS_STOPPED
        except psutil.Error:
            return False

    async def stop(self, patience: float, hasten: asyncio.Event) -> None:
        """Let it drain for `patience` seconds, or until `hasten` is set; then kill it."""
        self.signal(signal.SIGTERM)
        ended = asyncio.create_task(self._ended())
        hurry = asyncio.create_task(hasten.wait())
        await asyncio.wait({ended, hurry}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        if not ended.done():
            self.signal(signal.SIGKILL)
        await ended

    async def _ended(self) -> None:
        await asyncio.wait({self._conversation})

    async def _converse(self) -> None:
        """Read what the worker asks and have it answered, until it ends; what is no JSON object is passed over."""
        reader, writer = await asyncio.open_connection(sock=self._channel)
        try:
            with contextlib.suppress(OSError):
                while not reader.at_eof():
                    with contextlib.suppress(ValueError, AttributeError):
                        self._hear(json.loads(await reader.readline()), writer)
        finally:
            writer.close()

    def _hear(self, message: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        if message.get("op") == "ready":
            self.ready.set()
            return
        answer = asyncio.create_task(self._reply(message, writer))
        self._answers.add(answer)
        answer.add_done_callback(self._answers.discard)

    async def _reply(self, message: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        answer = await self._answer(message)
        if not writer.is_closing():
            writer.write(json.dumps(answer).encode() + b"\n")


def ending(code: int | None) -> str:
    """Say how a process ended."""
    if code is None:
        return "ended"
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
