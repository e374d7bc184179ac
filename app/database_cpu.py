"""How much of this machine's processors PostgreSQL uses: read from its processes where they can be seen, else unknown."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import psutil

from app.errors import GatewatchError
from app.storage.database import Database, Statement

if TYPE_CHECKING:
    from collections.abc import Callable

_SERVER = Statement(
    "database_server",
    "SELECT pg_backend_pid() AS pid, extract(epoch FROM pg_postmaster_start_time())::float8 AS started",
)
_SAME_START = 10.0
"""Seconds by which the server's own idea of when it started and the machine's may differ."""

_PATIENCE = 0.5
_LOOK_AGAIN = 60.0
"""Seconds between attempts to find the server among the processes of this machine."""


class DatabaseCpu:
    """A sampler: each call returns the share (0 to 1) of all processors used since the call before.

    The server names one of its processes; its parent is PostgreSQL itself only if a process of that number, name and age
    runs here. A server elsewhere, behind a pooler or in a container with numbers of its own is unknown, never zero.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._server: psutil.Process | None = None
        self._looked = float("-inf")
        self._before: tuple[float, float] | None = None

    async def __call__(self) -> float | None:
        """Return the share, or None when it is not known."""
        if self._server is None and self._clock() - self._looked >= _LOOK_AGAIN:
            self._looked = self._clock()
            self._server = await self._find()
        if self._server is None:
            return None
        used = await asyncio.to_thread(_seconds_used, self._server)
        now, before = self._clock(), self._before
        if used is None:  # it has ended; another may have taken its place
            self._server = self._before = None
            return None
        self._before = (now, used)
        if before is None or now <= before[0]:
            return None
        share = (used - before[1]) / (now - before[0]) / (psutil.cpu_count() or 1)
        return min(1.0, max(0.0, share))

    async def _find(self) -> psutil.Process | None:
        try:
            async with asyncio.timeout(_PATIENCE):
                row = (await self._database.fetch(_SERVER))[0]
        except (GatewatchError, TimeoutError):
            return None
        return await asyncio.to_thread(_server_of, row["pid"], row["started"])


def _server_of(pid: int, started: float) -> psutil.Process | None:
    """Return the parent of a backend, if it is a PostgreSQL that started then."""
    try:
        server = psutil.Process(pid).parent()
        if server is None or "postgres" not in server.name() or abs(server.create_time() - started) > _SAME_START:
            return None
    except psutil.Error:
        return None
    return server


def _seconds_used(server: psutil.Process) -> float | None:
    """Return the processor seconds of a server, its processes and those that have ended, or None when it is gone.

    The server comes first: a process that ends meanwhile is missed this once, and never counted twice.
    """
    try:
        if not server.is_running():
            return None
        own = server.cpu_times()
        used = own.user + own.system + own.children_user + own.children_system
        processes = server.children()
    except psutil.Error:
        return None
    for process in processes:
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue
        used += times.user + times.system
    return float(used)
