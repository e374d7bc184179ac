"""When the event loop was late: a heartbeat on it notes each time that it was not served when it was due."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from typing import TYPE_CHECKING

from observability.model import Histogram

if TYPE_CHECKING:
    from collections.abc import Callable

LAG_INTERVAL = 0.01
"""Seconds between two beats. A stall that is shorter can be missed; of a longer one, as much as comes before its first beat."""

IDLE_INTERVAL = 0.1
"""The same while there is no request on the way, since waking up is what costs."""

SHORTEST_STALL = 0.002
"""Seconds of lateness that are no stall yet: timers are that inexact."""

MOST_STALLS = 256
"""The newest that are remembered: those of two seconds at the least."""

_BEATS_UNTIL_IDLE = 2


class Stalls:
    """The stalls of one event loop. Times are those of ``time.perf_counter``; everything runs on the loop.

    ``busy`` says whether a request is on the way. Whoever begins one looks at ``idle`` and, if so, calls ``wake``.

    A request asks for its share when it ends, and that may be before the beat that notes a stall. So what is late right
    now counts too. To ask costs a call; ``latest > begin or end > late_from`` says beforehand whether there is a share.
    """

    def __init__(self, busy: Callable[[], bool] = lambda: True) -> None:
        self.lag = Histogram()
        """How late each beat was, in seconds."""
        self.idle = False
        self.latest = 0.0
        """The end of the latest stall."""
        self.due = math.inf
        """When the next beat is due; read from other threads, too."""
        self.late_from = math.inf
        """From when on the loop is in a stall that no beat has noted yet."""
        self.longer: Callable[[float, float], None] | None = None
        """Told of the begin and end of each stall that lasted ``longer_than`` seconds."""
        self.longer_than = math.inf
        self._busy = busy
        self._quiet = 0
        self._noted: deque[tuple[float, float]] = deque(maxlen=MOST_STALLS)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to beat on the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._plan(time.perf_counter(), LAG_INTERVAL)

    def stop(self) -> None:
        """End the beat."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop = None
        self.idle = False
        self.due = self.late_from = math.inf

    def wake(self) -> None:
        """Beat quickly again; a request begins."""
        if self._timer is not None:
            self._timer.cancel()
        self.idle, self._quiet = False, 0
        self._plan(time.perf_counter(), LAG_INTERVAL)

    def overlap(self, begin: float, end: float) -> float:
        """Return for how many seconds between two times, the later of them now or just past, the loop was in a stall."""
        seconds = end - max(begin, self.due) if end > self.late_from else 0.0
        for since, until in reversed(self._noted):
            if until <= begin:
                break
            seconds += max(0.0, min(until, end) - max(since, begin))
        return seconds

    def note(self, since: float, until: float) -> None:
        """Remember a stall."""
        self._noted.append((since, until))
        self.latest = until
        if until - since >= self.longer_than and self.longer is not None:
            self.longer(since, until)

    def _plan(self, now: float, interval: float) -> None:
        if self._loop is not None:
            self.due = now + interval
            self.late_from = self.due + SHORTEST_STALL
            self._timer = self._loop.call_later(interval, self._beat)

    def _beat(self) -> None:
        now, due = time.perf_counter(), self.due
        late = now > self.late_from
        self.lag.record(max(0.0, now - due))
        self._quiet = 0 if self._busy() else self._quiet + 1
        self.idle = self._quiet >= _BEATS_UNTIL_IDLE
        self._plan(now, IDLE_INTERVAL if self.idle else LAG_INTERVAL)
        if late:
            self.note(due, now)  # last: whatever goes wrong in it, the next beat comes
