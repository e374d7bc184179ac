"""The feed: the fleet's stream read on demand, at most once a second however many look."""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING, Literal

from observability.model.stream import COARSE_KEY, STREAM_KEY, Commands
from observability.read.board import BOARD_KEY, decode_board, with_board
from observability.read.columns import Column, column_at, column_of_step, series_of
from observability.read.figures import empty_view, view_of
from observability.read.follower import Follower
from observability.read.history import HOUR, TEN
from observability.read.ledger import Ledger
from observability.read.view import Series, View

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from observability.model import Slo, Snapshot
    from observability.read.board import Board
    from observability.read.history import Tier

MOST_SECONDS = 300
"""How far back columns of single seconds go; those of ten and more go back an hour."""

_REFRESH_TIMEOUT = 3.0


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
        self._slo = slo
        self._internal = tuple(internal)
        self._clock = clock
        self._off = off
        self._redis: Commands | None = None
        self._fleet = Ledger(internal)
        self._own = Ledger(internal)
        self._follower = Follower(self._fleet, clock, key=key, coarse_key=coarse_key)
        self._reason = "Redis is not connected"
        self._refreshed = -math.inf
        self._refreshing: asyncio.Task[None] | None = None
        self._view: View | None = None
        self._fleet_board: Board | None = None
        self._own_board: Board | None = None
        self._columns: dict[tuple[int, int], Column] = {}
        self._shown: Ledger | None = None

    @property
    def ignored(self) -> int:
        """Entries of the stream that were torn, foreign, of another version or of the future."""
        return self._follower.ignored

    def connect(self, redis: Commands | None) -> None:
        """Read the stream through this client from now on; None for no stream."""
        self._redis = redis
        self._refreshed = -math.inf

    def hold(self, snapshot: Snapshot) -> None:
        """Keep this worker's own snapshot for when there is no stream."""
        self._own.ingest(snapshot)
        self._own.forget(snapshot.taken)

    def hold_board(self, board: Board) -> None:
        """Keep this worker's own alerts for when there is no stream."""
        self._own_board = board

    @property
    def tens(self) -> Tier:
        """The hour in slots of ten seconds, of whoever the latest view is about."""
        return (self._shown or self._own).history.coarse

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
            view = view_of(ledger, now, scope, self._reason, self._slo, self._internal)
            self._view = with_board(view, self._own_board if self._reason else self._fleet_board)
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
                await self._follower.read(self._redis)
                self._fleet_board = decode_board(await self._redis.execute_command("GET", BOARD_KEY))
        except TimeoutError:
            return "Redis does not answer in time"
        except Exception as error:  # noqa: BLE001 - a handed-in client may raise anything; the reason is shown instead
            return f"Redis cannot be read ({type(error).__name__})"
        now = self._clock()
        self._fleet.forget(now)
        if self._fleet.silent(now) and not self._own.silent(now):
            return "nothing has reached the stream for 10 seconds"
        return ""
