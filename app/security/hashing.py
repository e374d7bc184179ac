"""The threads that hash: of low priority, and behind a queue that refuses before anybody waits too long."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

from app.errors import HashingBusy
from app.priority import step_back

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")

_WEIGHT, _SPREAD_WEIGHT = 1 / 8, 1 / 4
"""Of the newest duration in the mean that is expected of the next, and in the mean deviation; TCP's for round trips (RFC 6298)."""


class HashMeter(Protocol):
    """What the queue tells whoever counts. Times are seconds."""

    threads: int

    def enqueue(self) -> None:
        """One more waits."""

    def begin(self, waited: float) -> None:
        """A thread takes one up."""

    def end(self, duration: float) -> None:
        """It is done."""

    def spent(self, queued: float, begun: float, ended: float) -> None:
        """The running task waited for one that was queued, taken up and done at these times of the clock."""

    def refuse(self) -> None:
        """One was turned away."""


class HashThreads:
    """Runs work in ``threads`` threads. At most ``queue`` more may wait, and none that would be done later than in ``most_time`` seconds.

    What finds a thread free is never refused. ``nice`` lowers the threads' priority below the event loop's, from 0 (not
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
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._make = partial(ThreadPoolExecutor, thread_name_prefix="argon2id", initializer=step_back, initargs=(nice,))
        self._executor = self._make(threads)
        self._threads = threads
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
        return self._threads

    def resize(self, threads: int) -> None:
        """Have another number of threads from now on; what waits already is done by those there were."""
        if threads == self._threads:
            return
        former, self._executor = self._executor, self._make(threads)
        former.shutdown(wait=False)
        self._limit += threads - self._threads
        self._threads = self._meter.threads = threads

    @property
    def idle(self) -> bool:
        """Whether a thread is free."""
        return self._taken < self._threads

    def expected(self) -> float:
        """Return in how many seconds what comes now would be done, by the mean of what was done lately."""
        ahead = max(0, self._taken - self._threads + 1)
        return (ahead / self._threads + 1) * self._mean

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
        self._meter.enqueue()
        loop = asyncio.get_running_loop()
        queued = self._clock()
        future = loop.run_in_executor(self._executor, self._timed, loop, queued, work, arguments)
        # The slot belongs to the thread, not to the caller: who goes away frees nothing before the work is done.
        future.add_done_callback(self._finished)
        result, begun, ended = await asyncio.shield(future)
        self._meter.spent(queued, begun, ended)
        return result

    def _timed(
        self, loop: asyncio.AbstractEventLoop, queued: float, work: Callable[..., Result], arguments: tuple[object, ...]
    ) -> tuple[Result, float, float]:
        begin = self._clock()
        with contextlib.suppress(RuntimeError):  # the loop was closed under us: nobody counts any more
            loop.call_soon_threadsafe(self._meter.begin, begin - queued)
        return work(*arguments), begin, self._clock()

    def _finished(self, future: asyncio.Future[tuple[Result, float, float]]) -> None:
        self._taken -= 1
        if not future.cancelled() and future.exception() is None:
            _, begin, end = future.result()
            duration = end - begin
            if self._mean:
                self._spread += (abs(duration - self._mean) - self._spread) * _SPREAD_WEIGHT
            self._mean += (duration - self._mean) * (_WEIGHT if self._mean else 1)
            self._meter.end(duration)

    def close(self) -> None:
        """Let running threads end; drop what waits."""
        self._executor.shutdown(wait=False, cancel_futures=True)
