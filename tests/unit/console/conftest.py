"""A real server with the console mounted, over a feed and a load control that a test can turn."""

from __future__ import annotations

import itertools
import socket
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import httpx
import msgspec
import pytest
from sanic import Sanic

from console import Access, LoadRefused, LoadRun, ScenarioCard, create_console
from console.ports import AS_DECLARED, LoadChanges, LoadColumns
from console.tuning import (
    Comparison,
    LiveSetting,
    PlanRefused,
    QueryCard,
    QueryPlan,
    SettingChange,
    SettingInForce,
    SettingRefused,
    Statistics,
    Trial,
    TrialRefused,
)
from observability.read.detail import (
    Annotation,
    BlockedView,
    OperationView,
    Period,
    RouteDetail,
    StoreColumns,
    TraceFilter,
    TraceList,
)
from observability.read.view import (
    CacheView,
    HashView,
    Latency,
    PoolView,
    RedisView,
    RouteView,
    Series,
    View,
    WorkerView,
)

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from console.ports import ReportFile
    from observability.model import KeptTrace

TOKEN = "a-console-token-of-26-chars"
NOW = 1_795_378_651.0

LOGIN = RouteView("POST", "/auth/login", 13.5, 8, 0.01, Latency(812, 0.0402, 0.1261, 0.239), 0.2, "met")
REGISTER = RouteView("POST", "/auth/register", 0.63, 0, 0.0, Latency(38, 0.045, 0.141, 0.262), 0.5, "too few")

BUSY = View(
    at=NOW,
    scope="fleet",
    reason="",
    age=0.4,
    window=60,
    rate=14.17,
    errors=8,
    error_rate=8 / 850,
    latency=Latency(850, 0.00213, 0.0612, 0.1514),
    routes=(LOGIN, REGISTER),
    caches=(CacheView("session", 9100, 230, 12, 2, 0, 0.974),),
    hit_rate=0.9743,
    redis=RedisView(2.0, 14.0, 48 << 20, 256 << 20, "volatile-lru"),
    pool=PoolView(20, 14, 4, 0, 11, 0.21, 0.00043, 0),
    hashing=HashView(2, 1, 32, 0, 0.012, 0.031),
    workers=(WorkerView("host:8000", "w1", 4121, NOW - 4000, 0.4, 71 << 20, 0.34, 0.0021, 412_331, 3),),
    requests=850,
    fewest_samples=59,
)
NOTHING = View(
    at=NOW,
    scope="worker",
    reason="telemetry is off",
    age=None,
    window=60,
    rate=0.0,
    errors=0,
    error_rate=None,
    latency=Latency(),
    routes=(),
    caches=(),
    hit_rate=None,
    redis=None,
    pool=None,
    hashing=None,
    workers=(),
    requests=0,
    fewest_samples=59,
)
CARDS = (ScenarioCard("smoke", "20 users, 600 req/min, 30 s", 30), ScenarioCard("baseline", "5 min of the guide", 300))
RUN = LoadRun("20261122T201500-smoke-3f9a", "smoke", "running", NOW, 30, 12, 300, 121, 120, 1, 10.1, 0.004, 0.07, 0.16)


@dataclass
class TurnedFeed:
    """A feed that shows what a test put into it and counts how often it was looked at."""

    shown: View = BUSY
    seconds: list[int] = field(default_factory=lambda: [int(NOW) - 2, int(NOW) - 1])
    looks: int = 0
    broken: bool = False
    untils: list[float | None] = field(default_factory=list)
    periods: list[Period] = field(default_factory=list)
    wanted: list[TraceFilter] = field(default_factory=list)
    marks: list[Annotation] = field(default_factory=list)
    route_shown: RouteDetail | None = None
    operations_shown: tuple[OperationView, ...] = ()
    stores_shown: StoreColumns = field(default_factory=StoreColumns)
    blocked_shown: tuple[BlockedView, ...] = ()
    traces_shown: TraceList = field(default_factory=TraceList)

    async def view(self, window: int = 60, until: float | None = None) -> View:  # noqa: ARG002 - it is as it was put in
        """Return what was put in, as if of that window, or fail."""
        self.looks += 1
        if self.broken:
            raise RuntimeError("the feed is broken")
        return msgspec.structs.replace(self.shown, window=window)

    async def series(
        self,
        since: float = 0.0,
        seconds: int = 300,
        step: int = 1,  # noqa: ARG002 - every second that was put in, whatever the step
        until: float | None = None,
    ) -> Series:
        """Return a point for each second that was put in."""
        self.untils.append(until)
        at = tuple(second for second in self.seconds if second > since)[-seconds:]
        columns = {name: (0.123456,) * len(at) for name in Series.__struct_fields__ if name != "at"}
        return Series(at=at, **columns)

    async def route(self, method: str, route: str, period: Period) -> RouteDetail | None:
        """Return the route that was put in, when it is the one."""
        self.periods.append(period)
        known = self.route_shown
        return known if known and (known.method, known.route) == (method, route) else None

    async def operations(self, period: Period) -> tuple[OperationView, ...]:
        """Return what was put in."""
        self.periods.append(period)
        return self.operations_shown

    async def stores(self, period: Period) -> StoreColumns:
        """Return what was put in."""
        self.periods.append(period)
        return self.stores_shown

    async def blocked(self, period: Period) -> tuple[BlockedView, ...]:
        """Return what was put in."""
        self.periods.append(period)
        return self.blocked_shown

    async def traces(self, wanted: TraceFilter) -> TraceList:
        """Return what was put in, whatever is wanted."""
        self.wanted.append(wanted)
        return self.traces_shown

    async def trace(self, trace_id: str) -> Sequence[KeptTrace]:
        """Return what was put in of that trace."""
        return [kept for kept in self.traces_shown.traces if kept.trace_id == trace_id]

    async def annotations(self, period: Period) -> tuple[Annotation, ...]:  # noqa: ARG002 - all that were put in
        """Return what was put in, and what was told."""
        return tuple(self.marks)

    async def note(self, annotation: Annotation) -> None:
        """Remember it."""
        self.marks.append(annotation)


