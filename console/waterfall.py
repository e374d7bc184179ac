"""A trace as rows on one time: the caller's wait, the request, its children and what was logged meanwhile."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import msgspec

from observability.model.kept import AttributeValue

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from observability.model.kept import KeptLog, KeptSpan, KeptTrace

MOST_DEPTH = 8
"""Steps that a row is indented at most."""

MOST_TICKS = 5
"""Steps of the ruler at most."""

LEAST_WIDTH = 0.25
"""Per cent of the width below which a bar could not be seen."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One row. ``begin`` is seconds after the trace's beginning; ``left`` and ``width`` are per cent of its time.

    ``part`` names the colour; a log has no width, and ``level`` and ``logger`` in place of attributes.
    """

    kind: Literal["wait", "request", "span", "log"]
    key: str
    label: str
    begin: float
    seconds: float = 0.0
    left: float = 0.0
    width: float = 0.0
    depth: int = 0
    part: str = ""
    error: str = ""
    level: str = ""
    logger: str = ""
    attributes: tuple[tuple[str, AttributeValue], ...] = ()


class Tick(msgspec.Struct, frozen=True):
    """A moment on the ruler, in seconds after the trace's beginning, and where it stands, in per cent of the width."""

    seconds: float
    left: float


class Waterfall(msgspec.Struct, frozen=True):
    """Rows from ``began`` (Unix seconds) on; ``seconds`` is the whole width."""

    began: float
    seconds: float
    rows: tuple[Row, ...]

    @property
    def ticks(self) -> tuple[Tick, ...]:
        """Return at most six moments a round step apart, from the beginning on, none close to the end."""
        decade = 10.0 ** math.floor(math.log10(self.seconds))
        step = next(
            step for step in (0.2 * decade, 0.5 * decade, decade, 2 * decade) if self.seconds / step <= MOST_TICKS
        )
        moments = [number * step for number in range(MOST_TICKS + 1) if number * step <= 0.95 * self.seconds]
        return tuple(Tick(moment, round(100 * moment / self.seconds, 3)) for moment in moments)


def waterfall(kept: Sequence[KeptTrace]) -> Waterfall:
    """Lay out what was kept of one trace, at least one request, by whichever workers."""
    kept = sorted(kept, key=_left_its_caller)
    began = _left_its_caller(kept[0])
    whole = max(one.started + one.seconds for one in kept) - began or 1e-9
    rows = (row for one in kept for row in _rows(one, began))
    return Waterfall(began, whole, tuple(_placed(row, whole) for row in rows))


def _left_its_caller(trace: KeptTrace) -> float:
    return trace.started - (trace.client_wait or 0.0)


def _placed(row: Row, whole: float) -> Row:
    width = 0.0 if row.kind == "log" else max(LEAST_WIDTH, min(100.0, 100 * row.seconds / whole))
    left = min(100.0 - width, max(0.0, 100 * row.begin / whole))
    return msgspec.structs.replace(row, left=round(left, 3), width=round(width, 3))


def _rows(trace: KeptTrace, began: float) -> Iterator[Row]:
    start = trace.started - began
    if trace.client_wait:
        yield Row(
            kind="wait",
            key=f"{trace.span_id} wait",
            label="Waited at the client before it was sent",
            begin=start - trace.client_wait,
            seconds=trace.client_wait,
        )
    yield Row(
        kind="request",
        key=trace.span_id,
        label=trace.name,
        begin=start,
        seconds=trace.seconds,
        error=trace.error,
        attributes=_told(trace),
    )
    depths = _depths(trace)
    children = [*(_span(span, start, depths[span.span_id]) for span in trace.spans)]
    logs = [_log(log, start, f"{trace.span_id} log {number}") for number, log in enumerate(trace.logs)]
    yield from sorted((*children, *logs), key=lambda row: row.begin)


def _told(trace: KeptTrace) -> tuple[tuple[str, AttributeValue], ...]:
    """Return a request's attributes, and those that its other fields hold, by the names of OpenTelemetry."""
    told: list[tuple[str, AttributeValue]] = [("http.response.status_code", trace.status)] if trace.status else []
    told += [("error.type", trace.error)] if trace.error else []
    told += [("service.instance.id", trace.worker)] if trace.worker else []
    known = {name for name, _ in told}
    return (*told, *(pair for pair in trace.attributes if pair[0] not in known))


def _depths(trace: KeptTrace) -> dict[str, int]:
    """Return how deep each child lies, the request's own at one; a parent that is not known is the request."""
    parents = {span.span_id: span.parent_id for span in trace.spans}
    depths = {}
    for span_id, own in parents.items():
        depth, parent = 1, own
        while parent in parents and depth < MOST_DEPTH:
            depth, parent = depth + 1, parents[parent]
        depths[span_id] = depth
    return depths


def _span(span: KeptSpan, start: float, depth: int) -> Row:
    return Row(
        kind="span",
        key=span.span_id,
        label=span.name,
        begin=start + span.begin,
        seconds=span.seconds,
        depth=depth,
        part=span.part,
        error=span.error,
        attributes=span.attributes,
    )


def _log(log: KeptLog, start: float, key: str) -> Row:
    return Row(
        kind="log", key=key, label=log.message, begin=start + log.at, depth=1, level=log.level, logger=log.logger
    )
