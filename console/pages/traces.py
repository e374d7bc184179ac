"""The page of kept traces: those that match a filter, newest first."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from console.pages.page import Ask, Host, Page
from console.parts import TITLES, parts_of, slices
from console.wanted import ARGUMENTS, STATUSES, WHY, bounds, misread, trace_filter
from observability.read.answers import Answers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from observability.model import KeptTrace
    from observability.read.view import View

MOST_SHOWN = 100
AGAIN_AFTER = 3.0
"""Seconds after which traces are looked for once more, however many watch."""


class TracesPage(Page):
    """Kept traces."""

    name = path = nav = "traces"
    title = "Traces"
    key = "t"
    charts = False
    arguments = ("method", "route", "status", "why", *ARGUMENTS)

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._answers = Answers(time.monotonic)

    async def look(self, ask: Ask) -> dict[str, Any]:
        """Look for traces, and offer what can be asked for."""
        wanted = trace_filter(ask, MOST_SHOWN)
        found = await self._answers.get(wanted, AGAIN_AFTER, partial(self.host.feed.traces, wanted))
        methods, routes = offered(await self.host.feed.view(), ask)
        return {
            "found": found,
            "rows": listed(found.traces),
            "wanted": wanted,
            "narrowed": any(ask.get(name) for name in self.arguments),
            "written": {**{name: ask.get(name) for name in misread(ask)}, **_written(ask)},
            "misread": misread(ask),
            "methods": methods,
            "routes": routes,
            "STATUSES": STATUSES,
            "WHY": WHY,
            "TITLES": TITLES,
            "zip": zip,
        }

    def data(self, context: Mapping[str, Any]) -> dict[str, Any]:
        """Name the traces that match, so that a page can say how many it does not show yet."""
        return {"kept": keys_of(context["found"].traces)}


def keys_of(traces: Sequence[KeptTrace]) -> list[str]:
    """Return what rows are known by."""
    return [f"{trace.trace_id} {trace.span_id}" for trace in traces]


def listed(traces: Sequence[KeptTrace]) -> list[tuple[KeptTrace, Any]]:
    """Return rows: each trace with its parts on a bar, the longest as wide as the column."""
    longest = max((trace.seconds for trace in traces), default=0.0)
    return [(trace, slices(parts_of(trace), trace.seconds, longest)) for trace in traces]


def offered(view: View, ask: Ask) -> tuple[list[str], list[str]]:
    """Return the methods and routes to choose from: those of the view, and what is asked for already."""
    known = [(route.method, route.route) for route in view.routes]
    methods = sorted({method for method, _ in known} | {ask.get("method")} - {""})
    return methods, sorted({route for _, route in known if route} | {ask.get("route")} - {""})


def _written(ask: Ask) -> dict[str, str]:
    wrong = misread(ask)
    return {name: text for name, text in bounds(ask).written().items() if name not in wrong}
