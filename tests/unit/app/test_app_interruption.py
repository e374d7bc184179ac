"""Writing in batches, interrupted."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from app.services.importing import BATCH as LINES
from app.services.importing import Entry, Importer
from app.services.seeding import BATCH, Seeder

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


class Deaf:
    """A store whose driver takes a cancellation for its own."""

    def __init__(self) -> None:
        self.writing = asyncio.Event()
        self.written = 0

    async def present(self, _: Collection[int]) -> set[int]:
        """Nobody is there."""
        return set()

    async def write(self, _: None, wanted: Sequence[tuple[int, int]]) -> None:
        """Write, whatever happens meanwhile."""
        await self._write(len(wanted))

    async def add_all(self, entries: Sequence[Entry], _: datetime) -> set[str]:
        """Write, whatever happens meanwhile."""
        await self._write(len(entries))
        return {entry.email for entry in entries}

    async def _write(self, count: int) -> None:
        self.writing.set()
        try:
            await asyncio.sleep(3600 if not self.written else 0)
        except asyncio.CancelledError:
            self.written += count

    async def clear(self, _: int) -> int:
        """Nobody is there."""
        return 0


async def test_a_cancellation_that_a_driver_loses_ends_the_filling_with_its_batch() -> None:
    """Ctrl-C is obeyed although nothing raises: the batch is whole, and no other begins."""
    store = Deaf()
    filling = asyncio.create_task(Seeder(store, None).run(3 * BATCH, 0, lambda _: None))
    await store.writing.wait()
    filling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await filling
    assert store.written == BATCH


async def test_a_cancellation_that_a_driver_loses_ends_an_import_with_its_batch() -> None:
    """The same goes for users of another system."""
    store = Deaf()
    entries = [(number, Entry(f"{number}@example.org", "x")) for number in range(3 * LINES)]
    importing = asyncio.create_task(Importer(store, lambda: datetime.now(UTC)).run(entries, lambda _: None))
    await store.writing.wait()
    importing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await importing
    assert store.written == LINES
