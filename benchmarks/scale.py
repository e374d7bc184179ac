"""What a query costs the server with a million users and three million sessions, beside the same with a thousand users.

Both databases are of one PostgreSQL, and are asked in turn. The ratio is of the CPU time of the server process that runs
the statement, prepared as the service does. What its executor takes of that is from pg_stat_statements, percentiles are
from EXPLAIN ANALYZE. Writes are rolled back.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import tempfile
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import asyncpg

from app.embedded import discard, start_postgres
from app.repositories.seeding import Recipe
from app.services.seeding import BATCH
from app.storage.bulk import Bulk
from app.storage.migrate import migrate
from benchmarks.instance import DRIVER_CORE, SERVER_CORE
from benchmarks.statements import EMAIL_TOKENS, IDLE, LIFETIME, SESSIONS_EACH, Case, Person, cases, people
from benchmarks.table import Row

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

FEW = 1_000
MANY = int(os.environ.get("BENCH_USERS", "1000000"))
WARM = 1_000
"""Users whose rows are asked for again and again; with few users that is all of them."""

STRANGERS = 300
"""Users of the million that nobody asked for before, others for every statement: their rows come from the disk."""

PAIRS, RUNS, CALLS = 5, 6, 60
MOST_RATIO, SPARE = 1.2, 10.0
_QUIET = ("autovacuum = off", "synchronous_commit = off", "fsync = off", "pg_stat_statements.track_utility = off")


def measure() -> list[Row]:
    """Fill both databases, measure every statement that a request runs, and erase them."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "postgres"
        server = start_postgres(folder)
        try:
            return asyncio.run(_measure(server.url))
        finally:
            server.stop()
            discard(folder)


async def _measure(url: str) -> list[Row]:
    small_url = url.rpartition("/")[0] + "/few"
    async with _connected(url) as sql:
        for setting in _QUIET:
            await sql.execute(f"ALTER SYSTEM SET {setting}")
        await sql.execute("SELECT pg_reload_conf()")
        await sql.execute("CREATE DATABASE few")
    recipe = Recipe(1, datetime.now(UTC), LIFETIME, IDLE)
    for where, count in ((small_url, FEW), (url, MANY)):
        await fill(where, recipe, count)
    os.sched_setaffinity(0, {DRIVER_CORE})
    asked = cases()
    chosen = random.Random(1).sample(range(1, MANY + 1), WARM + STRANGERS * len(asked))  # noqa: S311 - to repeat
    strangers = people(recipe, chosen[WARM:])
    async with (
        Site.open(small_url, people(recipe, range(1, FEW + 1))) as few,
        Site.open(url, people(recipe, chosen[:WARM])) as many,
    ):
        return [
            await compare(case, few, many, strangers[place * STRANGERS :][:STRANGERS])
            for place, case in enumerate(asked)
        ]


async def fill(url: str, recipe: Recipe, users: int) -> None:
    """Make the schema and its rows as ``gatewatch seed`` does, with statistics."""
    await migrate(url)
    async with Bulk.open(url) as bulk:
        for first in range(1, users + 1, BATCH):
            numbers = range(first, min(first + BATCH, users + 1))
            await bulk.copy(*recipe.rows([(number, SESSIONS_EACH) for number in numbers]))
    async with _connected(url) as sql:
        await sql.execute(
            "SET session_replication_role = replica"
        )  # a check of each foreign key takes longer than the rows
        await sql.execute(EMAIL_TOKENS)
        await sql.execute("VACUUM (FREEZE, ANALYZE)")


class Time(NamedTuple):
    """Mean milliseconds of one call: the server process's CPU, all in all, and the time of its executor alone."""

    cpu: float
    executor: float


