"""Rate limits that all instances share: GCRA in Redis, each decision one script and one round trip.

The keys of one decision must be on one server: Redis alone or with replicas and Sentinel, not a cluster, which would
refuse a script with keys in several slots.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from app.storage.script import Script

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from app.storage.cache import Cache

_SCRIPTS = Path(__file__).parent / "lua"
TAKE = Script((_SCRIPTS / "gcra.lua").read_text())
GIVE_BACK = Script((_SCRIPTS / "gcra_return.lua").read_text())

Demand = tuple[str, str, int, int, int]
"""Key, role, interval, depth and depth while alarmed, the latter three in microseconds: see gcra.lua."""

Level = tuple[int, int, int]
"""The depth that bound a request, how long it has to wait, and how full the bucket is now, in microseconds."""


class RedisBuckets:
    """Takes and gives back on Redis's clock. Both raise CacheUnavailable when Redis cannot answer in time.

    A connection that breaks under a script may have run it, and it is sent once more: at worst one request counts
    twice.
    """

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    async def take(self, demands: Sequence[Demand]) -> list[Level]:
        """Take one from each bucket that binds, or nothing from any when one of them is used up."""
        flat = await self._cache.run(TAKE, *_arguments(demands), count=3 * len(demands))
        return list(zip(flat[::3], flat[1::3], flat[2::3], strict=True))

    async def give_back(self, demands: Sequence[Demand]) -> None:
        """Put one back into each bucket, and set markers."""
        await self._cache.run(GIVE_BACK, *_arguments(demands), count=0)


def _arguments(demands: Iterable[Demand]) -> tuple[list[str], list[str | int]]:
    return [demand[0] for demand in demands], [value for demand in demands for value in demand[1:]]
