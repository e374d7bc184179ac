"""Error budgets: how fast each objective's is used up, from an hour's slots of ten seconds."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Literal

import msgspec

from observability.model import RouteTarget
from observability.model.histogram import SCALE
from observability.read.history import HOUR
from observability.read.words import is_answered, is_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from observability.model import Distribution, RouteCounts, Slo
    from observability.read.history import Tier
    from observability.read.slot import SlotHead

_SETTLED = 60
"""Seconds after which a slot is no longer expected to change, and what was counted of it is kept."""


class Objective(msgspec.Struct, frozen=True):
    """A share of a route's requests that must be good."""

    route: RouteTarget
    kind: Literal["latency", "availability"]
    share: float

    @property
    def subject(self) -> str:
        """What it is called in alerts."""
        return f"{self.route.method} {self.route.route} {self.kind}"


class Spent(msgspec.Struct, frozen=True):
    """Requests that an objective is about and the bad ones among them, known of ``seconds``."""

    requests: int = 0
    bad: int = 0
    seconds: float = 0.0

    def burn(self, share: float) -> float | None:
        """Return how many times faster the budget is used up than it would just last, or None without requests."""
        return self.bad / self.requests / (1 - share) if self.requests else None


def objectives(slo: Slo) -> Iterator[Objective]:
    """Yield every objective of a targets file."""
    for route in slo.route:
        if route.latency_objective is not None:
            yield Objective(route, "latency", route.latency_objective)
        if route.availability_objective is not None:
            yield Objective(route, "availability", route.availability_objective)


class Budgets:
    """What was spent in each slot, counted once: an hour's slots are too many to decode at every look."""

    def __init__(self, slo: Slo) -> None:
        self.objectives = tuple(objectives(slo))
        self._known: dict[int, tuple[Spent, ...]] = {}

    async def look(self, tier: Tier) -> None:
        """Count what is new in the hour's slots; the loop gets its turn between many."""
        end = tier.newest
        self._known = {slot: spent for slot, spent in self._known.items() if end - HOUR < slot <= end - _SETTLED}
        for slot in range(end - HOUR + tier.step, end + 1, tier.step):
            if slot not in self._known and (found := tier.head(slot)) is not None:
                self._known[slot] = self._counted(found, tier.step)
                if slot // tier.step % 20 == 0:
                    await asyncio.sleep(0)

    def spent(self, seconds: int) -> tuple[Spent, ...]:
        """Return what was spent of each objective in the last ``seconds`` that were looked at, an hour at most."""
        begin = max(self._known, default=0) - min(seconds, HOUR)
        rows = [row for slot, row in self._known.items() if slot > begin]
        return tuple(
            Spent(
                sum(row[n].requests for row in rows),
                sum(row[n].bad for row in rows),
                sum(row[n].seconds for row in rows),
            )
            for n in range(len(self.objectives))
        )

    def _counted(self, slot: SlotHead, step: int) -> tuple[Spent, ...]:
        series: dict[tuple[str, str], list[RouteCounts]] = {}
        for counts in slot.requests:
            series.setdefault((counts.method, counts.route), []).append(counts)
        return tuple(_spent(o, series.get((o.route.method, o.route.route), []), step) for o in self.objectives)


def slower(durations: Distribution, seconds: float) -> int:
    """Return how many durations were longer, to within 2.2 %: a bucket counts by its middle, as percentiles do."""
    first = math.floor(math.log2(seconds) * 2**SCALE - 0.5) + 1
    return sum(durations.counts[max(0, first - durations.offset) :])


def _spent(objective: Objective, series: list[RouteCounts], step: int) -> Spent:
    if objective.kind == "availability":
        bad = sum(counts.duration.count for counts in series if is_error(counts))
        return Spent(sum(counts.duration.count for counts in series), bad, step)
    answered = [counts.duration for counts in series if is_answered(counts)]
    slow = sum(slower(durations, objective.route.p95) for durations in answered)
    return Spent(sum(durations.count for durations in answered), slow, step)
