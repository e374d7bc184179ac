"""The launcher's end of the fork server (app/fork_server.py): starts it, asks it for workers, hears of their ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import time
from typing import TYPE_CHECKING, Any

from app.launcher.backoff import Backoff
from app.launcher.worker import Worker, ending

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from app.launcher.worker import Answer

    Code = asyncio.Future[int | None]

COMMAND = "_fork_server"
FORKED_WITHIN = 30.0
"""Seconds in which a fork server, if need be a new one, has made a worker that was asked for."""
ENDS_WITHIN = 0.5


class ForkServer:
    """Makes workers. The first one that is asked for starts the process; when it dies, another one is started.

    Workers go on without it. Only how they ended is not known then.
    """

    def __init__(
        self,
        program: Sequence[str],
        listener: socket.socket,
        lending: int,
        environment: Mapping[str, str],
        answer: Answer,
        say: Callable[[str], None],
    ) -> None:
        self._program = tuple(program)
        self._shared = (listener.fileno(), lending)
        self._environment = dict(environment)
        self._answer = answer
        self._say = say
        self._turn = asyncio.Lock()
        self._backoff = Backoff()
        self._process: _Process | None = None
        self._renewals: set[asyncio.Task[None]] = set()

    async def fork(self, number: int) -> Worker:
        """Return a new worker; raise OSError when there is none to be had."""
        async with self._turn:
            process = await self._running()
            ours, theirs = socket.socketpair()
            try:
                async with asyncio.timeout(FORKED_WITHIN):
                    pid, code = await process.fork(number, (*self._shared, theirs.fileno()))
            except BaseException as error:
                # Nobody will know of the worker that it may be about to make: so it is to make none.
                ours.close()
                if isinstance(error, TimeoutError | asyncio.CancelledError):
                    process.kill()
                if isinstance(error, TimeoutError):
                    raise OSError(f"the fork server does not answer within {FORKED_WITHIN:g} s") from None
                raise
            finally:
                theirs.close()
        ours.settimeout(0)
        return Worker(number, pid, ours, code, self._answer)

    async def stop(self) -> None:
        """End it, when its workers have ended."""
        for renewal in self._renewals:
            renewal.cancel()
        if self._process is not None:
            await self._process.stop()

    async def _running(self) -> _Process:
        if self._process is None or self._process.ended.done():
            self._process = await _Process.start(self._program, self._environment)
            renewal = asyncio.create_task(self._renew(self._process))
            self._renewals.add(renewal)
            renewal.add_done_callback(self._renewals.discard)
        return self._process

    async def _renew(self, process: _Process) -> None:
        """Have another one ready before it is needed. Of one that never was ready, who waits for it is told, and tries again."""
        code = await asyncio.shield(process.ended)
        if not process.ready:
            return
        self._say(f"the fork server (pid {process.pid}) {ending(code)}; another one is started, and the workers go on")
        await asyncio.sleep(self._backoff.after(time.monotonic() - process.started))
        async with self._turn:
            with contextlib.suppress(OSError):  # whoever needs it will be told
                await self._running()


class _Process:
    """One life of it. `ended` has its exit code in the end."""

    def __init__(self, process: asyncio.subprocess.Process, channel: socket.socket) -> None:
        self.pid = process.pid
        self.started = time.monotonic()
        self.ready = False
        self._process = process
        self._channel = channel
        self._asked: asyncio.Future[tuple[int, Code]] = asyncio.get_running_loop().create_future()
        self._asked.cancel()  # by nobody yet
        self._codes: dict[int, Code] = {}
        self.ended = asyncio.create_task(self._listen())

    @classmethod
    async def start(cls, program: Sequence[str], environment: Mapping[str, str]) -> _Process:
        """Start it in a process group of its own, so that a terminal's Ctrl-C reaches the launcher alone.

        Not in a session of its own: Linux shares the cores out by sessions first, and a thread that steps back would do
        so for its own worker alone.
        """
        ours, theirs = socket.socketpair()
        try:
            process = await asyncio.create_subprocess_exec(
                *program,
                COMMAND,
                f"--channel-fd={theirs.fileno()}",
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                process_group=0,
                env=environment,
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        ours.settimeout(0)
        return cls(process, ours)

    async def fork(self, number: int, descriptors: Sequence[int]) -> tuple[int, Code]:
        """Return a new worker's process id, and what will be its exit code, or None; raise OSError when there is none."""
        self._asked = asyncio.get_running_loop().create_future()
        socket.send_fds(self._channel, [str(number).encode()], descriptors)
        return await self._asked

    def kill(self) -> None:
        """End it at once; its workers go on."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def stop(self) -> None:
        """Let it tell how its workers ended, so that it leaves none uncollected, and end."""
        if self._codes:
            await asyncio.wait(set(self._codes.values()), timeout=ENDS_WITHIN)
        with contextlib.suppress(OSError):
            self._channel.shutdown(socket.SHUT_WR)
        await asyncio.wait({self.ended}, timeout=ENDS_WITHIN)
        self.kill()
        await self.ended

    async def _listen(self) -> int:
        """Hear what it tells until it ends; return its exit code."""
        reader, writer = await asyncio.open_connection(sock=self._channel)
        with contextlib.suppress(OSError):
            while line := await reader.readline():
                self._hear(json.loads(line))
        writer.close()
        code = await self._process.wait()
        for unknown in self._codes.values():
            unknown.set_result(None)
        if not self._asked.done():
            self._asked.set_exception(OSError(f"the fork server {ending(code)}"))
        return code

    def _hear(self, message: dict[str, Any]) -> None:
        match message:
            case {"ended": int(pid), "code": int(how)}:
                if pid in self._codes:
                    self._codes.pop(pid).set_result(how)
            case {"ready": _}:
                self.ready = True
            case {"pid": int(pid)} if not self._asked.done():
                code = self._codes[pid] = asyncio.get_running_loop().create_future()
                self._asked.set_result((pid, code))
            case {"pid": int(pid)}:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)  # who asked has gone
            case {"failed": str(why)} if not self._asked.done():
                self._asked.set_exception(OSError(why))
