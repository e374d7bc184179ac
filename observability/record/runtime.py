"""The process itself: CPU, memory, open files, threads, tasks, garbage collection, and how late its event loop runs."""

from __future__ import annotations

import asyncio
import gc
import time
from typing import TYPE_CHECKING

import psutil

from observability.model import Histogram, Runtime
from observability.record.stalls import Stalls
from observability.record.watchdog import BLOCKED_AFTER, Watchdog

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from observability.record.watchdog import Delayed

COUNT_INTERVAL = 10.0
"""Seconds between two counts of open files, threads and tasks: with ten thousand connections a count takes milliseconds."""


class RuntimeMeter:
    """Watches the loop and the garbage collector while running; reads CPU seconds and resident bytes when frozen."""

    def __init__(self, stalls: Stalls | None = None, clock: Callable[[], float] = time.time) -> None:
        self.stalls = stalls or Stalls()
        self.watchdog = Watchdog(self.stalls, clock)
        self.gc_pauses = Histogram()
        self._process = psutil.Process()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._counted = -COUNT_INTERVAL
        self._open_files = self._tasks = self._threads = 0
        self._collecting = 0.0

    def start(self, blocked_after: float = BLOCKED_AFTER, delayed: Delayed = tuple) -> None:
        """Begin to watch the running event loop: a tick is too long after so many seconds, and ``delayed`` tells whom it delayed."""
        self._loop = asyncio.get_running_loop()
        self.stalls.start()
        self.watchdog.start(blocked_after, delayed)
        gc.callbacks.append(self._note_collection)

    def stop(self) -> None:
        """Stop watching."""
        self.stalls.stop()
        self.watchdog.stop()
        if self._note_collection in gc.callbacks:
            gc.callbacks.remove(self._note_collection)

    def freeze(self) -> Runtime:
        """Return the present figures."""
        self._count()
        return Runtime(
            cpu=time.process_time(),
            rss=self._process.memory_info().rss,
            loop_lag=self.stalls.lag.freeze(),
            open_files=self._open_files,
            tasks=self._tasks,
            threads=self._threads,
            gc_pauses=self.gc_pauses.freeze(),
            gc_collections=tuple(generation["collections"] for generation in gc.get_stats()),
        )

    def _count(self) -> None:
        now = time.monotonic()
        if self._loop is None or now < self._counted + COUNT_INTERVAL:
            return
        self._counted = now
        self._tasks = len(asyncio.all_tasks(self._loop))
        self._threads = self._process.num_threads()
        self._open_files = self._process.num_fds() if psutil.POSIX else 0

    def _note_collection(self, phase: str, _: Mapping[str, int]) -> None:
        if phase == "start":
            self._collecting = time.perf_counter()
        elif self._collecting:
            self.gc_pauses.record(time.perf_counter() - self._collecting)
            self._collecting = 0.0
