"""What a reader makes of the fleet's snapshots: figures over the last minute and their history.

All durations are seconds and all rates are per second unless a name says otherwise. None means "not known" (no samples,
no feed) and is never shown as zero.
"""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec

Judgement = Literal["met", "missed", "too few", "no target"]

AlertState = Literal["ok", "pending", "firing", "resolved", "too few", "unknown"]
"""pending: above its threshold, not yet for long enough; resolved: was firing, within the last hour; too few: requests to
judge by; unknown: the figure cannot be read."""


class Latency(msgspec.Struct, frozen=True):
    """Nearest-rank percentiles in seconds of ``count`` requests."""

    count: int = 0
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


class RouteView(msgspec.Struct, frozen=True):
    """One route over the last minute against its target (p95, seconds)."""

    method: str
    route: str
    rate: float
    errors: int
    error_rate: float | None
    latency: Latency
    target: float | None
    judgement: Judgement


class CacheView(msgspec.Struct, frozen=True):
    """One cache family over the last minute, of our own lookups."""

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
    """Connections of the whole fleet. ``use`` is the time-weighted share of ``size`` lent out over the last minute."""

    size: int
    open: int
    in_use: int
    pending: int
    high_water: int
    use: float | None
    wait_p95: float | None
    timeouts: int


class HashView(msgspec.Struct, frozen=True):
    """Password hashing in the whole fleet over the last minute."""

    threads: int
    queued: int
    limit: int
    refused: int
    wait_p95: float | None
    duration_p95: float | None


class WorkerView(msgspec.Struct, frozen=True):
    """One worker process. ``cpu`` is cores used over the last minute; ``age`` is seconds since its last snapshot."""

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


class Alert(msgspec.Struct, frozen=True):
    """One rule on one subject (a route, or nothing when it is about the whole). Times are Unix seconds.

    It is in this state since ``since``, was evaluated at ``at`` and could last be judged at ``judged``.
    ``figure`` and ``threshold`` are in the rule's own unit; ``reason`` says both in words.
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


class Feed(Protocol):
    """Where a console gets its figures: implemented by FleetStore, handed in by the host."""

    async def view(self) -> View:
        """Return the present figures, refreshed at most once a second however many ask."""

    async def series(self, since: float = 0.0, seconds: int = 300, step: int = 1) -> Series:
        """Return complete columns after ``since`` (Unix seconds), at most those of the last ``seconds``.

        A column is a second (five minutes of them are kept), or a multiple of ten seconds (an hour).
        """
