"""Showing a run while it goes on: one live line at a terminal, a plain line every few seconds anywhere else.

Drawing takes time from the loop that measures, so it is one line of text and not a table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from rich.live import Live
from rich.text import Text

from loadgen.durations import clock_time, duration

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import Console

    from loadgen.results import RunStatus

PLAIN_EVERY = 5.0
"""Seconds between plain lines."""


_LEAST = ("lag p99", "p50", "p99")
"""What is left out first where the line is too long."""


def progress_line(status: RunStatus, width: int | None = None) -> str:
    """Return the status as one line, without its least parts where ``width`` leaves no room for them."""
    if status.state == "preparing":
        return f"preparing users: {status.prepared} of {status.users}"
    left = max(0.0, status.seconds - status.elapsed)
    parts = [
        f"{status.state} {clock_time(status.elapsed)}",
        f"{status.completed:,} of {status.planned:,} requests",
        f"{status.rate:.1f}/s",
        f"{status.errors:,} errors",
        f"p50 {duration(status.p50)}",
        f"p95 {duration(status.p95)}",
        f"p99 {duration(status.p99)}",
        f"lag p99 {duration(status.lag_p99)}",
        f"{clock_time(left)} left",
    ]
    for least in _LEAST:
        if width is None or len("  ".join(parts)) <= width:
            break
        parts = [part for part in parts if not part.startswith(f"{least} ")]
    return "  ".join(parts)


class PlainProgress:
    """A line at every change of state and every few seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._state = ""
        self._shown = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is left on the screen."""

    def show(self, status: RunStatus) -> None:
        """Print the status if it is time."""
        if status.state == self._state and status.updated - self._shown < PLAIN_EVERY - 0.5:
            return
        self._state, self._shown = status.state, status.updated
        self._console.out(progress_line(status), highlight=False)


class LiveProgress:
    """One line that is drawn over."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the line away: the report follows."""
        self._live.stop()

    def show(self, status: RunStatus) -> None:
        """Draw the status."""
        self._live.update(Text(progress_line(status, self._console.width), overflow="fold"), refresh=True)


def progress_on(console: Console) -> PlainProgress | LiveProgress:
    """Return the progress that suits where it will be seen."""
    return LiveProgress(console) if console.is_terminal else PlainProgress(console)
