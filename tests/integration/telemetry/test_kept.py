"""Kept traces on their way: to the fleet's stream, out by OTLP, or to the worker's own console."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from receiving import Sink, plain
from sanic import Blueprint, HTTPResponse, Request, text

from observability.model import KeptSpan, KeptTrace, Slo, decode_kept
from observability.model.kept import KEPT_FIELD, KEPT_KEY
from observability.publish.traces import MOST_BYTES, MOST_ENTRIES, KeptPublisher
from observability.record.current import SQL, spend
from observability.telemetry import Telemetry

if TYPE_CHECKING:
    from redis.asyncio import Redis

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def telemetry(**environment: str) -> Telemetry:
    """Return telemetry of a worker."""
    return Telemetry(service="test", version="1", instance="here:1", slo=Slo(), environment=environment)


async def streamed(redis: Any, count: int) -> list[KeptTrace]:
    """Return the stream's traces once there are so many."""
    async with asyncio.timeout(60):
        while len(found := await redis.xrange(KEPT_KEY)) < count:  # noqa: ASYNC110 - a stream of another process
            await asyncio.sleep(0.05)
    return [decode_kept(fields[KEPT_FIELD]) for _, fields in found]


async def test_a_failed_request_is_in_the_stream_without_any_receiver(redis: Redis, serve: Any) -> None:
    """With its children, within a second or so, and as an example of its series."""
    made = telemetry()
    async with serve(made.recorder, made.protocol) as site:
        await made.start(redis)
        await site.exchange(site.get("/broken", f"traceparent: 00-{TRACE}-{PARENT}-00"))
        await site.exchange(site.get("/plain", f"traceparent: 00-{TRACE}-{PARENT}-00"))
        [kept] = await streamed(redis, 1)
        snapshot = made.recorder.snapshot()
        await made.stop()
    assert (kept.name, kept.status, kept.why, kept.trace_id, kept.parent_id) == (
        "GET /broken",
        500,
        "failed",
        TRACE,
        PARENT,
    )
    assert (kept.instance, kept.worker) == ("here:1", made.recorder.worker)
    broken = next(counts for counts in snapshot.requests if counts.route == "/broken")
    [exemplar] = broken.exemplars
    assert (exemplar.span_id, exemplar.seconds) == (kept.span_id, kept.seconds)
    assert broken.duration.total == kept.seconds
    assert (snapshot.kept.failed, snapshot.kept.refused) == (1, 0)
    assert await redis.ttl(KEPT_KEY) > 0


async def test_children_go_out_under_their_request(sink: Sink, serve: Any) -> None:
    """Server span and child have one trace, the child its parent; the span is as long as the metric says."""
    made = telemetry(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{sink.port}", OTEL_BSP_SCHEDULE_DELAY="100")
    page = Blueprint("waiting")

    @page.get("/waiting")
    async def waiting(_: Request) -> HTTPResponse:
        began = time.perf_counter()
        await asyncio.sleep(0.01)
        spend(SQL, began, time.perf_counter(), "users by id")
        return text("")

    async with serve(made.recorder, made.protocol, page) as site:
        await made.start(None)
        await site.exchange(site.get("/waiting", f"traceparent: 00-{TRACE}-{PARENT}-01"))
        await site.settled(1)
        seconds = made.recorder.requests.freeze()[0].duration.total
        async with asyncio.timeout(60):
            while len(sink.spans()) < 2:  # noqa: ASYNC110 - the sink lives in another thread
                await asyncio.sleep(0.02)
        await made.stop()
    spans = {span.name: span for _, span in sink.spans()}
    server, child = spans["GET /waiting"], spans["users by id"]
    assert (server.trace_id.hex(), server.parent_span_id.hex()) == (TRACE, PARENT)
    assert (child.trace_id, child.parent_span_id) == (server.trace_id, server.span_id)
    assert server.start_time_unix_nano <= child.start_time_unix_nano
    assert child.end_time_unix_nano <= server.end_time_unix_nano
    assert plain(server.attributes)["gatewatch.kept"] == "asked"
    assert (server.end_time_unix_nano - server.start_time_unix_nano) / 1e9 == pytest.approx(seconds, abs=2e-9)


async def test_a_trace_is_cut_to_its_bound(redis: Redis) -> None:
    """Whatever user code put into it; what was left out is counted."""
    huge = KeptTrace(1, TRACE, PARENT, "", "GET", "/a", 200, "", "slow", 1.0, 2.0, ())
    publisher = KeptPublisher(redis)
    long = tuple(KeptSpan(PARENT, PARENT, str(n) * 1000, "internal", "", 0.0, 0.0) for n in range(60))
    assert await publisher.publish([huge, msgspec.structs.replace(huge, spans=long)])
    small, cut = await streamed(redis, 2)
    assert (small, cut.dropped + len(cut.spans)) == (huge, 60)
    assert 0 < len(cut.spans) < 60
    assert publisher.bytes <= 2 * MOST_BYTES
    said = tuple((str(n), "x" * 1000) for n in range(32))
    assert await publisher.publish([msgspec.structs.replace(huge, attributes=said, spans=long)])
    assert publisher.bytes <= 3 * MOST_BYTES


async def test_the_stream_of_traces_is_bounded(redis: Redis) -> None:
    """The oldest go, by the hundred."""
    trace = KeptTrace(1, TRACE, PARENT, "", "GET", "/a", 200, "", "slow", 1.0, 2.0, ())
    assert await KeptPublisher(redis).publish([trace] * (MOST_ENTRIES + 300))
    assert MOST_ENTRIES <= await redis.xlen(KEPT_KEY) <= MOST_ENTRIES + 100
