"""Single seconds cut down to what charts are drawn from: ten columns reach back to each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from observability.model import Distribution, Histogram, Operation, RouteCounts
from observability.read.words import is_answered, is_error, is_internal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from observability.read.history import Mark, Tier
    from observability.read.slot import Slot

MOST_BRIEFS = 24
"""Briefs kept at most; past it the one made first is forgotten. A column reaches back ten seconds."""


class Briefs:
    """The slots of a tier in brief. ``internal`` are route prefixes that the service's figures leave out."""

    def __init__(self, tier: Tier, internal: Sequence[str]) -> None:
        self._tier = tier
        self._internal = internal
        self._known: dict[int, tuple[Mark, Slot]] = {}

    def within(self, begin: int, end: int) -> Iterator[Slot]:
        """Yield the slots in (begin, end]."""
        return (brief for label in self._tier.ends(begin, end) if (brief := self._at(label)) is not None)

    def _at(self, end: int) -> Slot | None:
        mark = self._tier.mark(end)
        if mark is None:
            return None
        known, brief = self._known.get(end, (None, None))
        if brief is None or known is not mark:
            brief = brief_of(self._tier.read(mark), self._internal)
            self._known.pop(end, None)
            self._known[end] = mark, brief
            if len(self._known) > MOST_BRIEFS:
                del self._known[next(iter(self._known))]
        return brief


def brief_of(slot: Slot, internal: Sequence[str]) -> Slot:
    """Return a slot with its requests as one series each for those that failed or not, were answered or not, and with one operation a system."""
    kinds: dict[tuple[bool, bool], list[Distribution]] = {}
    for counts in slot.requests:
        if not is_internal(counts.route, internal):
            kinds.setdefault((is_answered(counts), is_error(counts)), []).append(counts.duration)
    systems: dict[str, list[Operation]] = {}
    for operation in slot.operations:
        systems.setdefault(operation.system, []).append(operation)
    return msgspec.structs.replace(
        slot,
        requests=tuple(
            RouteCounts(
                "", "", (500 if failed else 200) if answered else 0, "aborted" if failed else "", _sum(durations)
            )
            for (answered, failed), durations in kinds.items()
        ),
        operations=tuple(
            Operation(each[0].system, "", _sum(one.duration for one in each)) for each in systems.values()
        ),
        anatomy=(),
        bodies=(),
    )


def _sum(parts: Iterable[Distribution]) -> Distribution:
    return Histogram.of(*parts).freeze()
