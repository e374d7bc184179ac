"""An HTTP/1.1 client that does one thing: send prepared bytes on a kept connection and stamp what comes back.

Every way in which an answer can fail to come is a value, never an exception: failures are results of a measurement.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Literal, cast

import httptools
import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadgen.target import Target

Failure = Literal["", "connect", "reset", "timeout", "half answer", "garbage", "abandoned"]
"""Why there is no answer: no connection; connection closed before a byte of the answer; not complete in time; closed in the
middle of it; not HTTP, or too large; given up because the run was aborted. Empty when there is an answer."""

BODY_LIMIT = 1 << 20
"""Bytes of one answer's body; an answer past it is garbage, so that no target can fill our memory."""

_SWITCHING = 101
_FINAL = 200


class Answer(msgspec.Struct, frozen=True):
    """What became of one request. Stamps are seconds of the client's clock, 0 when the event never came.

    ``begun`` is when the request was handed over, ``sent`` when it was written, ``first`` and ``last`` when the first bytes of
    the answer and its end (or the failure) were seen; ``connect`` is how long connecting took, 0 on a kept connection.
    """

    begun: float
    sent: float
    first: float
    last: float
    connect: float = 0.0
    status: int = 0
    body: bytes = b""
    retry_after: bytes = b""
    failure: Failure = ""
    detail: str = ""


class _Wire(asyncio.Protocol):
    """One TCP connection, used for one exchange at a time. It tells its owner, and never hears of time or users."""

    def __init__(self, owner: Connection, clock: Callable[[], float]) -> None:
        self._owner = owner
        self._clock = clock
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._busy = False
        self._reset()

    def _reset(self) -> None:
        self.first = 0.0
        self.status = 0
        self.retry_after = b""
        self.body: list[bytes] = []
        self._room = BODY_LIMIT
        self._framed = False
        self._complete = False
        self._keep = False
        self._surplus = False

    @property
    def usable(self) -> bool:
        """Whether another request may be written."""
        return self._transport is not None and not self._transport.is_closing()

    def write(self, payload: bytes) -> None:
        """Send one request; the connection must be usable."""
        self._reset()
        self._busy = True
        assert self._transport is not None  # noqa: S101 - tells the type checker what `usable` promised
        self._transport.write(payload)

    def abort(self) -> None:
        """Drop the connection at once; the owner will not hear of it."""
        self._busy = False
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Stamp and parse; bytes that nobody asked for end the connection."""
        if not self._busy:
            self.abort()
            return
        now = self._clock()
        if not self.first:
            self.first = now
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self._complete:
                self._end("garbage", now, str(error))
                return
            self._surplus = True  # The answer itself was whole; only what followed it was not.
        if self._room < 0:
            self._end("garbage", now, f"body of more than {BODY_LIMIT} bytes")
        elif self._complete:
            self._end("", now, keep=self._keep and not self._surplus)

    def connection_lost(self, exc: Exception | None) -> None:
        """Say what the loss means for the exchange under way, if there is one."""
        if not self._busy:
            return
        now = self._clock()
        if exc is None and self.status >= _FINAL and not self._framed:
            self._end("", now, keep=False)  # An answer without a length ends where the connection ends.
        else:
            self._end("half answer" if self.first else "reset", now, str(exc or "the connection was closed"))

    def _end(self, failure: Failure, now: float, detail: str = "", *, keep: bool = False) -> None:
        self._busy = False
        if not keep and self._transport is not None:
            self._transport.abort()
        self._owner.finish(failure, now, detail)

    def on_message_begin(self) -> None:
        """Notice a message that follows a complete answer."""
        self._surplus = self._complete

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep the few headers that matter here."""
        name = name.lower()
        if name in {b"content-length", b"transfer-encoding"}:
            self._framed = True
        elif name == b"retry-after":
            self.retry_after = value

    def on_headers_complete(self) -> None:
        """Take the status; the first complete answer is the one that counts."""
        if not self._complete:
            self.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        """Keep the body within its limit."""
        self._room -= len(body)
        if self._room >= 0 and not self._complete:
            self.body.append(body)

    def on_message_complete(self) -> None:
        """Note the end, unless it was an interim answer (1xx)."""
        if not self._complete:
            self._complete = self.status >= _FINAL or self.status == _SWITCHING
            self._keep = self._parser.should_keep_alive()  # Asked later, it would speak of the next message.


