"""A session check on one core beside fastapi-users, which has the same core, the same PostgreSQL and the same Redis in turn."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from benchmarks.driver import SECONDS, Cost, drive, rounds
from benchmarks.instance import DRIVER_CORE, Instance, fastapi_users, gatewatch
from benchmarks.people import asking, confirm, of_fastapi_users, of_ours
from benchmarks.rivals import FASTAPI_USERS
from benchmarks.table import Row, faster

if TYPE_CHECKING:
    from collections.abc import Sequence

TOKENS, CONNECTIONS = 1000, 32
TARGET = 10


def measure() -> list[Row]:
    """Measure, and return one row a route."""
    os.sched_setaffinity(0, {DRIVER_CORE})
    with (
        tempfile.TemporaryDirectory() as folder,
        gatewatch(Path(folder) / "data") as ours,
        fastapi_users(ours) as theirs,
    ):
        return uvloop.run(_measure(ours, theirs))


async def _measure(ours: Instance, theirs: Instance) -> list[Row]:
    people, others = await of_ours(ours, TOKENS), await of_fastapi_users(theirs, TOKENS)
    check, me, other = asking("/auth/check", people), asking("/auth/me", people), asking("/users/me", others)

    async def run(server: Instance, payloads: Sequence[bytes], status: int) -> Cost:
        return await drive(
            server.url, payloads, status=status, pid=server.pid, connections=CONNECTIONS, seconds=SECONDS
        )

    checks: list[Cost] = []
    mes: list[Cost] = []
    rivals: list[Cost] = []
    for counts in rounds():
        measured = await run(ours, check, 204), await run(theirs, other, 200), await run(ours, me, 200)
        if counts:
            for runs, cost in zip((checks, rivals, mes), measured, strict=True):
                runs.append(cost)
    confirm(ours, "/auth/check", people)
    confirm(ours, "/auth/me", people)
    confirm(theirs, "/users/me", others)
    under = f"one core, warm, {TOKENS:,} tokens, {CONNECTIONS} connections"
    rival = f"{FASTAPI_USERS} GET /users/me"
    return [
        faster("GET /auth/check", under, checks, rival, rivals, TARGET),
        faster("GET /auth/me", under, mes, rival, rivals, TARGET),
    ]
