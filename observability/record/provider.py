"""Spans that user code makes with the plain OpenTelemetry API: children of the request that is being served.

``trace.get_current_span()`` in a handler is the request's own span. What it is told reaches the trace, if that is kept; no
span object is made for it. Spans that code starts are the SDK's: within a request they go with it, kept or not; outside
they go to whatever ``outside`` is. An application that has set a tracer provider of its own keeps it, and its spans go
where it sends them; those that it records are seen in kept traces as well.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from multidict import istr
from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import INVALID_SPAN_CONTEXT, ProxyTracerProvider, SpanContext, TraceFlags, TraceState

from observability.model.kept import MOST_SPANS, KeptLog
from observability.record.current import current
from observability.record.logs import legible
from observability.record.trace import new_trace, tracestate_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from opentelemetry.context import Context
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.trace import Link, SpanKind
    from opentelemetry.util.types import Attributes, AttributeValue

    from observability.record.current import Current
    from observability.record.propagation import Propagation

MOST_ATTRIBUTES = 32
"""That user code may set on the span of one request."""

_OURS = ("http.", "url.", "server.", "network.", "error.", "gatewatch.")
"""Attributes that the request's own record says."""

_BAGGAGE = istr("baggage")

MOST_OPEN = 10_000
"""Spans of requests that have begun and not ended; past that the oldest are taken for lost."""


class ServerSpan(trace.Span):
    """The span of whichever request is being served; there is one such object, and none of its methods costs others."""

    def get_span_context(self) -> SpanContext:
        """Return the request's ids, and whether it was sampled from the beginning."""
        request = current.get()
        return context_of(request) if request is not None else INVALID_SPAN_CONTEXT

    def is_recording(self) -> bool:
        """Return whether the request goes on."""
        request = current.get()
        return request is not None and not request.ended

    def set_attribute(self, key: str, value: AttributeValue) -> None:
        """Set an attribute of the request's span, if it is none of ours; sequences are none that a kept trace has."""
        request = current.get()
        if request is None or request.ended or not isinstance(value, str | bool | int | float):
            return
        if key.startswith(_OURS):
            return
        key = legible(key)
        if key in request.attributes or len(request.attributes) < MOST_ATTRIBUTES:
            request.attributes[key] = legible(value) if isinstance(value, str) else value

    def set_attributes(self, attributes: Mapping[str, AttributeValue]) -> None:
        """Set several."""
        for key, value in attributes.items():
            self.set_attribute(key, value)

    def add_event(self, name: str, attributes: Attributes = None, timestamp: int | None = None) -> None:  # noqa: ARG002 - the API's; the time is now
        """Note an event among the request's logs."""
        told = "".join(f" {key}={value!s}" for key, value in (attributes or {}).items())
        self._tell("EVENT", name + told)

    def record_exception(
        self,
        exception: BaseException,
        attributes: Attributes = None,  # noqa: ARG002 - the API's
        timestamp: int | None = None,  # noqa: ARG002 - the same
        escaped: bool = False,  # noqa: ARG002, FBT001, FBT002 - the same
    ) -> None:
        """Note the kind of an exception among the request's logs; its words may be anything, a secret too."""
        self._tell("EXCEPTION", type(exception).__qualname__)

    def set_status(self, status: Any, description: str | None = None) -> None:
        """Do nothing: the status of a request's span follows from that of its response."""

    def update_name(self, name: str) -> None:
        """Do nothing: the name of a request's span is its route's."""

    def end(self, end_time: int | None = None) -> None:
        """Do nothing: it ends with the request."""

    def _tell(self, level: str, message: str) -> None:
        request = current.get()
        if request is None or request.ended:
            return
        if len(request.logs) < MOST_SPANS:
            at = time.perf_counter() - request.begin
            request.logs.append(KeptLog(at, level, "opentelemetry", legible(message)))
        else:
            request.dropped += 1


