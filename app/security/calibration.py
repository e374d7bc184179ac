"""What hashing costs on this machine."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.security import hashes
from app.security.hashes import Parameters

if TYPE_CHECKING:
    from collections.abc import Sequence


TURNS = 3


@dataclass(frozen=True, slots=True)
class Cost:
    """What was measured with all threads at work: hashes a second by all of them, and seconds that each takes."""

    parameters: Parameters
    rate: float
    seconds: float


def compare(equals: Sequence[Parameters], threads: int, seconds: float) -> list[Cost]:
    """Measure each for some seconds, in turns; of each keep the turn that was disturbed least."""
    turns = [[measure(each, threads, seconds / TURNS) for each in equals] for _ in range(TURNS)]
    return [max(costs, key=lambda cost: cost.rate) for costs in zip(*turns, strict=True)]


def measure(parameters: Parameters, threads: int, seconds: float) -> Cost:
    """Hash for some seconds in so many threads."""
    done = [0] * threads
    encoded = hashes.make(b"x", parameters)  # the first one pays for pages that the next ones reuse
    begin = time.perf_counter()

    def work(place: int) -> None:
        while not done[place] or time.perf_counter() < begin + seconds:
            hashes.verify(encoded, b"x")
            done[place] += 1

    workers = [threading.Thread(target=work, args=(place,)) for place in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    rate = sum(done) / (time.perf_counter() - begin)
    return Cost(parameters, rate, threads / rate)


def recommend(costs: Sequence[Cost], *, seconds: float | None = None, rate: float | None = None) -> Parameters | None:
    """Choose the quickest of equals, with as many passes more as leave a hash within ``seconds`` and ``rate`` of them a second.

    Return None when even the quickest is too slow for that.
    """
    quickest = max(costs, key=lambda cost: cost.rate)
    times = [1.0] if seconds is rate is None else []
    if seconds is not None:
        times.append(seconds / quickest.seconds)
    if rate is not None:
        times.append(quickest.rate / rate)
    if min(times) < 1:
        return None
    memory, passes = quickest.parameters.memory_kib, quickest.parameters.iterations
    most = min(hashes.MOST_ITERATIONS, hashes.MOST_WORK // memory)
    return Parameters(memory, min(most, int(passes * min(times))))
