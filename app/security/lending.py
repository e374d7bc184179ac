"""Threads that the workers of an instance lend each other while they leave them idle.

Connections are not shared out evenly, and whoever has most of them has most passwords to hash. In a little memory, which the
launcher makes and all workers inherit, each has two bytes: its threads, and how many of them work. Nobody asks anybody: one
who reads a moment too early lets one thread too many work for the time of a hash. What a dead worker has left there is
true of it as well, or too careful; the one that replaces it begins anew.
"""

from __future__ import annotations

import mmap
import os
import tempfile

_SEAT = 2
_MOST = 255


class Lending:
    """What the worker of a number, from 1, offers its siblings, and what they leave idle."""

    def __init__(self, fd: int, number: int) -> None:
        """Use the memory behind a file descriptor, which is not needed any more afterwards."""
        self._memory = mmap.mmap(fd, os.fstat(fd).st_size)
        self._mine = _SEAT * (number - 1)
        self._memory[self._mine : self._mine + _SEAT] = bytes(_SEAT)

    @staticmethod
    def make(workers: int) -> int:
        """Make the memory for so many workers; return its file descriptor."""
        if hasattr(os, "memfd_create"):
            fd = os.memfd_create("gatewatch-lending")
        else:
            with tempfile.TemporaryFile() as file:
                fd = os.dup(file.fileno())
        os.ftruncate(fd, _SEAT * workers)
        return fd

    def offer(self, threads: int) -> None:
        """Say how many threads this worker has."""
        self._memory[self._mine] = min(threads, _MOST)

    def busy(self, threads: int) -> None:
        """Say how many work for it, borrowed ones too."""
        self._memory[self._mine + 1] = min(threads, _MOST)

    def idle(self) -> int:
        """Return how many threads all siblings together leave idle at this moment."""
        seats, mine = self._memory[:], self._mine
        return max(0, sum(seats[::2]) - seats[mine] - sum(seats[1::2]) + seats[mine + 1])
