"""What callers say of a request: whose trace it belongs to, and their baggage, as ``OTEL_PROPAGATORS`` asks for.

W3C Trace Context and Baggage, the default, are looked for directly; others are OpenTelemetry's, if they are installed.
"""

from __future__ import annotations

import logging
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import Getter

from observability.record.trace import Trace, parse_traceparent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from opentelemetry.propagators.textmap import TextMapPropagator

_logger = logging.getLogger(__name__)

_DEFAULT = "tracecontext,baggage"


class _Headers(Getter[Any]):
    """Reads Sanic's headers."""

    def get(self, carrier: Any, key: str) -> list[str] | None:
        return list(carrier.getall(key, ())) or None

    def keys(self, carrier: Any) -> list[str]:
        return list(carrier.keys())


_headers = _Headers()
_w3c_baggage = W3CBaggagePropagator()


class Propagation:
    """Reads the headers of requests; ``names`` are those of propagators, an unknown one is warned of and left out."""

    def __init__(self, names: str = "", *, warn: bool = False) -> None:
        logging.getLogger(W3CBaggagePropagator.__module__).setLevel(logging.ERROR)  # it warns in a stranger's own words
        asked = [name.strip().lower() for name in (names.strip() or _DEFAULT).split(",")]
        asked = [] if "none" in asked else asked
        self._tracecontext = "tracecontext" in asked
        self._baggage = "baggage" in asked
        self.plain = set(asked) == {"tracecontext", "baggage"}
        """Whether it is the default, whose trace context is read where it is asked for."""
        self._others: list[TextMapPropagator] = []
        for name in asked:
            if name not in {"tracecontext", "baggage", ""}:
                found = next(iter(entry_points(group="opentelemetry_propagator", name=name)), None)
                if found is not None:
                    self._others.append(found.load()())
                elif warn:
                    _logger.warning("OTEL_PROPAGATORS names %s, which is not installed; it is left out", name)

    def caller(self, headers: Any) -> Trace | None:
        """Return what the caller says that a request belongs to; of ``traceparent`` there may only be one."""
        if self._tracecontext:
            found: Sequence[str] = headers.getall("traceparent", ())
            known = parse_traceparent(found[0]) if len(found) == 1 else None
            if known is not None:
                return known
        for propagator in self._others:
            span = trace.get_current_span(_extracted(propagator, headers, Context())).get_span_context()
            if span.is_valid:
                ids = trace.format_trace_id(span.trace_id), trace.format_span_id(span.span_id)
                return Trace(*ids, sampled=span.trace_flags.sampled)
        return None

    def context(self, headers: Any, served: Context) -> Context:
        """Return the context of a request with the caller's baggage, which is ``served`` where there is none."""
        if self._baggage and "baggage" in headers:
            served = _extracted(_w3c_baggage, headers, served)
        for propagator in self._others:
            told = _extracted(propagator, headers, Context())
            own = trace.get_current_span(served)
            served = trace.set_span_in_context(own, Context({**served, **told}))
        return served


def _extracted(propagator: TextMapPropagator, headers: Any, context: Context) -> Context:
    """Return what a propagator makes of a context; the same when a stranger's headers are too odd for it."""
    try:
        return propagator.extract(headers, context, _headers)
    except Exception:  # noqa: BLE001 - whatever a propagator raises at what a stranger sends, the request is to be served
        return context


def propagation_from(environment: Mapping[str, str], *, warn: bool = False) -> Propagation:
    """Return what ``OTEL_PROPAGATORS`` asks for."""
    return Propagation(environment.get("OTEL_PROPAGATORS", ""), warn=warn)
