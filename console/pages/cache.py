"""The page of the cache: what each family's lookups found, what that is worth, and whether Redis has room for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from console import format as shown
from console.pages.overview import window_of
from console.pages.page import Ask, Columns, Page, later
from console.tiles import EVICTIONS_ARE_WRONG, Tile
from console.worth import worth
from observability.read.detail import Period

if TYPE_CHECKING:
    from collections.abc import Iterable

    from observability.read.view import RedisView, View

FAMILY_COLUMNS = ("hits", "misses", "coalesced", "refused", "hit_rate")
NOT_TOLD = "the Redis server does not tell"
MINUTE = 60
"""Seconds that are called by their name."""


class CachePage(Page):
    """Lookups by family, and the server that holds them."""

    name = path = nav = "cache"
    title = "Cache"
    key = "c"
    parts = ("tiles", "caches", "worth")

    def alike(self, ask: Ask) -> Ask:
        """Return the ask with the time that figures are over."""
        return Ask(Period(window_of(ask), ask.period.until), ask.arguments)

    async def look(self, ask: Ask) -> dict[str, Any]:
        """Look at the last minute, or at the range when it is far longer."""
        feed, window = self.host.feed, window_of(ask)
        view = await feed.view(window)
        operations = await feed.operations(Period(window))
        cards = self.host.plans.queries() if self.host.plans else None
        reading = None if cards is None else {card.name for card in cards if not card.refusal}
        limit = evictions_limit(view)
        return {
            "over": view,
            "tiles": tiles(view, limit),
            "worth": worth(view.caches, operations, reading),
            "evictions_limit": limit,
            "step": ask.period.step,
        }

    async def columns(self, ask: Ask, since: int) -> Columns:
        """Return the server's columns, and those of each family under "<family>.<column>"; lookups are all of its rates."""
        stores = await self.host.feed.stores(ask.period)
        columns = later(stores, since, ("evictions_per_minute", "expirations_per_minute", "memory_used"))
        first = len(stores.at) - len(columns["at"])
        for family in stores.families:
            columns |= {f"{family.family}.{name}": getattr(family, name)[first:] for name in FAMILY_COLUMNS}
            found = zip(family.hits[first:], family.misses[first:], family.coalesced[first:], strict=True)
            columns[f"{family.family}.lookups"] = [_sum(rates) for rates in found]
        return columns


def _sum(rates: Iterable[float | None]) -> float | None:
    """Add up rates; what is not known wholly is not known."""
    known = tuple(rates)
    return None if None in known else sum(rate or 0.0 for rate in known)


def evictions_limit(view: View) -> float:
    """Return the evictions a minute from which the alert speaks."""
    return next((alert.threshold for alert in view.alerts if alert.rule == "evictions"), EVICTIONS_ARE_WRONG)


def tiles(view: View, evictions_limit: float) -> tuple[Tile, ...]:
    """Return what the families did together, and how the server does."""
    lookups = sum(cache.hits + cache.misses + cache.coalesced for cache in view.caches)
    refused = sum(cache.refused for cache in view.caches)
    failed = sum(cache.errors for cache in view.caches)
    when = f"in the last {'minute' if round(view.window) == MINUTE else shown.span(view.window)}"
    return (
        Tile(
            key="hit-rate",
            label="Hit rate",
            figure=shown.share(view.hit_rate),
            note=f"of {lookups:,} lookups {when}" if lookups else f"no lookups {when}",
            why=f"no lookups {when}",
        ),
        Tile(
            key="errors",
            label="Not answered",
            figure=shown.count(failed) if view.caches else shown.MISSING,
            note="lookups that Redis left to PostgreSQL",
            why="no cache family has reported",
            tone="bad" if failed else "",
        ),
        Tile(
            key="refused",
            label="Refused fills",
            figure=shown.count(refused) if view.caches else shown.MISSING,
            note="deleted while they were loaded",
            why="no cache family has reported",
        ),
        *_server(view.redis, evictions_limit),
    )


def _server(redis: RedisView | None, evictions_limit: float) -> tuple[Tile, ...]:
    if redis is None:
        labels = {"evictions": "Evictions a minute", "memory": "Memory", "policy": "Policy"}
        return tuple(
            Tile(key=key, label=label, figure=shown.MISSING, why=NOT_TOLD, note=NOT_TOLD)
            for key, label in labels.items()
        )
    evictions, most = redis.evictions_per_minute, redis.memory_max
    expired = f"{shown.count(redis.expirations_per_minute)} expired; alert above {shown.count(evictions_limit)}"
    volatile = redis.policy.startswith("volatile-")
    return (
        Tile(
            key="evictions",
            label="Evictions a minute",
            figure=shown.count(evictions),
            note=expired,
            why=NOT_TOLD,
            tone="bad" if evictions is not None and evictions > evictions_limit else "",
        ),
        Tile(
            key="memory",
            label="Memory",
            figure=shown.size(redis.memory_used),
            note=f"of {shown.size(most)} (maxmemory)" if most else "no limit (maxmemory is 0)",
            used=redis.memory_used / most if most else None,
        ),
        Tile(
            key="policy",
            label="Policy",
            figure=redis.policy or shown.MISSING,
            note="what nobody asked for goes first" if volatile else "should be volatile-lru",
            why=NOT_TOLD,
            tone="" if volatile or not redis.policy else "bad",
        ),
    )
