"""What the services need from the outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from uuid import UUID

    from app.listings import DeviceRow, ListedUser, Origin, Page
    from app.values import Account, Credential, Profile, ProfileChange, Session, User


Stored = list[bytes | None]
"""What a look into the cache has found, for the same request to go on with."""


class Clock(Protocol):
    """Tells the time: an aware datetime in UTC."""

    def __call__(self) -> datetime:
        """Tell it."""


class AccountStore(Protocol):
    """Where accounts and profiles are kept."""

    async def create(
        self, email: str, password_hash: str, name: str | None, now: datetime, *, conceal: bool = False
    ) -> User:
        """Create an account with its profile and ask its owner to verify; or raise EmailTaken, unless to be concealed."""

    async def by_email(self, email: str) -> Account | None:
        """Find the account with a normalised address."""

    async def upgrade(self, user_id: UUID, old_hash: str, new_hash: str) -> None:
        """Replace a hash by another one of the same password, if it is still the old one."""

    async def change_profile(self, user_id: UUID, change: ProfileChange, now: datetime) -> Profile | None:
        """Change a profile and return it whole; None when there is no such user."""


class SessionStore(Protocol):
    """Where sessions are kept."""

    def glance(self, digest: bytes, user_id: UUID, glanced: Callable[[Session | None, Stored | None], None]) -> None:
        """Find a session at once or not at all: ``glanced`` gets it, or None and what to hand to ``find``."""

    def glance_with_user(
        self, digest: bytes, user_id: UUID, glanced: Callable[[Session | None, User | None, Stored | None], None]
    ) -> None:
        """Find a session together with its user, likewise."""

    async def find(self, digest: bytes, user_id: UUID, stored: Stored | None = None) -> Session | None:
        """Find the session behind the digest of a token's secret, if it is that user's."""

    async def find_with_user(
        self, digest: bytes, user_id: UUID, stored: Stored | None = None
    ) -> tuple[Session | None, User | None]:
        """Find a session together with its user."""

    async def open(
        self,
        user_id: UUID,
        digest: bytes,
        created_at: datetime,
        expires_at: datetime,
        origin: Origin = ...,
        verified_hash: str | None = None,
    ) -> UUID | None:
        """Open a session and return its id; None when the account is gone, disabled, or has another hash by now."""

    async def end(self, digest: bytes, user_id: UUID) -> None:
        """End a session of a user for good."""

    async def forget(self, digest: bytes) -> None:
        """Make sure that no cache knows a session that is over."""


class DeviceStore(Protocol):
    """Where the sessions of a user are listed and ended."""

    async def of_user(self, user_id: UUID, page: Page, now: datetime) -> list[DeviceRow]:
        """List one page of the sessions of a user that are valid now."""

    async def end_one(self, session_id: UUID, user_id: UUID) -> bool:
        """End a session for good, if it is that user's; say whether there was one."""

    async def end_others(self, user_id: UUID, kept: UUID) -> None:
        """End all sessions of a user but one for good."""


class PresenceStore(Protocol):
    """Where it is kept when sessions were last seen."""

    async def touch(self, seen: Sequence[tuple[UUID, datetime]], now: datetime) -> None:
        """Write when sessions were last seen. One that is over by now stays over."""


class UserDirectory(Protocol):
    """Where all users are listed."""

    async def after(self, page: Page) -> list[ListedUser]:
        """List one page of users."""


class UserAdministration(Protocol):
    """Where users are changed on behalf of an administrator."""

    async def add(self, email: str, password_hash: str, role: str, now: datetime) -> UUID:
        """Create an account whose address is verified, or raise EmailTaken."""

    async def set_role(self, email: str, role: str) -> bool:
        """Change what a user may do; say whether there is such a user."""

    async def enable(self, email: str) -> bool:
        """Let a user log in again; say whether there is such a user."""

    async def disable(self, email: str, now: datetime) -> int | None:
        """Keep a user out and end all sessions; return how many there were, None without such a user."""


class Sweeper(Protocol):
    """Deletes rows that were over before a moment, at most so many, and says how many there were."""

    async def expired_sessions(self, before: datetime, limit: int) -> int:
        """Delete sessions past their absolute end."""

    async def idle_sessions(self, before: datetime, limit: int) -> int:
        """Look at the next so many sessions and delete those last seen before a moment."""

    async def expired_email_tokens(self, before: datetime, limit: int) -> int:
        """Delete mailed secrets that ran out."""


class MailQueue(Protocol):
    """Where mails wait to be sent."""

    async def ask(self, kind: str, recipient: str, now: datetime) -> None:
        """Ask for a mail to a normalised address. Whether it has an account is found out when it is sent."""


class VerificationStore(Protocol):
    """Where it is kept which addresses are verified."""

    async def verify(self, digest: bytes, now: datetime) -> bool:
        """Spend a mailed token and verify its owner's address; say whether there was one to spend."""

    async def is_verified(self, email: str) -> bool:
        """Say whether an account's address is verified."""


class CredentialStore(Protocol):
    """Where hashes of passwords are replaced."""

    async def of_user(self, user_id: UUID) -> Credential | None:
        """Return a user's address and hash; None when the account is gone or disabled."""

    async def change(self, user_id: UUID, old_hash: str, new_hash: str, kept: bytes, now: datetime) -> bool:
        """Replace a hash and end all sessions but one; say no when it is not the old one any more."""

    async def redeemable_by(self, digest: bytes, now: datetime) -> str | None:
        """Return the address whose password a mailed token could reset now; None when it could none."""

    async def reset(self, digest: bytes, new_hash: str, now: datetime) -> bool:
        """Spend a mailed token, replace its owner's hash and end all sessions; say whether there was one to spend."""


class PasswordHasher(Protocol):
    """Slow on purpose, and never on the event loop."""

    async def hash(self, password: str) -> str:
        """Hash a new password."""

    async def verify(self, encoded: str | None, password: str) -> bool:
        """Say whether a password matches; without a hash, do the same work and say no."""

    def outdated(self, encoded: str) -> bool:
        """Say whether a hash that a password was just verified against should be replaced now."""
