"""Which requests are kept whole, decided when they have ended: the slow, the failed, and those that were sampled.

The others cost no span and no identity. Each kind is bounded to a number a second; what is past that is counted.
"""

from __future__ import annotations

import random
import re
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import SpanKind

from observability.model import PARTS, Exemplar, Kept, KeptSpan, KeptTrace
from observability.model.kept import KEPT_VERSION, MOST_SPANS
from observability.record.current import REDIS, SQL
from observability.record.logs import legible
from observability.record.trace import tracestate_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    from observability.model.kept import AttributeValue, BriefTrace, Why
    from observability.record.current import Child, Current
    from observability.record.requests import Series

    Sink = Callable[[KeptTrace, Sequence[ReadableSpan]], None]

MOST_A_SECOND: dict[Why, int] = {"failed": 10, "slow": 5, "asked": 25, "sampled": 25}

MOST_FRESH = 200
"""Kept traces that wait to be published; past that the oldest go."""

_WAITED = re.compile(r"(?:^|,)[ \t]*gatewatch=w:([0-9]{1,12})[ \t]*(?:,|$)")


class Keeper:
    """Keeps requests of one worker. Each kept one goes to ``fresh`` and, with the spans of user code, to ``sink``."""

    def __init__(self, *, instance: str, worker: str) -> None:
        self.fresh: deque[KeptTrace] = deque(maxlen=MOST_FRESH)
        self.sink: Sink | None = None
        self.brief_sink: Callable[[Sequence[BriefTrace]], None] | None = None
        self._instance = instance
        self._worker = worker
        self._counts = dict.fromkeys(MOST_A_SECOND, 0)
        self._refused = 0
        self._left = dict(MOST_A_SECOND)

    @property
    def counts(self) -> Kept:
        """How many were kept, and why."""
        return Kept(**self._counts, refused=self._refused)

    def settle(self) -> None:
        """Once a second: let as many be kept again."""
        self._left = dict(MOST_A_SECOND)

    def take(self) -> list[KeptTrace]:
        """Return what was kept since the last call."""
        taken = list(self.fresh)
        self.fresh.clear()
        return taken

    def refuses(self, why: Why) -> bool:
        """Return whether one more this second is too many; if so it is counted as refused."""
        too_many = self._left[why] <= 0
        self._refused += too_many
        return too_many

    def room(self, why: Why) -> int:
        """Return how many more can be kept this second."""
        return self._left[why]

    def keep_briefly(self, traces: Sequence[BriefTrace]) -> None:
        """Export sampled requests for which this second has no room to keep them."""
        self._counts["sampled"] += len(traces)
        self._refused += len(traces)
        if self.brief_sink is not None:
            self.brief_sink(traces)

    def why(self, series: Series, seconds: float, request: Current) -> Why | None:
        """Return why a request is to be kept, None when it is not."""
        if series.failed and self._has("failed"):
            return "failed"
        if seconds > series.route.slow and self._has("slow"):
            return "slow"
        if request.sampled:
            return "asked" if request.sampling.parents and request.trace.parent else "sampled"
        return None

    def keep(
        self,
        why: Why,
        series: Series,
        request: Current,
        seconds: float,
        parts: Sequence[float],
        attributes: tuple[tuple[str, AttributeValue], ...],
    ) -> None:
        """Keep a request that took so many seconds. Which those are, ``why`` has said."""
        listed = why in {"failed", "slow"} or self._has(why)
        if not listed and self.sink is None:
            return
        self._counts[why] += 1
        trace = self._trace(why, series, request, seconds, parts, attributes)
        series.exemplars.append(Exemplar(seconds, trace.trace_id, trace.span_id, trace.started + seconds))
        if listed:
            self.fresh.append(trace)
        if self.sink is not None and not request.sampling.never:
            self.sink(trace, request.spans)

    def _has(self, why: Why) -> bool:
        if self._left[why] > 0:
            self._left[why] -= 1
            return True
        self._refused += 1
        return False

    def _trace(
        self,
        why: Why,
        series: Series,
        request: Current,
        seconds: float,
        parts: Sequence[float],
        attributes: tuple[tuple[str, AttributeValue], ...],
    ) -> KeptTrace:
        method, route, status, error = series.key
        # The monotonic clock gives durations; the wall clock only places them.
        started = time.time() - (time.perf_counter() - request.begin)
        own = [_child(child, request) for child in request.children if child[1]]
        own += [_user_span(span, started) for span in request.spans]
        own.sort(key=lambda span: span.begin)
        caller = request.trace
        state = tracestate_of(request.headers) if caller.parent else ""
        waited = _WAITED.search(state)
        return KeptTrace(
            version=KEPT_VERSION,
            trace_id=caller.trace_id,
            span_id=request.span_id,
            parent_id=caller.parent,
            method=method,
            route=route,
            status=status,
            error=error,
            why=why,
            started=started,
            seconds=seconds,
            parts=tuple(parts) or (0.0,) * len(PARTS),
            spans=tuple(own[:MOST_SPANS]),
            logs=tuple(request.logs[:MOST_SPANS]),
            dropped=request.dropped + max(0, len(own) - MOST_SPANS) + max(0, len(request.logs) - MOST_SPANS),
            client_wait=int(waited[1]) / 1e6 if waited else None,
            instance=self._instance,
            worker=self._worker,
            attributes=(*attributes, *request.attributes.items()),
            tracestate=state,
        )


def _child(child: Child, request: Current) -> KeptSpan:
    part, name, begin, end, error, attributes = child
    return KeptSpan(
        span_id=f"{random.getrandbits(64):016x}",
        parent_id=request.span_id,
        name=name,
        kind="client" if part in {SQL, REDIS} else "internal",
        part=PARTS[part],
        begin=begin - request.begin,
        seconds=end - begin,
        error=error,
        attributes=attributes,
    )


def _user_span(span: ReadableSpan, started: float) -> KeptSpan:
    context: Any = span.get_span_context()
    begin, end = span.start_time or 0, span.end_time or 0
    attributes = span.attributes or {}
    return KeptSpan(
        span_id=f"{context.span_id:016x}",
        parent_id=f"{span.parent.span_id:016x}" if span.parent else "",
        name=legible(span.name),
        kind="client" if span.kind is SpanKind.CLIENT else "internal",
        part="",
        begin=begin / 1e9 - started,
        seconds=(end - begin) / 1e9,
        error=legible(str(attributes.get("error.type", ""))) or ("" if span.status.is_ok else "error"),
        attributes=tuple(
            (legible(name), legible(value) if isinstance(value, str) else value)
            for name, value in attributes.items()
            if isinstance(value, str | int | float)
        ),
    )
