"""What a cache's hits are worth, in words and with the sums: the time of a lookup against the time of a load from PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from console.format import count, duration, share

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from observability.read.detail import OperationView
    from observability.read.view import CacheView

READS = frozenset({"GET", "MGET", "HGET", "HMGET", "HGETALL"})
"""Redis commands that look something up."""

FEWEST = 10
"""Calls from which a mean time is told."""


class Worth(msgspec.Struct, frozen=True):
    """What one family is worth. ``headline`` is the result, ``sums`` how it comes about; both are sentences."""

    family: str
    headline: str
    sums: str = ""


class _Mean(msgspec.Struct, frozen=True):
    """The mean time of so many calls of operations."""

    calls: int
    seconds: float
    names: str


def worth(
    caches: Sequence[CacheView], operations: Sequence[OperationView], reading: Collection[str] | None = None
) -> tuple[Worth, ...]:
    """Say what each family that was asked is worth.

    Its loads are the queries that have its name as a word in theirs ("session_by_token") and are in ``reading``, where it is
    known which only read.
    """
    lookup = _mean([one for one in operations if one.system == "redis" and one.name in READS])
    told = []
    for cache in caches:
        if cache.hit_rate is None:
            continue
        loads = [
            one
            for one in operations
            if one.system == "postgresql"
            and cache.family in one.name.split("_")
            and (reading is None or one.name in reading)
        ]
        told.append(_worth(cache, lookup, _mean(loads)))
    return tuple(told)


def _worth(cache: CacheView, lookup: _Mean | None, load: _Mean | None) -> Worth:
    hits = f"{count(cache.hits)} of {count(cache.hits + cache.misses + cache.coalesced)} lookups hit"
    if lookup is None:
        return Worth(cache.family, f"{hits}. Too few commands to Redis were timed to say what that is worth.")
    if load is None:
        return Worth(cache.family, f"{hits}. Too few loads from PostgreSQL were timed to say what that is worth.")
    hit_rate = cache.hit_rate or 0.0
    present = lookup.seconds + (1 - hit_rate) * load.seconds
    gain = load.seconds - present
    faster = f"{duration(abs(gain))} a lookup {'faster' if gain >= 0 else 'slower'} than PostgreSQL alone"
    spared = f"PostgreSQL was spared {count(cache.hits)} loads, {duration(cache.hits * load.seconds)} of its time"
    return Worth(
        cache.family,
        f"{faster}; {spared}.",
        f"{hits}. A lookup in the cache takes {duration(lookup.seconds)} ({lookup.names}, mean of {count(lookup.calls)}), a load "
        f"from PostgreSQL {duration(load.seconds)} more ({load.names}, mean of {count(load.calls)}). So a lookup took "
        f"{duration(lookup.seconds)} + {share(1 - hit_rate)} × {duration(load.seconds)} = {duration(present)}; "  # noqa: RUF001 - a product
        f"without a cache each would take {duration(load.seconds)}.",
    )


def _mean(operations: Sequence[OperationView]) -> _Mean | None:
    called = [one for one in operations if one.latency.count]
    calls = sum(one.latency.count for one in called)
    if calls < FEWEST:
        return None
    return _Mean(calls, sum(one.total for one in called) / calls, ", ".join(one.name for one in called))
