"""From a ledger to the view: the fleet's figures over the last minute."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from observability.model import CacheCounts, Slo
from observability.read.ledger import SILENT, Ledger, Track, second_of
from observability.read.slot import Sum
from observability.read.tally import Tally, difference, merged, server_growth, tallies, total_of
from observability.read.view import (
    CacheView,
    HashView,
    Judgement,
    Latency,
    PoolView,
    RedisView,
    RouteView,
    View,
    WorkerView,
)
from observability.read.words import lookups, share

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

WINDOW = 60.0
"""Seconds that the figures are over."""

_LEEWAY = 2.0


def empty_view(at: float, reason: str) -> View:
    """Return a view that knows nothing, and says why."""
    return msgspec.structs.replace(view_of(Ledger(), at, "worker", reason, Slo(), ()), age=None)


def view_of(
    ledger: Ledger, now: float, scope: Literal["fleet", "worker"], reason: str, slo: Slo, internal: Sequence[str]
) -> View:
    """Return the figures of the minute that ends at the newest snapshot (now, when nobody has been heard for long)."""
    newest = ledger.newest
    end = newest if newest is not None and abs(now - newest) <= _LEEWAY else now
    begin = end - WINDOW
    last = second_of(end)
    minute = Sum.of(ledger.history.fine.within(last - int(WINDOW), last))
    seconds = max(1.0, end - max(begin, minute.begin)) if minute.snapshots else 1.0
    live = [track for track in ledger.tracks.values() if now - track.newest.taken <= SILENT]
    routes = tallies(minute.series(), internal)
    total = total_of(routes.values())
    caches = tuple(_cache_view(c) for c in minute.caches.values())
    return View(
        at=now,
        scope=scope,
        reason=reason,
        age=None if newest is None else max(0.0, now - newest),
        window=seconds,
        rate=total.count / seconds,
        errors=total.errors,
        error_rate=share(total.errors, total.count),
        latency=_latency(total),
        routes=_route_views(routes, slo, seconds),
        caches=caches,
        hit_rate=share(sum(c.hits for c in caches), sum(c.hits + c.misses + c.coalesced + c.errors for c in caches)),
        redis=_redis_view(ledger, begin, end),
        pool=_pool_view(minute, live),
        hashing=_hash_view(minute, live),
        workers=_worker_views(live, begin, end, now),
        requests=total.count,
        fewest_samples=slo.fewest_samples,
        database_cpu=max((s for t in live if (s := t.newest.database_cpu) is not None), default=None),
    )


def _latency(tally: Tally) -> Latency:
    p50, p95, p99 = tally.answered.quantiles((0.5, 0.95, 0.99))
    return Latency(count=tally.answered.count, p50=p50, p95=p95, p99=p99)


def _route_views(tallies: dict[tuple[str, str], Tally], slo: Slo, seconds: float) -> tuple[RouteView, ...]:
    """Return routes with a target in the target file's order, used or not, then the others, busiest first."""
    held = [(target.method, target.route) for target in slo.route]
    others = sorted(tallies.keys() - set(held), key=lambda key: (-tallies[key].count, key))
    return tuple(_route_view(key, tallies.get(key) or Tally(), slo, seconds) for key in (*held, *others))


def _route_view(key: tuple[str, str], tally: Tally, slo: Slo, seconds: float) -> RouteView:
    method, route = key
    target = slo.target(method, route)
    latency = _latency(tally)
    return RouteView(
        method=method,
        route=route or "(unmatched)",
        rate=tally.count / seconds,
        errors=tally.errors,
        error_rate=share(tally.errors, tally.count),
        latency=latency,
        target=target.p95 if target else None,
        judgement=judge(latency, target.p95 if target else None, slo.fewest_samples),
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


def _redis_view(ledger: Ledger, begin: float, end: float) -> RedisView | None:
    recent = [sample for second, sample in ledger.redis if second >= begin]
    if not recent:
        return None
    growth = server_growth(ledger.redis, begin, end + 1)
    return RedisView(
        evictions_per_minute=growth[0] if growth else None,
        expirations_per_minute=growth[1] if growth else None,
        memory_used=recent[-1].memory_used,
        memory_max=recent[-1].memory_max,
        policy=recent[-1].policy,
    )


def _pool_view(minute: Sum, live: Sequence[Track]) -> PoolView | None:
    """Return levels of the workers that live, and use and waits of all that worked in the window.

    ``high_water`` is the sum of the workers' own marks: they need not have stood there at the same instant.
    """
    pools = [pool for track in live for pool in track.newest.pools]
    if not pools:
        return None
    done = minute.pools.values()
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


def _hash_view(minute: Sum, live: Sequence[Track]) -> HashView | None:
    queues = [track.newest.hashing for track in live if track.newest.hashing]
    if not queues:
        return None
    done = minute.hashing
    return HashView(
        threads=sum(queue.threads for queue in queues),
        queued=sum(queue.queued for queue in queues),
        limit=sum(queue.limit for queue in queues),
        refused=done.refused if done else 0,
        wait_p95=done.wait.quantile(0.95) if done else None,
        duration_p95=done.duration.quantile(0.95) if done else None,
    )


def _worker_views(live: Iterable[Track], begin: float, end: float, now: float) -> tuple[WorkerView, ...]:
    views = [_worker_view(track, begin, end, now) for track in live]
    return tuple(sorted(views, key=lambda view: (view.instance, view.started, view.worker)))


def _worker_view(track: Track, begin: float, end: float, now: float) -> WorkerView:
    """Return one worker; ``requests`` are the service's own over the window."""
    newest = track.newest
    lag = cpu = None
    requests = 0
    if (points := track.since(begin, end)) is not None:
        before, after = points
        lag = difference(after.loop_lag, before.loop_lag).quantile(0.99)
        cpu = share(max(0.0, after.cpu - before.cpu), max(0.0, after.taken - before.taken))
        requests = after.requests - before.requests
    return WorkerView(
        instance=newest.instance,
        worker=newest.worker,
        pid=newest.pid,
        started=newest.started,
        age=max(0.0, now - newest.taken),
        rss=newest.runtime.rss,
        cpu=cpu,
        loop_lag_p99=lag,
        requests=requests,
        in_flight=newest.in_flight,
    )
