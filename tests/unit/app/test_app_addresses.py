"""One spelling for one mailbox."""

from __future__ import annotations

import pytest
from email_validator import EmailNotValidError
from hypothesis import given
from hypothesis import strategies as st

from app.security.addresses import normalise


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("  Ann@Example.ORG ", "ann@example.org"),
        ("ann@xn--bcher-kva.de", "ann@bücher.de"),
        ("ann@BÜCHER.de", "ann@bücher.de"),
        ("a.b+c@example.org", "a.b+c@example.org"),
        ("u17.20261122@load.invalid", "u17.20261122@load.invalid"),
        ("U17@LOAD.INVALID", "u17@load.invalid"),
    ],
)
def test_an_address_is_written_one_way(written: str, normal: str) -> None:
    """Space, case and the spelling of international names make no difference, and twice is the same as once."""
    assert normalise(written) == normal
    assert normalise(normal) == normal


@pytest.mark.parametrize(
    "written",
    ["", "@", "ann", "ann@", "@example.org", "a b@example.org", "ann@example", "ann@exa mple.org", "ann@[127.0.0.1]",
     "ann@example.invalid", "ann@x.load.invalid", "a\0b@load.invalid", "x" * 65 + "@example.org", "ann@" + "x" * 300 + ".org"],
)  # fmt: skip
def test_what_is_no_address_is_refused_in_words(written: str) -> None:
    """The message is a sentence for a person."""
    with pytest.raises(ValueError, match=r"\w+ \w+"):
        normalise(written)


def test_an_address_is_never_longer_than_smtp_can_carry() -> None:
    """Small letters may take more bytes than capital ones."""
    fits, grows = "i" * 60, "\u0130" * 60
    rest = "@" + ".".join(["x" * 62] * 2) + ".org"
    assert normalise(fits + rest)
    with pytest.raises(ValueError, match="longer than 254 bytes"):
        normalise(grows + rest)


def test_what_is_far_too_long_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library takes a third of a second for 64 KB of the right characters, and the event loop waits; what pads an address is not remembered either."""
    seen: list[str] = []

    def look(text: str, **_: object) -> None:
        seen.append(text)
        raise EmailNotValidError("it was looked at")

    monkeypatch.setattr("app.security.addresses.validate_email", look)
    for written in ("a" + "\u0301" * 30_000 + "@example.org", " " * 60_000 + "pad@example.org"):
        with pytest.raises(ValueError, match=r"longer than 254 bytes|it was looked at"):
            normalise(written)
    assert seen == ["pad@example.org"]


@given(st.text(max_size=40))
def test_any_text_is_an_address_or_a_value_error(text: str) -> None:
    """Nothing else can come out, whatever goes in; what does come out is stable."""
    for written in (text, f"{text}@load.invalid"):
        try:
            normal = normalise(written)
        except ValueError:
            continue
        assert normalise(normal) == normal
