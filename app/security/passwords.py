"""Argon2id off the event loop, behind a queue that refuses before it grows too long.

Parameters are OWASP's (Password Storage Cheat Sheet: m=19456 KiB, t=2, p=1); the hash carries them. libsodium, through
PyNaCl, releases the GIL while it works.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol, TypeVar

from nacl.exceptions import InvalidkeyError
from nacl.pwhash import argon2id

from app.errors import HashingBusy

if TYPE_CHECKING:
    from collections.abc import Callable

OPERATIONS = 2
MEMORY_BYTES = 19456 * 1024
LONGEST_BYTES = 256
"""A password longer than this is refused: hashing time must not grow with what a stranger sends."""

_ENCODED = re.compile(r"\$argon2id\$v=19\$m=(\d{1,9}),t=(\d{1,4}),p=1\$[A-Za-z0-9+/]{11,86}\$[A-Za-z0-9+/]{16,86}")
_MOST_MEMORY_KIB = 256 * 1024
_MOST_OPERATIONS = 16

Result = TypeVar("Result")


class HashMeter(Protocol):
    """What the queue tells whoever counts. Times are seconds."""

    def enqueue(self) -> None:
        """One more waits."""

    def begin(self, waited: float) -> None:
        """A thread takes one up."""

    def end(self, duration: float) -> None:
        """It is done."""

    def refuse(self) -> None:
        """One was turned away."""


def canonical(password: str) -> bytes:
    """Raise ValueError when a password is too long to be one; else return the bytes that are hashed: NFKC (NIST SP 800-63B-4, 3.1.1.2), so that it matters not how it was typed."""
    # Before normalising, which takes a second for 64 KB of the right characters.
    if len(password.encode(errors="surrogatepass")) > LONGEST_BYTES:
        raise ValueError(f"must have at most {LONGEST_BYTES} bytes in UTF-8")
    normal = unicodedata.normalize("NFKC", password).encode()
    if len(normal) > LONGEST_BYTES:
        raise ValueError(f"must have at most {LONGEST_BYTES} bytes in UTF-8, written in its normal form (NFKC)")
    return normal


class Passwords:
    """Hashes and verifies in ``threads`` threads; at most ``queue`` more may wait, then HashingBusy is raised."""

    def __init__(
        self, *, threads: int, queue: int, meter: HashMeter, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="argon2id")
        self._limit = threads + queue
        self._taken = 0
        self._meter = meter
        self._clock = clock
        self._decoy = ""

    async def open(self) -> None:
        """Hash one throw-away password: what is verified when there is no account."""
        self._decoy = await self.hash("a password that nobody has")

    async def hash(self, password: str) -> str:
        """Return the encoded hash of a new password."""
        return await self._queued(_hash, canonical(password))

    async def verify(self, encoded: str | None, password: str) -> bool:
        """Say whether a password matches; without a hash, do the same work and say no."""
        try:
            given = canonical(password)
        except ValueError:
            encoded, given = None, b"too long to be anybody's"
        # Hash even when the account is unknown, so that timing says nothing.
        matches = await self._queued(_verify, (encoded or self._decoy).encode(), given)
        return matches and encoded is not None

    async def _queued(self, work: Callable[..., Result], *arguments: bytes) -> Result:
        if self._taken >= self._limit:
            self._meter.refuse()
            raise HashingBusy("too many passwords are waiting to be hashed")
        self._taken += 1
        self._meter.enqueue()
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._executor, self._timed, loop, self._clock(), work, arguments)
        # The slot belongs to the thread, not to the caller: who goes away frees nothing before the work is done.
        future.add_done_callback(self._finished)
        return (await asyncio.shield(future))[0]

    def _timed(
        self, loop: asyncio.AbstractEventLoop, queued: float, work: Callable[..., Result], arguments: tuple[bytes, ...]
    ) -> tuple[Result, float]:
        begin = self._clock()
        with contextlib.suppress(RuntimeError):  # the loop was closed under us: nobody counts any more
            loop.call_soon_threadsafe(self._meter.begin, begin - queued)
        return work(*arguments), self._clock() - begin

    def _finished(self, future: asyncio.Future[tuple[Result, float]]) -> None:
        self._taken -= 1
        if not future.cancelled() and future.exception() is None:
            self._meter.end(future.result()[1])

    def close(self) -> None:
        """Let running threads end; drop what waits."""
        self._executor.shutdown(wait=False, cancel_futures=True)


def _hash(password: bytes) -> str:
    return argon2id.str(password, opslimit=OPERATIONS, memlimit=MEMORY_BYTES).rstrip(b"\0").decode()


def _verify(encoded: bytes, password: bytes) -> bool:
    parameters = _ENCODED.fullmatch(encoded.decode())
    if parameters is None:
        return False
    memory, operations = int(parameters[1]), int(parameters[2])
    if memory > _MOST_MEMORY_KIB or operations > _MOST_OPERATIONS:
        return False  # a row that somebody tampered with must not cost more than an honest one could
    try:
        return argon2id.verify(encoded, password)
    except InvalidkeyError:
        return False
