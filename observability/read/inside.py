"""The inside of slots added up: what requests waited for, and what was asked of the stores."""

from __future__ import annotations

from operator import add
from typing import TYPE_CHECKING, Literal

from observability.model import Anatomy, Band, Histogram, Kept, Operation
from observability.read.growth import BodySlot, kept_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from observability.read.slot import Slot

_OTHER = ("_OTHER", "(other)")


class OperationSum:
    """One kind of operation."""

    def __init__(self) -> None:
        self.duration = Histogram()
        self.errors = 0
        self.items = 0


class InsideSum:
    """Operations, anatomy, sizes of bodies and kept traces; past ``most`` of each the rest are one."""

    def __init__(self, most: int) -> None:
        self.operations: dict[tuple[Literal["postgresql", "redis"], str], OperationSum] = {}
        self.anatomy: dict[tuple[str, str], dict[int, Band]] = {}
        self.bodies: dict[tuple[str, str], BodySlot] = {}
        self.kept = Kept()
        self.folded = False
        """Whether there were more than it holds: then nothing can be taken out of it again."""
        self._most = most

    def add(self, slot: Slot) -> None:
        """Add the inside of a slot."""
        for operation in slot.operations:
            self._add_operation(operation)
        for anatomy in slot.anatomy:
            route = self._key(self.anatomy, (anatomy.method, anatomy.route))
            bands = self.anatomy.setdefault(route, {})
            for band in anatomy.bands:
                known = bands.get(band.index)
                bands[band.index] = _bands(band, known) if known else band
        for body in slot.bodies:
            key = self._key(self.bodies, (body.method, body.route))
            held = self.bodies.get(key) or BodySlot(*key, 0.0, 0.0)
            self.bodies[key] = BodySlot(*key, held.request + body.request, held.response + body.response)
        if slot.kept != _NONE:
            self.kept = Kept(*map(add, _numbers(self.kept), _numbers(slot.kept)))

    def remove(self, slot: Slot) -> None:
        """Take the inside of a slot out that was added."""
        for operation in slot.operations:
            if (total := self.operations.get((operation.system, operation.name))) is not None:
                total.duration.subtract(operation.duration)
                total.errors -= operation.errors
                total.items -= operation.items
                if not any(total.duration.buckets):
                    del self.operations[operation.system, operation.name]
        for anatomy in slot.anatomy:
            bands = self.anatomy[anatomy.method, anatomy.route]
            for band in anatomy.bands:
                rest = _less(bands.pop(band.index), band)
                if rest.count:
                    bands[band.index] = rest
            if not bands:
                del self.anatomy[anatomy.method, anatomy.route]
        for body in slot.bodies:
            held = self.bodies.pop((body.method, body.route), body)
            request, response = max(0.0, held.request - body.request), max(0.0, held.response - body.response)
            if max(request, response) > _ROUNDING:
                self.bodies[body.method, body.route] = BodySlot(body.method, body.route, request, response)
        self.kept = kept_of(self.kept, slot.kept)

    def freeze(self) -> tuple[tuple[Operation, ...], tuple[Anatomy, ...], tuple[BodySlot, ...], Kept]:
        """Return the sum as a slot's last fields."""
        operations = (Operation(*key, o.duration.freeze(), o.errors, o.items) for key, o in self.operations.items())
        anatomy = (Anatomy(*key, tuple(bands[i] for i in sorted(bands))) for key, bands in self.anatomy.items())
        return tuple(operations), tuple(anatomy), tuple(self.bodies.values()), self.kept

    def _add_operation(self, operation: Operation) -> None:
        key = (operation.system, operation.name)
        if key not in self.operations and len(self.operations) >= self._most:
            key = (operation.system, _OTHER[1])
            self.folded = True
        if (total := self.operations.get(key)) is None:
            total = self.operations[key] = OperationSum()
        total.duration.add(operation.duration)
        total.errors += operation.errors
        total.items += operation.items

    def _key(self, known: Collection[tuple[str, str]], key: tuple[str, str]) -> tuple[str, str]:
        if key in known or len(known) < self._most:
            return key
        self.folded = True
        return _OTHER


_NONE = Kept()
_ROUNDING = 1e-8
"""MiB: a hundredth of a byte, which sums that were added to and taken from may be wrong by."""


def _numbers(kept: Kept) -> tuple[int, ...]:
    return kept.slow, kept.failed, kept.sampled, kept.asked, kept.refused


def _bands(one: Band, other: Band) -> Band:
    return Band(one.index, one.count + other.count, one.total + other.total, tuple(map(add, one.parts, other.parts)))


def _less(whole: Band, part: Band) -> Band:
    parts = tuple([max(0.0, all_of - one) for all_of, one in zip(whole.parts, part.parts, strict=True)])
    return Band(whole.index, whole.count - part.count, max(0.0, whole.total - part.total), parts)
