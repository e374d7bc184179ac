"""OTLP over HTTP: spans in batches and metrics at an interval, from threads that no request waits for.

The exporters are the SDK's own, so endpoint, headers, timeout, compression and certificates are set by the standard
``OTEL_EXPORTER_OTLP_*`` variables. Failures are logged once when they begin and once when they end.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics.export import MetricExportResult
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from observability.publish.points import metrics_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan

    from observability.model import Snapshot

_logger = logging.getLogger(__name__)

# The SDK logs every failed try and every dropped span; one line a change of state is kept instead.
_NOISY = ("opentelemetry.exporter.otlp", "opentelemetry.sdk._shared_internal", "urllib3.connectionpool")
_DEFAULT_INTERVAL = 60.0


class _Condition:
    """Logs when exporting begins to fail and when it works again; counts failures."""

    def __init__(self, what: str) -> None:
        self.failures = 0
        self._what = what
        self._well = True

    def note(self, well: bool) -> None:  # noqa: FBT001 - the state itself is what is noted
        self.failures += not well
        if well != self._well:
            self._well = well
            if well:
                _logger.info("OTLP %s are accepted again", self._what)
            else:
                _logger.warning("OTLP %s cannot be exported; the service goes on without", self._what)


class _WatchedSpanExporter(SpanExporter):
    """The SDK's exporter, with its failures noted."""

    def __init__(self, inner: SpanExporter, condition: _Condition) -> None:
        self._inner = inner
        self._condition = condition

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            result = self._inner.export(spans)
        except Exception:  # noqa: BLE001 - a failed export must not end the exporting thread
            result = SpanExportResult.FAILURE
        self._condition.note(result is SpanExportResult.SUCCESS)
        return result

    def shutdown(self) -> None:
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._inner.force_flush(timeout_millis)


class OtlpPublisher:
    """Exports a worker's spans and metrics until closed. Made and closed on the event loop, works in daemon threads.

    ``latest`` returns the newest snapshot; it is read from the metrics thread. The span queue is the SDK's, bounded by
    ``OTEL_BSP_MAX_QUEUE_SIZE``: past it the oldest spans are dropped.
    """

    def __init__(
        self, *, environment: Mapping[str, str], resource: Resource, latest: Callable[[], Snapshot | None]
    ) -> None:
        self._resource = resource
        self._latest = latest
        self._interval = _interval(environment)
        self._closing = threading.Event()
        self._spans = _Condition("spans")
        self._metrics = _Condition("metrics")
        self._levels = {name: logging.getLogger(name).level for name in _NOISY}
        for name in _NOISY:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        traces = endpoint(environment, "traces")
        metrics = endpoint(environment, "metrics")
        self._processor = (
            BatchSpanProcessor(_WatchedSpanExporter(OTLPSpanExporter(endpoint=traces), self._spans)) if traces else None
        )
        self._exporter = OTLPMetricExporter(endpoint=metrics) if metrics else None
        self._thread = threading.Thread(target=self._run, name="otlp-metrics", daemon=True)
        self._thread.start()

    @property
    def failures(self) -> int:
        """Exports of either kind that failed."""
        return self._spans.failures + self._metrics.failures

    @property
    def span_sink(self) -> Callable[[ReadableSpan], None] | None:
        """Where finished spans go (it only queues them), or None when spans are not exported."""
        return self._processor.on_end if self._processor else None

    async def close(self, timeout: float = 2.0) -> bool:  # noqa: ASYNC109 - the deadline is this method's promise
        """Send what is left; return False when ``timeout`` seconds were not enough (the rest is then dropped)."""
        loop = asyncio.get_running_loop()
        done = asyncio.Event()

        def flush() -> None:
            self._flush()
            if not loop.is_closed():
                loop.call_soon_threadsafe(done.set)

        # A daemon thread of its own: one from an executor would be waited for when the process ends.
        threading.Thread(target=flush, name="otlp-flush", daemon=True).start()
        try:
            async with asyncio.timeout(timeout):
                await done.wait()
        except TimeoutError:
            return False
        finally:
            for name, level in self._levels.items():
                logging.getLogger(name).setLevel(level)
        return True

    def _run(self) -> None:
        while not self._closing.wait(self._interval):
            self._export_metrics()

    def _flush(self) -> None:
        self._closing.set()
        self._thread.join()
        self._export_metrics()
        if self._exporter:
            self._exporter.shutdown()
        if self._processor:
            self._processor.shutdown()  # type: ignore[no-untyped-call]  # the SDK's own is not annotated

    def _export_metrics(self) -> None:
        snapshot = self._latest()
        if snapshot is None or self._exporter is None:
            return
        try:
            result = self._exporter.export(metrics_of(snapshot, self._resource))
        except Exception:  # noqa: BLE001 - a failed export must not end the exporting thread
            result = MetricExportResult.FAILURE
        self._metrics.note(result is MetricExportResult.SUCCESS)


def endpoint(environment: Mapping[str, str], signal: str) -> str | None:
    """Return where a signal ("traces" or "metrics") goes, or None when it is not exported.

    The signal's own variable is used as it stands, the general one has the signal's path added (OTLP specification).
    """
    if environment.get(f"OTEL_{signal.upper()}_EXPORTER", "").strip().lower() == "none":
        return None
    own = environment.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT", "").strip()
    if own:
        return own
    general = environment.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").strip()
    return f"{general.rstrip('/')}/v1/{signal}" if general else None


def _interval(environment: Mapping[str, str]) -> float:
    """Return OTEL_METRIC_EXPORT_INTERVAL (milliseconds) in seconds; 60 s when it is absent or no positive number."""
    try:
        seconds = float(environment.get("OTEL_METRIC_EXPORT_INTERVAL", "").strip()) / 1000
    except ValueError:
        return _DEFAULT_INTERVAL
    return seconds if seconds > 0 else _DEFAULT_INTERVAL
