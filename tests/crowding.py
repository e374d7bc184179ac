"""What a busy machine takes from this process, measured instead of guessed."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Crowd:
    """How long a crowded machine kept this process from its work, beyond jitter, in all; in seconds."""

    def __init__(self) -> None:
        self.held = 0.0

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncIterator[Self]:
        """Beat, and see how late it is."""
        beating = asyncio.create_task(self._beat())
        yield self
        beating.cancel()

    async def _beat(self) -> None:
        while True:
            due = time.perf_counter() + 0.01
            await asyncio.sleep(0.01)
            late = time.perf_counter() - due
            self.held += late if late > 0.01 else 0.0
