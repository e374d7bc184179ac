"""What mails say."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from app.mailer.letters import TEXTS, WITH_TOKEN, Letters

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LETTERS = Letters(public_url="https://app.example.org/", sender="Example Team <team@example.org>")


@pytest.mark.parametrize("kind", TEXTS)
def test_every_mail_is_short_plain_text_with_its_headers(kind: str) -> None:
    """Lines fit a screen (but for a link's), and nobody's holiday notice answers."""
    letter = LETTERS.write(UUID(int=7), kind, "ann@example.org", NOW, token="T" * 43, lifetime=3600)
    message = letter.message
    assert (letter.sender, letter.recipient) == ("team@example.org", "ann@example.org")
    assert message["From"] == "Example Team <team@example.org>"
    assert message["To"] == "ann@example.org"
    assert message["Message-ID"] == f"<{UUID(int=7)}@example.org>"
    assert message["Date"] == "Fri, 02 Jan 2026 03:04:05 +0000"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_content_type() == "text/plain"
    lines = message.get_content().splitlines()
    assert len(lines) < 15
    assert all(len(line) <= 76 for line in lines if not line.startswith("https://"))
    assert "{" not in message.get_content()


@pytest.mark.parametrize(("kind", "page"), [("verify", "/verify-email"), ("reset", "/reset-password")])
def test_a_token_is_in_the_fragment_of_a_link(kind: str, page: str) -> None:
    """Under the public URL, behind the # that browsers send to no server."""
    content = LETTERS.write(UUID(int=7), kind, "ann@example.org", NOW, token="T" * 43, lifetime=1).message.get_content()
    assert f"\nhttps://app.example.org{page}#token={'T' * 43}\n" in content


def test_other_mails_carry_no_token() -> None:
    """Only the kinds that need one."""
    assert set(WITH_TOKEN) == {"verify", "reset"}
    for kind in TEXTS.keys() - WITH_TOKEN:
        assert "T" * 43 not in str(LETTERS.write(UUID(int=7), kind, "ann@example.org", NOW, token="T" * 43).message)


@pytest.mark.parametrize(
    ("seconds", "words"), [(60, "60 seconds"), (1800, "30 minutes"), (3600, "60 minutes"), (86400, "24 hours"), (259200, "3 days")]
)  # fmt: skip
def test_the_time_that_is_left_is_said_in_words(seconds: float, words: str) -> None:
    """In the largest unit that keeps it plural."""
    content = LETTERS.write(UUID(int=7), "reset", "ann@example.org", NOW, lifetime=seconds).message.get_content()
    assert f"within {words}:" in content


def test_a_domain_of_other_letters_is_spelled_for_every_server() -> None:
    """An internationalised domain travels in ASCII; an internationalised local part cannot, and is kept."""
    assert LETTERS.write(UUID(int=7), "reset", "ann@bücher.example", NOW).recipient == "ann@xn--bcher-kva.example"
    assert LETTERS.write(UUID(int=7), "reset", "änn@example.org", NOW).recipient == "änn@example.org"
