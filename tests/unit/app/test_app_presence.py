"""When sessions were last seen, and the housekeeping around it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from app.errors import DatabaseUnavailable
from app.services import housekeeping
from app.services.housekeeping import BATCH as SWEEP_BATCH
from app.services.housekeeping import MOST_BATCHES, Housekeeping
from app.services.presence import BATCH, GRAIN, MOST_NOTED, Presence
from app.values import Session

if TYPE_CHECKING:
    from collections.abc import Sequence

NOW = datetime(2026, 3, 1, tzinfo=UTC)


class Store:
    """Remembers what it was told, or fails."""

    def __init__(self, *, away: bool = False) -> None:
        self.away = away
        self.written: list[Sequence[tuple[UUID, datetime]]] = []

    async def touch(self, seen: Sequence[tuple[UUID, datetime]], now: datetime) -> None:
        """Take a batch."""
        assert now == NOW
        self.written.append(seen)
        if self.away:
            raise DatabaseUnavailable("away")


class Sweeper:
    """Always has more to delete."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, datetime]] = []

    async def expired_sessions(self, before: datetime, limit: int) -> int:
        """Delete a full batch."""
        self.calls.append(("expired", before))
        return limit

    async def idle_sessions(self, before: datetime, limit: int) -> int:
        """Find nothing."""
        assert limit == SWEEP_BATCH
        self.calls.append(("idle", before))
        return 0

    async def expired_email_tokens(self, before: datetime, limit: int) -> int:
        """Delete less than a batch."""
        self.calls.append(("tokens", before))
        return limit - 1


def session(number: int, seen: datetime) -> Session:
    """Make a session last seen at a moment."""
    return Session(UUID(int=number), UUID(int=0), seen, NOW + timedelta(days=1), seen)


async def test_only_what_was_not_seen_lately_is_noted() -> None:
    """Within a grain of its last sight a session is not written again, and one that is noted twice is written once."""
    store = Store()
    presence = Presence(store, lambda: NOW)
    presence.note(session(1, NOW - GRAIN + timedelta(microseconds=1)), NOW)
    presence.note(session(2, NOW - 2 * GRAIN), NOW - timedelta(seconds=1))
    presence.note(session(2, NOW - GRAIN), NOW)
    await presence.write()
    await presence.write()
    assert store.written == [[(UUID(int=2), NOW)]]


async def test_notes_are_bounded_and_written_in_bounded_statements() -> None:
    """One session too many is not noted, one that is noted already still is, and no statement carries more than a batch."""
    store = Store()
    presence = Presence(store, lambda: NOW)
    for number in range(MOST_NOTED + 5):
        presence.note(session(number, NOW - 2 * GRAIN), NOW - timedelta(seconds=1))
    presence.note(session(0, NOW - GRAIN), NOW)
    await presence.write()
    assert [len(batch) for batch in store.written] == [BATCH] * (MOST_NOTED // BATCH)
    assert store.written[0][0] == (UUID(int=0), NOW)


async def test_a_sweep_is_bounded_and_late() -> None:
    """However much is over, a sweep deletes so many batches of each kind, of what was over two hours ago."""
    sweeper = Sweeper()
    keeping = Housekeeping(Presence(Store(), lambda: NOW), sweeper, lambda: NOW, idle=timedelta(days=14))
    assert await keeping.sweep() == MOST_BATCHES * SWEEP_BATCH + SWEEP_BATCH - 1
    over = NOW - timedelta(hours=2)
    assert sweeper.calls == [
        *[("expired", over)] * MOST_BATCHES,
        ("tokens", over),
        *[("idle", over - timedelta(days=14))] * MOST_BATCHES,
    ]


async def test_housekeeping_goes_on_when_a_store_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """A round that fails is followed by the next, and what it could not write is dropped, not kept for ever."""
    monkeypatch.setattr(housekeeping, "WRITE_SECONDS", 0.001)
    store, sweeper = Store(away=True), Sweeper()
    presence = Presence(store, lambda: NOW)
    running = asyncio.create_task(Housekeeping(presence, sweeper, lambda: NOW, idle=GRAIN).run(0.002))
    async with asyncio.timeout(10):
        for rounds in range(1, 4):
            presence.note(session(1, NOW - GRAIN), NOW)
            while len(store.written) < rounds:  # noqa: ASYNC110 - the rounds go by themselves
                await asyncio.sleep(0)
        while not sweeper.calls:  # noqa: ASYNC110 - the same
            await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert [len(batch) for batch in store.written] == [1, 1, 1]
