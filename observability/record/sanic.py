"""The request hook for Sanic: exactly one record a request, timed from its first byte to its last write.

Sanic's signals do not see every request end, so the hook sits in the protocol: a request ends when the connection
prepares for the next one, or when the connection itself ends.

How a request is recorded:

- Its status is the one sent. None sent is status 0, with the error "disconnected" when the client left and "aborted"
  when we gave up. A response that began and was not finished keeps its status with "disconnected" or "truncated".
- An event stream or a websocket lasts as long as its viewer stays, which says nothing of us: a route whose
  ``ctx.untimed`` is true, and every websocket, is timed to the first byte of its response only.
- A request that was pipelined behind another starts when that one ends: the wait is not its route's.
- A subclass of the protocol may answer a request by itself, past Sanic. It says so: ``begin`` at the first byte, then
  ``answered`` or, if the client went away, ``left``. A request that it hands to Sanic after all goes on as one.
- A method outside the standard ones is "_OTHER"; a path that no route matched has the route "".
"""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from sanic.http import Http, Stage
from sanic.http.http1 import HTTP_CONTINUE
from sanic.server import HttpProtocol
from sanic.server.protocols.websocket_protocol import WebSocketProtocol

from observability.record.anatomy import parts_of
from observability.record.current import REDIS, Current, current
from observability.record.provider import enter
from observability.record.requests import KNOWN_METHODS, OTHER_METHOD, TIMED_EVERY
from observability.record.trace import Trace, new_trace, parse_traceparent

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sanic.request import Request

    from observability.model.kept import AttributeValue
    from observability.record.recorder import Recorder
    from observability.record.requests import Series

_logger = logging.getLogger(__name__)

_SWITCHING_PROTOCOLS = 101
_ENDED = -1.0
_IDLE = Stage.IDLE


def trace_id(request: Request) -> str:
    """Return the request's trace id, 32 lowercase hex digits: the caller's (W3C traceparent), else a random one."""
    return trace_of(request).trace_id


def trace_of(request: Request) -> Trace:
    """Return the request's trace identity, made when first asked for and the same ever after."""
    now = current.get()
    if now is not None and now.headers is request.headers:
        return now.trace
    known: Trace | None = getattr(request.ctx, "observability_trace", None)
    if known is None:
        headers = request.headers.getall("traceparent", ())
        known = (parse_traceparent(headers[0]) if len(headers) == 1 else None) or new_trace()
        request.ctx.observability_trace = known
    return known


def note_error(request: Request, code: str) -> None:
    """Make ``code``, a short code from a small set, the error of this request's record."""
    request.ctx.observability_error = code


def hook(recorder: Recorder) -> type[WebSocketProtocol]:
    """Return a protocol class to serve with (``protocol=``) that counts every request in ``recorder``."""
    own = {"recorder": recorder, "routes": {}, "plain": {}, "asks_all": not recorder.propagation.plain, "__slots__": ()}
    return type("RecordedProtocol", (_RecordedProtocol,), own)


class _RecordedHttp(Http):
    """Tells the protocol where one request ends.

    What is called for every request names its base class: to look for that with super() takes a tenth of a microsecond.
    """

    __slots__ = ()
    protocol: _RecordedProtocol

    def init_for_request(self) -> None:
        # A request that Sanic has not served is the last of its connection.
        if self.protocol.current is not None:
            self.protocol.finish(self)
        Http.init_for_request(self)

    async def http1(self) -> None:
        try:
            await super().http1()  # type: ignore[no-untyped-call]  # Sanic's own is not annotated
        finally:
            self.protocol.finish(self, last=True)


def _serve(request: Any) -> Awaitable[None]:
    """Handle a request in a context that knows it. Sanic awaits what this returns, with no coroutine of ours in between."""
    protocol: _RecordedProtocol = request.stream.protocol
    recorder = protocol.recorder
    protocol.current = now = Current(protocol.first_byte, request.headers, recorder.sampling)
    if protocol.looked is not None:
        name, attributes = recorder.operations.read
        now.spend(REDIS, *protocol.looked, name, "", attributes)
        protocol.looked = None
    enter(now, recorder.propagation)
    handled: Awaitable[None] = request.app.handle_request(request)
    return handled


