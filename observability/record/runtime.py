"""The process itself: CPU, memory, open files, tasks, and how late its event loop runs."""

from __future__ import annotations

import asyncio
import time

import psutil

from observability.model import Histogram, Runtime

LAG_INTERVAL = 0.1
"""Seconds between two looks at the clock; a stall shorter than this can be missed, a longer one cannot."""


COUNT_INTERVAL = 10.0
"""Seconds between two counts of open files and tasks: with ten thousand connections a count takes milliseconds."""


class RuntimeMeter:
    """Samples loop lag while running; reads CPU seconds and resident bytes when frozen."""

    def __init__(self) -> None:
        self.loop_lag = Histogram()
        self._process = psutil.Process()
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._counted = -COUNT_INTERVAL
        self._open_files = self._tasks = 0

    def start(self) -> None:
        """Begin to sample the running event loop."""
        loop = self._loop = asyncio.get_running_loop()
        self._look_at(loop, loop.time() + LAG_INTERVAL)

    def stop(self) -> None:
        """Stop sampling."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def freeze(self) -> Runtime:
        """Return the present figures."""
        self._count()
        return Runtime(
            cpu=time.process_time(),
            rss=self._process.memory_info().rss,
            loop_lag=self.loop_lag.freeze(),
            open_files=self._open_files,
            tasks=self._tasks,
        )

    def _count(self) -> None:
        now = time.monotonic()
        if self._loop is None or now < self._counted + COUNT_INTERVAL:
            return
        self._counted = now
        self._tasks = len(asyncio.all_tasks(self._loop))
        self._open_files = self._process.num_fds() if psutil.POSIX else 0

    def _look_at(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        self._timer = loop.call_at(due, self._look, loop, due)

    def _look(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        now = loop.time()
        self.loop_lag.record(max(0.0, now - due))
        self._look_at(loop, now + LAG_INTERVAL)
