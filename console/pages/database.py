"""The page of the databases: the pool, every named query against its target, and how PostgreSQL runs it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from console import format as shown
from console.causes import LONG_WAIT
from console.pages.page import Action, Ask, Columns, Outcome, Page, Refused, later
from console.tiles import Tile
from console.tuning import PlanRefused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from console.pages.page import Host
    from console.tuning import QueryCard, Statistics
    from observability.read.detail import OperationView
    from observability.read.view import PoolView, View

MOST_PLANS = 2
"""Queries that a worker explains at once, each over a connection of its own; one more is refused."""

COUNTED_EVERY = 15.0
"""Seconds between two looks at what PostgreSQL itself counts: each takes a connection of its own."""

COUNTED_WAIT = 0.5
"""Seconds that a first paint waits for it; later it comes with the events."""

BUSY = 0.8
"""Share of its machine's processors from which PostgreSQL is short of them (the performance guide's alert)."""

COLUMNS = ("pool_in_use", "pool_wait_p95", "pool_timeouts", "sql_p95", "redis_p95")


class DatabasePage(Page):
    """Pool, queries and commands; all of the time that is looked at, but the pool's present state."""

    name = path = nav = "database"
    title = "Database"
    key = "d"
    arguments = ("query",)
    parts = ("tiles", "queries", "commands", "counted")
    pinned = True

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._counted: Sequence[Statistics] | None = None
        self._asked = 0.0
        self._asking: asyncio.Task[None] | None = None
        self._explaining = asyncio.Semaphore(MOST_PLANS)

    async def look(self, ask: Ask) -> dict[str, Any]:
        """Look at the period; a query that a link names stands first."""
        feed, plans = self.host.feed, self.host.plans
        view = await feed.view()
        operations = await feed.operations(ask.period)
        cards = {card.name: card for card in plans.queries()} if plans else {}
        queries = [one for one in operations if one.system == "postgresql"]
        called = sorted((one for one in queries if one.latency.count), key=lambda one: one.name != ask.get("query"))
        return {
            "tiles": tiles(view) if ask.period.until is None else past_tiles(),
            "queries": called,
            "idle": idle(queries, cards),
            "commands": [one for one in operations if one.system == "redis"],
            "time": {
                system: sum(o.total for o in operations if o.system == system) for system in ("postgresql", "redis")
            },
            "cards": cards,
            "counted": await self._statistics(),
            "plan": None,
            "step": ask.period.step,
        }

    def data(self, context: Mapping[str, Any]) -> dict[str, Any]:
        """Tell the chart how many connections there are."""
        pool: PoolView | None = context["view"].pool
        return {"pool_size": pool.size if pool else None}

    async def columns(self, ask: Ask, since: int) -> Columns:
        """Return the columns of pool and stores."""
        return later(await self.host.feed.stores(ask.period), since, COLUMNS)

    def actions(self) -> Mapping[str, Action]:
        """Explain a query, where the host can."""
        return {"explain": self._explain} if self.host.plans else {}

    async def _explain(self, form: Mapping[str, str]) -> Outcome:
        """Show a plan: nothing is changed by that, but it takes a connection, so no link can ask for it."""
        plans, name = self.host.plans, form.get("run") or form.get("query", "")
        if plans is None:
            raise Refused("Queries cannot be explained here.")
        if self._explaining.locked():
            raise Refused("Other queries are being explained; try again in a moment.")
        try:
            async with self._explaining:
                plan = await plans.explain(name, run="run" in form)
        except PlanRefused as refused:
            raise Refused(str(refused)) from None
        card = next((card for card in plans.queries() if card.name == name), None)
        return Outcome(self.name, shown={"plan": plan, "card": card})

    async def _statistics(self) -> Sequence[Statistics] | None:
        """Return what PostgreSQL counted when it was last asked, and ask again now and then beside it."""
        if self.host.plans is None:
            return None
        now = time.monotonic()
        if (self._asking is None or self._asking.done()) and (not self._asked or now - self._asked > COUNTED_EVERY):
            first, self._asked = not self._asked, now
            self._asking = asyncio.create_task(self._ask(), name="console statistics of queries")
            if first:
                await asyncio.wait({self._asking}, timeout=COUNTED_WAIT)
        return self._counted

    async def _ask(self) -> None:
        self._counted = await self.host.plans.statistics() if self.host.plans else None


def idle(queries: Sequence[OperationView], cards: Mapping[str, QueryCard]) -> list[tuple[str, float | None]]:
    """Return names and targets of the queries that were not called."""
    targets = {one.name: one.target for one in queries}
    called = {one.name for one in queries if one.latency.count}
    return [(name, targets.get(name)) for name in dict.fromkeys((*targets, *cards)) if name not in called]


LABELS = {
    "pool": "Pool in use",
    "high-water": "High-water mark",
    "waiting": "Waiting now",
    "wait": "Wait p95",
    "timeouts": "Gave up waiting",
    "cpu": "PostgreSQL CPU",
}


def past_tiles() -> tuple[Tile, ...]:
    """Return tiles for a moment that is over: the charts know of it, the pool's present state does not."""
    why = "known of the present only"
    return tuple(Tile(key=key, label=label, figure=shown.MISSING, why=why, note=why) for key, label in LABELS.items())


def tiles(view: View) -> tuple[Tile, ...]:
    """Return the pool as it is and was in the last minute, and the server's processors."""
    cpu = view.database_cpu
    processors = Tile(
        key="cpu",
        label=LABELS["cpu"],
        figure=shown.share(cpu),
        note="of its machine's processors" if cpu is not None else "",
        why="no worker can see PostgreSQL's processes",
        tone="bad" if cpu is not None and cpu > BUSY else "",
    )
    pool = view.pool
    if pool is None:
        why = "no worker reports a pool"
        nothing = (Tile(key=key, label=LABELS[key], figure=shown.MISSING, why=why) for key in LABELS if key != "cpu")
        return (*nothing, processors)
    long = pool.wait_p95 is not None and pool.wait_p95 > LONG_WAIT
    return (
        Tile(
            key="pool",
            label=LABELS["pool"],
            figure=f"{pool.in_use:,} of\N{NO-BREAK SPACE}{pool.size:,}",
            note=f"{pool.open:,} open; {shown.share(pool.use)} in use in the last minute",
            used=pool.use,
        ),
        Tile(
            key="high-water",
            label=LABELS["high-water"],
            figure=f"{pool.high_water:,} of\N{NO-BREAK SPACE}{pool.size:,}",
            note="most at once in the last minute",
            used=min(1.0, pool.high_water / pool.size) if pool.size else None,
        ),
        Tile(
            key="waiting",
            label=LABELS["waiting"],
            figure=shown.count(pool.pending),
            note="requests without a connection",
            tone="bad" if pool.pending and long else "",
        ),
        Tile(
            key="wait",
            label=LABELS["wait"],
            figure=shown.duration(pool.wait_p95),
            note="for a connection, in the last minute",
            why="nobody asked for a connection in the last minute",
            tone="bad" if long else "",
        ),
        Tile(
            key="timeouts",
            label=LABELS["timeouts"],
            figure=shown.count(pool.timeouts),
            note="requests of the last minute, answered 503",
            tone="bad" if pool.timeouts else "",
        ),
        processors,
    )
