"""What queueing theory says of a single server with one queue: response times, waiting included, in closed form and run by run.

Rates are requests a second, times seconds. Kendall's notation: arrivals / service / servers, M exponential and D always the same.
See Kleinrock, Queueing Systems, volume 1 (M/M/1, and G/M/1 for D/M/1); Crommelin (1932) for M/D/1.
"""

from __future__ import annotations

import math
import random
from itertools import count
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Spread = Literal["exponential", "fixed"]
_HALVINGS = 100


def quantile_of_mm1(arrivals: float, service: float, q: float) -> float:
    """Response times of M/M/1 are exponential, at the rate that the server has left."""
    return -math.log(1 - q) / (1 / service - arrivals)


def quantile_of_dm1(arrivals: float, service: float, q: float) -> float:
    """Those of D/M/1 are exponential, too: sigma, which an arrival finds busy, solves sigma = exp(-(1 - sigma) / load)."""
    load = arrivals * service
    sigma = load
    for _ in range(_HALVINGS * 10):
        sigma = math.exp(-(1 - sigma) / load)
    return -math.log(1 - q) * service / (1 - sigma)


def quantile_of_md1(arrivals: float, service: float, q: float) -> float:
    """Return the response time of M/D/1 below which a share ``q`` lies: Crommelin's distribution of the wait, turned round."""
    low, high = 0.0, service
    while _waits_at_most(arrivals, service, high) < q:
        high *= 2
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _waits_at_most(arrivals, service, middle) < q:
            low = middle
        else:
            high = middle
    return high + service


def _waits_at_most(arrivals: float, service: float, wait: float) -> float:
    load = arrivals * service
    terms = []
    for number in range(int(wait / service) + 1):
        x = arrivals * (number * service - wait)
        terms.append(x**number / math.factorial(number) * math.exp(-x))
    return (1 - load) * math.fsum(terms)


def quantile_of_stall(seconds: float, stall: float, q: float) -> float:
    """Return a percentile of requests due at an even rate for so many seconds, when for one stretch nothing is answered.

    Who was due while it lasted waits for what is left of it; everybody else's time is taken for nothing.
    """
    return max(0.0, stall - (1 - q) * seconds)


def responses(
    arrivals: float, service: float, gaps: Spread, spread: Spread, randomness: random.Random
) -> Iterator[float]:
    """Yield the response times of one run, request by request: Lindley's recursion, from an empty queue."""
    draw = _drawing(randomness)
    wait = 0.0
    for _ in count():
        took = draw(spread, service)
        yield wait + took
        wait = max(0.0, wait + took - draw(gaps, 1 / arrivals))


def interval(
    arrivals: float, service: float, gaps: Spread, spread: Spread, requests: int, q: float, *, runs: int = 400
) -> tuple[float, float]:
    """Return between what 99 % of runs of so many requests have their percentile, by running as many of them as asked for.

    Neighbours in a queue wait together, so the percentiles of a run vary far more than those of as many strangers would.
    """
    found = []
    for seed in range(runs):
        run = responses(arrivals, service, gaps, spread, random.Random(seed))  # noqa: S311 - to be repeated, no secret
        found.append(percentile([next(run) for _ in range(requests)], q))
    found.sort()
    return found[int(runs * 0.005)], found[int(runs * 0.995)]


def percentile(values: Sequence[float], q: float) -> float:
    """Return the nearest-rank percentile."""
    return sorted(values)[max(0, math.ceil(q * len(values)) - 1)]


def _drawing(randomness: random.Random) -> Callable[[Spread, float], float]:
    return lambda spread, mean: randomness.expovariate(1 / mean) if spread == "exponential" else mean
