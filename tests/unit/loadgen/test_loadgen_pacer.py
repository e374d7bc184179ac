"""When requests are due and which they are."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.pacer import plan_arrivals, shares
from loadgen.plan import load_scenario
from loadgen.scenario import Scenario

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
