"""From a ledger to the view: the fleet's figures over the last minute."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from observability.model import CacheCounts, Histogram, Runtime, Slo
from observability.read import window
from observability.read.ledger import Ledger, Track
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
from observability.read.words import is_answered, is_error, is_internal, lookups, share

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from observability.read.window import Stretch

WINDOW = 60.0
"""Seconds that the figures are over."""

SILENT = 10.0
"""Seconds without a snapshot after which a worker is no longer shown; what it did in the window still counts."""

_LEEWAY = 2.0


class _Tally:
    """Requests of one route, or of all."""

    def __init__(self) -> None:
        self.count = 0
        self.errors = 0
        self.answered = Histogram()

    def latency(self) -> Latency:
        p50, p95, p99 = self.answered.quantiles((0.5, 0.95, 0.99))
        return Latency(count=self.answered.count, p50=p50, p95=p95, p99=p99)


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
    stretches = [s for track in ledger.tracks.values() if (s := window.stretch(track.whole, begin, end))]
    seconds = window.covered(stretches, begin, end)
    live = [track for track in ledger.tracks.values() if now - track.newest.taken <= SILENT]
    total, routes = _tallies(stretches, internal)
    caches = tuple(_cache_view(c) for c in window.cache_differences(stretches).values())
    return View(
        at=now,
        scope=scope,
        reason=reason,
        age=None if newest is None else max(0.0, now - newest),
        window=seconds,
        rate=total.count / seconds,
        errors=total.errors,
        error_rate=share(total.errors, total.count),
        latency=total.latency(),
        routes=_route_views(routes, slo, seconds),
        caches=caches,
        hit_rate=share(sum(c.hits for c in caches), sum(c.hits + c.misses + c.coalesced + c.errors for c in caches)),
        redis=_redis_view(ledger, begin, end),
        pool=_pool_view(stretches, live),
        hashing=_hash_view(stretches, live),
        workers=_worker_views(live, begin, end, now, internal),
        requests=total.count,
        fewest_samples=slo.fewest_samples,
    )


def _tallies(stretches: Iterable[Stretch], internal: Sequence[str]) -> tuple[_Tally, dict[tuple[str, str], _Tally]]:
    total = _Tally()
    routes: dict[tuple[str, str], _Tally] = {}
    for counts, before in window.request_differences(stretches):
        count = counts.duration.count - before.count
        if not count or is_internal(counts.route, internal):
            continue
        tally = routes.setdefault((counts.method, counts.route), _Tally())
        tally.count += count
        tally.errors += count if is_error(counts) else 0
        if is_answered(counts):
            tally.answered.add(counts.duration)
            tally.answered.subtract(before)
    for tally in routes.values():
        total.count += tally.count
        total.errors += tally.errors
        total.answered.add(tally.answered.freeze())
    return total, routes


def _route_views(tallies: dict[tuple[str, str], _Tally], slo: Slo, seconds: float) -> tuple[RouteView, ...]:
    """Return routes with a target in the target file's order, used or not, then the others, busiest first."""
    held = [(target.method, target.route) for target in slo.route]
    others = sorted(tallies.keys() - set(held), key=lambda key: (-tallies[key].count, key))
    return tuple(_route_view(key, tallies.get(key) or _Tally(), slo, seconds) for key in (*held, *others))


def _route_view(key: tuple[str, str], tally: _Tally, slo: Slo, seconds: float) -> RouteView:
    method, route = key
    target = slo.target(method, route)
    latency = tally.latency()
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
    growth = window.server_growth(tuple(ledger.redis), begin, end + 1)
    return RedisView(
        evictions_per_minute=growth[0] if growth else None,
        expirations_per_minute=growth[1] if growth else None,
        memory_used=recent[-1].memory_used,
        memory_max=recent[-1].memory_max,
        policy=recent[-1].policy,
    )


def _pool_view(stretches: Sequence[Stretch], live: Sequence[Track]) -> PoolView | None:
    """Return levels of the workers that live, and use and waits of all that worked in the window.

    ``high_water`` is the sum of the workers' own marks: they need not have stood there at the same instant.
    """
    pools = [pool for track in live for pool in track.newest.pools]
    if not pools:
        return None
    differences = list(window.pool_differences(stretches))
    offered = sum(pool.size * s.seconds for s, pool, _ in differences)
    return PoolView(
        size=sum(pool.size for pool in pools),
        open=sum(pool.open for pool in pools),
        in_use=sum(pool.in_use for pool in pools),
        pending=sum(pool.pending for pool in pools),
        high_water=sum(pool.high_water for pool in pools),
        use=share(sum(pool.busy - before.busy for _, pool, before in differences), offered),
        wait_p95=window.difference((pool.wait, before.wait) for _, pool, before in differences).quantile(0.95),
        timeouts=sum(pool.timeouts - before.timeouts for _, pool, before in differences),
    )


def _hash_view(stretches: Sequence[Stretch], live: Sequence[Track]) -> HashView | None:
    queues = [track.newest.hashing for track in live if track.newest.hashing]
    if not queues:
        return None
    differences = list(window.hash_differences(stretches))
    return HashView(
        threads=sum(queue.threads for queue in queues),
        queued=sum(queue.queued for queue in queues),
        limit=sum(queue.limit for queue in queues),
        refused=sum(queue.refused - before.refused for queue, before in differences),
        wait_p95=window.difference((queue.wait, before.wait) for queue, before in differences).quantile(0.95),
        duration_p95=window.difference((queue.duration, before.duration) for queue, before in differences).quantile(
            0.95
        ),
    )


def _worker_views(
    live: Iterable[Track], begin: float, end: float, now: float, internal: Sequence[str]
) -> tuple[WorkerView, ...]:
    views = [_worker_view(track, begin, end, now, internal) for track in live]
    return tuple(sorted(views, key=lambda view: (view.instance, view.started, view.worker)))


def _worker_view(track: Track, begin: float, end: float, now: float, internal: Sequence[str]) -> WorkerView:
    """Return one worker; ``requests`` are the service's own over the window."""
    newest = track.newest
    stretch = window.stretch(track.whole, begin, end)
    lag = cpu = None
    requests = 0
    if stretch is not None:
        before = stretch.earlier.runtime if stretch.earlier else Runtime()
        lag = window.difference([(stretch.later.runtime.loop_lag, before.loop_lag)]).quantile(0.99)
        cpu = share(max(0.0, stretch.later.runtime.cpu - before.cpu), stretch.seconds)
        requests = sum(
            counts.duration.count - before.count
            for counts, before in window.request_differences([stretch])
            if not is_internal(counts.route, internal)
        )
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
