"""PostgreSQL's share of the processors: read from its processes, and unknown where they cannot be seen."""

from __future__ import annotations

import os
from typing import Any

import psutil

from app.database_cpu import DatabaseCpu, _server_of


async def test_work_of_postgresql_is_seen(service: Any) -> None:
    """Between two samples a query that computes shows as a share between zero and one; the first sample is unknown."""
    sample = DatabaseCpu(service.parts.database)
    assert await sample() is None
    await service.sql.fetchval("SELECT count(*) FROM generate_series(1, 2000000)")
    share = await sample()
    assert share is not None
    assert 0 < share <= 1


async def test_processes_that_are_not_the_server_are_not_believed(service: Any) -> None:
    """A number that belongs to another process here, or to none, or a server of another age: unknown."""
    row = await service.sql.fetchrow(
        "SELECT pg_backend_pid() AS pid, extract(epoch FROM pg_postmaster_start_time())::float8 AS started"
    )
    assert _server_of(row["pid"], row["started"]) is not None
    assert _server_of(row["pid"], row["started"] - 3600) is None
    assert _server_of(os.getpid(), psutil.Process().create_time()) is None
    assert _server_of(2**22 + 1, row["started"]) is None
