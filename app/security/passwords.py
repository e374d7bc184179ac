"""Passwords hashed and verified off the event loop; the hash carries its parameters."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from app.security import hashes

if TYPE_CHECKING:
    from app.security.hashes import Parameters
    from app.security.hashing import HashThreads

LONGEST_BYTES = 256
"""A password longer than this is refused: hashing time must not grow with what a stranger sends."""


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
    """Makes hashes with the present parameters, and verifies these and all others."""

    def __init__(self, threads: HashThreads, parameters: Parameters) -> None:
        self._threads = threads
        self._parameters = parameters
        self._decoy = ""

    @property
    def hashing(self) -> HashThreads:
        """Where the work is done."""
        return self._threads

    async def open(self) -> None:
        """Hash one throw-away password: what is verified when there is no account, and the first measure of what a hash takes."""
        self._decoy = await self.hash("a password that nobody has")

    async def hash(self, password: str) -> str:
        """Return the encoded hash of a new password."""
        return await self._threads.run(hashes.make, canonical(password), self._parameters)

    async def verify(self, encoded: str | None, password: str) -> bool:
        """Say whether a password matches; without a hash, do the same work and say no."""
        try:
            given = canonical(password)
        except ValueError:
            encoded, given = None, b"too long to be anybody's"
        # Hash even when the account is unknown, so that timing says nothing.
        matches = await self._threads.run(hashes.verify, encoded or self._decoy, given)
        if not matches and encoded is not None and not self._parameters.made(encoded):
            # Another system may have hashed what was typed and not its normal form.
            typed = password.encode()
            matches = typed != given and await self._threads.run(hashes.verify, encoded, typed)
        return matches and encoded is not None

    def outdated(self, encoded: str) -> bool:
        """Say whether a hash should be replaced now: it was made otherwise than new ones are, and a thread is free to do it."""
        return not self._parameters.made(encoded) and self._threads.idle

    def close(self) -> None:
        """Let running threads end; drop what waits."""
        self._threads.close()
