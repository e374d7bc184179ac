"""The measured part of a run: requests leave at their intended times, whatever the answers do.

A request needs a free user. When none is free it waits in a queue with its intended time, so the wait is part of its response
time; one that is still waiting when its timeout is over is counted as failed. The queue is bounded by that: rate times
timeout. Nothing is dropped.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from loadgen.journeys import STEPS, Journeys, VirtualUser

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from loadgen.client import Answer, Connection
    from loadgen.pacer import Planned
    from loadgen.tally import Tally

SPIN = 0.0005
"""Seconds before an intended time during which the loop is turned over instead of slept: uvloop's timers are whole ms."""

LONGEST_SLEEP = 0.1
"""Seconds after which the pacer looks whether it was stopped, however far away the next request is."""

_TEND_EVERY = 0.05
_BURST = 32  # Requests sent in a row when late, before answers are looked at.


class Engine:
    """Sends a plan through the users' connections and counts what comes back. ``clock`` is monotonic seconds."""

    def __init__(
        self,
        users: Sequence[tuple[VirtualUser, Connection]],
        journeys: Journeys,
        tally: Tally,
        *,
        timeout: float,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._idle = deque(users)  # First in, first out: requests rotate over all users, so no key is hot.
        self._connections = [connection for _, connection in users]
        self._journeys = journeys
        self._tally = tally
        self._timeout = timeout
        self._clock = clock
        self._waiting: deque[tuple[str, float]] = deque()
        self._stopped = False
        self._changed = asyncio.Event()
        self.in_flight = 0
        self.started = 0.0
        self.drained_after = 0.0

    @property
    def waiting(self) -> int:
        """How many requests wait for a free user."""
        return len(self._waiting)

    @property
    def elapsed(self) -> float:
        """Seconds since the clock started, up to the end of draining."""
        if not self.started:
            return 0.0
        return self.drained_after or self._clock() - self.started

    def stop(self) -> None:
        """Send nothing new; what is under way or waiting is still drained."""
        self._stopped = True

    def abort(self) -> None:
        """Stop, and give up what is waiting or under way: it counts as failed."""
        self._stopped = True
        now = self._clock()
        while self._waiting:
            step, intended = self._waiting.popleft()
            self._tally.steps[step].failed(intended, now, "abandoned")
        for connection in self._connections:
            connection.close()

    async def run(self, plan: Iterable[Planned], draining: Callable[[], None]) -> None:
        """Send everything at its time, call ``draining``, and return when the last answer or failure has come."""
        tending = asyncio.create_task(self._tend())
        try:
            self.started = self._clock()
            burst = 0
            for offset, step in plan:
                intended = self.started + offset
                burst = await self._until(intended, burst)
                if self._stopped:
                    break
                self._offer(step, intended)
            draining()
            while self.in_flight or self._waiting:
                self._changed.clear()
                await self._changed.wait()
            self.drained_after = self._clock() - self.started
        finally:
            tending.cancel()

    async def _until(self, due: float, burst: int) -> int:
        """Wait for an intended time; when it is past, yield only after a burst. Returns the length of the burst so far."""
        while not self._stopped:
            wait = due - self._clock()
            if wait <= 0.0:
                break
            burst = 0
            await asyncio.sleep(min(wait - SPIN, LONGEST_SLEEP) if wait > SPIN else 0)
        if burst >= _BURST:
            await asyncio.sleep(0)
            return 0
        return burst + 1

    def _offer(self, step: str, intended: float) -> None:
        if self._idle and not self._waiting:
            self._tally.lag.record(self._clock() - intended)
            self._send(step, intended)
        else:
            self._waiting.append((step, intended))
            self._advance()

    def _advance(self) -> None:
        """Send what waits as far as users are free, and fail what has waited too long."""
        now = self._clock()
        while self._waiting:
            step, intended = self._waiting[0]
            if now - intended >= self._timeout:
                self._waiting.popleft()
                self._tally.steps[step].failed(intended, now, "unsent")
            elif self._idle:
                self._waiting.popleft()
                self._send(step, intended)
            else:
                return

    def _send(self, step: str, intended: float) -> None:
        user, connection = self._idle.popleft()
        payload = self._journeys.request(step, user)
        if payload is None:
            self._tally.steps[step].failed(intended, self._clock(), "no session")
            self._idle.append((user, connection))
            return
        self.in_flight += 1
        self._tally.sent += 1
        connection.send(payload, partial(self._settle, user, connection, step, intended))

    def _settle(self, user: VirtualUser, connection: Connection, step: str, intended: float, answer: Answer) -> None:
        self.in_flight -= 1
        self._idle.append((user, connection))
        tally = self._tally.steps[step]
        if answer.failure:
            tally.failed(intended, answer.last, answer.failure)
        else:
            expected = answer.status == STEPS[step].expected
            tally.answered(intended, answer, usable=expected and self._journeys.learn(step, user, answer.body))
        if self._waiting:
            self._advance()
        self._changed.set()

    async def _tend(self) -> None:
        """Look after the queue even while neither a request falls due nor an answer comes."""
        while True:
            await asyncio.sleep(_TEND_EVERY)
            self._advance()
            self._changed.set()
