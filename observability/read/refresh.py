"""What a store knows: the fleet's ledger, read from the stream at most once a second, and this worker's own."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from typing import TYPE_CHECKING, Literal

from observability.read.board import BOARD_KEY, decode_board
from observability.read.follower import Follower
from observability.read.history import TEN
from observability.read.ledger import SILENT, Ledger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from observability.model import Snapshot
    from observability.model.stream import Commands
    from observability.read.board import Board
    from observability.read.turns import Turns

_TIMEOUT = 3.0
"""Seconds after which what was read of a long past has to do for now; each answer of Redis has a shorter time of its own."""

MOST_HELD = 60
"""Own snapshots, one a second, that wait for somebody who wants to see them."""


class Known:
    """Both ledgers, and which of them is shown: the fleet's, or when that cannot be read this worker's, and why.

    ``news`` is called after each refresh.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        internal: Sequence[str],
        news: Callable[[], Awaitable[None]],
        turns: Turns,
        *,
        key: str,
        coarse_key: str,
    ) -> None:
        self.redis: Commands | None = None
        self.reason = "Redis is not connected"
        self.own_board: Board | None = None
        self._fleet = Ledger(internal)
        self._own = Ledger(internal)
        self._held: deque[Snapshot] = deque()
        self._ten = -1
        self._fleet_board: Board | None = None
        self._clock = clock
        self._news = news
        self._turns = turns
        self._follower = Follower(self._fleet, clock, turns, key=key, coarse_key=coarse_key)
        self._refreshed = -math.inf
        self._refreshing: asyncio.Task[None] | None = None

    @property
    def ignored(self) -> int:
        """Entries of the stream that were torn, foreign, of another version or of the future."""
        return self._follower.ignored

    @property
    def scope(self) -> Literal["fleet", "worker"]:
        """Whose figures are shown."""
        return "worker" if self.reason else "fleet"

    @property
    def ledger(self) -> Ledger:
        """The ledger that is shown."""
        return self._own if self.reason else self._fleet

    @property
    def board(self) -> Board | None:
        """The alerts that are shown."""
        return self.own_board if self.reason else self._fleet_board

    def connect(self, redis: Commands | None) -> None:
        """Read the stream through this client from now on; None for no stream."""
        self.redis = redis
        self._refreshed = -math.inf

    def hold(self, snapshot: Snapshot) -> None:
        """Keep this worker's own snapshot.

        To take one in costs milliseconds. So where there is a fleet to show, that waits until it is wanted; by then there
        is one a second of the last minute, and one in ten seconds before.
        """
        self._held.append(snapshot)
        if self.redis is None:
            self._take_in()
        elif len(self._held) > MOST_HELD:
            oldest = self._held[0].taken
            ten, self._ten = self._ten, round(oldest) // TEN
            if ten != self._ten:
                self._take_in(fine=False)
            else:
                self._held.popleft()

    async def refresh(self) -> None:
        """Refresh once a second; whoever asks meanwhile waits for the refresh under way."""
        elapsed = self._clock() - self._refreshed
        # A clock that was set back must not stop refreshing.
        if self._refreshing is None and not 0 <= elapsed < 1:
            self._refreshing = asyncio.create_task(self._refresh())
        if self._refreshing is not None:
            await asyncio.shield(self._refreshing)

    async def _refresh(self) -> None:
        try:
            self.reason = await self._read()
            if self.reason:
                async with self._turns.work() as work:
                    while self._held:
                        self._take_in()
                        await work.pause()
            await self._news()
        finally:
            self._refreshed = self._clock()
            self._refreshing = None

    def _take_in(self, *, fine: bool = True) -> None:
        """Take in the oldest that is held."""
        snapshot = self._held.popleft()
        self._own.ingest(snapshot, fine=fine)
        self._own.forget(snapshot.taken)

    async def _read(self) -> str:
        """Read what is new in the stream; return the empty string, or in words why the fleet cannot be shown."""
        if self.redis is None:
            return "Redis is not connected"
        whole = asyncio.timeout(_TIMEOUT)
        try:
            async with whole:
                await self._follower.read(self.redis)
                self._fleet_board = decode_board(await self.redis.execute_command("GET", BOARD_KEY))
        except TimeoutError:
            return "the past is still being read" if whole.expired() else "Redis does not answer in time"
        except Exception as error:  # noqa: BLE001 - a handed-in client may raise anything; the reason is shown instead
            return f"Redis cannot be read ({type(error).__name__})"
        now = self._clock()
        self._fleet.forget(now)
        if self._fleet.silent(now) and not self._is_silent(now):
            return "nothing has reached the stream for 10 seconds"
        return ""

    def _is_silent(self, now: float) -> bool:
        """Return whether this worker itself was not heard for ten seconds."""
        return now - self._held[-1].taken > SILENT if self._held else self._own.silent(now)
