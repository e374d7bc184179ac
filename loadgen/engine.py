"""The measured part of a run: requests leave at their intended times, whatever the answers do.

Everything is a visit: one request in an open scenario, a journey's steps one after the other, or a user who asks for ever. A
request needs a free connection, and a visit that begins needs a free user. While there is none it waits in a queue with its
intended time, so the wait is part of its response time; one that is still waiting when its timeout is over is counted as failed.
The queue is bounded by that: rate times timeout. Nothing is dropped.
"""

from __future__ import annotations

import asyncio
import heapq
import random
import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from loadgen.pacer import in_blocks, plan_arrivals, thinking
from loadgen.tally import Exchange
from loadgen.timer import timer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from loadgen.client import Answer, Connection
    from loadgen.scenario import Scenario
    from loadgen.tally import Tally
    from loadgen.workload import Traces, VirtualUser, Workload

_TEND_EVERY = 0.05
_BURST = 32  # Requests sent in a row when late, before answers are looked at.
_NEVER = float("inf")


class Seat(NamedTuple):
    """A user, when it joins in (seconds after the start), and the connection that it brings, if each user brings one."""

    offset: float
    user: VirtualUser
    connection: Connection | None


class Visit(Exchange):
    """Who asks, and what for: the step that is due or under way, and those that follow it (None: for ever)."""

    __slots__ = ("connection", "position", "steps", "user")

    def __init__(self, steps: tuple[str, ...] | None, step: str, intended: float) -> None:
        super().__init__(step, intended)
        self.steps = steps
        self.position = 0
        self.user: VirtualUser | None = None
        self.connection: Connection | None = None


class Engine:
    """Sends one process's part of a scenario and counts what comes back.

    ``seats`` are in the order in which they join; ``shared`` are connections that belong to nobody.
    """

    def __init__(
        self,
        scenario: Scenario,
        workload: Workload,
        seats: Sequence[Seat],
        shared: Sequence[Connection],
        tally: Tally,
        traces: Traces,
        *,
        part: int = 0,
        parts: int = 1,
    ) -> None:
        self._scenario = scenario
        self._workload = workload
        self._seats = deque(seats)
        self._all = [*shared, *(seat.connection for seat in seats if seat.connection)]
        self._users: deque[VirtualUser] = deque()  # First in, first out: requests rotate over all, so no key is hot.
        self._free: deque[Connection] = deque(shared)
        self._tally = tally
        self._traces = traces
        self._clock = time.perf_counter  # The clock of the timer and of the connections.
        self._randomness = random.Random(f"{scenario.seed}/{part}/thinking")  # noqa: S311 - to be repeated, no secret
        self._open = scenario.shape == "open"
        self._closed = scenario.shape == "closed"
        self._plan = iter(()) if self._closed else plan_arrivals(scenario, part=part, parts=parts)
        self._endless: Iterator[str] = (
            in_blocks(dict(scenario.mix), None, self._randomness) if self._closed else iter(())
        )
        self._arrival: Visit | None = None
        self._later: list[tuple[float, int, Visit]] = []
        self._beginning: deque[Visit] = deque()
        self._following: deque[Visit] = deque()
        self._timeout = scenario.timeout_s
        self._stopped = False
        self._number = 0
        self._end = _NEVER
        self.in_flight = 0
        self.cut = 0
        self.started = 0.0

    @property
    def waiting(self) -> int:
        """How many requests wait for a user or a connection."""
        return len(self._beginning) + len(self._following)

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
        self.started, self._end = start, start + self._scenario.length
        self._tally.begin(start)
        self._advance_plan()
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
        burst, now = 0, self._clock()
        while not self._stopped:
            due = self._next_due()
            if due == _NEVER and self._open:
                break
            due = min(due, self._end)
            if due > now:
                now = self._clock()
                if due > now:
                    self._timer.set(due)
                    return
            if due == self._end:
                break
            if burst == _BURST:
                self._loop.call_soon(self._wake)
                return
            burst += 1
            self._take_due(due)
        self._finish_plan()

    def _next_due(self) -> float:
        due = self._arrival.intended if self._arrival is not None else _NEVER
        if self._later and self._later[0][0] < due:
            due = self._later[0][0]
        if self._closed and self._seats:
            due = min(due, self.started + self._seats[0].offset)
        return due

    def _take_due(self, due: float) -> None:
        seats = self._seats
        while seats and self.started + seats[0].offset <= due:
            self._join(seats.popleft())
        arrival, later = self._arrival, self._later
        if later and later[0][0] <= due:
            self._offer(heapq.heappop(later)[2])
        elif arrival is not None and arrival.intended <= due:
            self._advance_plan()
            self._offer(arrival)

    def _join(self, seat: Seat) -> None:
        if seat.connection is not None:
            self._free.append(seat.connection)
        if not self._closed:
            self._users.append(seat.user)
            return
        visit = Visit(None, next(self._endless), 0.0)
        visit.user = seat.user
        self._schedule(visit, self.started + seat.offset)

    def _advance_plan(self) -> None:
        """Take the next arrival out of the plan."""
        planned = next(self._plan, None)
        if planned is None:
            self._arrival = None
            return
        offset, step = planned
        journeys = self._scenario.journey
        steps = journeys[int(step)].steps if journeys else (step,)
        self._arrival = Visit(steps, steps[0], self.started + offset)

    def _finish_plan(self) -> None:
        self.cut += sum(visit.steps is not None for _, _, visit in self._later)
        self._later.clear()
        self._arrival = None
        self._over.set_result(None)

    def _schedule(self, visit: Visit, after: float) -> bool:
        """Let a visit's next request fall due when its user has thought; return False when the run is over by then."""
        visit.intended = after + thinking(self._scenario.think, self._randomness)
        if self._over.done() or self._stopped or visit.intended >= self._end:
            self.cut += visit.steps is not None
            return False
        self._number += 1
        heapq.heappush(self._later, (visit.intended, self._number, visit))
        if self._later[0][2] is visit:
            self._timer.set(self._next_due())
        return True

    def _offer(self, visit: Visit) -> None:
        now = self._clock()
        moment = self._tally.moment(visit.intended)
        moment.planned += 1
        self._tally.planned += 1
        queue = self._beginning if visit.user is None else self._following
        if not queue and self._free and (visit.user is not None or self._users):
            moment.lag.record(now - visit.intended)
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
            self._tally.moment(now).wait.record(now - visit.intended)
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
        moment.in_flight = max(moment.in_flight, self.in_flight)
        line = self._traces.line(visit.number)
        connection.send(payload.head + line + payload.rest, partial(self._settle, visit))

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
        if visit.steps is None:
            visit.step = next(self._endless)
            self._schedule(visit, answer.last)
        elif not (learnt and self._follow(visit, answer.last)):
            self._users.append(user)
        if self._beginning or self._following:
            self._advance()
        if self._over.done():
            self._check_drained()

    def _follow(self, visit: Visit, after: float) -> bool:
        """Schedule a journey's next step; return False when there is none, or the end of the run comes before it."""
        steps, position = visit.steps or (), visit.position + 1
        if position == len(steps):
            return False
        visit.position, visit.step = position, steps[position]
        return self._schedule(visit, after)

    def _leave(self, visit: Visit, now: float) -> None:
        """Let go of a request that was never sent: its journey is over, and a user who asks for ever asks again."""
        if visit.steps is None:
            visit.step = next(self._endless)
            self._schedule(visit, now)
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
                self._finish_plan()
            if self._over.done():
                self._check_drained()