@dataclass
class TurnedLoad:
    """A load control that remembers what it was asked."""

    refused: str | None = None
    going: list[LoadRun] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    changes: list[LoadChanges] = field(default_factory=list)
    seconds: LoadColumns | None = None
    cards: tuple[ScenarioCard, ...] = CARDS
    compared: Comparison | None = None

    def refusal(self) -> str | None:
        """Return what a test says."""
        return self.refused

    def scenarios(self) -> Sequence[ScenarioCard]:
        """Return two scenarios, or what was put in."""
        return self.cards

    async def start(self, scenario: str, changes: LoadChanges = AS_DECLARED) -> str:
        """Start, unless something is going on or the scenario is unknown."""
        self.asked.append(("start", scenario))
        self.changes.append(changes)
        if self.refused or self.going:
            raise LoadRefused(self.refused or "A run is going on already; stop it first.")
        if scenario not in {card.name for card in self.cards}:
            raise LoadRefused(f"There is no scenario {scenario!r}.")
        self.going.append(msgspec.structs.replace(RUN, scenario=scenario))
        return RUN.run

    async def stop(self, run: str) -> None:
        """Stop the run that is going on."""
        self.asked.append(("stop", run))
        if [going.run for going in self.going] != [run]:
            raise LoadRefused("That run is over.")
        self.going.clear()

    async def runs(self, most: int = 10) -> Sequence[LoadRun]:
        """Return what is going on."""
        return tuple(self.going[:most])

    async def report(self, run: str, file: ReportFile) -> bytes | None:
        """Return what a run of that name left."""
        return f"{file} of {run}".encode() if run in {going.run for going in self.going} else None

    async def columns(self, run: str) -> LoadColumns | None:
        """Return what was put in, of a run that is going on."""
        return self.seconds if run in {going.run for going in self.going} else None

    async def compare(self, before: str, after: str) -> Comparison:
        """Return what was put in."""
        return self.compared or Comparison(before, after, refusal="There are no such runs.")


@dataclass
class TurnedSettings:
    """Settings that remember what they were asked to become."""

    refused: str | None = None
    shown: list[LiveSetting] = field(default_factory=list)
    others: list[SettingInForce] = field(default_factory=list)
    log: list[SettingChange] = field(default_factory=list)

    def refusal(self) -> str | None:
        """Return what a test says."""
        return self.refused

    def settings(self) -> Sequence[LiveSetting]:
        """Return what was put in, as it was changed since."""
        return self.shown

    def in_force(self) -> Sequence[SettingInForce]:
        """Return what was put in."""
        return self.others

    async def changes(self, most: int = 20) -> Sequence[SettingChange]:
        """Return what was changed, newest first."""
        return self.log[::-1][:most]

    async def change(self, name: str, value: str) -> SettingChange:
        """Change a setting that is known, unless changing is refused."""
        known = {setting.name: setting for setting in self.shown}
        if self.refused or name not in known:
            raise SettingRefused(self.refused or f"There is no setting {name!r}.")
        before = known[name]
        self.shown = [msgspec.structs.replace(s, value=value) if s.name == name else s for s in self.shown]
        self.log.append(SettingChange(len(self.log) + 1, NOW, name, before.label, before.value, value))
        return self.log[-1]

    async def undo(self, number: int) -> SettingChange:
        """Take back a change that is known."""
        change = next((change for change in self.log if change.number == number and not change.undone), None)
        if change is None:
            raise SettingRefused("That change was taken back already.")
        self.log[self.log.index(change)] = msgspec.structs.replace(change, undone=True)
        self.shown = [
            msgspec.structs.replace(s, value=change.before) if s.name == change.name else s for s in self.shown
        ]
        return self.log[number - 1]


