"""GCRA in memory."""

from __future__ import annotations

from fractions import Fraction
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from app.security.limits import Demand, Limit, MemoryBuckets


class Clock:
    """A clock that is moved by hand, in microseconds, without rounding."""

    now = 5_000_000

    def __call__(self) -> float:
        """Tell the time in seconds."""
        return cast("float", Fraction(self.now, 1_000_000))


class Bucket:
    """A leaky bucket as one would draw it: a level that sinks with time and may not rise above the quota."""

    def __init__(self, quota: int, interval: int) -> None:
        self.quota = quota
        self.interval = interval
        self.level = Fraction(0)

    def leak(self, microseconds: int) -> None:
        """Let time pass."""
        self.level = max(Fraction(0), self.level - Fraction(microseconds, self.interval))

    def pour(self) -> Fraction:
        """Take a request in and return 0, or return how many requests' worth has to leak out first."""
        over = self.level + 1 - self.quota
        if over <= 0:
            self.level += 1
        return max(Fraction(0), over)


LIMITS = st.builds(Limit, st.integers(1, 20), st.integers(1, 3600))


@given(limit=LIMITS, pauses=st.lists(st.integers(0, 400_000_000), max_size=60))
def test_it_does_what_a_leaky_bucket_does(limit: Limit, pauses: list[int]) -> None:
    """At any moments that requests come, the same pass as through a bucket with a hole, and the others wait as long."""
    clock = Clock()
    memory, bucket = MemoryBuckets(clock=clock), Bucket(limit.quota, limit.interval)
    for pause in pauses:
        clock.now += pause
        bucket.leak(pause)
        assert memory.spend("a", limit.interval, limit.depth) == bucket.pour() * limit.interval


@given(limit=LIMITS, pauses=st.lists(st.integers(0, 400_000_000), max_size=60))
def test_no_window_ever_lets_twice_the_quota_pass(limit: Limit, pauses: list[int]) -> None:
    """In any window of its length, a limit lets at most its quota at once and its quota as it drains."""
    clock = Clock()
    memory = MemoryBuckets(clock=clock)
    passed: list[int] = []
    for pause in pauses:
        clock.now += pause
        if not memory.spend("a", limit.interval, limit.depth):
            passed.append(clock.now)
    for begin in passed:
        assert sum(begin <= moment < begin + limit.depth for moment in passed) < 2 * limit.quota


@given(limit=LIMITS, pauses=st.lists(st.integers(0, 400_000_000), max_size=20))
def test_who_waits_as_told_passes(limit: Limit, pauses: list[int]) -> None:
    """One microsecond before the wait that was told is over a request is refused; then it passes."""
    clock = Clock()
    memory = MemoryBuckets(clock=clock)
    for pause in pauses:
        clock.now += pause
        wait = memory.spend("a", limit.interval, limit.depth)
        if wait:
            clock.now += wait - 1
            assert memory.spend("a", limit.interval, limit.depth) == 1
            clock.now += 1
            assert memory.spend("a", limit.interval, limit.depth) == 0


def test_memory_is_bounded() -> None:
    """Of more addresses than it may remember it forgets the one that asked longest ago, and nobody else."""
    memory = MemoryBuckets(most=10_000, clock=Clock())
    limit = Limit(2, 3600)
    for key in [*range(10_000), 0, 10_000, 10_001]:
        assert memory.spend(str(key), limit.interval, limit.depth) == 0
    assert len(memory) == 10_000
    assert memory.spend("0", limit.interval, limit.depth) > 0  # it was used again, so 1 and 2 were the oldest
    for key in ("3", "1"):
        memory.spend(key, limit.interval, limit.depth)
    assert memory.spend("3", limit.interval, limit.depth) > 0
    assert memory.spend("1", limit.interval, limit.depth) == 0
    for n in range(30_000):
        memory.take([Demand(f"many {n}", "all", 1, 1, 1)])
        memory.give_back([Demand(f"mark {n}", "marker", 1, 1, 1)])
    assert len(memory) == 10_000


def test_what_is_given_back_can_be_taken_again() -> None:
    """A request that turned out not to count leaves the bucket as it was."""
    memory = MemoryBuckets(clock=Clock())
    demand = Demand("a", "all", 10, 10, 10)
    for _ in range(5):
        assert memory.take([demand])[0].wait == 0
        assert memory.take([demand])[0].wait == 10
        memory.give_back([demand])
