"""What requests wait for, in words: the parts of their time, and one sentence about the largest.

Colours and names are the same wherever parts are shown; ``name`` is also the class that a stylesheet knows them by.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from console.format import duration
from observability.model import PARTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from observability.model import KeptTrace
    from observability.read.detail import CohortAnatomy

REST = "rest"
TITLES = {
    "loop": "Event loop busy",
    "hash_wait": "Wait for a hashing thread",
    "hash": "Password hash",
    "pool_wait": "Wait for a connection",
    "sql": "PostgreSQL",
    "redis": "Redis",
    REST: "Its own work",
}
_SPENT = {
    "loop": "waiting for a busy event loop",
    "hash_wait": "waiting for a hashing thread",
    "hash": "hashing a password",
    "pool_wait": "waiting for a database connection",
    "sql": "in PostgreSQL",
    "redis": "waiting for Redis",
    REST: "on work of their own",
}
SLOWER = 1.5
"""How many times longer than the usual ones the slow requests take before it is asked what they wait for more."""


class Slice(msgspec.Struct, frozen=True):
    """A part as a bar shows it: where it begins and how wide it is, in per cent of the bar."""

    name: str
    title: str
    seconds: float
    begin: float
    width: float


def slices(parts: Sequence[tuple[str, float]], whole: float, full: float = 0.0) -> tuple[Slice, ...]:
    """Lay parts end to end on a bar that is ``full`` seconds wide, or as wide as their ``whole``."""
    full = max(full, whole) or 1.0
    made, begin = [], 0.0
    for name, seconds in parts:
        width = 100 * max(0.0, seconds) / full
        if width:
            made.append(Slice(name, TITLES.get(name, name), seconds, round(begin, 3), round(width, 3)))
        begin += width
    return tuple(made)


def parts_of(trace: KeptTrace) -> tuple[tuple[str, float], ...]:
    """Return a request's parts and the rest, which add up to its time."""
    return (*zip(PARTS, trace.parts, strict=False), (REST, max(0.0, trace.seconds - sum(trace.parts))))


def slowest_spend(cohorts: Sequence[CohortAnatomy]) -> str:
    """Say what the slowest requests spend their time on: what they wait for longer than the usual ones do."""
    known = {cohort.cohort: cohort for cohort in cohorts}
    slow, usual = known.get("p99"), known.get("p50")
    if slow is None or usual is None:
        return ""
    base = dict(usual.parts)
    if slow.mean <= usual.mean * SLOWER:
        name, seconds = max(slow.parts, key=lambda part: part[1])
        return (
            f"The slowest take hardly longer than the usual; "
            f"most of it, {duration(seconds)} of {duration(slow.mean)}, they spend {_SPENT[name]}."
        )
    name, seconds = max(slow.parts, key=lambda part: part[1] - base.get(part[0], 0.0))
    return (
        f"The slowest spend {duration(seconds)} of {duration(slow.mean)} {_SPENT[name]}; "
        f"usual requests {duration(base.get(name, 0.0))} of {duration(usual.mean)}."
    )


def it_spent(trace: KeptTrace) -> str:
    """Say what one request spent most of its time on."""
    name, seconds = max(parts_of(trace), key=lambda part: part[1])
    spent = "on work of its own" if name == REST else _SPENT[name]
    return f"It spent {duration(seconds)} of {duration(trace.seconds)} {spent}."
