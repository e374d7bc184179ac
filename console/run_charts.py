"""A load run as its charts draw it: what was planned and achieved, and the latency that clients saw beside the service's own."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

import msgspec

from console.comparing import short
from console.pages.page import Ask
from observability.read.detail import Period

if TYPE_CHECKING:
    from collections.abc import Sequence

    from console.ports import Feed, LoadColumns, LoadRun

LONGEST = 3600
"""Seconds that a feed looks back."""

_CLIENT = ("planned", "sent", "completed", "errors", "p50", "p95", "p99")
_SERVICE = ("p50", "p95", "p99")

Drawn = dict[str, object]


async def drawn(feed: Feed, run: LoadRun, columns: LoadColumns, now: float) -> Drawn:
    """Put a run's columns and the service's on one axis: ``at`` are Unix seconds at which a column ends."""
    length = columns.at[1] - columns.at[0] if len(columns.at) > 1 else 1.0
    ends = [columns.started + at + length for at in columns.at[: _filled(columns)]]
    found: Drawn = {"run": run.run, "at": [round(end, 1) for end in ends]}
    found |= {name: [short(value) for value in getattr(columns, name)[: len(ends)]] for name in _CLIENT}
    until = None if run.active else float(round(run.ended))
    seconds = min(LONGEST, max(10, round((now if until is None else until) - run.started) + 1))
    period = Period(seconds, until)
    step = Ask(period).step(now)
    series = await feed.series(0.0, seconds, step, until)
    for name in _SERVICE:
        found[f"service_{name}"] = _at(ends, series.at, getattr(series, name), max(length, step) + 1)
    found["marks"] = [msgspec.to_builtins(mark) for mark in await feed.annotations(period)]
    return found


def _filled(columns: LoadColumns) -> int:
    """Return how many columns there are before those at the end in which nothing was due and nothing is known."""
    filled = len(columns.at)
    while filled and not columns.planned[filled - 1] and columns.p95[filled - 1] is None:
        filled -= 1
    return filled


def _at(ends: Sequence[float], at: Sequence[int], values: Sequence[float | None], oldest: float) -> list[float | None]:
    """Return, for each moment, the last value that was known then; none that is older than so many seconds."""
    places = [bisect_right(at, end) - 1 for end in ends]
    return [
        short(values[place]) if place >= 0 and end - at[place] <= oldest else None
        for place, end in zip(places, ends, strict=True)
    ]
