"""Finding the knee: one short run after the other, each at another rate, until the highest that meets the targets is known."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import time
from typing import TYPE_CHECKING

import msgspec

from loadgen.bottleneck import Evidence, shortages
from loadgen.errors import FolderError, PrepareError
from loadgen.knee_result import KNEE_VERSION, Knee, Need
from loadgen.neighbours import between, is_here, look
from loadgen.plan import change_scenario
from loadgen.results import RunFolder, RunStatus
from loadgen.runner import Order, Runner
from loadgen.search import Search
from loadgen.step_judge import Step, judge

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadgen.neighbours import Look, MachineUse
    from loadgen.results import Result, State
    from loadgen.runner import Progress
    from loadgen.scenario import Scenario
    from observability.model import Slo

_TOO_MANY_REQUESTS = "429"
_REST = 1.0
"""Seconds for the service to catch its breath after a rate that was too high."""


class KneeOrder(msgspec.Struct, frozen=True):
    """What is to be searched: an order whose rate is changed, up to ``most`` requests a minute, so many whole seconds a step."""

    order: Order
    most: float
    seconds: int

    @property
    def warm(self) -> int:
        """Seconds at the start of a step that do not count."""
        return max(1, math.ceil(self.seconds / 4))


class KneeRun:
    """Does one search, and tells ``noted`` of every step.

    Its folder gets a status, as a run's, and holds the steps as runs of their own in ``runs``.
    """

    def __init__(
        self,
        knee: KneeOrder,
        folder: RunFolder,
        progress: Progress,
        noted: Callable[[Step], None] = lambda _: None,
    ) -> None:
        self._knee = knee
        self._folder = folder
        self._progress = progress
        self._noted = noted
        self._search = Search(knee.order.scenario.rate_per_minute, knee.most)
        self._steps: list[Step] = []
        self._limit: Evidence | None = None
        self._runner: Runner | None = None
        self._interrupted = False
        self._started = time.time()

    def interrupt(self) -> None:
        """End the search after what is under way; a second time, give that up."""
        self._interrupted = True
        if self._runner is not None:
            self._runner.interrupt()

    async def run(self) -> Knee:
        """Search and return what was found, which has been written as the run's status but not as its result.

        Raises FolderError when the folder cannot be made, and LoadError when not even the first step can be run.
        """
        self._folder.create()
        try:
            while (rate := self._search.rate) is not None and not self._interrupted:
                await self._try(rate)
        except Exception as error:
            self._tell(self._status("failed", str(error)))
            raise
        knee = self._found()
        self._tell(self._status("interrupted" if self._interrupted else "done", knee.says))
        return knee

    async def _try(self, rate: float) -> None:
        order, seconds = self._knee.order, self._knee.warm + self._knee.seconds
        run = f"{order.run}-{len(self._steps) + 1:02}"
        scenario = change_scenario(order.scenario, {"rate_per_minute": rate, "seconds": float(seconds)})
        folder = RunFolder(self._folder.path, run)
        watching = _Watching(self, rate)
        self._runner = Runner(msgspec.structs.replace(order, scenario=scenario, run=run), folder, watching)
        try:
            result = await self._runner.run()
        except PrepareError as error:
            if not self._steps:
                raise
            self._note(_unprepared(rate, run, str(error)), Evidence())
            return
        folder.write_result(result)
        folder.write_status(result.status)
        if self._interrupted:
            return
        step = judge(result, rate=rate, warm=self._knee.warm, until=seconds)
        self._note(step, _evidence(result, self._knee.warm, watching.machine))
        if step.outcome != "met":
            await asyncio.sleep(_REST)

    def _note(self, step: Step, evidence: Evidence) -> None:
        self._steps.append(step)
        self._noted(step)
        before = self._search.missed
        self._search.tell(step.outcome)
        if self._search.missed != before:
            self._limit = evidence

    def _found(self) -> Knee:
        search, order = self._search, self._knee.order
        met = next((step for step in reversed(self._steps) if step.outcome == "met" and step.rate == search.met), None)
        return Knee(
            version=KNEE_VERSION,
            run=order.run,
            target=order.target.url,
            scenario=order.scenario,
            step_seconds=self._knee.seconds,
            met=search.met,
            missed=search.missed,
            by_generator=search.by_generator,
            interrupted=self._interrupted,
            steps=tuple(self._steps),
            ran_out=shortages(self._limit) if self._limit else (),
            evidence=self._limit,
            needs=_needs(met, order.scenario, order.slo) if met else (),
        )

    def show(self, rate: float, status: RunStatus) -> None:
        """Tell of the step that is under way, as part of the whole."""
        told = f"step {len(self._steps) + 1}: {rate:,.0f} a minute"
        if self._search.met:
            told += f", {self._search.met:,.0f} met"
        if self._search.missed:
            told += f", {self._search.missed:,.0f} missed"
        message = f"{told}; {status.message}" if status.message else told
        whole = msgspec.structs.replace(
            status, run=self._knee.order.run, scenario=self._name, started=self._started, message=message
        )
        if whole.state in {"done", "interrupted", "failed"}:
            whole = msgspec.structs.replace(whole, state="running", verdict=None, validity=None)
        self._tell(whole)

    @property
    def _name(self) -> str:
        name = self._knee.order.scenario.name
        return name if name == "knee" else f"knee of {name}"

    def _status(self, state: State, message: str) -> RunStatus:
        scenario, now = self._knee.order.scenario, time.time()
        return RunStatus(
            run=self._knee.order.run,
            scenario=self._name,
            state=state,
            started=self._started,
            updated=now,
            pid=os.getpid(),
            target=self._knee.order.target.url,
            seconds=now - self._started,
            elapsed=now - self._started,
            users=scenario.most_users,
            planned=sum(step.planned for step in self._steps),
            sent=sum(step.completed for step in self._steps),
            completed=sum(step.completed for step in self._steps),
            errors=sum(step.errors for step in self._steps),
            rate=(self._search.met or 0.0) / 60,
            message=message,
        )

    def _tell(self, status: RunStatus) -> None:
        self._progress.show(status)
        with contextlib.suppress(FolderError):  # As in a run: the next second tries again.
            self._folder.write_status(status)


class _Watching:
    """Shows a step as part of the search, and looks at the machine when its warm-up is over and when it ends."""

    def __init__(self, whole: KneeRun, rate: float) -> None:
        self._whole = whole
        self._rate = rate
        self._knee = whole._knee  # noqa: SLF001 - the other half of KneeRun
        self._first: Look | None = None
        self._last: Look | None = None

    @property
    def machine(self) -> MachineUse | None:
        """What was used of this machine while the step was measured; None when the service runs elsewhere."""
        return between(self._first, self._last) if self._first and self._last else None

    def show(self, status: RunStatus) -> None:
        self._whole.show(self._rate, status)
        target = self._knee.order.target
        if status.state != "running" or status.elapsed < self._knee.warm or not is_here(target.host):
            return
        if self._first is None:
            self._first = look(target.port)
        elif status.elapsed >= self._knee.warm + self._knee.seconds - 1 and self._last is None:
            self._last = look(target.port)


def _evidence(result: Result, warm: float, machine: MachineUse | None) -> Evidence:
    samples = result.service.samples if result.service else ()
    return Evidence(
        refused=sum(endpoint.statuses.get(_TOO_MANY_REQUESTS, 0) for endpoint in result.endpoints),
        generator=result.invalid,
        machine=machine,
        samples=tuple(sample for sample in samples if sample.at >= warm),
    )


def _needs(step: Step, scenario: Scenario, slo: Slo) -> tuple[Need, ...]:
    """Return how many such services the peak of each row takes, at this mix."""
    mix = scenario.mix or {endpoint.name: endpoint.count for endpoint in step.endpoints}
    peaks = {route.name: route.peak_per_minute for route in slo.route}
    return tuple(
        Need(name, peak, borne, math.ceil(peak / borne))
        for name, weight in mix.items()
        if (peak := peaks.get(name)) and (borne := step.rate * weight / sum(mix.values()))
    )


def _unprepared(rate: float, run: str, why: str) -> Step:
    return Step(rate=rate, run=run, outcome="missed", says=why, planned=0, completed=0, errors=0, endpoints=())
