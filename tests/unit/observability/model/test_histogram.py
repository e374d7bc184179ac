"""The histogram: percentiles within its bound, merging is addition, subtraction undoes it."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from observability.model import Histogram
from observability.model.histogram import LOWEST_INDEX, SIZE, bucket_bounds

if TYPE_CHECKING:
    from collections.abc import Callable

DURATIONS = st.lists(st.floats(min_value=1e-5, max_value=60.0), min_size=1, max_size=200)
BOUND = 2 ** (1 / 32) - 1


def of(values: list[float]) -> Histogram:
    """Return a histogram of these seconds."""
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    return histogram


@settings(max_examples=150, deadline=None)
@given(DURATIONS, st.sampled_from([0.01, 0.5, 0.95, 0.99, 1.0]))
def test_a_quantile_is_within_two_point_two_percent(values: list[float], q: float) -> None:
    """A percentile differs from the true nearest-rank order statistic by 2.2 % at most."""
    true = sorted(values)[max(1, math.ceil(q * len(values))) - 1]
    got = of(values).quantile(q)
    assert got is not None
    assert abs(got / true - 1) <= BOUND + 1e-9


@settings(max_examples=60, deadline=None)
@given(DURATIONS, DURATIONS)
def test_merging_is_addition(left: list[float], right: list[float]) -> None:
    """A merged histogram is the histogram of all values; subtracting one part leaves the other."""
    merged = Histogram.of(of(left).freeze(), of(right).freeze())
    assert merged.buckets == of(left + right).buckets
    merged.subtract(of(right).freeze())
    assert merged.buckets == of(left).buckets
    assert merged.total == pytest.approx(sum(left))


@settings(max_examples=100, deadline=None)
@given(st.floats(min_value=1e-5, max_value=60.0))
def test_a_value_lies_in_its_buckets_bounds(value: float) -> None:
    """The bucket that counts a value has OpenTelemetry's bounds around it, the upper one inclusive."""
    frozen = of([value]).freeze()
    low, high = bucket_bounds(frozen.offset)
    assert low * (1 - 1e-12) < value <= high * (1 + 1e-12)


@pytest.mark.parametrize(
    ("value", "index"), [(0.0, LOWEST_INDEX), (-1.0, LOWEST_INDEX), (1e9, LOWEST_INDEX + SIZE - 1)]
)
def test_what_lies_outside_is_counted_at_the_ends(value: float, index: int) -> None:
    """A duration outside the covered range is counted in the nearest end bucket, not lost."""
    frozen = of([value]).freeze()
    assert (frozen.offset, frozen.counts) == (index, (1,))


@pytest.mark.parametrize("shape", ["uniform", "lognormal", "bimodal"])
def test_percentiles_of_four_merged_workers_hold(shape: str) -> None:
    """Percentiles of four merged workers are within 2.2 % of the true ones, whatever the load's shape."""
    source = random.Random(7)  # noqa: S311 - a repeatable sample
    shapes: dict[str, Callable[[], float]] = {
        "uniform": lambda: source.uniform(0.001, 0.2),
        "lognormal": lambda: source.lognormvariate(-4, 1),
        "bimodal": lambda: source.gauss(0.005, 0.0005) if source.random() < 0.8 else source.gauss(0.3, 0.02),
    }
    draw = shapes[shape]
    workers = [[draw() for _ in range(5000)] for _ in range(4)]
    merged = Histogram.of(*(of(worker).freeze() for worker in workers))
    values = sorted(value for worker in workers for value in worker)
    assert merged.count == 20_000
    for q in (0.5, 0.95, 0.99):
        true = values[math.ceil(q * len(values)) - 1]
        assert merged.quantile(q) == pytest.approx(true, rel=BOUND + 1e-9)


def test_nothing_has_no_percentile() -> None:
    """Without samples a percentile is unknown, not zero."""
    assert Histogram().quantiles((0.5, 0.99)) == [None, None]
    assert Histogram().freeze().mean is None


@settings(max_examples=100, deadline=None)
@given(DURATIONS, st.lists(st.sampled_from([0.005, 0.1, 0.102, 0.15, 0.5, 2.5]), min_size=1, unique=True))
def test_a_split_bucket_counts_its_bound_exactly(values: list[float], bounds: list[float]) -> None:
    """How many durations are not above a bound is exact for bounds that the histogram was split at, two in a bucket, too."""
    histogram = Histogram()
    histogram.split_at(bounds)
    for value in (*values, *bounds, *(math.nextafter(bound, 60) for bound in bounds)):
        histogram.record(value)
    everything = [*values, *bounds, *(math.nextafter(bound, 60) for bound in bounds)]
    assert histogram.freeze().not_above(bounds) == [sum(v <= bound for v in everything) for bound in bounds]


@settings(max_examples=60, deadline=None)
@given(DURATIONS)
def test_powers_of_two_are_bounds_of_buckets(values: list[float]) -> None:
    """How many durations are not above a power of two is exact without a split."""
    bounds = [2.0**n for n in range(-13, 6)]
    assert of(values).freeze().not_above(bounds) == [sum(v <= bound for v in values) for bound in bounds]
    assert Histogram().freeze().not_above(bounds) == [0] * len(bounds)
