"""From a ledger to chart columns: one a second, from the differences of the workers' points."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from observability.model import Distribution
from observability.read.ledger import Ledger, Point, Track
from observability.read.view import Series
from observability.read.window import difference, server_growth
from observability.read.words import share

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

TRAILING = 10
"""Seconds that percentiles and shares of a column are over."""

_MINUTE = 60
_SILENT = 3
_NOTHING = Point(0, 0, 0, Distribution(), 0, 0, 0, Distribution())


class Column(msgspec.Struct, frozen=True):
    """One second of every chart; the fields are those of Series."""

    at: int
    rate: float | None = None
    error_rate: float | None = None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    hit_rate: float | None = None
    evictions_per_minute: float | None = None
    pool_in_use: float | None = None
    pool_wait_p95: float | None = None


def column_at(ledger: Ledger, second: int) -> Column:
    """Return the column of the second that ends at ``second``; unknown where no worker was heard just then.

    A worker that missed snapshots adds what it did meanwhile in the second in which it is heard again.
    """
    tracks = [track for track in ledger.tracks.values() if track.points]
    heard = [track for track in tracks if _heard(track, second)]
    growth = server_growth(tuple(ledger.redis), second - _MINUTE, second)
    if not heard:
        return Column(at=second)
    last = [(_state(track, second), _state(track, second - 1)) for track in tracks]
    trailing = [(_state(track, second), _state(track, second - TRAILING)) for track in tracks]
    p50, p95, p99 = difference((b.answered, a.answered) for b, a in trailing).quantiles((0.5, 0.95, 0.99))
    return Column(
        at=second,
        rate=sum(b.requests - a.requests for b, a in last),
        error_rate=share(
            sum(b.errors - a.errors for b, a in trailing), sum(b.requests - a.requests for b, a in trailing)
        ),
        p50=p50,
        p95=p95,
        p99=p99,
        hit_rate=share(sum(b.hits - a.hits for b, a in trailing), sum(b.lookups - a.lookups for b, a in trailing)),
        evictions_per_minute=growth[0] if growth else None,
        pool_in_use=sum(_state(track, second).pool_in_use for track in heard),
        pool_wait_p95=difference((b.pool_wait, a.pool_wait) for b, a in trailing).quantile(0.95),
    )


def series_of(columns: Iterable[Column]) -> Series:
    """Turn columns into the table that charts take."""
    rows: Sequence[Column] = tuple(columns)
    return Series(**{name: tuple(getattr(row, name) for row in rows) for name in Column.__struct_fields__})


def _heard(track: Track, second: int) -> bool:
    point = track.point_at(second)
    return point is not None and second - point.second < _SILENT


def _state(track: Track, second: int) -> Point:
    """Return a worker's cumulative state at a second.

    Before its first point that is zero when it had not started yet, and its first point otherwise: what it did before
    we knew it belongs to no column.
    """
    point = track.point_at(second)
    if point is not None:
        return point
    first = track.points[0]
    return _NOTHING if track.started > first.second - _SILENT - 1 else first
