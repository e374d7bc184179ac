"""What the services need from the outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from app.values import Account, Profile, ProfileChange, Session, User


class Clock(Protocol):
    """Tells the time: an aware datetime in UTC."""

    def __call__(self) -> datetime:
        """Tell it."""


class AccountStore(Protocol):
    """Where accounts and profiles are kept."""

    async def create(self, email: str, password_hash: str, name: str | None, now: datetime) -> User:
        """Create an account with its profile, or raise EmailTaken."""

    async def by_email(self, email: str) -> Account | None:
        """Find the account with a normalised address."""

    async def change_profile(self, user_id: UUID, change: ProfileChange, now: datetime) -> Profile | None:
        """Change a profile and return it whole; None when there is no such user."""


class SessionStore(Protocol):
    """Where sessions are kept."""

    async def find(self, digest: bytes, user_id: UUID) -> Session | None:
        """Find the session behind the digest of a token's secret, if it is that user's."""

    async def find_with_user(self, digest: bytes, user_id: UUID) -> tuple[Session | None, User | None]:
        """Find a session together with its user."""

    async def open(self, user_id: UUID, digest: bytes, created_at: datetime, expires_at: datetime) -> UUID | None:
        """Open a session and return its id; None when the account is gone or disabled."""

    async def end(self, digest: bytes) -> None:
        """End a session for good."""


class PasswordHasher(Protocol):
    """Slow on purpose, and never on the event loop."""

    async def hash(self, password: str) -> str:
        """Hash a new password."""

    async def verify(self, encoded: str | None, password: str) -> bool:
        """Say whether a password matches; without a hash, do the same work and say no."""
