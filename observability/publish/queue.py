"""Finished spans on their way out: the SDK's batches behind a bound of our own, and a count of what became of each span."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

DEFAULT_SIZE = 2048
"""Spans that may wait when ``OTEL_BSP_MAX_QUEUE_SIZE`` does not say how many; the specification's default."""

DEFAULT_BATCH = 512
"""The same of ``OTEL_BSP_MAX_EXPORT_BATCH_SIZE``."""


class SpanQueue(SpanExporter):
    """Takes spans and exports them in batches from a thread of the SDK's.

    A span that finds the queue full is refused and counted; the SDK would drop an older one and count nothing. Each count
    is written by one thread only: ``taken`` and ``refused`` by whose spans they are, the others by the exporting thread.
    """

    def __init__(self, inner: SpanExporter, environment: Mapping[str, str], note: Callable[[bool], None]) -> None:
        self.taken = 0
        self.refused = 0
        self.accepted = 0
        self.lost = 0
        """Spans whose export failed."""
        self.size = _positive(environment, "OTEL_BSP_MAX_QUEUE_SIZE", DEFAULT_SIZE)
        batch = min(self.size, _positive(environment, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", DEFAULT_BATCH))
        self._ended = 0
        self._inner = inner
        self._note = note
        # The span that is refused here must never be one that the SDK drops, so its own queue is no smaller.
        self._processor = BatchSpanProcessor(self, self.size, max_export_batch_size=batch)

    @property
    def waiting(self) -> int:
        """How many spans are held, those of an export that goes on included."""
        return self.taken - self._ended

    def put(self, span: ReadableSpan) -> None:
        """Take a span, or refuse it; it only takes a moment."""
        if self.waiting >= self.size:
            self.refused += 1
            return
        self.taken += 1
        self._processor.on_end(span)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send a batch; the processor calls it in its thread."""
        try:
            result = self._inner.export(spans)
        except Exception:  # noqa: BLE001 - a failed export must not end the exporting thread
            result = SpanExportResult.FAILURE
        well = result is SpanExportResult.SUCCESS
        if well:
            self.accepted += len(spans)
        else:
            self.lost += len(spans)
        self._ended += len(spans)
        self._note(well)
        return result

    def close(self) -> None:
        """Send what waits and stop; it may take as long as an export does."""
        self._processor.shutdown()  # type: ignore[no-untyped-call]  # the SDK's own is not annotated

    def shutdown(self) -> None:
        """Stop the exporter; the processor calls it when it is closed."""
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Pass on the wish."""
        return self._inner.force_flush(timeout_millis)


def _positive(environment: Mapping[str, str], name: str, default: int) -> int:
    try:
        return max(1, int(environment.get(name, "")))
    except ValueError:
        return default
