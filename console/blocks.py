"""What blocked event loops, by function: how often, for how long, whom it delayed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from console.causes import is_the_loops
from observability.read.detail import BlockedView

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST = 5
"""Functions that are told of, those that took most time first."""


class Blocker(msgspec.Struct, frozen=True):
    """One function; ``longest`` is its worst block, whose stack is shown. ``last`` is Unix seconds; ``outside``: no code of the service was running."""

    function: str
    outside: bool
    times: int
    total: float
    last: float
    longest: BlockedView
    delayed: tuple[tuple[str, int], ...]


def blockers(blocked: Iterable[BlockedView]) -> tuple[Blocker, ...]:
    """Group blocks by function; those in which none of the service's ran are one, and come last."""
    grouped: dict[str, list[BlockedView]] = {}
    for block in blocked:
        grouped.setdefault("" if is_the_loops(block.function) else block.function, []).append(block)
    made = [_blocker(function, blocks) for function, blocks in grouped.items()]
    return tuple(sorted(made, key=lambda one: (one.outside, -one.total)))[:MOST]


def _blocker(function: str, blocks: list[BlockedView]) -> Blocker:
    delayed: dict[str, int] = {}
    for block in blocks:
        for route, requests in block.delayed:
            delayed[route] = delayed.get(route, 0) + requests
    return Blocker(
        function=function,
        outside=not function,
        times=len(blocks),
        total=sum(block.seconds for block in blocks),
        last=max(block.at for block in blocks),
        longest=max(blocks, key=lambda block: block.seconds),
        delayed=tuple(sorted(delayed.items(), key=lambda item: -item[1])),
    )
