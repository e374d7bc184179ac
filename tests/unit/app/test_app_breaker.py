"""The circuit breaker."""

from __future__ import annotations

from app.storage.breaker import Breaker


class Clock:
    """A clock that is moved by hand."""

    now = 100.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


def test_it_opens_after_failures_in_a_row_and_only_then() -> None:
    """A success in between starts the count anew."""
    breaker = Breaker(failures=3, pause=1, clock=Clock())
    for _ in range(5):
        breaker.failed()
        breaker.failed()
        breaker.succeeded()
    assert breaker.allows()
    for _ in range(3):
        breaker.failed()
    assert breaker.is_open
    assert not breaker.allows()


def test_while_open_one_caller_a_pause_may_try() -> None:
    """The others are told at once, so a broken Redis costs one wait a pause, not one a request."""
    clock = Clock()
    breaker = Breaker(failures=1, pause=1, clock=clock)
    breaker.failed()
    clock.now += 1
    assert [breaker.allows() for _ in range(3)] == [True, False, False]
    breaker.failed()
    clock.now += 0.9
    assert not breaker.allows()
    clock.now += 0.1
    assert breaker.allows()
    breaker.succeeded()
    assert not breaker.is_open
    assert breaker.allows()
