"""One serving process: its start, its control channel, its end.

The channel is a socket pair that the worker inherits. It is the worker's lifeline as well: its end tells the worker
that the launcher is gone, so the launcher's end of it is never handed to anybody else.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    Answer = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]

LAST_ANSWER = 1.0


class Worker:
    """A worker process. `ready` is set when it has said that it serves."""

    def __init__(
        self, number: int, process: asyncio.subprocess.Process, channel: socket.socket, answer: Answer
    ) -> None:
        self.number = number
        self.ready = asyncio.Event()
        self.started = time.monotonic()
        self._process = process
        self._channel = channel
        self._answer = answer
        self._writer: asyncio.StreamWriter | None = None
        self._conversation = asyncio.create_task(self._converse())

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def wait(self) -> int:
        """Wait until the process has ended; return its exit code, negative for a signal."""
        code = await self._process.wait()
        # Its end of the channel is gone with it, so that the conversation ends by itself, unless it is just being answered.
        await asyncio.wait({self._conversation}, timeout=LAST_ANSWER)
        self._conversation.cancel()
        await asyncio.gather(self._conversation, return_exceptions=True)
        if self._writer is None:
            self._channel.close()
            return code
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
        return code

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, unless the process has ended."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def stop(self, patience: float, hasten: asyncio.Event) -> None:
        """Let it drain for `patience` seconds, or until `hasten` is set; then kill it."""
        self.signal(signal.SIGTERM)
        ended = asyncio.create_task(self._process.wait())
        hurry = asyncio.create_task(hasten.wait())
        await asyncio.wait({ended, hurry}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        if not ended.done():
            self.signal(signal.SIGKILL)
        await ended
        await self.wait()

    async def _converse(self) -> None:
        """Read what the worker asks and answer it; a line that is no JSON object ends the conversation."""
        reader, self._writer = await asyncio.open_connection(sock=self._channel)
        with contextlib.suppress(OSError, ValueError, AttributeError):
            while line := await reader.readline():
                message = json.loads(line)
                if message.get("op") == "ready":
                    self.ready.set()
                else:
                    self._writer.write(json.dumps(await self._answer(message)).encode() + b"\n")
                    await self._writer.drain()
        # The channel stays open: closing it would tell a living worker that the launcher is gone.


async def spawn(
    number: int,
    program: Sequence[str],
    listener: socket.socket,
    lending: int,
    environment: Mapping[str, str],
    answer: Answer,
) -> Worker:
    """Start a worker in a process group of its own, so that a terminal's Ctrl-C reaches the launcher alone.

    Not in a session of its own: Linux shares the cores out by sessions first, and a thread that steps back would do so
    for its own worker alone.
    """
    ours, theirs = socket.socketpair()
    try:
        process = await asyncio.create_subprocess_exec(
            *program,
            "_worker",
            f"--listen-fd={listener.fileno()}",
            f"--lending-fd={lending}",
            f"--control-fd={theirs.fileno()}",
            f"--number={number}",
            stdin=asyncio.subprocess.DEVNULL,
            pass_fds=(listener.fileno(), lending, theirs.fileno()),
            process_group=0,
            env=dict(environment),
        )
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    ours.settimeout(0)
    return Worker(number, process, ours, answer)
