"""The bare application under telemetry: run as ``python -m benchmarks.rivals.traced ours|stock PORT``.

There is no stock instrumentor for Sanic, so the stock one is what OpenTelemetry's instrumentors for other frameworks do,
through the same SDK: a server span, a duration and the count of active requests; and the one for redis-py as it is.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from benchmarks.rivals.bare import app

if TYPE_CHECKING:
    from sanic import HTTPResponse, Request, Sanic


def stock(application: Sanic) -> None:  # type: ignore[type-arg] # Sanic's own default
    """Instrument it with the SDK."""
    from opentelemetry import context, metrics, propagate, trace  # noqa: PLC0415 - one of the two
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter  # noqa: PLC0415
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.instrumentation.redis import RedisInstrumentor  # type: ignore[import-not-found, import-untyped, unused-ignore] # noqa: PLC0415
    from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    metrics.set_meter_provider(MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())]))
    tracer, meter = trace.get_tracer("stock"), metrics.get_meter("stock")
    duration = meter.create_histogram("http.server.request.duration", "s")
    active = meter.create_up_down_counter("http.server.active_requests", "{request}")
    RedisInstrumentor().instrument()

    @application.on_request
    async def begin(request: Request) -> None:
        parent = propagate.extract(request.headers)
        attributes = {"http.request.method": request.method, "url.scheme": "http", "url.path": request.path}
        span = tracer.start_span("GET", parent, trace.SpanKind.SERVER, attributes)
        active.add(1, {"http.request.method": request.method, "url.scheme": "http"})
        request.ctx.traced = span, context.attach(trace.set_span_in_context(span)), time.perf_counter()

    @application.on_response  # type: ignore[untyped-decorator] # Sanic's own
    async def end(request: Request, response: HTTPResponse) -> None:
        span, token, began = request.ctx.traced
        attributes: dict[str, str | int] = {
            "http.request.method": request.method,
            "http.route": str(request.uri_template),
            "http.response.status_code": response.status,
        }
        span.set_attributes(attributes)
        span.end()
        context.detach(token)
        duration.record(time.perf_counter() - began, attributes)
        active.add(-1, {"http.request.method": request.method, "url.scheme": "http"})


def ours(application: Sanic) -> None:  # type: ignore[type-arg] # the same
    """Instrument it with the library of this project."""
    import observability  # noqa: PLC0415 - one of the two

    observability.install(application)


if __name__ == "__main__":
    {"ours": ours, "stock": stock}[sys.argv[1]](app)
    app.run(port=int(sys.argv[2]), single_process=True, access_log=False, motd=False)
