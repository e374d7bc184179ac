"""What a report shows of the service itself: its processes together, as they told their figures while the run lasted."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

from loadgen import charts
from loadgen.charts import Series
from loadgen.drawing import Times
from loadgen.durations import duration
from loadgen.figures import Figure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from loadgen.service_figures import ServiceFigures, ServiceSample

_MIB = 1 << 20


def service_charts(service: ServiceFigures | None, end: float, most: int) -> tuple[Figure, ...]:
    """Return a chart for each figure that the service told, of ``most`` columns at the most; ``end`` is the run's length."""
    samples = _thinned(service.samples if service else (), most + 1)
    if len(samples) < 2:  # noqa: PLR2004 - what runs since a start is told by the difference of two
        return ()
    starts = tuple(max(0.0, sample.at) for sample in samples[:-1])
    times = Times(starts, max(1e-9, (samples[-1].at - starts[0]) / len(starts)), max(end, samples[-1].at))
    pairs = list(pairwise(samples))

    def levels(name: str, figure: str, tone: str, size: float = 1.0) -> Series:
        return Series(name, tuple(_level(after, figure, size) for _, after in pairs), tone)

    drawn = (
        (
            "CPU",
            "cores that all processes used together",
            [Series("used", tuple(_rate(before, after, "cpu") for before, after in pairs), "s1")],
            _plain,
        ),
        (
            "Loop lag",
            "mean of the process that was latest to its own timers",
            [Series("lag", tuple(_mean(before, after, "lag_seconds", "lags") for before, after in pairs), "s1")],
            duration,
        ),
        (
            "Queues",
            "what waits for a database connection, or to have a password hashed",
            [levels("pool", "pool_waiting", "s1"), levels("hashing", "hash_queue", "s2")],
            _plain,
        ),
        ("Memory", "of all processes", [levels("resident", "memory", "s1", _MIB)], _mebibytes),
    )
    return tuple(
        _figure(times, *each) for each in drawn if any(value is not None for one in each[2] for value in one.values)
    )


def _figure(times: Times, title: str, says: str, series: Sequence[Series], shown: Callable[[float], str]) -> Figure:
    legend = tuple((one.name, one.tone) for one in series) if len(series) > 1 else ()
    return Figure(title, says, charts.lines(f"The service: {title}", times, series, shown), legend)


def _thinned(samples: Sequence[ServiceSample], most: int) -> Sequence[ServiceSample]:
    return samples[:: max(1, math.ceil(len(samples) / most))]


def _level(sample: ServiceSample, figure: str, size: float) -> float | None:
    told = [worker[figure] / size for worker in sample.workers.values() if figure in worker]
    return sum(told) if told else None


def _grown(before: ServiceSample, after: ServiceSample, figure: str) -> dict[str, float]:
    """Return how much each process's figure grew; one that was not there before, or began anew, is left out."""
    grown = {
        name: worker[figure] - before.workers[name][figure]
        for name, worker in after.workers.items()
        if figure in worker and figure in before.workers.get(name, {})
    }
    return {name: value for name, value in grown.items() if value >= 0}


def _rate(before: ServiceSample, after: ServiceSample, figure: str) -> float | None:
    grown = _grown(before, after, figure)
    return sum(grown.values()) / (after.at - before.at) if grown and after.at > before.at else None


def _mean(before: ServiceSample, after: ServiceSample, total: str, count: str) -> float | None:
    totals, counts = _grown(before, after, total), _grown(before, after, count)
    return max((totals[name] / counts[name] for name in totals if counts.get(name)), default=None)


def _plain(value: float) -> str:
    return f"{value:,.3g}" if value < 1000 else f"{value:,.0f}"  # noqa: PLR2004 - from here on .3g turns to exponents


def _mebibytes(value: float) -> str:
    return f"{value:,.0f} MiB"
