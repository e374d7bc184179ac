"""Reads that go out together."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from app.storage.identity import trusted

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    Outcome = list[bytes | None] | Exception
    """The value of each key that was asked for, or why there is no answer."""

    Answered = Callable[[Outcome], None]

_log = logging.getLogger("gatewatch")


class Batch:
    """Keys of many reads, in order, and who waits for which of them."""

    __slots__ = ("_reads", "ended", "keys")

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.ended = 0.0
        """When there was an answer, or none any more, by ``time.perf_counter``."""
        self._reads: list[tuple[int, Answered]] = []

    def add(self, keys: Sequence[str], answered: Answered) -> None:
        """Read these, too; ``answered`` is called once."""
        self.keys += keys
        self._reads.append((len(keys), answered))

    def answer(self, server: bytes, values: list[bytes | None]) -> None:
        """Give everybody their values, as far as they are of that server."""
        self.ended = time.perf_counter()
        start = 0
        for count, answered in self._reads:
            _give(answered, [trusted(value, server) for value in values[start : start + count]])
            start += count

    def refuse(self, error: Exception) -> None:
        """Tell everybody why there is no answer."""
        self.ended = time.perf_counter()
        for _, answered in self._reads:
            _give(answered, error)


def into(answer: asyncio.Future[list[bytes | None]]) -> Answered:
    """Return what puts an outcome into a future, if somebody still waits for it."""

    def answered(outcome: Outcome) -> None:
        if answer.done():
            return
        if isinstance(outcome, Exception):
            answer.set_exception(outcome)
        else:
            answer.set_result(outcome)

    return answered


def _give(answered: Answered, outcome: Outcome) -> None:
    try:
        answered(outcome)
    except Exception:  # noqa: BLE001 - the others still get theirs
        _log.exception("an answer from the cache could not be used")
