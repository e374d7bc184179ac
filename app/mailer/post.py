"""Two ways for mail to leave: an SMTP server, or files in a folder for those who have none."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self
from urllib.parse import parse_qs, unquote, urlsplit

import aiosmtplib

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from app.mailer.letters import Letter

PATIENCE = 10.0
"""Seconds that a mail server has for each of its answers."""


class NotAccepted(Exception):
    """This mail was not taken; the way is open for others. The message repeats nothing that a server said."""


class WayClosed(Exception):
    """No mail can leave this way now. The message repeats nothing that a server said."""


class Delivery(Protocol):
    """An open way."""

    async def __call__(self, letter: Letter) -> None:
        """Hand one mail over. Raises NotAccepted, or WayClosed."""


class Post(Protocol):
    """A way for mail to leave."""

    def open(self) -> AbstractAsyncContextManager[Delivery]:
        """Open it for a batch. Raises WayClosed."""


@dataclass(frozen=True, slots=True)
class SmtpPost:
    """An SMTP server; one connection a batch."""

    host: str
    port: int
    user: str | None
    password: str | None
    tls: bool
    start_tls: bool

    @classmethod
    def at(cls, url: str) -> Self:
        """Read smtp://user:password@host:port; smtps:// for TLS from the first byte, ?starttls for TLS after a greeting."""
        parts = urlsplit(url)
        tls = parts.scheme == "smtps"
        start_tls = "starttls" in parse_qs(parts.query, keep_blank_values=True)
        usual = 465 if tls else 587 if start_tls else 25
        return cls(
            host=parts.hostname or "localhost",
            port=parts.port or usual,
            user=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            tls=tls,
            start_tls=start_tls,
        )

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[Delivery]:
        """Connect, and part politely."""
        client = aiosmtplib.SMTP(
            hostname=self.host,
            port=self.port,
            username=self.user,
            password=self.password,
            use_tls=self.tls,
            start_tls=self.start_tls,
            local_hostname=socket.gethostname() or "localhost",
            timeout=PATIENCE,
        )
        try:
            await client.connect()
        except (OSError, ValueError, aiosmtplib.SMTPException) as error:
            client.close()
            raise WayClosed(_reason(error)) from None

        async def deliver(letter: Letter) -> None:
            try:
                await client.send_message(letter.message, sender=letter.sender, recipients=[letter.recipient])
            except (aiosmtplib.SMTPServerDisconnected, aiosmtplib.SMTPTimeoutError, OSError) as error:
                raise WayClosed(_reason(error)) from None
            except (ValueError, aiosmtplib.SMTPException) as error:
                # Some servers hang up with their refusal; it was about this mail all the same.
                raise NotAccepted(_reason(error)) from None

        try:
            yield deliver
            # Who is told to stop in the middle just hangs up: a slow farewell would cost the time to note what was sent.
            with contextlib.suppress(OSError, aiosmtplib.SMTPException):
                await client.quit()
        finally:
            client.close()


@dataclass(frozen=True, slots=True)
class FolderPost:
    """A folder in which every mail is a file, readable by its owner alone."""

    folder: Path

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[Delivery]:
        """Make the folder."""
        try:
            await asyncio.to_thread(self.folder.mkdir, mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise WayClosed(_reason(error)) from None
        yield self._deliver

    async def _deliver(self, letter: Letter) -> None:
        try:
            await asyncio.to_thread(self._write, f"{letter.id}.eml", letter.message.as_bytes())
        except OSError as error:
            raise WayClosed(_reason(error)) from None

    def _write(self, name: str, content: bytes) -> None:
        """Write a file of mode 0600 that is there whole or not at all."""
        unfinished = self.folder / f".{name}.{os.getpid()}"
        unfinished.unlink(missing_ok=True)
        try:
            with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # noqa: PTH123 - private from its first byte
                file.write(content)
            unfinished.replace(self.folder / name)
        finally:
            unfinished.unlink(missing_ok=True)


def _reason(error: Exception) -> str:
    """Say why in words that name nobody: what a server says may repeat the recipient's address."""
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        codes = sorted({refused.code for refused in error.recipients})
        return f"recipient refused ({', '.join(map(str, codes))})"
    code = getattr(error, "code", None)
    return f"{type(error).__name__} ({code})" if code else type(error).__name__
