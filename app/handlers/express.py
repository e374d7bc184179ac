"""The express way: hot requests answered from the cache within the protocol, past Sanic's parser, router and tasks.

It is for a plain GET of a hot path that comes in one piece, on a connection that is doing nothing else, with a token
whose session is cached and valid. Such a request is answered in two callbacks, one when its bytes come and one when the
cache's do, byte for byte as the handlers would answer it. Whatever is not exactly that goes to Sanic with the same
bytes, as if nothing had happened: errors, limits reached, misses, pipelined requests, a server that drains.
"""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from sanic.compat import Header
from sanic.http import Stage

from app.handlers.bearer import token_of
from app.handlers.plain import plain_get, target_of
from observability.record.current import REDIS
from observability.record.timing import NAME, server_timing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sanic import Request
    from sanic.server.protocols.http_protocol import HttpProtocol

    from app.handlers.limits import OwnLimit
    from app.security.clients import TrustedProxies
    from app.security.tokens import Token
    from app.services.ports import Stored
    from app.services.sessions import SessionService
    from app.values import Session, User

    Done = Callable[[Any | None, Stored | None], None]
else:  # mixed into a subclass of it, which is not known here
    HttpProtocol = object

_NO_CONTENT = 204
_encode = msgspec.json.Encoder().encode


class Hot:
    """A hot path: how it is asked for at once, and how what is found is answered.

    ``series`` is what counts its requests, once there was one.
    """

    __slots__ = ("ask", "limit", "path", "series", "status", "write")

    def __init__(
        self,
        path: str,
        status: int,
        ask: Callable[[Token, Done], None],
        write: Callable[[Any], bytes],
        limit: OwnLimit | None,
    ) -> None:
        self.path = path
        self.status = status
        self.ask = ask
        self.write = write
        self.limit = limit
        self.series: Any = None


class Asked(NamedTuple):
    """A request on the express way."""

    hot: Hot
    token: Token
    address: str
    head: bytes
    called: bool


class Express:
    """Reads what may go the express way."""

    def __init__(
        self,
        sessions: SessionService,
        limits: Mapping[str, OwnLimit],
        proxies: TrustedProxies,
        *,
        timing: bool = False,
    ) -> None:
        """``timing`` tells in each answer what it took; the protocol must be a recorded one."""
        self.timing = timing
        hot = (
            Hot("/auth/check", 204, sessions.check_at_once, _checked, limits.get("/auth/check")),
            Hot("/auth/me", 200, sessions.me_at_once, _me, limits.get("/auth/me")),
        )
        self._hot = {each.path.encode(): each for each in hot}
        self._proxies = proxies

    def read(self, data: bytes, peer: str) -> Asked | None:
        """Return the request that bytes from a peer are, if it may go the express way and its client may ask now."""
        hot = self._hot.get(target_of(data))
        plain = plain_get(data) if hot else None
        token = token_of(plain.authorization) if plain else None
        if hot is None or plain is None or token is None:
            return None
        address = self._proxies.client(peer, plain.forwarded)
        if hot.limit is not None and hot.limit.spend(address):
            return None
        return Asked(hot, token, address, data, plain.called)


def express(protocol: type[HttpProtocol]) -> type[HttpProtocol]:
    """Return a protocol that sends what it can the express way, if the application's ``ctx.express`` is one."""
    counts = () if hasattr(protocol, "answered") else (_Uncounted,)
    return type("ExpressProtocol", (_ExpressProtocol, *counts, protocol), {})


def stored_of(request: Request) -> Stored | None:
    """Return what the express way has seen in the cache of this very request, before it left it to Sanic."""
    return getattr(request.protocol, "stored", None)


class _Uncounted:
    """Stands in for the recorder's protocol while telemetry is off."""

    __slots__ = ()

    stamp = float  # nobody wants the time
    looked: tuple[float, float] | None = None

    def begin(self, _: float) -> None:
        """Do nothing."""

    def series(self, *_: object) -> bool:
        """Return nothing of use."""
        return True

    def answered(self, *_: object) -> None:
        """Do nothing; it ended whenever that is."""

    def left(self, *_: object) -> None:
        """Do nothing."""


