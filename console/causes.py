"""Why the service is not well, or soon will not be, in sentences: from figures of the last minute, the deepest cause first.

What was changed by hand may be behind everything; what holds up an event loop holds up everything; a cache that does not
answer asks more of the database, whose slow queries empty the pool, for which requests wait: so a cause stands before what it causes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from console.format import count, duration, sentence, share, threshold
from console.tiles import EVICTIONS_ARE_WRONG

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from console.tuning import LiveSetting
    from observability.read.detail import BlockedView, OperationView
    from observability.read.view import View

LONG_BLOCK = 0.1
"""Seconds for which an event loop may stand still; the shortest target of a route is as long."""

LONG_PAUSE = 0.5
"""Seconds from which it is said that a loop stood still while no function ran: a busy machine does so for less."""

LONG_WAIT = 0.05
"""Seconds that a request may wait for a connection or for a hashing thread at p95."""

COLD = 0.5
"""Hit rate of a family below which it is called cold."""

MOST = 4


class Cause(msgspec.Struct, frozen=True):
    """One cause. ``page`` is where more is shown, with ``arguments``; ``rule`` is its kind, for scripts and tests."""

    rule: str
    words: str
    page: str
    arguments: dict[str, str] = {}


def causes(
    view: View,
    operations: Sequence[OperationView] = (),
    blocked: Sequence[BlockedView] = (),
    settings: Sequence[LiveSetting] = (),
) -> tuple[Cause, ...]:
    """Return at most four causes, what causes others first; none when nothing stands out, whatever was changed."""
    if view.age is None:
        return ()
    groups = (
        _blocked(blocked),
        _redis(view),
        _evictions(view),
        _cold(view),
        _slow_queries(operations),
        _pool(view),
        _hashing(view),
        _alerts(view),
    )
    found = [cause for group in groups for cause in group]
    return (*_changed(settings), *found)[:MOST] if found else ()


def _changed(settings: Sequence[LiveSetting]) -> Iterator[Cause]:
    """Name what is not set as it started: whatever else is found may follow from that."""
    changed = [f"{one.label} is {_valued(one)} instead of {one.starts_as}" for one in settings if one.changed]
    if changed:
        yield Cause("setting", f"Changed while it serves: {', '.join(changed)}.", "tune")


def _valued(setting: LiveSetting) -> str:
    return f"{setting.value} {setting.unit}".rstrip() if setting.kind == "seconds" else setting.value


def _blocked(blocked: Sequence[BlockedView]) -> Iterator[Cause]:
    """Name the function that held up loops for longest while requests waited; who starts holds up nobody."""
    blocked = [block for block in blocked if block.delayed]
    functions: dict[str, float] = {}
    for block in blocked:
        functions[block.function] = functions.get(block.function, 0.0) + block.seconds
    if not functions:
        return
    worst = max(functions, key=functions.__getitem__)
    longest = max(block.seconds for block in blocked if block.function == worst)
    nobodys = is_the_loops(worst)
    if longest < (LONG_PAUSE if nobodys else LONG_BLOCK):
        return
    times = sum(block.function == worst for block in blocked)
    delayed = sum(requests for block in blocked if block.function == worst for _, requests in block.delayed)
    often = f"{times} times, for up to {duration(longest)}" if times > 1 else f"for {duration(longest)}"
    waited = f"; {delayed:,} {'request' if delayed == 1 else 'requests'} waited for it"
    routes = [route for block in blocked if block.function == worst for route, _ in block.delayed]
    words = f"{worst} blocked the event loop {often}{waited}."
    if nobodys:
        words = f"The event loop stood still {often}, outside of Python code: its processor is busy elsewhere{waited}."
    method, _, route = routes[0].partition(" ")
    if route:
        yield Cause("blocked", words, "route", {"method": method, "route": route})
    else:
        yield Cause("blocked", words, "workers")


def is_the_loops(function: str) -> bool:
    """Tell whether the innermost function seen is the loop's own, or none: then no code of the service was running."""
    return function == "unknown" or "(asyncio/" in function


