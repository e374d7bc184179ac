"""One load run from its folder to its result: prepare, measure, drain, judge, write."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec

from loadgen.columns import Drawing
from loadgen.errors import FolderError, PartError, PrepareError
from loadgen.frames import Report, Share
from loadgen.journeys import STEPS
from loadgen.ledger import Ledger
from loadgen.machine import environment, steal, stolen
from loadgen.parts import Parts
from loadgen.requests import own_steps
from loadgen.results import RESULT_VERSION, Result, RunFolder, RunStatus, State
from loadgen.scenario import Scenario
from loadgen.service import Source, Watching, interval
from loadgen.soak import trends
from loadgen.status import allowed_lag, endpoint_results, endpoint_statuses, judged, overall_percentiles, sure
from loadgen.target import Target, tls_context
from loadgen.verdicts import doubts
from loadgen.watch import Watch
from observability.model import Slo

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadgen.service_figures import ServiceFigures

_EVERY = 1.0


class Progress(Protocol):
    """Whoever wants to see the run go on; called once a second and at every change of state."""

    def show(self, status: RunStatus) -> None:
        """Show the present status."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be run: a scenario against a target, judged by these targets, under this name.

    ``authority`` is a file of certificates to trust, ``samples`` whether every request is kept in the run's folder, ``metrics``
    where the service tells its own figures.
    """

    scenario: Scenario
    target: Target
    slo: Slo
    run: str
    authority: Path | None = None
    samples: bool = False
    metrics: Source | None = None


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
        scenario = order.scenario
        self._ledger = Ledger(own_steps(scenario) if scenario.request else STEPS, scenario.steps)
        self._watch = Watch(scenario.stop)
        self._state: State = "preparing"
        self._started = wall()
        self._begun = self._elapsed = 0.0
        self._prepared = 0
        self._drawing = Drawing()
        self._clock_started = 0.0
        self._parts: Parts | None = None
        self._preparing: asyncio.Task[None] | None = None
        self._interrupts = 0
        self._stopped = ""
        self._steal: float | None = None
        self._watching: Watching | None = None
        self._service: ServiceFigures | None = None

    def interrupt(self) -> None:
        """End the run early: what is under way is drained and reported. A second time, it is given up."""
        self._interrupts += 1
        if self._begun and self._parts is not None:
            self._parts.stop(now=self._interrupts > 1)
        elif self._preparing is not None:
            self._preparing.cancel()

    async def run(self) -> Result:
        """Do everything and return the result, whose status has been written; the result itself is left to ``write``.

        Raises FolderError when the folder cannot be made, PrepareError when the users cannot be prepared, and PartError when a
        sending process dies (the status then says so). A status that cannot be written later is tried again a second on.
        """
        self._folder.create()
        self._tell(self._status())
        ticking = asyncio.create_task(self._tick())
        try:
            async with Parts(self._shares()) as parts:
                self._parts = parts
                if await self._prepare(parts):
                    await self._measure(parts)
        except (PrepareError, PartError) as error:
            self._state = "failed"
            self._write(msgspec.structs.replace(self._status(), message=str(error)))
            raise
        finally:
            ticking.cancel()
        if self._begun:
            self._draw(None)
        return self._result()

    def _shares(self) -> list[Share]:
        order, parts, password = self._order, self._order.scenario.processes, secrets.token_urlsafe(18)
        return [
            Share(
                scenario=order.scenario,
                target=order.target,
                authority=str(order.authority) if order.authority else None,
                run=order.run,
                password=password,
                part=part,
                parts=parts,
                samples=str(self._folder.path / name) if (name := self._samples(part)) else None,
            )
            for part in range(parts)
        ]

    def _samples(self, part: int) -> str:
        return f"samples-{part}.bin" if self._order.samples else ""

    async def _prepare(self, parts: Parts) -> bool:
        """Prepare the users; return False when that was interrupted."""
        self._preparing = asyncio.create_task(parts.prepare(self._count_prepared))
        if self._interrupts:
            self._preparing.cancel()
        try:
            await self._preparing
        except asyncio.CancelledError:
            if not self._interrupts:
                raise
        return not self._interrupts

    async def _measure(self, parts: Parts) -> None:
        before = stolen()
        try:
            await parts.measure(self._take, self._begin)
        finally:
            self._elapsed = self._clock() - self._begun
            if self._watching is not None:
                self._service = await self._watching.end()
        self._steal = steal(before, stolen())

    def _begin(self, at: float) -> None:
        self._begun = at
        self._clock_started = self._wall() + at - self._clock()
        self._state = "running"
        source = self._order.metrics
        if source is not None:
            tls = tls_context(source.target, self._order.authority if source.target.tls else None)
            every = interval(self._order.scenario.length)
            self._watching = Watching(source, tls, every, lambda: self._clock() - self._begun)

    def _take(self, number: int, report: Report) -> None:
        self._ledger.add(number, report)
        reports = self._ledger.reports
        if len(reports) == self._order.scenario.processes and all(each.draining for each in reports.values()):
            self._state = "draining"

    def _count_prepared(self) -> None:
        self._prepared += 1

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_EVERY)
            status = self._status()
            self._tell(status)
            if self._begun and self._drawing.grown(self._ledger, status.elapsed):
                self._draw(status.elapsed)
            if self._state == "running" and not self._stopped:
                self._stopped = self._watch.look(self._ledger, status.elapsed)
                if self._stopped and self._parts is not None:
                    self._parts.stop()

    def _tell(self, status: RunStatus) -> None:
        self._progress.show(status)
        self._write(status)

    def _write(self, status: RunStatus) -> None:
        # The next second tries again, and the result at the end says it if the fault lasts.
        with contextlib.suppress(FolderError):
            self._folder.write_status(status)

    def _draw(self, elapsed: float | None) -> None:
        """Write the columns of the run so far, or of all of it."""
        with contextlib.suppress(FolderError):
            self._folder.write_columns(self._drawing.columns(self._ledger, self._clock_started, elapsed))

    def _result(self) -> Result:
        self._state = "interrupted" if self._interrupts else "done"
        order, ledger, status = self._order, self._ledger, self._status()
        allowed = allowed_lag(status.endpoints)
        invalid = tuple(doubts(lag_p99=status.lag_p99, allowed=allowed, processes=ledger.processes, steal=self._steal))
        endpoints = endpoint_results(ledger)
        status = sure(
            status,
            endpoints,
            block_seconds=ledger.block_seconds,
            fewest=order.slo.fewest_samples,
            trend=bool(order.scenario.stage),
        )
        grown = trends(self._service, order.scenario.steady, self._elapsed) if order.scenario.steady else ()
        if status.completed:
            status = judged(
                status,
                order.scenario,
                invalid=invalid,
                server_errors=ledger.server_errors,
                stopped=self._stopped,
                trends=grown,
            )
        if self._interrupts:
            status = msgspec.structs.replace(status, verdict=None, message="interrupted before its end")
        faults = [report.fault for report in ledger.reports.values() if report.fault]
        if faults:
            status = msgspec.structs.replace(status, message="; ".join(filter(None, [status.message, *faults])))
        return Result(
            version=RESULT_VERSION,
            status=status,
            scenario=order.scenario,
            environment=environment(order.scenario, order.target.url, order.slo, self._steal),
            fewest_samples=order.slo.fewest_samples,
            lag_allowed=allowed,
            lag=ledger.lag.freeze(),
            wait=ledger.wait.freeze(),
            cpu=sum(use.cpu for use in ledger.processes),
            block_seconds=ledger.block_seconds,
            moments=tuple(moment for _, moment in sorted(ledger.moments.items())),
            endpoints=endpoints,
            processes=ledger.processes,
            invalid=invalid,
            stopped=self._stopped,
            service=self._service,
            trends=grown,
            samples=tuple(filter(None, map(self._samples, range(order.scenario.processes)))),
        )

    def _status(self) -> RunStatus:
        order, ledger = self._order, self._ledger
        p50, p95, p99 = overall_percentiles(ledger)
        elapsed = self._elapsed or (max(0.0, self._clock() - self._begun) if self._begun else 0.0)
        completed = ledger.completed
        return RunStatus(
            run=order.run,
            scenario=order.scenario.name,
            state=self._state,
            started=self._started,
            updated=self._wall(),
            pid=os.getpid(),
            target=order.target.url,
            seconds=order.scenario.length,
            users=order.scenario.most_users,
            prepared=self._prepared,
            elapsed=elapsed,
            planned=self._planned(),
            due=ledger.total("planned"),
            sent=ledger.total("sent"),
            completed=completed,
            errors=ledger.errors,
            shed=ledger.shed,
            in_flight=ledger.total("in_flight"),
            waiting=ledger.total("waiting"),
            rate=completed / elapsed if elapsed else 0.0,
            p50=p50,
            p95=p95,
            p99=p99,
            lag_p99=ledger.lag.quantile(0.99),
            cut=ledger.total("cut"),
            message=self._sentence(),
            endpoints=endpoint_statuses(ledger, order.slo),
        )

    def _planned(self) -> int:
        """Return how many requests the plan has, or, where chance or answers decide, how many it turned out to have."""
        scenario, fell_due = self._order.scenario, self._ledger.total("planned")
        if scenario.shape == "open" and scenario.arrivals == "constant":
            return scenario.requests
        return fell_due if self._state == "done" else max(scenario.requests, fell_due)

    def _sentence(self) -> str:
        if self._state == "preparing":
            return f"preparing users: {self._prepared} of {self._order.scenario.most_users}"
        return "waiting for the last answers" if self._state == "draining" else ""
