"""Adding up what the sending processes hand over: exact, and bounded however long a run takes."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from loadgen.results import Block, Moment
from loadgen.step_tally import EXAMPLES, OK, SLOWEST
from observability.model import Distribution, Histogram

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from loadgen.frames import Report
    from loadgen.results import Example, ProcessUse, Slow
    from loadgen.step_tally import StepCounts
    from loadgen.workload import Step

MOST_BLOCKS = 1200
"""Blocks kept of a run; when there would be more, two and two become one of twice the length."""


class StepLedger:
    """Everything known of one step. Durations are seconds."""

    def __init__(self, step: Step) -> None:
        self.step = step
        self.count = self.errors = self.shed = self.server_errors = 0
        self.statuses: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.response, self.service = Histogram(), Histogram()
        self.connect, self.first_byte = Histogram(), Histogram()
        self.blocks: dict[int, Block] = {}
        self._slowest: list[Slow] = []
        self._examples: list[Example] = []

    @property
    def slowest(self) -> tuple[Slow, ...]:
        """The slowest requests, the slowest first."""
        return tuple(sorted(self._slowest, key=lambda slow: -slow.response)[:SLOWEST])

    @property
    def examples(self) -> tuple[Example, ...]:
        """The first requests of each kind of failure."""
        kept: Counter[str] = Counter()
        found = []
        for example in sorted(self._examples, key=lambda example: example.at):
            kept[example.outcome] += 1
            if kept[example.outcome] <= EXAMPLES:
                found.append(example)
        return tuple(found)

    def add(self, counts: StepCounts, length: int) -> None:
        """Add what a process counted, in blocks of ``length`` seconds."""
        self.statuses.update(counts.statuses)
        self.shed += counts.shed
        self.server_errors += counts.server_errors
        self.connect.add(counts.connect)
        self.first_byte.add(counts.first_byte)
        self._slowest += counts.slowest
        self._examples += counts.examples
        for block in counts.blocks:
            ended = sum(block.outcomes.values())
            self.count += ended
            self.errors += ended - block.outcomes.get(OK, 0)
            self.failures.update({kind: count for kind, count in block.outcomes.items() if kind != OK})
            self.response.add(block.response)
            self.service.add(block.service)
            self.place(block, length)

    def place(self, block: Block, length: int) -> None:
        """Put a block to those of the same stretch of time."""
        at = block.at - block.at % length
        known = self.blocks.get(at)
        self.blocks[at] = msgspec.structs.replace(block, at=at) if known is None else _joined(known, block)

    def coarsen(self, length: int) -> None:
        """Make blocks of this length of the present ones."""
        present, self.blocks = self.blocks, {}
        for block in present.values():
            self.place(block, length)


class Ledger:
    """Everything known of a run. ``reports`` holds each process's latest, whose gauges and totals are added up."""

    def __init__(self, steps: Mapping[str, Step], used: Iterable[str]) -> None:
        self.steps = {name: StepLedger(steps[name]) for name in used}
        self.lag, self.wait = Histogram(), Histogram()
        self.moments: dict[int, Moment] = {}
        self.block_seconds = 1
        self.reports: dict[int, Report] = {}

    def add(self, number: int, report: Report) -> None:
        """Add what process ``number`` handed over."""
        self.reports[number] = report
        for name, counts in report.counts.steps.items():
            self.steps[name].add(counts, self.block_seconds)
        for moment in report.counts.moments:
            self.lag.add(moment.lag)
            self.wait.add(moment.wait)
            self._place(moment)
        if len(self.moments) > MOST_BLOCKS:
            self._coarsen()

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

    @property
    def server_errors(self) -> int:
        """How many answers were 500 or above, but for what was shed."""
        return sum(step.server_errors for step in self.steps.values())

    @property
    def processes(self) -> tuple[ProcessUse, ...]:
        """What each process used, once it has ended."""
        return tuple(report.use for _, report in sorted(self.reports.items()) if report.use is not None)

    def total(self, figure: str) -> int:
        """Return a figure of the reports (``planned``, ``sent``, ``in_flight``, ``waiting``, ``cut``), of all processes."""
        return sum(getattr(report, figure) for report in self.reports.values())

    def response(self) -> Histogram:
        """Return the response times of all steps together."""
        return Histogram.of(*(step.response.freeze() for step in self.steps.values()))

    def _place(self, moment: Moment) -> None:
        at = moment.at - moment.at % self.block_seconds
        known = self.moments.get(at)
        self.moments[at] = msgspec.structs.replace(moment, at=at) if known is None else _together(known, moment)

    def _coarsen(self) -> None:
        self.block_seconds *= 2
        present, self.moments = self.moments, {}
        for moment in present.values():
            self._place(moment)
        for step in self.steps.values():
            step.coarsen(self.block_seconds)


def _joined(one: Block, other: Block) -> Block:
    outcomes = dict(Counter(one.outcomes) + Counter(other.outcomes))
    return Block(one.at, _sum(one.response, other.response), _sum(one.service, other.service), outcomes)


def _together(one: Moment, other: Moment) -> Moment:
    """Add two up; of the most seen at once the larger stays, as two processes do not see the same instant."""
    return Moment(
        one.at,
        one.planned + other.planned,
        one.sent + other.sent,
        one.completed + other.completed,
        _sum(one.lag, other.lag),
        _sum(one.wait, other.wait),
        max(one.in_flight, other.in_flight),
        max(one.waiting, other.waiting),
    )


def _sum(one: Distribution, other: Distribution) -> Distribution:
    if not other.counts:
        return one
    return Histogram.of(one, other).freeze() if one.counts else other