class _RecordedProtocol(WebSocketProtocol):
    HTTP_CLASS = _RecordedHttp
    recorder: ClassVar[Recorder]
    routes: ClassVar[dict[str, tuple[str, bool]]]
    plain: ClassVar[dict[tuple[str, str, int], Series]]
    """Series of requests that end well, by Sanic's path of their route, method and status; those met so far."""
    asks_all: ClassVar[bool]
    """Whether any request may say whose trace it belongs to: that is so by propagators other than the default."""
    __slots__ = ("current", "first_byte", "first_write", "last_write", "looked", "more_bytes")
    conn_info: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.request_handler = _serve
        self.current: Current | None = None
        self.first_byte = 0.0
        self.first_write = 0.0
        self.last_write = 0.0
        self.more_bytes = 0
        self.looked: tuple[float, float] | None = None
        """When the request that Sanic has yet to serve was looked for in Redis, if it was."""
        self.recorder.connections = self.connections

    def data_received(self, data: bytes) -> None:
        if not self.first_byte:
            self.begin(time.perf_counter())
        if self.websocket is None:
            HttpProtocol.data_received(self, data)
        else:
            super().data_received(data)  # type: ignore[no-untyped-call]  # Sanic's own is not annotated

    async def send(self, data: bytes) -> None:
        await HttpProtocol.send(self, data)
        if data is not HTTP_CONTINUE:
            self.last_write = time.perf_counter()
            if self.first_write:
                self.more_bytes += len(data)
            else:
                self.first_write = self.last_write

    async def websocket_handshake(self, *args: Any, **kwargs: Any) -> Any:
        websocket = await super().websocket_handshake(*args, **kwargs)
        self.first_write = self.last_write = time.perf_counter()
        return websocket

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)  # type: ignore[no-untyped-call]  # Sanic's own is not annotated
        if self.first_byte > 0.0 and not hasattr(self, "_http"):
            # The client came and left within one turn of the loop, before the connection's task ever ran.
            self._record(None, OTHER_METHOD, "", 0, "disconnected", time.perf_counter())
            self.first_byte = _ENDED

    def on_the_way(self) -> tuple[str, str] | None:
        """Return method and route of the request that is on the way here, None when none is."""
        if self.first_byte <= 0.0:
            return None
        request = getattr(getattr(self, "_http", None), "request", None)
        return self._named(request) if request is not None else (OTHER_METHOD, "")

    def finish(self, http: Http, *, last: bool = False) -> None:
        """Record the request that has just ended, if one had begun."""
        if self.first_byte > 0.0:
            if self._counted(http) is None:
                self._close(http)
            self.first_write = 0.0
            self.first_byte = 0.0
        if last:
            self.first_byte = _ENDED
        elif self.recv_buffer:
            self.begin(time.perf_counter())

    def series(self, method: str, route: str, status: int) -> Series:
        """Return what counts requests of a kind that are answered past Sanic, to be kept by whoever answers them."""
        return self.recorder.requests.of(method, route, status, "")

    def answered(
        self,
        series: Series,
        asked: float,
        told: float,
        size: int,
        head: bytes,
        read: Callable[[bytes], Any],
        called: bool,  # noqa: FBT001 - a keyword would cost every request
    ) -> float:
        """Record a request that was answered past Sanic, from Redis, which took from ``asked`` to ``told``; return when it ended.

        ``size`` is the response's body in bytes. ``called`` says whether its head has a ``traceparent``; ``read`` makes
        headers of it, should they be wanted.
        """
        ended, begin, recorder = time.perf_counter(), self.first_byte, self.recorder
        self.first_byte = 0.0
        recorder.in_flight -= 1
        seconds, stalls = ended - begin, recorder.stalls
        series.left -= 1
        if (
            not series.left
            or seconds > series.route.slow
            or begin < stalls.latest
            or ended > stalls.late_from
            or called
            or self.asks_all
        ):
            headers = read(head) if called or self.asks_all else None
            self._look(series, (begin, asked, told, ended), size, headers)
        else:
            series.count(seconds, told - asked, size)
        return ended

    def _look(self, series: Series, times: tuple[float, float, float, float], size: int, headers: Any) -> None:
        """Count a request past Sanic with which there may be more to do."""
        recorder, (begin, asked, told, ended) = self.recorder, times
        lucky, timed = series.turn(recorder.sampling.ratio) if not series.left else (False, False)
        slow, keeper = ended - begin > series.route.slow, recorder.keeper
        if headers is not None or (slow and keeper is not None and not keeper.refuses("slow")):
            now = Current(begin, headers, recorder.sampling)
            now.lucky = lucky
            if self.asks_all:
                now.adopt(recorder.propagation.caller(headers) or new_trace())
            name, attributes = recorder.operations.read
            now.spend(REDIS, asked, told, name, "", attributes)
            self._settle(series, now, ended, 0, size, "1.1")
        else:
            stalled, redis = recorder.stalls.overlap(begin, ended), told - asked
            if stalled:
                redis = max(0.0, redis - recorder.stalls.overlap(asked, told))
            series.count(ended - begin, redis, size, stalled)
            if lucky:
                recorder.chosen.add(series, begin, asked, told, ended, self._attributes)
        if timed:
            recorder.note_cost(time.perf_counter() - ended)

    def left(self, method: str, route: str) -> None:
        """Record a request past Sanic whose client did not stay for the answer."""
        self._record(None, method, route, 0, "disconnected", time.perf_counter())
        self.first_byte = _ENDED

    stamp = staticmethod(time.perf_counter)

    def begin(self, at: float) -> None:
        """Start a request whose first byte has come at a ``stamp``."""
        self.first_byte = at
        self.recorder.in_flight += 1
        if self.recorder.stalls.idle:
            self.recorder.stalls.wake()

    def _close(self, http: Http) -> None:
        request: Request | None = http.request
        method, route, untimed = OTHER_METHOD, "", False
        if request is not None:
            method = request.method if request.method in KNOWN_METHODS else OTHER_METHOD
            route, untimed = self._route(request)
        upgraded = self.websocket is not None
        if not self.first_write:
            error = "disconnected" if self.conn_info.lost else "aborted"
            self._record(http, method, route, 0, error, time.perf_counter())
            return
        status = _SWITCHING_PROTOCOLS if upgraded else getattr(http.response, "status", 0)
        error = _noted(request)
        if http.stage is not _IDLE and not upgraded:
            error = "disconnected" if self.conn_info.lost else "truncated"
        ended = self.first_write if untimed or upgraded else self.last_write
        self._record(http, method, route, status, error, ended)
        if request is not None and request.route is not None and not (error or untimed or upgraded or self.asks_all):
            series = self.recorder.requests.known(method, route, status)
            if series is not None and not series.failed:
                self.plain[request.route.path, method, status] = series

    def _counted(self, http: Http) -> Series | None:
        """Count a request of which nothing is to be told but how long it took; return in which series, None if there is more to it."""
        request, now, recorder = http.request, self.current, self.recorder
        if now is None or http.stage is not _IDLE or request.route is None:
            return None
        series = self.plain.get((request.route.path, request.method, http.response.status))
        if series is None:
            return None
        turn = series.left == 1
        began = time.perf_counter() if turn else 0.0
        begin, ended, stalls = self.first_byte, self.last_write, recorder.stalls
        seconds, stalled, redis = ended - begin, 0.0, now.only_redis(ended)
        if stalls.latest > begin or ended > stalls.late_from:
            stalled = stalls.overlap(begin, ended)
        if (
            redis < 0.0
            or (stalled and redis)
            or http.request_bytes
            or (request._ctx is not None and _noted(request))  # noqa: SLF001 - see _noted
            or self.websocket is not None
            or (seconds > series.route.slow and (keeper := recorder.keeper) is not None and not keeper.refuses("slow"))
        ):
            return None
        sent = self.more_bytes + (0 if http.head_only else http.response_size)
        lucky = timed = False
        series.left -= 1
        if turn:
            lucky, timed = series.turn(recorder.sampling.ratio)
        now.ended = True
        recorder.in_flight -= 1
        self.current = None
        self.more_bytes = 0
        series.count(seconds, redis, sent, stalled)
        if lucky:
            now.lucky = True
            recorder.do_later(partial(self._keep_lucky, series, now, ended, request.version))
        if timed:
            recorder.note_cost(time.perf_counter() - began)
        return series

    def _record(self, http: Http | None, method: str, route: str, status: int, error: str, ended: float) -> None:
        began, recorder = time.perf_counter(), self.recorder
        recorder.in_flight -= 1
        request = http.request if http is not None else None
        now, self.current = self.current, None
        if now is None:  # nobody handled it
            now = Current(self.first_byte, request.headers if request is not None else None, recorder.sampling)
            if request is not None and request._ctx is not None:  # noqa: SLF001 - see _noted
                now.adopt(getattr(request._ctx, "observability_trace", None))  # noqa: SLF001 - the same
        received = sent = 0
        if http is not None and self.first_write:
            received = http.request_bytes or 0
            sent = self.more_bytes + (0 if http.head_only else getattr(http, "response_size", 0))
        self.more_bytes = 0
        series = recorder.requests.of(method, route, status, error)
        self._settle(series, now, ended, received, sent, request.version if request is not None else "1.1")
        recorder.recorded += 1
        if not recorder.recorded % TIMED_EVERY:
            recorder.note_cost(time.perf_counter() - began)

    def _settle(self, series: Series, now: Current, ended: float, received: int, sent: int, version: str) -> None:
        """Count a request that has ended, and keep it if it is one to be kept."""
        recorder, seconds = self.recorder, ended - now.begin
        now.ended = True
        parts = parts_of(now, ended, recorder.stalls)
        series.record(seconds, parts)
        if series.key[2]:
            series.route.add_bodies(received, sent)
        keeper = recorder.keeper
        if keeper is None:
            return
        try:
            why = keeper.why(series, seconds, now)
            if why is not None:
                keeper.keep(why, series, now, seconds, parts, self._attributes(series.key[1], version))
        except Exception:
            # A trace that cannot be made must not cost the client its connection.
            _logger.exception("a request could not be kept")

    def _keep_lucky(self, series: Series, now: Current, ended: float, version: str) -> None:
        """Keep a request that chance has chosen, and that was counted."""
        recorder = self.recorder
        if recorder.keeper is not None:
            parts = parts_of(now, ended, recorder.stalls)
            about = self._attributes(series.key[1], version)
            recorder.keeper.keep("sampled", series, now, ended - now.begin, parts, about)

    def _attributes(self, route: str, version: str) -> tuple[tuple[str, AttributeValue], ...]:
        """Return the conventions' attributes of a server span that say how the request came.

        ``url.path`` is given only where it is the template itself: a raw path may carry anything, a token too.
        """
        info = self.conn_info
        attributes: tuple[tuple[str, AttributeValue], ...] = (
            ("url.scheme", "https" if info.ssl else "http"),
            ("network.protocol.version", version),
        )
        if address := info.server.removesuffix(f":{info.server_port}"):
            attributes += ("server.address", address), ("server.port", info.server_port)
        if route and "{" not in route:
            attributes += (("url.path", route),)
        return attributes

    def _named(self, request: Request | None) -> tuple[str, str]:
        if request is None:
            return OTHER_METHOD, ""
        method = request.method if request.method in KNOWN_METHODS else OTHER_METHOD
        return method, self._route(request)[0]

    def _route(self, request: Request) -> tuple[str, bool]:
        route = request.route
        if route is None:
            return "", False
        known = self.routes.get(route.path)
        if known is None:
            known = template(route.path), bool(getattr(route.ctx, "untimed", False))
            self.routes[route.path] = known
        return known


def template(path: str) -> str:
    """Write Sanic's ``users/<id:uuid>`` as ``/users/{id}``."""
    parts = path.split("<")
    names = (part.partition(">") for part in parts[1:])
    tail = "".join("{" + name.split(":")[0].strip("_") + "}" + rest for name, _, rest in names)
    return "/" + (parts[0] + tail).lstrip("/")


def _noted(request: Request | None) -> str:
    context = request._ctx if request is not None else None  # noqa: SLF001 - request.ctx would make one only to be found empty
    return getattr(context, "observability_error", "") if context is not None else ""
