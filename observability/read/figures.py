"""From a ledger to the view: the fleet's figures over a window, the last minute unless another is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from observability.model import CacheCounts, Slo
from observability.read.columns import samples_at
from observability.read.ledger import SILENT, Ledger
from observability.read.slot import Sum
from observability.read.stretch import Stretch, where
from observability.read.tally import Tally, merged, server_growth, tallies, total_of
from observability.read.view import (
    CacheView,
    HashView,
    Judgement,
    Latency,
    PoolView,
    RedisView,
    RouteView,
    View,
)
from observability.read.words import lookups, share
from observability.read.workers import worker_views

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from observability.model import RedisServer
    from observability.read.track import Track

WINDOW = 60.0
"""Seconds that figures are over unless another window is asked for, and those of single workers always."""

_LEEWAY = 2.0

Trends = dict[tuple[str, str], tuple[float | None, ...]]
"""Of each route its p95 over some minutes, in steps, oldest first."""


def empty_view(at: float, reason: str) -> View:
    """Return a view that knows nothing, and says why."""
    return msgspec.structs.replace(view_of(Ledger(), at, "worker", reason, Slo(), ()), age=None)


def present(ledger: Ledger, now: float) -> float:
    """Return when the newest snapshot was taken, or now, when nobody has been heard for long."""
    newest = ledger.newest
    return newest if newest is not None and abs(now - newest) <= _LEEWAY else now


def last_minute(ledger: Ledger, now: float) -> Stretch:
    """Return what was done in the minute that ends at the newest snapshot, without its inside."""
    minute = where(ledger, int(WINDOW), present(ledger, now))
    slots = (tier.head(label) for tier, label in minute.slots)
    return minute.of(Sum.of_heads(slot for slot in slots if slot is not None))


def view_of(
    ledger: Ledger,
    now: float,
    scope: Literal["fleet", "worker"],
    reason: str,
    slo: Slo,
    internal: Sequence[str],
    stretch: Stretch | None = None,
    trends: Trends | None = None,
) -> View:
    """Return the figures of a stretch of time, and what is known of the present; without a stretch of the last minute."""
    newest = ledger.newest
    end = present(ledger, now)
    begin = end - WINDOW
    stretch = stretch or last_minute(ledger, now)
    done, seconds = stretch.total, stretch.seconds
    live = [track for track in ledger.tracks.values() if now - track.newest.taken <= SILENT]
    routes = tallies(done.series(), internal)
    total = total_of(routes.values())
    caches = tuple(_cache_view(c) for c in done.caches.values())
    return View(
        at=now,
        scope=scope,
        reason=reason,
        age=None if newest is None else max(0.0, now - newest),
        window=seconds,
        rate=total.count / seconds,
        errors=total.errors,
        error_rate=share(total.errors, total.count),
        latency=latency_of(total),
        routes=_route_views(routes, slo, seconds, trends or {}),
        caches=caches,
        hit_rate=share(sum(c.hits for c in caches), sum(c.hits + c.misses + c.coalesced + c.errors for c in caches)),
        redis=_redis_view(ledger.redis, begin, end + 1),
        pool=_pool_view(done, live),
        hashing=_hash_view(done, live),
        workers=worker_views(live, begin, end, now),
        requests=total.count,
        fewest_samples=slo.fewest_samples,
        database_cpu=max((s for t in live if (s := t.newest.database_cpu) is not None), default=None),
    )


def as_it_was(view: View, ledger: Ledger, stretch: Stretch) -> View:
    """Return the view of a stretch that is over with what was sampled then instead of now, and means for what changes."""
    pools, seconds = stretch.total.pools.values(), stretch.seconds
    lent = PoolView(
        size=round(sum(pool.offered for pool in pools) / seconds),
        open=0,
        in_use=round(sum(pool.busy for pool in pools) / seconds),
        pending=0,
        high_water=0,
        use=share(sum(pool.busy for pool in pools), sum(pool.offered for pool in pools)),
        wait_p95=merged(pool.wait for pool in pools).quantile(0.95),
        timeouts=sum(pool.timeouts for pool in pools),
    )
    samples = samples_at(ledger, int(stretch.end))
    redis = _redis_view(samples, stretch.end - WINDOW, stretch.end)
    return msgspec.structs.replace(view, redis=redis, pool=lent if pools else None)


def latency_of(tally: Tally) -> Latency:
    """Return the percentiles of the requests that were answered."""
    p50, p95, p99 = tally.answered.quantiles((0.5, 0.95, 0.99))
    return Latency(count=tally.answered.count, p50=p50, p95=p95, p99=p99)


def _route_views(
    tallies: dict[tuple[str, str], Tally], slo: Slo, seconds: float, trends: Trends
) -> tuple[RouteView, ...]:
    """Return routes with a target in the target file's order, used or not, then the others, busiest first."""
    held = [(target.method, target.route) for target in slo.route]
    others = sorted(tallies.keys() - set(held), key=lambda key: (-tallies[key].count, key))
    return tuple(
        _route_view(key, tallies.get(key) or Tally(), slo, seconds, trends.get(key, ())) for key in (*held, *others)
    )


