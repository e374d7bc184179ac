"""Cache-aside under leases, with concurrent misses of a process sharing one load."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import msgspec

from app.errors import CacheUnavailable, Unavailable
from app.storage.cache import Cache, Fill, Lease

Values = Sequence[Any | None]
Load = Callable[[tuple[int, ...]], Awaitable[Values]]
"""Reads the primary: takes the positions that are missing, returns their values in that order (None: no such thing)."""

Stored = list[bytes | None]
"""What the cache holds for each key that was asked for."""

Glanced = Callable[[Values | None, Stored | None], None]
"""Takes every value; or None, and what is stored as far as that was seen, when not everything is cached."""


class CacheMeter(Protocol):
    """The counters of one cache family."""

    hits: int
    misses: int
    coalesced: int
    refused: int
    errors: int


@dataclass(slots=True, eq=False)
class Family:
    """A kind of cached value: how it is packed, how many seconds one may live by itself, and who counts.

    Whether it is ``on`` and the ``most_seconds`` of any can be changed at any time. While it is off it is neither read nor filled;
    writers go on deleting, so nothing that was changed meanwhile is there when it is turned on again.
    """

    type: type[msgspec.Struct]
    lifetime: Callable[[Any], float]
    meter: CacheMeter
    on: bool = True
    most_seconds: float = math.inf

    def fill(self, lease: Lease, value: Any | None) -> Fill:
        """Pack a value to be cached under a lease; what is missing or over already gives the lease back."""
        ttl = min(self.lifetime(value), self.most_seconds) if value is not None else 0.0
        return Fill(lease, msgspec.msgpack.encode(value), ttl) if ttl > 0 else Fill(lease, None)

    def unpack(self, raw: bytes) -> Any | None:
        """Read a packed value; one that another version of the code wrote counts as missing."""
        try:
            return msgspec.msgpack.decode(raw, type=self.type)
        except (msgspec.DecodeError, msgspec.ValidationError):
            return None


class Wanted(NamedTuple):
    """One value asked for."""

    family: Family
    key: str


class CacheAside:
    """Answers from the cache, or loads and fills it."""

    def __init__(self, cache: Cache, *, coalescing: bool = True) -> None:
        self._cache = cache
        self.coalescing = coalescing
        """Whether concurrent misses share a load; it can be changed at any time."""
        self._flights: dict[tuple[str, ...], asyncio.Future[Values | Unavailable | None]] = {}
        self._giving: set[asyncio.Task[bool]] = set()

    def glance(self, wanted: Sequence[Wanted], glanced: Glanced) -> None:
        """Look only into the cache, without a task; ``glanced`` is called once, later unless the cache is away.

        Lookups that are not all hits are not counted: whoever needs the values goes on with ``fetch``.
        """

        def answered(stored: Stored | Exception) -> None:
            if isinstance(stored, Exception):
                glanced(None, None)
                return
            values = [item.family.unpack(raw) if raw else None for item, raw in zip(wanted, stored, strict=True)]
            if None in values:
                glanced(None, stored)
                return
            for item in wanted:
                item.family.meter.hits += 1
            glanced(values, None)

        if not all(item.family.on for item in wanted):
            glanced(None, None)
            return
        try:
            self._cache.want([item.key for item in wanted], answered)
        except CacheUnavailable:
            glanced(None, None)

    async def fetch(self, wanted: Sequence[Wanted], load: Load, stored: Stored | None = None) -> Values:
        """Return each wanted value, or None where there is no such thing.

        Costs one cache round trip when all are cached, three and one load when not. With the cache away it costs the
        load alone. ``stored`` is what a glance of the same request has seen, which saves the first round trip.
        """
        try:
            if stored is None or not all(item.family.on for item in wanted):
                stored = await self._read(wanted)
        except CacheUnavailable:
            for item in wanted:
                item.family.meter.errors += 1
            return await load(tuple(range(len(wanted))))
        values = [item.family.unpack(raw) if raw else None for item, raw in zip(wanted, stored, strict=True)]
        missing = tuple(place for place, value in enumerate(values) if value is None)
        for item, value in zip(wanted, values, strict=True):
            item.family.meter.hits += value is not None
        if missing:
            loaded = await self._miss([wanted[place] for place in missing], lambda: load(missing))
            for place, value in zip(missing, loaded, strict=True):
                values[place] = value
        return values

    async def _read(self, wanted: Sequence[Wanted]) -> Stored:
        """Read what is cached of the families that are on; of the others there is nothing."""
        on = [item.key for item in wanted if item.family.on]
        found = dict(zip(on, await self._cache.read(on), strict=True)) if on else {}
        return [found.get(item.key) for item in wanted]

    async def _miss(self, wanted: Sequence[Wanted], load: Callable[[], Awaitable[Values]]) -> Values:
        keys = tuple(item.key for item in wanted)
        if not self.coalescing or not all(item.family.on for item in wanted):
            return await self._alone(keys, wanted, load)
        flight = self._flights.get(keys)
        if flight is None:
            return await self._lead(keys, wanted, load)
        shared = await asyncio.shield(flight)
        if isinstance(shared, Unavailable):
            raise shared.with_traceback(None)  # another load would fail as late as the first, and twice is too late
        if shared is None:
            # The leader's load may be older than a write that this caller must see.
            _count(wanted, "misses")
            return await load()
        _count(wanted, "coalesced")
        return shared

    async def _alone(
        self, keys: tuple[str, ...], wanted: Sequence[Wanted], load: Callable[[], Awaitable[Values]]
    ) -> Values:
        """Load for one caller only."""
        _count(wanted, "misses")
        leases: Sequence[Lease | None] = ()
        try:
            leases = await self._lease(keys, wanted)
            values = await load()
            await self._fill(wanted, leases, values)
        except BaseException:
            self._give_back(wanted, leases)
            raise
        return values

    async def _lead(
        self, keys: tuple[str, ...], wanted: Sequence[Wanted], load: Callable[[], Awaitable[Values]]
    ) -> Values:
        _count(wanted, "misses")
        flight = self._flights[keys] = asyncio.get_running_loop().create_future()
        shared: Values | Unavailable | None = None
        leases: Sequence[Lease | None] = ()
        try:
            leases = await self._lease(keys, wanted)
            values = await load()
            # Nobody joins once the fill is on its way: Redis may accept it, then see a delete whose writer is
            # answered, all before we hear of the acceptance.
            del self._flights[keys]
            if await self._fill(wanted, leases, values):
                shared = values
        except BaseException as error:
            self._give_back(wanted, leases)
            if isinstance(error, Unavailable):
                shared = error
            raise
        finally:
            if self._flights.get(keys) is flight:
                del self._flights[keys]
            flight.set_result(shared)
        return values

    def _give_back(self, wanted: Sequence[Wanted], leases: Sequence[Lease | None]) -> None:
        """Return leases that will not be used, without keeping a caller waiting who may be gone already."""
        giving = asyncio.get_running_loop().create_task(self._fill(wanted, leases, [None] * len(leases)))
        self._giving.add(giving)
        giving.add_done_callback(self._giving.discard)

    async def _lease(self, keys: Sequence[str], wanted: Sequence[Wanted]) -> Sequence[Lease | None]:
        on = [item.key for item in wanted if item.family.on]
        if not on:
            return [None] * len(keys)
        try:
            given = dict(zip(on, await self._cache.lease(on), strict=True))
            return [given.get(key) for key in keys]
        except CacheUnavailable:
            _count(wanted, "errors")
            return [None] * len(keys)

    async def _fill(self, wanted: Sequence[Wanted], leases: Sequence[Lease | None], values: Values) -> bool:
        """Fill what was found, and give back the leases of what was not, so that whoever comes next can fill it.

        Say whether every value was found and accepted: only then may others share it.
        """
        fills = [
            item.family.fill(lease, value) for item, lease, value in zip(wanted, leases, values, strict=False) if lease
        ]
        if not fills:
            return False
        try:
            answers = await self._cache.fill(fills)
        except CacheUnavailable:
            _count(wanted, "errors")
            return False
        if not all(answer for fill, answer in zip(fills, answers, strict=True) if fill.value):
            _count(wanted, "refused")
            return False
        return len(fills) == len(wanted) and all(fill.value for fill in fills)


def _count(wanted: Sequence[Wanted], outcome: str) -> None:
    for item in wanted:
        setattr(item.family.meter, outcome, getattr(item.family.meter, outcome) + 1)
