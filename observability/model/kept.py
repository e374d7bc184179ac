"""A trace that was kept whole, because it was slow, failed, sampled or asked for, as it travels and is stored."""

from __future__ import annotations

from typing import Literal

import msgspec

from observability.model.snapshot import SnapshotError

KEPT_VERSION = 1

KEPT_KEY = "gatewatch:traces"
"""The Redis Stream that every worker of the fleet writes its kept traces to, the newest few thousand."""

KEPT_FIELD = b"trace"

MOST_SPANS = 64
"""Spans and logs, each, that one kept request has at most; ``dropped`` counts the others."""

Why = Literal["slow", "failed", "sampled", "asked"]
"""asked: by the caller's own sampling decision."""

SpanKind = Literal["client", "internal"]

AttributeValue = str | int | float | bool


class KeptSpan(msgspec.Struct, frozen=True, array_like=True):
    """A child of a request. ``begin`` is seconds after the request's start; ids are lowercase hex.

    ``part`` is the part of the anatomy that it belongs to, empty for spans of user code.
    """

    span_id: str
    parent_id: str
    name: str
    kind: SpanKind
    part: str
    begin: float
    seconds: float
    error: str = ""
    attributes: tuple[tuple[str, AttributeValue], ...] = ()


class KeptLog(msgspec.Struct, frozen=True, array_like=True):
    """A line that was logged while the request was served, ``at`` so many seconds after its start."""

    at: float
    level: str
    logger: str
    message: str


class KeptTrace(msgspec.Struct, frozen=True, array_like=True):
    """One request as its worker saw it. ``started`` is Unix seconds; ``parts`` are seconds, named by ``anatomy.PARTS``.

    ``parent_id`` is the caller's span, empty when there was no caller's trace. ``client_wait`` is how long the caller says
    that the request waited before it was sent, None when it does not say. ``attributes`` are those of its span that the
    other fields do not tell; ``tracestate`` is the caller's (W3C).
    """

    version: int
    trace_id: str
    span_id: str
    parent_id: str
    method: str
    route: str
    status: int
    error: str
    why: Why
    started: float
    seconds: float
    parts: tuple[float, ...]
    spans: tuple[KeptSpan, ...] = ()
    logs: tuple[KeptLog, ...] = ()
    dropped: int = 0
    client_wait: float | None = None
    instance: str = ""
    worker: str = ""
    attributes: tuple[tuple[str, AttributeValue], ...] = ()
    tracestate: str = ""

    @property
    def name(self) -> str:
        """The name of its span: ``{method} {route}``, with HTTP for an unknown method and no route where none matched."""
        return f"{'HTTP' if self.method == '_OTHER' else self.method} {self.route}".rstrip()


class BriefKind(msgspec.Struct, frozen=True):
    """What brief traces have in common: their server span's figures and attributes, and the name and attributes of its only child."""

    method: str
    route: str
    status: int
    attributes: tuple[tuple[str, AttributeValue], ...]
    child: str
    child_attributes: tuple[tuple[str, AttributeValue], ...]


class BriefTrace(msgspec.Struct, frozen=True):
    """A sampled request of which nothing is known but that it waited for a store once. Such ones are many, and made to be written at once.

    ``ids`` are 32 bytes: the trace's, its span's and its child's. ``times`` are Unix nanoseconds: begin and end of the
    request, begin and end of the child.
    """

    kind: BriefKind
    ids: bytes
    times: tuple[int, int, int, int]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(KeptTrace)


def encode_kept(trace: KeptTrace) -> bytes:
    """Return a kept trace as MessagePack."""
    return _encoder.encode(trace)


def decode_kept(raw: bytes) -> KeptTrace:
    """Read a kept trace; raise SnapshotError for other bytes or another version."""
    try:
        trace = _decoder.decode(raw)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise SnapshotError(f"not a kept trace: {error}") from error
    if trace.version != KEPT_VERSION:
        raise SnapshotError(f"kept trace version {trace.version}, this code reads {KEPT_VERSION}")
    return trace
