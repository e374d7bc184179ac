"""People, their logins and their mails, as the service ought to know them: the model of the state machine."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from app.services.presence import GRAIN

LIFETIME = timedelta(days=30)
IDLE = timedelta(days=14) + GRAIN
"""A session is written as seen once in a grain, so it is known to be idle that much later."""

TOKEN_LIVES = {"verify": timedelta(days=1), "reset": timedelta(hours=1)}
FIELDS = ("name", "bio", "avatar_url", "locale", "timezone")


@dataclass(eq=False)
class Login:
    """A session. ``ended`` is that somebody ended it; its time may be over as well."""

    id: str
    token: str = field(repr=False)
    client: str
    created: datetime
    seen: datetime
    ended: bool = False

    def is_live(self, now: datetime) -> bool:
        """Say whether it is to be accepted."""
        return not self.ended and now < min(self.created + LIFETIME, self.seen + IDLE)

    def see(self, now: datetime) -> None:
        """Use it, and write that down."""
        if self.is_live(now) and now - self.seen >= GRAIN:
            self.seen = now


@dataclass(eq=False)
class Mailed:
    """A token that came by mail."""

    text: str = field(repr=False)
    purpose: str
    expires: datetime
    spent: bool = False

    def is_good(self, now: datetime) -> bool:
        """Say whether it can be redeemed."""
        return not self.spent and now < self.expires


@dataclass(eq=False)
class Person:
    """An account with all that hangs on it."""

    email: str
    id: str = field(repr=False)
    password: str = field(repr=False)
    profile: dict[str, Any] = field(repr=False, default_factory=dict)
    verified: bool = False
    admin: bool = False
    disabled: bool = False
    logins: list[Login] = field(repr=False, default_factory=list)
    mailed: list[Mailed] = field(repr=False, default_factory=list)

    def live(self, now: datetime) -> list[Login]:
        """Return the sessions that are valid, oldest first."""
        return [login for login in self.logins if login.is_live(now)]

    def end(self, *, but: Login | None = None) -> None:
        """End all sessions but one, or all."""
        for login in self.logins:
            login.ended = login.ended or login is not but

    def spend(self, purpose: str) -> None:
        """Make every token of a purpose worthless."""
        for mailed in self.mailed:
            mailed.spent = mailed.spent or mailed.purpose == purpose

    def get(self, purpose: str, text: str, now: datetime) -> None:
        """Receive a token, which takes the place of older ones."""
        self.spend(purpose)
        self.mailed.append(Mailed(text, purpose, now + TOKEN_LIVES[purpose]))

    def shown(self) -> dict[str, Any]:
        """Return what the person is shown of the account; when it was opened is left out."""
        return {
            "id": self.id,
            "email": self.email,
            "email_verified": self.verified,
            "role": "admin" if self.admin else "user",
            "profile": {name: self.profile.get(name) for name in FIELDS},
        }
