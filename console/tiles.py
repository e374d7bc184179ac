"""The tiles on top of the overview: a figure each, what it rests on, and whether it is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from console import format as shown
from console.verdict import fails

if TYPE_CHECKING:
    from observability.read.view import View

EVICTIONS_ARE_WRONG = 100.0
"""Evictions a minute from which Redis is too small for its cache (the performance guide's alert)."""

NO_REQUESTS = "no requests in the last minute"


class Tile(msgspec.Struct, frozen=True, kw_only=True):
    """One tile. ``figure`` is number and unit parted by a space; ``why`` says why there is no figure, as its tooltip."""

    key: str
    label: str
    figure: str
    note: str = ""
    why: str = ""
    tone: Literal["", "bad"] = ""
    used: float | None = None


def tiles(view: View) -> tuple[Tile, ...]:
    """Return the overview's tiles in reading order: the traffic, then what it runs on."""
    return (*_traffic(view), *_caches(view), *_pool(view), _hashing(view))


def _traffic(view: View) -> tuple[Tile, ...]:
    latency = view.latency
    asked = f"{view.requests:,} in the last minute" if view.requests else NO_REQUESTS
    rate = shown.MISSING if view.age is None else shown.rate(view.rate)
    percentiles = (("p50", latency.p50, "half are faster"), ("p95", latency.p95, "1 in 20 is slower"))
    return (
        Tile(key="rate", label="Requests", figure=rate, note=asked, why="no figures yet"),
        Tile(
            key="errors",
            label="Errors",
            figure=shown.share(view.error_rate),
            note=f"{view.errors:,} in the last minute" if view.requests else NO_REQUESTS,
            why=NO_REQUESTS,
            tone="bad" if fails(view) else "",
        ),
        *(
            Tile(
                key=name,
                label=name,
                figure=shown.duration(value),
                note=note if latency.count else NO_REQUESTS,
                why=NO_REQUESTS,
            )
            for name, value, note in (*percentiles, ("p99", latency.p99, "1 in 100 is slower"))
        ),
    )


def _caches(view: View) -> tuple[Tile, ...]:
    lookups = sum(cache.hits + cache.misses + cache.coalesced for cache in view.caches)
    hits = Tile(
        key="hit-rate",
        label="Cache hit rate",
        figure=shown.share(view.hit_rate),
        note=f"{lookups:,} lookups" if lookups else "no lookups in the last minute",
        why="no lookups in the last minute",
    )
    redis = view.redis
    if redis is None:
        why = "Redis does not tell"
        return hits, Tile(key="evictions", label="Evictions", figure=shown.MISSING, note=why, why=why)
    evictions = redis.evictions_per_minute
    memory = shown.size(redis.memory_used)
    return hits, Tile(
        key="evictions",
        label="Evictions",
        figure=shown.MISSING if evictions is None else f"{shown.count(evictions)} /min",
        note=f"{memory} of {shown.size(redis.memory_max)}" if redis.memory_max else f"{memory}, no limit",
        why="known after two readings of Redis",
        tone="bad" if evictions is not None and evictions > EVICTIONS_ARE_WRONG else "",
    )


def _pool(view: View) -> tuple[Tile, ...]:
    pool = view.pool
    if pool is None:
        why = "no worker reports a pool"
        return (
            Tile(key="pool", label="Pool in use", figure=shown.MISSING, note=why, why=why),
            Tile(key="pool-wait", label="Pool wait p95", figure=shown.MISSING, note=why, why=why),
        )
    waiting = f"{pool.pending:,} waiting" if pool.pending else "nobody waits"
    return (
        Tile(
            key="pool",
            label="Pool in use",
            figure=f"{pool.in_use:,} of\N{NO-BREAK SPACE}{pool.size:,}",
            note=f"{shown.share(pool.use)} over a minute, most {pool.high_water:,}",
            used=pool.use,
        ),
        Tile(
            key="pool-wait",
            label="Pool wait p95",
            figure=shown.duration(pool.wait_p95),
            note=f"{pool.timeouts:,} gave up" if pool.timeouts else waiting,
            why="nobody asked for a connection in the last minute",
            tone="bad" if pool.timeouts else "",
        ),
    )


def _hashing(view: View) -> Tile:
    hashing = view.hashing
    if hashing is None:
        why = "no worker hashes passwords"
        return Tile(key="hashing", label="Hash queue", figure=shown.MISSING, note=why, why=why)
    took = f"wait p95 {shown.duration(hashing.wait_p95)}" if hashing.wait_p95 is not None else "no hashing"
    return Tile(
        key="hashing",
        label="Hash queue",
        figure=f"{hashing.queued:,} of\N{NO-BREAK SPACE}{hashing.limit:,}",
        note=f"{hashing.refused:,} refused" if hashing.refused else took,
        tone="bad" if hashing.refused else "",
        used=hashing.queued / hashing.limit if hashing.limit else None,
    )
