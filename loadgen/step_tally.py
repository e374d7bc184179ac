"""What becomes of one step's requests, as one sending process counts it."""

from __future__ import annotations

import heapq
from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from loadgen.results import Block, Example, Slow
from observability.model import Distribution, Histogram

if TYPE_CHECKING:
    from loadgen.client import Answer
    from loadgen.workload import Step, Traces

OK = "ok"
SLOWEST = 10
"""How many of each endpoint's slowest requests are told."""

EXAMPLES = 3
"""How many requests of each kind of failure are told."""

ROUNDING = 1e-6  # A request due on the second belongs to the second that begins, whatever floats make of it.
_SAID = 200
_SHED = frozenset({429, 503})
_SERVER_FAULT = 500


class Exchange:
    """One request under way: what it is, and when it was meant to leave. Seconds of the client's clock.

    ``late`` says that its trace was asked for because of what it had waited when it was sent.
    """

    __slots__ = ("intended", "late", "number", "step")

    def __init__(self, step: str, intended: float) -> None:
        self.step = step
        self.intended = intended
        self.number = 0
        self.late = False


class StepCounts(msgspec.Struct, frozen=True):
    """What became of one step's requests since the last handing over, but for what stood out, which is of the whole run."""

    statuses: dict[str, int]
    shed: int
    server_errors: int
    connect: Distribution
    first_byte: Distribution
    blocks: tuple[Block, ...]
    slowest: tuple[Slow, ...] = ()
    examples: tuple[Example, ...] = ()


class _Open:
    """One block of one step while it is counted into."""

    __slots__ = ("outcomes", "response", "service")

    def __init__(self) -> None:
        self.response = Histogram()
        self.service = Histogram()
        self.outcomes: dict[str, int] = {}

    def count(self, outcome: str) -> None:
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1

    def freeze(self, at: int) -> Block:
        return Block(at, self.response.freeze(), self.service.freeze(), self.outcomes)


class StepTally:
    """Everything counted of one step. Durations are seconds; blocks are the seconds in which requests were intended.

    ``response`` runs from the intended time and holds every request: one that failed or was answered wrongly is entered with
    at least the timeout, so that failing can never improve a percentile. ``service`` runs from sending to the last byte and
    holds what was answered, as it was. ``floor`` is the response time past which a request is one of the slowest so far.
    """

    def __init__(self, step: Step, timeout: float, traces: Traces) -> None:
        self._step = step
        self._timeout = timeout
        self._traces = traces
        self._blocks: dict[int, _Open] = {}
        self._from = self._until = 0.0
        self._block = _Open()
        self.floor = 0.0
        self._slowest: list[tuple[float, int, Slow]] = []
        self._examples: dict[str, list[Example]] = {}
        self.start = 0.0
        self._renew()

    def _renew(self) -> None:
        self._statuses: Counter[int] = Counter()
        self._shed = self._server_errors = 0
        self._connect, self._first_byte = Histogram(), Histogram()
        self._blocks, self._until = {}, 0.0

    def answered(self, exchange: Exchange, answer: Answer, *, usable: bool) -> str:
        """Count an answer and return how it ended; ``usable`` says that it had the status and the content expected."""
        intended, sent, last, status = exchange.intended, answer.sent, answer.last, answer.status
        block = self._block if self._from <= intended < self._until else self._of(intended)
        self._statuses[status] += 1
        block.service.record(last - sent)
        self._first_byte.record(answer.first - sent)
        if answer.connect:
            self._connect.record(answer.connect)
        response = last - intended
        if usable:
            block.count(OK)
            block.response.record(response)
            if response > self.floor:
                self._note_slow(exchange, answer, response, OK)
            return OK
        outcome = self._kind(status)
        self._shed += status in _SHED
        self._server_errors += status >= _SERVER_FAULT and status not in _SHED
        block.count(outcome)
        block.response.record(max(response, self._timeout))
        self._note_example(exchange, outcome, status, answer.body[:_SAID].decode("utf-8", "replace"))
        if response > self.floor:
            self._note_slow(exchange, answer, response, outcome)
        return outcome

    def failed(
        self, exchange: Exchange, at: float, outcome: str, detail: str = "", answer: Answer | None = None
    ) -> str:
        """Count a request that got no whole answer."""
        block = self._of(exchange.intended)
        block.count(outcome)
        response = at - exchange.intended
        block.response.record(max(response, self._timeout))
        self._note_example(exchange, outcome, answer.status if answer else 0, detail[:_SAID])
        if answer is not None and response > self.floor:
            self._note_slow(exchange, answer, response, outcome)
        return outcome

    def take(self, *, last: bool = False) -> StepCounts:
        """Hand over what was counted since the last time; what stood out comes with the last."""
        counts = StepCounts(
            {str(status): count for status, count in self._statuses.items()},
            self._shed,
            self._server_errors,
            self._connect.freeze(),
            self._first_byte.freeze(),
            tuple(block.freeze(at) for at, block in self._blocks.items()),
            tuple(slow for _, _, slow in self._slowest) if last else (),
            tuple(example for examples in self._examples.values() for example in examples) if last else (),
        )
        self._renew()
        return counts

    def _of(self, intended: float) -> _Open:
        if not self._from <= intended < self._until:
            at = int(intended - self.start + ROUNDING)
            self._from = self.start + at - ROUNDING
            self._until = self._from + 1.0
            found = self._blocks.get(at)
            if found is None:
                found = self._blocks[at] = _Open()
            self._block = found
        return self._block

    def _kind(self, status: int) -> str:
        if status in self._step.expected:
            return "unusable answer"
        return "server error" if status >= _SERVER_FAULT else "unexpected status"

    def _note_slow(self, exchange: Exchange, answer: Answer, response: float, outcome: str) -> None:
        slow = Slow(
            at=exchange.intended - self.start,
            response=response,
            service=max(0.0, answer.last - answer.sent) if answer.sent else 0.0,
            wait=max(0.0, answer.begun - exchange.intended),
            connect=answer.connect,
            first_byte=max(0.0, answer.first - answer.sent),
            status=answer.status,
            outcome=outcome,
            trace_id=self._traces.trace_id(exchange.number),
            asked=exchange.late or self._traces.asked(exchange.number),
        )
        heapq.heappush(self._slowest, (response, exchange.number, slow))
        if len(self._slowest) > SLOWEST:
            heapq.heappop(self._slowest)
            self.floor = self._slowest[0][0]

    def _note_example(self, exchange: Exchange, outcome: str, status: int, detail: str) -> None:
        known = self._examples.setdefault(outcome, [])
        if len(known) < EXAMPLES:
            trace = self._traces.trace_id(exchange.number) if exchange.number else ""
            known.append(Example(exchange.intended - self.start, outcome, status, detail, trace))
