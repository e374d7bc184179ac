"""Which charts a report holds, and what each of them says."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec
from markupsafe import Markup

from loadgen import charts
from loadgen.charts import Series
from loadgen.drawing import Times
from loadgen.durations import duration
from loadgen.step_tally import OK
from observability.model import Histogram

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from loadgen.results import EndpointResult
    from loadgen.timeline import Column, Timeline

MOST_DRAWN = 12
"""Endpoints that get a heatmap: the busiest."""

_MOST_KINDS = 4
_TONES = 6


class Figure(msgspec.Struct, frozen=True):
    """A chart with its title, what it shows, and the names and tones of its lines."""

    title: str
    says: str
    chart: Markup
    legend: tuple[tuple[str, str], ...] = ()


def over_time(timeline: Timeline) -> tuple[Figure, ...]:
    """Return what a run did second by second."""
    columns = timeline.columns
    times = _times(timeline)
    kinds = [kind for kind, _ in sum((column.outcomes for column in columns), Counter()).most_common() if kind != OK]

    def of(name: str, tone: str, figure: Callable[[Column], float | None]) -> Series:
        return Series(name, tuple(map(figure, columns)), tone)

    def figure(
        title: str, says: str, series: Sequence[Series], shown: Callable[[float], str], *, bars: bool = False
    ) -> Figure:
        chart = (charts.bars if bars else charts.lines)(title, times, series, shown)
        return Figure(title, says, chart, tuple((one.name, one.tone) for one in series))

    def failed(kind: str, tone: str) -> Series:
        return of(kind, tone, lambda column: column.outcomes[kind] / column.seconds)

    errors = [failed(kind, f"e{number}") for number, kind in enumerate(kinds[:_MOST_KINDS], 1)]
    if others := kinds[_MOST_KINDS:]:
        errors.append(of("other", "e5", lambda column: sum(column.outcomes[kind] for kind in others) / column.seconds))
    return (
        figure(
            "Rate",
            "requests a second that fell due, and that came to an end",
            [
                of("planned", "planned", lambda column: _planned(column, timeline)),
                of("achieved", "s1", lambda column: column.completed / column.seconds),
            ],
            _rate,
        ),
        figure(
            "Response time",
            "from the intended time to the last byte",
            [
                of("p50", "s2", lambda column: column.response.quantile(0.5)),
                of("p95", "s1", lambda column: column.response.quantile(0.95)),
                of("p99", "s3", lambda column: column.response.quantile(0.99)),
            ],
            duration,
        ),
        figure(
            "Response and service",
            "p95; service time runs from sending, so what lies between is waiting",
            [
                of("response", "s1", lambda column: column.response.quantile(0.95)),
                of("service", "s2", lambda column: column.service.quantile(0.95)),
            ],
            duration,
        ),
        figure("Errors", "a second, by kind", errors, _rate, bars=True)
        if errors
        else Figure("Errors", "none in the whole run", Markup()),
        figure(
            "Generator",
            "p99: how late it came to a request, and the wait for a user or connection",
            [
                of("lag", "s1", lambda column: column.lag.quantile(0.99)),
                of("wait", "s2", lambda column: column.wait.quantile(0.99)),
            ],
            duration,
        ),
        figure(
            "At once",
            "most requests in flight, and most that waited for a user or connection",
            [
                of("in flight", "s1", lambda column: column.in_flight),
                of("waiting", "s2", lambda column: column.waiting),
            ],
            _rate,
        ),
    )


def distributions(busiest: Sequence[EndpointResult]) -> tuple[Figure, ...]:
    """Return how response times spread, together and endpoint by endpoint; the busiest come first."""
    response = Histogram.of(*(endpoint.response for endpoint in busiest)).freeze()
    service = Histogram.of(*(endpoint.service for endpoint in busiest)).freeze()
    both = [("response", "s1", response), ("service", "s2", service)]
    each = [(endpoint.name, f"s{number}", endpoint.response) for number, endpoint in enumerate(busiest[:_TONES], 1)]
    return tuple(
        Figure(title, says, charts.percentiles(title, series), tuple((name, tone) for name, tone, _ in series))
        for title, says, series in (
            ("All requests", "the share that ended within this time", both),
            ("Response by endpoint", "the busiest" if len(busiest) > _TONES else "every one", each),
        )
    )


def heatmaps(timeline: Timeline, busiest: Sequence[EndpointResult]) -> tuple[Figure, ...]:
    """Return how response times spread and moved, for each of the busiest endpoints."""
    times = _times(timeline)
    return tuple(
        Figure(
            endpoint.name,
            f"{endpoint.method} {endpoint.route}",
            charts.heatmap(f"Response times of {endpoint.name}", times, timeline.of(endpoint.blocks)),
        )
        for endpoint in busiest[:MOST_DRAWN]
        if endpoint.response.counts
    )


def _times(timeline: Timeline) -> Times:
    last = timeline.columns[-1]
    end = max(timeline.length, last.at + last.seconds)
    return Times(tuple(column.at for column in timeline.columns), timeline.width, end)


def _planned(column: Column, timeline: Timeline) -> float | None:
    """Return the rate that was planned, None for the draining after the plan."""
    return column.planned / column.seconds if column.at < timeline.length else None


def _rate(value: float) -> str:
    return f"{value:,.4g}" if value < 1000 else f"{value:,.0f}"  # noqa: PLR2004 - from here on .4g turns to exponents
