"""The first page: whether the service is well, what it does, and how each route does against its target."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from console.causes import causes
from console.format import span
from console.pages.page import Ask, Columns, Page, later
from console.tiles import tiles, tiles_of_the_past
from console.verdict import judge
from observability.read.detail import Period

if TYPE_CHECKING:
    from collections.abc import Callable

    from observability.read.view import RouteView

MINUTE = 60
SPARKLINES = Period(300)
"""The time that sparklines look back, in columns of ten seconds."""


class OverviewPage(Page):
    """The overview."""

    name = "overview"
    title = "Overview"
    path = ""
    nav = "overview"
    key = "o"
    arguments = ("sort", "filter")
    parts = ("verdict", "tiles", "routes")

    def alike(self, ask: Ask) -> Ask:
        """Return the ask with the time that routes are listed over."""
        return Ask(ask.period if ask.period.until else Period(window_of(ask)), ask.arguments)

    async def look(self, ask: Ask) -> dict[str, Any]:
        """Judge the last minute; list the routes over the range when it is longer than the charts' usual one.

        Of a time that is over, tiles and routes are of that time; the verdict is of the present and says so.
        """
        feed = self.host.feed
        view = await feed.view()
        window, until = window_of(ask), ask.period.until
        if until is not None:
            over = await feed.view(ask.period.seconds, until)
            past = await feed.series(0.0, ask.period.seconds, max(10, ask.step(view.at)), until)
            shown = tiles_of_the_past(over, past, f"these {span(ask.period.seconds)}")
        else:
            over = view if window == MINUTE else await feed.view(window)
            shown = tiles(view, await feed.series(seconds=SPARKLINES.seconds, step=10))
        recent = Period(MINUTE)
        return {
            "verdict": judge(view),
            "causes": causes(
                view,
                await feed.operations(recent),
                await feed.blocked(recent),
                self.host.settings.settings() if self.host.settings else (),
            ),
            "tiles": shown,
            "window": over.window,
            "busy": sort_routes(
                [route for route in over.routes if route.rate and _matches(route, ask)], ask.get("sort")
            ),
            "idle": [route for route in over.routes if not route.rate and _matches(route, ask)],
        }

    async def columns(self, ask: Ask, since: int) -> Columns:
        """Return the fleet's columns."""
        step, period = ask.step(time.time()), ask.period
        if period.until is None:
            return later(await self.host.feed.series(since, period.seconds, step), since)
        return later(await self.host.feed.series(since, period.seconds, step, period.until), since)


SORTS: dict[str, Callable[[RouteView], float]] = {
    "rate": lambda route: route.rate,
    "errors": lambda route: route.error_rate or 0.0,
    "p50": lambda route: route.latency.p50 or 0.0,
    "p95": lambda route: route.latency.p95 or 0.0,
    "p99": lambda route: route.latency.p99 or 0.0,
    "used": lambda route: (route.latency.p95 or 0.0) / route.target if route.target else 0.0,
    "impact": lambda route: route.impact,
}
"""What routes can be sorted by, besides their name; most first, unless a minus stands before it."""


def sort_routes(routes: list[RouteView], by: str) -> list[RouteView]:
    """Sort by a column ("p95", "-p95", "route", "-route"); without one, as the target file has them."""
    column = by.removeprefix("-")
    least_first = by.startswith("-")
    if column == "route":
        return sorted(routes, key=lambda route: (route.route, route.method), reverse=least_first)
    figure = SORTS.get(column)
    return routes if figure is None else sorted(routes, key=figure, reverse=not least_first)


def window_of(ask: Ask) -> int:
    """Return the seconds that the routes are listed over: the last minute, or the range when it is far longer."""
    return ask.period.seconds if ask.period.seconds > SPARKLINES.seconds else MINUTE


def _matches(route: RouteView, ask: Ask) -> bool:
    return ask.get("filter").lower() in f"{route.method} {route.route or '(unmatched)'}".lower()
