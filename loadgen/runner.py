"""One load run from its folder to its result: prepare, measure, drain, judge, write."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from typing import TYPE_CHECKING, Protocol

import msgspec

from loadgen.client import Connection
from loadgen.engine import Engine
from loadgen.errors import FolderError, PrepareError
from loadgen.journeys import Journeys, VirtualUser
from loadgen.pacer import plan_requests
from loadgen.prepare import Preparation, spare_sessions
from loadgen.results import RESULT_VERSION, Result, RunFolder, RunStatus, State
from loadgen.scenario import Scenario
from loadgen.status import allowed_lag, endpoint_results, endpoint_statuses, judged, overall_percentiles
from loadgen.tally import Tally
from loadgen.target import Target
from observability.model import Slo

if TYPE_CHECKING:
    from collections.abc import Callable

_EVERY = 1.0


class Progress(Protocol):
    """Whoever wants to see the run go on; called once a second and at every change of state."""

    def show(self, status: RunStatus) -> None:
        """Show the present status."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be run: a scenario against a target, judged by these targets, under this name."""

    scenario: Scenario
    target: Target
    slo: Slo
    run: str


class Runner:
    """Runs one order. ``clock`` is monotonic seconds, ``wall`` Unix seconds."""

    def __init__(
        self,
        order: Order,
        folder: RunFolder,
        progress: Progress,
        *,
        clock: Callable[[], float] = time.perf_counter,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._order = order
        self._folder = folder
        self._progress = progress
        self._clock = clock
        self._wall = wall
        self._tally = Tally(order.scenario.mix, order.scenario.timeout_s)
        self._journeys = Journeys(order.target, order.run, secrets.token_urlsafe(18))
        self._state: State = "preparing"
        self._started = wall()
        self._prepared = 0
        self._engine: Engine | None = None
        self._preparing: asyncio.Task[None] | None = None
        self._interrupts = 0

    def interrupt(self) -> None:
        """End the run early: what is under way is drained and reported. A second time, it is given up."""
        self._interrupts += 1
        if self._engine is not None:
            self._engine.stop() if self._interrupts == 1 else self._engine.abort()
        elif self._preparing is not None:
            self._preparing.cancel()

    async def run(self) -> Result:
        """Do everything and return the result, which is written too.

        Raises FolderError when the folder cannot be made, and PrepareError when the users cannot be prepared (the status then
        says so). A status that cannot be written later is tried again a second on; a result is left to ``write``.
        """
        self._folder.create()
        self._folder.write_status(self._status())
        self._progress.show(self._status())
        scenario = self._order.scenario
        connections = [
            Connection(self._order.target, timeout=scenario.timeout_s, clock=self._clock) for _ in range(scenario.users)
        ]
        users = [(self._journeys.user(number), connection) for number, connection in enumerate(connections, 1)]
        ticking = asyncio.create_task(self._tick())
        try:
            cpu = await self._measure(users) if await self._prepare(users) else 0.0
        except PrepareError as error:
            self._state = "failed"
            self._write(msgspec.structs.replace(self._status(), message=str(error)))
            raise
        finally:
            ticking.cancel()
            for connection in connections:
                connection.close()
        return self._result(cpu)

    async def _prepare(self, users: list[tuple[VirtualUser, Connection]]) -> bool:
        """Prepare the users; return False when that was interrupted."""
        preparation = Preparation(self._order.target, self._journeys)
        self._preparing = asyncio.create_task(
            preparation.run(users, spare_sessions(self._order.scenario), self._count_prepared)
        )
        if self._interrupts:
            self._preparing.cancel()
        try:
            await self._preparing
        except asyncio.CancelledError:
            if not self._interrupts:
                raise
        return not self._interrupts

    async def _measure(self, users: list[tuple[VirtualUser, Connection]]) -> float:
        """Run the measured part; return the CPU seconds that it took us."""
        scenario = self._order.scenario
        plan = plan_requests(
            count=scenario.requests, rate_per_minute=scenario.rate_per_minute, mix=scenario.mix, seed=scenario.seed
        )
        self._engine = Engine(users, self._journeys, self._tally, timeout=scenario.timeout_s, clock=self._clock)
        self._state = "running"
        before = time.process_time()
        await self._engine.run(plan, self._drain)
        return time.process_time() - before

    def _drain(self) -> None:
        self._state = "draining"

    def _count_prepared(self) -> None:
        self._prepared += 1

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_EVERY)
            self._tell(self._status())

    def _tell(self, status: RunStatus) -> None:
        self._progress.show(status)
        self._write(status)

    def _write(self, status: RunStatus) -> None:
        try:
            self._folder.write_status(status)
        except FolderError:
            return  # The next second tries again, and the result at the end says it if the fault lasts.

    def _result(self, cpu: float) -> Result:
        self._state = "interrupted" if self._interrupts else "done"
        status = self._status()
        scenario = self._order.scenario
        if status.completed:
            status = judged(status, scenario.allowed_error_rate)
        if self._interrupts:
            status = msgspec.structs.replace(status, verdict=None, message="interrupted before its end")
        return Result(
            version=RESULT_VERSION,
            status=status,
            scenario=scenario,
            fewest_samples=self._order.slo.fewest_samples,
            lag_allowed=allowed_lag(status.endpoints),
            lag=self._tally.lag.freeze(),
            cpu=cpu,
            endpoints=endpoint_results(self._tally),
        )

    def _status(self) -> RunStatus:
        order, tally, engine = self._order, self._tally, self._engine
        p50, p95, p99 = overall_percentiles(tally)
        elapsed = engine.elapsed if engine else 0.0
        completed = tally.completed
        return RunStatus(
            run=order.run,
            scenario=order.scenario.name,
            state=self._state,
            started=self._started,
            updated=self._wall(),
            pid=os.getpid(),
            target=order.target.url,
            seconds=order.scenario.length,
            users=order.scenario.users,
            prepared=self._prepared,
            elapsed=elapsed,
            planned=order.scenario.requests,
            sent=tally.sent,
            completed=completed,
            errors=tally.errors,
            shed=tally.shed,
            in_flight=engine.in_flight if engine else 0,
            waiting=engine.waiting if engine else 0,
            rate=completed / elapsed if elapsed else 0.0,
            p50=p50,
            p95=p95,
            p99=p99,
            lag_p99=tally.lag.quantile(0.99),
            message=self._sentence(),
            endpoints=endpoint_statuses(tally, order.slo),
        )

    def _sentence(self) -> str:
        if self._state == "preparing":
            return f"preparing users: {self._prepared} of {self._order.scenario.users}"
        return "waiting for the last answers" if self._state == "draining" else ""
