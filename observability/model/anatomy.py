"""Where the time of requests goes: its parts, summed by route and by band of latency."""

from __future__ import annotations

import msgspec

PARTS = ("loop", "hash_wait", "hash", "pool_wait", "sql", "redis")
"""What a request can be waiting for; what is left of its time is its own: "rest".

``loop``: its turn on an event loop that somebody else blocked. The parts of one request do not overlap, so they and the
rest add up to the whole.
"""

BANDS_PER_DOUBLING = 2
"""Bands of latency a doubling: each is eight buckets of the histogram of durations, so that a percentile is in one band."""


class Band(msgspec.Struct, frozen=True, array_like=True):
    """Requests that took ``(2 ** (index / 2), 2 ** ((index + 1) / 2)]`` seconds: how many, their seconds, and of which parts."""

    index: int
    count: int
    total: float
    parts: tuple[float, ...]


class Anatomy(msgspec.Struct, frozen=True, array_like=True):
    """The bands of one route, lowest first; cumulative in a snapshot."""

    method: str
    route: str
    bands: tuple[Band, ...]
