"""Whether the service holds steady: the slope of its memory, open files, tasks and waiting over a long run.

A level wanders, and neighbouring samples resemble each other, so a line through all of them would look far surer than it is.
The samples are therefore averaged over twenty-four stretches of equal time, the line goes through the averages (least
squares), and where what is left over still resembles its neighbour the variance is raised as for an autoregressive process
of the first order, by (1 + r) / (1 - r) (Bartlett 1935; Bayley and Hammersley 1946).
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from loadgen.service_figures import Trend

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from loadgen.scenario import Steady
    from loadgen.service_figures import ServiceFigures, Steadiness

STRETCHES = 24
FEWEST_STRETCHES = 8
"""Fewer averages than this say nothing of how much they scatter."""

_HOUR = 3600.0
_MIB = 1 << 20
_Z = 1.959964  # of the normal distribution, both sides together 5 %
_SHARE = 0.5
"""Share of the judged time that a process must have lived through to be judged: a replaced one began with caches to fill."""


_NOTABLE = 0.01
"""Share of its first value by which a figure must have grown to fail: in a minute a cache that fills looks like a leak."""


class Slope(NamedTuple):
    """Growth in units an hour, and the interval around it."""

    per_hour: float
    low: float
    high: float


class _Judged(NamedTuple):
    figure: str
    name: str
    unit: str
    size: float
    bound: str


_JUDGED = (
    _Judged("memory", "memory", "MB", _MIB, "memory_mb_per_hour"),
    _Judged("open_files", "open files", "files", 1, "open_files_per_hour"),
    _Judged("tasks", "tasks", "tasks", 1, "tasks_per_hour"),
    _Judged("pool_waiting", "waiting for the pool", "requests", 1, "pool_waiting_per_hour"),
)
"""What can be judged, and the field of the scenario that says how much it may grow."""


def trends(service: ServiceFigures | None, steady: Steady, seconds: float) -> tuple[Trend, ...]:
    """Judge every figure that the scenario bounds; ``seconds`` is how long the run was.

    Of the processes of the service the one that grew most surely speaks for all.
    """
    return tuple(
        _judge(judged, allowed, _series(service, judged, steady.settle * seconds, seconds) if service else ())
        for judged in _JUDGED
        if (allowed := getattr(steady, judged.bound)) is not None
    )


def slope(times: Sequence[float], values: Sequence[float]) -> Slope | None:
    """Return the slope of values over seconds, an hour, with its 95 % interval; None when there are too few."""
    averages = _averages(times, values)
    if len(averages) < FEWEST_STRETCHES:
        return None
    count = len(averages)
    middle_x = sum(x for x, _ in averages) / count
    middle_y = sum(y for _, y in averages) / count
    width = sum((x - middle_x) ** 2 for x, _ in averages)
    rise = sum((x - middle_x) * (y - middle_y) for x, y in averages) / width
    left = [y - middle_y - rise * (x - middle_x) for x, y in averages]
    freedom = count - 2
    squares = sum(each**2 for each in left)
    alike = sum(one * other for one, other in pairwise(left)) / squares if squares else 0.0
    alike = min(max(alike, 0.0), 0.8)
    error = math.sqrt(squares / freedom / width * (1 + alike) / (1 - alike))
    reach = _student(freedom) * error
    return Slope(rise * _HOUR, (rise - reach) * _HOUR, (rise + reach) * _HOUR)


def _averages(times: Sequence[float], values: Sequence[float]) -> list[tuple[float, float]]:
    """Return the mean time and the mean value of each stretch that holds any."""
    if not times or times[-1] <= times[0]:
        return []
    length = (times[-1] - times[0]) / STRETCHES
    stretches: dict[int, list[tuple[float, float]]] = {}
    for at, value in zip(times, values, strict=True):
        number = min(STRETCHES - 1, int((at - times[0]) / length))
        stretches.setdefault(number, []).append((at, value))
    return [
        (sum(at for at, _ in stretch) / len(stretch), sum(value for _, value in stretch) / len(stretch))
        for _, stretch in sorted(stretches.items())
    ]


def _student(freedom: int) -> float:
    """Return the 97.5 % quantile of Student's t (Abramowitz and Stegun 26.7.5), right to 0.1 % from six degrees on."""
    z = _Z
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)


def _series(
    service: ServiceFigures, judged: _Judged, settled: float, seconds: float
) -> Iterator[tuple[str, list[float], list[float]]]:
    """Yield each process's name, times and values of a figure, once the service has settled."""
    series: dict[str, tuple[list[float], list[float]]] = {}
    for sample in service.samples:
        if sample.at < settled:
            continue
        for worker, figures in sample.workers.items():
            if judged.figure in figures:
                times, values = series.setdefault(worker, ([], []))
                times.append(sample.at)
                values.append(figures[judged.figure] / judged.size)
    for worker, (times, values) in series.items():
        if times[-1] - times[0] >= _SHARE * (seconds - settled):
            yield worker, times, values


def _judge(judged: _Judged, allowed: float, series: Iterable[tuple[str, Sequence[float], Sequence[float]]]) -> Trend:
    slopes = [
        (worker, found, found.low * (times[-1] - times[0]) / _HOUR >= _NOTABLE * values[0])
        for worker, times, values in series
        if (found := slope(times, values))
    ]
    if not slopes:
        says = f"{judged.name}: not judged, the service gave too few figures"
        return Trend(figure=judged.figure, unit=judged.unit, allowed=allowed, verdict="TOO FEW", says=says)
    worker, worst, notable = max(slopes, key=lambda each: (each[2], each[1].low, each[1].high))
    high = max(each.high for _, each, _ in slopes)
    verdict, words = _words(judged, allowed, worst, high, notable=notable)
    return Trend(
        figure=judged.figure,
        unit=judged.unit,
        allowed=allowed,
        verdict=verdict,
        says=words,
        worker=worker,
        per_hour=worst.per_hour,
        low=worst.low,
        high=high,
    )


def _words(judged: _Judged, allowed: float, worst: Slope, high: float, *, notable: bool) -> tuple[Steadiness, str]:
    found = f"{worst.per_hour:.3g} {judged.unit}/h ({worst.low:.3g} to {high:.3g})"
    if worst.low > allowed and notable:
        return "FAIL", f"{judged.name}: grows {found}, allowed {allowed:g}"
    if high > allowed:
        return "TOO FEW", f"{judged.name}: not clear, {found}, allowed {allowed:g}"
    if worst.low <= 0:
        return "PASS", f"{judged.name}: no growth within noise, {found}"
    return "PASS", f"{judged.name}: grows {found}, allowed {allowed:g}"