def _route_view(
    key: tuple[str, str], tally: Tally, slo: Slo, seconds: float, trend: tuple[float | None, ...]
) -> RouteView:
    method, route = key
    target = slo.target(method, route)
    latency = latency_of(tally)
    return RouteView(
        method=method,
        route=route or "(unmatched)",
        rate=tally.count / seconds,
        errors=tally.errors,
        error_rate=share(tally.errors, tally.count),
        latency=latency,
        target=target.p95 if target else None,
        judgement=judge(latency, target.p95 if target else None, slo.fewest_samples),
        impact=tally.answered.total / seconds,
        trend=trend,
    )


def judge(latency: Latency, target: float | None, fewest: int) -> Judgement:
    """Return whether a p95 meets its target (seconds), if there are samples enough to say."""
    if target is None:
        return "no target"
    if latency.count < fewest or latency.p95 is None:
        return "too few"
    return "met" if latency.p95 <= target else "missed"


def _cache_view(counts: CacheCounts) -> CacheView:
    return CacheView(
        family=counts.family,
        hits=counts.hits,
        misses=counts.misses,
        coalesced=counts.coalesced,
        refused=counts.refused,
        errors=counts.errors,
        hit_rate=share(counts.hits, lookups(counts)),
    )


def _redis_view(samples: Iterable[tuple[int, RedisServer]], begin: float, end: float) -> RedisView | None:
    known = [(second, sample) for second, sample in samples if begin <= second <= end]
    if not known:
        return None
    recent, growth = [sample for _, sample in known], server_growth(known, begin, end)
    return RedisView(
        evictions_per_minute=growth[0] if growth else None,
        expirations_per_minute=growth[1] if growth else None,
        memory_used=recent[-1].memory_used,
        memory_max=recent[-1].memory_max,
        policy=recent[-1].policy,
    )


def _pool_view(over: Sum, live: Sequence[Track]) -> PoolView | None:
    """Return levels of the workers that live, and use and waits of all that worked in the window.

    ``high_water`` is the sum of the workers' own marks: they need not have stood there at the same instant.
    """
    pools = [pool for track in live for pool in track.newest.pools]
    if not pools:
        return None
    done = over.pools.values()
    return PoolView(
        size=sum(pool.size for pool in pools),
        open=sum(pool.open for pool in pools),
        in_use=sum(pool.in_use for pool in pools),
        pending=sum(pool.pending for pool in pools),
        high_water=sum(pool.high_water for pool in pools),
        use=share(sum(pool.busy for pool in done), sum(pool.offered for pool in done)),
        wait_p95=merged(pool.wait for pool in done).quantile(0.95),
        timeouts=sum(pool.timeouts for pool in done),
    )


def _hash_view(over: Sum, live: Sequence[Track]) -> HashView | None:
    queues = [track.newest.hashing for track in live if track.newest.hashing]
    if not queues:
        return None
    done = over.hashing
    return HashView(
        threads=sum(queue.threads for queue in queues),
        queued=sum(queue.queued for queue in queues),
        limit=sum(queue.limit for queue in queues),
        refused=done.refused if done else 0,
        wait_p95=done.wait.quantile(0.95) if done else None,
        duration_p95=done.duration.quantile(0.95) if done else None,
    )
