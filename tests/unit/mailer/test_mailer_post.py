"""Where mail goes."""

from __future__ import annotations

import pytest

from app.mailer.post import SmtpPost
from app.settings import Settings, SettingsError


@pytest.mark.parametrize(
    ("url", "post"),
    [
        ("smtp://mail.example.org", SmtpPost("mail.example.org", 25, None, None, tls=False, start_tls=False)),
        ("smtp://127.0.0.1:1025", SmtpPost("127.0.0.1", 1025, None, None, tls=False, start_tls=False)),
        ("smtp://a%40b:p%2Fw@mail.example.org?starttls", SmtpPost("mail.example.org", 587, "a@b", "p/w", tls=False, start_tls=True)),
        ("smtps://a:b@mail.example.org", SmtpPost("mail.example.org", 465, "a", "b", tls=True, start_tls=False)),
        ("smtps://[::1]:4465", SmtpPost("::1", 4465, None, None, tls=True, start_tls=False)),
    ],
)  # fmt: skip
def test_a_url_says_how_to_reach_a_server(url: str, post: SmtpPost) -> None:
    """Ports have their usual numbers, names and passwords may be escaped."""
    assert Settings.from_environment({"SMTP_URL": url}).smtp_url == url
    assert SmtpPost.at(url) == post


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SMTP_URL", "mail.example.org"), ("SMTP_URL", "http://mail.example.org"), ("SMTP_URL", "smtps://x?starttls"),
        ("SMTP_URL", "smtp://x?tls=no"), ("SMTP_URL", "smtp://ann:opensesame@mail.example.org"),
        ("GATEWATCH_SECRET", "opensesame"), ("GATEWATCH_MAIL_FROM", "nobody"), ("GATEWATCH_MAIL_FROM", "a@b\nBcc: c@d"),
        ("GATEWATCH_PUBLIC_URL", "app.example.org"), ("GATEWATCH_PUBLIC_URL", "https://x/#y"), ("GATEWATCH_PUBLIC_URL", "https://x/?y"),
    ],
)  # fmt: skip
def test_a_setting_that_could_do_harm_is_refused(name: str, value: str) -> None:
    """No password in the clear to another machine, no header in an address, no link that breaks; and no secret repeated."""
    with pytest.raises(SettingsError, match=name) as caught:
        Settings.from_environment({name: value})
    assert "opensesame" not in str(caught.value)


def test_links_begin_where_the_service_is_unless_told_otherwise() -> None:
    """An address that means everywhere is none to follow a link to."""
    assert Settings().link_base == "http://127.0.0.1:8000"
    assert Settings(host="0.0.0.0", port=9000).link_base == "http://127.0.0.1:9000"  # noqa: S104 - the claim itself
    assert Settings(host="::1").link_base == "http://[::1]:8000"
    url = "https://app.example.org/account/"
    assert Settings.from_environment({"GATEWATCH_PUBLIC_URL": url}).link_base == url.rstrip("/")
