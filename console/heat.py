"""A heatmap's figures in words, for those who do not see it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from observability.read.detail import Heatmap

MOST_ROWS = 30


class HeatRow(msgspec.Struct, frozen=True):
    """Requests between two Unix seconds: ``usual`` is the band of latency that most fell into, ``slowest`` the highest that any did.

    ``count`` None is a gap. ``over`` took longer than the target for certain, as they lie in bands above it.
    """

    begin: int
    end: int
    count: int | None
    usual: tuple[float, float] | None = None
    slowest: tuple[float, float] | None = None
    over: int | None = None


def heat_rows(heatmap: Heatmap, target: float | None) -> tuple[HeatRow, ...]:
    """Sum a heatmap up in at most thirty rows, newest first."""
    each = max(1, -(-len(heatmap.at) // MOST_ROWS))
    ends = range(len(heatmap.at), 0, -each)
    return tuple(_row(heatmap, max(0, end - each), end, target) for end in ends)


def _row(heatmap: Heatmap, first: int, end: int, target: float | None) -> HeatRow:
    begin, until = heatmap.at[first] - heatmap.step, heatmap.at[end - 1]
    known = [column for column in heatmap.counts[first:end] if column is not None]
    if not known:
        return HeatRow(begin, until, None)
    bands = [sum(column[band] for column in known) for band in range(len(heatmap.bounds) - 1)]
    filled = [band for band, count in enumerate(bands) if count]
    if not filled:
        return HeatRow(begin, until, 0)
    usual = max(filled, key=lambda band: bands[band])
    over = None if target is None else sum(bands[band] for band in filled if heatmap.bounds[band] >= target)
    return HeatRow(begin, until, sum(bands), _band(heatmap, usual), _band(heatmap, filled[-1]), over)


def _band(heatmap: Heatmap, band: int) -> tuple[float, float]:
    return heatmap.bounds[band], heatmap.bounds[band + 1]
