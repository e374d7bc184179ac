"""What a console asks of a feed beyond the present minute: one route, queries and commands, kept traces, what happened.

Durations are seconds, times Unix seconds; None is "not known" and never shown as zero.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from observability.model import KeptTrace
from observability.read.view import Judgement, Latency

Cohort = Literal["p50", "p99"]

AnnotationKind = Literal["deploy", "setting", "load", "alert", "worker"]


class Period(msgspec.Struct, frozen=True):
    """The time that somebody looks at: ``seconds`` up to ``until``, or up to now when that is None. At most an hour back."""

    seconds: int = 300
    until: float | None = None

    @property
    def step(self) -> int:
        """Seconds of a column: single ones of up to five minutes that are not long ago, else multiples of ten, 360 columns at most."""
        return 1 if self.seconds <= 300 and self.until is None else 10  # noqa: PLR2004 - as far as single seconds reach


class StatusCount(msgspec.Struct, frozen=True):
    """Answers of one kind. ``status`` 0 is none sent; ``error`` a short code or empty."""

    status: int
    error: str
    count: int


class Heatmap(msgspec.Struct, frozen=True):
    """Requests by time and latency. Cell ``counts[n][m]`` took ``(bounds[m], bounds[m + 1]]`` seconds in the ``step`` seconds up to ``at[n]``.

    A column of None is a gap: nobody was heard.
    """

    step: int = 10
    at: tuple[int, ...] = ()
    bounds: tuple[float, ...] = ()
    counts: tuple[tuple[int, ...] | None, ...] = ()


class CohortAnatomy(msgspec.Struct, frozen=True):
    """The mean time of requests in the band of latency that a percentile lies in, by parts.

    The cohort are the ``count`` requests that took ``(least, most]`` seconds. ``parts`` are (name, mean seconds), every one of
    ``model.PARTS`` and "rest", and add up to ``mean``.
    """

    cohort: Cohort
    count: int
    least: float
    most: float
    mean: float
    parts: tuple[tuple[str, float], ...]


class BlockedView(msgspec.Struct, frozen=True):
    """A function that held up the event loop of one worker, and whom it delayed, as ("GET /route", how many)."""

    at: float
    seconds: float
    function: str
    stack: tuple[str, ...]
    delayed: tuple[tuple[str, int], ...]
    instance: str
    worker: str


class RouteColumns(msgspec.Struct, frozen=True):
    """Columns of one route for charts, oldest first, as those of ``view.Series``."""

    at: tuple[int, ...] = ()
    rate: tuple[float | None, ...] = ()
    error_rate: tuple[float | None, ...] = ()
    p50: tuple[float | None, ...] = ()
    p95: tuple[float | None, ...] = ()
    p99: tuple[float | None, ...] = ()


class RouteDetail(msgspec.Struct, frozen=True):
    """One route over a period, against its target (p95)."""

    method: str
    route: str
    seconds: float
    rate: float
    errors: int
    error_rate: float | None
    latency: Latency
    target: float | None
    judgement: Judgement
    statuses: tuple[StatusCount, ...]
    columns: RouteColumns
    heatmap: Heatmap
    anatomy: tuple[CohortAnatomy, ...]
    """Of the p50 and the p99 cohort; empty when too few requests were timed."""
    blocked: tuple[BlockedView, ...]
    """What blocked a loop while requests of this route were on the way, newest first."""
    request_bytes: float | None = None
    response_bytes: float | None = None
    """The mean sizes of the bodies."""


class OperationView(msgspec.Struct, frozen=True):
    """A named query, or a Redis command, over a period against its target (p95), when it has one."""

    system: Literal["postgresql", "redis"]
    name: str
    rate: float
    errors: int
    items: int
    latency: Latency
    total: float
    """Seconds spent in it, of all calls."""
    target: float | None
    judgement: Judgement


class CacheColumns(msgspec.Struct, frozen=True):
    """One cache family's columns, lookups and fills a second."""

    family: str
    hits: tuple[float | None, ...] = ()
    misses: tuple[float | None, ...] = ()
    coalesced: tuple[float | None, ...] = ()
    refused: tuple[float | None, ...] = ()
    hit_rate: tuple[float | None, ...] = ()


class StoreColumns(msgspec.Struct, frozen=True):
    """Columns of the stores and of the processes, oldest first.

    Timeouts, refusals, lookups and fills are so many a second. Of single seconds, these are of that second and all else is
    over the ten seconds that end there.
    """

    at: tuple[int, ...] = ()
    pool_in_use: tuple[float | None, ...] = ()
    pool_wait_p95: tuple[float | None, ...] = ()
    pool_timeouts: tuple[float | None, ...] = ()
    hash_wait_p95: tuple[float | None, ...] = ()
    hash_duration_p95: tuple[float | None, ...] = ()
    hash_refused: tuple[float | None, ...] = ()
    sql_p95: tuple[float | None, ...] = ()
    redis_p95: tuple[float | None, ...] = ()
    evictions_per_minute: tuple[float | None, ...] = ()
    expirations_per_minute: tuple[float | None, ...] = ()
    memory_used: tuple[float | None, ...] = ()
    families: tuple[CacheColumns, ...] = ()


class TraceFilter(msgspec.Struct, frozen=True):
    """Which kept traces are asked for: all that are not narrowed. ``status`` is a class ("2xx") or a code, "" for any.

    Without ``route`` any route; without ``method`` any method. ``least`` and ``most`` bound their duration in seconds,
    ``since`` and ``until`` when they started.
    """

    method: str = ""
    route: str = ""
    status: str = ""
    why: str = ""
    least: float | None = None
    most: float | None = None
    since: float | None = None
    until: float | None = None
    limit: int = 100


class TraceList(msgspec.Struct, frozen=True):
    """Kept traces, newest first; ``more`` says that older ones match as well. ``reason`` says why not the whole fleet's are known."""

    traces: tuple[KeptTrace, ...] = ()
    more: bool = False
    reason: str = ""


class Annotation(msgspec.Struct, frozen=True):
    """Something that happened, to be marked in every chart. ``until`` is its end, when it lasted or still lasts."""

    at: float
    kind: AnnotationKind
    text: str
    until: float | None = None