@dataclass(frozen=True)
class Site:
    """A filled database, the connection that asks, and the one that reads how long that took."""

    name: str
    sql: asyncpg.Connection[Any]
    pid: int
    observer: asyncpg.Connection[Any]
    crowd: deque[Person]

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, url: str, crowd: Sequence[Person]) -> AsyncIterator[Self]:
        """Connect to a database in which some people are to be asked for."""
        async with _connected(url) as sql, _connected(url.rpartition("/")[0] + "/gatewatch") as observer:
            os.sched_setaffinity(sql.get_server_pid(), {SERVER_CORE})
            await observer.execute("SET pg_stat_statements.track = 'none'")
            yield cls(url.rpartition("/")[2], sql, sql.get_server_pid(), observer, deque(crowd))

    def next(self, count: int) -> list[Person]:
        """Return the next so many people; after the last comes the first again."""
        self.crowd.rotate(-count)
        return [self.crowd[-place] for place in range(count, 0, -1)]

    async def run(self, case: Case, who: Sequence[Person]) -> Time:
        """Run a statement once for each, prepared, as the service does."""
        statement = await self.sql.prepare(case.statement.sql)
        await self.observer.execute("SELECT pg_stat_statements_reset()")
        values = [case.values(person) for person in who]
        async with self._undone():
            before = _cpu(self.pid)
            for each in values:
                await statement.fetch(*each)
            cpu = _cpu(self.pid) - before
        [row] = await self.observer.fetch(
            """
            SELECT calls, mean_exec_time FROM pg_stat_statements(false) s JOIN pg_database d ON d.oid = s.dbid
            WHERE d.datname = $1 AND s.toplevel
            """,
            self.name,
        )
        if row["calls"] != len(who):
            raise RuntimeError(f"{case.statement.name}: {row['calls']} calls were counted, not {len(who)}")
        return Time(cpu / len(who) / 1e6, float(row["mean_exec_time"]))

    async def each(self, case: Case, who: Sequence[Person]) -> list[float]:
        """Run a statement once for each; return the server's times in milliseconds."""
        explain = f"EXPLAIN (ANALYZE, TIMING OFF, BUFFERS OFF, FORMAT JSON) {case.statement.sql}"
        async with self._undone():
            found = [json.loads(await self.sql.fetchval(explain, *case.values(person))) for person in who]
        return [float(plan[0]["Execution Time"]) for plan in found]

    async def plan(self, case: Case, who: Person) -> list[str]:
        """Name the ways in which a statement finds rows, each once."""
        async with self._undone():
            found = await self.sql.fetchval(f"EXPLAIN (FORMAT JSON) {case.statement.sql}", *case.values(who))
        return list(dict.fromkeys(ways(json.loads(found)[0]["Plan"])))

    @contextlib.asynccontextmanager
    async def _undone(self) -> AsyncIterator[None]:
        transaction = self.sql.transaction()
        await transaction.start()
        try:
            yield
        finally:
            await transaction.rollback()


def ways(plan: dict[str, Any]) -> list[str]:
    """Read from a plan how it finds rows: index names, and tables that are read from end to end."""
    kind, inner = plan["Node Type"], [way for part in plan.get("Plans", ()) for way in ways(part)]
    if kind == "Seq Scan":
        return [f"Seq Scan on {plan['Relation Name']}", *inner]
    return [f"{kind} {plan['Index Name']}", *inner] if "Index Name" in plan else inner


async def compare(case: Case, few: Site, many: Site, strangers: Sequence[Person]) -> Row:
    """Measure one statement in both databases in turn; strangers are asked for once, first."""
    plan = await many.plan(case, many.crowd[0])
    cold = _p95(await many.each(case, strangers))
    for site in (few, many):
        await site.run(case, list(site.crowd))
    warm = _p95(await many.each(case, many.next(STRANGERS)))
    pairs = []
    for _ in range(PAIRS):
        runs = [(await few.run(case, few.next(CALLS)), await many.run(case, many.next(CALLS))) for _ in range(RUNS)]
        pairs.append((_median(small for small, _ in runs), _median(large for _, large in runs)))
    ratios = [large.cpu / small.cpu for small, large in pairs]
    small, large = _median(small for small, _ in pairs), _median(large for _, large in pairs)
    target, met = f"ratio at most {MOST_RATIO}", median(ratios) <= MOST_RATIO
    if case.target is not None:
        target += f"; p95 at most {case.target / SPARE:g} ms, from disk {case.target:g} ms"
        met = met and warm <= case.target / SPARE and cold <= case.target
    return Row(
        what=f"Query {case.statement.name}: {', '.join(plan) or 'inserts'}",
        conditions=f"{MANY:,} users, 1 connection",
        ours=f"{_said(large)}, its p95 {warm * 1000:.0f} us, from disk {cold * 1000:.0f} us",
        rival=f"{FEW:,} users",
        theirs=_said(small),
        ratio=median(ratios),
        lowest=min(ratios),
        highest=max(ratios),
        pairs=PAIRS,
        target=target,
        met=met and not any(way.startswith("Seq Scan") for way in plan),
        figures={
            "cpu_milliseconds": large.cpu,
            "executor_milliseconds": large.executor,
            "executor_p95_milliseconds": warm,
            "executor_p95_from_disk_milliseconds": cold,
            "rival_cpu_milliseconds": small.cpu,
            "rival_executor_milliseconds": small.executor,
        },
    )


def _cpu(pid: int) -> int:
    """Return the CPU time that a process has had, in nanoseconds: psutil's clock ticks are too coarse here."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])


def _median(times: Iterable[Time]) -> Time:
    return Time(*map(median, zip(*times, strict=True)))


def _said(time: Time) -> str:
    return f"{time.cpu * 1000:.0f} us CPU; executor {time.executor * 1000:.1f} us"


def _p95(times: Sequence[float]) -> float:
    return quantiles(times, n=20)[-1]


@contextlib.asynccontextmanager
async def _connected(url: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    sql = await asyncpg.connect(url)
    try:
        yield sql
    finally:
        await sql.close()
