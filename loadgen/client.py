"""An HTTP/1.1 client that does one thing: send prepared bytes on a kept connection and stamp what comes back.

Every way in which an answer can fail to come is a value, never an exception: failures are results of a measurement. It follows
no redirect and heeds no proxy.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from typing import TYPE_CHECKING

import msgspec

from loadgen.wire import BODY_LIMIT, Failure, Wire, header

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadgen.target import Target

__all__ = ["BODY_LIMIT", "Answer", "Connection", "Failure", "Phases", "header"]


class Answer(msgspec.Struct, frozen=True):
    """What became of one request. Stamps are seconds of the client's clock, 0 when the event never came.

    ``begun`` is when the request was handed over, ``sent`` when it was written, ``first`` and ``last`` when the first bytes of
    the answer and its end (or the failure) were seen; ``connect`` is how long connecting took, 0 on a kept connection. ``head``
    is the answer up to its headers' end, and maybe more.
    """

    begun: float
    sent: float
    first: float
    last: float
    connect: float = 0.0
    status: int = 0
    body: bytes = b""
    head: bytes = b""
    failure: Failure = ""
    detail: str = ""


class Phases(msgspec.Struct, frozen=True):
    """Seconds that each phase of an exchange may take, within what the whole may take."""

    connect: float = float("inf")
    send: float = float("inf")
    first_byte: float = float("inf")


class Connection:
    """One kept connection to the target, opened when first needed and again after it was lost. One exchange at a time.

    ``timeout`` is how many seconds an exchange may take, connecting included.
    """

    def __init__(
        self,
        target: Target,
        *,
        timeout: float,
        phases: Phases | None = None,
        tls: ssl.SSLContext | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._target = target
        self._timeout = timeout
        self._phases = phases or Phases()
        self._shortest = min(timeout, self._phases.connect, self._phases.send, self._phases.first_byte)
        self._tls = tls
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._wire: Wire | None = None
        self._opening: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._done: Callable[[Answer], None] | None = None
        self._begun = self._sent = self._connect = 0.0

    def send(self, payload: bytes, done: Callable[[Answer], None]) -> None:
        """Send a request; ``done`` gets its answer later, exactly once, and may send the next one."""
        if self._done is not None:
            raise RuntimeError("a connection carries one exchange at a time")
        self._done = done
        self._connect = 0.0
        self._begun = self._clock()
        if self._timer is None:
            self._timer = self._loop.call_later(self._shortest, self._look_at_clock)
        if self._wire is not None and self._wire.usable:
            self._sent = self._begun
            self._wire.write(payload)
        else:
            self._sent = 0.0
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
        else:
            answer = Answer(
                self._begun,
                self._sent,
                wire.first,
                now,
                self._connect,
                wire.status,
                wire.body,
                wire.head,
                failure,
                detail,
            )
        done(answer)

    async def _open(self, payload: bytes) -> None:
        wire = Wire(self, self._clock)
        self._wire = None
        try:
            name = self._target.host if self._tls else None
            await self._loop.create_connection(
                lambda: wire, self._target.host, self._target.port, ssl=self._tls, server_hostname=name
            )
        except ssl.SSLError as error:
            self.finish("tls", self._clock(), str(error))
            return
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
        due, failure = self._deadline()
        left = due - now
        if left > 0.0:
            self._timer = self._loop.call_later(min(left, self._shortest), self._look_at_clock)
        else:
            self._expire(failure, now)

    def _deadline(self) -> tuple[float, Failure]:
        """Return when the present phase or the whole must be over, whichever is first, and what it is if it is not."""
        phases, wire = self._phases, self._wire
        whole: tuple[float, Failure] = (self._begun + self._timeout, "timeout")
        if not self._sent:
            return min(whole, (self._begun + phases.connect, "connect timeout"))
        if wire is None or wire.first:
            return whole
        if wire.unsent:
            return min(whole, (self._sent + phases.send, "send timeout"))
        return min(whole, (self._sent + phases.first_byte, "first byte timeout"))

    def _expire(self, failure: Failure, now: float) -> None:
        wire = self._wire
        self._drop()
        self._wire = wire  # The stamps of what had come are still wanted.
        self.finish(failure, now, f"no complete answer {now - self._begun:.3g} s after it was handed over")
        if self._wire is wire:
            self._wire = None

    def _drop(self) -> None:
        if self._opening is not None:
            self._opening.cancel()
            self._opening = None
        if self._wire is not None:
            self._wire.abort()
            self._wire = None
