"""Every request of a run in a compact file, for those who want to judge it with tools of their own.

A file holds records of 32 bytes, little-endian, in the order in which requests ended: the intended time (float64, seconds after
the start), then as float32 seconds: wait until it was handed over, connecting, sending to first byte, sending to last byte; then
status (uint16, 0 without an answer), step (uint8) and outcome (uint8), as numbered in the file beside it, and 4 bytes of zeros.
"""

from __future__ import annotations

import contextlib
import struct
from typing import TYPE_CHECKING, BinaryIO

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from loadgen.client import Answer
    from loadgen.step_tally import Exchange

RECORD = struct.Struct("<dffffHBB4x")


class Legend(msgspec.Struct, frozen=True):
    """What stands beside a file of samples: the names that its numbers stand for, by position."""

    record: str
    steps: tuple[str, ...]
    outcomes: tuple[str, ...]


class Spool:
    """Writes one process's samples. A disk that is full ends the writing, not the run; ``fault`` then says so."""

    def __init__(self, path: Path, steps: Sequence[str]) -> None:
        self._path = path
        self._steps = {step: number for number, step in enumerate(steps)}
        self._outcomes: dict[str, int] = {}
        self._records = bytearray()
        self.fault = ""
        self._file: BinaryIO | None = None
        try:
            self._file = path.open("wb", buffering=0)
        except OSError as error:
            self._fail(error)

    def add(self, exchange: Exchange, answer: Answer, outcome: str, start: float) -> None:
        """Keep a request that was handed over."""
        sent = answer.sent
        self._records += RECORD.pack(
            exchange.intended - start,
            answer.begun - exchange.intended,
            answer.connect,
            answer.first - sent if answer.first else 0.0,
            answer.last - sent if sent else 0.0,
            answer.status,
            self._steps[exchange.step],
            self._outcomes.setdefault(outcome, len(self._outcomes)),
        )

    def add_unsent(self, exchange: Exchange, now: float, outcome: str, start: float) -> None:
        """Keep a request that was never handed over: it only waited."""
        number = self._outcomes.setdefault(outcome, len(self._outcomes))
        waited = now - exchange.intended
        self._records += RECORD.pack(
            exchange.intended - start, waited, 0.0, 0.0, 0.0, 0, self._steps[exchange.step], number
        )

    def flush(self) -> None:
        """Write what was kept since the last time."""
        if self._file is not None:
            try:
                self._file.write(self._records)
            except OSError as error:
                self._fail(error)
        self._records.clear()

    def close(self) -> None:
        """Write the rest, and the legend beside it."""
        self.flush()
        if self._file is None:
            return
        self._file.close()
        legend = Legend("<dffffHBB4x", tuple(self._steps), tuple(self._outcomes))
        try:
            self._path.with_suffix(".json").write_bytes(msgspec.json.encode(legend))
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        self.fault = f"samples are not whole: cannot write {self._path}: {error.strerror}"
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None


def read_samples(path: Path) -> list[tuple[float, float, float, float, float, int, str, str]]:
    """Return the records of a file, with the names of step and outcome; raises OSError or msgspec.DecodeError."""
    legend = msgspec.json.decode(path.with_suffix(".json").read_bytes(), type=Legend)
    return [
        (*times, status, legend.steps[step], legend.outcomes[outcome])
        for *times, status, step, outcome in RECORD.iter_unpack(path.read_bytes())
    ]
