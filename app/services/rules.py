"""What values are accepted: one function a field, each raising ValueError with a sentence for the caller."""

from __future__ import annotations

import re
import zoneinfo
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from app.errors import FieldError, InvalidFields
from app.security.addresses import normalise
from app.security.blocklist import folded
from app.security.passwords import canonical
from app.values import (
    HTTPS_URL,
    LANGUAGE_TAG,
    LONGEST_BIO,
    LONGEST_NAME,
    LONGEST_URL,
    ONE_LINE,
    SOME_LINES,
    ProfileChange,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Container

_ONE_LINE = re.compile(ONE_LINE)
_SOME_LINES = re.compile(SOME_LINES)
_HTTPS_URL = re.compile(HTTPS_URL)
_LANGUAGE_TAG = re.compile(LANGUAGE_TAG)

email = normalise

SERVICE = "gatewatch"


@dataclass(frozen=True, slots=True)
class PasswordRule:
    """A new password: long enough, not too long to hash, not what everybody guesses first. What it is made of is nobody's business (NIST SP 800-63B-4)."""

    shortest: int
    common: Container[str] = ()

    def __call__(self, text: str, email: str = "") -> str:
        """Accept a password for the account of an address."""
        if len(text) < self.shortest:
            raise ValueError(f"must have at least {self.shortest} characters")
        canonical(text)
        if folded(text) in {folded(email), folded(email.partition("@")[0]), SERVICE}:
            raise ValueError("must not be your address or the name of this service")
        if text in self.common:
            raise ValueError(
                "is one of the most common passwords, which are guessed first; take one that nobody else has"
            )
        return text


def name(text: str) -> str:
    """A display name: one line."""
    if not text.strip():
        raise ValueError("must not be empty; null takes it away")
    if len(text) > LONGEST_NAME:
        raise ValueError(f"must have at most {LONGEST_NAME} characters")
    if not _ONE_LINE.fullmatch(text):
        raise ValueError("must not contain control characters")
    return text.strip()


def bio(text: str) -> str:
    """A text of some lines."""
    if len(text) > LONGEST_BIO:
        raise ValueError(f"must have at most {LONGEST_BIO} characters")
    if not _SOME_LINES.fullmatch(text):
        raise ValueError("must not contain control characters")
    return text


def avatar_url(text: str) -> str:
    """An https URL."""
    if len(text) > LONGEST_URL:
        raise ValueError(f"must have at most {LONGEST_URL} characters")
    if not _HTTPS_URL.fullmatch(text):
        raise ValueError("must be an https URL")
    return text


def locale(text: str) -> str:
    """A language tag (BCP 47)."""
    if not _LANGUAGE_TAG.fullmatch(text):
        raise ValueError("must be a language tag like en or pt-BR")
    return text


def timezone(text: str) -> str:
    """A name of the IANA time zone database."""
    if text not in _timezones():
        raise ValueError("must be an IANA time zone like Europe/Berlin")
    return text


@cache
def _timezones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


class Verdicts:
    """Collects what is wrong with each field, so that a caller learns everything at once."""

    def __init__(self) -> None:
        self._errors: list[FieldError] = []

    def take(self, field: str, rule: Callable[[str], str], value: str) -> str:
        """Apply a rule; note what it says against the value."""
        try:
            return rule(value)
        except ValueError as error:
            self._errors.append(FieldError(field, str(error)))
            return ""

    def settle(self) -> None:
        """Raise InvalidFields if anything was wrong."""
        if self._errors:
            raise InvalidFields(*self._errors)


def required_email(text: str) -> str:
    """Normalise the address that a body is about; raise InvalidFields when it is none."""
    verdicts = Verdicts()
    address = verdicts.take("email", email, text)
    verdicts.settle()
    return address


_PROFILE: dict[str, Callable[[str], str]] = {
    "name": name,
    "bio": bio,
    "avatar_url": avatar_url,
    "locale": locale,
    "timezone": timezone,
}


def profile_change(change: ProfileChange) -> ProfileChange:
    """Apply every field's rule to a change; raise InvalidFields when it breaks one or changes nothing."""
    verdicts = Verdicts()
    checked: dict[str, Any] = {}
    for field, rule in _PROFILE.items():
        value = getattr(change, field)
        if value is UNSET:
            continue
        checked[field] = value if value is None else verdicts.take(field, rule, value)
    verdicts.settle()
    if not checked:
        raise InvalidFields(FieldError("", "at least one of " + ", ".join(_PROFILE) + " is needed"))
    return ProfileChange(**checked)
