"""How sure a percentile is, against simulations whose truth is known."""

from __future__ import annotations

import math
import random
from statistics import NormalDist
from typing import TYPE_CHECKING

import pytest

from loadgen.durations import span
from loadgen.intervals import BATCHES, Interval, Sample, batch_of, effective_size, sample_of, student, upper_rank
from loadgen.results import Block
from observability.model import Distribution, Histogram

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

QS = (0.5, 0.95)
TIMES = 400


def seeded(seed: int) -> random.Random:
    """Return chance that is the same each time."""
    return random.Random(seed)  # noqa: S311 - a simulation, no secret


def distribution(*seconds: float) -> Distribution:
    """Return durations as a histogram."""
    histogram = Histogram()
    for each in seconds:
        histogram.record(each)
    return histogram.freeze()


def sample(seconds: Iterable[Iterable[float]], *, trend: bool = False) -> Sample:
    """Return a sample of what was seen second by second."""
    blocks = [Block(at, distribution(*each), Distribution(), {}) for at, each in enumerate(seconds)]
    return sample_of(blocks, 1, "response", trend=trend)


def independent(chance: random.Random) -> Sample:
    """A minute of 20 requests a second that know nothing of each other, spread log-normally."""
    return sample((math.exp(chance.gauss(0, 1)) for _ in range(20)) for _ in range(60))


def resembling(chance: random.Random) -> Sample:
    """The same spread, but each request is much like the one before: autocorrelation 0.9 from one to the next."""
    state, kept = chance.gauss(0, 1), 0.9

    def second() -> Iterable[float]:
        nonlocal state
        for _ in range(20):
            state = kept * state + math.sqrt(1 - kept**2) * chance.gauss(0, 1)
            yield math.exp(state)

    return sample(list(second()) for _ in range(100))


def queue(chance: random.Random) -> Sample:
    """A minute and a half of a queue with one server that is busy for 60 % of the time: 30 requests a second, M/M/1."""
    rate, service = 30.0, 50.0
    wait = 0.0 if chance.random() > rate / service else chance.expovariate(service - rate)
    seconds: list[list[float]] = [[] for _ in range(90)]
    at = chance.expovariate(rate)
    while at < len(seconds):
        stay = wait + chance.expovariate(service)
        seconds[int(at)].append(stay)
        gap = chance.expovariate(rate)
        wait, at = max(0.0, stay - gap), at + gap
    return sample(seconds)


def log_normal(q: float) -> float:
    """Return the true quantile of the first two."""
    return math.exp(NormalDist().inv_cdf(q))


def sojourn(q: float) -> float:
    """Return the true quantile of the third: the stay in an M/M/1 queue is exponential."""
    return -math.log(1 - q) / (50.0 - 30.0)


@pytest.mark.parametrize(
    ("simulate", "truth"),
    [(independent, log_normal), (resembling, log_normal), (queue, sojourn)],
    ids=lambda it: it.__name__,
)
def test_the_truth_is_inside_as_often_as_is_said(
    simulate: Callable[[random.Random], Sample], truth: Callable[[float], float]
) -> None:
    """Of 400 runs whose requests resemble their neighbours, 90 % or more have an interval that holds the truth."""
    chance = seeded(20)
    samples = [simulate(chance) for _ in range(TIMES)]
    for q in QS:
        found = [each.interval(q) for each in samples]
        inside = sum(
            each is not None and each.low <= truth(q) and (each.high is None or truth(q) <= each.high) for each in found
        )
        assert inside >= 0.90 * TIMES, q
        wrongly_passed = sum(each.side(q, truth(q)) == "below" for each in samples)
        wrongly_failed = sum(each.side(q, truth(q)) == "above" for each in samples)
        assert wrongly_passed <= 0.09 * TIMES
        assert wrongly_failed <= 0.09 * TIMES


def test_requests_that_resemble_their_neighbours_count_for_fewer() -> None:
    """Taken for independent, as many of them would have an interval less than half as wide."""
    widths = {}
    for simulate in (independent, resembling):
        chance = seeded(3)
        ends = [simulate(chance).interval(0.5) for _ in range(50)]
        widths[simulate] = sum(math.log(each.high / each.low) for each in ends if each and each.high) / len(ends)
    assert widths[resembling] > 2 * widths[independent]


