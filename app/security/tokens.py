"""Session tokens: ``gw_`` + base64url(user id, 16 bytes, + secret, 32 bytes).

The user id is no secret. It lets one batch read a session together with its profile. Only the SHA-256 of the secret
part is ever stored or used as a key.
"""

from __future__ import annotations

import binascii
import hashlib
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Callable

PREFIX = "gw_"
SECRET_BYTES = 32
_ID_BYTES = 16
_ENCODED = (_ID_BYTES + SECRET_BYTES) * 4 // 3


@dataclass(frozen=True, slots=True)
class Token:
    """What may be known of a token: whose it claims to be, and the hash of its secret."""

    user_id: UUID
    digest: bytes


def issue(user_id: UUID, entropy: Callable[[int], bytes] = secrets.token_bytes) -> tuple[str, Token]:
    """Make a new token; return its text, to be given away and forgotten, and what may be kept of it."""
    secret = entropy(SECRET_BYTES)
    text = PREFIX + urlsafe_b64encode(user_id.bytes + secret).decode()
    return text, Token(user_id, hashlib.sha256(secret).digest())


def parse(text: str) -> Token | None:
    """Read a token's text; None when it is not one."""
    if len(text) != len(PREFIX) + _ENCODED or not text.startswith(PREFIX):
        return None
    try:
        raw = urlsafe_b64decode(text[len(PREFIX) :])
    except (binascii.Error, ValueError):
        return None
    if len(raw) != _ID_BYTES + SECRET_BYTES:  # the decoder skips characters that are not base64
        return None
    return Token(UUID(bytes=raw[:_ID_BYTES]), hashlib.sha256(raw[_ID_BYTES:]).digest())
