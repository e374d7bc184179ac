"""The example application shows what its telemetry sees beyond figures: spans, logs and what blocks it."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from programs import PATIENCE, ROOT, program
from receiving import plain, receiving
from redis.asyncio import Redis

from observability.model.kept import KEPT_FIELD, KEPT_KEY, decode_kept
from observability.model.snapshot import decode_snapshot
from observability.model.stream import STREAM_FIELD, STREAM_KEY

if TYPE_CHECKING:
    from receiving import Sink

EXAMPLE = ROOT / "examples/todo/app.py"
CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def received(sink: Sink, *names: str) -> dict[str, Any]:
    """Return spans by name, as soon as all have come."""
    async with asyncio.timeout(PATIENCE):
        while True:
            spans = {span.name: span for _, span in sink.spans()}
            if set(names) <= set(spans):
                return spans
            await asyncio.sleep(0.05)


async def test_a_span_of_user_code_is_a_child_of_its_request() -> None:
    """The caller's trace, the request and what the handler does in it are one trace; so says the receiver."""
    with receiving() as sink:
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{sink.port}",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }
        async with program(EXAMPLE, **environment) as client:
            await client.get("/plan", headers={"traceparent": CALLER})
            spans = await received(sink, "GET /plan", "think it over")
    request, own = spans["GET /plan"], spans["think it over"]
    assert own.trace_id == request.trace_id == bytes.fromhex(CALLER[3:35])
    assert request.parent_span_id == bytes.fromhex(CALLER[36:52])
    assert own.parent_span_id == request.span_id
    assert plain(own.attributes)["todo.method"] == "most urgent first"
    assert plain(request.attributes)["todo.items"] == 0


async def test_a_kept_trace_tells_spans_logs_and_attributes(redis_server: Any) -> None:
    """Without any endpoint, for the console: it travels through Redis."""
    async with program(EXAMPLE, REDIS_URL=redis_server.url) as client, Redis.from_url(redis_server.url) as redis:
        await redis.delete(KEPT_KEY)
        await client.get("/plan", headers={"traceparent": CALLER})
        plans: list[Any] = []
        async with asyncio.timeout(PATIENCE):
            while not plans:  # another request may have been kept by chance
                entries: Any = await redis.xrange(KEPT_KEY)
                found = [decode_kept(fields[KEPT_FIELD]) for _, fields in entries]
                plans = [kept for kept in found if kept.route == "/plan"]
                await asyncio.sleep(0.05)
    [kept] = plans
    assert (kept.why, kept.trace_id) == ("slow", CALLER[3:35])
    assert [(span.name, span.parent_id, span.part) for span in kept.spans] == [("think it over", kept.span_id, "")]
    assert [(line.level, line.logger, line.message) for line in kept.logs] == [("WARNING", "todo", "planned 0 things")]
    assert dict(kept.attributes)["todo.items"] == 0


async def test_what_blocks_the_loop_is_named(redis_server: Any) -> None:
    """The function, its stack and whom it delayed are in its worker's next two snapshots, which are a second apart."""
    async with program(EXAMPLE, REDIS_URL=redis_server.url) as client, Redis.from_url(redis_server.url) as redis:
        await redis.delete(STREAM_KEY)
        async with asyncio.timeout(PATIENCE):
            while True:
                await asyncio.gather(*(client.get(path) for path in ("/report", "/items", "/plan")))
                entries: Any = await redis.xrange(STREAM_KEY)
                told = [decode_snapshot(fields[STREAM_FIELD]) for _, fields in entries]
                reports = told[-1].blocked if told else ()
                named = [report for report in reports if report.function.startswith("print_out (todo/app.py:")]
                often = any(later.taken - earlier.taken < 1.5 for earlier, later in pairwise(told))
                if often and any(dict(report.delayed).get("GET /plan") for report in named):
                    break
    for report in named:
        after = [snapshot.blocked for snapshot in told if snapshot.taken > report.at]
        assert any(report.number == one.number for blocked in after[:2] for one in blocked)
    assert named[0].seconds >= 0.05
    assert any(frame.startswith("report (todo/app.py:") for frame in named[0].stack)
