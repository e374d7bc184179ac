"""Charts as inline SVG, without a script: figures to markup. Colours and letters are left to the page's style sheet.

Nothing is styled inline, so that a page may forbid it; what a person points at is told by ``<title>``.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec
from markupsafe import Markup

from loadgen.drawing import (
    DOWN,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Scale,
    Times,
    axes,
    clock,
    even_scale,
    fitting_scale,
    log_scale,
    path,
    short,
    strips,
    svg,
    tick,
    x_of,
    y_of,
)
from loadgen.durations import clock_time, duration
from observability.model import Distribution, Histogram
from observability.model.histogram import bucket_bounds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from loadgen.intervals import Interval

_BAR_SHARE = 0.86
"""Share of its column that a bar fills."""

SHADES = 6
"""Shades of a heatmap, each for about three times as many requests as the one before."""

_HEAT_ROWS_PER_DOUBLING = 4
_BUCKETS_PER_DOUBLING = 16
_PERCENTS = (0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999999)


class Series(msgspec.Struct, frozen=True):
    """A line: its name, and a value for each column, None where there is none. ``tone`` is its class in the style sheet."""

    name: str
    values: tuple[float | None, ...]
    tone: str


def lines(label: str, times: Times, series: Sequence[Series], shown: Callable[[float], str]) -> Markup:
    """Return lines over time; those of durations may get a logarithmic axis."""
    fit = fitting_scale if shown is duration else even_scale
    scale = fit(value for one in series for value in one.values if value is not None)
    drawn = []
    for one in series:
        points = [
            None if value is None else (times.middle(column), y_of(scale(value)))
            for column, value in enumerate(one.values)
        ]
        drawn.append(path(points, f"line {one.tone}"))
    return _over_time(label, times, scale, shown, drawn, series)


def bars(label: str, times: Times, series: Sequence[Series], shown: Callable[[float], str]) -> Markup:
    """Return bars over time, those of one column upon each other."""
    scale = even_scale(sum(one.values[column] or 0.0 for one in series) for column in range(len(times.starts)))
    width = times.across * _BAR_SHARE
    drawn = []
    for column in range(len(times.starts)):
        below = 0.0
        for one in series:
            value = one.values[column] or 0.0
            if value:
                top, bottom = y_of(scale(below + value)), y_of(scale(below))
                drawn.append(
                    Markup('<path class="bar {}" d="M{} {}h{}V{}h-{}z"/>').format(
                        one.tone, short(times.left(column)), short(top), short(width), short(bottom), short(width)
                    )
                )
                below += value
    return _over_time(label, times, scale, shown, drawn, series)


def percentiles(label: str, series: Sequence[tuple[str, str, Distribution]]) -> Markup:
    """Return durations by percentile, each nine taking as much room; ``series`` are name, tone and distribution."""
    curves = [(name, tone, _curve(found)) for name, tone, found in series if found.counts]
    most = max((found.count for _, _, found in series), default=1)
    end = max(1.0, math.log10(max(1, most)))
    scale = fitting_scale(value for _, _, curve in curves for _, value in curve)
    drawn = [
        path([(x_of(nines, end), y_of(scale(value))) for nines, value in curve], f"line {tone}")
        for _, tone, curve in curves
    ]
    ticks = Markup()
    named = [share for share in _PERCENTS if _nines(share) <= end]
    for share in named:
        ticks += tick(x_of(_nines(share), end), _percent(share))
    titled = [*named, 0.75, 0.95, 0.995]
    places = sorted(share for share in titled if _nines(share) <= end)
    xs = [x_of(_nines(share), end) for share in places]
    edges = [LEFT, *((one + other) / 2 for one, other in pairwise(xs)), WIDTH - RIGHT]
    titles = [
        "\n".join(
            [
                _percent(share) or "all",
                *(f"{name} {duration(found.quantile(max(share, 1e-9)))}" for name, _, found in series),
            ]
        )
        for share in places
    ]
    return svg(
        label,
        axes(scale, duration) + ticks + Markup().join(drawn) + strips(edges, titles),
    )


def heatmap(label: str, times: Times, columns: Sequence[Distribution]) -> Markup:
    """Return how many requests (shade) took how long (height) in each column."""
    rows = [_heat_rows(column) for column in columns]
    used = [row for column in rows for row in column]
    low, high = min(used, default=0), max(used, default=0) + 1
    most = max((count for column in rows for count in column.values()), default=1)
    down = DOWN / (high - low)
    shades: list[list[str]] = [[] for _ in range(SHADES)]
    for place, column in enumerate(rows):
        for row, count in column.items():
            shades[_shade(count, most)].append(
                f"M{short(times.middle(place))} {short(TOP + (high - row) * down)}v-{short(down)}"
            )
    drawn = Markup().join(
        Markup('<path class="heat h{}" stroke-width="{}" d="{}"/>').format(shade, short(times.across), "".join(cells))
        for shade, cells in enumerate(shades)
        if cells
    )
    scale = log_scale(2.0 ** (low / _HEAT_ROWS_PER_DOUBLING), 2.0 ** (high / _HEAT_ROWS_PER_DOUBLING))
    titles = [_heat_title(at, column) for at, column in zip(times.starts, columns, strict=True)]
    return svg(label, axes(scale, duration) + clock(times.end) + drawn + times.strips(titles))


def bullet(value: float, target: float, interval: Interval | None) -> Markup:
    """Return a figure beside its target in the room of a word: bar, mark of the target, whisker of the interval."""
    across, top = 96.0, 1.6 * target

    def x(seconds: float) -> str:
        return short(min(1.0, seconds / top) * across)

    whisker = Markup()
    if interval is not None:
        far = top if interval.high is None else interval.high
        whisker = Markup('<path class="whisker" d="M{} 6H{}"/>').format(x(interval.low), x(far))
    return Markup(
        '<svg class="bullet" viewBox="0 0 96 12" aria-hidden="true"><path class="track" d="M0 3h96v6H0z"/>'
        '<path class="value {}" d="M0 3h{}v6H0z"/>{}<path class="mark" d="M{} 0v12"/></svg>'
    ).format("over" if value >= target else "under", x(value), whisker, x(target))


def _over_time(
    label: str,
    times: Times,
    scale: Scale,
    shown: Callable[[float], str],
    drawn: Sequence[Markup],
    series: Sequence[Series],
) -> Markup:
    titles = [
        "\n".join([clock_time(at), *(f"{one.name} {_or_none(one.values[column], shown)}" for one in series)])
        for column, at in enumerate(times.starts)
    ]
    return svg(label, axes(scale, shown) + clock(times.end) + Markup().join(drawn) + times.strips(titles))


def _curve(found: Distribution) -> list[tuple[float, float]]:
    """Return the points of a distribution: nines, and the seconds within which that share of the requests ended."""
    total, seen, points = found.count, 0, []
    for index, count in enumerate(found.counts, found.offset):
        if count:
            seen += count
            low, high = bucket_bounds(index)
            points.append((_nines(max(0.0, (seen - 0.5) / total)), math.sqrt(low * high)))
    return [(0.0, points[0][1]), *points]


def _heat_rows(column: Distribution) -> dict[int, int]:
    rows: dict[int, int] = {}
    for index, count in enumerate(column.counts, column.offset):
        if count:
            row = index * _HEAT_ROWS_PER_DOUBLING // _BUCKETS_PER_DOUBLING
            rows[row] = rows.get(row, 0) + count
    return rows


def _shade(count: int, most: int) -> int:
    return max(0, SHADES - 1 - math.floor(math.log(most / count, 3)))


def _heat_title(at: float, column: Distribution) -> str:
    p50, p95, slowest = Histogram.of(column).quantiles((0.5, 0.95, 1.0))
    return "\n".join(
        [
            clock_time(at),
            f"{column.count:,} requests",
            f"p50 {duration(p50)}",
            f"p95 {duration(p95)}",
            f"slowest {duration(slowest)}",
        ]
    )


def _nines(share: float) -> float:
    return -math.log10(1.0 - share)


def _percent(share: float) -> str:
    return f"{share * 100:.6g} %"


def _or_none(value: float | None, shown: Callable[[float], str]) -> str:
    return "-" if value is None else shown(value)
