"""A blocked loop is named by the watchdog."""

from __future__ import annotations

import asyncio
import hashlib
import time
from typing import TYPE_CHECKING

import pytest

from observability.model import decode_snapshot, encode_snapshot
from observability.model.snapshot import MOST_BLOCKED
from observability.record import Recorder
from observability.record.runtime import RuntimeMeter
from observability.record.stalls import Stalls
from observability.record.watchdog import MOST_FRAMES, Watchdog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from observability.model.snapshot import Blocked


@pytest.fixture
async def runtime() -> AsyncIterator[RuntimeMeter]:
    """Watch this loop, which has seventy requests of one route on the way."""
    meter = RuntimeMeter()
    meter.start(0.05, lambda: (("GET /slow", 70),))
    yield meter
    meter.stop()


async def reports(runtime: RuntimeMeter, block: Callable[[], object]) -> Blocked:
    """Block the loop until a report names this; return the report."""
    async with asyncio.timeout(120):
        while True:
            await asyncio.sleep(0.6)  # in the rest after a report others are only counted
            number = runtime.watchdog.blocked[-1].number if runtime.watchdog.blocked else 0
            block()
            while not runtime.watchdog.blocked or runtime.watchdog.blocked[-1].number == number:  # noqa: ASYNC110 - a report has no event
                await asyncio.sleep(0.01)
            report = runtime.watchdog.blocked[-1]
            if block.__name__ in report.function:
                return report


async def test_who_sleeps_on_the_loop_is_named(runtime: RuntimeMeter) -> None:
    """The innermost function that is no library's is named, with the frames around it, and whom it delayed."""

    def nap() -> None:
        time.sleep(0.2)

    report = await reports(runtime, nap)
    assert "record/test_watchdog.py:" in report.function
    assert any("reports (" in frame for frame in report.stack)
    assert report.stack[-1] == report.function
    assert not any("run_until_complete" in frame or "_run_once" in frame for frame in report.stack)
    assert report.seconds >= 0.18
    assert abs(report.at + report.seconds - time.time()) < 60
    assert report.delayed == (("GET /slow", 70),)


async def test_who_computes_on_the_loop_is_named(runtime: RuntimeMeter) -> None:
    """Python code that never waits is seen while it runs."""

    def count() -> None:
        end = time.perf_counter() + 0.2
        while time.perf_counter() < end:
            pass

    assert "count" in (await reports(runtime, count)).function


async def test_of_a_call_that_keeps_the_interpreter_only_the_end_is_seen(runtime: RuntimeMeter) -> None:
    """No thread has a turn meanwhile: the caller is named when it comes back, and the report says so."""
    data = [hashlib.sha256(str(n).encode()).hexdigest() for n in range(200_000)]

    def order() -> None:
        (data * 4).sort()

    assert (await reports(runtime, order)).at_end


async def test_reports_travel_in_the_snapshot() -> None:
    """A snapshot carries the newest reports, and garbage collections and threads with them."""
    recorder = Recorder(instance="here")
    recorder.runtime.start(0.05)
    time.sleep(0.1)  # noqa: ASYNC251 - blocking the loop is the point
    async with asyncio.timeout(60):
        while not recorder.snapshot().blocked:  # noqa: ASYNC110 - the same
            await asyncio.sleep(0.01)
    recorder.runtime.stop()
    snapshot = decode_snapshot(encode_snapshot(recorder.snapshot()))
    assert snapshot.blocked[0].number == 1
    assert len(snapshot.runtime.gc_collections) == 3
    assert snapshot.runtime.threads >= 1


async def test_a_loop_that_is_always_blocked_does_not_fill_memory_with_reports() -> None:
    """In the rest after a report others are only counted, and the newest reports are remembered, with the innermost frames."""
    stalls = Stalls()
    watchdog = Watchdog(stalls)
    watchdog.start(0.01, tuple)
    assert stalls.longer is not None
    now = time.perf_counter()
    for n in range(4 * MOST_BLOCKED):
        stalls.longer(now + n, now + n + 0.1)
        stalls.longer(now + n + 0.1, now + n + 0.2)
    async with asyncio.timeout(60):
        while not watchdog.blocked or watchdog.blocked[-1].number < 8 * MOST_BLOCKED - 1:  # noqa: ASYNC110 - a report has no event
            await asyncio.sleep(0.001)
    watchdog.stop()
    assert [report.number for report in watchdog.blocked] == [
        8 * MOST_BLOCKED - 1 - 2 * n for n in reversed(range(MOST_BLOCKED))
    ]


async def test_of_a_deep_stack_the_innermost_frames_are_told(runtime: RuntimeMeter) -> None:
    """However deep a recursion is that blocks."""

    def dive(depth: int = 3 * MOST_FRAMES) -> None:
        dive(depth - 1) if depth else time.sleep(0.2)

    report = await reports(runtime, dive)
    assert len(report.stack) == MOST_FRAMES
    assert report.stack[-1] == report.function
