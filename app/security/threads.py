"""Threads that work for an event loop and disturb it as little as may be: their priority is lower, and they call it seldom.

A loop that is called while threads hash finds its caches cold, and does all it does at half its speed. So while others
wait, what is done is kept until a few are, and told together: that is what makes more passwords a second of the same
cores, and so the mean wait shorter. Who has waited for long is told at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import deque
from queue import SimpleQueue
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any

from app.priority import step_back

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.security.lending import Lending

MOST_HELD = 4
"""Results that are told together; more of them save little."""


class Job:
    """Work on its way. Its times are the clock's: handed in, taken up, done, and told to the loop."""

    __slots__ = ("arguments", "begun", "ended", "failure", "future", "queued", "result", "told", "work")

    def __init__(
        self, work: Callable[..., Any], arguments: Sequence[object], future: asyncio.Future[Any], queued: float
    ) -> None:
        self.work = work
        self.arguments = arguments
        self.future = future
        """Gets the result."""
        self.queued = queued
        self.begun = self.ended = self.told = 0.0
        self.result: Any = None
        self.failure: BaseException | None = None


class Threads:
    """Does jobs in ``count`` threads, and in as many more as siblings leave idle, in the order in which they come.

    ``done`` is told on the loop, before the one that waits, of each job that was done. Nobody is held who would then have
    been here for ``patience`` seconds.
    """

    def __init__(
        self,
        count: int,
        *,
        nice: int,
        clock: Callable[[], float],
        done: Callable[[Job], None],
        patience: float = math.inf,
        lending: Lending | None = None,
    ) -> None:
        self._count = count
        self._nice = nice
        self._clock = clock
        self._done = done
        self._patience = patience
        self._lending = lending
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = Lock()
        self._waiting: deque[Job] = deque()
        self._running = 0
        self._started = 0
        self._held: list[Job] = []
        self._handed: SimpleQueue[Job | None] = SimpleQueue()
        self.resize(count)

    @property
    def count(self) -> int:
        """How many there are, without what is borrowed."""
        return self._count

    @property
    def reach(self) -> int:
        """How many may work now: these, and what siblings leave idle."""
        return self._count + (self._lending.idle() if self._lending else 0)

    @property
    def waiting(self) -> int:
        """How many jobs no thread has taken up."""
        return len(self._waiting)

    @property
    def undone(self) -> int:
        """How many jobs wait or are worked on."""
        return len(self._waiting) + self._running

    def resize(self, count: int) -> None:
        """Have another number of threads from now on; one that works is left to end its job."""
        with self._lock:
            self._count = count
            if self._lending:
                self._lending.offer(count)
            self._hand_out()

    def submit(self, job: Job) -> None:
        """Have a job done. Call it on the loop that is to be told."""
        self._loop = asyncio.get_running_loop()
        with self._lock:
            self._waiting.append(job)
            self._hand_out()

    def close(self) -> None:
        """Let running threads end; drop what waits. Call it on the loop."""
        with self._lock:
            dropped = list(self._waiting)
            self._waiting.clear()
            for _ in range(self._started):
                self._handed.put(None)
        for job in dropped:
            job.future.cancel()

    def _hand_out(self) -> None:
        while self._waiting and self._running < self.reach:
            self._handed.put(self._waiting.popleft())
            self._running += 1
            if self._running > self._started:
                self._started += 1
                Thread(target=self._work, name=f"argon2id_{self._started}", daemon=True).start()
            self._say_busy()

    def _say_busy(self) -> None:
        if self._lending:
            self._lending.busy(self._running)

    def _work(self) -> None:
        step_back(self._nice)
        while (job := self._handed.get()) is not None:
            following: Job | None = job
            del job  # it carries a password
            while following is not None:
                following = self._do(following)

    def _do(self, job: Job) -> Job | None:
        """Do a job; return the next one, if there is one for this thread."""
        job.begun = self._clock()
        try:
            job.result = job.work(*job.arguments)
        except BaseException as error:  # noqa: BLE001 - whoever waits for it gets it
            job.failure = error
        job.ended = self._clock()
        with self._lock:
            self._running -= 1
            following = self._waiting.popleft() if self._waiting and self._running < self.reach else None
            if following is not None:
                self._running += 1
                self._hand_out()
            self._say_busy()
            self._held.append(job)
            if following is not None and self._may_hold(job):
                return following
            told, self._held = self._held, []
        for each in told:
            each.told = job.ended
        loop = self._loop
        with contextlib.suppress(RuntimeError):  # the loop was closed under us: nobody waits any more
            if loop is not None:
                loop.call_soon_threadsafe(self._tell, told)
        return following

    def _may_hold(self, last: Job) -> bool:
        """Say whether what is held may wait for the next, after which there must be something left to work on meanwhile."""
        would_be_here = last.ended - min(job.queued for job in self._held) + (last.ended - last.begun)
        return len(self._held) < MOST_HELD and bool(self._waiting) and would_be_here < self._patience

    def _tell(self, jobs: list[Job]) -> None:
        for job in jobs:
            self._done(job)
            if job.future.done():  # whoever waited has gone
                continue
            if job.failure is not None:
                job.future.set_exception(job.failure)
            else:
                job.future.set_result(job.result)
