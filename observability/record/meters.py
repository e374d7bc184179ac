"""Meters that other parts of a worker increment: caches, connection pools, the hashing queue.

They belong to one event loop and take no locks. What a request has waited for they tell the request, too.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from observability.model import CacheCounts, HashCounts, Histogram, PoolCounts
from observability.record.current import HASH, HASH_WAIT, LOOP, POOL_WAIT, spend

if TYPE_CHECKING:
    from collections.abc import Callable

_HALF_MINUTE = 30.0
_WORTH_A_SPAN = 0.0005


class CacheMeter:
    """Lookups of one cache family; its counters are incremented directly.

    A lookup is one of hit, miss, coalesced (joined somebody else's load) or error. ``refused`` counts fills.
    """

    __slots__ = ("coalesced", "errors", "family", "hits", "misses", "refused")

    def __init__(self, family: str) -> None:
        self.family = family
        self.hits = 0
        self.misses = 0
        self.coalesced = 0
        self.refused = 0
        self.errors = 0

    def freeze(self) -> CacheCounts:
        """Return the present counts as a value."""
        return CacheCounts(
            family=self.family,
            hits=self.hits,
            misses=self.misses,
            coalesced=self.coalesced,
            refused=self.refused,
            errors=self.errors,
        )


class PoolMeter:
    """One connection pool. A caller is enqueued, then either lent a connection or gives up; waits are seconds."""

    def __init__(self, name: str, size: int, clock: Callable[[], float] = time.perf_counter) -> None:
        self.name = name
        self.size = size
        self.opened = 0
        """Connections open now; set by the pool."""
        self.in_use = 0
        self.pending = 0
        self.timeouts = 0
        self.wait = Histogram()
        self.use = Histogram()
        self.create = Histogram()
        self._clock = clock
        self._busy = 0.0
        self._since = clock()
        self._half = self._since
        self._high = 0
        self._high_before = 0

    def enqueue(self) -> None:
        """Count a caller that asks for a connection."""
        self.pending += 1

    def lend(self, waited: float) -> None:
        """Count a connection handed to a caller that had been enqueued and waited this many seconds."""
        self._advance()
        self.pending = max(0, self.pending - 1)
        self.in_use += 1
        self._high = max(self._high, self.in_use)
        self._waited(waited)

    def give_up(self, waited: float, timed_out: bool) -> None:  # noqa: FBT001 - the agreed interface
        """Count a caller that left without a connection. Its wait counts too, or a full pool would look fast."""
        self.pending = max(0, self.pending - 1)
        self.timeouts += timed_out
        self._waited(waited, "timeout" if timed_out else "given_up")

    def give_back(self, used: float) -> None:
        """Count a connection returned after it was kept for this many seconds."""
        self._advance()
        self.in_use = max(0, self.in_use - 1)
        self.use.record(used)

    def created(self, seconds: float) -> None:
        """Count a connection that took this many seconds to make."""
        self.create.record(seconds)

    def freeze(self) -> PoolCounts:
        """Return the present counts as a value. ``high_water`` is that of the last 30 to 60 seconds."""
        self._advance()
        return PoolCounts(
            name=self.name,
            size=self.size,
            open=self.opened,
            in_use=self.in_use,
            pending=self.pending,
            high_water=max(self._high, self._high_before),
            timeouts=self.timeouts,
            busy=self._busy,
            wait=self.wait.freeze(),
            use=self.use.freeze(),
            create=self.create.freeze(),
        )

    def _waited(self, seconds: float, error: str = "") -> None:
        self.wait.record(seconds)
        now = self._clock()
        name = "pool wait" if seconds > _WORTH_A_SPAN else ""
        spend(POOL_WAIT, now - seconds, now, name, error, (("db.client.connection.pool.name", self.name),))

    def _advance(self) -> None:
        """Bring the connection-seconds, and the halves of the high-water mark, up to now."""
        now = self._clock()
        self._busy += self.in_use * (now - self._since)
        self._since = now
        if now - self._half >= _HALF_MINUTE:
            self._high_before = self._high if now - self._half < 2 * _HALF_MINUTE else self.in_use
            self._high = self.in_use
            self._half = now


class HashMeter:
    """The bounded queue of a worker's hashing threads; waits and durations are seconds."""

    def __init__(self, threads: int, limit: int) -> None:
        self.threads = threads
        self.limit = limit
        self.queued = 0
        """Passwords that no thread has taken up; set by the queue."""
        self.refused = 0
        self.wait = Histogram()
        self.duration = Histogram()

    def done(self, waited: float, duration: float) -> None:
        """Count a password that a thread took up after so many seconds in the queue, and hashed in so many."""
        self.wait.record(waited)
        self.duration.record(duration)

    def spent(self, queued: float, begun: float, ended: float, told: float) -> None:
        """Tell the running request when its password was queued, taken up, hashed and told of; since then it waited for the loop."""
        spend(HASH_WAIT, queued, begun, "hash wait" if begun - queued > _WORTH_A_SPAN else "")
        spend(HASH, begun, ended, "hash")
        if told > ended:
            spend(HASH_WAIT, ended, told)
        spend(LOOP, told, time.perf_counter())

    def refuse(self) -> None:
        """Count a password that found the queue full."""
        self.refused += 1

    def freeze(self) -> HashCounts:
        """Return the present counts as a value."""
        return HashCounts(
            threads=self.threads,
            limit=self.limit,
            queued=self.queued,
            refused=self.refused,
            wait=self.wait.freeze(),
            duration=self.duration.freeze(),
        )