def _slow_queries(operations: Sequence[OperationView]) -> Iterator[Cause]:
    """Name the operation that took most time of those that miss their target, and how many others do."""
    missed = [one for one in operations if one.judgement == "missed" and one.target and one.latency.p95 is not None]
    if not missed:
        return
    slow, *others = sorted(missed, key=lambda one: one.total, reverse=True)
    what = "query" if slow.system == "postgresql" else "Redis command"
    also = f"; so {'is' if len(others) == 1 else 'are'} {_listed([one.name for one in others])}" if others else ""
    words = f"The {what} {slow.name} is slow: p95 {duration(slow.latency.p95)} of its {threshold(slow.target)}{also}."
    yield Cause("query", words, "database", {"query": slow.name})


def _listed(names: Sequence[str]) -> str:
    """List names, of many the first two."""
    few = 3
    if len(names) > few:
        names = [*names[:2], f"{len(names) - 2} more"]
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _pool(view: View) -> Iterator[Cause]:
    pool = view.pool
    if pool is None or not (pool.timeouts or (pool.wait_p95 or 0.0) > LONG_WAIT):
        return
    gave_up = f", and {pool.timeouts:,} gave up" if pool.timeouts else ""
    size = f"{pool.size:,} {'connection' if pool.size == 1 else 'connections'}"
    words = f"Requests wait for a database connection: p95 {duration(pool.wait_p95)}{gave_up}; the pool has {size}."
    yield Cause("pool", words, "database")


def _hashing(view: View) -> Iterator[Cause]:
    hashing = view.hashing
    if hashing is None or not (hashing.refused or (hashing.wait_p95 or 0.0) > LONG_WAIT):
        return
    refused = (
        f", and {hashing.refused:,} {'was' if hashing.refused == 1 else 'were'} refused" if hashing.refused else ""
    )
    threads = f"{hashing.threads:,} {'thread hashes' if hashing.threads == 1 else 'threads hash'}"
    words = (
        f"The password hash queue is overloaded: passwords wait {duration(hashing.wait_p95)} at p95{refused}; "
        f"{threads}, {duration(hashing.duration_p95)} each."
    )
    yield Cause("hashing", words, "workers")


def _redis(view: View) -> Iterator[Cause]:
    failed = sum(cache.errors for cache in view.caches)
    if failed:
        words = f"Redis left {count(failed)} lookups of the last minute unanswered; PostgreSQL answers in its place."
        yield Cause("redis", words, "cache")


def _cold(view: View) -> Iterator[Cause]:
    """Name the families that miss often, of lookups enough to say so."""
    for cache in sorted(view.caches, key=lambda cache: cache.misses + cache.coalesced, reverse=True):
        lookups = cache.hits + cache.misses + cache.coalesced
        if lookups < view.fewest_samples or cache.hit_rate is None or cache.hit_rate >= COLD:
            continue
        words = f"The {cache.family} cache is cold: {share(cache.hit_rate)} of {lookups:,} lookups hit."
        yield Cause("cold", words, "cache")
        return


def _evictions(view: View) -> Iterator[Cause]:
    evictions = view.redis.evictions_per_minute if view.redis else None
    if evictions is not None and evictions > EVICTIONS_ARE_WRONG:
        words = f"Redis is too small for the cache: it evicts {count(evictions)} keys a minute."
        yield Cause("evictions", words, "cache")


def _alerts(view: View) -> Iterator[Cause]:
    """Give an alert's reason; of several, which there are: the page of the alerts has the rest."""
    firing = [alert for alert in view.alerts if alert.state == "firing"]
    named = [f"{alert.rule} ({alert.subject})" if alert.subject else alert.rule for alert in firing]
    if len(firing) == 1:
        yield Cause("alert", sentence(f"the alert {named[0]} fires: {firing[0].reason}"), "alerts")
    elif firing:
        yield Cause("alert", f"{len(firing)} alerts fire: {_listed(named)}.", "alerts")
