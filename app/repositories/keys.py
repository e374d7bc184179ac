"""The names of cached values."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uuid import UUID


def session_key(digest: bytes) -> str:
    """Name a cached session by the SHA-256 of its token's secret."""
    return f"session:{digest.hex()}"


def profile_key(user_id: UUID) -> str:
    """Name a cached user with profile."""
    return f"user:profile:{user_id}"


def verified_key(email: str) -> str:
    """Name the cached answer whether a normalised address is verified."""
    return f"email:verified:{email}"
