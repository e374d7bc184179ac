"""The feed: the fleet's stream read on demand, at most once a second however many look."""

from __future__ import annotations

import math
import time
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import msgspec

from observability.model.stream import COARSE_KEY, STREAM_KEY
from observability.read.answers import Answers, Tables
from observability.read.board import with_board
from observability.read.columns import Column, column_at, column_of_step, series_of
from observability.read.detail import Period
from observability.read.figures import as_it_was, empty_view, present, view_of
from observability.read.happenings import happened
from observability.read.history import FINE_SECONDS, HOUR, TEN
from observability.read.notes import Notes
from observability.read.refresh import Known
from observability.read.route import UNMATCHED, route_column, route_detail
from observability.read.stores import operation_views, store_column, store_columns
from observability.read.stretch import FINE_STRETCH, where
from observability.read.traces import Traces
from observability.read.trend import TREND_SECONDS, p95s, trends_of
from observability.read.turns import Turns
from observability.read.window import Windows

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from observability.model import KeptTrace, Slo, Snapshot
    from observability.model.stream import Commands
    from observability.read.board import Board
    from observability.read.detail import (
        Annotation,
        BlockedView,
        OperationView,
        RouteDetail,
        StoreColumns,
        TraceFilter,
        TraceList,
    )
    from observability.read.figures import Trends
    from observability.read.history import Tier
    from observability.read.ledger import Ledger
    from observability.read.stretch import Stretch, Where
    from observability.read.view import Series, View

T = TypeVar("T")

MOST_SECONDS = 300
"""How far back columns of single seconds go; those of ten and more go back an hour."""

WINDOWS = (60, 300, 900, 3600)
"""Seconds that a view may be over."""

_OFTEN = ((60, 1.0), (300, 2.0), (HOUR, 5.0))
"""How often what was done is looked at anew, in seconds, for windows up to so long."""

_PRESENT = ("at", "age", "redis", "workers", "database_cpu", "alerts", "transitions", "alerts_at")
"""What of a view is of this moment, whatever its window."""


