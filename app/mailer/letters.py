"""What mails say: plain text, one purpose each."""

from __future__ import annotations

from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from typing import TYPE_CHECKING

from email_validator import EmailNotValidError, validate_email

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID


@dataclass(frozen=True, slots=True)
class Text:
    """A kind of mail. ``page`` is where its link leads, if it has one."""

    subject: str
    body: str
    page: str | None = None


TEXTS = {
    "verify": Text(
        "Confirm your email address",
        """\
Somebody, hopefully you, opened an account with this email address.
To confirm that the address is yours, open this link within {hours}:

{link}

If it was not you, do nothing: the address stays unconfirmed.
""",
        "/verify-email",
    ),
    "reset": Text(
        "Choose a new password",
        """\
Somebody, hopefully you, asked to replace the password of your account.
To choose a new one, open this link within {hours}:

{link}

The link works once. If it was not you, do nothing: your password stays as
it is.
""",
        "/reset-password",
    ),
    "password-changed": Text(
        "Your password was changed",
        """\
The password of your account was just changed, and other devices were
logged out.

If it was not you, ask for a new password at once:

{home}
""",
    ),
    "account-exists": Text(
        "You have an account already",
        """\
Somebody, hopefully you, tried to open an account with this email address.
There is one already, so nothing was changed. You can log in, or ask for a
new password if you have forgotten yours:

{home}

If it was not you, do nothing.
""",
    ),
}
WITH_TOKEN = frozenset(kind for kind, text in TEXTS.items() if text.page is not None)


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail ready to leave: addresses as SMTP takes them, and the message."""

    id: UUID
    sender: str
    recipient: str
    message: EmailMessage


class Letters:
    """Writes mails. Links begin with ``public_url``, whatever a request's Host header said."""

    def __init__(self, *, public_url: str, sender: str) -> None:
        self._public_url = public_url.rstrip("/")
        self._name, self._sender = parseaddr(sender)

    def write(
        self, mail_id: UUID, kind: str, recipient: str, now: datetime, *, token: str = "", lifetime: float = 0
    ) -> Letter:
        """Write one. ``lifetime`` says in seconds how long its link works; KeyError for a kind that there is not."""
        text = TEXTS[kind]
        address = _as_ascii(recipient)
        message = EmailMessage(policy=SMTP.clone(utf8=not address.isascii()))
        message["From"] = Address(self._name, addr_spec=self._sender)
        message["To"] = address
        message["Subject"] = text.subject
        message["Date"] = format_datetime(now)
        # The same mail sent twice has the same name, so that mail programs can show it once.
        message["Message-ID"] = f"<{mail_id}@{self._sender.rpartition('@')[2]}>"
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's holiday notice shall answer
        # The token is in the fragment: browsers send that to no server, so that it is in no log.
        link = f"{self._public_url}{text.page}#token={token}"
        message.set_content(text.body.format(link=link, home=self._public_url, hours=_spell(lifetime)), cte="7bit")
        return Letter(mail_id, self._sender, address, message)


def _spell(seconds: float) -> str:
    """Say a duration in the largest unit that keeps it at two or more, rounded down."""
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length:.0f} {unit}"
    return f"{seconds:.0f} seconds"


def _as_ascii(address: str) -> str:
    """Spell an address for servers that know ASCII alone, when it can be (its domain always can)."""
    try:
        return validate_email(address, check_deliverability=False).ascii_email or address
    except EmailNotValidError:
        return address
