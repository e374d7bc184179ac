"""Tokens, cookies and forms, as the gate judges them."""

from __future__ import annotations

import hmac

import pytest

from console.access import LIFETIME, LONGEST, Gate
from console.ports import Access

TOKEN = "a-console-token-of-26-chars"
HOSTS = frozenset({"localhost"})


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        """Start at some moment."""
        self.now = 1_795_378_651.0

    def __call__(self) -> float:
        """Return Unix seconds."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Give a clock that stands still."""
    return Clock()


@pytest.fixture
def gate(clock: Clock) -> Gate:
    """Give a gate on that clock."""
    return Gate(Access(TOKEN, HOSTS), clock=clock)


def test_only_the_token_opens(gate: Gate) -> None:
    """The token opens; its prefix, an extension, nothing and other characters do not."""
    assert gate.opens(TOKEN)
    assert not any(gate.opens(wrong) for wrong in ("", TOKEN[:-1], TOKEN + "x", "ü" * 22, "\ud800"))


def test_secrets_are_compared_in_constant_time(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever decides about a token, a cookie or a form is asked of the library that takes as long for a near miss."""
    cookie = gate.issue()
    monkeypatch.setattr(hmac, "compare_digest", lambda *_: False)
    assert not gate.opens(TOKEN)
    assert gate.expiry(cookie) is None
    assert not gate.form_is_ours(cookie, gate.form_token(cookie))


def test_a_weak_token_is_refused() -> None:
    """A token below 128 bits cannot be used at all."""
    with pytest.raises(ValueError, match="128 bits"):
        Gate(Access("short", HOSTS))


def test_a_cookie_ends_when_it_says(gate: Gate, clock: Clock) -> None:
    """A cookie is good until its last second and not after."""
    cookie = gate.issue()
    assert gate.expiry(cookie) == int(clock.now) + LIFETIME
    clock.now += LIFETIME
    assert gate.expiry(cookie) is None


def test_a_copied_cookie_is_worth_an_hour(gate: Gate, clock: Clock) -> None:
    """Renewing a visit gives a later cookie, and does nothing for the one that it replaces."""
    copied = gate.issue()
    clock.now += LIFETIME - 1
    renewed = gate.renew(copied)
    clock.now += 1
    assert LIFETIME <= 3600
    assert gate.expiry(copied) is None
    assert gate.expiry(renewed) == int(clock.now) - 1 + LIFETIME


def test_no_renewal_outlives_the_longest_visit(gate: Gate, clock: Clock) -> None:
    """However often a visit is renewed, it ends twelve hours after its beginning."""
    begun = int(clock.now)
    cookie = gate.issue()
    while clock.now < begun + LONGEST:
        assert gate.expiry(cookie) is not None
        cookie = gate.renew(cookie)
        clock.now += LIFETIME / 2
    assert gate.expiry(cookie) is None
    assert gate.expiry(gate.renew(cookie)) is None


def test_forms_outlive_a_renewal(gate: Gate, clock: Clock) -> None:
    """A form on a page that is open still belongs to its visit after the cookie was renewed."""
    cookie = gate.issue()
    clock.now += 60
    renewed = gate.renew(cookie)
    assert renewed != cookie
    assert gate.form_is_ours(renewed, gate.form_token(cookie))


def test_no_part_of_a_cookie_can_be_changed(gate: Gate) -> None:
    """A cookie with any one character changed, cut or added is no cookie."""
    cookie = gate.issue()
    for at, was in enumerate(cookie):
        changed = cookie[:at] + ("1" if was != "1" else "2") + cookie[at + 1 :]
        assert gate.expiry(changed) is None, at
    assert gate.expiry(cookie[:-1]) is None
    assert gate.expiry(cookie + "0") is None
    assert gate.expiry("") is None


def test_a_later_expiry_cannot_be_written_into_a_cookie(gate: Gate) -> None:
    """Moving the expiry breaks the signature."""
    version, begun, ends, rest = gate.issue().split(".", 3)
    assert gate.expiry(f"{version}.{begun}.{int(ends) + 1}.{rest}") is None
    assert gate.expiry(f"{version}.{int(begun) + 1}.{ends}.{rest}") is None


def test_another_token_ends_every_visit(gate: Gate, clock: Clock) -> None:
    """A cookie signed under one token is not accepted under another."""
    other = Gate(Access(TOKEN[::-1], HOSTS), clock=clock)
    assert other.expiry(gate.issue()) is None
    assert other.cookie_name != gate.cookie_name


def test_any_worker_accepts_a_cookie(gate: Gate, clock: Clock) -> None:
    """Two processes with the same token accept each other's cookies."""
    other = Gate(Access(TOKEN, HOSTS), clock=clock)
    assert other.expiry(gate.issue()) is not None


def test_cookies_differ(gate: Gate) -> None:
    """Two visits of the same second have different cookies and forms."""
    first, second = gate.issue(), gate.issue()
    assert first != second
    assert gate.form_token(first) != gate.form_token(second)


def test_a_form_belongs_to_its_visit(gate: Gate) -> None:
    """A form token of another visit, a changed one and none are refused."""
    first, second = gate.issue(), gate.issue()
    assert gate.form_is_ours(first, gate.form_token(first))
    assert not gate.form_is_ours(first, gate.form_token(second))
    assert not gate.form_is_ours(first, "")
    assert not gate.form_is_ours(first, "ü")


def test_the_cookie_does_not_carry_the_token(gate: Gate) -> None:
    """Neither cookie nor its name nor a form says the token."""
    cookie = gate.issue()
    assert TOKEN not in cookie + gate.cookie_name + gate.form_token(cookie)