def test_a_change_that_was_planned_is_not_chance() -> None:
    """Where the load climbs and every request with it, the median is as sure as the climb is even."""
    chance = seeded(5)
    climb = [[(1 + second / 10) * math.exp(chance.gauss(0, 0.1)) for _ in range(20)] for second in range(60)]
    steady, planned = sample(climb).interval(0.5), sample(climb, trend=True).interval(0.5)
    assert steady
    assert planned
    assert steady.high
    assert planned.high
    assert planned.high / planned.low < 0.7 * steady.high / steady.low


def test_the_same_samples_give_the_same_interval() -> None:
    """Nothing is drawn."""
    assert independent(seeded(1)).interval(0.95) == independent(seeded(1)).interval(0.95)


def test_an_interval_is_no_finer_than_a_bucket() -> None:
    """When all take the same time, it is the bucket's."""
    found = sample([[0.010] * 20] * 60).interval(0.5)
    assert found
    assert found.high
    assert found.low < 0.010 <= found.high
    assert found.high / found.low == pytest.approx(2 ** (1 / 16))


def test_few_samples_set_no_upper_bound() -> None:
    """Of 71 the highest is below the true p95 more often than 2.5 % of the time, however even they are. None say nothing."""
    few, enough = sample([[0.01]] * 71).interval(0.95), sample([[0.01]] * 90).interval(0.95)
    assert few
    assert enough
    assert few.high is None
    assert enough.high
    assert sample([]).interval(0.95) is None
    assert sample([]).side(0.95, 1.0) is None
    assert sample([[0.01, 0.02] * 50]).interval(0.5) is None, "of a single batch nobody knows whether it is typical"


@pytest.mark.parametrize(
    ("size", "q", "beyond", "rank"),
    [(58, 0.95, 0.05, 59), (59, 0.95, 0.05, 59), (72, 0.95, 0.025, 72), (10, 0.5, 0.025, 9), (10, 0.5, 0.0009, 11)],
)
def test_ranks_are_those_of_the_tables(size: int, q: float, beyond: float, rank: int) -> None:
    """59 is the smallest number whose highest is above the p95 with 95 % confidence."""
    assert upper_rank(size, q, beyond) == rank


@pytest.mark.parametrize("q", [0.5, 0.95, 0.99])
def test_the_curve_joins_the_sum(q: float) -> None:
    """Just where the exact tail ends, the corrected normal curve gives a rank that misses the exact one by one at most."""
    size = math.ceil(20 / (q * (1 - q)))
    exact, above = size, 0.0
    while (above := above + math.comb(size, exact) * q**exact * (1 - q) ** (size - exact)) <= 0.025:
        exact -= 1
    assert abs(upper_rank(size, q, 0.025) - (exact + 1)) <= 1


@pytest.mark.parametrize(("freedom", "t"), [(19, 2.093), (9, 2.262), (5, 2.571)])
def test_few_batches_make_it_wider(freedom: int, t: float) -> None:
    """By as much as the tables of Student's t say."""
    assert student(1.959964, freedom) == pytest.approx(t, abs=0.005)


def test_batches_that_differ_as_chance_has_it_lose_little() -> None:
    """And those that hold all or nothing count for no more than themselves."""
    assert effective_size([5.0] * 20, [10] * 20, 0.025) == pytest.approx(200 * 0.877, abs=2)
    assert effective_size([10.0, 0.0] * 10, [10] * 20, 0.025) <= 20
    assert effective_size([10.0] * 20, [10] * 20, 0.025) == 200


@pytest.mark.parametrize("length", [1, 7, 20, 30, 59, 1200])
def test_batches_are_of_equal_length(length: int) -> None:
    """As near as blocks allow, in order, and 20 at most."""
    batches = [batch_of(position, length) for position in range(length)]
    sizes = [batches.count(each) for each in range(min(BATCHES, length))]
    assert batches == sorted(batches)
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(
    ("interval", "text"),
    [
        (Interval(0.0229, 0.0244), "22.9-24.4 ms"),
        (Interval(0.00095, 0.0012), "950 us-1.2 ms"),
        (Interval(0.012, None), "12 ms or more"),
        (None, "-"),
    ],
)
def test_an_interval_is_readable(interval: Interval | None, text: str) -> None:
    """The unit stands once where both ends have it."""
    assert span(interval) == text
