"""Columns of the caches, the pool, hashing and Redis, and what queries and commands took."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from observability.read.columns import TRAILING, heard_lately, samples_at
from observability.read.detail import CacheColumns, OperationView, StoreColumns
from observability.read.figures import judge
from observability.read.inside import OperationSum
from observability.read.slot import Sum
from observability.read.tally import merged, server_growth
from observability.read.view import Latency
from observability.read.words import lookups, share

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from observability.model import CacheCounts, Histogram, Slo
    from observability.read.ledger import Ledger
    from observability.read.slot import Slot
    from observability.read.stretch import Stretch

System = Literal["postgresql", "redis"]

_MINUTE = 60
_SILENT = 3
_RATES = ("hits", "misses", "coalesced", "refused")


class StoreColumn(msgspec.Struct, frozen=True):
    """One column; the fields but the last are those of StoreColumns. Without ``families`` nobody was heard."""

    at: int
    pool_in_use: float | None = None
    pool_wait_p95: float | None = None
    pool_timeouts: float | None = None
    hash_wait_p95: float | None = None
    hash_duration_p95: float | None = None
    hash_refused: float | None = None
    sql_p95: float | None = None
    redis_p95: float | None = None
    evictions_per_minute: float | None = None
    expirations_per_minute: float | None = None
    memory_used: float | None = None
    families: dict[str, dict[str, float | None]] | None = None


def store_column(ledger: Ledger, step: int, end: int) -> StoreColumn:
    """Return what the stores did in the ``step`` seconds that end at ``end``."""
    if step > 1:
        done = over = _stores(ledger.history.coarse.within(end - step, end))
        length = float(step)
        if not over.snapshots:
            return StoreColumn(end)
    else:
        if not heard_lately(ledger, end):
            return StoreColumn(end)
        within = ledger.briefs.within
        done, over = _stores(within(end - 1, end)), _stores(within(end - TRAILING, end))
        length = float(TRAILING)
    known = max(1.0, end - max(end - length, over.begin))
    counted = known if step > 1 else 1.0
    pools, hashing = over.pools.values(), over.hashing
    samples = tuple(samples_at(ledger, end))
    growth = server_growth(samples, end - _MINUTE, end)
    recent = ledger.redis if step == 1 else samples
    memory = [sample.memory_used for second, sample in recent if end - max(step, _SILENT) < second <= end]
    return StoreColumn(
        at=end,
        pool_in_use=sum(pool.busy for pool in pools) / known if pools else None,
        pool_wait_p95=merged(pool.wait for pool in pools).quantile(0.95),
        pool_timeouts=sum(pool.timeouts for pool in done.pools.values()) / counted if pools else None,
        hash_wait_p95=hashing.wait.quantile(0.95) if hashing else None,
        hash_duration_p95=hashing.duration.quantile(0.95) if hashing else None,
        hash_refused=done.hashing.refused / counted if done.hashing else None,
        sql_p95=_operations(over, "postgresql").quantile(0.95),
        redis_p95=_operations(over, "redis").quantile(0.95),
        evictions_per_minute=growth[0] if growth else None,
        expirations_per_minute=growth[1] if growth else None,
        memory_used=memory[-1] if memory else None,
        families={name: _family(c, over.caches[name], counted) for name, c in done.caches.items()},
    )


def _stores(slots: Iterable[Slot]) -> Sum:
    """Add up what slots say of the stores, and leave out what they say of routes, which is most of it."""
    return Sum.of(msgspec.structs.replace(slot, requests=(), anatomy=(), bodies=()) for slot in slots)


def _operations(over: Sum, system: System) -> Histogram:
    return merged(one.duration.freeze() for (of, _), one in over.inside.operations.items() if of == system)


def _family(done: CacheCounts, over: CacheCounts, seconds: float) -> dict[str, float | None]:
    rates: dict[str, float | None] = {name: getattr(done, name) / seconds for name in _RATES}
    return rates | {"hit_rate": share(over.hits, lookups(over))}


def store_columns(columns: Sequence[StoreColumn]) -> StoreColumns:
    """Turn columns into the table that charts take, the families by name."""
    names = sorted({name for column in columns for name in column.families or ()})
    plain = (name for name in StoreColumn.__struct_fields__ if name != "families")
    return StoreColumns(
        **{name: tuple(getattr(column, name) for column in columns) for name in plain},
        families=tuple(
            CacheColumns(
                family,
                **{
                    name: tuple((column.families or {}).get(family, {}).get(name) for column in columns)
                    for name in (*_RATES, "hit_rate")
                },
            )
            for family in names
        ),
    )


def operation_views(stretch: Stretch, slo: Slo) -> tuple[OperationView, ...]:
    """Return queries with a target in the target file's order, asked or not, then the others, most time first."""
    done = stretch.total.inside.operations
    held: dict[tuple[System, str], float] = {("postgresql", query.name): query.p95_ms / 1000 for query in slo.query}
    others = sorted(done.keys() - held.keys(), key=lambda key: (-done[key].duration.total, key))
    return tuple(
        _operation(key, done.get(key) or OperationSum(), held.get(key), stretch.seconds, slo.fewest_samples)
        for key in (*held, *others)
    )


def _operation(
    key: tuple[System, str], done: OperationSum, target: float | None, seconds: float, fewest: int
) -> OperationView:
    count = done.duration.count
    latency = Latency(count, *done.duration.quantiles((0.5, 0.95, 0.99)))
    return OperationView(
        system=key[0],
        name=key[1],
        rate=count / seconds,
        errors=done.errors,
        items=done.items,
        latency=latency,
        total=done.duration.total,
        target=target,
        judgement=judge(latency, target, fewest),
    )
