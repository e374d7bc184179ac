"""HTTP/1.1 read strictly, and clients that dawdle cut off.

Sanic takes some requests that another server in front of it would read differently, which is how requests are smuggled,
and every byte that it receives gives a client its full time again. Both end here, before a handler runs.
"""

from __future__ import annotations

import asyncio
import logging
import re
from typing import TYPE_CHECKING, Any

from sanic import Request
from sanic.exceptions import BadRequest, BadURL, RequestTimeout
from sanic.http import Stage
from sanic.http.http1 import HTTP_CONTINUE

if TYPE_CHECKING:
    from sanic.http import Http
    from sanic.server.protocols.http_protocol import HttpProtocol
else:  # mixed into a subclass of these, which is not known here
    Http = HttpProtocol = object

HEAD = re.compile(
    rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+ [!-~]+ HTTP/1\.[01]"  # method, target, version (RFC 9112, 3)
    rb"(?:\r\n[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[^\x00-\x08\x0a-\x1f\x7f]*)*"  # no space before a colon, no line folding (5.1, 5.2)
)

_FOREIGN = re.compile(
    rb"\r\n(?:connection|content-length|expect|host|transfer-encoding|upgrade):[^\r]*[^\r\n\t -~]", re.IGNORECASE
)
"""A header that decides how a request is read, in more than ASCII. Sanic trims its value of what is a space in any script, others do not."""

_SIZE_LINE = re.compile(rb"\r\n[0-9A-Fa-f]{1,8}(?:;[\t -~]*)?\r\n")
"""What begins a chunk (RFC 9112, 7.1): a line feed alone in its extension would end the line for others."""
_LONGEST_SIZE_LINE = 64

_DIGITS = {10: re.compile(r"[0-9]{1,15}"), 16: re.compile(r"[0-9A-Fa-f]{1,8}")}


def _is_worth_a_line(record: logging.LogRecord) -> bool:
    return not str(record.msg).endswith(" body not consumed.")


logging.getLogger("sanic.error").addFilter(_is_worth_a_line)
"""A body that no handler asks for is a stranger's doing, as often as one likes, and Sanic calls it an error each time."""


class StrictRequest(Request):
    """A request whose head is exactly what RFC 9112 allows; anything else is a BadRequest, and the connection ends."""

    __slots__ = ()

    def __init__(self, *, head: bytes = b"", **named: Any) -> None:
        super().__init__(head=head, **named)
        if head:  # Sanic makes one without a head, to answer what it could not read
            self._insist(head)

    def _insist(self, head: bytes) -> None:
        if not HEAD.fullmatch(head) or (not head.isascii() and _FOREIGN.search(head)):
            raise BadRequest("malformed request head")
        hosts = self.headers.getall("host", ())
        if len(hosts) > 1 or (not hosts and self.version != "1.0"):
            raise BadRequest("exactly one Host is needed (RFC 9112, 3.2)")
        coding = self.headers.getone("transfer-encoding", None)
        if coding is not None and (coding != "chunked" or self.version == "1.0"):
            raise BadRequest("only chunked is understood, and not of HTTP/1.0 (RFC 9112, 6.1)")
        if len(self.headers.getall("authorization", ())) > 1:
            raise BadRequest("two credentials, of which others may believe the other one")


def strict(protocol: type[HttpProtocol], *, most_connections: int) -> type[HttpProtocol]:
    """Return a protocol that reads strictly, gives a client its time once a request, and drops connections past a bound.

    Setting its ``draining`` makes every request the last one of its connection, and says so in the answer.
    """
    http = type("StrictHttp", (_StrictHttp, protocol.HTTP_CLASS), {"__slots__": ()})
    told = {"HTTP_CLASS": http, "most_connections": most_connections, "draining": False, "__slots__": ()}
    return type("StrictProtocol", (_Patience, protocol), told)


class _TooSlow(RequestTimeout, BadRequest):
    """A body that did not come in time. As a BadRequest it ends the connection where Sanic reads what no handler asked for."""


class _StrictHttp(Http):
    """Mixed in before Sanic's reader."""

    __slots__ = ()
    protocol: Any

    async def http1_request_header(self) -> None:
        """Read a head; while the server drains, the request that it begins is the connection's last."""
        await super().http1_request_header()  # type: ignore[no-untyped-call] # Sanic's own is not annotated
        self.upgrade_websocket = False  # who asks for one would have no timeouts any more, and there are none
        if self.request_body:
            self.request.ctx.body_by = asyncio.get_running_loop().time() + self.protocol.request_timeout
        if self.protocol.draining:
            self.keep_alive = False

    async def read(self) -> bytes | None:
        """Read some of a body, all of which has to be here in time, whether or not a handler asks for it."""
        by = getattr(self.request.ctx, "body_by", 0.0)  # one made up to refuse what could not be read has no time left
        try:
            async with asyncio.timeout_at(by):
                return await self._read()
        except TimeoutError:
            self.keep_alive = False
            raise _TooSlow("the body did not come in time") from None

    async def _read(self) -> bytes | None:
        """Read some of a body; a chunk must begin with its size and end where that says it would (RFC 9112, 7.1)."""
        if self.expecting_continue:
            self.expecting_continue = False
            await self._send(HTTP_CONTINUE)
        kind: Any = self.request_body  # Sanic's hint does not know what Sanic puts there
        if kind == "chunked" and not self.request_bytes_left:
            buffer = self.recv_buffer
            while buffer.find(b"\r\n", len(b"\r\n")) < 0 and len(buffer) <= _LONGEST_SIZE_LINE:
                await self._receive_more()
            if not _SIZE_LINE.match(buffer):
                self.keep_alive = False
                raise BadRequest("a chunk that is longer than its size, or a size that is none")
        data: bytes | None = await super().read()
        return data

    def create_empty_request(self) -> None:
        """Make up a request to answer what could not be read, whatever stood in the place of its target."""
        try:
            super().create_empty_request()
        except BadURL:
            self.url = "/"
            super().create_empty_request()

    @staticmethod
    def _safe_int(value: str, base: int = 10) -> int:
        if not _DIGITS[base].fullmatch(value):  # int() takes signs, spaces, prefixes and the digits of every script
            raise ValueError(value)
        return int(value, base)


class _Patience(HttpProtocol):
    """Mixed in before Sanic's protocol."""

    __slots__ = ()
    most_connections: int
    draining: bool

    def connection_made(self, transport: Any) -> None:
        """Take a connection, unless there are too many: a full house answers nobody well."""
        if len(self.connections) >= self.most_connections:
            transport.abort()
            return
        super().connection_made(transport)  # type: ignore[no-untyped-call] # Sanic's own is not annotated

    def data_received(self, data: bytes) -> None:
        """Take bytes. Only the first of a request start its time: a trickle must not extend it."""
        began, http = self._time, getattr(self, "_http", None)
        super().data_received(data)
        if http is not None and http.stage is not Stage.IDLE:
            self._time = began

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget a connection, if it was ever taken."""
        if self in self.connections:
            super().connection_lost(exc)  # type: ignore[no-untyped-call] # Sanic's own is not annotated
