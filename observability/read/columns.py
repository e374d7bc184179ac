"""From a ledger to chart columns: one a second, or one for every ten seconds and more of the hour."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from observability.read.slot import Sum
from observability.read.tally import merged, server_growth, total_in
from observability.read.view import Series
from observability.read.words import lookups, share

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from observability.model import RedisServer
    from observability.read.ledger import Ledger
    from observability.read.slot import SlotHead

TRAILING = 10
"""Seconds that percentiles and shares of a column are over."""

_MINUTE = 60
_SILENT = 3


class Column(msgspec.Struct, frozen=True):
    """One second of every chart; the fields are those of Series."""

    at: int
    rate: float | None = None
    error_rate: float | None = None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    hit_rate: float | None = None
    evictions_per_minute: float | None = None
    pool_in_use: float | None = None
    pool_wait_p95: float | None = None
    loop_lag_p99: float | None = None


def heard_lately(ledger: Ledger, second: int) -> bool:
    """Return whether any worker was heard in the three seconds that end at ``second``."""
    return any(ledger.history.fine.heard(second - ago) for ago in range(_SILENT))


def column_at(ledger: Ledger, second: int) -> Column:
    """Return the column of the second that ends at ``second``; unknown where no worker was heard for three."""
    if not heard_lately(ledger, second):
        return Column(at=second)
    trailing = tuple(ledger.briefs.within(second - TRAILING, second))
    rate = float(total_in(ledger.briefs.within(second - 1, second), ()).count)
    return _column(ledger, second, TRAILING, trailing, rate, ())


def column_of_step(ledger: Ledger, end: int, step: int, internal: Sequence[str] = ()) -> Column:
    """Return the column of the ``step`` seconds (a multiple of ten) that end at ``end``; unknown where none was heard."""
    slots = tuple(ledger.history.coarse.heads(end - step, end))
    return _column(ledger, end, step, slots, None, internal) if slots else Column(at=end)


def _column(
    ledger: Ledger, end: int, length: int, slots: Sequence[SlotHead], rate: float | None, internal: Sequence[str]
) -> Column:
    """Return what was done in the ``length`` seconds before ``end``; ``rate`` is theirs too unless it is given."""
    done = total_in(slots, internal)
    over = Sum.of_heads(msgspec.structs.replace(slot, requests=()) for slot in slots)
    p50, p95, p99 = done.answered.quantiles((0.5, 0.95, 0.99))
    caches, pools = over.caches.values(), over.pools.values()
    known = max(1.0, end - max(float(end - length), over.begin))
    growth = server_growth(samples_at(ledger, end), end - _MINUTE, end)
    return Column(
        at=end,
        rate=done.count / known if rate is None else rate,
        error_rate=share(done.errors, done.count),
        p50=p50,
        p95=p95,
        p99=p99,
        hit_rate=share(sum(cache.hits for cache in caches), sum(lookups(cache) for cache in caches)),
        evictions_per_minute=growth[0] if growth else None,
        pool_in_use=sum(pool.busy for pool in pools) / known if pools else None,
        pool_wait_p95=merged(pool.wait for pool in pools).quantile(0.95),
        loop_lag_p99=over.loop_lag.quantile(0.99),
    )


def samples_at(ledger: Ledger, end: int) -> Iterable[tuple[int, RedisServer]]:
    """Return samples of the Redis server that tell of the minute before ``end``: of each second, or further apart."""
    return ledger.redis if ledger.redis and ledger.redis[0][0] <= end - _MINUTE else ledger.redis_hour


def series_of(columns: Iterable[Column]) -> Series:
    """Turn columns into the table that charts take."""
    rows: Sequence[Column] = tuple(columns)
    return Series(**{name: tuple(getattr(row, name) for row in rows) for name in Column.__struct_fields__})
