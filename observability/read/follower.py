"""Following the fleet's streams: what is new each time, and first of all the hour before."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from observability.read.history import FINE_SECONDS, HOUR, TEN
from observability.read.stream import Entry, count_entries, read_entries, snapshot_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from observability.model.stream import Commands
    from observability.read.ledger import Ledger
    from observability.read.turns import Turns

_BATCH = 50
"""Entries read at once."""

_MOST_BACKFILL = 5_000
"""Entries of each stream read at most when starting late; of a fleet so large that they do not reach back as far as
columns do, less of the past is shown."""

_READ_TIMEOUT = 0.3
_REREAD = 30
_PROBE = 2
_AHEAD = 60
"""Seconds that a worker's clock may be ahead of ours; what claims to come from later would push the present out."""


class Follower:
    """Reads two streams into a ledger: the one of every second, and for the older past the one of every ten."""

    def __init__(self, ledger: Ledger, clock: Callable[[], float], turns: Turns, *, key: str, coarse_key: str) -> None:
        self.ignored = 0
        self._ledger = ledger
        self._clock = clock
        self._turns = turns
        self._key = key
        self._coarse_key = coarse_key
        self._last_id = b""
        self._past: tuple[bytes, bytes] | None = None
        """What is still to be read of the coarse stream: from where, and up to where the fine one takes over."""

    async def read(self, redis: Commands) -> None:
        """Take in what is new; raise whatever the client raises. What was read stays read."""
        start = await self._start(redis)
        while self._past is not None:
            await self._read_past(redis, *self._past)
        for _ in range(2 * _MOST_BACKFILL // _BATCH):
            entries = await self._read_batch(redis, self._key, start)
            if entries:
                self._last_id = entries[-1][0]
                start = b"(" + self._last_id
            if len(entries) < _BATCH:
                return

    async def _read_past(self, redis: Commands, start: bytes, end: bytes) -> None:
        """Read the next entries of the coarse stream; what could not be read in time is read on at the next refresh."""
        entries = await self._read_batch(redis, self._coarse_key, start, b"(" + end, fine=False)
        self._past = (b"(" + entries[-1][0], end) if len(entries) == _BATCH else None

    async def _read_batch(
        self, redis: Commands, key: str, start: bytes, end: bytes = b"+", *, fine: bool = True
    ) -> list[Entry]:
        """Take in a batch of entries and return them."""
        async with asyncio.timeout(_READ_TIMEOUT):
            entries = await read_entries(redis, key, start, _BATCH, end)
        latest = self._clock() + _AHEAD
        async with self._turns.work() as work:
            for _, raw in entries:
                snapshot = snapshot_in(raw)
                if snapshot is None or snapshot.taken > latest:
                    self.ignored += 1
                else:
                    self._ledger.ingest(snapshot, fine=fine)
                await work.pause()
        return entries

    async def _start(self, redis: Commands) -> bytes:
        """Return where to read the stream of seconds from: after the last entry, or some minutes back.

        Whoever comes late, or did not look for long, first reads the older past from the coarse stream. A Redis that was
        replaced numbers its entries by its own clock, which may stand behind the last id we saw.
        """
        now = self._clock()
        if self._past is not None:  # reading the past was broken off
            return self._past[1]
        if self._last_id and not self._ledger.silent(now):
            return b"(" + self._last_id
        known = self._ledger.newest or 0.0
        workers = await self._workers(redis, now)
        fine = now - min(FINE_SECONDS, _MOST_BACKFILL / workers)
        if known >= fine:
            return _id_at(min(known, now - _REREAD))
        past = max(known, now - min(HOUR, _MOST_BACKFILL * TEN / workers))
        first = await self._first_id(redis, fine) or _id_at(now)
        self._past = (_id_at(past), first)
        return first

    async def _first_id(self, redis: Commands, since: float) -> bytes | None:
        """Return the first entry since a time: of a large fleet the stream of seconds may not reach back so far."""
        async with asyncio.timeout(_READ_TIMEOUT):
            entries = await read_entries(redis, self._key, _id_at(since), 1)
        return entries[0][0] if entries else None

    async def _workers(self, redis: Commands, now: float) -> float:
        """Return about how many workers publish, judged by the last two seconds; one at least."""
        async with asyncio.timeout(_READ_TIMEOUT):
            recent = await count_entries(redis, self._key, _id_at(now - _PROBE), _MOST_BACKFILL // TEN)
        return max(1.0, recent / _PROBE)


def _id_at(seconds: float) -> bytes:
    return b"%d" % max(0, int(seconds * 1000))
