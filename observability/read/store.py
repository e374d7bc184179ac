"""The feed: the fleet's stream read on demand, at most once a second however many look."""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING, Literal

from observability.model.stream import COARSE_KEY, STREAM_KEY, Commands
from observability.read.columns import Column, column_at, column_of_step, series_of
from observability.read.figures import SILENT, empty_view, view_of
from observability.read.history import FINE_SECONDS, HOUR, TEN
from observability.read.ledger import Ledger
from observability.read.stream import Entry, count_entries, read_entries
from observability.read.view import Series, View

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from observability.model import Slo, Snapshot

MOST_SECONDS = 300
"""How far back columns of single seconds go; those of ten and more go back an hour."""

_BATCH = 50
"""Entries read at once: about ten milliseconds of decoding before the loop gets its turn."""

_MOST_BACKFILL = 5_000
"""Entries of each stream read at most when starting late; of a fleet so large that they do not reach back as far as
columns do, less of the past is shown."""

_READ_TIMEOUT = 0.3
_REFRESH_TIMEOUT = 3.0
_REREAD = 30
_PROBE = 2
_AHEAD = 60
"""Seconds that a worker's clock may be ahead of ours; what claims to come from later would push the present out."""


class FleetStore:
    """Implements ``observability.read.view.Feed``.

    It reads the stream while somebody looks. When the stream cannot be read it shows this worker alone, from the
    snapshots that were handed to ``hold``, and says why. Memory is bounded by the ledger's bounds.
    """

    def __init__(
        self,
        *,
        slo: Slo,
        internal: Sequence[str] = (),
        clock: Callable[[], float] = time.time,
        key: str = STREAM_KEY,
        coarse_key: str = COARSE_KEY,
        off: str = "",
    ) -> None:
        """``off`` is a reason for knowing nothing at all, when there is one; ``clock`` gives Unix seconds."""
        self.ignored = 0
        """Entries of the stream that were torn, foreign or of another version."""
        self._slo = slo
        self._internal = tuple(internal)
        self._clock = clock
        self._key = key
        self._coarse_key = coarse_key
        self._off = off
        self._redis: Commands | None = None
        self._fleet = Ledger(internal)
        self._own = Ledger(internal)
        self._last_id = b""
        self._past: tuple[bytes, bytes] | None = None
        """What is still to be read of the coarse stream: from where, and up to where the fine one takes over."""
        self._reason = "Redis is not connected"
        self._refreshed = -math.inf
        self._refreshing: asyncio.Task[None] | None = None
        self._view: View | None = None
        self._columns: dict[tuple[int, int], Column] = {}
        self._shown: Ledger | None = None

    def connect(self, redis: Commands | None) -> None:
        """Read the stream through this client from now on; None for no stream."""
        self._redis = redis
        self._refreshed = -math.inf

    def hold(self, snapshot: Snapshot) -> None:
        """Keep this worker's own snapshot for when there is no stream."""
        self._own.ingest(snapshot)
        self._own.forget(snapshot.taken)

    async def view(self) -> View:
        """Return the present figures, refreshed at most once a second however many ask."""
        await self._refresh()
        return self._view or empty_view(self._clock(), self._off or self._reason)

    async def series(self, since: float = 0.0, seconds: int = MOST_SECONDS, step: int = 1) -> Series:
        """Return complete columns after ``since`` (Unix seconds), at most those of the last ``seconds``.

        A column is a second, or ``step`` seconds: any multiple of ten, to which others are rounded up.
        """
        await self._refresh()
        step = 1 if step <= 1 else -(-step // TEN) * TEN
        ledger = self._shown
        known = None if ledger is None else (ledger.history.fine if step == 1 else ledger.history.coarse).oldest
        if self._off or known is None:
            return Series()
        last = (math.floor(self._clock()) - 1) // step * step
        wanted = min(seconds, MOST_SECONDS if step == 1 else HOUR) // step * step
        first = max(last - wanted + step, math.floor(since) // step * step + step, -(-known // step) * step)
        return series_of(await self._computed(range(first, last + 1, step), step))

    async def _computed(self, wanted: range, step: int) -> list[Column]:
        """Return columns, each computed once for all viewers; the loop gets its turn between many."""
        ledger = self._shown or self._own
        result = []
        for n, end in enumerate(wanted):
            column = self._columns.get((step, end))
            if column is None:
                column = self._columns[step, end] = (
                    column_at(ledger, end, self._internal)
                    if step == 1
                    else column_of_step(ledger, end, step, self._internal)
                )
                if n % 10 == 9:  # noqa: PLR2004 - some milliseconds' work
                    await asyncio.sleep(0)
            result.append(column)
        return result

    async def _refresh(self) -> None:
        """Refresh once a second; whoever asks meanwhile waits for the refresh under way."""
        if self._off:
            return
        elapsed = self._clock() - self._refreshed
        # A clock that was set back must not stop refreshing.
        if self._refreshing is None and not 0 <= elapsed < 1:
            self._refreshing = asyncio.create_task(self._refresh_once())
        if self._refreshing is not None:
            await asyncio.shield(self._refreshing)

    async def _refresh_once(self) -> None:
        try:
            self._reason = await self._read()
            now = self._clock()
            scope: Literal["fleet", "worker"] = "worker" if self._reason else "fleet"
            ledger = self._own if self._reason else self._fleet
            self._invalidate(ledger, now)
            self._view = view_of(ledger, now, scope, self._reason, self._slo, self._internal)
        finally:
            self._refreshed = self._clock()
            self._refreshing = None

    def _invalidate(self, ledger: Ledger, now: float) -> None:
        """Drop columns that news has changed, that come from the other ledger, or that are too old to be asked for."""
        touched = ledger.take_touched()
        if ledger is not self._shown:
            self._shown, touched = ledger, 0
        oldest = {1: now - MOST_SECONDS - 1}
        newer = math.inf if touched is None else touched
        self._columns = {
            (step, end): column
            for (step, end), column in self._columns.items()
            if oldest.get(step, now - HOUR) <= end < newer
        }

    async def _read(self) -> str:
        """Read what is new in the stream; return the empty string, or in words why the fleet cannot be shown."""
        if self._redis is None:
            return "Redis is not connected"
        try:
            async with asyncio.timeout(_REFRESH_TIMEOUT):
                await self._read_new(self._redis)
        except TimeoutError:
            return "Redis does not answer in time"
        except Exception as error:  # noqa: BLE001 - a handed-in client may raise anything; the reason is shown instead
            return f"Redis cannot be read ({type(error).__name__})"
        now = self._clock()
        self._fleet.forget(now)
        if self._silent(self._fleet, now) and not self._silent(self._own, now):
            return "nothing has reached the stream for 10 seconds"
        return ""

    async def _read_new(self, redis: Commands) -> None:
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
            await asyncio.sleep(0)

    async def _read_past(self, redis: Commands, start: bytes, end: bytes) -> None:
        """Read the next entries of the coarse stream; what could not be read in time is read on at the next refresh."""
        entries = await self._read_batch(redis, self._coarse_key, start, b"(" + end, fine=False)
        self._past = (b"(" + entries[-1][0], end) if len(entries) == _BATCH else None
        await asyncio.sleep(0)

    async def _read_batch(
        self, redis: Commands, key: str, start: bytes, end: bytes = b"+", *, fine: bool = True
    ) -> list[Entry]:
        """Take in a batch of entries and return them."""
        async with asyncio.timeout(_READ_TIMEOUT):
            entries = await read_entries(redis, key, start, _BATCH, end)
        latest = self._clock() + _AHEAD
        for _, snapshot in entries:
            if snapshot is None or snapshot.taken > latest:
                self.ignored += 1
            else:
                self._fleet.ingest(snapshot, fine=fine)
        return entries

    async def _start(self, redis: Commands) -> bytes:
        """Return where to read the stream of seconds from: after the last entry, or some minutes back.

        Whoever comes late first reads the older past from the coarse stream. A Redis that was replaced numbers its
        entries by its own clock, which may stand behind the last id we saw.
        """
        now = self._clock()
        if self._past is not None:  # reading the past was broken off
            return self._past[1]
        if self._last_id and not self._silent(self._fleet, now):
            return b"(" + self._last_id
        if self._last_id:
            return _id_at(now - _REREAD)
        workers = await self._workers(redis, now)
        fine = _id_at(now - min(FINE_SECONDS, _MOST_BACKFILL / workers))
        self._past = (_id_at(now - min(HOUR, _MOST_BACKFILL * TEN / workers)), fine)
        return fine

    async def _workers(self, redis: Commands, now: float) -> float:
        """Return about how many workers publish, judged by the last two seconds; one at least."""
        async with asyncio.timeout(_READ_TIMEOUT):
            recent = await count_entries(redis, self._key, _id_at(now - _PROBE), _MOST_BACKFILL // TEN)
        return max(1.0, recent / _PROBE)

    @staticmethod
    def _silent(ledger: Ledger, now: float) -> bool:
        newest = ledger.newest
        return newest is None or now - newest > SILENT


def _id_at(seconds: float) -> bytes:
    return b"%d" % max(0, int(seconds * 1000))
