"""What the services need from the outside."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol
from uuid import UUID

from app.values import Account, Profile, ProfileChange, Session, User


class Clock(Protocol):
    """Tells the time: an aware datetime in UTC."""

    def __call__(self) -> datetime: ...


class AccountStore(Protocol):
    """Where accounts and profiles are kept."""

    async def create(self, email: str, password_hash: str, name: str | None, now: datetime) -> User: ...

    async def by_email(self, email: str) -> Account | None: ...

    async def change_profile(self, user_id: UUID, change: ProfileChange, now: datetime) -> Profile | None: ...


class SessionStore(Protocol):
    """Where sessions are kept."""

    async def find(self, digest: bytes, user_id: UUID) -> Session | None: ...

    async def find_with_user(self, digest: bytes, user_id: UUID) -> tuple[Session | None, User | None]: ...

    async def open(
        self, user_id: UUID, digest: bytes, created_at: datetime, expires_at: datetime
    ) -> UUID | None: ...

    async def end(self, digest: bytes) -> None: ...


class PasswordHasher(Protocol):
    """Slow on purpose, and never on the event loop."""

    async def hash(self, password: str) -> str: ...

    async def verify(self, encoded: str | None, password: str) -> bool: ...
