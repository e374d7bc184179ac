"""OTLP over HTTP: spans in batches and metrics at an interval, from threads that no request waits for.

The exporters are the SDK's own, so endpoint, headers, timeout, compression and certificates are set by the standard
``OTEL_EXPORTER_OTLP_*`` variables. Failures are logged once when they begin and once when they end.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import threading
from typing import TYPE_CHECKING

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics.export import MetricExportResult

from observability.model import ExportCounts
from observability.publish.points import PREFERENCES, metrics_of
from observability.publish.queue import SpanQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan

    from observability.model import BriefTrace, KeptTrace, Snapshot

_logger = logging.getLogger(__name__)

# The SDK logs every failed try and every dropped span; one line a change of state is kept instead.
_NOISY = ("opentelemetry.exporter.otlp", "opentelemetry.sdk._shared_internal", "urllib3.connectionpool")
_DEFAULT_INTERVAL = 60.0
_PROTOCOL = "http/protobuf"

_TRANSIENT = re.compile(r"^Transient error (.*) encountered while")
_FINAL = re.compile(r"^Failed to export \S+ batch code: (\S+), reason: (.*)$")
_ERRNO = re.compile(r"\[Errno -?\d+\] ([^'\")]+)")
_USER = re.compile(r"//[^/\s@]*@")
_QUERY = re.compile(r"(https?://[^\s?#]*)[?#]\S*")
_LONGEST_REASON = 200
_LAST_MOMENT = 0.3


class _Told(logging.Handler):
    """Takes what the SDK says of the exports of one kind out of the log, and keeps the newest reason."""

    def __init__(self, exporter: type) -> None:
        super().__init__(logging.WARNING)
        self.reason = ""
        self._source = logging.getLogger(exporter.__module__)
        self._before = (self._source.level, self._source.propagate)

    def listen(self) -> None:
        self._source.addHandler(self)
        self._source.setLevel(logging.WARNING)
        self._source.propagate = False

    def stop(self) -> None:
        self._source.removeHandler(self)
        self._source.setLevel(self._before[0])
        self._source.propagate = self._before[1]

    def emit(self, record: logging.LogRecord) -> None:
        message = " ".join(_without_secrets(record.getMessage()).split())
        if found := _TRANSIENT.search(message):
            self.reason = _in_short(found[1])
        elif found := _FINAL.search(message):
            code = "" if found[1] == "None" else f"{found[1]} "
            self.reason = code + _in_short(found[2])
        elif not self.reason:  # "max retries" says less than the error that was tried again
            self.reason = _in_short(message)


class _Condition:
    """Logs when exporting begins to fail and when it works again; counts failures."""

    def __init__(self, what: str, endpoint: str | None, told: _Told) -> None:
        self.failures = 0
        self._what = what
        self._endpoint = _without_secrets(endpoint or "")
        self._told = told
        self._well = True

    def note(self, well: bool) -> None:  # noqa: FBT001 - the state itself is what is noted
        self.failures += not well
        if well != self._well:
            self._well = well
            if well:
                _logger.warning("OTLP %s are accepted again by %s", self._what, self._endpoint)
            else:
                _logger.warning(
                    "OTLP %s cannot be exported to %s (%s); the service goes on without",
                    self._what,
                    self._endpoint,
                    self._told.reason or "no reason given",
                )
        if well:
            self._told.reason = ""


class OtlpPublisher:
    """Exports a worker's spans and metrics until closed. Made and closed on the event loop, works in daemon threads.

    ``latest`` returns the newest snapshot; it is read from the metrics thread. At most ``OTEL_BSP_MAX_QUEUE_SIZE`` spans
    wait. Differences (delta temporality) are taken from the last snapshot that was accepted, so that a failed export
    loses nothing of metrics; one that was accepted and not answered is told of twice.
    """

    def __init__(
        self, *, environment: Mapping[str, str], resource: Resource, latest: Callable[[], Snapshot | None]
    ) -> None:
        self._resource = resource
        self._latest = latest
        self._interval = _interval(environment) or _DEFAULT_INTERVAL
        self._closing = threading.Event()
        self._levels = {name: logging.getLogger(name).level for name in _NOISY}
        for name in _NOISY:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        traces = endpoint(environment, "traces")
        metrics = endpoint(environment, "metrics")
        self._told = (_Told(OTLPSpanExporter), _Told(OTLPMetricExporter))
        for told in self._told:
            told.listen()
        self._spans = _Condition("spans", traces, self._told[0])
        self._metrics = _Condition("metrics", metrics, self._told[1])
        span_exporter = OTLPSpanExporter(endpoint=traces) if traces else None
        send = _sender(span_exporter) if span_exporter else None
        self._queue = SpanQueue(send, resource, environment, self._spans.note) if send else None
        self._temporality = PREFERENCES[_preference(environment) or "cumulative"]
        self._accepted: Snapshot | None = None
        self._exporter = OTLPMetricExporter(endpoint=metrics) if metrics else None
        self._exporters = [exporter for exporter in (span_exporter, self._exporter) if exporter]
        self._thread = threading.Thread(target=self._run, name="otlp-metrics", daemon=True)
        self._thread.start()

    @property
    def counts(self) -> ExportCounts:
        """What became of spans so far, and how many exports of either kind failed."""
        queue, failures = self._queue, self._spans.failures + self._metrics.failures
        if queue is None:
            return ExportCounts(failures=failures)
        return ExportCounts(queue.accepted, queue.refused, queue.lost, failures)

    @property
    def span_sink(self) -> Callable[[KeptTrace, Sequence[ReadableSpan]], None] | None:
        """Where kept traces go (it only queues them), or None when spans are not exported."""
        return self._queue.put if self._queue else None

    @property
    def brief_sink(self) -> Callable[[Sequence[BriefTrace]], None] | None:
        """The same for brief traces."""
        return self._queue.put_briefly if self._queue else None

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
            await self._give_up(done)
            return False
        finally:
            for told in self._told:
                told.stop()
            for name, level in self._levels.items():
                logging.getLogger(name).setLevel(level)
        return True

    async def _give_up(self, done: asyncio.Event) -> None:
        """End retries that are waited for, so that their threads do not outlive us where that can be helped."""
        for exporter in self._exporters:
            exporter.shutdown()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_MOMENT):
                await done.wait()

    def _run(self) -> None:
        while not self._closing.wait(self._interval):
            self._export_metrics()

    def _flush(self) -> None:
        self._closing.set()
        self._thread.join()
        self._export_metrics()
        if self._exporter:
            self._exporter.shutdown()
        if self._queue:
            self._queue.close()

    def _export_metrics(self) -> None:
        snapshot = self._latest()
        if snapshot is None or self._exporter is None:
            return
        try:
            metrics = metrics_of(snapshot, self._resource, self._temporality, self._accepted)
            result = self._exporter.export(metrics)
        except Exception:  # noqa: BLE001 - a failed export must not end the exporting thread
            result = MetricExportResult.FAILURE
        if result is MetricExportResult.SUCCESS:
            self._accepted = snapshot
        self._metrics.note(result is MetricExportResult.SUCCESS)


def _sender(exporter: OTLPSpanExporter) -> Callable[[bytes], bool]:
    """Return what posts an encoded export request as the SDK does: with its headers, retries and compression.

    The exporter has no public way past its own encoder, which takes span objects.
    """
    client = exporter._client  # noqa: SLF001 - see above
    return lambda request: bool(client.export(request).success)


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


def _interval(environment: Mapping[str, str]) -> float | None:
    """Return OTEL_METRIC_EXPORT_INTERVAL (milliseconds) in seconds, or None when it is absent or cannot be used."""
    try:
        seconds = float(environment.get("OTEL_METRIC_EXPORT_INTERVAL", "").strip()) / 1000
    except ValueError:
        return None
    return seconds if 0 < seconds <= threading.TIMEOUT_MAX else None


def _preference(environment: Mapping[str, str]) -> str | None:
    """Return which temporality is preferred, or None for one that there is not."""
    asked = environment.get("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "").strip().lower() or "cumulative"
    return asked if asked in PREFERENCES else None


def warnings_of(environment: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for every variable that asks for what is not done; for what is exported only."""
    exported = [signal.upper() for signal in ("traces", "metrics") if endpoint(environment, signal)]
    names = ["OTEL_EXPORTER_OTLP_PROTOCOL", *(f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL" for signal in exported)]
    for signal in exported:
        if not str(endpoint(environment, signal.lower())).startswith(("http://", "https://")):
            yield f"OTLP {signal.lower()} cannot be exported, their endpoint is no http or https URL"
    for name in names if exported else ():
        asked = environment.get(name, "").strip()
        if asked not in {"", _PROTOCOL}:
            yield f"{name}={asked} is not supported; OTLP goes out as {_PROTOCOL}"
    asked = environment.get("OTEL_METRIC_EXPORT_INTERVAL", "").strip()
    if asked and "METRICS" in exported and _interval(environment) is None:
        yield (
            f"OTEL_METRIC_EXPORT_INTERVAL={asked} is no usable number of milliseconds; "
            f"metrics go out every {_DEFAULT_INTERVAL:g} s"
        )
    if "METRICS" in exported and _preference(environment) is None:
        yield (
            "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE is none of "
            + ", ".join(PREFERENCES)
            + "; it is cumulative"
        )


def _without_secrets(text: str) -> str:
    return _QUERY.sub(r"\1", _USER.sub("//", text))


def _in_short(reason: str) -> str:
    """Return the operating system's words out of the many that HTTP clients wrap around them."""
    found = _ERRNO.findall(reason)
    return (found[-1] if found else reason)[:_LONGEST_REASON].strip()
