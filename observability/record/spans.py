"""A finished, sampled request becomes one OpenTelemetry span, made after the fact from the SDK's public classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from opentelemetry import trace as otel
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from observability.record.requests import OTHER_METHOD
from observability.record.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace.sampling import Sampler


SCOPE = InstrumentationScope("observability.sanic")
_SERVER_ERROR = 500


class FinishedRequest(msgspec.Struct, frozen=True):
    """What is known of a request when its last byte has gone. Times are Unix nanoseconds."""

    trace: Trace
    tracestate: str
    method: str
    route: str
    status: int
    error: str
    started: int
    ended: int
    scheme: str
    version: str
    address: str
    port: int


class RequestSpans:
    """Decides by the SDK's sampler which requests become spans and hands those to ``sink``.

    A request that is not sampled costs the decision and no span object.
    """

    def __init__(self, *, resource: Resource, sampler: Sampler, sink: Callable[[ReadableSpan], None]) -> None:
        self._resource = resource
        self._sampler = sampler
        self._sink = sink
        self._ids = RandomIdGenerator()

    def sampled(self, trace: Trace, name: str) -> bool:
        """Return whether a request of this identity is kept: the caller's decision where the sampler honours it."""
        parent = _parent_of(trace)
        context = otel.set_span_in_context(NonRecordingSpan(parent)) if parent else None
        result = self._sampler.should_sample(context, int(trace.trace_id, 16), name, SpanKind.SERVER)
        return result.decision is Decision.RECORD_AND_SAMPLE

    def finish(self, request: FinishedRequest) -> None:
        """Hand on the span of a request that was sampled."""
        state = TraceState.from_header([request.tracestate]) if request.tracestate else TraceState()
        context = SpanContext(
            trace_id=int(request.trace.trace_id, 16),
            span_id=self._ids.generate_span_id(),
            is_remote=False,
            trace_flags=TraceFlags(TraceFlags.SAMPLED),
            trace_state=state,
        )
        failed = request.status >= _SERVER_ERROR or request.status == 0
        span = ReadableSpan(
            name=span_name(request.method, request.route),
            context=context,
            parent=_parent_of(request.trace),
            resource=self._resource,
            attributes=_attributes(request),
            kind=SpanKind.SERVER,
            status=Status(StatusCode.ERROR) if failed else Status(StatusCode.UNSET),
            start_time=request.started,
            end_time=request.ended,
            instrumentation_scope=SCOPE,
        )
        self._sink(span)


def span_name(method: str, route: str) -> str:
    """Return ``{method} {route}``, with HTTP for an unknown method and no route where none matched."""
    return f"{'HTTP' if method == OTHER_METHOD else method} {route}".rstrip()


def _parent_of(trace: Trace) -> SpanContext | None:
    if not trace.parent:
        return None
    flags = TraceFlags(TraceFlags.SAMPLED if trace.sampled else TraceFlags.DEFAULT)
    return SpanContext(int(trace.trace_id, 16), int(trace.parent, 16), is_remote=True, trace_flags=flags)


def _attributes(request: FinishedRequest) -> dict[str, str | int]:
    """Return the stable HTTP conventions' attributes.

    ``url.path`` is given only where it is the template itself: a raw path may carry anything, a token too.
    """
    attributes: dict[str, str | int] = {
        "http.request.method": request.method,
        "url.scheme": request.scheme,
        "network.protocol.version": request.version,
    }
    if request.route:
        attributes["http.route"] = request.route
        if "{" not in request.route:
            attributes["url.path"] = request.route
    if request.status:
        attributes["http.response.status_code"] = request.status
    if request.error or request.status >= _SERVER_ERROR:
        attributes["error.type"] = request.error or str(request.status)
    if request.address:
        attributes["server.address"] = request.address
        attributes["server.port"] = request.port
    return attributes