class Connection:
    """One kept connection to the target, opened when first needed and again after it was lost.

    ``timeout`` is how many seconds an exchange may take, connecting included. One exchange at a time.
    """

    def __init__(self, target: Target, *, timeout: float, clock: Callable[[], float] = time.perf_counter) -> None:
        self._target = target
        self._timeout = timeout
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._wire: _Wire | None = None
        self._opening: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._done: Callable[[Answer], None] | None = None
        self._begun = self._sent = self._connect = 0.0

    def send(self, payload: bytes, done: Callable[[Answer], None]) -> None:
        """Send a request; ``done`` gets its answer later, exactly once, and may send the next one."""
        if self._done is not None:
            raise RuntimeError("a connection carries one exchange at a time")
        self._done = done
        self._sent = self._connect = 0.0
        self._begun = self._clock()
        if self._timer is None:
            self._timer = self._loop.call_later(self._timeout, self._look_at_clock)
        if self._wire is not None and self._wire.usable:
            self._sent = self._begun
            self._wire.write(payload)
        else:
            self._opening = self._loop.create_task(self._open(payload))

    async def exchange(self, payload: bytes) -> Answer:
        """Send a request and wait for its answer."""
        answered: asyncio.Future[Answer] = self._loop.create_future()

        def settle(answer: Answer) -> None:
            if not answered.done():
                answered.set_result(answer)

        self.send(payload, settle)
        return await answered

    def close(self) -> None:
        """Drop the connection; an exchange under way fails as abandoned."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._drop()
        self.finish("abandoned", self._clock(), "the run was aborted")

    def finish(self, failure: Failure, now: float, detail: str = "") -> None:
        """Hand over the answer or the failure; called by the wire."""
        done, wire = self._done, self._wire
        if done is None:
            return
        self._done = None
        if wire is None:
            answer = Answer(self._begun, self._sent, 0.0, now, self._connect, failure=failure, detail=detail)
        elif failure:
            answer = Answer(
                self._begun, self._sent, wire.first, now, self._connect, wire.status, failure=failure, detail=detail
            )
        else:
            body = b"".join(wire.body)
            answer = Answer(
                self._begun, self._sent, wire.first, now, self._connect, wire.status, body, wire.retry_after
            )
        done(answer)

    async def _open(self, payload: bytes) -> None:
        wire = _Wire(self, self._clock)
        self._wire = None
        try:
            await self._loop.create_connection(lambda: wire, self._target.host, self._target.port)
        except OSError as error:
            self.finish("connect", self._clock(), error.strerror or str(error))
            return
        self._sent = self._clock()
        self._connect = self._sent - self._begun
        if not wire.usable:  # It was accepted and closed before we could say anything.
            self.finish("reset", self._sent, "the connection was closed")
            return
        self._wire = wire
        wire.write(payload)

    def _look_at_clock(self) -> None:
        """Fail an exchange whose time is over. One timer serves many exchanges: setting one for each costs more than sending."""
        self._timer = None
        if self._done is None:
            return
        now = self._clock()
        left = self._begun + self._timeout - now
        if left > 0.0:
            self._timer = self._loop.call_later(left, self._look_at_clock)
        else:
            self._expire(now)

    def _expire(self, now: float) -> None:
        wire = self._wire
        self._drop()
        self._wire = wire  # The stamps of what had come are still wanted.
        self.finish("timeout", now, f"no complete answer within {self._timeout:g} s")
        if self._wire is wire:
            self._wire = None

    def _drop(self) -> None:
        if self._opening is not None:
            self._opening.cancel()
            self._opening = None
        if self._wire is not None:
            self._wire.abort()
            self._wire = None
