"""One value of each type that the API takes or gives; a test holds each to its schema."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from app.handlers.bodies import Credentials, Mailbox, MailToken, PasswordChange, PasswordReset, Registration
from app.listings import Device, DevicePage, ListedUser, UserPage
from app.services.health import Readiness
from app.values import Login, Profile, ProfileChange, User

_THEN = datetime(2026, 3, 14, 9, 26, 53, tzinfo=UTC)
_EMAIL = "ada@example.org"
_PASSWORD = "correct horse battery staple"  # noqa: S105 - an example
_NEW_PASSWORD = "a longer horse battery staple"  # noqa: S105 - the same
_MAIL_TOKEN = "EXAMPLE" * 5
_USER_ID = UUID("0195943a-70d2-7c3e-9c1a-5f0d6b1e2a47")
_SESSION_ID = UUID("0195943b-1f08-7d11-8a52-3f9b7c0d4e6f")
_END = datetime(2026, 4, 13, 9, 26, 53, tzinfo=UTC)
_PROFILE = Profile(name="Ada", bio="I count.", locale="en", timezone="Europe/London", updated_at=_THEN)
_USER = User(_USER_ID, _EMAIL, True, "user", _THEN, _PROFILE)  # noqa: FBT003 - as declared

EXAMPLES: dict[Any, Any] = {
    Registration: Registration(_EMAIL, _PASSWORD, "Ada"),
    Credentials: Credentials(_EMAIL, _PASSWORD),
    ProfileChange: ProfileChange(bio="I count.", timezone="Europe/London", avatar_url=None),
    User: _USER,
    Profile: _PROFILE,
    Login: Login("gw_" + "EXAMPLE" * 9 + "A", _END, _SESSION_ID, _USER),
    DevicePage: DevicePage(
        (Device(_SESSION_ID, _THEN, _THEN, _END, "203.0.113.7", "Firefox on Linux", current=True),), None
    ),
    UserPage: UserPage((ListedUser(_USER_ID, _EMAIL, True, "user", "Ada", _THEN, None),), _USER_ID),  # noqa: FBT003 - as declared
    MailToken: MailToken(_MAIL_TOKEN),
    Mailbox: Mailbox(_EMAIL),
    PasswordChange: PasswordChange(_PASSWORD, _NEW_PASSWORD),
    PasswordReset: PasswordReset(_MAIL_TOKEN, _NEW_PASSWORD),
    Readiness: Readiness("degraded", {"postgresql": "down", "redis": "ok"}),
    dict[str, str]: {"status": "ok"},
}
