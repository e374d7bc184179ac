"""How each route's p95 went over the last minutes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from observability.read.tally import tallies

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from observability.read.ledger import Ledger

TREND_SECONDS = 300
"""How far back a trend goes, in steps of ten seconds."""

P95s = dict[tuple[str, str], float | None]
"""By method and route."""


def p95s(ledger: Ledger, end: int) -> P95s:
    """Return every route's p95 in the ten seconds that end at ``end``."""
    slot = ledger.history.coarse.head(end)
    done = tallies(slot.requests, ()) if slot else {}
    return {key: tally.answered.quantile(0.95) for key, tally in done.items()}


def trends_of(
    steps: Sequence[Mapping[tuple[str, str], float | None]],
) -> dict[tuple[str, str], tuple[float | None, ...]]:
    """Turn steps into each route's trend, oldest first; None is nobody asked, or nobody heard."""
    routes = {key for step in steps for key in step}
    return {key: tuple(step.get(key) for step in steps) for key in routes}
