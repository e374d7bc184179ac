"""Tokens sent by mail: 256 bits, derived from a secret of the fleet and the id of a row, so that no row has to carry one.

The token is HMAC-SHA256 (RFC 2104) of the id under the secret. Who reads the database alone learns the ids and the
SHA-256 of each token, and can make neither into a token.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uuid import UUID

_USE = b"gatewatch mail token\0"
"""Keeps these apart from whatever else the secret may come to be used for."""

_BYTES = 32
_ENCODED = 43


class MailTokens:
    """Derives tokens."""

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()

    def text(self, token_id: UUID) -> str:
        """Return the token of a row, as a mail carries it."""
        return urlsafe_b64encode(self._derive(token_id)).rstrip(b"=").decode()

    def digest(self, token_id: UUID) -> bytes:
        """Return what may be stored of that token."""
        return hashlib.sha256(self._derive(token_id)).digest()

    def _derive(self, token_id: UUID) -> bytes:
        return hmac.digest(self._secret, _USE + token_id.bytes, "sha256")


def digest_of(text: str) -> bytes | None:
    """Return the SHA-256 under which a token that somebody brings would be stored; None when it is no token at all."""
    if len(text) != _ENCODED or not text.isascii():
        return None
    try:
        raw = urlsafe_b64decode(text + "=")
    except (binascii.Error, ValueError):
        return None
    # The decoder skips characters that are not base64 and ignores bits past the end: one token has one spelling.
    if len(raw) != _BYTES or urlsafe_b64encode(raw).rstrip(b"=").decode() != text:
        return None
    return hashlib.sha256(raw).digest()
