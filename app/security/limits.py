"""Rate limits by GCRA, the leaky bucket as a meter (ITU-T I.371, annex A), in the memory of one process.

A request pours ``interval`` microseconds into a bucket that drains one microsecond a microsecond, and passes if that
does not make it overflow ``depth``. So ``quota`` requests pass at once, and one each interval after that. All that is
kept of a bucket is the moment at which it will be empty. ``storage/lua/gcra.lua`` does the same in Redis.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MOST_BUCKETS = 10_000
"""Buckets that a process remembers; past it, the one that was used longest ago counts as empty."""

Role = Literal["all", "marker", "alarm", "known", "stranger"]
"""Whom a limit binds: gcra.lua says it."""


class Limit(NamedTuple):
    """At most ``quota`` requests in ``seconds``, at most 3600: all at once, or one after the other."""

    quota: int
    seconds: int

    @property
    def interval(self) -> int:
        """Microseconds that one request takes to drain."""
        return self.seconds * 1_000_000 // self.quota

    @property
    def depth(self) -> int:
        """Microseconds that the bucket holds."""
        return self.interval * self.quota

    def share(self, part: int) -> Limit:
        """Return the limit with a part of its quota, at least one, that drains as slowly as the whole."""
        quota = max(1, self.quota // part)
        return Limit(quota, self.interval * quota // 1_000_000)


class Demand(NamedTuple):
    """What a request takes from one bucket; times are microseconds."""

    key: str
    role: Role
    interval: int
    depth: int
    depth_alarmed: int


class Level(NamedTuple):
    """How a bucket stands after a request, in microseconds.

    ``depth`` is that which bound the request, 0 when none did; ``wait`` is 0 when it passed; ``filled`` is how full
    the bucket is now, 0 when nothing was put in.
    """

    depth: int
    wait: int
    filled: int


class MemoryBuckets:
    """The buckets of one process, on a clock that is never set: seconds of ``time.monotonic``."""

    def __init__(self, *, most: int = MOST_BUCKETS, clock: Callable[[], float] = time.monotonic) -> None:
        self._empty_at: OrderedDict[str, int] = OrderedDict()
        self._most = most
        self._clock = clock

    def __len__(self) -> int:
        return len(self._empty_at)

    def spend(self, key: str, interval: int, depth: int) -> int:
        """Let one request pass under one limit and return 0, or return the microseconds that it has to wait."""
        now = int(self._clock() * 1_000_000)
        empty_at = self._empty_at.get(key, 0)
        level = (empty_at - now if empty_at > now else 0) + interval
        if level > depth:
            return level - depth
        self._put(key, now + level)
        return 0

    def take(self, demands: Sequence[Demand]) -> list[Level]:
        """Take one from each bucket that binds, or nothing from any when one of them is used up."""
        now = int(self._clock() * 1_000_000)
        known = alarmed = False
        levels: list[Level] = []
        charges: list[tuple[str, int]] = []
        for key, role, interval, depth, depth_alarmed in demands:
            filled = max(0, self._empty_at.get(key, 0) - now)
            bound = depth_alarmed if role == "stranger" and alarmed else depth
            if role == "marker":
                known = filled > 0
                levels.append(Level(0, 0, 0))
            elif role != "all" and known != (role == "known"):
                levels.append(Level(0, 0, 0))
            elif filled + interval <= bound:
                charges.append((key, now + filled + interval))
                levels.append(Level(0 if role == "alarm" else bound, 0, filled + interval))
            elif role == "alarm":
                alarmed = True
                levels.append(Level(0, 0, 0))
            else:
                levels.append(Level(bound, filled + interval - bound, filled))
        if not any(level.wait for level in levels):
            for charge in charges:
                self._put(*charge)
        return levels

    def give_back(self, demands: Sequence[Demand]) -> None:
        """Put one back into each bucket, and set markers."""
        for key, role, interval, depth, _ in demands:
            if role == "marker":
                self._put(key, int(self._clock() * 1_000_000) + depth)
            elif key in self._empty_at:
                self._empty_at[key] -= interval

    def _put(self, key: str, empty_at: int) -> None:
        self._empty_at[key] = empty_at
        self._empty_at.move_to_end(key)
        if len(self._empty_at) > self._most:
            self._empty_at.popitem(last=False)
