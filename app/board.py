"""How many connections each worker of an instance has, in a little memory that its launcher makes and all of them share.

Each worker writes its own seat and reads the others'. What is read may be a moment old, and never half written: each
number is a machine word.
"""

from __future__ import annotations

import mmap
import os
import tempfile

_NUMBERS = 2
_BYTES = 4
_MOST_TURNS = 2**31


class Board:
    """One seat a worker: the connections that it has, or nobody, and how often it has looked for new ones.

    The number of the first worker is 1.
    """

    def __init__(self, fd: int) -> None:
        """Open the board behind a file descriptor, which is not needed any more afterwards."""
        self._seats = memoryview(mmap.mmap(fd, os.fstat(fd).st_size)).cast("i")

    @staticmethod
    def make(workers: int) -> int:
        """Make a board where nobody is yet; return its file descriptor."""
        if hasattr(os, "memfd_create"):
            fd = os.memfd_create("gatewatch-board")
        else:
            with tempfile.TemporaryFile() as file:
                fd = os.dup(file.fileno())
        os.ftruncate(fd, workers * _NUMBERS * _BYTES)
        return fd

    def take(self, number: int, connections: int) -> None:
        """Say that a worker serves and has so many connections."""
        self._seats[(number - 1) * _NUMBERS] = connections + 1

    def look(self, number: int) -> None:
        """Say that a worker looks for new connections at this moment."""
        place = (number - 1) * _NUMBERS + 1
        self._seats[place] = (self._seats[place] + 1) % _MOST_TURNS

    def leave(self, number: int) -> None:
        """Say that a worker takes no more."""
        self._seats[(number - 1) * _NUMBERS] = 0

    def with_fewer(self, number: int) -> dict[int, int]:
        """Return the others that serve and have fewer connections than one, with how often each has looked."""
        seats = self._seats.tolist()
        taken, looks = seats[::_NUMBERS], seats[1::_NUMBERS]
        return {place: looks[place - 1] for place, seat in enumerate(taken, 1) if 0 < seat < taken[number - 1]}
