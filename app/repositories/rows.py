"""From rows to values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from app.values import Profile, Session, User

if TYPE_CHECKING:
    from datetime import datetime, timedelta

USER_COLUMNS = """
    u.id AS user_id, u.email, u.email_verified_at IS NOT NULL AS email_verified, u.role, u.created_at AS user_created_at,
    p.name, p.bio, p.avatar_url, p.locale, p.timezone, p.updated_at
"""
"""What makes a User, of users AS u joined with profiles AS p."""

PROFILE_FIELDS = ("name", "bio", "avatar_url", "locale", "timezone")


def user_of(row: dict[str, Any]) -> User:
    """Make a User of a row with USER_COLUMNS."""
    return User(
        id=row["user_id"],
        email=row["email"],
        email_verified=row["email_verified"],
        role=row["role"],
        created_at=row["user_created_at"],
        profile=profile_of(row),
    )


def profile_of(row: dict[str, Any]) -> Profile:
    """Make a Profile of a row with its columns."""
    return Profile(**{name: row[name] for name in PROFILE_FIELDS}, updated_at=row["updated_at"])


def session_of(row: dict[str, Any], idle: timedelta) -> Session:
    """Make a Session of a row; it is over when it has not been used for ``idle``."""
    return Session(
        id=row["session_id"],
        user_id=row["user_id"],
        created_at=row["created_at"],
        expires_at=end_of(row, idle),
        last_seen_at=row["last_seen_at"],
    )


def end_of(row: dict[str, Any], idle: timedelta) -> datetime:
    """Return when a session is over if it is not used again: its absolute end, or the end of its idle time."""
    end: datetime = min(row["expires_at"], row["last_seen_at"] + idle)
    return end
