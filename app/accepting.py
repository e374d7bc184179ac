"""Connections taken one by one, each by the worker that has the fewest.

Workers share one listening socket, and the kernel wakes all of them. Left alone, whoever is first takes what is there:
one may come to have most of the connections, and its hashing threads all the work, while its sibling idles.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from app.board import Board

    Connect = Callable[[set[Any]], Callable[[], asyncio.Protocol]]

YIELD_SECONDS = 0.002
"""How long a worker leaves a connection to a sibling that has fewer."""

PAUSE_SECONDS = 1.0
"""After an error, such as too many open files."""

_log = logging.getLogger("gatewatch")


class EvenServer:
    """Stands in for an asyncio.Server: accepts on a socket that it shares with the workers on a board.

    A sibling that lets a connection lie is not waited for again before it has looked for one: it may be frozen or dead.
    ``connect`` gets the set in which protocols note that they are connected, and returns what makes them. Nothing is
    accepted before `start_serving`.
    """

    def __init__(self, listener: socket.socket, connect: Connect, board: Board, number: int) -> None:
        self.connections: set[Any] = _Told(self._tell)
        self._listener = listener
        self._protocol = connect(self.connections)
        self._board = board
        self._number = number
        self._loop = asyncio.get_running_loop()
        self._opening: set[asyncio.Task[Any]] = set()
        self._later: asyncio.TimerHandle | None = None
        self._idlers: dict[int, int] = {}
        self._serving = False

    def is_serving(self) -> bool:
        """Whether connections are accepted."""
        return self._serving

    async def start_serving(self) -> None:
        """Begin to accept."""
        self._serving = True
        self._tell()
        self._listen()

    def close(self) -> None:
        """Accept no more; what comes is left to the others."""
        if not self._serving:
            return
        self._serving = False
        self._board.leave(self._number)
        if self._later is not None:
            self._later.cancel()
        self._loop.remove_reader(self._listener.fileno())
        self._listener.close()

    async def wait_closed(self) -> None:
        """Return when all that was accepted is connected to a protocol."""
        if self._opening:
            await asyncio.wait(self._opening)

    def _tell(self) -> None:
        if self._serving:
            self._board.take(self._number, len(self.connections) + len(self._opening))

    def _listen(self) -> None:
        self._later = None
        self._loop.add_reader(self._listener.fileno(), self._look)

    def _pause(self, seconds: float, then: Callable[..., None], *arguments: object) -> None:
        self._loop.remove_reader(self._listener.fileno())
        self._later = self._loop.call_later(seconds, then, *arguments)

    def _look(self) -> None:
        """Take the connection that is there, or leave it to those who have fewer."""
        self._board.look(self._number)
        preferred = dict(self._board.with_fewer(self._number).items() - self._idlers.items())
        if preferred:
            self._pause(YIELD_SECONDS, self._look_again, preferred)
        else:
            self._accept()

    def _look_again(self, preferred: dict[int, int]) -> None:
        """Take it if nobody has, and remember who has not even looked."""
        self._board.look(self._number)
        self._listen()
        if self._accept():
            self._idlers |= dict(self._board.with_fewer(self._number).items() & preferred.items())

    def _accept(self) -> bool:
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return False
        except OSError as error:
            _log.error("connections cannot be accepted for now: %s", error)
            self._pause(PAUSE_SECONDS, self._listen)
            return False
        task = self._loop.create_task(self._open(connection))
        self._opening.add(task)
        task.add_done_callback(self._opened)
        self._tell()
        return True

    async def _open(self, connection: socket.socket) -> None:
        connection.setblocking(False)  # noqa: FBT003 - its one argument
        with contextlib.suppress(OSError):  # who has gone already is no connection
            await self._loop.connect_accepted_socket(self._protocol, connection)

    def _opened(self, task: asyncio.Task[Any]) -> None:
        self._opening.discard(task)
        self._tell()


class _Told(set[Any]):
    """A set that tells when something has come or gone."""

    def __init__(self, tell: Callable[[], None]) -> None:
        super().__init__()
        self._tell = tell

    def add(self, member: object) -> None:
        """Add a member, and tell."""
        super().add(member)
        self._tell()

    def discard(self, member: object) -> None:
        """Take a member out, and tell."""
        super().discard(member)
        self._tell()
