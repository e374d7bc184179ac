"""What a reader makes of the fleet's snapshots: figures over the last minute and their history.

All durations are seconds and all rates are per second unless a name says otherwise. None means "not known" (no samples,
no feed) and is never shown as zero.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Judgement = Literal["met", "missed", "too few", "no target"]

AlertState = Literal["ok", "pending", "firing", "resolved", "too few", "unknown"]
"""pending: above its threshold, not yet for long enough; resolved: was firing, within the last hour; too few: requests to
judge by; unknown: the figure cannot be read."""

AlertUnit = Literal["", "times", "share", "per minute"]
"""times: of the target, or as fast as the error budget lasts; share: of one; empty: that of an older release, not told."""


class Latency(msgspec.Struct, frozen=True):
    """Nearest-rank percentiles in seconds of ``count`` requests."""

    count: int = 0
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


class RouteView(msgspec.Struct, frozen=True):
    """One route over the window against its target (p95, seconds).

    ``impact`` is the seconds that its answered requests took in one second: rate times mean. ``trend`` is its p95 in steps of ten
    seconds over the last five minutes, oldest first.
    """

    method: str
    route: str
    rate: float
    errors: int
    error_rate: float | None
    latency: Latency
    target: float | None
    judgement: Judgement
    impact: float = 0.0
    trend: tuple[float | None, ...] = ()


class CacheView(msgspec.Struct, frozen=True):
    """One cache family over the window, of our own lookups."""

    family: str
    hits: int
    misses: int
    coalesced: int
    refused: int
    errors: int
    hit_rate: float | None


class RedisView(msgspec.Struct, frozen=True):
    """The Redis server now, and evictions and expirations over the last minute."""

    evictions_per_minute: float | None
    expirations_per_minute: float | None
    memory_used: int
    memory_max: int
    policy: str


class PoolView(msgspec.Struct, frozen=True):
    """Connections of the whole fleet. ``use`` is the time-weighted share of ``size`` lent out over the window."""

    size: int
    open: int
    in_use: int
    pending: int
    high_water: int
    use: float | None
    wait_p95: float | None
    timeouts: int


class HashView(msgspec.Struct, frozen=True):
    """Password hashing in the whole fleet over the window."""

    threads: int
    queued: int
    limit: int
    refused: int
    wait_p95: float | None
    duration_p95: float | None


class WorkerView(msgspec.Struct, frozen=True):
    """One worker process over the last minute, whatever the window. ``cpu`` is cores used; ``age`` is seconds since its last snapshot.

    ``telemetry`` is the mean time that telemetry takes of a request, ``published`` bytes a second, ``gc_p99`` pauses of the
    garbage collector, ``kept`` traces. Since it started: ``dropped`` spans that were refused or lost, ``blocked`` ticks that
    took too long.
    """

    instance: str
    worker: str
    pid: int
    started: float
    age: float
    rss: int
    cpu: float | None
    loop_lag_p99: float | None
    requests: int
    in_flight: int
    release: str = ""
    about: tuple[tuple[str, str], ...] = ()
    threads: int = 0
    open_files: int = 0
    tasks: int = 0
    gc_p99: float | None = None
    gc_per_minute: float | None = None
    blocked: int = 0
    telemetry: float | None = None
    published: float | None = None
    dropped: int = 0
    series: int = 0
    most_series: int = 0
    kept: int = 0


class Series(msgspec.Struct, frozen=True):
    """Columns for charts, oldest first; ``at`` is the Unix second at a column's end. None is a gap: nobody was heard.

    Of single seconds, rates are of that second and all else is over the ten seconds that end there; of longer steps all is
    over the step. ``pool_in_use`` is the mean over that time, evictions are of the minute before.
    """

    at: tuple[int, ...] = ()
    rate: tuple[float | None, ...] = ()
    error_rate: tuple[float | None, ...] = ()
    p50: tuple[float | None, ...] = ()
    p95: tuple[float | None, ...] = ()
    p99: tuple[float | None, ...] = ()
    hit_rate: tuple[float | None, ...] = ()
    evictions_per_minute: tuple[float | None, ...] = ()
    pool_in_use: tuple[float | None, ...] = ()
    pool_wait_p95: tuple[float | None, ...] = ()
    loop_lag_p99: tuple[float | None, ...] = ()


class Alert(msgspec.Struct, frozen=True):
    """One rule on one subject (a route, or nothing when it is about the whole). Times are Unix seconds.

    It is in this state since ``since``, was evaluated at ``at`` and could last be judged at ``judged``.
    ``figure`` and ``threshold`` are in the rule's own ``unit``; ``reason`` says both in words.
    """

    rule: str
    subject: str
    state: AlertState
    since: float
    at: float
    judged: float
    figure: float | None
    threshold: float
    reason: str
    unit: AlertUnit = ""


class Transition(msgspec.Struct, frozen=True):
    """An alert that went from one state to another, and why."""

    at: float
    rule: str
    subject: str
    was: AlertState
    state: AlertState
    reason: str


class View(msgspec.Struct, frozen=True):
    """One look at the fleet. ``scope`` is "worker" when the stream cannot be read; ``reason`` then says why.

    ``requests`` is how many the figures rest on, answered or not; below ``fewest_samples`` nothing is judged by them.
    ``database_cpu`` is the share of its machine's processors that PostgreSQL uses. ``alerts`` were evaluated at
    ``alerts_at`` (None: not yet), once for the fleet, or by this worker for itself when ``scope`` says so;
    ``transitions`` are the latest of them, newest first.
    """

    at: float
    scope: Literal["fleet", "worker"]
    reason: str
    age: float | None
    window: float
    rate: float
    errors: int
    error_rate: float | None
    latency: Latency
    routes: tuple[RouteView, ...]
    caches: tuple[CacheView, ...]
    hit_rate: float | None
    redis: RedisView | None
    pool: PoolView | None
    hashing: HashView | None
    workers: tuple[WorkerView, ...]
    requests: int
    fewest_samples: int
    database_cpu: float | None = None
    alerts: tuple[Alert, ...] = ()
    transitions: tuple[Transition, ...] = ()
    alerts_at: float | None = None

    @property
    def firing(self) -> int:
        """How many alerts fire."""
        return sum(alert.state == "firing" for alert in self.alerts)
