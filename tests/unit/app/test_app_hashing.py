"""The hashing threads and their queue."""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from app.errors import HashingBusy
from app.security.hashing import HashThreads
from app.settings import Settings
from observability.record.meters import HashMeter

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def meter() -> HashMeter:
    """Count."""
    return HashMeter(1, 2)


@pytest.fixture
def hashing(meter: HashMeter) -> Iterator[HashThreads]:
    """Work in one thread; two more may wait."""
    opened = HashThreads(threads=1, queue=2, meter=meter)
    yield opened
    opened.close()


@pytest.fixture
def go() -> Iterator[threading.Event]:
    """Let threads that wait for it end."""
    event = threading.Event()
    yield event
    event.set()


async def _held(hashing: HashThreads, go: threading.Event, count: int) -> list[asyncio.Task[bool]]:
    """Hand in so much work that ends when the event is set."""
    tasks = [asyncio.create_task(hashing.run(go.wait, 60)) for _ in range(count)]
    await asyncio.sleep(0.05)
    return tasks


async def test_past_the_queue_the_next_is_refused(hashing: HashThreads, meter: HashMeter, go: threading.Event) -> None:
    """One runs, two wait, the fourth is told to come back; afterwards all slots are free again."""
    tasks = await _held(hashing, go, 3)
    with pytest.raises(HashingBusy):
        await hashing.run(int)
    assert meter.refused == 1
    go.set()
    await asyncio.gather(*tasks)
    await hashing.run(int)
    assert meter.queued == 0


async def test_a_caller_that_leaves_frees_no_slot_before_its_thread_ends(
    hashing: HashThreads, go: threading.Event
) -> None:
    """Cancelled requests must not let more work in than the threads can do."""
    tasks = await _held(hashing, go, 3)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    with pytest.raises(HashingBusy):
        await hashing.run(int)
    go.set()
    for _ in range(1000):
        try:
            await hashing.run(int)
        except HashingBusy:
            await asyncio.sleep(0.01)
        else:
            return
    raise AssertionError("the slots were never freed")


async def test_who_would_be_done_too_late_is_refused_at_once(meter: HashMeter, go: threading.Event) -> None:
    """Work takes 400 ms by the clock, one runs and two wait: a third would be done in 1.6 s, and is told to come back in two."""
    ticks = itertools.count(step=0.2)  # queued, begun and ended: the clock is read twice for each duration
    hashing = HashThreads(threads=1, queue=100, meter=meter, most_time=1.3, clock=lambda: next(ticks) * 2)
    try:
        assert hashing.expected() == 0
        await hashing.run(int)
        assert hashing.expected() == pytest.approx(0.4)
        tasks = await _held(hashing, go, 3)
        assert hashing.expected() == pytest.approx(1.6)
        with pytest.raises(HashingBusy) as refused:
            await hashing.run(int)
        assert refused.value.retry_after == 2
        go.set()
        await asyncio.gather(*tasks)
    finally:
        go.set()
        hashing.close()


async def test_durations_that_vary_are_reckoned_with(meter: HashMeter, go: threading.Event) -> None:
    """Where the mean would just do, half would be late: that is too late when durations differ."""
    now = 0.0
    hashing = HashThreads(threads=1, queue=100, meter=meter, most_time=3, clock=lambda: now)

    def take(seconds: float) -> None:
        nonlocal now
        now += seconds

    try:
        for seconds in (0.1, 1.9) * 50:
            await hashing.run(take, seconds)
        tasks = await _held(hashing, go, 1)
        assert hashing.expected() < 2.5
        with pytest.raises(HashingBusy):
            await hashing.run(int)
        go.set()
        await asyncio.gather(*tasks)
    finally:
        go.set()
        hashing.close()


async def test_a_free_thread_is_never_refused(meter: HashMeter) -> None:
    """Where a single password takes too long, one at a time is still let in."""
    hashing = HashThreads(threads=1, queue=9, meter=meter, most_time=1e-9)
    try:
        for _ in range(3):
            await hashing.run(int)
    finally:
        hashing.close()
    assert meter.refused == 0


@pytest.mark.parametrize("nice", [0, 7])
async def test_hashing_threads_step_back(meter: HashMeter, nice: int) -> None:
    """Theirs is the lower priority, and that of the event loop stays as it is."""
    if sys.platform != "linux":
        return
    before = os.getpriority(os.PRIO_PROCESS, 0)
    hashing = HashThreads(threads=1, queue=1, meter=meter, nice=nice)
    try:
        assert await hashing.run(lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id())) == before + nice
    finally:
        hashing.close()
    assert os.getpriority(os.PRIO_PROCESS, 0) == before


@pytest.mark.parametrize(("cores", "workers"), [(2, 2), (3, 2), (8, 3), (2, 4), (1, 1)])
def test_an_instance_hashes_in_as_many_threads_as_there_are_cores(
    monkeypatch: pytest.MonkeyPatch, cores: int, workers: int
) -> None:
    """Or in one of each worker, if there are more workers than that."""
    monkeypatch.setattr("app.settings.cores", lambda: cores)
    settings = Settings(workers=workers)
    threads = [settings.hash_threads_of_worker(number) for number in range(1, workers + 1)]
    assert sum(threads) == max(cores, workers)
    assert max(threads) - min(threads) <= 1


async def test_the_number_of_threads_can_be_changed_at_work(meter: HashMeter, go: threading.Event) -> None:
    """What waits when there are more threads is still done; from then on so many work at once, and so many more may wait."""
    hashing = HashThreads(threads=1, queue=2, meter=meter)
    tasks = await _held(hashing, go, 3)
    hashing.resize(3)
    barrier = threading.Barrier(3)
    meeting = [asyncio.create_task(hashing.run(barrier.wait, 60)) for _ in range(2)]
    with pytest.raises(HashingBusy):
        await asyncio.gather(asyncio.sleep(0), hashing.run(int))
    go.set()
    await asyncio.gather(*tasks)
    await asyncio.gather(*meeting, hashing.run(barrier.wait, 60))
    assert (hashing.threads, meter.freeze().threads) == (3, 3)
    hashing.resize(1)
    await hashing.run(int)
    hashing.close()
