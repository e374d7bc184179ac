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
from typing import TYPE_CHECKING, Any, ClassVar

from sanic.http import Http, Stage
from sanic.http.http1 import HTTP_CONTINUE
from sanic.server.protocols.websocket_protocol import WebSocketProtocol

from observability.record.requests import KNOWN_METHODS, OTHER_METHOD
from observability.record.spans import FinishedRequest, RequestSpans, span_name
from observability.record.trace import Trace, new_trace, parse_traceparent

if TYPE_CHECKING:
    from collections.abc import Callable

    from sanic.request import Request

    from observability.record.recorder import Recorder

_logger = logging.getLogger(__name__)

_SWITCHING_PROTOCOLS = 101
_ENDED = -1.0


def trace_id(request: Request) -> str:
    """Return the request's trace id, 32 lowercase hex digits: the caller's (W3C traceparent), else a random one."""
    return trace_of(request).trace_id


def trace_of(request: Request) -> Trace:
    """Return the request's trace identity, made when first asked for and the same ever after."""
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
    return type("RecordedProtocol", (_RecordedProtocol,), {"recorder": recorder, "routes": {}, "__slots__": ()})


class _RecordedHttp(Http):
    """Tells the protocol where one request ends. Nothing here is in ``__touchup__``, so plain super() is safe."""

    __slots__ = ("used",)
    protocol: _RecordedProtocol

    def __init__(self, protocol: _RecordedProtocol) -> None:
        super().__init__(protocol)  # type: ignore[no-untyped-call]  # Sanic's own is not annotated
        self.used = False

    def init_for_request(self) -> None:
        if self.used:
            self.protocol.finish(self)
        self.used = True
        super().init_for_request()  # type: ignore[no-untyped-call]  # Sanic's own is not annotated

    async def http1(self) -> None:
        try:
            await super().http1()  # type: ignore[no-untyped-call]  # Sanic's own is not annotated
        finally:
            if self.used:
                self.protocol.finish(self, last=True)


class _RecordedProtocol(WebSocketProtocol):
    HTTP_CLASS = _RecordedHttp
    recorder: ClassVar[Recorder]
    routes: ClassVar[dict[str, tuple[str, bool]]]
    __slots__ = ("first_byte", "first_write", "last_write")
    conn_info: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.first_byte = 0.0
        self.first_write = 0.0
        self.last_write = 0.0

    def data_received(self, data: bytes) -> None:
        if not self.first_byte:
            self.begin()
        super().data_received(data)  # type: ignore[no-untyped-call]  # Sanic's own is not annotated

    async def send(self, data: bytes) -> None:
        await super().send(data)  # type: ignore[no-untyped-call]  # Sanic's own is not annotated
        if data is not HTTP_CONTINUE:
            self.last_write = time.perf_counter()
            if not self.first_write:
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

    def finish(self, http: Http, *, last: bool = False) -> None:
        """Record the request that has just ended, if one had begun."""
        if self.first_byte > 0.0:
            self._close(http)
            self.first_write = 0.0
            self.first_byte = 0.0
        if last:
            self.first_byte = _ENDED
        elif self.recv_buffer:
            self.begin()

    def answered(self, method: str, route: str, status: int, read: Callable[[], Request]) -> None:
        """Record a request that was answered past Sanic. ``read`` makes one of its head, should it become a span."""
        request = read() if self.recorder.spans is not None else None
        self._record(request, method, route, status, "", time.perf_counter())
        self.first_byte = 0.0

    def left(self, method: str, route: str) -> None:
        """Record a request past Sanic whose client did not stay for the answer."""
        self._record(None, method, route, 0, "disconnected", time.perf_counter())
        self.first_byte = _ENDED

    def begin(self) -> None:
        """Start the time of a request."""
        self.first_byte = time.perf_counter()
        self.recorder.in_flight += 1

    def _close(self, http: Http) -> None:
        request = http.request
        method, route, untimed = OTHER_METHOD, "", False
        if request is not None:
            method = request.method if request.method in KNOWN_METHODS else OTHER_METHOD
            route, untimed = self._route(request)
        upgraded = self.websocket is not None
        if not self.first_write:
            error = "disconnected" if self.conn_info.lost else "aborted"
            self._record(request, method, route, 0, error, time.perf_counter())
            return
        status = _SWITCHING_PROTOCOLS if upgraded else getattr(http.response, "status", 0)
        error = _noted(request)
        if http.stage is not Stage.IDLE and not upgraded:
            error = "disconnected" if self.conn_info.lost else "truncated"
        ended = self.first_write if untimed or upgraded else self.last_write
        self._record(request, method, route, status, error, ended)

    def _record(self, request: Request | None, method: str, route: str, status: int, error: str, ended: float) -> None:
        recorder = self.recorder
        seconds = ended - self.first_byte
        recorder.in_flight -= 1
        recorder.requests.record(method, route, status, error, seconds)
        if recorder.spans is not None and request is not None:
            try:
                self._trace(recorder.spans, request, method, route, status, error, ended)
            except Exception:
                # A span that cannot be made must not cost the client its connection.
                _logger.exception("a request span could not be made")

    def _trace(
        self, spans: RequestSpans, request: Request, method: str, route: str, status: int, error: str, ended: float
    ) -> None:
        trace = trace_of(request)
        if not spans.sampled(trace, span_name(method, route)):
            return
        # The monotonic clock gives the duration; the wall clock only places it.
        end = time.time_ns() - int((time.perf_counter() - ended) * 1e9)
        info = self.conn_info
        spans.finish(
            FinishedRequest(
                trace=trace,
                tracestate=request.headers.getone("tracestate", "") if trace.parent else "",
                method=method,
                route=route,
                status=status,
                error=error,
                started=end - int((ended - self.first_byte) * 1e9),
                ended=end,
                scheme="https" if info.ssl else "http",
                version=request.version,
                address=info.server.removesuffix(f":{info.server_port}"),
                port=info.server_port,
            )
        )

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
