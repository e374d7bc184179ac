"""Kept traces as OTLP: a server span each, and its children.

They are written as the protocol's own messages. Through the SDK's span objects a trace would cost its worker five times
as much, and a hundredth of all requests is kept.
"""

from __future__ import annotations

import functools
import struct
from typing import TYPE_CHECKING

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource as ResourceMessage
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span, SpanFlags, Status

from observability.model import KeptTrace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan

    from observability.model import BriefKind, BriefTrace, KeptSpan
    from observability.model.kept import AttributeValue

SCOPE = InstrumentationScope(name="observability.sanic")

_SERVER_ERROR = 500
_KINDS = {"client": Span.SPAN_KIND_CLIENT, "internal": Span.SPAN_KIND_INTERNAL}
_ERROR = Status(code=Status.STATUS_CODE_ERROR)
_SAMPLED = 1
_LOCAL = _SAMPLED | SpanFlags.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK
_REMOTE = _LOCAL | SpanFlags.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK

_TRACE, _SPAN, _PARENT, _BEGIN, _END = b"\x0a\x10", b"\x12\x08", b"\x22\x08", b"\x39", b"\x41"
"""The tags of a span's ids (fields 1, 2 and 4) with their lengths, and of its times (7 and 8)."""

_SERVER, _CHILD = struct.Struct("<2s16s2s8ssQsQ"), struct.Struct("<2s16s2s8s2s8ssQsQ")


def request_of(
    batch: Iterable[tuple[KeptTrace, Sequence[ReadableSpan]]], resource: Resource, brief: Sequence[BriefTrace] = ()
) -> bytes:
    """Return an export request for traces, each with those of its spans that are user code's, which go as they are, and for brief ones."""
    request = ExportTraceServiceRequest()
    about = [KeyValue(key=name, value=_value(value)) for name, value in resource.attributes.items()]  # type: ignore[arg-type] # ours are simple
    # Everything is made where it belongs: putting a message into another one copies it.
    of = request.resource_spans.add(resource=ResourceMessage(attributes=about), schema_url=resource.schema_url)
    ours = of.scope_spans.add(scope=SCOPE)
    others: list[ReadableSpan] = []
    for trace, made_elsewhere in batch:
        known = {f"{span.get_span_context().span_id:016x}" for span in made_elsewhere}  # type: ignore[union-attr] # not annotated
        _add_spans(ours, trace, known)
        others += made_elsewhere
    ours.MergeFromString(b"".join(map(_written, brief)))
    if others:
        request.MergeFrom(encode_spans(others))
    encoded: bytes = request.SerializeToString()
    return encoded


def _add_spans(ours: ScopeSpans, trace: KeptTrace, without: set[str]) -> None:
    """Add a trace's server span and its children, except ``without``."""
    trace_id, started = bytes.fromhex(trace.trace_id), round(trace.started * 1e9)
    failed = trace.status >= _SERVER_ERROR or not trace.status
    span = ours.spans.add(
        trace_id=trace_id,
        span_id=bytes.fromhex(trace.span_id),
        parent_span_id=bytes.fromhex(trace.parent_id),
        trace_state=trace.tracestate,
        name=trace.name,
        kind=Span.SPAN_KIND_SERVER,
        start_time_unix_nano=started,
        end_time_unix_nano=started + round(trace.seconds * 1e9),
        status=_ERROR if failed else None,
        flags=_REMOTE if trace.parent_id else _LOCAL,
    )
    span.MergeFromString(_span_attributes(_server_attributes(trace)))
    for child in trace.spans:
        if child.span_id not in without:
            _add_child(ours, child, trace_id, trace.tracestate, started)


def _written(trace: BriefTrace) -> bytes:
    """Return a brief trace as a scope of nothing but its two spans."""
    server, child = _constant(trace.kind)
    trace_id, span_id, child_id = trace.ids[:16], trace.ids[16:24], trace.ids[24:]
    begin, end, asked, told = trace.times
    return b"".join(
        (
            server[0],
            _SERVER.pack(_TRACE, trace_id, _SPAN, span_id, _BEGIN, begin, _END, end),
            server[1],
            child[0],
            _CHILD.pack(_TRACE, trace_id, _SPAN, child_id, _PARENT, span_id, _BEGIN, asked, _END, told),
            child[1],
        )
    )


@functools.lru_cache(256)
def _constant(kind: BriefKind) -> tuple[tuple[bytes, bytes], tuple[bytes, bytes]]:
    """Return for each span what comes before its ids and times, its tag and length in a scope, and what comes after."""
    trace = KeptTrace(
        0, "", "", "", kind.method, kind.route, kind.status, "", "sampled", 0.0, 0.0, (), attributes=kind.attributes
    )
    server = Span(name=trace.name, kind=Span.SPAN_KIND_SERVER, flags=_LOCAL).SerializeToString()
    server += _span_attributes(_server_attributes(trace))
    child = Span(name=kind.child, kind=Span.SPAN_KIND_CLIENT, flags=_LOCAL).SerializeToString()
    child += _span_attributes(kind.child_attributes)
    return (
        (b"\x12" + _varint(_SERVER.size + len(server)), server),
        (b"\x12" + _varint(_CHILD.size + len(child)), child),
    )


def _varint(number: int) -> bytes:
    """Write a number as the protocol does: seven bits a byte, the lowest first."""
    low, high = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + _varint(high) if high else bytes([low])


def _add_child(ours: ScopeSpans, child: KeptSpan, trace_id: bytes, tracestate: str, started: int) -> None:
    begin = started + round(child.begin * 1e9)
    span = ours.spans.add(
        trace_id=trace_id,
        span_id=bytes.fromhex(child.span_id),
        parent_span_id=bytes.fromhex(child.parent_id),
        trace_state=tracestate,
        name=child.name,
        kind=_KINDS[child.kind],
        start_time_unix_nano=begin,
        end_time_unix_nano=begin + round(child.seconds * 1e9),
        status=_ERROR if child.error else None,
        flags=_LOCAL,
    )
    error = (("error.type", child.error),) if child.error else ()
    span.MergeFromString(_span_attributes((*child.attributes, *error)))


def _server_attributes(trace: KeptTrace) -> Iterator[tuple[str, AttributeValue]]:
    yield "http.request.method", trace.method
    if trace.route:
        yield "http.route", trace.route
    if trace.status:
        yield "http.response.status_code", trace.status
    if trace.error or trace.status >= _SERVER_ERROR:
        yield "error.type", trace.error or str(trace.status)
    yield "gatewatch.kept", trace.why
    yield from trace.attributes


def _span_attributes(pairs: Iterable[tuple[str, AttributeValue]]) -> bytes:
    """Return a span of nothing but attributes: the protocol lets encoded messages be merged by putting them together."""
    return b"".join([_encoded(name, value) for name, value in pairs])


@functools.lru_cache(1024, typed=True)
def _encoded(name: str, value: AttributeValue) -> bytes:
    """Return a span of nothing but one attribute; most come again and again."""
    encoded: bytes = Span(attributes=[KeyValue(key=name, value=_value(value))]).SerializeToString()
    return encoded


def _value(value: AttributeValue) -> AnyValue:
    match value:
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
    return AnyValue(string_value=str(value))
