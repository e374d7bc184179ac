"""Encoded hashes of passwords: ours are argon2id in one lane; other systems' are argon2id, argon2i and bcrypt.

Libsodium (PyNaCl) makes and verifies ours, measured as the fastest (docs/passwords.md). It knows no second lane and no
argon2i of few passes, and argon2-cffi does. All of them release the GIL while they work.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import bcrypt
from argon2.exceptions import Argon2Error
from argon2.low_level import Type, verify_secret
from nacl.exceptions import CryptoError
from nacl.pwhash import argon2id

MOST_MEMORY_KIB = 256 * 1024
MOST_ITERATIONS = 16
MOST_WORK = 1024 * 1024
"""KiB times passes: half a second or so. The settings allow no more either."""

MOST_LANES = 16
MOST_BCRYPT_COST = 14
BCRYPT_BYTES = 72
"""Bcrypt never read more of a password, and whoever let it hash a longer one let the rest go."""

_ARGON2 = re.compile(
    r"\$argon2(id|i)\$(?:v=(?:16|19)\$)?m=(\d{1,9}),t=(\d{1,9}),p=(\d{1,9})"
    r"\$[A-Za-z0-9+/]{11,86}\$[A-Za-z0-9+/]{16,86}",
    re.ASCII,
)
_BCRYPT = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Parameters:
    """What a hash costs: memory in KiB, and passes over it."""

    memory_kib: int
    iterations: int

    def made(self, encoded: str) -> bool:
        """Say whether a hash was made with these."""
        return encoded.startswith(f"$argon2id$v=19$m={self.memory_kib},t={self.iterations},p=1$")


def make(password: bytes, parameters: Parameters) -> str:
    """Hash with a new salt."""
    encoded = argon2id.str(password, opslimit=parameters.iterations, memlimit=parameters.memory_kib * 1024)
    return encoded.rstrip(b"\0").decode()


def admit(encoded: str) -> None:
    """Raise ValueError, with a sentence, for what is no hash that we can verify at a bearable cost.

    A row that somebody tampered with, or a file that is imported, must not cost more than an honest one could.
    """
    if argon2 := _ARGON2.fullmatch(encoded):
        memory, iterations, lanes = map(int, argon2.groups()[1:])
        if not (0 < lanes <= MOST_LANES and 8 * lanes <= memory <= MOST_MEMORY_KIB):
            raise ValueError(f"has parameters out of range: m may be up to {MOST_MEMORY_KIB}, p up to {MOST_LANES}")
        if not 0 < iterations <= MOST_ITERATIONS or memory * iterations > MOST_WORK:
            raise ValueError(f"costs too much: t may be up to {MOST_ITERATIONS}, and m times t up to {MOST_WORK}")
    elif modular := _BCRYPT.fullmatch(encoded):
        if not 4 <= int(modular[1]) <= MOST_BCRYPT_COST:  # noqa: PLR2004 - bcrypt's least
            raise ValueError(f"has a cost out of range: it may be up to {MOST_BCRYPT_COST}")
    else:
        raise ValueError(
            "is no hash of a kind that can be verified: argon2id, argon2i ($argon2...) or bcrypt ($2b$...)"
        )


def verify(encoded: str, password: bytes) -> bool:
    """Say whether a password matches; what `admit` refuses matches nothing, at no cost."""
    try:
        admit(encoded)
        if encoded.startswith("$2"):
            return bcrypt.checkpw(password[:BCRYPT_BYTES], encoded.encode())
        if encoded.startswith("$argon2id$v=19$") and ",p=1$" in encoded:
            return argon2id.verify(encoded.encode(), password)
        kind = Type.ID if encoded.startswith("$argon2id$") else Type.I
        return verify_secret(encoded.encode(), password, kind)
    except (ValueError, CryptoError, Argon2Error):
        return False
