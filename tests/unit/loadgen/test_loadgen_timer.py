"""Waking at an instant."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from loadgen.timer import KernelTimer, Timer, TurningTimer

Kind = Callable[[Callable[[], None]], Timer]


@pytest.fixture(params=[KernelTimer, TurningTimer])
def kind(request: pytest.FixtureRequest) -> Kind:
    """Return one kind of timer after the other."""
    made: Kind = request.param
    return made


async def test_it_wakes_after_its_instant_and_never_before(kind: Kind) -> None:
    """Twenty instants, fractions of milliseconds apart, each waited for."""
    woken = asyncio.Event()
    timer = kind(woken.set)
    try:
        for number in range(20):
            due = time.perf_counter() + number * 0.00037
            timer.set(due)
            await asyncio.wait_for(woken.wait(), 10)
            assert time.perf_counter() >= due
            woken.clear()
    finally:
        timer.close()


async def test_setting_it_again_forgets_the_instant_before(kind: Kind) -> None:
    """A timer that was put off wakes once, at the later instant; one that was brought forward, at the earlier."""
    wakes: list[float] = []
    timer = kind(lambda: wakes.append(time.perf_counter()))
    try:
        began = time.perf_counter()
        timer.set(began + 0.2)
        timer.set(began + 0.3)
        await _woken(wakes, 1)
        timer.set(began + 60)
        timer.set(began)
        await _woken(wakes, 2)
        await asyncio.sleep(0.05)
    finally:
        timer.close()
    assert len(wakes) == 2
    assert wakes[0] >= began + 0.3


async def _woken(wakes: list[float], times: int) -> None:
    async with asyncio.timeout(30):
        while len(wakes) < times:  # noqa: ASYNC110 - the timer calls, and tells no event
            await asyncio.sleep(0.01)
