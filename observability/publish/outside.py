"""Spans that belong to no request, exported the SDK's own way; the exporter is made when there is a first one."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import BatchSpanProcessor

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan


class OutsideSpans:
    """Sends spans to an endpoint in the SDK's batches, whose bounds and delays the standard variables set."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._making = threading.Lock()
        self._batches: BatchSpanProcessor | None = None

    def put(self, span: ReadableSpan) -> None:
        """Take a span, from whichever thread."""
        with self._making:
            if self._batches is None:
                self._batches = BatchSpanProcessor(OTLPSpanExporter(endpoint=self._endpoint))
        self._batches.on_end(span)

    async def close(self, timeout: float) -> None:  # noqa: ASYNC109 - the deadline is this method's promise
        """Send what is left, for so many seconds at most."""
        if self._batches is None:
            return
        # A daemon thread of its own: one from an executor would be waited for when the process ends.
        ending = threading.Thread(target=self._batches.shutdown, name="otlp-outside", daemon=True)
        ending.start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while ending.is_alive():  # noqa: ASYNC110 - a thread has no event
                    await asyncio.sleep(0.01)
