"""A circuit breaker: after some failures in a row, leave a broken thing alone for a while."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Breaker:
    """Opens after ``failures`` in a row and lets one caller try again every ``pause`` seconds."""

    def __init__(self, *, failures: int, pause: float, clock: Callable[[], float]) -> None:
        self._limit = failures
        self._pause = pause
        self._clock = clock
        self._failures = 0
        self._retry_at = 0.0

    @property
    def is_open(self) -> bool:
        """Whether it is known to be broken."""
        return self._failures >= self._limit

    def allows(self) -> bool:
        """Whether the caller may try. While open, one caller a pause may, and thereby claims that try."""
        if self._failures < self._limit:
            return True
        now = self._clock()
        if now < self._retry_at:
            return False
        self._retry_at = now + self._pause
        return True

    def succeeded(self) -> None:
        """It works."""
        self._failures = 0

    def failed(self) -> None:
        """It did not work."""
        self._failures += 1
        if self._failures >= self._limit:
            self._retry_at = self._clock() + self._pause
