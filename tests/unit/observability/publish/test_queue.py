"""The queue of spans on their way out by OTLP."""

from __future__ import annotations

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from observability.model import KeptSpan, KeptTrace
from observability.publish.queue import SpanQueue

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def test_a_span_that_cannot_be_encoded_costs_no_others() -> None:
    """User code may say of a span what is no Unicode, a stranger's header for one; then all go out as they were kept."""
    sent: list[bytes] = []

    def send(raw: bytes) -> bool:
        sent.append(raw)
        return True

    queue = SpanQueue(send, Resource({}), {}, lambda _: None)
    span = TracerProvider().get_tracer("shop").start_span("shelve \udcff")
    span.end()
    kept = KeptSpan(f"{span.get_span_context().span_id:016x}", SPAN, "shelve ?", "internal", "", 0.0, 0.1)
    whole = KeptTrace(1, TRACE, SPAN, "", "GET", "/a", 200, "", "asked", 1.0, 2.0, (), (kept,))
    queue.put(whole, (span,))  # type: ignore[arg-type] # the SDK's own kind
    queue.close()
    assert (queue.accepted, queue.lost) == (2, 0)
    [request] = map(ExportTraceServiceRequest.FromString, sent)
    assert [each.name for of in request.resource_spans for scope in of.scope_spans for each in scope.spans] == [
        "GET /a",
        "shelve ?",
    ]
