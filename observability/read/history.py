"""An hour of what the fleet did, in bounded memory: single seconds of the last five minutes, tens of seconds of the hour.

A slot is named by the second at its end: slot 20 of the tens is what happened in (10, 20].
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from observability.read.slot import Slot, SlotHead, Sum

if TYPE_CHECKING:
    from collections.abc import Iterator

FINE_SECONDS = 315
"""How far single seconds reach back: five minutes of columns, and what their trailing windows reach back to."""

TEN = 10
"""Seconds of a coarse slot."""

HOUR = 3600
"""How far tens of seconds reach back."""

MOST_FINE_BYTES = 8 * 1024 * 1024
MOST_COARSE_BYTES = 16 * 1024 * 1024
"""What the slots of a tier may take; past it the oldest are dropped, and history is shorter than said above."""

_OPEN = 3
"""Slots that are kept as sums, because snapshots are still coming for them; older ones are kept encoded."""

_MOST_DECODED = 10
"""Slots that are kept decoded after somebody asked for them: the next column's ten seconds are nine of the last one's."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Slot)
_head_decoder = msgspec.msgpack.Decoder(SlotHead)


S = TypeVar("S", bound=SlotHead)

Mark = bytes | Slot
"""A slot as it is kept: another object as soon as anything was added to it."""


class Tier:
    """Slots of one length. ``seconds`` is how far they reach back, ``most_bytes`` what they may take."""

    def __init__(self, step: int, seconds: int, most_bytes: int) -> None:
        self.step = step
        self.newest = 0
        """The end of the newest slot; 0 before there is one."""
        self.dropped = 0
        """The end of the newest slot that there was no room for."""
        self.bytes = 0
        self._seconds = seconds
        self._most_bytes = most_bytes
        self._open: dict[int, Sum] = {}
        self._sealed: dict[int, bytes] = {}
        self._slots: dict[int, Slot] = {}
        self._heads: dict[int, SlotHead] = {}

    def __len__(self) -> int:
        return len(self._open) + len(self._sealed)

    @property
    def oldest(self) -> int | None:
        """The end of the oldest slot, or None when there is none."""
        return min((*self._open, *self._sealed), default=None)

    def end_of(self, second: int) -> int:
        """Return the end of the slot that a second belongs to."""
        return -(-second // self.step) * self.step

    def add(self, second: int, slot: Slot) -> None:
        """Add to the slot that a second belongs to, unless it is too old."""
        end = self.end_of(second)
        if end > self.newest:
            self.newest = end
            self._forget(end - self._seconds)
        elif end <= self.newest - self._seconds:
            return
        self._sum(end).add(slot)
        while len(self._open) > _OPEN:
            self._seal(min(self._open))

    def at(self, end: int) -> Slot | None:
        """Return the slot that ends at a second, or None when nothing was heard in it."""
        return self._read(end, self._slots, _decoder)

    def head(self, end: int) -> SlotHead | None:
        """Return what most readers need of the slot that ends at a second, which takes less time, or None."""
        whole = self._slots.get(end) if end in self._sealed else None
        return whole or self._read(end, self._heads, _head_decoder)

    def mark(self, end: int) -> Mark | None:
        """Return the slot that ends at a second as it is kept, or None."""
        total = self._open.get(end)
        return self._sealed.get(end) if total is None else total.freeze()

    def read(self, mark: Mark) -> Slot:
        """Return the slot that a mark is of."""
        return mark if isinstance(mark, Slot) else _decoder.decode(mark)

    def heard(self, end: int) -> bool:
        """Return whether there is a slot that ends at a second."""
        return end in self._open or end in self._sealed

    def ends(self, begin: int, end: int) -> range:
        """Return the ends of the slots in (begin, end] that there may be."""
        first = max(begin // self.step * self.step + self.step, self.newest - self._seconds)
        return range(self.end_of(first), min(end, self.newest) + 1, self.step)

    def within(self, begin: int, end: int) -> Iterator[Slot]:
        """Yield the slots in (begin, end]."""
        return (slot for label in self.ends(begin, end) if (slot := self.at(label)) is not None)

    def heads(self, begin: int, end: int) -> Iterator[SlotHead]:
        """Yield what most readers need of the slots in (begin, end]."""
        return (head for label in self.ends(begin, end) if (head := self.head(label)) is not None)

    def _read(self, end: int, decoded: dict[int, S], decoder: msgspec.msgpack.Decoder[S]) -> Slot | S | None:
        if (total := self._open.get(end)) is not None:
            return total.freeze()
        if (raw := self._sealed.get(end)) is None:
            return None
        if (slot := decoded.get(end)) is None:
            slot = decoded[end] = decoder.decode(raw)
            if len(decoded) > _MOST_DECODED:
                del decoded[next(iter(decoded))]
        return slot

    def _sum(self, end: int) -> Sum:
        if end not in self._open:
            self._slots.pop(end, None)
            self._heads.pop(end, None)
            raw = self._sealed.pop(end, None)
            self.bytes -= len(raw or b"")
            self._open[end] = Sum.of([_decoder.decode(raw)] if raw else [])
        return self._open[end]

    def _seal(self, end: int) -> None:
        raw = self._sealed[end] = _encoder.encode(self._open.pop(end).freeze())
        self.bytes += len(raw)
        while self.bytes > self._most_bytes:
            oldest = min(self._sealed)
            self.dropped = max(self.dropped, oldest)
            self.bytes -= len(self._sealed.pop(oldest))

    def _forget(self, oldest: int) -> None:
        for end in [end for end in self._sealed if end <= oldest]:
            self.bytes -= len(self._sealed.pop(end))
        for end in [end for end in self._open if end <= oldest]:
            del self._open[end]


class History:
    """Both tiers."""

    def __init__(self) -> None:
        self.fine = Tier(1, FINE_SECONDS, MOST_FINE_BYTES)
        self.coarse = Tier(TEN, HOUR, MOST_COARSE_BYTES)
        self._tens_alone = 0
        """The latest second up to which something was added to no single one."""

    def add(self, second: int, slot: Slot, *, fine: bool = True) -> None:
        """Add what a worker did up to a second; not ``fine`` when it was heard of only once in ten seconds."""
        if fine:
            self.fine.add(second, slot)
        else:
            self._tens_alone = max(self._tens_alone, second)
        self.coarse.add(second, slot)

    def mixed(self, begin: int, end: int) -> Iterator[tuple[Tier, int]]:
        """Yield where (begin, end] is to be found: in single seconds, or where these do not tell all, in tens of them between some."""
        if begin >= max(self._tens_alone, self.fine.dropped):
            yield from ((self.fine, label) for label in self.fine.ends(begin, end))
            return
        first, last = self.coarse.end_of(begin), end // TEN * TEN
        if first >= last:
            first = last = end
        for tier, ends in (
            (self.fine, self.fine.ends(begin, first)),
            (self.coarse, self.coarse.ends(first, last)),
            (self.fine, self.fine.ends(last, end)),
        ):
            yield from ((tier, label) for label in ends)
