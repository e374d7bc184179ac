"""The frozen values that cross layers. Times are aware datetimes in UTC."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType


class Session(msgspec.Struct, frozen=True, array_like=True):
    """A login that can be checked. It is valid until ``expires_at`` unless it is ended before."""

    id: UUID
    user_id: UUID
    created_at: datetime
    expires_at: datetime


class Profile(msgspec.Struct, frozen=True):
    """What a person says of themselves."""

    name: str | None = None
    bio: str | None = None
    avatar_url: str | None = None
    locale: str | None = None
    timezone: str | None = None
    updated_at: datetime | None = None


class User(msgspec.Struct, frozen=True):
    """An account as its owner sees it."""

    id: UUID
    email: str
    email_verified: bool
    role: str
    created_at: datetime
    profile: Profile


class Account(msgspec.Struct, frozen=True):
    """An account as login sees it."""

    user: User
    password_hash: str
    disabled: bool


class ProfileChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The fields to change: UNSET leaves one as it is, None empties it."""

    name: str | UnsetType | None = UNSET
    bio: str | UnsetType | None = UNSET
    avatar_url: str | UnsetType | None = UNSET
    locale: str | UnsetType | None = UNSET
    timezone: str | UnsetType | None = UNSET


class Login(msgspec.Struct, frozen=True):
    """A session just opened, with the only copy of its token there will ever be."""

    token: str
    expires_at: datetime
    session_id: UUID
    user: User
