"""OTLP through a real receiver: rotel takes what we export and passes it to a sink that decodes it here."""

from __future__ import annotations

import asyncio
import logging
import time
from threading import enumerate as enumerate_threads
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from receiving import Sink, plain

from app.embedded.port import free_port
from observability.model import Slo
from observability.telemetry import Telemetry

if TYPE_CHECKING:
    from collections.abc import Callable

_TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
_PARENT = "00f067aa0ba902b7"
DURATION = "http.server.request.duration"
SOON = {"OTEL_BSP_SCHEDULE_DELAY": "100", "OTEL_METRIC_EXPORT_INTERVAL": "200"}
"""So that what a busy machine would not get out in time before the end is there already."""


def telemetry_to(address: str, *, first: bool = True, **environment: str) -> Telemetry:
    """Return telemetry that exports to an address."""
    return Telemetry(
        service="gatewatch",
        version="0.1",
        instance="here:8000",
        slo=Slo(),
        environment={"OTEL_EXPORTER_OTLP_ENDPOINT": address, **SOON, **environment},
        first=first,
    )


async def test_a_receiver_gets_the_span_and_the_histogram(receiver: str, sink: Sink, serve: Any) -> None:
    """The caller's trace id and parent, conventional names, and a histogram with the exact count arrive."""
    telemetry = telemetry_to(receiver, OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=test")
    async with serve(telemetry.recorder, telemetry.protocol) as site:
        await telemetry.start(None)
        await site.exchange(site.get("/users/5", f"traceparent: 00-{_TRACE}-{_PARENT}-01"))
        await site.exchange(site.get("/users/6", f"traceparent: 00-{_TRACE}-{_PARENT}-00"))
        await site.exchange(site.get("/broken"))
        await site.settled(3)
        await _until(lambda: len(sink.spans()) >= 2 and _counted(sink) == 3)
        await telemetry.stop()
    _check_spans(sink, telemetry)
    _check_metrics(sink, telemetry)


def _counted(sink: Sink) -> int:
    """Return how many requests the receiver knows of."""
    metrics = sink.metrics()
    points = metrics[DURATION].exponential_histogram.data_points if DURATION in metrics else ()
    return sum(point.count for point in points)


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110 - the sink lives in another thread
            await asyncio.sleep(0.02)


def _check_spans(sink: Sink, telemetry: Telemetry) -> None:
    spans = {span.name: (resource, span) for resource, span in sink.spans()}
    # The caller that did not sample /users/6 was obeyed: two spans of three requests.
    assert spans.keys() == {"GET /users/{user_id}", "GET /broken"}
    resource, span = spans["GET /users/{user_id}"]
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (_TRACE, _PARENT)
    assert span.kind == Span.SPAN_KIND_SERVER
    attributes = plain(span.attributes)
    assert attributes["http.route"] == "/users/{user_id}"
    assert attributes["http.response.status_code"] == 200
    assert attributes["server.address"] == "127.0.0.1"
    assert "url.path" not in attributes
    assert resource["service.name"] == "gatewatch"
    assert resource["service.instance.id"] == f"here:8000/{telemetry.recorder.worker}"
    assert resource["deployment.environment.name"] == "test"
    failed = spans["GET /broken"][1]
    assert plain(failed.attributes)["error.type"] == "500"
    seconds = (failed.end_time_unix_nano - failed.start_time_unix_nano) / 1e9
    recorded = next(c.duration.total for c in telemetry.recorder.requests.freeze() if c.route == "/broken")
    assert seconds == pytest.approx(recorded, abs=1e-6)
    assert abs(failed.end_time_unix_nano / 1e9 - time.time()) < 30


def _check_metrics(sink: Sink, telemetry: Telemetry) -> None:
    metrics = sink.metrics()
    duration = metrics[DURATION]
    assert duration.unit == "s"
    points = {plain(p.attributes)["http.route"]: p for p in duration.exponential_histogram.data_points}
    point = points["/users/{user_id}"]
    assert (point.count, sum(point.positive.bucket_counts), point.scale) == (2, 2, 4)
    recorded = next(c for c in telemetry.recorder.requests.freeze() if c.route == "/users/{user_id}")
    assert point.sum == pytest.approx(recorded.duration.total)
    assert {"http.server.active_requests", "process.cpu.time", "process.memory.usage"} <= metrics.keys()


async def test_a_dead_receiver_costs_nothing_but_a_warning(serve: Any, caplog: pytest.LogCaptureFixture) -> None:
    """With nobody listening requests are answered, stopping takes seconds, and the log stays short."""
    telemetry = telemetry_to(f"http://127.0.0.1:{free_port()}", OTEL_METRIC_EXPORT_INTERVAL="50")
    with caplog.at_level(logging.INFO):
        async with serve(telemetry.recorder, telemetry.protocol) as site:
            await telemetry.start(None)
            for _ in range(20):
                assert b"200 OK" in await site.exchange(site.get("/plain"))
            await site.settled(20)
            begun = time.monotonic()
            await telemetry.stop()
    assert time.monotonic() - begun < 15  # three are promised
    async with asyncio.timeout(60):  # once told to give up, the threads end as soon as they have a turn
        while any(thread.name in {"otlp-metrics", "otlp-flush"} for thread in enumerate_threads()):  # noqa: ASYNC110 - threads tell nobody
            await asyncio.sleep(0.02)
    about = [r for r in caplog.records if r.name.startswith(("opentelemetry", "observability", "urllib3"))]
    assert len(about) <= 3, [r.getMessage() for r in about]
    assert all("http://127.0.0.1:" in r.getMessage() for r in about if "exported" in r.getMessage())


async def test_the_sampler_of_the_environment_is_used(receiver: str, sink: Sink, serve: Any) -> None:
    """OTEL_TRACES_SAMPLER=always_off: requests are counted and no span is made."""
    telemetry = telemetry_to(receiver, OTEL_TRACES_SAMPLER="always_off")
    async with serve(telemetry.recorder, telemetry.protocol) as site:
        await telemetry.start(None)
        await site.exchange(site.get("/plain"))
        await site.settled(1)
        await _until(lambda: _counted(sink) == 1)
        await telemetry.stop()
    assert sink.spans() == []


async def _logged(caplog: pytest.LogCaptureFixture, text: str) -> logging.LogRecord:
    async with asyncio.timeout(60):
        while True:
            for record in caplog.records:
                if text in record.getMessage():
                    return record
            await asyncio.sleep(0.02)


async def test_a_failure_names_endpoint_and_reason_and_its_end_is_said_once(
    sink: Sink, caplog: pytest.LogCaptureFixture
) -> None:
    """Both at the level that a worker's log shows; the endpoint without the password in it."""
    sink.status = 404
    telemetry = telemetry_to(f"http://me:hunter2@127.0.0.1:{sink.port}", OTEL_METRIC_EXPORT_INTERVAL="50")
    await telemetry.start(None)
    failed = await _logged(caplog, "cannot be exported")
    sink.status = 200
    mended = await _logged(caplog, "accepted again")
    await telemetry.stop()
    assert (
        failed.getMessage() == f"OTLP metrics cannot be exported to http://127.0.0.1:{sink.port}/v1/metrics "
        "(404 Not Found); the service goes on without"
    )
    assert failed.levelno == mended.levelno == logging.WARNING
    assert len([r for r in caplog.records if r.name.startswith(("opentelemetry", "observability", "urllib3"))]) == 2


@pytest.mark.parametrize("first", [True, False])
async def test_one_worker_exports_the_figures_of_redis(sink: Sink, redis: Any, *, first: bool) -> None:
    """All workers see the same server, so one of them tells; the others tell everything else."""
    telemetry = telemetry_to(f"http://127.0.0.1:{sink.port}", first=first)
    await telemetry.start(redis)
    await _until(lambda: telemetry.recorder.redis is not None)
    sink.received.clear()
    told = "redis.memory.used" if first else "process.cpu.time"
    await _until(lambda: told in sink.metrics() and len(sink.received) > 1)
    await telemetry.stop()
    assert "process.cpu.time" in sink.metrics()
    assert ("redis.memory.used" in sink.metrics()) == first
