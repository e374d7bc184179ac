"""Mails as tests read them: from the folder of a worker, or from a real SMTP server that can be made to misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import email.policy
import re
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiosmtpd.smtp import SMTP, AuthResult

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from email.message import EmailMessage
    from pathlib import Path

    from aiosmtpd.smtp import Envelope, Session

PATIENCE = 60.0
"""Seconds in which what others do must have happened, however busy the machine is."""

_TOKEN = re.compile(r"#token=([A-Za-z0-9_-]{43})\s")


def read(content: bytes) -> EmailMessage:
    """Parse one mail."""
    return email.message_from_bytes(content, policy=email.policy.default)


def token_of(message: EmailMessage) -> str:
    """Return the token in a mail's link."""
    found = _TOKEN.search(message.get_content())
    assert found, message.get_content()
    return found[1]


async def until(holds: Callable[[], Any]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110 - what others do to files and servers sets no event
            await asyncio.sleep(0.02)


async def until_found(ask: Callable[[], Awaitable[Any]]) -> None:
    """Wait until a question is answered with something true."""
    async with asyncio.timeout(PATIENCE):
        while not await ask():  # noqa: ASYNC110 - a row sets no event
            await asyncio.sleep(0.05)


@dataclass
class Folder:
    """The folder that mails land in."""

    path: Path

    def all(self, recipient: str, subject: str) -> list[EmailMessage]:
        """Return mails by recipient and a word of their subject, oldest first."""
        messages = [read(path.read_bytes()) for path in sorted(self.path.glob("*.eml"))]
        return [m for m in messages if m["To"] == recipient and subject in m["Subject"]]

    async def nth(self, recipient: str, subject: str, number: int = 1) -> EmailMessage:
        """Wait for so many such mails and return the last."""
        await until(lambda: len(self.all(recipient, subject)) >= number)
        return self.all(recipient, subject)[number - 1]


@dataclass
class Postbox:
    """What an SMTP server was given, and what it does to certain recipients."""

    received: list[EmailMessage] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    hangs_up_on: set[str] = field(default_factory=set)
    connections: int = 0
    user: bytes = b""
    password: bytes = b""
    """What it asks for, if it asks."""
    slow: float = 0.0

    @property
    def recipients(self) -> list[str]:
        """Return who got something, in order."""
        return [str(message["To"]) for message in self.received]

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Answer RCPT TO."""
        del session, options
        if address in self.hangs_up_on:
            assert server.transport
            server.transport.close()
            return "421 go away"
        if address in self.refused:
            return f"550 no such user as {address}"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - the same
        """Take a mail."""
        del server, session
        await asyncio.sleep(self.slow)
        assert isinstance(envelope.content, bytes)
        self.received.append(read(envelope.content))
        return "250 OK"

    def _authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, given: Any
    ) -> AuthResult:
        del server, session, envelope, mechanism
        return AuthResult(success=(given.login, given.password) == (self.user, self.password))

    @contextlib.asynccontextmanager
    async def serving(self, port: int) -> AsyncIterator[None]:
        """Be reachable for a while."""

        def session() -> SMTP:
            self.connections += 1
            warnings.filterwarnings("ignore", "Requiring AUTH while not requiring TLS")  # it is loopback
            return SMTP(
                self,
                hostname="localhost",
                loop=asyncio.get_running_loop(),
                auth_required=bool(self.user),
                auth_require_tls=False,
                authenticator=self._authenticate,
            )

        server = await asyncio.get_running_loop().create_server(session, "127.0.0.1", port)
        try:
            yield
        finally:
            server.close()