SERVED: Context = trace.set_span_in_context(ServerSpan(), contexts.Context())
"""OpenTelemetry's context of every request that is being served."""


def enter(request: Current, propagation: Propagation) -> None:
    """Let whatever runs from here on in this context belong to a request."""
    current.set(request)
    if propagation.plain and _BAGGAGE not in request.headers:
        contexts.attach(SERVED)
        return
    if not propagation.plain:
        request.adopt(propagation.caller(request.headers) or new_trace())
    contexts.attach(propagation.context(request.headers, SERVED))


def context_of(request: Current) -> SpanContext:
    """Return the ids of a request as OpenTelemetry has them."""
    belongs = request.trace
    state = tracestate_of(request.headers) if belongs.parent else ""
    return SpanContext(
        int(belongs.trace_id, 16),
        int(request.span_id, 16),
        is_remote=False,
        trace_flags=TraceFlags(TraceFlags.SAMPLED if request.sampled else TraceFlags.DEFAULT),
        trace_state=TraceState.from_header([state]) if state else None,
    )


class UserSpans(SpanProcessor):
    """Hands finished spans to the request that they belong to, others to ``outside``."""

    def __init__(self) -> None:
        self.outside: Callable[[ReadableSpan], None] | None = None
        self.sampler: Sampler | None = None
        """Decides on spans outside requests."""
        self.joined = False
        """Whether the spans are those of another provider, which exports them itself."""
        self._of: dict[int, Current] = {}

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002 - the SDK's
        """Note which request a span belongs to."""
        context, request = span.get_span_context(), current.get()
        if request is not None and _is_of(request, context.trace_id):
            if len(self._of) >= MOST_OPEN:
                del self._of[next(iter(self._of))]
            self._of[context.span_id] = request

    def on_end(self, span: ReadableSpan) -> None:
        """Hand a span to its request; if that has ended already, it goes the way of others."""
        context: Any = span.get_span_context()
        request = self._of.pop(context.span_id, None)
        if request is not None and not request.ended:
            if len(request.spans) < MOST_SPANS:
                request.spans.append(span)
            else:
                request.dropped += 1
        elif self.outside is not None and not self.joined and context.trace_flags.sampled:
            self.outside(span)


class _UserSampler(Sampler):
    """Within a request every span is recorded, and sampled if the request is; others are the standard sampler's business."""

    def __init__(self, spans: UserSpans) -> None:
        self._spans = spans

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        request, outside = current.get(), self._spans.sampler
        if request is not None and _is_of(request, trace_id):
            decision = Decision.RECORD_AND_SAMPLE if request.sampled else Decision.RECORD_ONLY
            state = trace.get_current_span(parent_context).get_span_context().trace_state
            return SamplingResult(decision, attributes, state)
        if outside is None:
            return SamplingResult(Decision.DROP)
        return outside.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)

    def get_description(self) -> str:
        """Return what it is."""
        return "ObservabilitySampler"


def _is_of(request: Current, trace_id: int) -> bool:
    return not request.ended and int(request.trace.trace_id, 16) == trace_id


_spans = UserSpans()
_ready: list[bool] = []


def join(resource: Resource, sampler: Sampler, outside: Callable[[ReadableSpan], None] | None) -> UserSpans:
    """Make the spans of this process ours, from now until ``leave``; OpenTelemetry has one provider a process, for good."""
    if not _ready:
        _ready.append(True)
        provider: Any = trace.get_tracer_provider()
        if isinstance(provider, ProxyTracerProvider):
            provider = TracerProvider(sampler=_UserSampler(_spans), resource=resource, shutdown_on_exit=False)
            trace.set_tracer_provider(provider)
        else:
            _spans.joined = True
        if (add := getattr(provider, "add_span_processor", None)) is not None:
            add(_spans)
    _spans.sampler, _spans.outside = sampler, outside
    return _spans


def leave() -> None:
    """Let go of spans outside requests."""
    _spans.sampler = _spans.outside = None
