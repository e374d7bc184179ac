"""The inside of slots added up: what requests waited for, and what was asked of the stores."""

from __future__ import annotations

from operator import add
from typing import TYPE_CHECKING, Literal

from observability.model import Anatomy, Band, Histogram, Kept, Operation
from observability.read.growth import BodySlot

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

    def freeze(self) -> tuple[tuple[Operation, ...], tuple[Anatomy, ...], tuple[BodySlot, ...], Kept]:
        """Return the sum as a slot's last fields."""
        operations = (Operation(*key, o.duration.freeze(), o.errors, o.items) for key, o in self.operations.items())
        anatomy = (Anatomy(*key, tuple(bands[i] for i in sorted(bands))) for key, bands in self.anatomy.items())
        return tuple(operations), tuple(anatomy), tuple(self.bodies.values()), self.kept

    def _add_operation(self, operation: Operation) -> None:
        key = (operation.system, operation.name)
        if key not in self.operations and len(self.operations) >= self._most:
            key = (operation.system, _OTHER[1])
        if (total := self.operations.get(key)) is None:
            total = self.operations[key] = OperationSum()
        total.duration.add(operation.duration)
        total.errors += operation.errors
        total.items += operation.items

    def _key(self, known: Collection[tuple[str, str]], key: tuple[str, str]) -> tuple[str, str]:
        return key if key in known or len(known) < self._most else _OTHER


_NONE = Kept()


def _numbers(kept: Kept) -> tuple[int, ...]:
    return kept.slow, kept.failed, kept.sampled, kept.asked, kept.refused


def _bands(one: Band, other: Band) -> Band:
    return Band(one.index, one.count + other.count, one.total + other.total, tuple(map(add, one.parts, other.parts)))
