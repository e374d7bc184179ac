"""Logins a second beside the bare argon2id call, by the same library with the same parameters in as many threads on both cores."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from pathlib import Path
from statistics import median

import asyncpg
import uvloop

from benchmarks.driver import SECONDS, Cost, drive, rounds
from benchmarks.instance import BOTH, Instance, gatewatch
from benchmarks.people import PASSWORD, logging_in, register
from benchmarks.table import Row, ratio_of

CLIENTS = 12
TARGET = 0.9
UNLIMITED = {"GATEWATCH_LIMIT_LOGINS": "600000/min"}
"""All clients have one address here."""

KEEP_PAGES = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(256 << 20)}
"""So that the bare call is as fast as it can be: memory that was freed is not given back to the system and asked for anew."""


def measure() -> list[Row]:
    """Measure, and return the row."""
    with (
        tempfile.TemporaryDirectory() as folder,
        gatewatch(Path(folder) / "data", BOTH, GATEWATCH_WORKERS=str(len(BOTH)), **UNLIMITED) as ours,
    ):
        return [uvloop.run(_measure(ours))]


async def _measure(ours: Instance) -> Row:
    emails = await register(ours, CLIENTS, "load.invalid")
    payloads = [logging_in("/auth/login", email, form=False) for email in emails]
    sql = await asyncpg.connect(ours.database_url)
    encoded = str(await sql.fetchval("SELECT password_hash FROM users WHERE email = $1", emails[0]))
    await sql.close()
    logins: list[Cost] = []
    calls: list[float] = []
    for counts in rounds():
        cost = await drive(ours.url, payloads, status=200, pid=ours.pid, connections=CLIENTS, seconds=SECONDS)
        bare = await _bare(encoded)
        if counts:
            logins.append(cost)
            calls.append(bare)
    ratio = ratio_of([cost.rate for cost in logins], calls)
    rate, p95 = median(cost.rate for cost in logins), median(cost.p95 for cost in logins)
    return Row(
        what="POST /auth/login",
        conditions=f"{len(BOTH)} cores, {len(BOTH)} workers, {CLIENTS} clients, {encoded.split('$')[3]}",
        ours=f"{rate:.1f} logins/s, p95 {p95 * 1e3:.0f} ms",
        rival=f"argon2id of PyNaCl in {len(BOTH)} threads",
        theirs=f"{median(calls):.1f} calls/s",
        target=f"at least {TARGET} of the calls",
        met=ratio["ratio"] >= TARGET,
        figures={"logins_per_second": rate, "p95_seconds": p95, "rival_calls_per_second": median(calls)},
        **ratio,
    )


async def _bare(encoded: str) -> float:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "benchmarks.bare_hash", str(len(BOTH)), str(SECONDS), encoded, PASSWORD),
        env={**os.environ, **KEEP_PAGES},
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,  # as the server: Linux shares the cores out by sessions first
    )
    said, _ = await process.communicate()
    return float(said)