class FleetStore:
    """Implements ``observability.read.feed.Feed``.

    It reads the stream while somebody looks. When the stream cannot be read it shows this worker alone, from the
    snapshots that were handed to ``hold``, and says why. Memory is bounded by the ledgers' bounds.
    """

    def __init__(
        self,
        *,
        slo: Slo,
        internal: Sequence[str] = (),
        clock: Callable[[], float] = time.time,
        key: str = STREAM_KEY,
        coarse_key: str = COARSE_KEY,
        off: str = "",
    ) -> None:
        """``off`` is a reason for knowing nothing at all, when there is one; ``clock`` gives Unix seconds."""
        self._slo = slo
        self._internal = tuple(internal)
        self._clock = clock
        self._off = off
        self._turns = Turns()
        self._known = Known(clock, internal, self._look, self._turns, key=key, coarse_key=coarse_key)
        self._views: dict[int, View] = {}
        self._trends: Trends = {}
        self._answers = Answers(clock)
        self._tables = Tables(self._turns)
        self._windows = Windows(self._turns, clock)
        self._notes = Notes()
        self._traces = Traces()
        self._shown = self._known.ledger

    @property
    def ignored(self) -> int:
        """Entries of the stream that were torn, foreign, of another version or of the future."""
        return self._known.ignored

    @property
    def tens(self) -> Tier:
        """The hour in slots of ten seconds, of whoever the latest view is about."""
        return self._shown.history.coarse

    def connect(self, redis: Commands | None) -> None:
        """Read the stream through this client from now on; None for no stream."""
        self._known.connect(redis)

    def hold(self, snapshot: Snapshot) -> None:
        """Keep this worker's own snapshot for when there is no stream."""
        self._known.hold(snapshot)

    def hold_board(self, board: Board) -> None:
        """Keep this worker's own alerts for when there is no stream."""
        self._known.own_board = board

    def hold_kept(self, trace: KeptTrace) -> None:
        """Keep this worker's own trace for when there is no stream."""
        self._traces.hold(trace)

    async def view(self, window: int = 60, until: float | None = None) -> View:
        """Return the present figures, refreshed at most once a second however many ask.

        They are over a minute, 5, 15 or 60, whichever is the least that has room for ``window`` seconds; those of the
        past are over ``window`` seconds before ``until``, in tens.
        """
        await self._refresh()
        minute = self._views.get(WINDOWS[0])
        if minute is None:
            return empty_view(self._clock(), self._off or self._known.reason)
        if until is not None:
            view = await self._over("view", Period(window, until), self._past_view)
            return with_board(msgspec.structs.replace(view, at=minute.at, age=minute.age), self._known.board)
        window = next((w for w in WINDOWS if w >= window), WINDOWS[-1])
        if window not in self._views:
            view = await self._over("view", Period(window), self._view)
            self._views[window] = msgspec.structs.replace(view, **{name: getattr(minute, name) for name in _PRESENT})
        return self._views[window]

    async def series(
        self, since: float = 0.0, seconds: int = MOST_SECONDS, step: int = 1, until: float | None = None
    ) -> Series:
        """Return complete columns after ``since`` (Unix seconds), at most those of the last ``seconds`` before ``until``.

        A column is a second, or ``step`` seconds: any multiple of ten, to which others are rounded up.
        """
        await self._refresh()
        step = 1 if step <= 1 else -(-step // TEN) * TEN
        ledger, internal = self._shown, self._internal
        make = partial(_column, ledger, step, internal)
        return series_of(await self._table("series", self._wanted(seconds, step, until, since), make))

    async def route(self, method: str, route: str, period: Period) -> RouteDetail | None:
        """Return one route over a period; None for a route that has neither target nor requests."""
        await self._refresh()
        key = (method, "" if route == UNMATCHED else route)
        asked = ("route", key, period)
        return None if self._off else await self._answers.get(asked, 1.0, partial(self._route, key, period))

    async def operations(self, period: Period) -> tuple[OperationView, ...]:
        """Return queries and commands over a period: those with a target in the target file's order, then the others, most time first."""
        await self._refresh()
        return await self._over("operations", period, lambda stretch: operation_views(stretch, self._slo))

    async def stores(self, period: Period) -> StoreColumns:
        """Return columns of caches, pool, hashing and Redis."""
        await self._refresh()
        wanted = self._wanted(period.seconds, period.step, period.until)
        make = partial(store_column, self._shown, period.step)
        return store_columns(await self._table("stores", wanted, make))

    async def blocked(self, period: Period) -> tuple[BlockedView, ...]:
        """Return what blocked event loops, newest first."""
        await self._refresh()
        return self._shown.chronicle.blocked(*self._bounds(period))

    async def traces(self, wanted: TraceFilter) -> TraceList:
        """Return kept traces, newest first."""
        await self._refresh()
        redis, reason = self._known.redis, self._off or self._known.reason
        return await self._answers.get(wanted, 1.0, partial(self._traces.find, redis, wanted, reason))

    async def trace(self, trace_id: str) -> Sequence[KeptTrace]:
        """Return what was kept of a trace, by any worker; none when nothing was, or is no longer."""
        return await self._traces.of(self._known.redis, trace_id)

    async def annotations(self, period: Period) -> tuple[Annotation, ...]:
        """Return what happened, oldest first: deploys, worker replacements, alerts, and what ``note`` was told."""
        await self._refresh()
        notes = await self._answers.get("notes", 1.0, partial(self._notes.read, self._known.redis))
        board = self._known.board
        found = (*self._shown.chronicle.annotations(), *notes)
        return happened(found, board.transitions if board else (), *self._bounds(period))

    async def note(self, annotation: Annotation) -> None:
        """Tell the fleet of something that happened: a setting that was changed."""
        await self._notes.add(self._known.redis, annotation)
        self._answers.forget("notes")

    async def _refresh(self) -> None:
        if not self._off:
            await self._known.refresh()

    async def _look(self) -> None:
        """Take in what a refresh has brought: which columns it has changed, and the minute's view."""
        now, ledger = self._clock(), self._known.ledger
        touched = ledger.take_touched()
        if ledger is not self._shown:
            self._shown, touched = ledger, 0
            self._answers.clear()
            self._windows.clear()
        seconds = {1: FINE_SECONDS}
        self._tables.invalidate(math.inf if touched is None else touched, lambda step: now - seconds.get(step, HOUR))
        steps = await self._table("trend", self._wanted(TREND_SECONDS, TEN, None), partial(p95s, ledger))
        self._trends = trends_of(steps)
        minute = Period(WINDOWS[0])
        self._views = {minute.seconds: await self._windows.over(minute, self._where(minute), self._view)}

    def _view(self, stretch: Stretch) -> View:
        now, known = self._clock(), self._known
        view = view_of(known.ledger, now, known.scope, known.reason, self._slo, self._internal, stretch, self._trends)
        return with_board(view, known.board)

    def _past_view(self, stretch: Stretch) -> View:
        return as_it_was(self._view(stretch), self._known.ledger, stretch)

    async def _route(self, key: tuple[str, str], period: Period) -> RouteDetail | None:
        ledger = self._shown
        steps = period.step, _step_of_cells(period)
        columns, cells = [
            await self._table(
                key, self._wanted(period.seconds, step, period.until), partial(route_column, ledger, key, step)
            )
            for step in steps
        ]
        blocked = ledger.chronicle.blocked(*self._bounds(period))

        def detail(stretch: Stretch) -> RouteDetail | None:
            return route_detail(key, stretch, columns, cells, steps[1], blocked, self._slo)

        return await self._windows.over(period, self._where(period), detail)

    async def _over(self, what: str, period: Period, make: Callable[[Stretch], T]) -> T:
        """Return what is made of all that was done over a period, once for all who ask."""
        asked = (what, self._known.scope, period)
        often = next(often for longest, often in _OFTEN if period.seconds <= longest or longest == HOUR)
        return await self._answers.get(asked, often, partial(self._windows.over, period, self._where(period), make))

    def _where(self, period: Period) -> Where:
        ledger = self._shown
        end = present(ledger, self._clock())
        end = end if period.until is None else min(period.until, end)
        return where(ledger, max(1, min(period.seconds, HOUR)), end, past=period.until is not None)

    async def _table(self, name: Hashable, wanted: range, make: Callable[[int], T]) -> list[T]:
        return await self._tables.get((name, self._known.scope), wanted, make)

    def _wanted(self, seconds: int, step: int, until: float | None, since: float = 0.0) -> range:
        """Return the ends of the columns that are complete, known and asked for."""
        history = self._shown.history
        oldest = (history.fine if step == 1 else history.coarse).oldest
        if self._off or oldest is None:
            return range(0)
        latest = math.floor(self._clock()) - 1
        last = min(latest, latest if until is None else math.ceil(until / step) * step) // step * step
        most = max(step, min(seconds, MOST_SECONDS if step == 1 else HOUR) // step * step)
        first = max(last - most + step, math.floor(since) // step * step + step, -(-oldest // step) * step)
        return range(first, last + 1, step)

    def _bounds(self, period: Period) -> tuple[float, float]:
        """Return between which times a period lies."""
        end = self._clock() if period.until is None else period.until
        return end - min(period.seconds, HOUR), end


def _column(ledger: Ledger, step: int, internal: Sequence[str], end: int) -> Column:
    return column_at(ledger, end) if step == 1 else column_of_step(ledger, end, step, internal)


def _step_of_cells(period: Period) -> int:
    """Return the seconds of a heatmap's column: a whole hour has 360 of them, a minute 60."""
    return period.step if period.seconds <= FINE_STRETCH else TEN
