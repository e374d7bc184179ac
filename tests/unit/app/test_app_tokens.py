"""Session tokens."""

from __future__ import annotations

import hashlib
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.security.tokens import Token, issue, parse

USER = UUID("01a204f8-377a-7558-a960-0f8b9d66ded1")


@given(st.uuids(), st.binary(min_size=32, max_size=32))
def test_a_token_reads_back_as_its_owner_and_the_hash_of_its_secret(user: UUID, secret: bytes) -> None:
    """Whatever the id and the secret, parsing gives what issuing kept."""
    text, kept = issue(user, lambda _: secret)
    assert parse(text) == kept == Token(user, hashlib.sha256(secret).digest())


def test_a_token_has_256_random_bits_and_does_not_show_what_is_stored() -> None:
    """The secret is asked for in full, and neither it nor its hash can be read off the other's text."""
    asked: list[int] = []

    def entropy(size: int) -> bytes:
        asked.append(size)
        return b"s" * size

    text, kept = issue(USER, entropy)
    assert asked == [32]
    assert kept.digest.hex() not in text
    assert issue(USER)[0] != issue(USER)[0]


@pytest.mark.parametrize(
    "text", ["", "gw_", "gw_" + "A" * 63, "gw_" + "A" * 65, "xx_" + "A" * 64, "gw_" + "*" * 64, "gw_" + "é" * 64]
)
def test_what_is_no_token_is_none(text: str) -> None:
    """Wrong length, prefix or alphabet is told by None, never by an exception."""
    assert parse(text) is None


@given(st.text(max_size=80))
def test_any_text_can_be_parsed(text: str) -> None:
    """Strangers may send what they like."""
    parse(text)
    parse("gw_" + text)
