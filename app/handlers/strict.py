"""HTTP/1.1 read strictly, and clients that dawdle cut off.

Sanic takes some requests that another server in front of it would read differently, which is how requests are smuggled,
and every byte that it receives gives a client its full time again. Both end here, before a handler runs.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sanic import Request
from sanic.exceptions import BadRequest
from sanic.http import Stage

if TYPE_CHECKING:
    import asyncio

    from sanic.server.protocols.http_protocol import HttpProtocol

_HEAD = re.compile(
    rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+ [!-~]+ HTTP/1\.[01]"  # method, target, version (RFC 9112, 3)
    rb"(?:\r\n[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[^\x00-\x08\x0a-\x1f\x7f]*)*"  # no space before a colon, no line folding (5.1, 5.2)
)


class StrictRequest(Request):  # type: ignore[type-arg] # Sanic's own default
    """A request whose head is exactly what RFC 9112 allows; anything else is a BadRequest, and the connection ends."""

    __slots__ = ()

    def __init__(self, *arguments: Any, head: bytes = b"", **named: Any) -> None:
        super().__init__(*arguments, head=head, **named)
        if head:  # Sanic makes one without a head, to answer what it could not read
            self._insist(head)

    def _insist(self, head: bytes) -> None:
        if not _HEAD.fullmatch(head):
            raise BadRequest("malformed request head")
        hosts = self.headers.getall("host", ())
        if len(hosts) > 1 or (not hosts and self.version != "1.0"):
            raise BadRequest("exactly one Host is needed (RFC 9112, 3.2)")
        coding = self.headers.getone("transfer-encoding", None)
        if coding is not None and coding != "chunked":
            raise BadRequest("only chunked is understood (RFC 9112, 6.1)")


def strict(protocol: type[HttpProtocol], *, most_connections: int) -> type[HttpProtocol]:
    """Return a protocol that gives a client its time once a request, and drops connections past a bound at once."""
    return type("StrictProtocol", (_Patience, protocol), {"most_connections": most_connections, "__slots__": ()})


class _Patience:
    """Mixed in before Sanic's protocol."""

    __slots__ = ()
    most_connections: int
    connections: set[Any]
    _time: float
    _http: Any

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Take a connection, unless there are too many: a full house answers nobody well."""
        if len(self.connections) >= self.most_connections:
            transport.abort()
            return
        super().connection_made(transport)  # type: ignore[misc] # the class that this is mixed into has it

    def data_received(self, data: bytes) -> None:
        """Take bytes. Only the first of a request start its time: a trickle must not extend it."""
        began, http = self._time, getattr(self, "_http", None)
        super().data_received(data)  # type: ignore[misc] # the same
        if http is not None and http.stage is not Stage.IDLE:
            self._time = began

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget a connection, if it was ever taken."""
        if self in self.connections:
            super().connection_lost(exc)  # type: ignore[misc] # the same
