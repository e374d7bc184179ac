"""The hold on all sending processes: started, given their shares, told when, listened to, ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from loadgen.errors import PartError, PrepareError
from loadgen.frames import Command, Prepared, Ready, Refused, Report, Share, Start, Stop, frame, read_message

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

HEAD_START = 0.3
"""Seconds from telling the start instant to the instant itself: enough for every process to hear of it."""

_PATIENCE = 5.0
_SOURCE = str(Path(__file__).parents[1])


class _Held:
    """One sending process and the socket to it."""

    def __init__(
        self, process: subprocess.Popen[bytes], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.process = process
        self.reader = reader
        self.writer = writer

    def say(self, command: Command) -> None:
        if not self.writer.is_closing():
            self.writer.write(frame(command))


class Parts:
    """All sending processes of a run. Use it as a context: none outlives it."""

    def __init__(self, shares: Sequence[Share]) -> None:
        self._shares = shares
        self._held: list[_Held] = []

    async def __aenter__(self) -> Self:
        try:
            for share in self._shares:
                held = await _spawn()
                self._held.append(held)
                held.say(share)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        for held in self._held:
            held.writer.close()
        for held in self._held:
            await asyncio.to_thread(_end, held.process)
            with contextlib.suppress(OSError):
                await held.writer.wait_closed()

    async def prepare(self, prepared: Callable[[], None]) -> None:
        """Wait until all are ready; raise PrepareError when one cannot be."""
        await self._all(lambda held: self._until_ready(held, prepared))

    async def measure(self, told: Callable[[int, Report], None], started: Callable[[float], None]) -> None:
        """Start all at one instant, which ``started`` is told, and hand over their reports until the last of each."""
        at = time.perf_counter() + HEAD_START
        started(at)
        for held in self._held:
            held.say(Start(at))
        await self._all(lambda held: self._until_ended(held, told))

    def stop(self, *, now: bool = False) -> None:
        """Let all send nothing new and drain, or give up at once."""
        for held in self._held:
            held.say(Stop(now))

    async def _all(self, follow: Callable[[_Held], Coroutine[Any, Any, None]]) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for held in self._held:
                    group.create_task(follow(held))
        except* (PrepareError, PartError) as errors:
            first = errors.exceptions[0]
            raise first from None

    async def _until_ready(self, held: _Held, prepared: Callable[[], None]) -> None:
        while True:
            match await _heard(held):
                case Prepared():
                    prepared()
                case Ready():
                    return
                case Refused(message):
                    raise PrepareError(message)

    async def _until_ended(self, held: _Held, told: Callable[[int, Report], None]) -> None:
        number = self._held.index(held)
        while True:
            message = await _heard(held)
            if isinstance(message, Report):
                told(number, message)
                if message.use is not None:
                    return


async def _heard(held: _Held) -> object:
    try:
        return await read_message(held.reader)
    except EOFError:
        code = await asyncio.to_thread(held.process.wait)
        raise PartError(f"a sending process (pid {held.process.pid}) ended before its time, with {code}") from None


async def _spawn() -> _Held:
    """Start a process in a group of its own: an interrupt from the keyboard is ours to pass on."""
    ours, theirs = socket.socketpair()
    with theirs:
        path = os.pathsep.join(filter(None, (_SOURCE, os.environ.get("PYTHONPATH"))))
        process = await asyncio.to_thread(
            subprocess.Popen,
            (sys.executable, "-P", "-m", "loadgen.part", str(theirs.fileno())),
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            process_group=0,
            env=os.environ | {"PYTHONPATH": path},
        )
    ours.settimeout(0)
    reader, writer = await asyncio.open_connection(sock=ours)
    return _Held(process, reader, writer)


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
