"""An OTLP receiver that keeps what it is sent, decoded."""

from __future__ import annotations

import contextlib
import gzip
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
    from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass
class Sink:
    """What was posted, by path, and how that is answered."""

    port: int
    status: int = 200
    delay: float = 0.0
    """Seconds until it answers."""
    received: list[tuple[str, bytes]] = field(default_factory=list)

    def spans(self) -> list[tuple[dict[str, str], Span]]:
        """Return every span with its resource's attributes."""
        requests = [ExportTraceServiceRequest.FromString(raw) for path, raw in self.received if path == "/v1/traces"]
        return [
            (plain(group.resource.attributes), span)
            for request in requests
            for group in request.resource_spans
            for scope in group.scope_spans
            for span in scope.spans
        ]

    def metrics(self) -> dict[str, Metric]:
        """Return the newest state of every metric by name."""
        requests = [ExportMetricsServiceRequest.FromString(raw) for path, raw in self.received if path == "/v1/metrics"]
        groups = [scope for request in requests for group in request.resource_metrics for scope in group.scope_metrics]
        return {metric.name: metric for scope in groups for metric in scope.metrics}


def plain(attributes: Any) -> dict[str, Any]:
    """Return attributes as Python has them."""
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in attributes}


@contextlib.contextmanager
def receiving() -> Iterator[Sink]:
    """Run an HTTP server that keeps what is posted to it."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            time.sleep(kept.delay)
            kept.received.append((self.path, body))
            self.send_response(kept.status)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    kept = Sink(server.server_address[1])
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield kept
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