@dataclass
class TurnedPlans:
    """Plans that a test put in, and what was asked for."""

    cards: list[QueryCard] = field(default_factory=list)
    known: dict[str, QueryPlan] = field(default_factory=dict)
    counted: list[Statistics] | None = None
    asked: list[tuple[str, bool]] = field(default_factory=list)
    held: asyncio.Event | None = None

    def queries(self) -> Sequence[QueryCard]:
        """Return what was put in."""
        return self.cards

    async def explain(self, name: str, *, run: bool = False) -> QueryPlan:
        """Return a plan that was put in."""
        self.asked.append((name, run))
        if self.held:
            await self.held.wait()
        if name not in self.known:
            raise PlanRefused(f"There is no query {name!r}.")
        return self.known[name]

    async def statistics(self) -> Sequence[Statistics] | None:
        """Return what was put in."""
        return self.counted


@dataclass
class TurnedTrials:
    """Trials that a test put in, and what was asked for."""

    refused: str | None = None
    shown: list[Trial] = field(default_factory=list)
    asked: list[tuple[tuple[str, str], ...]] = field(default_factory=list)
    loads: list[LoadChanges | None] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)

    def refusal(self) -> str | None:
        """Return what a test says."""
        return self.refused

    async def start(self, changes: Sequence[tuple[str, str]], load: LoadChanges | None = None) -> str:
        """Remember what is to be tried."""
        if self.refused:
            raise TrialRefused(self.refused)
        self.loads.append(load)
        self.asked.append(tuple(changes))
        return "trial-1"

    async def stop(self, trial: str) -> None:
        """End a trial that goes on."""
        if trial not in {shown.trial for shown in self.shown if shown.active}:
            raise TrialRefused("That trial is over.")
        self.stopped.append(trial)

    async def trials(self, most: int = 5) -> Sequence[Trial]:
        """Return what was put in."""
        return self.shown[:most]


@dataclass(frozen=True)
class Served:
    """A running server: where it is, what it shows, and how to ask it and stop it."""

    url: str
    feed: TurnedFeed
    load: TurnedLoad
    settings: TurnedSettings
    plans: TurnedPlans
    trials: TurnedTrials
    app: Sanic[Any, Any]
    client: httpx.AsyncClient
    stop: Callable[[], Awaitable[None]]

    async def visit(self) -> Served:
        """Log the client in."""
        answer = await self.client.get("/console/login", params={"token": TOKEN})
        assert answer.status_code == 303, answer.text
        return self

    async def page(self, path: str = "", **query: str) -> str:
        """Return a page, the overview if no path is given."""
        answer = await self.client.get(f"/console/{path}".rstrip("/"), params=query)
        assert answer.status_code == 200, answer.text
        return answer.text


_numbers = itertools.count()


@asynccontextmanager
async def serving(feed: TurnedFeed, load: TurnedLoad) -> AsyncIterator[Served]:
    """Serve a console on a free port of this loop until the block or a test ends it."""
    app: Sanic[Any, Any] = Sanic(f"console-test-{next(_numbers)}", configure_logging=False)
    hosts = frozenset({"127.0.0.1", "localhost", "::1"})
    settings, plans, trials = TurnedSettings(), TurnedPlans(), TurnedTrials()
    console = create_console(
        feed=feed,
        load=load,
        access=Access(TOKEN, hosts),
        service="Test <service>",
        settings=settings,
        plans=plans,
        trials=trials,
        trace_url="https://traces.example/trace/{trace_id}",
    )
    app.blueprint(console)
    listener = socket.create_server(("127.0.0.1", 0))  # Sanic takes port 0 for its default
    server = await app.create_server(sock=listener, return_asyncio_server=True, access_log=False)
    handle = cast("Any", server)  # its methods have no types
    await handle.startup()
    await handle.before_start()
    await handle.start_serving()
    await handle.after_start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    stopped: list[bool] = []

    async def stop() -> None:
        if not stopped:
            stopped.append(True)
            await handle.before_stop()
            closing = handle.close()  # from Python 3.12 on it waits until every connection has gone
            for connection in tuple(handle.connections):
                connection.close_if_idle()
            await closing
            for connection in tuple(handle.connections):
                connection.abort()
            await handle.after_stop()

    async with AsyncExitStack() as stack:
        stack.callback(Sanic.unregister_app, app)
        stack.push_async_callback(stop)
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=url, timeout=30, trust_env=False))
        yield Served(
            url=url,
            feed=feed,
            load=load,
            settings=settings,
            plans=plans,
            trials=trials,
            app=app,
            client=client,
            stop=stop,
        )


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    """Give a server that nobody is logged in to."""
    async with serving(TurnedFeed(), TurnedLoad()) as running:
        yield running


@pytest.fixture
def nothing() -> View:
    """Give the view of a fleet about which nothing is known."""
    return NOTHING


@pytest.fixture
async def visited(served: Served) -> Served:
    """Give a server with a client that is logged in."""
    return await served.visit()
