"""The measured part of a run: requests leave at their intended times, whatever the answers do.

A request needs a free connection, and a visit that begins needs a free user. While there is none it waits in a queue with its
intended time, so the wait is part of its response time; one that is still waiting when its timeout is over is counted as failed.
The queue is bounded by that: rate times timeout. Nothing is dropped.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from loadgen.agenda import NEVER
from loadgen.tally import LATE
from loadgen.timer import timer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from loadgen.agenda import Agenda, Visit
    from loadgen.client import Answer, Connection
    from loadgen.tally import Tally
    from loadgen.workload import Traces, VirtualUser, Workload

_TEND_EVERY = 0.05
_BURST = 32  # Requests sent in a row when late, before answers are looked at.

GRAIN = 0.0003
"""Seconds between two wakes at least: waking costs more than sending, so a schedule that is denser is served in slices, each
request after its intended time by less than this. It shows as lag."""


class Engine:
    """Sends what its agenda says and counts what comes back.

    ``connections`` are all that there are; those that are not ``shared`` come with their users, when they join in. ``timeout``
    is how many seconds a request may wait to be sent.
    """

    def __init__(
        self,
        agenda: Agenda,
        workload: Workload,
        connections: Sequence[Connection],
        tally: Tally,
        traces: Traces,
        *,
        shared: bool,
        timeout: float,
    ) -> None:
        self._agenda = agenda
        self._workload = workload
        self._all = connections
        self._users: deque[VirtualUser] = deque()  # First in, first out: requests rotate over all, so no key is hot.
        self._free: deque[Connection] = deque(connections if shared else ())
        self._tally = tally
        self._traces = traces
        self._clock = time.perf_counter  # The clock of the timer and of the connections.
        self._beginning: deque[Visit] = deque()
        self._following: deque[Visit] = deque()
        self._timeout = timeout
        self._stopped = False
        self._number = 0
        self._rested = 0.0
        self.in_flight = 0

    @property
    def waiting(self) -> int:
        """How many requests wait for a user or a connection."""
        return len(self._beginning) + len(self._following)

    @property
    def cut(self) -> int:
        """How many journeys the end came before."""
        return self._agenda.cut

    def stop(self) -> None:
        """Send nothing new; what is under way or waiting is still drained."""
        self._stopped = True

    def abort(self) -> None:
        """Stop, and give up what is waiting or under way: it counts as failed."""
        self._stopped = True
        now = self._clock()
        for queue in (self._following, self._beginning):
            while queue:
                self._tally.unsent(queue.popleft(), now, "abandoned")
        for connection in self._all:
            connection.close()

    async def run(self, start: float, draining: Callable[[], None]) -> None:
        """Send everything at its time after ``start``, call ``draining``, return when the last answer or failure has come."""
        self._tally.begin(start)
        self._agenda.begin(start)
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._drained: asyncio.Future[None] = self._loop.create_future()
        self._timer = timer(self._wake)
        tending = self._loop.create_task(self._tend())
        try:
            self._wake()
            await self._over
            draining()
            self._check_drained()
            await self._drained
        finally:
            tending.cancel()
            self._timer.close()

    def _wake(self) -> None:
        """Offer everything that is due, and be woken when the next thing is."""
        if self._over.done():
            return
        agenda = self._agenda
        burst, now = 0, self._clock()
        self._rested = now + GRAIN
        while not self._stopped:
            due = agenda.due
            if due == NEVER:
                break
            if due > now:
                now = self._clock()
                if due > now:
                    self._timer.set(max(self._rested, due))
                    return
            if due == agenda.end:
                break
            if burst == _BURST:
                self._loop.call_soon(self._wake)
                return
            burst += 1
            self._take(due)
        self._finish()

    def _take(self, due: float) -> None:
        """Let those join in who do by now, and offer the next visit."""
        agenda = self._agenda
        if agenda.absent:
            for seat in agenda.joined(due):
                if seat.connection is not None:
                    self._free.append(seat.connection)
                if not agenda.engage(seat):
                    self._users.append(seat.user)
        visit = agenda.take(due)
        if visit is not None:
            self._offer(visit)

    def _finish(self) -> None:
        self._agenda.finish()
        self._over.set_result(None)

    def _offer(self, visit: Visit) -> None:
        now = visit.offered = self._clock()
        moment = self._tally.moment(visit.intended)
        moment.planned += 1
        moment.lag.record(now - visit.intended)
        self._tally.planned += 1
        queue = self._beginning if visit.user is None else self._following
        if not queue and self._free and (visit.user is not None or self._users):
            self._send(visit, now)
            return
        queue.append(visit)
        moment.waiting = max(moment.waiting, self.waiting)

    def _advance(self) -> None:
        """Send what waits as far as users and connections are free, oldest first, and fail what has waited too long."""
        now = self._clock()
        for queue in (self._following, self._beginning):
            while queue and now - queue[0].intended >= self._timeout:
                visit = queue.popleft()
                self._tally.unsent(visit, now, "unsent")
                self._leave(visit, now)
        while self._free:
            beginning = self._beginning if self._users else None
            if self._following and not (beginning and beginning[0].intended < self._following[0].intended):
                visit = self._following.popleft()
            elif beginning:
                visit = beginning.popleft()
            else:
                return
            self._tally.moment(now).wait.record(now - visit.offered)
            self._send(visit, now)

    def _send(self, visit: Visit, now: float) -> None:
        user = visit.user
        if user is None:
            user = visit.user = self._users.popleft()
        payload = self._workload.request(visit.step, user)
        if payload is None:
            self._tally.unsent(visit, now, self._workload.unready)
            self._leave(visit, now)
            return
        connection = visit.connection = self._free.popleft()
        self._number += 1
        visit.number = self._number
        self.in_flight += 1
        self._tally.sent += 1
        moment = self._tally.moment(now)
        moment.sent += 1
        if self.in_flight > moment.in_flight:  # noqa: PLR1730 - max() costs four times as much
            moment.in_flight = self.in_flight
        waited = now - visit.intended
        visit.late = waited > LATE and self._tally.is_late(visit, waited, now)
        lines = self._traces.lines(visit.number, waited, asked=visit.late, states=payload.states)
        connection.send(payload.head + lines + payload.rest, partial(self._settle, visit))

    def _settle(self, visit: Visit, answer: Answer) -> None:
        self.in_flight -= 1
        user, connection = visit.user, visit.connection
        assert user is not None and connection is not None  # noqa: S101, PT018 - sent by them
        self._free.append(connection)
        learnt = (
            not answer.failure
            and answer.status in self._workload.steps[visit.step].expected
            and self._workload.learn(visit.step, user, answer)
        )
        self._tally.settle(visit, answer, learnt=learnt)
        self._leave(visit, answer.last, learnt=learnt)
        if self._beginning or self._following:
            self._advance()
        if self._over.done():
            self._check_drained()

    def _leave(self, visit: Visit, now: float, *, learnt: bool = False) -> None:
        """Let the visit go on; when a step of it failed or nothing follows, it is over, and its user is free."""
        goes_on = (learnt or visit.steps is None) and not self._stopped and self._agenda.follow(visit, now)
        if goes_on:
            if self._agenda.is_next(visit):
                due = visit.intended
                self._timer.set(due if due <= now else max(due, self._rested))
        elif visit.user is not None:
            self._users.append(visit.user)

    def _check_drained(self) -> None:
        if not self.in_flight and not self.waiting and not self._drained.done():
            self._drained.set_result(None)

    async def _tend(self) -> None:
        """Look after the queues, and after having been stopped, even while neither a request falls due nor an answer comes."""
        while True:
            await asyncio.sleep(_TEND_EVERY)
            self._advance()
            if not self._over.done() and self._stopped:
                self._finish()
            if self._over.done():
                self._check_drained()
