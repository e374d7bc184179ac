"""When each request should be sent and which step it is: pure, repeatable, and never dependent on answers.

The load is open: the intended times are fixed before the first request, so a slow service cannot slow its own examiner. Several
processes share a plan without talking: each takes every ``parts``-th moment of the same schedule (of random arrivals, its own
stream of a ``parts``-th of the rate; streams of random arrivals add up to one).
"""

from __future__ import annotations

import math
import random
from itertools import count as counting
from itertools import repeat
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from loadgen.scenario import Scenario, Think


Planned = tuple[float, str]
"""One request, or one journey's beginning, to come: seconds after the start, and what it is."""


class Ramp(NamedTuple):
    """A stretch of time: rates a second at its beginning and its end, between which they move evenly."""

    seconds: float
    before: float
    after: float

    @property
    def arrivals(self) -> float:
        """How many arrivals it holds."""
        return (self.before + self.after) / 2 * self.seconds

    def when(self, arrivals: float) -> float:
        """Return how many seconds in so many arrivals have come: the root of a parabola, in the form that is exact on a line."""
        bend = (self.after - self.before) / self.seconds
        root = math.sqrt(max(0.0, self.before * self.before + 2 * bend * arrivals))
        return 2 * arrivals / (self.before + root) if arrivals else 0.0


def ramps(scenario: Scenario, *, of: float = 60.0) -> list[Ramp]:
    """Return the stretches of a scenario, in arrivals a second when ``of`` arrivals a minute are one a second."""
    before = scenario.rate_per_minute / of
    if not scenario.stage:
        return [Ramp(scenario.length, before, before)]
    stretches = []
    for stage in scenario.stage:
        after = before if stage.rate_per_minute is None else stage.rate_per_minute / of
        stretches.append(Ramp(stage.seconds, before, after))
        before = after
    return stretches


def moments(stretches: Sequence[Ramp], positions: Iterator[float]) -> Iterator[float]:
    """Yield when the arrivals at these (rising) positions of the schedule fall due, until it ends."""
    begin = passed = 0.0
    position = next(positions)
    for stretch in stretches:
        arrivals, level = stretch.arrivals, stretch.before if stretch.before == stretch.after else 0.0
        last = passed + arrivals * (1 - 1e-12)
        while position < last:
            yield begin + ((position - passed) / level if level else stretch.when(position - passed))
            position = next(positions)
        passed += arrivals
        begin += stretch.seconds


def regular(part: int, parts: int) -> Iterator[float]:
    """Yield every ``parts``-th position: computed and not summed, so that no error adds up."""
    return map(float, counting(part, parts))


def poisson(parts: int, randomness: random.Random) -> Iterator[float]:
    """Yield positions with exponential gaps: one of ``parts`` streams that together come at the schedule's rate."""
    position = 0.0
    while True:
        position += randomness.expovariate(1.0 / parts)
        yield position


def in_blocks(mix: Mapping[str, int], count: int | None, randomness: random.Random) -> Iterator[str]:
    """Yield steps so that every block as long as the sum of the mix holds each exactly its share of times, in random order.

    After ``count`` steps it ends, its last, shorter block holding the shares rounded by largest remainder; without a count it
    goes on. Yielding block by block keeps a long plan small.
    """
    if len(mix) == 1:
        [step] = mix
        yield from repeat(step) if count is None else repeat(step, count)
        return
    size = sum(mix.values())
    for start in counting(0, size):
        if count is not None and start >= count:
            return
        counts = mix if count is None or start + size <= count else shares(mix, count - start)
        block = [step for step, share in counts.items() for _ in range(share)]
        randomness.shuffle(block)
        yield from block


def shares(mix: Mapping[str, int], count: int) -> dict[str, int]:
    """Divide ``count`` requests among the steps in proportion, exactly, by largest remainder (ties go to the earlier step)."""
    size = sum(mix.values())
    whole = {step: share * count // size for step, share in mix.items()}
    by_remainder = sorted(mix, key=lambda step: -(mix[step] * count % size))
    for step in by_remainder[: count - sum(whole.values())]:
        whole[step] += 1
    return whole


def plan_arrivals(scenario: Scenario, *, part: int = 0, parts: int = 1) -> Iterator[Planned]:
    """Yield what one of ``parts`` processes sends of an open scenario, or the journeys that it begins (named by number)."""
    randomness = random.Random(f"{scenario.seed}/{part}")  # noqa: S311 - an order to repeat, not a secret
    if scenario.journey:
        mix = {str(number): journey.weight for number, journey in enumerate(scenario.journey)}
        requests = sum(journey.weight * len(journey.steps) for journey in scenario.journey) / sum(mix.values())
    else:
        mix, requests = dict(scenario.mix), 1.0
    stretches = ramps(scenario, of=60.0 * requests)
    if scenario.arrivals == "poisson":
        times = moments(stretches, poisson(parts, randomness))
        return zip(times, in_blocks(mix, None, randomness), strict=False)
    total = max(1, round(sum(stretch.arrivals for stretch in stretches)))
    mine = len(range(part, total, parts))
    return zip(moments(stretches, regular(part, parts)), in_blocks(mix, mine, randomness), strict=False)


def joining(scenario: Scenario, *, part: int = 0, parts: int = 1) -> list[float]:
    """Return when each user of one process joins in, in seconds after the start: the first at once, the rest with the stages."""
    offsets = [0.0] * scenario.users
    begin, before = 0.0, scenario.users
    for stage in scenario.stage:
        after = stage.users or before
        offsets += [begin + stage.seconds * number / (after - before) for number in range(1, after - before + 1)]
        begin, before = begin + stage.seconds, after
    return offsets[part::parts]


def thinking(think: Think, randomness: random.Random) -> float:
    """Return how many seconds a user thinks this time."""
    if think.spread == "exponential" and think.mean_s:
        return randomness.expovariate(1.0 / think.mean_s)
    return randomness.uniform(0.0, 2.0 * think.mean_s) if think.spread == "even" else think.mean_s
