"""One TCP connection and the answer that comes over it, taken apart as it comes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal, Protocol, cast

import httptools

if TYPE_CHECKING:
    from collections.abc import Callable

Failure = Literal[
    "",
    "connect",
    "tls",
    "connect timeout",
    "send timeout",
    "first byte timeout",
    "timeout",
    "reset",
    "half answer",
    "garbage",
    "abandoned",
]
"""Why there is no answer: no connection, or none that TLS trusts; a phase took too long, or the whole; connection closed before a
byte of the answer, or in the middle of it; not HTTP, or too large; given up because the run was aborted. Empty when there is
an answer."""

BODY_LIMIT = 1 << 20
"""Bytes of one answer's body; an answer past it is garbage, so that no target can fill our memory."""

_HEAD_LIMIT = 1 << 16
_SWITCHING = 101
_FINAL = 200


class Owner(Protocol):
    """Whoever is told how an exchange ended."""

    def finish(self, failure: Failure, now: float, detail: str = "") -> None:
        """Take the answer, which the wire holds, or the failure."""


class Wire(asyncio.Protocol):
    """One connection, used for one exchange at a time. It tells its owner, and never hears of time or users.

    Headers are not parsed one by one, which would cost more than all the rest: the head is kept as it came.
    """

    def __init__(self, owner: Owner, clock: Callable[[], float]) -> None:
        self._owner = owner
        self._clock = clock
        self._parser = httptools.HttpResponseParser(self)
        self._feed = self._parser.feed_data
        self._transport: asyncio.Transport | None = None
        self._busy = False
        self.first, self.status, self.head, self.body = 0.0, 0, b"", b""
        self._headed = self._complete = self._keep = self._surplus = False

    @property
    def usable(self) -> bool:
        """Whether another request may be written."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def unsent(self) -> bool:
        """Whether part of the request is still here, because the other side takes no more."""
        return self._transport is not None and self._transport.get_write_buffer_size() > 0

    def write(self, payload: bytes) -> None:
        """Send one request; the connection must be usable."""
        self._busy = True
        self.first, self.status, self.head, self.body = 0.0, 0, b"", b""
        self._headed = self._complete = self._keep = self._surplus = False
        assert self._transport is not None  # noqa: S101 - tells the type checker what `usable` promised
        self._transport.write(payload)

    def abort(self) -> None:
        """Drop the connection at once; the owner will not hear of it."""
        self._busy = False
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Stamp and parse; bytes that nobody asked for end the connection."""
        if not self._busy:
            self.abort()
            return
        now = self._clock()
        if not self.first:
            self.first = now
        if not self._headed:
            self.head = self.head + data if self.head else data
        try:
            self._feed(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self._complete:
                self._end("garbage", now, str(error))
                return
            self._surplus = True  # The answer itself was whole; only what followed it was not.
        if self._complete:
            self._end("", now, keep=self._keep and not self._surplus)
        elif len(self.body) > BODY_LIMIT:
            self._end("garbage", now, f"body of more than {BODY_LIMIT} bytes")
        elif not self._headed and len(self.head) > _HEAD_LIMIT:
            self._end("garbage", now, f"head of more than {_HEAD_LIMIT} bytes")

    def connection_lost(self, exc: Exception | None) -> None:
        """Say what the loss means for the exchange under way, if there is one."""
        if not self._busy:
            return
        now = self._clock()
        if exc is None and self.status >= _FINAL and not _framed(self.head):
            self._end("", now, keep=False)  # An answer without a length ends where the connection ends.
        else:
            self._end("half answer" if self.first else "reset", now, str(exc or "the connection was closed"))

    def _end(self, failure: Failure, now: float, detail: str = "", *, keep: bool = False) -> None:
        self._busy = False
        if not keep and self._transport is not None:
            self._transport.abort()
        self._owner.finish(failure, now, detail)

    def on_message_begin(self) -> None:
        """Notice a message that follows a complete answer."""
        self._surplus = self._complete

    def on_headers_complete(self) -> None:
        """Take the status; the first complete answer is the one that counts."""
        if not self._complete:
            self.status = self._parser.get_status_code()
            self._headed = self.status >= _FINAL

    def on_body(self, body: bytes) -> None:
        """Keep the body; its limit is looked at with each piece that comes."""
        if not self._complete:
            self.body = self.body + body if self.body else body

    def on_message_complete(self) -> None:
        """Note the end, unless it was an interim answer (1xx)."""
        if not self._complete:
            self._complete = self.status >= _FINAL or self.status == _SWITCHING
            self._keep = self._parser.should_keep_alive()  # Asked later, it would speak of the next message.


def header(head: bytes, name: bytes) -> bytes | None:
    """Return the value of a header (``name`` in lower case) of the final answer in ``head``, or None when it has none."""
    for block in head.split(b"\r\n\r\n"):
        lines = block.split(b"\r\n")
        if lines[0][9:10] == b"1":  # HTTP/1.1 1xx: the final answer is still to come
            continue
        for line in lines[1:]:
            found, colon, value = line.partition(b":")
            if colon and found.lower() == name:
                return value.strip()
        return None
    return None


def _framed(head: bytes) -> bool:
    return header(head, b"content-length") is not None or header(head, b"transfer-encoding") is not None
