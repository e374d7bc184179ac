"""Kept traces on their way out as OTLP spans: batches behind a bound, and a count of what became of each span."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from observability.model import BriefTrace
from observability.publish.spans import request_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan

    from observability.model import KeptTrace

    Send = Callable[[bytes], bool]
    Waiting = tuple[KeptTrace, tuple[ReadableSpan, ...]] | BriefTrace

DEFAULT_SIZE = 2048
"""Spans that may wait when ``OTEL_BSP_MAX_QUEUE_SIZE`` does not say how many; the specification's default."""

DEFAULT_BATCH = 512
"""The same of ``OTEL_BSP_MAX_EXPORT_BATCH_SIZE``."""

BRIEF = 2
"""Spans of a brief trace."""

DEFAULT_DELAY = 5000
"""The same of ``OTEL_BSP_SCHEDULE_DELAY``, milliseconds."""


class SpanQueue:
    """Takes traces and sends their spans in batches from a thread of its own; ``send`` says whether a batch was accepted.

    A trace that finds the queue full is refused whole and counted. Each count is of spans and written by one thread only:
    ``taken`` and ``refused`` by whose traces they are, the others by the sending thread.
    """

    def __init__(
        self, send: Send, resource: Resource, environment: Mapping[str, str], note: Callable[[bool], None]
    ) -> None:
        self.taken = 0
        self.refused = 0
        self.accepted = 0
        self.lost = 0
        """Spans whose export failed."""
        self.size = _positive(environment, "OTEL_BSP_MAX_QUEUE_SIZE", DEFAULT_SIZE)
        self._batch = min(self.size, _positive(environment, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", DEFAULT_BATCH))
        self._delay = _positive(environment, "OTEL_BSP_SCHEDULE_DELAY", DEFAULT_DELAY) / 1000
        self._ended = 0
        self._send = send
        self._resource = resource
        self._note = note
        self._traces: deque[Waiting] = deque()
        self._due = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="otlp-spans", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many spans are held, those of an export that goes on included."""
        return self.taken - self._ended

    def put(self, trace: KeptTrace, spans: Sequence[ReadableSpan] = ()) -> None:
        """Take a trace, or refuse it; it only takes a moment. ``spans`` are those of user code among its spans."""
        count = 1 + len(trace.spans)
        if self.waiting + count > self.size:
            self.refused += count
            return
        self.taken += count
        self._traces.append((trace, tuple(spans)))
        if self.waiting >= self._batch:
            self._due.set()

    def put_briefly(self, traces: Sequence[BriefTrace]) -> None:
        """Take as many brief traces as there is room for, and refuse the others."""
        fitting = traces[: max(0, self.size - self.waiting) // BRIEF]
        self.refused += BRIEF * (len(traces) - len(fitting))
        self.taken += BRIEF * len(fitting)
        self._traces.extend(fitting)
        if self.waiting >= self._batch:
            self._due.set()

    def close(self) -> None:
        """Send what waits and stop; it may take as long as an export does."""
        self._closing = True
        self._due.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closing:
            self._due.wait(self._delay)
            self._due.clear()
            while self._traces:
                self._send_batch()

    def _send_batch(self) -> None:
        batch: list[Waiting] = []
        count = 0
        while self._traces and (not batch or count + _spans_of(self._traces[0]) <= self._batch):
            batch.append(self._traces.popleft())
            count += _spans_of(batch[-1])
        try:
            well = self._send(self._encoded(batch))
        except Exception:  # noqa: BLE001 - a failed export must not end the exporting thread
            well = False
        if well:
            self.accepted += count
        else:
            self.lost += count
        self._ended += count
        self._note(well)

    def _encoded(self, batch: Sequence[Waiting]) -> bytes:
        brief = [each for each in batch if isinstance(each, BriefTrace)]
        whole = [each for each in batch if not isinstance(each, BriefTrace)]
        try:
            return request_of(whole, self._resource, brief)
        except ValueError:
            # A span of user code says what is no Unicode. As they were kept, all can be sent.
            return request_of([(trace, ()) for trace, _ in whole], self._resource, brief)


def _spans_of(waiting: Waiting) -> int:
    return BRIEF if isinstance(waiting, BriefTrace) else 1 + len(waiting[0].spans)


def _positive(environment: Mapping[str, str], name: str, default: int) -> int:
    try:
        return max(1, int(environment.get(name, "")))
    except ValueError:
        return default
