"""What one sending process counts: plain integers and fixed-size histograms, handed over once a second and begun anew.

So a day of load takes no more memory here than a second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from loadgen.results import Moment
from loadgen.step_tally import ROUNDING, StepCounts, StepTally
from observability.model import Histogram

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from loadgen.client import Answer
    from loadgen.samples import Spool
    from loadgen.step_tally import Exchange
    from loadgen.workload import Step, Traces


LATE = 0.01
"""Seconds that a request must have waited here before its trace is asked for because of that."""

_LATE_EVERY = 0.1
"""Seconds between two such requests, so that a queue that grows does not ask for the trace of each."""


class Counts(msgspec.Struct, frozen=True):
    """All that a process counted since it last handed over."""

    steps: dict[str, StepCounts]
    moments: tuple[Moment, ...]


class _OpenMoment:
    """What happened in one second while it is counted into."""

    __slots__ = ("completed", "in_flight", "lag", "planned", "sent", "wait", "waiting")

    def __init__(self) -> None:
        self.planned = self.sent = self.completed = self.in_flight = self.waiting = 0
        self.lag, self.wait = Histogram(), Histogram()

    def freeze(self, at: int) -> Moment:
        return Moment(
            at,
            self.planned,
            self.sent,
            self.completed,
            self.lag.freeze(),
            self.wait.freeze(),
            self.in_flight,
            self.waiting,
        )


class Tally:
    """Everything that one process counts. ``spool`` takes every request, if raw samples were asked for."""

    def __init__(
        self, steps: Mapping[str, Step], used: Iterable[str], timeout: float, traces: Traces, spool: Spool | None = None
    ) -> None:
        self._steps = steps
        self.of = {name: StepTally(steps[name], timeout, traces) for name in used}
        self._traces = traces
        self._spool = spool
        self._moments: dict[int, _OpenMoment] = {}
        self._from = self._until = 0.0
        self._moment = _OpenMoment()
        self._start = self._late_again = 0.0
        self.planned = self.sent = self.completed = 0

    def begin(self, start: float) -> None:
        """Count from this instant."""
        self._start = start
        for step in self.of.values():
            step.start = start

    def moment(self, now: float) -> _OpenMoment:
        """Return the second that ``now`` lies in, to count into."""
        if not self._from <= now < self._until:
            at = max(0, int(now - self._start + ROUNDING))
            self._from = self._start + at - ROUNDING
            self._until = self._from + 1.0
            found = self._moments.get(at)
            if found is None:
                found = self._moments[at] = _OpenMoment()
            self._moment = found
        return self._moment

    def is_late(self, exchange: Exchange, waited: float, now: float) -> bool:
        """Say whether a request that is to be sent will be one of the slowest, as it waited longer than those took; not too often."""
        if now < self._late_again or waited <= self.of[exchange.step].floor:
            return False
        self._late_again = now + _LATE_EVERY
        return True

    def settle(self, exchange: Exchange, answer: Answer, *, learnt: bool) -> str:
        """Count the end of a request that was sent; ``learnt`` says that an expected answer held what it should."""
        step = self.of[exchange.step]
        if answer.failure:
            outcome = step.failed(exchange, answer.last, answer.failure, answer.detail, answer)
        else:
            outcome = step.answered(exchange, answer, usable=learnt)
        self._ended(answer.last)
        if self._spool is not None:
            self._spool.add(exchange, answer, outcome, self._start)
        return outcome

    def unsent(self, exchange: Exchange, now: float, outcome: str) -> None:
        """Count a request that was never sent."""
        self.of[exchange.step].failed(exchange, now, outcome)
        self._ended(now)
        if self._spool is not None:
            self._spool.add_unsent(exchange, now, outcome, self._start)

    def _ended(self, now: float) -> None:
        self.completed += 1
        moment = self._moment if self._from <= now < self._until else self.moment(now)
        moment.completed += 1

    def take(self, *, last: bool = False) -> Counts:
        """Hand over what was counted since the last time, and begin anew."""
        moments = tuple(moment.freeze(at) for at, moment in self._moments.items())
        self._moments, self._until = {}, 0.0
        if self._spool is not None:
            self._spool.flush()
        return Counts({name: step.take(last=last) for name, step in self.of.items()}, moments)
