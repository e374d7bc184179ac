"""One route: its columns, its heatmap, and where the time of its fast and of its slow requests goes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

from observability.model import PARTS, Band
from observability.model.anatomy import BANDS_PER_DOUBLING
from observability.model.histogram import SCALE
from observability.read.columns import TRAILING, heard_lately
from observability.read.detail import CohortAnatomy, Heatmap, RouteColumns, RouteDetail, StatusCount
from observability.read.figures import judge, latency_of
from observability.read.tally import Tally
from observability.read.words import share

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from observability.model import Slo
    from observability.read.detail import BlockedView, Cohort
    from observability.read.ledger import Ledger
    from observability.read.slot import SlotHead
    from observability.read.stretch import Stretch

Key = tuple[str, str]
"""A route's method and template."""

UNMATCHED = "(unmatched)"
"""How the route of requests that matched none is shown."""

_PER_BAND = 2**SCALE // BANDS_PER_DOUBLING
_MIB = 1024 * 1024
_COHORTS: tuple[tuple[Cohort, float], ...] = (("p50", 0.5), ("p99", 0.99))


class RouteColumn(msgspec.Struct, frozen=True):
    """One column; ``bands`` are requests by band of latency. Without a rate nobody was heard."""

    at: int
    rate: float | None = None
    error_rate: float | None = None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    bands: tuple[tuple[int, int], ...] = ()


def route_column(ledger: Ledger, key: Key, step: int, end: int) -> RouteColumn:
    """Return what a route did in the ``step`` seconds that end at ``end``; percentiles of one second are of ten."""
    if step > 1:
        slots = tuple(ledger.history.coarse.heads(end - step, end))
        if not slots:
            return RouteColumn(end)
        done = over = _tally(slots, key)
        seconds = max(1.0, end - max(float(end - step), min(slot.begin for slot in slots)))
    else:
        if not heard_lately(ledger, end):
            return RouteColumn(end)
        fine = ledger.history.fine
        done, over, seconds = _tally(fine.heads(end - 1, end), key), _tally(fine.heads(end - TRAILING, end), key), 1.0
    p50, p95, p99 = over.answered.quantiles((0.5, 0.95, 0.99))
    bands = tuple(sorted(_bands(done).items()))
    return RouteColumn(end, done.count / seconds, share(over.errors, over.count), p50, p95, p99, bands)


def _tally(slots: Iterable[SlotHead], key: Key) -> Tally:
    tally = Tally()
    for slot in slots:
        for counts in slot.requests:
            if (counts.method, counts.route) == key:
                tally.add(counts)
    return tally


def _bands(tally: Tally) -> dict[int, int]:
    durations = tally.answered.freeze()
    found: dict[int, int] = {}
    for bucket, count in enumerate(durations.counts, durations.offset):
        if count:
            found[bucket // _PER_BAND] = found.get(bucket // _PER_BAND, 0) + count
    return found


def route_detail(
    key: Key,
    stretch: Stretch,
    columns: Sequence[RouteColumn],
    cells: Sequence[RouteColumn],
    step: int,
    blocked: Iterable[BlockedView],
    slo: Slo,
) -> RouteDetail | None:
    """Put a route together from what was done, its columns and those of its heatmap, of ``step`` seconds; None when there is nothing to it."""
    method, route = key
    target = slo.target(method, route)
    series = [counts for counts in stretch.total.series() if (counts.method, counts.route) == key]
    if target is None and not series:
        return None
    tally = Tally()
    for counts in series:
        tally.add(counts)
    latency = latency_of(tally)
    size = stretch.total.inside.bodies.get(key)
    bands = stretch.total.inside.anatomy.get(key, {}).values()
    enough = sum(band.count for band in bands) >= slo.fewest_samples
    name = f"{method} {route or UNMATCHED}"
    statuses = (StatusCount(c.status, c.error, c.duration.count) for c in series if c.duration.counts)
    return RouteDetail(
        method=method,
        route=route or UNMATCHED,
        seconds=stretch.seconds,
        rate=tally.count / stretch.seconds,
        errors=tally.errors,
        error_rate=share(tally.errors, tally.count),
        latency=latency,
        target=target.p95 if target else None,
        judgement=judge(latency, target.p95 if target else None, slo.fewest_samples),
        statuses=tuple(sorted(statuses, key=lambda status: (status.status, status.error))),
        columns=RouteColumns(
            **{name: tuple(getattr(column, name) for column in columns) for name in RouteColumns.__struct_fields__}
        ),
        heatmap=heatmap(cells, step),
        anatomy=cohorts(bands) if enough else (),
        blocked=tuple(one for one in blocked if any(delayed == name for delayed, _ in one.delayed)),
        request_bytes=share(size.request * _MIB, tally.count) if size else None,
        response_bytes=share(size.response * _MIB, tally.count) if size else None,
    )


def heatmap(cells: Sequence[RouteColumn], step: int) -> Heatmap:
    """Return columns of ``step`` seconds by bands of latency, of which only the stretch that anybody fell into."""
    known = [dict(column.bands) for column in cells]
    occupied = {band for column in known for band in column}
    if not occupied:
        return Heatmap(step, tuple(column.at for column in cells), (), tuple(_cells(c, {}, range(0)) for c in cells))
    bands = range(min(occupied), max(occupied) + 1)
    return Heatmap(
        step,
        tuple(column.at for column in cells),
        tuple(_least(band) for band in range(bands.start, bands.stop + 1)),
        tuple(_cells(column, counts, bands) for column, counts in zip(cells, known, strict=True)),
    )


def _cells(column: RouteColumn, counts: dict[int, int], bands: range) -> tuple[int, ...] | None:
    return None if column.rate is None else tuple(counts.get(band, 0) for band in bands)


def _least(band: int) -> float:
    return float(2.0 ** (band / BANDS_PER_DOUBLING))


def cohorts(bands: Iterable[Band]) -> tuple[CohortAnatomy, ...]:
    """Return the bands in which the nearest-rank p50 and p99 lie: whole requests, so that the parts add up."""
    occupied = sorted((band for band in bands if band.count), key=lambda band: band.index)
    return tuple(_cohort(name, _at_rank(occupied, q)) for name, q in _COHORTS) if occupied else ()


def _at_rank(bands: Sequence[Band], q: float) -> Band:
    rank = math.ceil(q * sum(band.count for band in bands))
    for band in bands:
        rank -= band.count
        if rank <= 0:
            return band
    raise AssertionError("a rank is never above the count")  # pragma: no cover


def _cohort(name: Cohort, band: Band) -> CohortAnatomy:
    parts = [(part, seconds / band.count) for part, seconds in zip(PARTS, band.parts, strict=True)]
    mean = band.total / band.count
    rest = mean - sum(seconds for _, seconds in parts)
    least, most = _least(band.index), _least(band.index + 1)
    return CohortAnatomy(name, band.count, least, most, mean, (*parts, ("rest", max(0.0, rest))))
