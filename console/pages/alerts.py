"""The page of the alerts: every rule on everything that it is about, its figure against the threshold, and what happened before."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

import msgspec

from console import format as shown
from console.pages.page import Ask, Page
from console.tiles import Tile
from observability.read.view import Alert

if TYPE_CHECKING:
    from collections.abc import Sequence

    from observability.read.view import AlertState, AlertUnit, View

STATES: dict[AlertState, tuple[str, str]] = {
    "firing": ("Firing", "above for as long as the rule says"),
    "pending": ("Pending", "above, not yet for long enough"),
    "resolved": ("Resolved", "was firing within the last hour"),
    "ok": ("OK", "judged, and within"),
    "too few": ("Too few", "requests to judge by: no verdict"),
    "unknown": ("Unknown", "cannot be read: no verdict"),
}
"""States by their weight, with the label and meaning of each."""


class Row(msgspec.Struct, frozen=True):
    """One alert, its figure and threshold in their unit. ``used`` is the figure in thresholds.

    ``method`` and ``route`` are those that it is about, or empty.
    """

    alert: Alert
    used: float | None
    figure: str
    threshold: str
    method: str = ""
    route: str = ""


class AlertsPage(Page):
    """Rules, states and history."""

    name = path = nav = "alerts"
    title = "Alerts"
    key = "a"
    charts = False
    parts = ("tiles", "alerts", "transitions")

    async def look(self, ask: Ask) -> dict[str, Any]:  # noqa: ARG002 - the same at all times
        """Group the alerts by rule, in the order of the targets file."""
        view = await self.host.feed.view()
        rows = [_row(alert, view) for alert in view.alerts]
        return {
            "states": STATES,
            "rules": [(rule, list(of_rule)) for rule, of_rule in groupby(rows, key=lambda row: row.alert.rule)],
            "firing": [row for row in rows if row.alert.state == "firing"],
            "tiles": tiles(view.alerts),
        }


def _row(alert: Alert, view: View) -> Row:
    used = alert.figure / alert.threshold if alert.figure is not None and alert.threshold > 0 else None
    for route in view.routes:
        # The subject of a burn rate has its kind after the route.
        if f"{alert.subject} ".startswith(f"{route.method} {route.route} "):
            return Row(alert, used, *_written(alert), route.method, route.route)
    return Row(alert, used, *_written(alert))


def _written(alert: Alert) -> tuple[str, str]:
    return _in_unit(alert.figure, alert.unit), _in_unit(alert.threshold, alert.unit)


def _in_unit(value: float | None, unit: AlertUnit) -> str:
    if value is None:
        return shown.MISSING
    if unit == "share":
        return f"{100 * value:,.3g} %"
    return f"{value:,.3g} {_SIGNS[unit]}".rstrip()


_SIGNS: dict[AlertUnit, str] = {"": "", "times": "\N{MULTIPLICATION SIGN}", "per minute": "/min"}


def tiles(alerts: Sequence[Alert]) -> tuple[Tile, ...]:
    """Return how many are in each state; without any evaluation none is known."""
    counts = {state: sum(alert.state == state for alert in alerts) for state in STATES}
    return tuple(
        Tile(
            key=state.replace(" ", "-"),
            label=label,
            figure=f"{counts[state]:,}" if alerts else "\N{EN DASH}",
            note=meaning,
            why="nothing was evaluated yet",
            tone="bad" if state == "firing" and counts[state] else "",
        )
        for state, (label, meaning) in STATES.items()
    )
