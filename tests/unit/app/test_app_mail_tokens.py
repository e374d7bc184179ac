"""Tokens sent by mail."""

from __future__ import annotations

import hashlib
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.security.mail_tokens import MailTokens, digest_of

SECRET = "s" * 43


def test_a_token_is_derived_and_never_changes() -> None:
    """The same secret and row give the same token for ever: a mail that is repeated carries the same link."""
    assert MailTokens(SECRET).text(UUID(int=1)) == "PJuOdRQxEF2bnLifOM15gPWfXSh03B4d0FfKIeHysP0"


@given(st.uuids())
def test_what_is_stored_is_found_by_what_is_brought(token_id: UUID) -> None:
    """The digest of a token's text is the digest that was stored, and is not the token."""
    tokens = MailTokens(SECRET)
    text = tokens.text(token_id)
    assert len(text) == 43
    assert digest_of(text) == tokens.digest(token_id)
    assert tokens.digest(token_id) != hashlib.sha256(text.encode()).digest()


def test_another_secret_or_row_gives_another_token() -> None:
    """Who knows a row's id and not the secret knows nothing."""
    row = uuid4()
    assert len({MailTokens(SECRET).text(row), MailTokens("t" * 43).text(row), MailTokens(SECRET).text(uuid4())}) == 3


@pytest.mark.parametrize("text", ["", "x", "A" * 42, "A" * 44, "!" * 43, "é" * 43, "A" * 42 + "B", "A" * 42 + "="])
def test_what_is_no_token_is_none(text: str) -> None:
    """Another length, another alphabet, or another spelling of the same bits is not looked up."""
    assert digest_of(text) is None
