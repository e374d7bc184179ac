"""What a store knows: the fleet's ledger, read from the stream at most once a second, and this worker's own."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Literal

from observability.read.board import BOARD_KEY, decode_board
from observability.read.follower import Follower
from observability.read.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from observability.model import Snapshot
    from observability.model.stream import Commands
    from observability.read.board import Board

_TIMEOUT = 3.0


class Known:
    """Both ledgers, and which of them is shown: the fleet's, or when that cannot be read this worker's, and why.

    ``news`` is called after each refresh.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        internal: Sequence[str],
        news: Callable[[], Awaitable[None]],
        *,
        key: str,
        coarse_key: str,
    ) -> None:
        self.redis: Commands | None = None
        self.reason = "Redis is not connected"
        self.own_board: Board | None = None
        self._fleet = Ledger(internal)
        self._own = Ledger(internal)
        self._fleet_board: Board | None = None
        self._clock = clock
        self._news = news
        self._follower = Follower(self._fleet, clock, key=key, coarse_key=coarse_key)
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
        """Keep this worker's own snapshot."""
        self._own.ingest(snapshot)
        self._own.forget(snapshot.taken)

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
            await self._news()
        finally:
            self._refreshed = self._clock()
            self._refreshing = None

    async def _read(self) -> str:
        """Read what is new in the stream; return the empty string, or in words why the fleet cannot be shown."""
        if self.redis is None:
            return "Redis is not connected"
        try:
            async with asyncio.timeout(_TIMEOUT):
                await self._follower.read(self.redis)
                self._fleet_board = decode_board(await self.redis.execute_command("GET", BOARD_KEY))
        except TimeoutError:
            return "Redis does not answer in time"
        except Exception as error:  # noqa: BLE001 - a handed-in client may raise anything; the reason is shown instead
            return f"Redis cannot be read ({type(error).__name__})"
        now = self._clock()
        self._fleet.forget(now)
        if self._fleet.silent(now) and not self._own.silent(now):
            return "nothing has reached the stream for 10 seconds"
        return ""
