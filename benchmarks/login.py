"""Logins a second beside the bare argon2id call, by the same library with the same parameters in as many threads on both cores."""

from __future__ import annotations

import asyncio
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
PATIENT = {"GATEWATCH_HASH_MAX_TIME": "60"}
"""Throughput is asked for, so nobody is turned away for having to wait."""


STRENGTHS: tuple[dict[str, str], ...] = (
    {},
    {"GATEWATCH_HASH_MEMORY_KIB": "19456", "GATEWATCH_HASH_ITERATIONS": "2"},
)
"""Ours by default, which is the fastest of OWASP's equals, and the one that OWASP names for most."""


def measure() -> list[Row]:
    """Measure, and return one row a strength."""
    return [_with(strength) for strength in STRENGTHS]


def _with(strength: dict[str, str]) -> Row:
    with (
        tempfile.TemporaryDirectory() as folder,
        gatewatch(Path(folder) / "data", BOTH, GATEWATCH_WORKERS=str(len(BOTH)), **PATIENT, **strength) as ours,
    ):
        return uvloop.run(_measure(ours))


async def _measure(ours: Instance) -> Row:
    emails = await register(ours, CLIENTS, "load.invalid")
    payloads = [logging_in("/auth/login", email, form=False) for email in emails]
    sql = await asyncpg.connect(ours.database_url)
    encoded = str(await sql.fetchval("SELECT password_hash FROM users WHERE email = $1", emails[0]))
    await sql.close()
    logins: list[Cost] = []
    calls: list[tuple[float, float]] = []
    for counts in rounds():
        cost = await drive(ours.url, payloads, status=200, pid=ours.pids, connections=CLIENTS, seconds=SECONDS)
        bare = await _bare(encoded)
        if counts:
            logins.append(cost)
            calls.append(bare)
    ratio = ratio_of([cost.rate for cost in logins], [rate for rate, _ in calls])
    rate, bare_rate = median(cost.rate for cost in logins), median(rate for rate, _ in calls)
    cpu, bare_cpu = median(cost.cpu for cost in logins), median(cpu for _, cpu in calls)
    p95 = median(cost.p95 for cost in logins)
    return Row(
        what="POST /auth/login",
        conditions=f"{len(BOTH)} cores, {len(BOTH)} workers, {CLIENTS} clients, {encoded.split('$')[3]}",
        ours=f"{rate:.1f} logins/s, p95 {p95 * 1e3:.0f} ms, {cpu * 1e3:.1f} ms CPU each",
        rival=f"argon2id of PyNaCl in {len(BOTH)} threads",
        theirs=f"{bare_rate:.1f} calls/s, {bare_cpu * 1e3:.1f} ms CPU each",
        target=f"at least {TARGET} of the calls",
        met=ratio["ratio"] >= TARGET,
        figures={
            "logins_per_second": rate,
            "p95_seconds": p95,
            "cpu_seconds": cpu,
            "rival_calls_per_second": bare_rate,
            "rival_cpu_seconds": bare_cpu,
        },
        **ratio,
    )


async def _bare(encoded: str) -> tuple[float, float]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "benchmarks.bare_hash", str(len(BOTH)), str(SECONDS), encoded, PASSWORD),
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,  # as the server: Linux shares the cores out by sessions first
    )
    said, _ = await process.communicate()
    rate, cpu = said.split()
    return float(rate), float(cpu)
