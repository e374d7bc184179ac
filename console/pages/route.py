"""The page of one route: when it was slow, what the slow requests waited for, and such requests to look into."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from console.blocks import blockers
from console.heat import heat_rows
from console.pages.page import Ask, Columns, Host, NothingThere, Page, later
from console.pages.traces import AGAIN_AFTER, MOST_SHOWN, keys_of, listed
from console.parts import TITLES, slices, slowest_spend
from console.wanted import ARGUMENTS, Bounds, bounds, misread
from observability.read.answers import Answers
from observability.read.detail import RouteDetail, StatusCount, TraceFilter, TraceList

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SHOWN_UNASKED = 10
"""Traces that are listed without a brush."""

HEARD_WITHIN = 1.5
"""Seconds after its end within which a request is in a heatmap: workers tell of themselves once a second."""

LONGEST = 60.0
"""Seconds before which a request that ended now may have started, if no bound says otherwise."""


class StatusClass(msgspec.Struct, frozen=True):
    """Answers of one class ("2xx"), most first by code."""

    name: str
    count: int
    share: float
    codes: tuple[StatusCount, ...]


class RoutePage(Page):
    """One route."""

    name = path = "route"
    title = "Route"
    nav = "overview"
    pinned = True
    arguments = ("method", "route", *ARGUMENTS)
    parts = ("summary", "anatomy", "heat", "statuses", "blocked")

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._answers = Answers(time.monotonic)

    async def look(self, ask: Ask) -> dict[str, Any]:
        """Look at the route over the period, and for kept traces of it, those under the brush when there is one."""
        if not ask.get("route"):
            raise NothingThere("The address names no route; choose one on the overview.")
        detail = await self._detail(ask)
        under = bounds(ask)
        end = ask.period.until or (await self.host.feed.view()).at
        begin = end - ask.period.seconds
        found = await self._kept(ask, under, begin)
        return {
            "detail": detail,
            "spend": slowest_spend(detail.anatomy) if detail else "",
            "cohorts": [(one, dict(one.parts), slices(one.parts, one.mean)) for one in detail.anatomy]
            if detail
            else [],
            "heat": heat_rows(detail.heatmap, detail.target) if detail else (),
            "classes": classes(detail.statuses) if detail else (),
            "blockers": blockers(detail.blocked) if detail else (),
            "TITLES": TITLES,
            "under": under,
            "written": {**under.written(), **{name: ask.get(name) for name in misread(ask)}},
            "misread": misread(ask),
            "found": found,
            "rows": listed(found.traces),
            "everything": {
                "method": ask.get("method"),
                "route": ask.get("route"),
                **({name: ask.get(name) for name in ARGUMENTS} if under.given else {"since": int(begin)}),
            },
        }

    def data(self, context: Mapping[str, Any]) -> dict[str, Any]:
        """Hand the heatmap to the script that draws it, and the traces that match by now."""
        detail, under = context["detail"], context["under"]
        return {
            "heatmap": msgspec.to_builtins(detail.heatmap) if detail else None,
            "brush": msgspec.to_builtins(under) if under.given else None,
            "kept": keys_of(context["found"].traces),
        }

    async def columns(self, ask: Ask, since: int) -> Columns:
        """Return the route's columns."""
        detail = await self._detail(ask)
        return later(detail.columns, since) if detail else {"at": ()}

    async def _detail(self, ask: Ask) -> RouteDetail | None:
        return await self.host.feed.route(ask.get("method"), ask.get("route"), ask.period)

    async def _kept(self, ask: Ask, under: Bounds, begin: float) -> TraceList:
        """Find traces by when they ended: that is when a heatmap counts them."""
        limit = MOST_SHOWN if under.given else SHOWN_UNASKED
        since = under.since if under.since is not None else begin // 10 * 10
        wanted = TraceFilter(
            method=ask.get("method"),
            route=ask.get("route"),
            least=under.least,
            most=under.most,
            since=since - (under.most or LONGEST) - HEARD_WITHIN,
            until=under.to if under.to is not None else ask.period.until,
            limit=limit,
        )
        found = await self._answers.get(wanted, AGAIN_AFTER, partial(self.host.feed.traces, wanted))
        ended = tuple(one for one in found.traces if one.started + one.seconds >= since - HEARD_WITHIN)
        return msgspec.structs.replace(found, traces=ended)


def classes(statuses: Sequence[StatusCount]) -> tuple[StatusClass, ...]:
    """Group answers by class of status, in the order of the codes; what was never answered comes last."""
    total = sum(status.count for status in statuses)
    grouped: dict[str, list[StatusCount]] = {}
    for status in sorted(statuses, key=lambda one: (one.status == 0, one.status)):
        grouped.setdefault(f"{status.status // 100}xx" if status.status else "no answer", []).append(status)
    return tuple(
        StatusClass(name, count, count / total, tuple(sorted(codes, key=lambda code: -code.count)))
        for name, codes in grouped.items()
        if (count := sum(code.count for code in codes))
    )
