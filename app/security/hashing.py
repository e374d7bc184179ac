"""The threads that hash: of low priority, and behind a queue that refuses before anybody waits too long."""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING, Protocol, TypeVar

from app.errors import HashingBusy
from app.security.threads import Job, Threads

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.security.lending import Lending

Result = TypeVar("Result")

_WEIGHT, _SPREAD_WEIGHT = 1 / 8, 1 / 4
"""Of the newest duration in the mean that is expected of the next, and in the mean deviation; TCP's for round trips (RFC 6298)."""


class HashMeter(Protocol):
    """What the queue tells whoever counts. Times are seconds."""

    threads: int
    queued: int

    def done(self, waited: float, duration: float) -> None:
        """One was done, after it had waited."""

    def spent(self, queued: float, begun: float, ended: float, told: float) -> None:
        """The running task waited for one that was queued, taken up, done and told of at these times of the clock."""

    def refuse(self) -> None:
        """One was turned away."""


class HashThreads:
    """Runs work in ``threads`` threads. At most ``queue`` more may wait, and none that would be done later than in ``most_time`` seconds.

    What finds a thread free, one of its own or one that it may borrow, is never refused. ``nice`` lowers the threads' priority below the event loop's, from 0 (not
    at all) to 19, where the system has priorities of threads (Linux).
    """

    def __init__(
        self,
        *,
        threads: int,
        queue: int,
        meter: HashMeter,
        most_time: float = math.inf,
        nice: int = 0,
        lending: Lending | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._crew = Threads(
            threads, nice=nice, clock=clock, done=self._finished, patience=most_time / 2, lending=lending
        )
        self._limit = threads + queue
        self._most_time = most_time
        self._taken = 0
        self._mean = 0.0
        self._spread = 0.0
        self._meter = meter
        self._clock = clock

    @property
    def threads(self) -> int:
        """How many there are."""
        return self._crew.count

    def resize(self, threads: int) -> None:
        """Have another number of threads from now on; one that works is left to end its work."""
        self._limit += threads - self._crew.count
        self._crew.resize(threads)
        self._meter.threads = threads

    @property
    def idle(self) -> bool:
        """Whether a thread is free."""
        return self._crew.undone < self._crew.reach

    def expected(self) -> float:
        """Return in how many seconds what comes now would be done, by the mean of what was done lately."""
        threads = self._crew.reach
        ahead = max(0, self._crew.undone - threads + 1)
        return (ahead / threads + 1) * self._mean

    async def run(self, work: Callable[..., Result], *arguments: object) -> Result:
        """Do the work in a thread and return what it returns. Raises HashingBusy."""
        expected = self.expected()
        too_late = expected + 2 * self._spread > self._most_time  # most, and not half, are to be in time
        if self._taken >= self._limit or (too_late and not self.idle):
            self._meter.refuse()
            raise HashingBusy(
                "more passwords are waiting to be hashed than can be in time", retry_after=max(1, math.ceil(expected))
            )
        self._taken += 1
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        job = Job(work, arguments, future, self._clock())
        self._crew.submit(job)
        self._meter.queued = self._crew.waiting
        result = await future
        self._meter.spent(job.queued, job.begun, job.ended, job.told)
        return result

    def _finished(self, job: Job) -> None:
        # The slot belongs to the thread, not to the caller: who goes away frees nothing before the work is done.
        self._taken -= 1
        self._meter.queued = self._crew.waiting
        if job.failure is None:
            duration = job.ended - job.begun
            if self._mean:
                self._spread += (abs(duration - self._mean) - self._spread) * _SPREAD_WEIGHT
            self._mean += (duration - self._mean) * (_WEIGHT if self._mean else 1)
            self._meter.done(job.begun - job.queued, duration)

    def close(self) -> None:
        """Let running threads end; drop what waits."""
        self._crew.close()
