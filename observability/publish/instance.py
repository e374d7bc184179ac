"""What all workers of this instance have counted, whichever of them is asked.

They find each other's newest snapshots in Redis. The same worker must never be shown with less than before, or whoever
reads takes it for a reset; so every answer about a worker is what that worker published last, up to ``FRESH`` seconds
after; from then on only the worker itself tells, and only of itself.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import psutil

from observability.model import decode_snapshot
from observability.publish.prometheus import Answer
from observability.publish.stream import newest_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from observability.model import Snapshot
    from observability.model.stream import Commands
    from observability.publish.stream import StreamPublisher

FRESH = 3.0
"""Seconds: a worker that published nothing for longer is gone, or cannot reach Redis."""

_TIMEOUT = 0.3


class InstanceSnapshots:
    """Reads the newest snapshots. ``own`` returns this worker's newest, published or not; ``clock`` gives Unix seconds."""

    def __init__(self, own: Callable[[], Snapshot], clock: Callable[[], float] = time.time) -> None:
        self._own = own
        self._clock = clock
        self._redis: Commands | None = None
        self._publisher: StreamPublisher | None = None

    def connect(self, redis: Commands | None, publisher: StreamPublisher | None) -> None:
        """Look for the others through this client from now on; None for no others."""
        self._redis = redis
        self._publisher = publisher

    async def read(self) -> Answer:
        """Return the newest snapshot of every worker, or of this one alone when Redis cannot be asked."""
        published = self._publisher.published if self._publisher else None
        if self._redis is None or published is None or self._clock() - published.taken > FRESH:
            return Answer((self._own(),), complete=False)
        try:
            async with asyncio.timeout(_TIMEOUT):
                found = await self._redis.execute_command("HVALS", newest_keys(published.instance)[0])
            snapshots = [decode_snapshot(raw) for raw in found]
        except Exception:  # noqa: BLE001 - whatever a handed-in client raises, this worker answers for itself
            return Answer((published,), complete=False)
        return self._answer(snapshots, published)

    def _answer(self, snapshots: Iterable[Snapshot], published: Snapshot) -> Answer:
        """Show workers that are there or have ended; leave out whoever goes on counting and cannot say so."""
        newest = {snapshot.worker: snapshot for snapshot in snapshots}
        newest.setdefault(published.worker, published)
        stale = {s.worker for s in newest.values() if self._clock() - s.taken > FRESH}
        silent = {worker for worker in stale if _runs(newest[worker])}
        shown = [snapshot for worker, snapshot in sorted(newest.items()) if worker not in silent]
        return Answer(shown, complete=not silent)


def _runs(snapshot: Snapshot) -> bool:
    """Return whether the process that made a snapshot still runs; the workers of an instance share a machine."""
    try:
        # A process that is younger than the snapshot's worker has only taken over its number.
        return psutil.Process(snapshot.pid).create_time() <= snapshot.started + 1
    except psutil.Error:
        return False
