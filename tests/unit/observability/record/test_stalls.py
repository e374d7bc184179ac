"""What a request's share of the loop's stalls is, and that the beat finds them."""

from __future__ import annotations

import asyncio
import time

import pytest

from observability.record.stalls import LAG_INTERVAL, MOST_STALLS, Stalls


def test_overlap_is_the_common_time_of_a_request_and_the_stalls() -> None:
    """Of stalls before, across, within and after a request only what lies within it counts."""
    stalls = Stalls()
    for since, until in ((1, 2), (4, 6), (7, 8), (9.5, 12)):
        stalls.note(since, until)
    assert stalls.overlap(5, 10) == pytest.approx(1 + 1 + 0.5)
    assert stalls.overlap(12, 13) == 0
    assert stalls.latest == 12


def test_a_stall_that_goes_on_counts_before_it_is_noted() -> None:
    """A request that ends ahead of the late beat has its share all the same, from when the beat was due."""
    stalls = Stalls()
    stalls.due, stalls.late_from = 5.0, 5.002
    assert stalls.overlap(4.0, 7.0) == 2.0
    assert stalls.overlap(6.0, 7.0) == 1.0
    assert stalls.overlap(4.0, 5.001) == 0


def test_only_so_many_stalls_are_remembered() -> None:
    """The oldest are forgotten first."""
    stalls = Stalls()
    for n in range(2 * MOST_STALLS):
        stalls.note(n, n + 0.5)
    assert stalls.overlap(0, 2 * MOST_STALLS) == MOST_STALLS / 2


async def test_a_blocked_loop_is_noted() -> None:
    """What runs for 100 ms is a stall of that, but for the time before the beat was due."""
    told: list[tuple[float, float]] = []
    stalls = Stalls()
    stalls.longer, stalls.longer_than = lambda since, until: told.append((since, until)), 0.05
    stalls.start()
    begin = time.perf_counter()
    time.sleep(0.1)  # noqa: ASYNC251 - blocking the loop is the point
    end = time.perf_counter()
    assert stalls.overlap(begin, end) >= 0.1 - LAG_INTERVAL
    async with asyncio.timeout(60):
        while not told:  # noqa: ASYNC110 - it is told by a callback
            await asyncio.sleep(0.001)
    stalls.stop()
    assert stalls.latest >= end
    assert stalls.overlap(begin, end) == pytest.approx(end - max(begin, told[0][0]))
    assert stalls.lag.count >= 1


async def test_an_idle_loop_is_woken_less_often_until_a_request_begins() -> None:
    """Without a request on the way the beats become rare; waking brings the next one near."""
    stalls = Stalls(busy=lambda: False)
    stalls.start()
    async with asyncio.timeout(60):
        while not stalls.idle:  # noqa: ASYNC110 - the beat sets it
            await asyncio.sleep(0.001)
    stalls.wake()
    assert not bool(stalls.idle)
    assert stalls.due <= time.perf_counter() + LAG_INTERVAL
    stalls.stop()


async def test_the_beat_goes_on_whatever_goes_wrong_with_a_report() -> None:
    """Else nobody would hear of any stall after it."""
    told: list[float] = []
    complaints: list[object] = []

    def break_off(since: float, _: float) -> None:
        told.append(since)
        raise RuntimeError

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    stalls = Stalls()
    stalls.longer, stalls.longer_than = break_off, 0.02
    stalls.start()
    async with asyncio.timeout(60):
        while len(told) < 2:
            time.sleep(0.05)  # noqa: ASYNC251 - blocking the loop is the point
            await asyncio.sleep(0.001)
    stalls.stop()
    loop.set_exception_handler(None)
    assert complaints
