"""When each request should be sent and which step it is: pure, repeatable, and never dependent on answers.

The load is open: the intended times are fixed before the first request, so a slow service cannot slow its own examiner.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Planned(NamedTuple):
    """One request to come: seconds after the start, and the step's name."""

    offset: float
    step: str


def plan_requests(*, count: int, rate_per_minute: float, mix: Mapping[str, int], seed: int) -> Iterator[Planned]:
    """Yield ``count`` requests at a constant rate, their steps interleaved so that the counts are exact.

    Every block as long as the sum of the mix holds each step exactly its share of times, in an order drawn from the seed; a
    last, shorter block holds the shares rounded by largest remainder. Yielding block by block keeps a long plan small.
    """
    interval = 60.0 / rate_per_minute
    random_order = random.Random(seed)  # noqa: S311 - an order to repeat, not a secret
    size = sum(mix.values())
    for start in range(0, count, size):
        counts = mix if start + size <= count else shares(mix, count - start)
        block = [step for step, share in counts.items() for _ in range(share)]
        random_order.shuffle(block)
        for position, step in enumerate(block, start):
            yield Planned(position * interval, step)


def shares(mix: Mapping[str, int], count: int) -> dict[str, int]:
    """Divide ``count`` requests among the steps in proportion, exactly, by largest remainder (ties go to the earlier step)."""
    size = sum(mix.values())
    whole = {step: share * count // size for step, share in mix.items()}
    by_remainder = sorted(mix, key=lambda step: -(mix[step] * count % size))
    for step in by_remainder[: count - sum(whole.values())]:
        whole[step] += 1
    return whole
