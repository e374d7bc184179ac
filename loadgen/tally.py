"""What is counted while a run goes on: plain integers and fixed-size histograms, so that a day of load takes no more memory."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from loadgen.journeys import STEPS, Step
from observability.model import Histogram

if TYPE_CHECKING:
    from collections.abc import Iterable

    from loadgen.client import Answer

_SHED = frozenset({429, 503})
_SERVER_FAULT = 500


class StepTally:
    """Everything counted of one step. Durations are seconds.

    ``response`` runs from the intended time and holds every request: one that failed or was answered wrongly is entered with
    at least the timeout, so that failing can never improve a percentile. ``service`` runs from sending to the last byte and
    holds what was answered, as it was.
    """

    __slots__ = (
        "_timeout",
        "connect",
        "count",
        "errors",
        "failures",
        "response",
        "service",
        "shed",
        "statuses",
        "step",
    )

    def __init__(self, step: Step, timeout: float) -> None:
        self.step = step
        self._timeout = timeout
        self.count = 0
        self.errors = 0
        self.shed = 0
        self.failures: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()
        self.response = Histogram()
        self.service = Histogram()
        self.connect = Histogram()

    def answered(self, intended: float, answer: Answer, *, usable: bool) -> None:
        """Count an answer; ``usable`` says that it had the status and the content that the journey expected."""
        self.count += 1
        self.statuses[answer.status] += 1
        if answer.connect:
            self.connect.record(answer.connect)
        self.service.record(answer.last - answer.sent)
        response = answer.last - intended
        if usable:
            self.response.record(response)
            return
        self.errors += 1
        if answer.status in _SHED:
            self.shed += 1
        self.failures[self._kind(answer.status)] += 1
        self.response.record(max(response, self._timeout))

    def failed(self, intended: float, at: float, kind: str) -> None:
        """Count a request that got no answer."""
        self.count += 1
        self.errors += 1
        self.failures[kind] += 1
        self.response.record(max(at - intended, self._timeout))

    def _kind(self, status: int) -> str:
        if status == self.step.expected:
            return "unusable answer"
        return "server error" if status >= _SERVER_FAULT else "unexpected status"


class Tally:
    """Everything counted of a run. ``lag`` is how late the generator itself was when a connection was free."""

    def __init__(self, steps: Iterable[str], timeout: float) -> None:
        self.steps = {name: StepTally(STEPS[name], timeout) for name in steps}
        self.lag = Histogram()
        self.sent = 0

    @property
    def completed(self) -> int:
        """How many requests have come to an end, answered or not."""
        return sum(step.count for step in self.steps.values())

    @property
    def errors(self) -> int:
        """How many of them failed or were answered wrongly."""
        return sum(step.errors for step in self.steps.values())

    @property
    def shed(self) -> int:
        """How many of the errors were 503 or 429."""
        return sum(step.shed for step in self.steps.values())

    def response(self) -> Histogram:
        """Return the response times of all steps together."""
        return Histogram.of(*(step.response.freeze() for step in self.steps.values()))
