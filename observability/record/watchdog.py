"""Names what blocks the event loop: a thread looks at the loop's stack while a beat is overdue."""

from __future__ import annotations

import asyncio
import os
import sys
import sysconfig
import threading
import time
from collections import deque
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from observability.model.snapshot import MOST_BLOCKED, Blocked

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType

    from observability.record.stalls import Stalls

    Delayed = Callable[[], tuple[tuple[str, int], ...]]

BLOCKED_AFTER = 0.05
"""Seconds that a tick of the loop may take before it is too long."""

MOST_FRAMES = 40
"""Of a deeper stack the innermost are kept."""

_REST = 0.5
"""Seconds after a report in which further ticks are only counted: a loop that is always blocked must not be kept busy by it."""

_LATE = 0.02
"""Seconds by which the thread may be late itself. If it is later, it was kept from running: what it sees is the end."""

_UNKNOWN = "unknown"
_LIBRARIES = tuple({sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib")})


class _Seen(NamedTuple):
    due: float
    function: str
    stack: tuple[str, ...]
    at_end: bool


class Watchdog:
    """Keeps the newest ``MOST_BLOCKED`` ticks of the loop that took ``after`` seconds or longer.

    How long is counted from the beat that was due, so up to ten milliseconds less than the tick really took.
    """

    def __init__(self, stalls: Stalls, clock: Callable[[], float] = time.time) -> None:
        self.blocked: tuple[Blocked, ...] = ()
        """The newest, oldest first."""
        self._stalls = stalls
        self._clock = clock
        self._newest: deque[Blocked] = deque(maxlen=MOST_BLOCKED)
        self._number = 0
        self._rest_until = 0.0
        self._seen: _Seen | None = None
        self._ended = threading.Event()
        self._delayed: Delayed = tuple

    def start(self, after: float, delayed: Delayed) -> None:
        """Watch the running loop; ``delayed`` tells, on the loop, which requests are on the way. 0 seconds: do nothing."""
        if not after:
            return
        self._delayed = delayed
        self._stalls.longer, self._stalls.longer_than = self._note, after
        self._ended = threading.Event()
        # The frames around a plain callback are those of the loop itself.
        asyncio.get_running_loop().call_soon(self._begin, after, self._ended)

    def stop(self) -> None:
        """End the thread."""
        self._ended.set()
        self._stalls.longer = None

    def _begin(self, after: float, ended: threading.Event) -> None:
        around = sys._getframe().f_back  # noqa: SLF001 - the way to one's own stack
        arguments = (after, ended, threading.get_ident(), around.f_code if around else None)
        threading.Thread(target=self._watch, args=arguments, name="loop-watchdog", daemon=True).start()

    def _watch(self, after: float, ended: threading.Event, thread: int, loop: CodeType | None) -> None:
        planned = time.perf_counter() + after
        while not ended.wait(max(0.001, planned - time.perf_counter())):
            now, due = time.perf_counter(), self._stalls.due
            if now - due < after:
                planned = min(due, now) + after
                continue
            if self._seen is None or self._seen.due != due:
                stack = _frames(sys._current_frames().get(thread))  # noqa: SLF001 - the one way to see another thread's
                self._seen = _look(stack, loop, due, at_end=now - planned > _LATE)
            planned = now + after

    def _note(self, since: float, until: float) -> None:
        """Keep a tick that took too long; the beat after it calls this."""
        self._number += 1
        if until < self._rest_until:
            return
        self._rest_until = until + _REST
        seen = (
            self._seen
            if self._seen is not None and self._seen.due == since
            else _Seen(since, _UNKNOWN, (), at_end=True)
        )
        ended = self._clock() - (time.perf_counter() - until)
        report = Blocked(
            self._number,
            ended - (until - since),
            until - since,
            seen.function,
            seen.stack,
            self._delayed(),
            seen.at_end,
        )
        # Requests that came meanwhile wait in the socket's buffer: they are on the way only when the loop has looked there.
        loop = asyncio.get_running_loop()
        loop.call_soon(loop.call_soon, self._keep, report)

    def _keep(self, report: Blocked) -> None:
        first, then = dict(report.delayed), dict(self._delayed())
        delayed = tuple((name, max(first.get(name, 0), then.get(name, 0))) for name in first | then)
        self._newest.append(msgspec.structs.replace(report, delayed=delayed))
        self.blocked = tuple(self._newest)


def _frames(frame: FrameType | None) -> list[FrameType]:
    frames: list[FrameType] = []
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    return frames


def _look(frames: list[FrameType], loop: CodeType | None, due: float, *, at_end: bool) -> _Seen:
    """Read a stack, innermost frame first, up to the loop; what blocks is its innermost function that is not of a library."""
    inside = list(takewhile(lambda frame: frame.f_code is not loop, frames))[:MOST_FRAMES] or frames[:1]
    own = next((frame for frame in inside if not _is_library(frame)), inside[0] if inside else None)
    return _Seen(due, _name(own) if own else _UNKNOWN, tuple(map(_name, reversed(inside))), at_end)


def _is_library(frame: FrameType) -> bool:
    file = frame.f_code.co_filename
    return file.startswith(("<", *_LIBRARIES))


def _name(frame: FrameType) -> str:
    place = "/".join(Path(frame.f_code.co_filename).parts[-2:])
    return f"{frame.f_code.co_qualname} ({place}:{frame.f_lineno})"
