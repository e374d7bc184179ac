"""The frozen values that cross layers. Times are aware datetimes in UTC."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

LONGEST_NAME = 100
LONGEST_BIO = 1000
LONGEST_URL = 2048
ONE_LINE = r"^[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*$"
SOME_LINES = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$"
_URL_PART = r"([A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*"
HTTPS_URL = (
    r"^https://[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?(:[0-9]{1,5})?"
    rf"(/{_URL_PART})?(\?{_URL_PART})?(#{_URL_PART})?$"
)
LANGUAGE_TAG = r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,4}$"
"""Patterns that Python's ``fullmatch`` and JSON Schema (ECMA-262) read alike."""


def shown(**schema: object) -> msgspec.Meta:
    """Put constraints into the API's documentation.

    They are shown here and enforced by ``services.rules`` from the same constants: a rule names every broken field at
    once, where a decoder would stop at the first.
    """
    return msgspec.Meta(extra_json_schema=schema)


Name = Annotated[
    str,
    shown(maxLength=LONGEST_NAME, pattern=ONE_LINE, description="One line, not blank, without control characters."),
]
Bio = Annotated[
    str,
    shown(maxLength=LONGEST_BIO, pattern=SOME_LINES, description="No control characters but tabs and line breaks."),
]
AvatarUrl = Annotated[
    str,
    shown(format="uri", maxLength=LONGEST_URL, pattern=HTTPS_URL, description="An https URL without user information."),
]
Locale = Annotated[str, shown(pattern=LANGUAGE_TAG, description="A language tag like en or pt-BR (BCP 47).")]
Timezone = Annotated[
    str,
    shown(format="iana-time-zone", description="An IANA time zone like Europe/Berlin."),
]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]


ADMIN = "admin"
"""The role of those who may see and change other people's accounts."""


class Session(msgspec.Struct, frozen=True, array_like=True):
    """A login that can be checked. It is valid until ``expires_at`` unless it is used or ended before.

    ``expires_at`` is the earlier of its absolute end and the end of its idle time, which counts from ``last_seen_at``.
    """

    id: UUID
    user_id: UUID
    created_at: datetime
    expires_at: datetime
    last_seen_at: datetime


class Profile(msgspec.Struct, frozen=True):
    """What a person says of themselves."""

    name: Name | None = None
    bio: Bio | None = None
    avatar_url: AvatarUrl | None = None
    locale: Locale | None = None
    timezone: Timezone | None = None
    updated_at: Moment | None = None


class User(msgspec.Struct, frozen=True):
    """An account as its owner sees it."""

    id: UUID
    email: str
    email_verified: bool
    role: str
    created_at: Moment
    profile: Profile


class Account(msgspec.Struct, frozen=True):
    """An account as login sees it."""

    user: User
    password_hash: str
    disabled: bool


class Credential(msgspec.Struct, frozen=True):
    """What a password is checked against, and whose it is."""

    email: str
    password_hash: str


class ProfileChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The fields to change: one that is left out stays as it is, null empties one."""

    name: Name | UnsetType | None = UNSET
    bio: Bio | UnsetType | None = UNSET
    avatar_url: AvatarUrl | UnsetType | None = UNSET
    locale: Locale | UnsetType | None = UNSET
    timezone: Timezone | UnsetType | None = UNSET


class Login(msgspec.Struct, frozen=True):
    """A session just opened, with the only copy of its token there will ever be."""

    token: str
    expires_at: Moment
    session_id: UUID
    user: User
