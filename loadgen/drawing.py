"""What charts are drawn with: scales, axes, strips to point at; as SVG markup.

Nothing is styled inline, so that a page may forbid it; colours and letters are left to its style sheet, and what a person
points at is told by ``<title>``.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec
from markupsafe import Markup

from loadgen.durations import clock_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

WIDTH, HEIGHT = 520, 190
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 8, 26
ACROSS, DOWN = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

_CLOCK_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400)
_MOST_TICKS = 6
_WIDE = 30.0
"""Largest over smallest value from which an axis is logarithmic: on a linear one the small would be a flat line."""


class Scale(msgspec.Struct, frozen=True):
    """Where values lie between the bottom (0) and the top (1): evenly, or by their logarithm."""

    low: float
    high: float
    ticks: tuple[float, ...]
    log: bool = False

    def __call__(self, value: float) -> float:
        """Return where a value lies; what is beyond an end lies on it."""
        value = min(self.high, max(self.low, value))
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def even_scale(values: Iterable[float]) -> Scale:
    """Return an even scale from zero."""
    most = max(values, default=0.0) or 1.0
    step = next(step for step in _round_numbers(most / 4) if step >= most / 4 * (1 - 1e-9))
    ticks = tuple(step * number for number in range(math.ceil(most / step - 1e-9) + 1))
    return Scale(0.0, ticks[-1], ticks)


def log_scale(low: float, high: float) -> Scale:
    """Return a logarithmic scale with round ticks, as many as can be read."""
    inside = [tick for tick in _round_numbers(low, high) if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9)]
    if len(inside) > _MOST_TICKS:
        inside = [tick for tick in inside if abs(math.log10(tick) - round(math.log10(tick))) < 1e-9]  # noqa: PLR2004 - rounding
    return Scale(low, high, tuple(inside), log=True)


def fitting_scale(values: Iterable[float]) -> Scale:
    """Return an even scale, or a logarithmic one between round numbers where values are wide apart."""
    found = [value for value in values if value > 0]
    most, least = max(found, default=1.0), min(found, default=1.0)
    if most / least <= _WIDE:
        return even_scale(found)
    low = max(number for number in _round_numbers(least / 10, most) if number <= least * (1 + 1e-9))
    high = min(number for number in _round_numbers(least, most * 10) if number >= most * (1 - 1e-9))
    return log_scale(low, high)


class Times(msgspec.Struct, frozen=True):
    """The columns of a chart over time: where each begins, how long each is, and the end of the axis; seconds."""

    starts: tuple[float, ...]
    width: float
    end: float

    def left(self, column: int) -> float:
        """Return where a column begins on the chart."""
        return x_of(self.starts[column], self.end)

    def middle(self, column: int) -> float:
        """Return where its middle is."""
        return x_of(self.starts[column] + self.width / 2, self.end)

    @property
    def across(self) -> float:
        """How wide a column is on the chart."""
        return ACROSS * min(1.0, self.width / self.end)

    def strips(self, titles: Sequence[str]) -> Markup:
        """Return what is pointed at: a strip for each column."""
        return strips([*(self.left(column) for column in range(len(self.starts))), WIDTH - RIGHT], titles)


def svg(label: str, content: Markup) -> Markup:
    """Return a chart; ``label`` is what is read out."""
    return Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, HEIGHT, label, content
    )


def axes(scale: Scale, shown: Callable[[float], str]) -> Markup:
    """Return the levels of a scale, with their values."""
    return Markup().join(level(y_of(scale(tick)), shown(tick)) for tick in scale.ticks)


def level(y: float, text: str) -> Markup:
    """Return a line across, named at its left."""
    return Markup('<path class="level" d="M{} {}H{}"/><text class="up" x="{}" y="{}">{}</text>').format(
        LEFT, short(y), WIDTH - RIGHT, LEFT - 6, short(y + 4), text
    )


def clock(end: float) -> Markup:
    """Return the times along the bottom."""
    step = next((step for step in _CLOCK_STEPS if end / step <= _MOST_TICKS), 86_400 * math.ceil(end / 86_400 / 6))
    return Markup().join(tick(x_of(at, end), clock_time(at)) for at in range(0, math.floor(end) + 1, step))


def tick(x: float, text: str) -> Markup:
    """Return a name along the bottom."""
    return Markup('<text class="along" x="{}" y="{}">{}</text>').format(short(x), HEIGHT - 8, text)


def strips(edges: Sequence[float], titles: Sequence[str]) -> Markup:
    """Return what is pointed at: the strips between the edges."""
    return Markup().join(
        Markup('<path class="hit" d="M{} {}H{}v{}H{}z"><title>{}</title></path>').format(
            short(left), TOP, short(right), DOWN, short(left), title
        )
        for (left, right), title in zip(pairwise(edges), titles, strict=True)
    )


def path(points: Iterable[tuple[float, float] | None], tone: str) -> Markup:
    """Return a line through the points, broken where there is none; a point without neighbours is a dot."""
    drawn, pen = [], "M"
    for point in points:
        if point is None:
            pen = "M"
            continue
        drawn.append(f"{pen}{short(point[0])} {short(point[1])}" + ("h.01" if pen == "M" else ""))
        pen = "L"
    return Markup('<path class="{}" d="{}"/>').format(tone, "".join(drawn))


def x_of(place: float, end: float) -> float:
    """Return where a place is, on an axis that begins at 0 and ends at ``end``."""
    return LEFT + ACROSS * min(1.0, place / end)


def y_of(height: float) -> float:
    """Return where a height is, 0 to 1."""
    return TOP + DOWN * (1.0 - height)


def short(number: float) -> str:
    """Return a coordinate with no more digits than are seen."""
    return f"{number:.1f}".removesuffix(".0")


def _round_numbers(low: float, high: float | None = None) -> list[float]:
    """Return the numbers 1, 2, 5, 10, 20, ... from below ``low`` to beyond ``high``."""
    first = math.floor(math.log10(low))
    last = first + 1 if high is None else math.ceil(math.log10(high))
    return [step * 10.0**power for power in range(first, last + 1) for step in (1, 2, 5)]
