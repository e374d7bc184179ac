"""What a session check costs beside Sanic's bare JSON handler, on one core, with everything on that is on by default.

And what its two short ways are worth: the same worker with one of them closed, pair by pair.
"""

from __future__ import annotations

import os
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from benchmarks.driver import SECONDS, Cost, drive, rounds
from benchmarks.instance import DRIVER_CORE, Instance, closed_way, gatewatch, rival
from benchmarks.people import asking, confirm, of_ours
from benchmarks.table import Row, paired

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Run = Callable[[int], Awaitable[Cost]]

TOKENS = 1000
CHECK_TARGET, ME_TARGET = 1.5, 1.6


def measure() -> list[Row]:
    """Measure, and return one row a comparison."""
    os.sched_setaffinity(0, {DRIVER_CORE})
    with (
        tempfile.TemporaryDirectory() as folder,
        gatewatch(Path(folder) / "data") as ours,
        closed_way(ours, Path(folder) / "line", "line") as without_line,
        closed_way(ours, Path(folder) / "express", "express") as without_express,
        rival(ours.redis_url) as other,
    ):
        return uvloop.run(_measure(ours, without_line, without_express, other))


async def _measure(ours: Instance, without_line: Instance, without_express: Instance, other: Instance) -> list[Row]:
    people = await of_ours(ours, TOKENS)
    everybody = asking("/auth/me", people)
    await drive(ours.url, everybody, status=200, pid=ours.pid, connections=32, seconds=60, repeat=False)  # now cached
    payloads = {path: asking(path, people) for path in ("/auth/check", "/auth/me", "/json", "/naive")}

    def run(server: Instance, path: str) -> Run:
        status = 204 if path in {"/auth/check", "/naive"} else 200
        return lambda connections: drive(
            server.url, payloads[path], status=status, pid=server.pid, connections=connections, seconds=SECONDS
        )

    check, me, bare = run(ours, "/auth/check"), run(ours, "/auth/me"), run(other, "/json")
    sanic = partial(_compare, rival="bare Sanic JSON handler", theirs=bare)
    rows = [
        await sanic("GET /auth/check, warm", check, connections=32, at_most=CHECK_TARGET),
        await sanic("GET /auth/me, warm", me, connections=32, at_most=ME_TARGET),
        await sanic("GET /auth/check, warm", check, connections=4),
        await sanic("GET /auth/me, warm", me, connections=4),
    ]
    redis_py, router, naive = (
        run(without_line, "/auth/check"),
        run(without_express, "/auth/check"),
        run(other, "/naive"),
    )
    for rival_name, theirs, connections in (
        ("the same through redis-py's connections", redis_py, 32),
        ("the same through redis-py's connections", redis_py, 4),
        ("the same through Sanic's parser and router", router, 32),
        ("Sanic + one redis.asyncio GET", naive, 32),
    ):
        rows.append(await _compare("GET /auth/check, warm", check, rival_name, theirs, connections))
    for path in ("/auth/check", "/auth/me"):
        confirm(ours, path, people)
    return rows


async def _compare(
    what: str, ours: Run, rival: str, theirs: Run, connections: int, at_most: float | None = None
) -> Row:
    mine: list[Cost] = []
    others: list[Cost] = []
    for counts in rounds():
        own, other = await ours(connections), await theirs(connections)
        if counts:
            mine.append(own)
            others.append(other)
    return paired(what, rival, connections, mine, others, at_most)
