"""Waking at an instant: uvloop's timers are whole milliseconds, so Linux's own timer is watched like a socket.

The kernel wakes us within some ten microseconds of the instant, and nothing is spent on waiting. Elsewhere a coarse timer comes
first, and the loop is turned over for what is left of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_CLOCK_MONOTONIC = 1
_ABSOLUTE = 1
_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC
_TURNED = 0.001
"""Seconds that are turned over where there is only a coarse timer."""


class Timer:
    """Calls ``wake`` at an instant of ``time.perf_counter``. Setting it again forgets the instant before."""

    def set(self, instant: float) -> None:
        """Wake at this instant, or at once when it is past."""
        raise NotImplementedError

    def close(self) -> None:
        """Wake no more."""
        raise NotImplementedError


class KernelTimer(Timer):
    """A timerfd (Linux): perf_counter there is CLOCK_MONOTONIC, so instants need no conversion."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._fd = ctypes.CDLL(None, use_errno=True).timerfd_create(_CLOCK_MONOTONIC, _FLAGS)
        self._settime = ctypes.CDLL(None).timerfd_settime  # Without errno, which costs as much as the call.
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._wake = wake
        self._armed = False
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._fd, self._fire)
        self._spec = (
            ctypes.c_long * 4
        )()  # struct itimerspec: no interval, then seconds and nanoseconds of the instant
        self._at = ctypes.byref(self._spec)

    def set(self, instant: float) -> None:
        """Arm the kernel's timer; an instant that is past fires in the loop's next turn."""
        self._armed = True
        whole = int(instant)
        self._spec[2], self._spec[3] = whole, int((instant - whole) * 1e9) or 1
        self._settime(self._fd, _ABSOLUTE, self._at, None)

    def close(self) -> None:
        """Give the descriptor back."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _fire(self) -> None:
        self._armed = False
        self._wake()
        if (
            not self._armed and self._fd >= 0
        ):  # Setting it again is enough; else it must be read, or it would fire for ever.
            with contextlib.suppress(BlockingIOError):
                os.read(self._fd, 8)


class TurningTimer(Timer):
    """A coarse timer, and the last millisecond turned over."""

    def __init__(self, wake: Callable[[], None], clock: Callable[[], float] = time.perf_counter) -> None:
        self._wake = wake
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._handle: asyncio.Handle | None = None
        self._instant = 0.0

    def set(self, instant: float) -> None:
        """Sleep to shortly before the instant."""
        self._instant = instant
        self.close()
        self._look()

    def close(self) -> None:
        """Cancel what is set."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _look(self) -> None:
        left = self._instant - self._clock()
        if left > _TURNED:
            self._handle = self._loop.call_later(left - _TURNED, self._look)
        elif left > 0:
            self._handle = self._loop.call_soon(self._look)
        else:
            self._handle = self._loop.call_soon(self._wake)


def timer(wake: Callable[[], None]) -> Timer:
    """Return the best timer that this system has."""
    return KernelTimer(wake) if sys.platform == "linux" else TurningTimer(wake)
