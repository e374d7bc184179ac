"""Brief traces as OTLP: the same to the byte's meaning as if they had been kept whole."""

from __future__ import annotations

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource

from observability.model import BriefKind, BriefTrace, KeptSpan, KeptTrace
from observability.publish.queue import BRIEF, SpanQueue
from observability.publish.spans import request_of

RESOURCE = Resource({"service.name": "shop"})
TRACE, SPAN, CHILD = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", "b7ad6b7169203331"
ABOUT = ("db.system.name", "redis"), ("server.port", 6379)
KIND = BriefKind("GET", "/auth/check", 204, (("url.scheme", "http"), ("url.path", "/auth/check")), "MGET", ABOUT)
BEGAN = 1_700_000_000_000_000_000
BRIEFLY = BriefTrace(KIND, bytes.fromhex(TRACE + SPAN + CHILD), (BEGAN, BEGAN + 4096, BEGAN + 1024, BEGAN + 3072))


@pytest.mark.parametrize("path", ["/a", "/" + "long" * 40, "/" + "longer" * 4000])
def test_a_brief_trace_is_written_as_a_whole_one_is(path: str) -> None:
    """Whatever the length of what is constant in it."""
    kind = BriefKind("GET", path, 204, (*KIND.attributes, ("url.path", path)), "MGET " + path, ABOUT)
    child = KeptSpan(CHILD, SPAN, kind.child, "client", "redis", 1024e-9, 2048e-9, "", ABOUT)
    whole = KeptTrace(
        1,
        TRACE,
        SPAN,
        "",
        "GET",
        path,
        204,
        "",
        "sampled",
        BEGAN / 1e9,
        4096e-9,
        (),
        (child,),
        attributes=kind.attributes,
    )
    briefly = BriefTrace(kind, BRIEFLY.ids, BRIEFLY.times)
    one, other = (
        ExportTraceServiceRequest.FromString(raw)
        for raw in (request_of([(whole, ())], RESOURCE), request_of([], RESOURCE, [briefly]))
    )
    assert one == other
    assert len(other.resource_spans[0].scope_spans[0].spans) == BRIEF


def test_what_finds_the_queue_full_is_refused_and_the_rest_goes_out() -> None:
    """Whole and brief ones share the bound, and what each of their spans came to is counted."""
    sent: list[bytes] = []

    def send(raw: bytes) -> bool:
        sent.append(raw)
        return True

    queue = SpanQueue(
        send, RESOURCE, {"OTEL_BSP_MAX_QUEUE_SIZE": "8", "OTEL_BSP_SCHEDULE_DELAY": "60000"}, lambda _: None
    )
    queue.put(KeptTrace(1, TRACE, SPAN, "", "GET", "/a", 200, "", "slow", 1.0, 2.0, ()))
    queue.put_briefly([BRIEFLY] * 6)
    assert (queue.taken, queue.refused) == (1 + 3 * BRIEF, 3 * BRIEF)
    queue.close()
    assert (queue.accepted, queue.waiting) == (1 + 3 * BRIEF, 0)
    requests = map(ExportTraceServiceRequest.FromString, sent)
    spans = [
        span for each in requests for of in each.resource_spans for scope in of.scope_spans for span in scope.spans
    ]
    assert sorted(span.name for span in spans) == ["GET /a", *["GET /auth/check"] * 3, *["MGET"] * 3]
