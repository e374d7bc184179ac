"""Meters: connection-seconds are weighed by time, levels never fall below zero."""

from __future__ import annotations

import pytest

from observability.record import HashMeter, PoolMeter


class Clock:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Return what it was set to."""
        return self.now


def test_pool_use_is_weighed_by_time() -> None:
    """Two connections lent for two and three seconds are five connection-seconds, at any moment one asks."""
    clock = Clock()
    meter = PoolMeter("postgresql", 10, clock)
    for _ in range(2):
        meter.enqueue()
        meter.lend(0.0)
    clock.now += 2
    meter.give_back(0.5)
    clock.now += 1
    assert meter.freeze().busy == pytest.approx(5.0)
    meter.give_back(0.5)
    clock.now += 10
    frozen = meter.freeze()
    assert frozen.busy == pytest.approx(5.0)
    assert (frozen.in_use, frozen.high_water) == (0, 2)


def test_the_high_water_mark_forgets() -> None:
    """A peak shows for 30 seconds at least and is gone after a minute."""
    clock = Clock()
    meter = PoolMeter("postgresql", 10, clock)
    meter.enqueue()
    meter.lend(0.0)
    meter.give_back(0.5)
    clock.now += 31
    assert meter.freeze().high_water == 1
    clock.now += 31
    assert meter.freeze().high_water == 0


def test_a_caller_that_gives_up_is_counted() -> None:
    """Giving up ends the wait, adds it to the waits, and counts as a timeout only when it was one."""
    meter = PoolMeter("postgresql", 1)
    meter.enqueue()
    meter.enqueue()
    meter.give_up(5.0, timed_out=True)
    meter.give_up(0.1, timed_out=False)
    frozen = meter.freeze()
    assert (frozen.pending, frozen.timeouts, frozen.wait.count) == (0, 1, 2)


def test_the_hashing_queue_is_followed() -> None:
    """What waits, what was done and what was refused are counted."""
    meter = HashMeter(2, 16)
    meter.queued = 1
    meter.done(0.01, 0.03)
    meter.refuse()
    frozen = meter.freeze()
    assert (frozen.queued, frozen.refused, frozen.wait.count, frozen.duration.count) == (1, 1, 1, 1)
