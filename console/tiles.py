"""The tiles on top of the overview: a figure each, what it rests on, and whether it is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from console import format as shown
from console.sparkline import sparkline
from console.verdict import fails

if TYPE_CHECKING:
    from observability.read.view import PoolView, Series, View

EVICTIONS_ARE_WRONG = 100.0
"""Evictions a minute from which Redis is too small for its cache (the performance guide's alert)."""

LAG_IS_WRONG = 0.1
"""Seconds of loop lag from which requests miss the shortest target by waiting for their turn alone."""

LAST_MINUTE = "the last minute"


class Tile(msgspec.Struct, frozen=True, kw_only=True):
    """One tile. ``figure`` is number and unit parted by a space; ``why`` says why there is none. ``trend`` are stretches of a sparkline."""

    key: str
    label: str
    figure: str
    note: str = ""
    why: str = ""
    tone: Literal["", "bad"] = ""
    used: float | None = None
    page: str = ""
    trend: tuple[str, ...] = ()


def tiles(view: View, past: Series) -> tuple[Tile, ...]:
    """Return the overview's tiles in reading order: the traffic, then what it runs on. ``past`` is drawn in sparklines."""
    return (*_traffic(view, past, LAST_MINUTE), _cache(view, past, LAST_MINUTE), _pool(view, past), _loop(view, past))


def tiles_of_the_past(view: View, past: Series, when: str) -> tuple[Tile, ...]:
    """Return the same tiles for a time that is over, which ``when`` names; ``past`` are its columns."""
    return (*_traffic(view, past, when), _cache(view, past, when), _mean_pool(view, past, when), _worst_loop(past))


def _traffic(view: View, past: Series, when: str) -> tuple[Tile, ...]:
    latency, nothing = view.latency, f"no requests in {when}"
    asked = f"{view.requests:,} in {when}" if view.requests else nothing
    around = f"p50 {shown.duration(latency.p50)}, p99 {shown.duration(latency.p99)}"
    return (
        Tile(
            key="rate",
            label="Requests",
            figure=shown.MISSING if view.age is None else shown.rate(view.rate),
            note=asked,
            why="no figures yet",
            trend=sparkline(past.rate, least=1.0),
        ),
        Tile(
            key="errors",
            label="Errors",
            figure=shown.share(view.error_rate),
            note=f"{view.errors:,} of {view.requests:,}" if view.requests else nothing,
            why=nothing,
            tone="bad" if fails(view) else "",
            trend=sparkline(past.error_rate, least=0.02),
        ),
        Tile(
            key="p95",
            label="Latency p95",
            figure=shown.duration(latency.p95),
            note=around if latency.count else nothing,
            why=nothing,
            trend=sparkline(past.p95),
        ),
    )


def _cache(view: View, past: Series, when: str) -> Tile:
    lookups = sum(cache.hits + cache.misses + cache.coalesced for cache in view.caches)
    evictions = view.redis.evictions_per_minute if view.redis else None
    evicted = "evictions not known" if evictions is None else f"{shown.count(evictions)} evicted/min"
    return Tile(
        key="hit-rate",
        label="Cache hit rate",
        figure=shown.share(view.hit_rate),
        note=f"of {shown.count(lookups)}, {evicted}" if lookups else f"no lookups, {evicted}",
        why=f"no lookups in {when}",
        tone="bad" if evictions is not None and evictions > EVICTIONS_ARE_WRONG else "",
        page="cache",
        trend=sparkline(past.hit_rate, least=1.0),
    )


def _pool(view: View, past: Series) -> Tile:
    pool = view.pool
    if pool is None:
        why = "no worker reports a pool"
        return Tile(key="pool", label="Pool in use", figure=shown.MISSING, note=why, why=why)
    waiting = "nobody waits" if pool.wait_p95 is None else f"wait p95 {shown.duration(pool.wait_p95)}"
    return _used_pool(pool, past, f"most {pool.high_water:,}, {waiting}")


def _mean_pool(view: View, past: Series, when: str) -> Tile:
    pool = view.pool
    if pool is None:
        why = f"no worker reported a pool in {when}"
        return Tile(key="pool", label="Pool in use", figure=shown.MISSING, note=why, why=why)
    waited = "nobody waited" if pool.wait_p95 is None else f"wait p95 {shown.duration(pool.wait_p95)}"
    return _used_pool(pool, past, f"on average, {waited}")


def _used_pool(pool: PoolView, past: Series, note: str) -> Tile:
    return Tile(
        key="pool",
        label="Pool in use",
        figure=f"{pool.in_use:,} of\N{NO-BREAK SPACE}{pool.size:,}",
        note=f"{pool.timeouts:,} gave up waiting" if pool.timeouts else note,
        tone="bad" if pool.timeouts else "",
        used=pool.use,
        page="database",
        trend=sparkline(past.pool_in_use, least=float(pool.size)),
    )


def _worst_loop(past: Series) -> Tile:
    lag = max((lag for lag in past.loop_lag_p99 if lag is not None), default=None)
    return Tile(
        key="loop",
        label="Loop lag p99",
        figure=shown.duration(lag),
        note="of all workers, in the worst column",
        why="not sampled then",
        tone="bad" if lag is not None and lag > LAG_IS_WRONG else "",
        page="workers",
        trend=sparkline(past.loop_lag_p99, least=0.01),
    )


def _loop(view: View, past: Series) -> Tile:
    lags = [worker.loop_lag_p99 for worker in view.workers if worker.loop_lag_p99 is not None]
    hashing = view.hashing
    queue = "" if hashing is None else f"hash queue {hashing.queued:,} of {hashing.limit:,}"
    refused = ""
    if hashing is not None and hashing.refused:
        refused = f"{hashing.refused:,} {'password' if hashing.refused == 1 else 'passwords'} refused"
    lag = max(lags, default=None)
    return Tile(
        key="loop",
        label="Loop lag p99",
        figure=shown.duration(lag),
        note=refused or queue or "of the worker that lags most",
        why="not sampled yet",
        tone="bad" if lag is not None and lag > LAG_IS_WRONG else "",
        page="workers",
        trend=sparkline(past.loop_lag_p99, least=0.01),
    )
