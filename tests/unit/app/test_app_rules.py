"""What values are accepted."""

from __future__ import annotations

import pytest
from msgspec import UNSET

from app.errors import InvalidFields
from app.services import rules
from app.values import ProfileChange


@pytest.mark.parametrize("text", ["12345678", "x" * 256, "パスワード長い文", " " * 8])
def test_a_password_needs_length_and_nothing_else(text: str) -> None:
    """No rule says what a password is made of."""
    assert rules.PasswordRule(8)(text) == text


@pytest.mark.parametrize("text", ["", "1234567", "x" * 257, "é" * 129])
def test_a_password_too_short_or_too_long_to_hash_is_refused(text: str) -> None:
    """Shortest counts characters, longest counts the bytes that are hashed."""
    with pytest.raises(ValueError, match="must have at"):
        rules.PasswordRule(8)(text)


def test_a_change_keeps_what_is_unset_and_empties_what_is_null() -> None:
    """Only the fields that were sent are checked and changed."""
    change = rules.profile_change(ProfileChange(name=" Ann ", bio=None))
    assert change == ProfileChange(name="Ann", bio=None)
    assert change.locale is UNSET


def test_every_broken_field_is_named_at_once() -> None:
    """A caller need not learn of them one by one."""
    with pytest.raises(InvalidFields) as caught:
        rules.profile_change(
            ProfileChange(name="", bio="x" * 1001, avatar_url="http://x.org", locale="?", timezone="Moon")
        )
    assert [error.field for error in caught.value.errors] == ["name", "bio", "avatar_url", "locale", "timezone"]


def test_a_change_of_nothing_is_refused() -> None:
    """An empty body is a mistake worth telling."""
    with pytest.raises(InvalidFields, match="at least one of"):
        rules.profile_change(ProfileChange())


@pytest.mark.parametrize("url", ["https://example.org/a.png", "https://example.org:8443/?q=1"])
def test_an_https_url_is_an_avatar(url: str) -> None:
    """Any https URL will do."""
    assert rules.avatar_url(url) == url


@pytest.mark.parametrize(
    "url", ["http://x.org", "https://", "https://[", "data:image/png,x", "https://x.org/a b", "https://x.org/\n"]
)
def test_anything_else_is_no_avatar(url: str) -> None:
    """A page that shows avatars must be able to trust the scheme."""
    with pytest.raises(ValueError, match="https URL"):
        rules.avatar_url(url)


@pytest.mark.parametrize("tag", ["en", "pt-BR", "zh-Hant-TW"])
def test_a_language_tag_is_a_locale(tag: str) -> None:
    """BCP 47."""
    assert rules.locale(tag) == tag
