"""The workers of an instance: as many as were asked for, each replaced when it dies."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import TYPE_CHECKING, Any

from app.launcher.backoff import Backoff
from app.launcher.errors import LauncherError
from app.launcher.worker import ending

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from app.launcher.worker import Worker

READY_WITHIN = 30.0
FAILED_STARTS = 3
SETTLING = 0.25
"""Seconds at least before a worker is followed: its clients come to the others at once, who then have the core to themselves."""

LOOK_EVERY, FROZEN_LOOKS = 0.5, 2
"""Seconds between two looks at a worker, and how many that find it frozen have it replaced."""


class Crew:
    """Keeps `size` workers running until it is stopped.

    Workers that die before any was ever ready are a broken start and no accident: after `FAILED_STARTS` of them
    `failed` holds the error.
    """

    def __init__(self, size: int, spawn: Callable[[int], Awaitable[Worker]], say: Callable[[str], None]) -> None:
        self._size, self._spawn, self._say = size, spawn, say
        self._workers: dict[int, Worker] = {}
        self._keepers: list[asyncio.Task[None]] = []
        self._all_ready = asyncio.Event()
        self._failed_starts = 0
        self._ever_ready = False
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def start(self) -> None:
        """Start all workers; `until_ready` waits for them."""
        self._keepers = [asyncio.create_task(self._keep(number)) for number in range(1, self._size + 1)]

    async def until_ready(self) -> None:
        """Return when every worker serves; raise LauncherError when they cannot be started."""
        ready = asyncio.ensure_future(self._all_ready.wait())
        waited: set[asyncio.Future[Any]] = {ready, self.failed}
        try:
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if self.failed.done():
                self.failed.result()
        finally:
            ready.cancel()

    async def stop(self, patience: float, hasten: asyncio.Event) -> None:
        """Drain all workers for at most `patience` seconds, then kill what is left; `hasten` cuts the wait short."""
        # Keepers first: one that is just replacing a worker would otherwise start it behind our back.
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        await asyncio.gather(*(worker.stop(patience, hasten) for worker in self._workers.values()))
        if not self.failed.done():
            self.failed.cancel()

    async def _keep(self, number: int) -> None:
        backoff = Backoff()
        while True:
            try:
                worker = self._workers[number] = await self._spawn(number)
            except OSError as error:
                self._say(f"worker {number} cannot be started: {error}")
                await self._count_failed_start(f"failed: {error}")
                await asyncio.sleep(max(1.0, backoff.after(0)))
                continue
            code = await self._live(worker)
            del self._workers[number]
            lived = time.monotonic() - worker.started
            wait = backoff.after(lived)
            if not worker.ready.is_set():
                await self._count_failed_start(ending(code))
            again = "another one is started" + (f" in {wait:g} s" if wait else "")
            self._say(f"worker {number} (pid {worker.pid}) {ending(code)} after {lived:.0f} s; {again}")
            await asyncio.sleep(max(wait, SETTLING))

    async def _live(self, worker: Worker) -> int | None:
        """Follow a worker to its end; one that is not ready in time, or frozen, is killed."""
        watches = [asyncio.create_task(watch(worker)) for watch in (self._expect_ready, self._expect_unfrozen)]
        try:
            return await worker.wait()
        finally:
            for watch in watches:
                watch.cancel()

    async def _expect_ready(self, worker: Worker) -> None:
        try:
            await asyncio.wait_for(worker.ready.wait(), READY_WITHIN)
        except TimeoutError:
            self._say(f"worker {worker.number} (pid {worker.pid}) was not ready within {READY_WITHIN:g} s")
            worker.signal(signal.SIGKILL)
            return
        self._ever_ready = True
        if len(self._workers) == self._size and all(each.ready.is_set() for each in self._workers.values()):
            self._all_ready.set()

    async def _expect_unfrozen(self, worker: Worker) -> None:
        """Kill a worker that something has stopped: its connections wait for it, and new ones may still be given to it."""
        looks = 0
        while looks < FROZEN_LOOKS:
            await asyncio.sleep(LOOK_EVERY)
            looks = looks + 1 if worker.is_frozen() else 0
        self._say(f"worker {worker.number} (pid {worker.pid}) is frozen")
        worker.signal(signal.SIGKILL)

    async def _count_failed_start(self, how: str) -> None:
        self._failed_starts += 1
        if self._ever_ready or self._failed_starts < FAILED_STARTS or self.failed.done():
            return
        self.failed.set_exception(
            LauncherError(f"the workers cannot be started: the last one {how}; its error is above")
        )
        await asyncio.Event().wait()  # the launcher stops us now