class _ExpressProtocol(HttpProtocol):
    """Mixed in before the protocol that serves everything else."""

    transport: Any
    conn_info: Any
    express: Express | None
    waiting: bool
    """Whether the connection's task waits for bytes."""
    pending: Asked | None
    behind: bytes
    """What came while a request was pending: one read of the socket, after which it is not read."""
    stored: Stored | None
    """What was seen of the one request that is in the buffer; gone as soon as anything follows it."""
    stamp: Callable[[], float]
    looked: tuple[float, float] | None
    begin: Callable[[float], None]
    series: Callable[[str, str, int], Any]
    answered: Callable[[Any, float, float, int, bytes, Callable[[bytes], Header], bool], float | None]
    left: Callable[[str, str], None]
    draining: bool
    first_byte: float

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.express = getattr(self.app.ctx, "express", None)
        self.waiting = False
        self.pending = None
        self.behind = b""
        self.stored = None
        self.asked = 0.0

    async def receive_more(self) -> None:
        """Wait for bytes."""
        self.waiting = True
        try:
            await super().receive_more()  # type: ignore[no-untyped-call] # Sanic's own is not annotated
        finally:
            self.waiting = False

    def data_received(self, data: bytes) -> None:
        """Take bytes."""
        if self.pending is not None:
            self.behind += data
            self.transport.pause_reading()
            return
        self.stored = None
        began = self.stamp()
        asked = self.express.read(data, self.conn_info.client_ip) if self.express and self._is_free() else None
        if asked is None:
            super().data_received(data)
            return
        self.begin(began)
        self.pending = asked
        self._http.stage = Stage.HANDLER
        self.asked = self.stamp()
        self._time = (
            self.asked or time.monotonic()
        )  # two names of one clock, which takes a tenth of a microsecond to read
        asked.hot.ask(asked.token, functools.partial(self._answer, asked))

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget a connection, and the request that is pending on it."""
        if self.pending is not None:
            self.left("GET", self.pending.hot.path)
            self.pending = None
        super().connection_lost(exc)  # type: ignore[no-untyped-call] # Sanic's own is not annotated

    def on_the_way(self) -> tuple[str, str] | None:
        """Return method and route of the request that is on the way, for whoever counts those."""
        if self.pending is not None:
            return "GET", self.pending.hot.path
        found: tuple[str, str] | None = super().on_the_way()  # type: ignore[misc] # the recorder's, who alone asks
        return found

    def _is_free(self) -> bool:
        """Say whether the connection's task waits for a request, and nobody has to wait to be written to.

        A request that was answered before its body came is still there: what comes is its body, whatever it looks like.
        """
        return (
            self.waiting
            and not self.recv_buffer
            and self._http.stage is Stage.IDLE
            and self._http.request is None
            and not self.draining
            and self._can_write.is_set()
        )

    def _answer(self, asked: Asked, found: Any | None, stored: Stored | None) -> None:
        if self.pending is not asked or self.transport is None or self.transport.is_closing():
            return  # the client is gone
        self.pending = None
        self._http.stage = Stage.IDLE
        if found is not None:
            told, hot = self.stamp(), asked.hot
            answer = hot.write(found)
            if self.express is not None and self.express.timing:
                answer = _timed(answer, told - self.first_byte, told - self.asked)
            self.transport.write(answer)
            if hot.series is None:
                hot.series = self.series("GET", hot.path, hot.status)
            size = len(answer) - answer.find(b"\r\n\r\n") - 4 if hot.status != _NO_CONTENT else 0
            ended = self.answered(hot.series, self.asked, told, size, asked.head, _headers, asked.called)
            self._time = ended or time.monotonic()
        else:
            if asked.hot.limit is not None:
                asked.hot.limit.give_back(asked.address)  # Sanic's way spends it again
            self.stored = stored
            self.looked = self.asked, self.stamp()
            super().data_received(asked.head)
        if self.behind:
            behind, self.behind = self.behind, b""
            self.transport.resume_reading()
            self.data_received(behind)


def _headers(head: bytes) -> Header:
    lines = head[:-4].decode(errors="surrogateescape").split("\r\n")[1:]
    pairs = (line.split(":", 1) for line in lines)
    return Header([(name.lower(), value.lstrip()) for name, value in pairs])


def _timed(answer: bytes, seconds: float, redis: float) -> bytes:
    head, end, body = answer.partition(b"\r\n\r\n")
    timing = server_timing(seconds, (0.0,) * REDIS + (redis,))
    return b"%b\r\n%b: %b%b%b" % (head, NAME.encode(), timing.encode(), end, body)


def _checked(session: Session) -> bytes:
    return (
        b"HTTP/1.1 204 No Content\r\nCache-Control: no-store\r\nX-User-Id: %b\r\nX-Session-Id: %b\r\n"
        b"connection: keep-alive\r\n\r\n" % (str(session.user_id).encode(), str(session.id).encode())
    )


def _me(user: User) -> bytes:
    body = _encode(user)
    return (
        b"HTTP/1.1 200 OK\r\nCache-Control: no-store\r\ncontent-length: %d\r\nconnection: keep-alive\r\n"
        b"content-type: application/json\r\n\r\n%b" % (len(body), body)
    )
