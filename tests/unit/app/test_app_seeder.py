"""Filling in batches, interrupted."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

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
        self.writing.set()
        try:
            await asyncio.sleep(3600 if not self.written else 0)
        except asyncio.CancelledError:
            self.written += len(wanted)

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
