"""When requests are due and which they are."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.pacer import joining, plan_arrivals, ramps, shares, thinking
from loadgen.plan import load_scenario
from loadgen.scenario import Scenario, Stage, Think

MIX = {"register": 5, "login": 9, "me": 35, "check": 41, "profile": 5, "logout": 5}


def _scenario(**changes: Any) -> Scenario:
    fields: dict[str, Any] = {"name": "mine", "users": 10, "rate_per_minute": 600, "seconds": 10, "mix": MIX}
    return Scenario(**(fields | changes))


def _steps(count: int, seed: int = 1) -> list[str]:
    return [step for _, step in plan_arrivals(_scenario(seconds=count / 10, seed=seed))]


def test_requests_are_due_at_a_constant_rate() -> None:
    """Request i is due i intervals after the start, computed and not summed, so that no error adds up."""
    offsets = [offset for offset, _ in plan_arrivals(_scenario(rate_per_minute=1000, seconds=721))]
    assert offsets[0] == 0.0
    assert offsets[12_000] == pytest.approx(12_000 * 0.06, rel=1e-14)
    assert all(b > a for a, b in pairwise(offsets))


def test_every_block_of_a_hundred_holds_the_mix_exactly() -> None:
    """Wherever a block begins, its counts are the mix."""
    steps = _steps(500)
    for start in range(0, 500, 100):
        assert Counter(steps[start : start + 100]) == MIX


def test_the_seed_decides_the_order() -> None:
    """The same seed gives the same order, another one another, and blocks are not alike."""
    assert _steps(300, seed=7) == _steps(300, seed=7)
    assert _steps(300, seed=7) != _steps(300, seed=8)
    assert _steps(300)[:100] != _steps(300)[100:200]


@given(st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 50), min_size=1), st.integers(0, 500))
def test_shares_are_exact_and_fair(mix: dict[str, int], count: int) -> None:
    """Shares add up to the count, and none is a whole request away from its proportion."""
    parts = shares(mix, count)
    assert sum(parts.values()) == count
    assert all(abs(parts[step] - count * mix[step] / sum(mix.values())) < 1 for step in mix)


def test_a_short_plan_still_holds_its_proportions() -> None:
    """Fifty requests of the usual mix hold each step within one of its half share."""
    assert all(abs(count - MIX[step] / 2) < 1 for step, count in Counter(_steps(50)).items())


def test_smoke_gives_every_endpoint_enough_samples() -> None:
    """The rarest step of smoke is sent 60 times, one more than a p95 needs at least."""
    scenario = load_scenario("smoke")
    assert min(Counter(step for _, step in plan_arrivals(scenario)).values()) >= 60


@given(st.integers(1, 7), st.integers(1, 300))
def test_processes_share_a_plan_without_gap_or_overlap(parts: int, count: int) -> None:
    """Together they send at exactly the moments at which one would."""
    scenario = _scenario(seconds=count / 10)
    alone = [offset for offset, _ in plan_arrivals(scenario)]
    shared = [offset for part in range(parts) for offset, _ in plan_arrivals(scenario, part=part, parts=parts)]
    assert sorted(shared) == alone


@given(st.lists(st.tuples(st.floats(0.5, 5), st.integers(0, 1200)), min_size=1, max_size=4), st.integers(0, 1200))
def test_stages_send_as_many_as_the_area_under_their_rates(stages: list[tuple[float, int]], first: int) -> None:
    """However rates rise and fall, the moments rise, stay within the stages, and are as many as were announced."""
    stage = tuple(Stage(seconds=seconds, rate_per_minute=rate) for seconds, rate in [*stages, (1.0, 600)])
    scenario = _scenario(seconds=None, rate_per_minute=first, stage=stage)
    offsets = [offset for offset, _ in plan_arrivals(scenario)]
    assert all(a <= b for a, b in pairwise(offsets))
    assert abs(len(offsets) - scenario.requests) <= 1
    assert 0 <= offsets[0] <= offsets[-1] <= scenario.length
    half = sum(ramp.arrivals for ramp in ramps(scenario)[:-1])
    begun = sum(offset < scenario.length - 1.0 for offset in offsets)
    assert abs(begun - half) <= 1


def test_random_arrivals_come_at_the_rate_and_are_random() -> None:
    """Of 100,000 arrivals in three streams, count and spread of gaps are those of a Poisson process, within five sigma."""
    scenario = _scenario(rate_per_minute=600_000, seconds=10, arrivals="poisson")
    offsets = sorted(offset for part in range(3) for offset, _ in plan_arrivals(scenario, part=part, parts=3))
    assert abs(len(offsets) - 100_000) < 5 * 100_000**0.5
    gaps = [b - a for a, b in pairwise(offsets)]
    mean = sum(gaps) / len(gaps)
    variance = sum((gap - mean) ** 2 for gap in gaps) / len(gaps)
    assert variance / mean**2 == pytest.approx(1, abs=0.06)
    assert offsets[:5] != sorted(offset for offset, _ in plan_arrivals(scenario))[:5]


def test_users_join_evenly_while_their_number_rises() -> None:
    """Ten at once, ten more over a second's stage, and none in a stage that names none."""
    stage = (Stage(seconds=1), Stage(seconds=1, users=20), Stage(seconds=1))
    scenario = _scenario(seconds=None, stage=stage)
    offsets = joining(scenario)
    assert offsets == pytest.approx([0.0] * 10 + [1 + number / 10 for number in range(1, 11)])
    assert sorted(joining(scenario, part=0, parts=2) + joining(scenario, part=1, parts=2)) == offsets


def test_thinking_has_its_mean() -> None:
    """Always the same, evenly spread, or exponentially: the mean is what the scenario says."""
    randomness = random.Random(1)  # noqa: S311 - to be repeated
    for spread in ("none", "even", "exponential"):
        times = [thinking(Think(mean_s=2.0, spread=spread), randomness) for _ in range(20_000)]
        assert sum(times) / len(times) == pytest.approx(2.0, rel=0.05)
