"""A run cut into columns of equal length, few enough to be drawn. Times are seconds after the start."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from observability.model import Distribution, Histogram

if TYPE_CHECKING:
    from collections.abc import Iterable

    from loadgen.results import Block, Moment, Result


class Column:
    """What belongs to one stretch of a run: requests by when they were intended, the generator by when it acted.

    ``in_flight`` and ``waiting`` are the most that one sending process saw at once.
    """

    def __init__(self, at: float, seconds: float) -> None:
        self.at = at
        self.seconds = seconds
        self.planned = self.completed = self.in_flight = self.waiting = 0
        self.lag, self.wait = Histogram(), Histogram()
        self.response, self.service = Histogram(), Histogram()
        self.outcomes: Counter[str] = Counter()

    def add_moment(self, moment: Moment) -> None:
        """Add what the generator did."""
        self.planned += moment.planned
        self.completed += moment.completed
        self.in_flight = max(self.in_flight, moment.in_flight)
        self.waiting = max(self.waiting, moment.waiting)
        self.lag.add(moment.lag)
        self.wait.add(moment.wait)

    def add_block(self, block: Block) -> None:
        """Add what became of the requests of an endpoint."""
        self.response.add(block.response)
        self.service.add(block.service)
        self.outcomes.update(block.outcomes)


class Timeline:
    """The columns of a run. They cover it without a gap, also where nothing happened."""

    def __init__(self, result: Result, most: int) -> None:
        """Cut the run into ``most`` columns at the most, each a whole number of the result's blocks."""
        blocks = [block.at for endpoint in result.endpoints for block in endpoint.blocks]
        last = max([moment.at for moment in result.moments] + blocks, default=0)
        step = result.block_seconds
        self.width = step * max(1, math.ceil((last // step + 1) / most))
        self.length = min(result.scenario.length, result.status.elapsed) or result.scenario.length
        self.columns = [
            Column(at, self._seconds(at)) for at in range(0, self.width * (last // self.width + 1), self.width)
        ]
        for moment in result.moments:
            self._at(moment.at).add_moment(moment)
        for endpoint in result.endpoints:
            for block in endpoint.blocks:
                self._at(block.at).add_block(block)

    def of(self, blocks: Iterable[Block]) -> list[Distribution]:
        """Return the response times of one endpoint, a distribution for each column."""
        found = [Histogram() for _ in self.columns]
        for block in blocks:
            found[block.at // self.width].add(block.response)
        return [histogram.freeze() for histogram in found]

    def _at(self, at: int) -> Column:
        return self.columns[at // self.width]

    def _seconds(self, at: int) -> float:
        """Return how much of a column lies within the plan; what follows it is the draining, and whole."""
        rest = self.length - at
        return min(self.width, rest) if rest > 0 else self.width
