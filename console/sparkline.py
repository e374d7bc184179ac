"""A line without axes, as the points of an SVG polyline, drawn before any script runs."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH, HEIGHT = 100, 24
"""The view box that the points are in."""

COLUMNS = 30
"""Values that fill the width: five minutes in columns of ten seconds."""


def sparkline(values: Sequence[float | None], least: float = 0.0) -> tuple[str, ...]:
    """Return the stretches of a line from zero to its own highest value (``least`` at least), parted where a value is None.

    The last value stands at the right edge; of fewer than ``COLUMNS`` values the line begins further right.
    """
    return _line(tuple(values), least)


@lru_cache(maxsize=256)
def _line(values: tuple[float | None, ...], least: float) -> tuple[str, ...]:
    """Draw it: ten seconds long it is asked for every second, and stays as it is."""
    values = (*(None,) * (COLUMNS - len(values)), *values)
    known = [value for value in values if value is not None]
    highest = max([*known, least]) or 1.0
    step = WIDTH / (len(values) - 1)
    stretches: list[list[str]] = [[]]
    for number, value in enumerate(values):
        if value is None:
            stretches.append([])
        else:
            stretches[-1].append(f"{number * step:.4g},{HEIGHT - 1 - (HEIGHT - 2) * value / highest:.4g}")
    return tuple(" ".join(points) for points in stretches if len(points) > 1)
