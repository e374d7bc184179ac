"""Nothing but argon2id by one library: run as ``python -m benchmarks.hash_library LIBRARY THREADS SECONDS [mallopt]``.

It prints, as JSON, the hashes/s at each of OWASP's equal strengths, each measured for so many seconds.
"""

from __future__ import annotations

import ctypes
import json
import sys
import threading
import time
from typing import TYPE_CHECKING

from app.settings import OWASP_ARGON2ID

if TYPE_CHECKING:
    from collections.abc import Callable

SALT = b"sixteen bytes   "
PASSWORD = b"correct horse battery staple"
KEPT = 512 * 1024 * 1024
"""Bytes that malloc takes from its heap, and keeps there, when it is told to."""

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3


def hasher(library: str, memory: int, passes: int) -> Callable[[], object]:
    """Return the library's bare call."""
    if library == "PyNaCl":
        from nacl.pwhash import argon2id  # noqa: PLC0415 - one library a process

        return lambda: argon2id.kdf(32, PASSWORD, SALT, opslimit=passes, memlimit=memory * 1024)
    if library == "argon2-cffi":
        from argon2.low_level import Type, hash_secret_raw  # noqa: PLC0415 - the same

        return lambda: hash_secret_raw(PASSWORD, SALT, passes, memory, 1, 32, Type.ID)
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id  # noqa: PLC0415 - the same

    return lambda: Argon2id(salt=SALT, length=32, iterations=passes, lanes=1, memory_cost=memory).derive(PASSWORD)


def rate(work: Callable[[], object], threads: int, seconds: float) -> float:
    """Return how often a second all threads together did the work."""
    work()
    done = [0] * threads
    begin = time.perf_counter()

    def run(place: int) -> None:
        while time.perf_counter() < begin + seconds:
            work()
            done[place] += 1

    workers = [threading.Thread(target=run, args=(place,)) for place in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(done) / (time.perf_counter() - begin)


if __name__ == "__main__":
    if sys.argv[4:] == ["mallopt"]:
        libc = ctypes.CDLL(None)
        libc.mallopt(_MMAP_THRESHOLD, KEPT)
        libc.mallopt(_TRIM_THRESHOLD, KEPT)
    print(
        json.dumps([rate(hasher(sys.argv[1], *cost), int(sys.argv[2]), float(sys.argv[3])) for cost in OWASP_ARGON2ID])
    )
