"""Session checks of which each is its token's first, beside fastapi-users' ordinary ones: the cache is emptied before every run."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import uvloop
from redis.asyncio import Redis

from benchmarks.driver import SECONDS, Cost, drive, rounds
from benchmarks.instance import DRIVER_CORE, Instance, fastapi_users, gatewatch
from benchmarks.people import asking, confirm, of_fastapi_users, of_ours
from benchmarks.rivals import FASTAPI_USERS
from benchmarks.table import Row, faster

if TYPE_CHECKING:
    from collections.abc import Sequence

TOKENS, CONNECTIONS = 1000, 32
FIRST_TIMERS = 12_000
"""Tokens of ours: more than are checked in a run."""
ALONE = 1000
TARGET, MOST_QUERIES, MOST_ROUND_TRIPS = 3, 1, 3


def measure() -> list[Row]:
    """Measure, and return one row of the rate and one of the budget."""
    os.sched_setaffinity(0, {DRIVER_CORE})
    with (
        tempfile.TemporaryDirectory() as folder,
        gatewatch(Path(folder) / "data") as ours,
        fastapi_users(ours) as theirs,
    ):
        return uvloop.run(_measure(ours, theirs))


async def _measure(ours: Instance, theirs: Instance) -> list[Row]:
    people, others = await of_ours(ours, FIRST_TIMERS), await of_fastapi_users(theirs, TOKENS)
    check, other = asking("/auth/check", people), asking("/users/me", others)
    colds: list[Cost] = []
    warms: list[Cost] = []
    for counts in rounds():
        await _forget(ours)
        cold = await _first(ours, check, CONNECTIONS)
        warm = await drive(theirs.url, other, status=200, pid=theirs.pid, connections=CONNECTIONS, seconds=SECONDS)
        if counts:
            colds.append(cold)
            warms.append(warm)
    confirm(ours, "/auth/check", people)
    under = f"one core, each token's first request, {CONNECTIONS} connections"
    rival = f"{FASTAPI_USERS} GET /users/me, warm"
    return [faster("GET /auth/check, cold", under, colds, rival, warms, TARGET), await _budget(ours, check)]


async def _first(ours: Instance, payloads: Sequence[bytes], connections: int) -> Cost:
    return await drive(
        ours.url, payloads, status=204, pid=ours.pid, connections=connections, seconds=SECONDS, repeat=False
    )


async def _forget(ours: Instance) -> None:
    """Empty our cache, not the rival's sessions."""
    async with Redis.from_url(ours.redis_url) as store:
        await store.flushdb()


async def _budget(ours: Instance, payloads: Sequence[bytes]) -> Row:
    """Count what PostgreSQL and Redis were asked for requests that came one by one, background work included."""
    await _forget(ours)
    before = await _asked(ours)
    cost = await drive(ours.url, payloads[:ALONE], status=204, pid=ours.pid, connections=1, seconds=60, repeat=False)
    queries, round_trips = ((now - then) / cost.requests for now, then in zip(await _asked(ours), before, strict=True))
    return Row(
        what="GET /auth/check, cold: PostgreSQL queries and Redis round trips a request",
        conditions=f"{cost.requests:,} requests one by one",
        ours=f"{queries:.2f} queries, {round_trips:.2f} round trips",
        target=f"at most {MOST_QUERIES} and {MOST_ROUND_TRIPS}",
        # What runs every second is counted too: less than one in ten requests.
        met=round(queries, 1) <= MOST_QUERIES and round(round_trips, 1) <= MOST_ROUND_TRIPS,
        figures={"queries": queries, "round_trips": round_trips},
    )


async def _asked(ours: Instance) -> tuple[int, int]:
    """Return how many statements PostgreSQL has run for the application, and how often Redis has read from a socket."""
    sql = await asyncpg.connect(ours.database_url)
    try:
        await sql.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        queries = await sql.fetchval("SELECT sum(calls) FROM pg_stat_statements WHERE query LIKE '%sessions%'")
    finally:
        await sql.close()
    async with Redis.from_url(ours.redis_url) as store:
        return int(queries), int((await store.info("stats"))["total_reads_processed"])
