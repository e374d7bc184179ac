"""A connection to Redis on which the next question does not wait for the answer to the last one: reads and scripts.

redis-py opens it, so addresses, TLS, passwords and the greeting are its own, and hands its socket over. From then on a
question costs one write and its answer one callback: no task, no future, no timer of its own. Redis answers in order, so
a reply belongs to the oldest question. Anything that is not such a reply, in time, breaks the line, and a line that
broke is never used again: a reply that is still on its way cannot meet another question.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import hiredis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from app.storage.identity import RECHECK, server_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from redis.asyncio.connection import AbstractConnection

    Replied = Callable[[bytes, Any], None]
    """Takes the server's identity and the reply."""

REOPEN_SECONDS = 1.0
"""Lines are opened no more often than this; while there is none, everything goes the ordinary way."""

_GRACE_SECONDS = 0.005
"""What an overdue reply is given once more: the loop may have been busy while it lay in the socket."""

_MORE = object()
_PACKED_RECHECK = hiredis.pack_command(RECHECK)  # type: ignore[arg-type] # it takes any number


class _Question:
    __slots__ = ("answered", "broke", "count", "deadline", "recheck", "refusable", "reply")

    def __init__(
        self,
        count: int,
        answered: Replied,
        broke: Callable[[Exception], None],
        deadline: float,
        *,
        recheck: bool,
        refusable: bool,
    ) -> None:
        self.count = count
        self.answered = answered
        self.broke = broke
        self.deadline = deadline
        self.recheck = recheck
        self.refusable = refusable
        self.reply: Any = None

    def fits(self, reply: Any) -> bool:
        """Say whether a reply can be one to this question. A refusal has a code, such as NOSCRIPT or OOM; ERR can mean anything."""
        if isinstance(reply, list):
            return len(reply) == self.count
        return self.refusable and isinstance(reply, hiredis.ReplyError) and not str(reply).startswith("ERR")


class Line(asyncio.Protocol):
    """Takes over the socket of a connection that redis-py has opened, and on which nothing is under way.

    There are no more questions under way than clients who wait, and none is for longer than the timeout.
    """

    def __init__(self, connection: AbstractConnection, *, timeout: float) -> None:
        self.server = server_of(connection)
        self.scripts: set[str] = set()
        """Digests of the scripts that it has carried."""
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader(notEnoughData=_MORE)
        self._asked: deque[_Question] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._late: _Question | None = None
        self._broken = False
        # redis-py has no way to give a socket away. Its writer is kept, for it closes the socket when it is collected.
        taken: Any = connection
        self._writer: asyncio.StreamWriter = taken._writer  # noqa: SLF001
        taken._writer = taken._reader = None  # noqa: SLF001
        self._transport: Any = self._writer.transport
        self._transport.set_protocol(self)

    @property
    def is_open(self) -> bool:
        """Whether it may be asked."""
        return not self._broken and not self._transport.is_closing()

    def ask(
        self,
        packed: bytes,
        count: int,
        answered: Replied,
        broke: Callable[[Exception], None],
        *,
        refusable: bool = False,
    ) -> None:
        """Send a command whose reply is a list of ``count`` or, if it is ``refusable``, the error that says why not.

        Later one of the two is called, once: with the server's identity and the reply, or with why there is none.
        ``broke`` gets a TimeoutError when the reply was not there in time, and anything else when the command may be
        sent elsewhere.
        """
        recheck = self.server.is_due
        self._transport.write(packed + _PACKED_RECHECK if recheck else packed)
        deadline = time.monotonic() + self._timeout
        self._asked.append(_Question(count, answered, broke, deadline, recheck=recheck, refusable=refusable))
        if self._timer is None:
            self._timer = self._loop.call_later(self._timeout, self._look)

    def close(self) -> None:
        """Break it off."""
        self._break(RedisConnectionError("closed"))

    def data_received(self, data: bytes) -> None:
        """Take replies, or parts of them."""
        try:
            self._reader.feed(data)
            while not self._broken and (reply := self._reader.gets()) is not _MORE:
                self._take(reply)
        except (hiredis.HiredisError, RedisError) as error:
            self._break(error)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell everybody who waits."""
        self._break(exc or RedisConnectionError("the server closed the connection"))

    def _take(self, reply: Any) -> None:
        if not self._asked:
            raise RedisConnectionError("a reply to no question")
        question = self._asked[0]
        if question.reply is None:
            if not question.fits(reply):
                raise RedisConnectionError("a refusal, or a reply to another question")
            question.reply = reply
            if question.recheck:  # the reply counts only when the server is still the same after it
                return
        elif isinstance(reply, bytes):
            self.server.recheck(reply)
        else:
            raise RedisConnectionError("the server does not say who it is")
        self._asked.popleft()
        question.answered(self.server.digest, question.reply)

    def _look(self) -> None:
        """See whether the oldest question has waited too long. One timer goes round for all of them."""
        self._timer = None
        if not self._asked:
            return
        first = self._asked[0]
        left = first.deadline - time.monotonic()
        if left <= 0 and first is self._late:
            self._break(TimeoutError())
            return
        self._late = first if left <= 0 else None
        self._timer = self._loop.call_later(max(left, _GRACE_SECONDS), self._look)

    def _break(self, error: Exception) -> None:
        if self._broken:
            return
        self._broken = True
        if self._timer is not None:
            self._timer.cancel()
        self._transport.abort()
        asked, self._asked = self._asked, deque()
        for question in asked:
            question.broke(error)


class LineKeeper:
    """Keeps one line open for whoever asks."""

    def __init__(self, connect: Callable[[], AbstractConnection], *, timeout: float) -> None:
        self._connect = connect
        self._timeout = timeout
        self._line: Line | None = None
        self._opening: asyncio.Task[None] | None = None
        self._not_before = 0.0

    def line(self) -> Line | None:
        """Return the line; while there is none, begin to open one and return None."""
        if self._line is not None and self._line.is_open:
            return self._line
        if self._opening is None and time.monotonic() >= self._not_before:
            self._opening = asyncio.get_running_loop().create_task(self._open())
        return None

    async def close(self) -> None:
        """Break the line off, and open no other."""
        self._not_before = float("inf")
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait([self._opening])
        if self._line is not None:
            self._line.close()

    async def _open(self) -> None:
        connection, self._not_before = self._connect(), time.monotonic() + REOPEN_SECONDS
        try:
            async with asyncio.timeout(self._timeout):
                await connection.connect()
            self._line = Line(connection, timeout=self._timeout)
        except (TimeoutError, OSError, RedisError):
            pass
        finally:
            self._opening = None
            await connection.disconnect(nowait=True)
