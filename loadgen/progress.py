"""Showing a run while it goes on: drawn over at a terminal, a plain line every few seconds anywhere else, or JSON lines.

This process only adds up; those that send are others, so that drawing takes no time from what is measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import msgspec
from rich.console import Group
from rich.live import Live

from loadgen.durations import clock_time, duration
from loadgen.live import Pace, picture

if TYPE_CHECKING:
    from types import TracebackType
    from typing import TextIO

    from rich.console import Console

    from loadgen.results import RunStatus

PLAIN_EVERY = 5.0
"""Seconds between plain lines."""


def progress_line(status: RunStatus, pace: Pace | None = None) -> str:
    """Return the status as one line; rates are those of ``pace``, or else the average since the start."""
    if status.state == "preparing":
        return f"preparing users: {status.prepared} of {status.users}"
    rate = f"{status.rate:.1f}/s" if pace is None else f"{pace.achieved:.1f}/s of {pace.planned:.1f}/s"
    parts = [
        f"{status.state} {clock_time(status.elapsed)}",
        f"{status.completed:,} of {status.planned:,} requests" if status.planned else f"{status.completed:,} requests",
        rate,
        f"{status.errors:,} errors",
        f"p50 {duration(status.p50)}",
        f"p95 {duration(status.p95)}",
        f"p99 {duration(status.p99)}",
        f"lag p99 {duration(status.lag_p99)}",
        f"{clock_time(max(0.0, status.seconds - status.elapsed))} left",
    ]
    return "  ".join(parts)


class _Progress:
    """What every kind has in common: there is nothing to open, and nothing to leave."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is left on the screen."""


class PlainProgress(_Progress):
    """A line at every change of state and every few seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._state = ""
        self._shown: RunStatus | None = None

    def show(self, status: RunStatus) -> None:
        """Print the status if it is time."""
        before = self._shown
        if before and status.state == before.state and status.updated - before.updated < PLAIN_EVERY - 0.5:
            return
        self._console.out(progress_line(status, Pace.between(before, status)), highlight=False)
        self._shown = status


class JsonProgress(_Progress):
    """Every status as a line of JSON, which whoever reads it gets at once."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def show(self, status: RunStatus) -> None:
        """Write the status."""
        self._out.write(f"{msgspec.json.encode(status).decode()}\n")
        self._out.flush()


class LiveProgress(_Progress):
    """A picture of the run that is drawn over every second, and taken away at the end: the report follows."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._before: RunStatus | None = None

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the picture away."""
        self._live.stop()

    def show(self, status: RunStatus) -> None:
        """Draw the status."""
        drawn = picture(status, Pace.between(self._before, status), self._console.width)
        self._live.update(Group(*drawn), refresh=True)
        self._before = status


def progress_on(console: Console) -> PlainProgress | LiveProgress:
    """Return the progress that suits where it will be seen."""
    return LiveProgress(console) if console.is_terminal else PlainProgress(console)
