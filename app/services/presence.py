"""When each session was last seen, written in batches and never while a request waits."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from app.services.ports import Clock, PresenceStore
    from app.values import Session

GRAIN = timedelta(minutes=5)
"""A session is written at most once in this time, so an idle one is only known to be idle this much later."""

MOST_NOTED = 10_000
"""Sessions that may wait to be written; past it, one is noted at its next request instead."""

BATCH = 1_000
"""Sessions in one statement."""


class Presence:
    """Notes sessions that are in use and writes them down, many in one statement."""

    def __init__(self, store: PresenceStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._noted: dict[UUID, datetime] = {}

    def note(self, session: Session, now: datetime) -> None:
        """Remember that a valid session was seen, if it was not written lately."""
        if now - session.last_seen_at >= GRAIN and (len(self._noted) < MOST_NOTED or session.id in self._noted):
            self._noted[session.id] = now

    async def write(self) -> None:
        """Write down what was noted. What a store that is away keeps from being written is noted again at the next request."""
        noted, self._noted = sorted(self._noted.items()), {}
        for start in range(0, len(noted), BATCH):
            await self._store.touch(noted[start : start + BATCH], self._clock())
