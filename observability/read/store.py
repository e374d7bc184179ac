"""The feed: the fleet's stream read on demand, at most once a second however many look."""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING, Literal

from observability.model.stream import STREAM_KEY, Commands
from observability.read.columns import Column, column_at, series_of
from observability.read.figures import SILENT, empty_view, view_of
from observability.read.ledger import POINT_SECONDS, Ledger
from observability.read.stream import count_entries, read_entries
from observability.read.view import Series, View

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from observability.model import Slo, Snapshot

MOST_SECONDS = 300
"""How far back columns go."""

_BATCH = 50
"""Entries read at once: about ten milliseconds of decoding before the loop gets its turn."""

_MOST_BACKFILL = 5_000
"""Entries read at most when starting late; a fleet so large that they are not five minutes gets fewer seconds."""

_READ_TIMEOUT = 0.3
_REFRESH_TIMEOUT = 3.0
_REREAD = 30
_PROBE = 2


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
        off: str = "",
    ) -> None:
        """``off`` is a reason for knowing nothing at all, when there is one; ``clock`` gives Unix seconds."""
        self.ignored = 0
        """Entries of the stream that were torn, foreign or of another version."""
        self._slo = slo
        self._internal = tuple(internal)
        self._clock = clock
        self._key = key
        self._off = off
        self._redis: Commands | None = None
        self._fleet = Ledger(internal)
        self._own = Ledger(internal)
        self._last_id = b""
        self._reason = "Redis is not connected"
        self._refreshed = -math.inf
        self._refreshing: asyncio.Task[None] | None = None
        self._view: View | None = None
        self._columns: dict[int, Column] = {}
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

    async def series(self, since: float = 0.0, seconds: int = MOST_SECONDS) -> Series:
        """Return complete seconds after ``since`` (Unix seconds), at most the last ``seconds`` of them."""
        await self._refresh()
        if self._off or self._shown is None or not self._shown.tracks:
            return Series()
        last = math.floor(self._clock()) - 1
        known = min(track.points[0].second for track in self._shown.tracks.values())
        first = max(last - min(seconds, MOST_SECONDS) + 1, math.floor(since) + 1, known)
        return series_of(await self._computed(range(first, last + 1)))

    async def _computed(self, wanted: range) -> list[Column]:
        """Return columns, each computed once for all viewers; the loop gets its turn between many."""
        ledger = self._shown or self._own
        result = []
        for n, second in enumerate(wanted):
            if second not in self._columns:
                self._columns[second] = column_at(ledger, second)
                if n % 20 == 19:  # noqa: PLR2004 - about a millisecond's work
                    await asyncio.sleep(0)
            result.append(self._columns.get(second) or column_at(ledger, second))
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
        oldest = now - MOST_SECONDS - 1
        newer = math.inf if touched is None else touched
        self._columns = {second: column for second, column in self._columns.items() if oldest <= second < newer}

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
        for _ in range(2 * _MOST_BACKFILL // _BATCH):
            async with asyncio.timeout(_READ_TIMEOUT):
                entries = await read_entries(redis, self._key, start, _BATCH)
            for _, snapshot in entries:
                if snapshot is None:
                    self.ignored += 1
                else:
                    self._fleet.ingest(snapshot)
            if entries:
                self._last_id = entries[-1][0]
                start = b"(" + self._last_id
            if len(entries) < _BATCH:
                return
            await asyncio.sleep(0)

    async def _start(self, redis: Commands) -> bytes:
        """Return where to read from: after the last entry, or five minutes back when there is none or it went silent.

        A Redis that was replaced numbers its entries by its own clock, which may stand behind the last id we saw.
        """
        now = self._clock()
        if self._last_id and not self._silent(self._fleet, now):
            return b"(" + self._last_id
        back = _REREAD if self._last_id else await self._affordable(redis, now)
        return _id_at(now - back)

    async def _affordable(self, redis: Commands, now: float) -> float:
        """Return how many seconds of this fleet's entries may be read at once, judged by its last two."""
        async with asyncio.timeout(_READ_TIMEOUT):
            recent = await count_entries(redis, self._key, _id_at(now - _PROBE), _MOST_BACKFILL // 10)
        return min(float(POINT_SECONDS), _MOST_BACKFILL * _PROBE / max(1, recent))

    @staticmethod
    def _silent(ledger: Ledger, now: float) -> bool:
        newest = ledger.newest
        return newest is None or now - newest > SILENT


def _id_at(seconds: float) -> bytes:
    return b"%d" % max(0, int(seconds * 1000))
