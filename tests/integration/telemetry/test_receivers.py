"""Receivers that misbehave: what is held stays bounded, every span is accounted for, and exporting recovers by itself."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.resources import Resource
from receiving import Sink, receiving

from app.embedded.port import free_port
from observability.model import KeptTrace, Slo
from observability.publish.otlp import OtlpPublisher
from observability.record import Recorder
from observability.record.trace import new_trace
from observability.telemetry import Telemetry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from observability.model import ExportCounts

SIZE = 50
MANY = 200


class Exporting:
    """A worker's export to an address, with small bounds and short patience."""

    def __init__(self, address: str) -> None:
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": address,
            "OTEL_BSP_MAX_QUEUE_SIZE": str(SIZE),
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "20",
            "OTEL_METRIC_EXPORT_INTERVAL": "100",
            "OTEL_BSP_SCHEDULE_DELAY": "50",
        }
        self.recorder = Recorder(instance="here")
        resource = Resource({})
        self.publisher = OtlpPublisher(environment=environment, resource=resource, latest=self.recorder.snapshot)
        self._sink = self.publisher.span_sink
        self.made = 0

    def make(self, count: int) -> None:
        """Finish requests, each of which becomes a span."""
        assert self._sink is not None
        for _ in range(count):
            trace = new_trace().trace_id
            self._sink(KeptTrace(1, trace, trace[16:], "", "GET", "/me", 200, "", "sampled", 1.0, 2.0, ()), ())
        self.made += count

    @property
    def waiting(self) -> int:
        """How many spans are neither exported nor given up."""
        counts = self.publisher.counts
        return self.made - counts.accepted - counts.refused - counts.lost

    async def until(self, true: Callable[[ExportCounts], bool]) -> ExportCounts:
        """Return the counts as soon as something holds for them."""
        async with asyncio.timeout(60):
            while not true(self.publisher.counts):
                assert self.waiting <= SIZE
                await asyncio.sleep(0.02)
        return self.publisher.counts

    async def recovers(self) -> None:
        """Show that what waits goes out or is given up, and that new spans are accepted again."""
        await self.until(lambda _: self.waiting == 0)
        before = self.publisher.counts
        self.make(10)
        await self.until(lambda counts: counts.accepted == before.accepted + 10)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an export take a second; that the SDK reads from the environment itself."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")


@pytest.fixture
async def exporting() -> AsyncIterator[tuple[Exporting, Sink]]:
    """Export to a sink that can be told to misbehave."""
    with receiving() as sink:
        made = Exporting(f"http://127.0.0.1:{sink.port}")
        yield made, sink
        sink.status, sink.delay = 200, 0.0
        await made.publisher.close(5)


async def test_a_receiver_that_answers_500(exporting: tuple[Exporting, Sink]) -> None:
    """What it refuses is lost and counted; nobody waits for it."""
    made, sink = exporting
    sink.status = 500
    made.make(MANY)
    assert made.waiting <= SIZE
    counts = await made.until(lambda counts: made.waiting == 0 and counts.failures > 0)
    assert (counts.accepted, counts.refused + counts.lost) == (0, MANY)
    sink.status = 200
    await made.recovers()
    assert len({span.span_id for _, span in sink.spans()}) >= 10


async def test_a_slow_receiver(exporting: tuple[Exporting, Sink]) -> None:
    """Spans beyond the bound are refused at once; those that were taken arrive, and the counts say so exactly."""
    made, sink = exporting
    sink.delay = 0.3
    made.make(MANY)
    assert made.publisher.counts.refused >= MANY - SIZE - 20
    sink.delay = 0.0
    await made.recovers()
    counts = made.publisher.counts
    assert counts.accepted + counts.refused + counts.lost == made.made
    assert len({span.span_id for _, span in sink.spans()}) >= counts.accepted


async def test_a_receiver_that_is_killed_and_comes_back(start_receiver: Any, sink: Sink) -> None:
    """A real receiver: spans that it did not get are counted as lost, and those after its return arrive."""
    port = free_port()
    async with start_receiver(port) as process:
        made = Exporting(f"http://127.0.0.1:{port}")
        made.make(10)
        await made.until(lambda counts: counts.accepted == 10)
        await _arrived(sink, 10)
        process.kill()
        process.wait()
        made.make(MANY)
        counts = await made.until(lambda counts: made.waiting == 0 and counts.lost > 0)
        assert counts.accepted == 10
    async with start_receiver(port):
        await made.recovers()
        await _arrived(sink, 20)
        await made.publisher.close(5)


async def test_a_receiver_that_is_frozen(start_receiver: Any, sink: Sink) -> None:
    """A real receiver that takes connections and says nothing holds up one batch, for as long as is allowed."""
    port = free_port()
    async with start_receiver(port) as process:
        made = Exporting(f"http://127.0.0.1:{port}")
        made.make(10)
        await made.until(lambda counts: counts.accepted == 10)
        os.kill(process.pid, signal.SIGSTOP)
        try:
            made.make(MANY)
            counts = await made.until(lambda counts: counts.lost > 0 and counts.failures > 0)
            assert counts.refused >= MANY - SIZE - 20
        finally:
            os.kill(process.pid, signal.SIGCONT)
        await made.recovers()
        await _arrived(sink, 20)
        await made.publisher.close(5)


async def _arrived(sink: Sink, count: int) -> None:
    async with asyncio.timeout(60):
        while len({span.span_id for _, span in sink.spans()}) < count:  # noqa: ASYNC110 - the sink lives in another thread
            await asyncio.sleep(0.05)


DELAY = 5.0
"""Seconds that a request would take which waited for an answer of the slow receiver."""

REQUESTS = 200


@pytest.mark.parametrize("trouble", ["500", "slow", "frozen", "killed"])
async def test_requests_do_not_wait_for_a_receiver(trouble: str, serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their p99 while the receiver is in trouble is that of a run with a sound one, as far as two such runs agree."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "30")  # nor would anything else end the wait
    with receiving() as sink, socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        ports = {"frozen": silent.getsockname()[1], "killed": free_port()}
        sound = [await _p99(serve, sink.port) for _ in range(2)]
        if trouble == "500":
            sink.status = 500
        if trouble == "slow":
            sink.delay = DELAY
        troubled = await _p99(serve, ports.get(trouble, sink.port))
        sink.delay = 0.0
    assert troubled < max(sound) + DELAY / 2


async def _p99(serve: Any, receiver: int) -> float:
    """Return the p99 of requests, in seconds, all of which are exported to a port, a few spans at a time."""
    telemetry = Telemetry(
        service="here",
        version="",
        instance="here",
        slo=Slo(),
        environment={
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{receiver}",
            "OTEL_TRACES_SAMPLER": "always_on",
            "OTEL_BSP_MAX_QUEUE_SIZE": str(SIZE),
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "5",
            "OTEL_METRIC_EXPORT_INTERVAL": "100",
        },
    )
    took = []
    async with serve(telemetry.recorder, telemetry.protocol) as site:
        await telemetry.start(None)
        for _ in range(REQUESTS):
            begin = time.perf_counter()
            assert b"200 OK" in await site.exchange(site.get("/plain"))
            took.append(time.perf_counter() - begin)
        await site.settled(REQUESTS)
        await telemetry.stop()
    return sorted(took)[REQUESTS * 99 // 100]
